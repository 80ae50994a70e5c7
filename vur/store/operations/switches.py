"""Switches of the installation, which administrators turn while the service runs.

Other than the settings, which are read from a file when a process starts, they are in the catalog: every process obeys
them at once.
"""

from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.store.accounts.access import Principal
from vur.store.catalog import Switch


@dataclass(frozen=True)
class Switches:
    """All switches: `downloads`, whether others than administrators may take data out of the installation."""

    downloads: bool = True


def switches(session: Session) -> Switches:
    """The switches as they are now; the default for one that was never turned."""
    known = {field.name for field in fields(Switches)}
    stored = session.execute(select(Switch.name, Switch.value).where(Switch.name.in_(known)))
    return replace(Switches(), **{name: value["value"] for name, value in stored})


def turn(session: Session, who: Principal, changes: dict[str, Any]) -> Switches:
    """Turn the switches in `changes`, for administrators; returns all."""
    who.require("admin")
    now_set = asdict(switches(session))
    for name, value in changes.items():
        if now_set[name] != value:
            session.merge(Switch(name=name, value={"value": value}, user_id=who.user_id))
    session.flush()
    return switches(session)


def turned_at(session: Session) -> datetime | None:
    """The time of the newest change; None without any."""
    return session.scalar(select(func.max(Switch.updated_at)))


def check_downloads(session: Session, who: Principal) -> None:
    """`VurError` api.downloads_off if downloads are switched off and `who` is no administrator."""
    if not who.is_admin and not switches(session).downloads:
        raise VurError("api.downloads_off")
