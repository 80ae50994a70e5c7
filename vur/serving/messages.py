"""Live messages stored in the catalog: every process with clients reads each one once, in order."""

import json
import math
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from sqlalchemy import Select, func, or_, select

from vur.store.accounts.access import Principal
from vur.store.catalog import Event
from vur.store.database import reading

HOLD, LATE = 1.0, 60.0  # seconds that later messages wait for a missing id, and until it is given up
BATCH, GAPS = 1000, 500
REPLAY, KNOWN = 1000, 200  # most messages to replay, and earlier ids that count as seen


@dataclass(frozen=True)
class Message:
    """A live message; `id` is None if it is not stored."""

    id: int | None
    type: str
    owner_id: str | None
    data: dict[str, Any]
    at: datetime
    texts: dict[str, str] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def model_id(self) -> str | None:
        """The id of the model that the message is about, or None."""
        return self.data.get("model_id") or (
            self.data.get("object_id") if self.data.get("object_kind") == "model" else None
        )

    def text(self, language: str) -> str:
        """Return `{"id", "type", "data", "at"}` as JSON, cached per language; only alerts contain sentences."""
        language = language if self.type == "alert" else ""
        if language not in self.texts:
            data = self.data | {"message": _sentence(self.data, language)} if language else self.data
            self.texts[language] = encode({"id": self.id, "type": self.type, "data": data, "at": stamp(self.at)})
        return self.texts[language]


def _sentence(data: dict[str, Any], language: str) -> str:
    from vur.store.sentences import alert_sentence

    return alert_sentence(str(data.get("kind")), data.get("values") or {}, language)


def stamp(at: datetime) -> str:
    """Format a moment as ISO 8601 in UTC."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def encode(content: dict[str, Any]) -> str:
    """Encode as standard JSON: NaN and infinities become null."""
    try:
        return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=str)
    except ValueError:
        return json.dumps(_finite(content), ensure_ascii=False, separators=(",", ":"), default=str)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# --- reading the catalog ---


def _messages() -> Select[Any]:
    return select(Event.id, Event.type, Event.owner_id, Event.data, Event.at).order_by(Event.id)


class Tail:
    """Reads stored messages in order of their ids, each once.

    PostgreSQL assigns ids before transactions commit, so a higher id can become visible before a lower one. Messages
    after a missing id wait `HOLD` seconds for it; after `LATE` seconds the id is given up, because its transaction was
    rolled back.
    """

    def __init__(self) -> None:
        self.top = 0
        self.missing: dict[int, float] = {}
        self.held: dict[int, Message] = {}

    def start(self) -> None:
        """Start at the newest message; ids missing just before it may still arrive."""
        with reading() as session:
            ids = list(session.scalars(select(Event.id).order_by(Event.id.desc()).limit(KNOWN)))
        if ids:
            self.top = ids[0]
            self.missing = dict.fromkeys(set(range(ids[-1], ids[0])) - set(ids), time.monotonic())

    def read(self) -> list[Message]:
        """Return the new messages, in order."""
        at = time.monotonic()
        self.missing = {id: seen for id, seen in list(self.missing.items())[-GAPS:] if at - seen < LATE}
        wanted = or_(Event.id > self.top, Event.id.in_(self.missing)) if self.missing else Event.id > self.top
        with reading() as session:
            rows = session.execute(_messages().where(wanted).limit(BATCH)).all()
        for row in rows:
            self.missing |= dict.fromkeys(range(max(self.top + 1, row.id - GAPS), row.id), at)
            self.missing.pop(row.id, None)
            self.top = max(self.top, row.id)
            self.held[row.id] = Message(*row)
        wall = min((id for id, seen in self.missing.items() if at - seen < HOLD), default=math.inf)
        return [self.held.pop(id) for id in sorted(self.held) if id < wall]


@dataclass(frozen=True)
class Missed:
    """Messages that a client missed, in order; `reset` if they are no longer stored; `seen` are ids not to resend."""

    messages: list[Message]
    seen: frozenset[int]
    reset: bool = False


def missed(who: Principal, after: int, until: int) -> Missed:
    """Return the stored messages for `who` with ids in (`after`, `until`]; later ones come from the `Tail`."""
    with reading() as session:
        first, top = session.execute(select(func.min(Event.id), func.max(Event.id))).one()
        seen = frozenset(session.scalars(select(Event.id).where(Event.id <= after, Event.id > after - KNOWN)))
        later = _messages().where(Event.id > after, Event.id <= until)
        if not who.is_admin:
            later = later.where(or_(Event.owner_id.is_(None), Event.owner_id == who.user_id))
        rows = session.execute(later.limit(REPLAY + 1)).all()
    reset = after > (top or 0) or (first or 0) > after + 1 or len(rows) > REPLAY
    return Missed([] if reset else [Message(*row) for row in rows], seen | {row.id for row in rows}, reset)
