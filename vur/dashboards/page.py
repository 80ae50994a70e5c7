"""A page: panels, the visitor's session, and callbacks that check the visitor's role.

A page's kernel is started before any visitor is known. `build` declares the panels, which the browser shows as
outlines; when the browser has connected it hands over the visitor's token, and `load` fills them.
"""

import asyncio
import logging
import os
import secrets
from typing import Any, ClassVar

from vur.dashboards.client import Client, ServiceError
from vur.dashboards.live import Live
from vur.dashboards.panel import Panel
from vur.errors import VurError
from vur.languages import DEFAULT_LANGUAGE, LANGUAGES
from vur.text import translate

ROLES = ("viewer", "analyst", "admin")
TOKENS = ("VUR_TOKEN",)  # environment variables with a token or personal key, for notebooks outside the pages' server
HEADING = ("ended", "login", "lost", "reconnect", "close")  # texts that the heading's module shows by itself
log = logging.getLogger("vur.dashboards")


def service_url() -> str:
    """The REST API that pages speak to: the setting `service_url`, else host and port of the service."""
    from vur.settings import settings

    chosen = settings()
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(chosen.host, chosen.host)
    return (chosen.service_url or f"http://{host}:{chosen.port}").rstrip("/") + "/api/v1"


class Page:
    """One page; a subclass names itself, the least role that may open it, its panels and its content.

    `name` is the page's file in `nbs/dashboards`, and the first part of its texts: `pages.<name>.title` and
    `pages.<name>.subtitle`.
    """

    name: ClassVar[str]
    role: ClassVar[str] = "viewer"
    live: ClassVar[tuple[str, ...]] = ()  # types of live messages after which `tick` is called

    def __init__(self) -> None:
        self.api = Client(service_url())
        self.language = DEFAULT_LANGUAGE
        self.user: dict[str, Any] = {}
        self.query: dict[str, str] = {}
        self.panels: list[Panel] = []
        self._live: Live | None = None
        self.heading = self.panel("heading")
        self.heading.on("start", self._start)
        self.heading.on("token", self._renew)
        self.heading.on("tick", lambda values: self.tick())
        self.build()

    # What a page defines

    def build(self) -> None:
        """Declare the panels; nothing is known of the visitor yet."""
        raise NotImplementedError

    def load(self) -> None:
        """Fill the panels for the visitor."""
        raise NotImplementedError

    def tick(self) -> None:
        """Refresh what changes by itself; called while the page is visible, and after live messages."""

    # What a page uses

    def panel(self, kind: str, **content: Any) -> Panel:
        """Declare a panel of the page."""
        panel = Panel(kind, content)
        panel.dispatch = self._dispatch
        self.panels.append(panel)
        return panel

    def say(self, key: str, /, **values: Any) -> str:
        """The text of `key` in the visitor's language."""
        return translate(key, self.language, **values)

    def is_at_least(self, role: str) -> bool:
        """Whether the visitor's role is at least `role`."""
        have = self.user.get("role")
        return have in ROLES and ROLES.index(have) >= ROLES.index(role)

    def require(self, role: str) -> None:
        """`VurError` api.forbidden unless the visitor's role is at least `role`."""
        if not self.is_at_least(role):
            raise VurError("api.forbidden", role=role, have=self.user.get("role", "-"))

    def notice(self, text: str, kind: str = "info", **action: Any) -> None:
        """Show a short message (`info`, `success`, `warning` or `error`).

        `action` may name an event of the heading to offer as a button: `event`, `label` and `values`.
        """
        self.heading.tell(notice={"text": text, "kind": kind, **({"action": action} if action else {})})

    def go(self, page: str, **query: Any) -> None:
        """Open another page in the visitor's browser."""
        self.heading.tell(go={"page": page, "query": {key: str(value) for key, value in query.items()}})

    def set_query(self, **query: Any) -> None:
        """Keep what is chosen in the page's address, so that a reload or a shared link shows it again."""
        self.query |= {key: str(value) for key, value in query.items() if value is not None}
        for key in [key for key, value in query.items() if value is None]:
            self.query.pop(key, None)
        self.heading.tell(query=self.query)

    # Sessions and events

    def _start(self, values: Any) -> None:
        given = values if isinstance(values, dict) else {}
        self.query = {str(key): str(value) for key, value in dict(given.get("query") or {}).items()}
        self._set_token(given.get("token"))
        self.user = self.api.get("/auth/me")
        self.language = self.user["language"] if self.user.get("language") in LANGUAGES else DEFAULT_LANGUAGE
        self.api.language = self.language
        self.require(self.role)
        self.heading.show(
            subtitle=self.say(f"pages.{self.name}.subtitle"),
            page=self.name,
            language=self.language,
            role=self.user["role"],
            **self._said(),
        )
        self.load()
        if self.live:
            self._listen()

    def _renew(self, values: Any) -> None:
        self._set_token((values if isinstance(values, dict) else {}).get("token"))
        if self._live is not None:
            self._live.token = self.api.token

    def _set_token(self, token: Any) -> None:
        from_environment = next((os.environ[name] for name in TOKENS if os.environ.get(name)), None)
        self.api.token = token if isinstance(token, str) and token else from_environment
        if self.api.token is None:
            raise VurError("pages.no_token")

    def _listen(self) -> None:
        if self._live is None:
            loop = asyncio.get_event_loop()
            self._live = Live(
                self.api.url, self.api.token, self.live, lambda: loop.call_soon_threadsafe(self._quiet_tick)
            )
            self._live.start()

    def _quiet_tick(self) -> None:
        try:
            self.tick()
        except (VurError, ServiceError):
            log.info("a live refresh of %s was refused", self.name)

    def _dispatch(self, panel: Panel, event: str, values: Any) -> str | None:
        """Run the handler of an event and return the words of its error, if it has one."""
        handler, role = panel.handlers.get(event, (None, "admin"))
        if handler is None:
            return None
        try:
            if panel is not self.heading or event not in ("start", "token"):  # these two make the visitor known
                self.require(role)
            handler(values)
            return None
        except ServiceError as error:
            if error.ended:  # the heading's dialog says it
                self.heading.tell(ended=True)
                return self.say("pages.heading.ended")
            text = error.detail
        except VurError as error:
            text = f"{error.cause(self.language)} {error.remedy(self.language)}"
        except Exception:
            reference = secrets.token_hex(4)
            log.exception("page %s, event %s of %s, reference %s", self.name, event, panel.kind, reference)
            text = self.say("pages.failed", reference=reference)
        if panel is self.heading and event == "start":
            self.heading.show(failed=text, page=self.name, **self._said())
        else:
            self.notice(text, "error")
        return text

    def _said(self) -> dict[str, Any]:
        return {
            "title": self.say(f"pages.{self.name}.title"),
            "texts": {key: self.say(f"pages.heading.{key}") for key in HEADING},
        }

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """Show the heading, which carries the session."""
        return self.heading._repr_mimebundle_(**options)
