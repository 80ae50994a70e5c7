"""Live messages over a WebSocket: training progress, forecasts, alerts and measurements of the machine, as they come.

A client authenticates with `Authorization: Bearer TOKEN`, `X-API-Key`, `?token=`, the subprotocols `bearer, TOKEN`, or
a first message `{"type": "auth", "token": ...}`. Every message is `{"id", "type", "data", "at"}`. The types
`training_update, job_update, machine_update, upload_update, prediction, alert` have ids; `system_metrics` and the
protocol's messages have none: `ready, subscribed, pong, error`, `expiring` a minute before a token expires (a new
`auth` extends the connection) and `expired`. `?last_event_id=ID`, or the same in `auth`, replays later messages;
`reset` means that too much was missed: reload everything. Delivery is at least once, never out of order by more than a
second. Close codes: 4401 invalid token, 4408 too slow, 4429 too many connections or messages, 1009 too large, 1013 try
again later.
"""

import asyncio
import json
import logging
import time
from datetime import datetime
from typing import Any, get_args

from fastapi import APIRouter
from pydantic import TypeAdapter, ValidationError
from starlette.websockets import WebSocket

from vur.errors import VurError, error_body
from vur.serving.errors import language_of
from vur.serving.live import MANY, UNAVAILABLE, Client, HideTokens, Hub, identify, limit_frames
from vur.serving.messages import missed, stamp
from vur.serving.schemas.live import AnySaid, LiveType, SaidAuth, SaidPing, SaidSubscribe
from vur.serving.validation import reason_of
from vur.store.accounts.access import Principal
from vur.text import phrase

router = APIRouter(tags=["live"])
UNKNOWN, NOT_TEXT, TOO_LARGE = 4401, 1003, 1009
AUTH_SECONDS, CLOSE_SECONDS = 5.0, 10.0
LARGEST, PENDING = 16 * 1024, 100  # most characters of a message, and most unauthenticated connections
SPEED = 20  # most messages per second from a client
SAID: TypeAdapter[Any] = TypeAdapter(AnySaid)
log = logging.getLogger("vur.live")
for name in ("uvicorn.error", "uvicorn.access"):
    logging.getLogger(name).addFilter(HideTokens())
limit_frames()


def hub_of(socket: WebSocket) -> Hub:
    """Return the hub of this process."""
    found = getattr(socket.app.state, "hub", None)
    if found is None or found.loop is not asyncio.get_running_loop():
        found = socket.app.state.hub = Hub()
    return found


class Refused(Exception):
    """A connection that ends with a close code before it is accepted."""

    def __init__(self, code: int, reason: str):
        self.code, self.reason = code, reason


@router.websocket("/ws")
async def live(socket: WebSocket) -> None:
    """Send live messages to an authenticated client; `vur.serving.schemas.live` defines what clients may send."""
    hub, protocols = hub_of(socket), socket.scope.get("subprotocols") or []
    await socket.accept("bearer" if "bearer" in protocols else None)
    try:
        who, token, expires, after = await _enter(socket, hub, protocols)
    except Refused as refused:
        await _close(socket, refused.code, refused.reason)
        return
    socket.scope["vur.principal"] = who  # for the log
    try:
        await _serve(socket, hub, Client(who, token, expires, language_of(socket.headers, who.language)), after)
    finally:
        hub.give_back(who.user_id)


async def _enter(
    socket: WebSocket, hub: Hub, protocols: list[str]
) -> tuple[Principal, str, datetime | None, int | None]:
    """Authenticate by header, query, subprotocol or first message, and count the connection for that user."""
    query = socket.query_params
    token = (
        _bearer(socket.headers.get("authorization", ""))
        or socket.headers.get("x-api-key")
        or query.get("token")
        or next((one for one in protocols if one != "bearer" and "bearer" in protocols), None)
    )
    after = _number(query.get("last_event_id"))
    if not token:
        said = await _first(socket, hub)
        token, after = said.token, after if said.last_event_id is None else said.last_event_id
    try:
        who, expires = await asyncio.to_thread(identify, token)
        hub.take(who.user_id)
    except VurError as error:
        raise Refused(MANY if error.code == "live.limit" else UNKNOWN, error.code) from None
    except Exception:  # such as an unreachable catalog
        log.exception("a token cannot be checked")
        raise Refused(UNAVAILABLE, "busy") from None
    return who, token, expires, after


def _bearer(header: str) -> str:
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _number(text: str | None) -> int | None:
    if text is None or not (text.isascii() and text.isdigit()) or len(text) > 18:
        return None
    return int(text)


async def _first(socket: WebSocket, hub: Hub) -> SaidAuth:
    """Return the first message, which must be `auth` and arrive in time."""
    if hub.pending >= PENDING:
        raise Refused(UNAVAILABLE, "busy")
    hub.pending += 1
    try:
        async with asyncio.timeout(AUTH_SECONDS):
            message = await socket.receive()
        said = parse(message.get("text") or "")
    except (TimeoutError, VurError):
        raise Refused(UNKNOWN, "api.unauthenticated") from None
    finally:
        hub.pending -= 1
    if not isinstance(said, SaidAuth):
        raise Refused(UNKNOWN, "api.unauthenticated")
    return said


def parse(text: str) -> SaidAuth | SaidSubscribe | SaidPing:
    """Parse a client's message. `VurError` live.message if it is invalid."""
    if len(text) > LARGEST:
        raise VurError("live.message", reason=phrase("api.reason.too_many_characters", most=LARGEST))
    try:
        return SAID.validate_python(json.loads(text))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        reason = phrase("api.reason.at", field=place, reason=reason_of(first)) if place else reason_of(first)
        raise VurError("live.message", reason=reason) from None
    except (ValueError, RecursionError):
        raise VurError("live.message", reason=phrase("api.reason.not_json")) from None


async def _serve(socket: WebSocket, hub: Hub, client: Client, after: int | None) -> None:
    """Send and receive until one side ends the connection."""
    tasks: list[asyncio.Task[None]] = []
    _choose(client, socket.query_params.get("types"), socket.query_params.get("model_id"))
    try:
        until = await hub.join(client)
        client.renew(client.who, client.token, client.expires)
        await _welcome(socket, client, after, until)
        tasks = [asyncio.create_task(client.send_all(socket.send_text)), asyncio.create_task(_listen(socket, client))]
        code, reason = await client.ended
    except asyncio.CancelledError:
        for task in tasks:
            task.cancel()
        raise
    except TimeoutError:
        code, reason = UNAVAILABLE, "busy"
    except Exception as error:  # the connection is closed; servers raise different exceptions for it
        log.debug("a client disconnected: %s", error)
        code, reason = 1006, "gone"
    finally:
        hub.leave(client)
        for task in tasks[:1]:
            task.cancel()
    if code != 1006:
        await _close(socket, code, reason)
    if tasks:
        await _gone(tasks[1])


def _choose(client: Client, types: str | None, model_id: str | None) -> None:
    """Subscribe as in the URL: `?types=training_update,prediction&model_id=ID`; `ready` lists the known types."""
    if types:
        client.types = frozenset(part.strip() for part in types.split(",")) & frozenset(get_args(LiveType))
    client.model_id = model_id


async def _welcome(socket: WebSocket, client: Client, after: int | None, until: int) -> None:
    """Send `ready` with the subscription, then replay what was missed since `after`."""
    await socket.send_text(_ready(client, until))
    if after is None:
        return
    past = await asyncio.to_thread(missed, client.who, after, until)
    if past.reset:
        await socket.send_text(json.dumps({"id": None, "type": "reset", "data": {"last_event_id": until}}))
    for message in past.messages:
        if client.wants(message):
            async with asyncio.timeout(CLOSE_SECONDS):
                await socket.send_text(message.text(client.language))
    client.has_seen(past.seen)


def _ready(client: Client, last: int | None = None) -> str:
    data = {
        "user_id": client.who.user_id,
        "expires_at": client.expires and stamp(client.expires),
        "model_id": client.model_id,
        "types": sorted(client.types) if client.types is not None else list(get_args(LiveType)),
    }
    return json.dumps({"id": None, "type": "ready", "data": data | ({} if last is None else {"last_event_id": last})})


async def _listen(socket: WebSocket, client: Client) -> None:
    """Answer the client's messages until the connection is closed."""
    window, count = 0.0, 0
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return client.end(1006, "gone")
        if client.ended.done():
            continue
        at = time.monotonic()
        window, count = (window, count + 1) if at - window < 1 else (at, 1)
        text = message.get("text")
        if count > SPEED:
            client.end(MANY, "too many messages")
        elif text is None:
            client.end(NOT_TEXT, "text only")
        elif len(text) > LARGEST:
            client.end(TOO_LARGE, "message too large")
        else:
            await _answer(client, text)


async def _answer(client: Client, text: str) -> None:
    try:
        said = parse(text)
        if isinstance(said, SaidPing):
            client.tell("pong")
        elif isinstance(said, SaidSubscribe):
            client.types, client.model_id = frozenset(said.types) if said.types is not None else None, said.model_id
            client.tell(
                "subscribed", types=sorted(client.types) if client.types is not None else None, model_id=client.model_id
            )
        else:
            await _again(client, said.token)
    except VurError as error:
        client.tell("error", **error_body(error, client.language))
    except Exception:  # such as an unreachable catalog
        log.exception("a message of a client cannot be answered")
        client.end(UNAVAILABLE, "busy")


async def _again(client: Client, token: str) -> None:
    """Extend the connection with a newer token of the same user."""
    who, expires = await asyncio.to_thread(identify, token)
    if who.user_id != client.who.user_id:
        raise VurError("live.other_user")
    client.renew(who, token, expires)
    client.offer(_ready(client))


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    """Send the close code, unless the client is too slow to take it."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await socket.close(code, reason)
    except Exception as error:  # already closed, or too slow even for that
        log.debug("not closed cleanly: %s", error)


async def _gone(listening: asyncio.Task[None]) -> None:
    """Wait for the end of the connection: an unresponsive client counts for its user until it is closed."""
    try:
        await listening
    except Exception as error:
        log.debug("a client disconnected: %s", error)
