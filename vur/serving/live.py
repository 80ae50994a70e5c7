"""Live messages to clients: one catalog reader per process and a bounded queue per client."""

import asyncio
import logging
import re
from collections import Counter, deque
from contextvars import Context
from datetime import UTC, datetime
from functools import cache
from typing import Any

from vur.errors import VurError
from vur.serving.messages import Message, Tail, encode, stamp
from vur.settings import settings
from vur.store.accounts.access import Principal
from vur.store.catalog import now

FASTEST, SLOWEST, BROKEN = 0.1, 0.5, 5.0  # seconds between two catalog polls, and after a failed one
QUEUE = 256
SEND_SECONDS, WARN_SECONDS, CHECK_SECONDS, METRICS_SECONDS, START_SECONDS, SEEN_SECONDS = (
    30.0,
    60.0,
    30.0,
    2.0,
    10.0,
    90.0,
)
EXPIRED, SLOW, MANY, UNAVAILABLE = 4401, 4408, 4429, 1013
LARGEST_FRAME = 64 * 1024
log = logging.getLogger("vur.live")


class Client:
    """One connection: its user, its subscriptions and its outgoing queue.

    `ended` resolves to a close code when the connection is over.
    """

    def __init__(self, who: Principal, token: str, expires: datetime | None = None, language: str = "en"):
        self.who, self.token, self.expires, self.language = who, token, expires, language
        self.types: frozenset[str] | None = None
        self.model_id: str | None = None
        self.seen: frozenset[int] = frozenset()
        self.queue: deque[str] = deque()
        self.wake = asyncio.Event()
        self.ended: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()
        self.last: tuple[int, str] | None = None
        self.timers: list[asyncio.TimerHandle] = []

    def may_see(self, message: Message) -> bool:
        """Return whether the message is theirs, is for everybody, or they are an administrator."""
        return message.owner_id is None or message.owner_id == self.who.user_id or self.who.is_admin

    def wants(self, message: Message) -> bool:
        """Return whether they may see it, subscribed to its type and model, and have not received it yet."""
        return (
            self.may_see(message)
            and (self.types is None or message.type in self.types)
            and message.id not in self.seen
            and (self.model_id is None or message.model_id in (None, self.model_id))
        )

    def has_seen(self, ids: frozenset[int]) -> None:
        """Skip these ids, which this process may still read from the catalog."""
        self.seen = ids
        asyncio.get_running_loop().call_later(SEEN_SECONDS, setattr, self, "seen", frozenset())

    def offer(self, text: str) -> None:
        """Queue a text; a full queue means a slow client and ends the connection."""
        if self.ended.done() or self.last:
            return
        if len(self.queue) >= QUEUE:
            self.end(SLOW, "too slow")
            return
        self.queue.append(text)
        self.wake.set()

    def tell(self, type: str, **data: Any) -> None:
        """Queue a protocol message, which has no id."""
        self.offer(encode({"id": None, "type": type, "data": data, "at": stamp(now())}))

    def finish(self, code: int, reason: str) -> None:
        """End once the queue is sent."""
        self.last = self.last or (code, reason)
        self.wake.set()

    def end(self, code: int, reason: str) -> None:
        """End immediately."""
        if not self.ended.done():
            self.ended.set_result((code, reason))

    def renew(self, who: Principal, token: str, expires: datetime | None) -> None:
        """Adopt a new token and reschedule its expiry and the warning before it."""
        self.who, self.token, self.expires = who, token, expires
        self.forget_timers()
        if expires is None:
            return
        loop, left = asyncio.get_running_loop(), (expires - now()).total_seconds()
        self.timers = [
            loop.call_later(max(left - WARN_SECONDS, 0), self._warn, expires),
            loop.call_later(max(left, 0), self.expire),
        ]

    def _warn(self, expires: datetime) -> None:
        self.tell("expiring", seconds=max(round((expires - now()).total_seconds()), 0), expires_at=stamp(expires))

    def expire(self) -> None:
        """Report that the token has expired, and end."""
        self.tell("expired")
        self.finish(EXPIRED, "token expired")

    def forget_timers(self) -> None:
        """Cancel the expiry and its warning."""
        for timer in self.timers:
            timer.cancel()
        self.timers = []

    async def send_all(self, send: Any) -> None:
        """Send queued texts until the connection ends; one text may take `SEND_SECONDS`."""
        try:
            while True:
                while self.queue:
                    async with asyncio.timeout(SEND_SECONDS):
                        await send(self.queue.popleft())
                if self.last:
                    return self.end(*self.last)
                self.wake.clear()
                await self.wake.wait()
        except TimeoutError:
            self.end(SLOW, "too slow")
        except Exception as error:  # the connection is closed; servers raise different exceptions for it
            log.debug("a client disconnected: %s", error)
            self.end(1006, "gone")


class Hub:
    """The clients of this process, and the tasks that run only while there are any."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.clients: set[Client] = set()
        self.open: Counter[str] = Counter()
        self.tasks: list[asyncio.Task[None]] = []
        self.ready = asyncio.Event()
        self.pending = 0  # unauthenticated connections
        self.sent = 0  # highest id sent to clients

    def take(self, user_id: str) -> None:
        """Count a connection of a user. `VurError` live.limit if they have too many."""
        if self.open[user_id] >= settings().ws_per_user:
            raise VurError("live.limit", limit=settings().ws_per_user)
        self.open[user_id] += 1

    def give_back(self, user_id: str) -> None:
        """Stop counting a closed connection."""
        self.open[user_id] -= 1
        if not self.open[user_id]:
            del self.open[user_id]

    async def join(self, client: Client) -> int:
        """Register `client` for all messages above the returned id. `TimeoutError` if the catalog does not respond."""
        self.clients.add(client)
        if not self.tasks:
            apart = Context()  # they outlive the request that starts them and must not log under its id
            self.tasks = [
                asyncio.create_task(work(), context=apart.copy()) for work in (self._read, self._measure, self._check)
            ]
        async with asyncio.timeout(START_SECONDS):
            await self.ready.wait()
        client.queue.clear()
        return self.sent

    def leave(self, client: Client) -> None:
        """Unregister `client`; the last one stops the tasks."""
        self.clients.discard(client)
        client.forget_timers()
        if not self.clients:
            for task in self.tasks:
                task.cancel()
            self.tasks = []
            self.ready.clear()

    def send(self, message: Message) -> None:
        """Queue `message` for every client subscribed to it."""
        for client in [one for one in self.clients if one.wants(message)]:
            client.offer(message.text(client.language))

    async def _read(self) -> None:
        """Poll for stored messages: often while there are some, less often while it is quiet."""
        tail, delay = Tail(), FASTEST
        while True:
            try:
                if not self.ready.is_set():
                    await asyncio.to_thread(tail.start)
                    self.sent = tail.top
                    self.ready.set()
                found = await asyncio.to_thread(tail.read)
                delay = FASTEST if found or tail.held else min(delay * 1.3, SLOWEST)
                for message in found:
                    self.send(message)
                    self.sent = max(self.sent, message.id or 0)
            except Exception:  # the catalog may be down for a while: clients stay connected and catch up later
                log.exception("live messages cannot be read")
                delay = BROKEN
            await asyncio.sleep(delay)

    async def _measure(self) -> None:
        """Publish measurements of the machine while a client is connected."""
        from vur.serving.views.system import measure

        await self.ready.wait()
        while True:
            if any(client.types is None or "system_metrics" in client.types for client in self.clients):
                try:
                    self.send(Message(None, "system_metrics", None, await asyncio.to_thread(measure), now()))
                except Exception:  # such as an unreachable catalog
                    log.exception("the machine cannot be measured")
            await asyncio.sleep(METRICS_SECONDS)

    async def _check(self) -> None:
        """Disconnect revoked sessions and keys and deactivated accounts before their tokens expire."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            for token in {client.token for client in self.clients}:
                try:
                    who = (await asyncio.to_thread(identify, token))[0]
                except VurError:
                    who = None
                except Exception:
                    log.exception("a session cannot be checked")
                    continue
                for client in [one for one in self.clients if one.token == token]:
                    if who is None:
                        client.expire()
                    else:
                        client.who = who


def identify(token: str) -> tuple[Principal, datetime | None]:
    """Return the owner of an access token or personal key and its expiry. `VurError` api.unauthenticated if invalid."""
    import jwt

    from vur.serving.middleware.guard import authenticate
    from vur.store.accounts.sessions import KEY_PREFIX

    who = authenticate(f"Bearer {token}")
    if token.startswith(KEY_PREFIX):
        return who, None  # the regular checks find its expiry
    return who, datetime.fromtimestamp(jwt.decode(token, options={"verify_signature": False})["exp"], UTC)


@cache
def limit_frames() -> None:
    """Make uvicorn reject client messages above 64 KiB; its default buffers up to 16 MiB per connection.

    BentoML configures uvicorn and offers no setting for it.
    """
    import uvicorn

    plain = uvicorn.Config.__init__

    def limited(self: Any, *arguments: Any, **options: Any) -> None:
        plain(self, *arguments, **{"ws_max_size": LARGEST_FRAME, **options})

    uvicorn.Config.__init__ = limited  # type: ignore[method-assign]


class HideTokens(logging.Filter):
    """Hides tokens in logs: servers log a WebSocket's URL with its query string."""

    SECRET = re.compile(r"(?i)([?&](?:token|api_key)=)[^&\s\"']+")

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask the tokens of a record; never drops it."""
        if isinstance(record.args, tuple):
            record.args = tuple(self.SECRET.sub(r"\1***", one) if isinstance(one, str) else one for one in record.args)
        return True
