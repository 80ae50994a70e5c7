"""One sign-on: the cookie of a login of the service opens the pages and JupyterLab."""

import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import urlsplit

from jupyter_server.auth import Authorizer, IdentityProvider, User
from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from tornado import web
from tornado.ioloop import PeriodicCallback
from tornado.websocket import WebSocketHandler

from vur.dashboards import sockets
from vur.dashboards.shell import language_of, render
from vur.errors import VurError
from vur.settings import settings
from vur.store.accounts import sessions
from vur.store.accounts.users import clean_email
from vur.store.database import reading, writing

COOKIE = "vur-session"
KNOWN_SECONDS = 3.0  # how long a cookie that was checked is believed
MOST_KNOWN = 1000
HEADERS = ("X-VUR-User", "X-VUR-Role", "X-VUR-Token")  # never believed from outside


@dataclass
class Visitor(User):
    """A logged-in user: `username` is the user's id, `login_id` the login that the browser shows."""

    role: str = "viewer"
    language: str = "en"
    login_id: str = field(default="", repr=False, compare=False)


class Visitors:
    """Visitors by their cookie, each looked up in the catalog again after `KNOWN_SECONDS`."""

    def __init__(self) -> None:
        self.known: OrderedDict[str, tuple[float, Visitor | None]] = OrderedDict()

    def find(self, cookie: str) -> Visitor | None:
        """The visitor of a cookie; None if the login has ended."""
        at, visitor = self.known.get(cookie, (0.0, None))
        if time.monotonic() - at > KNOWN_SECONDS:
            visitor = self._read(cookie)
            self.known[cookie] = (time.monotonic(), visitor)
            while len(self.known) > MOST_KNOWN:
                self.known.popitem(last=False)
        return visitor

    def forget(self, cookie: str) -> None:
        """Look the cookie up at its next use."""
        self.known.pop(cookie, None)

    @staticmethod
    def _read(cookie: str) -> Visitor | None:
        with reading() as session:
            found = sessions.read_cookie(session, cookie)
            if found is None:
                return None
            user, login_id = found
            name = user.full_name or user.username
            return Visitor(
                user.id, name=name, display_name=name, role=user.role, language=user.language, login_id=login_id
            )


VISITORS = Visitors()


def visitor_of(handler: Any) -> Visitor | None:
    """The visitor who sent a request."""
    cookie = handler.get_cookie(COOKIE)
    return VISITORS.find(cookie) if cookie else None


def token_for(visitor: Visitor) -> tuple[str, int]:
    """A short token for the REST API in the visitor's name, and its life in seconds."""
    from vur.serving.middleware.tokens import access_token
    from vur.store.catalog import User as Account

    with writing() as session:
        sessions.note_visit(session, visitor.login_id)
        return access_token(session.get_one(Account, visitor.username), visitor.login_id)


class VurIdentityProvider(IdentityProvider):
    """The service's accounts as users of a Jupyter server."""

    def __init__(self, **options: Any):
        options.pop("token", None)
        options["login_handler_class"], options["logout_handler_class"] = LoginPage, LogoutPage
        super().__init__(token="", **options)
        PeriodicCallback(lambda: sockets.end_after_logout(self._admitted), KNOWN_SECONDS * 1000).start()

    @property
    def auth_enabled(self) -> bool:
        """Logins are always needed."""
        return True

    @property
    def login_available(self) -> bool:
        """There is a form for them."""
        return True

    async def get_user(self, handler: Any) -> User | None:
        """The visitor of a request; headers by which a client might pretend to be somebody are dropped."""
        for name in HEADERS:
            handler.request.headers.pop(name, None)
        if isinstance(handler, WebSocketHandler):
            sockets.OPEN.add(handler)
        visitor = visitor_of(handler)
        return visitor if visitor is not None and self.admits(visitor) else None

    def _admitted(self, handler: Any) -> bool:
        visitor = visitor_of(handler)
        return visitor is not None and self.admits(visitor)

    def admits(self, visitor: Visitor) -> bool:
        """Whether a logged-in visitor may enter this server at all."""
        return True

    def identity_model(self, user: User) -> dict[str, Any]:
        """What Jupyter shows of a user, without the login."""
        model = super().identity_model(user)
        model.pop("login_id", None)
        return model


class LabIdentityProvider(VurIdentityProvider):
    """The same accounts in JupyterLab, which is not for viewers."""

    def admits(self, visitor: Visitor) -> bool:
        """Whether the visitor is an analyst or administrator."""
        return visitor.role in ("analyst", "admin")


def cookie_options(handler: Any) -> dict[str, Any]:
    """Attributes of the cookie: not readable by scripts, not sent from other sites, over TLS where there is any."""
    forwarded = handler.request.headers.get("X-Forwarded-Proto", handler.request.protocol)
    return {"httponly": True, "samesite": "Lax", "path": "/", "secure": forwarded == "https"}


class LoginPage(JupyterHandler):
    """The login form. A wrong password counts towards the service's throttle."""

    @allow_unauthenticated
    def get(self) -> None:
        """Show the form, or go on if there is a valid login."""
        visitor = visitor_of(self)
        if visitor is None:
            self._form()
        elif isinstance(door := self.identity_provider, VurIdentityProvider) and not door.admits(visitor):
            self.set_status(403)
            page = render("message.html", visitor.language, self.base_url, name="forbidden", frame="", limit=0)
            self.finish(page)
        else:
            self.redirect(self._next())

    @allow_unauthenticated
    async def post(self) -> None:
        """Check the password and set the cookie."""
        await self.enter(self.get_body_argument("login", ""), self.get_body_argument("password", "", strip=False))

    async def enter(self, login: str, password: str) -> None:
        """Log in and go on; show the form with the cause if that fails."""
        from vur.serving.views import accounts

        agent = self.request.headers.get("User-Agent", "")
        try:
            tokens = await accounts.slowed(accounts.log_in, login, password, self.request.remote_ip or "", agent)
        except VurError as error:
            self.set_status(429 if error.code in ("api.throttled", "api.busy") else 401)
            self._form(f"{error.cause(self.language)} {error.remedy(self.language)}", login)
            return
        self.set_cookie(COOKIE, sessions.web_cookie(tokens["refresh_token"]), expires_days=30, **cookie_options(self))
        self.redirect(self._next())

    @property
    def language(self) -> str:
        """The language that the browser asks for."""
        return language_of(self.request.headers)

    def _form(self, error: str = "", login: str = "") -> None:
        self.set_header("Cache-Control", "no-store")
        self.finish(
            render(
                "login.html",
                self.language,
                self.base_url,
                error=error,
                login=login,
                next=self._next(),
                registration=settings().registration == "open",
                xsrf=self.xsrf_token.decode(),
            )
        )

    def _next(self) -> str:
        """Where to go after the login: a path of this server, never another site."""
        wanted = self.get_argument("next", self.base_url)
        parts = urlsplit(wanted.replace("\\", "/"))
        here = not parts.scheme and not parts.netloc and parts.path.startswith(self.base_url)
        return wanted if here and not wanted.startswith("//") else self.base_url


class SignupPage(LoginPage):
    """The form for a new account, where the setting `registration` is open; it becomes an analyst's."""

    @allow_unauthenticated
    def get(self) -> None:
        """Show the form."""
        self._need_open()
        self._form()

    @allow_unauthenticated
    async def post(self) -> None:
        """Make the account and log in."""
        from vur.serving.views import accounts

        self._need_open()
        given = {name: self.get_body_argument(name, "").strip() for name in ("email", "full_name")}
        password = self.get_body_argument("password", "", strip=False)
        try:
            await accounts.hashing(
                accounts.register,
                self.request.remote_ip or "",
                clean_email(given["email"]),
                password,
                full_name=given["full_name"],
                language=self.language,
            )
        except VurError as error:
            self.set_status(429 if error.code in ("api.throttled", "api.busy") else 422)
            self._form(f"{error.cause(self.language)} {error.remedy(self.language)}", **given)
            return
        await self.enter(given["email"], password)

    def _need_open(self) -> None:
        if settings().registration != "open":
            raise web.HTTPError(404)

    def _form(self, error: str = "", login: str = "", **given: str) -> None:
        self.set_header("Cache-Control", "no-store")
        values = {"email": "", "full_name": ""} | given
        self.finish(
            render(
                "signup.html",
                self.language,
                self.base_url,
                error=error,
                next=self._next(),
                xsrf=self.xsrf_token.decode(),
                **values,
            )
        )


class LogoutPage(JupyterHandler):
    """Ends the login; its tokens end with it."""

    @allow_unauthenticated
    def post(self) -> None:
        """End the login and go to the form."""
        visitor = visitor_of(self)
        if visitor is not None:
            with writing() as session:
                sessions.end_login(session, visitor.login_id, visitor.username)
        VISITORS.forget(self.get_cookie(COOKIE) or "")
        self.clear_cookie(COOKIE, path="/")
        self.redirect(url_path_join(self.base_url, "login"))

    @allow_unauthenticated
    def get(self) -> None:
        """Ask with a form: a link on another site must not log anybody out."""
        self.finish(render("logout.html", language_of(self.request.headers), self.base_url,
                           xsrf=self.xsrf_token.decode()))  # fmt: skip


class SessionPage(JupyterHandler):
    """Who visits, and a short token for the REST API: asked for by the pages' scripts."""

    @allow_unauthenticated
    def get(self) -> None:
        """Answer JSON; 401 if the login has ended."""
        visitor = visitor_of(self)
        self.set_header("Cache-Control", "no-store")
        if visitor is None:
            self.set_status(401)
            self.finish({"code": "api.unauthenticated"})
        else:
            self.finish(session_of(visitor))


def session_of(visitor: Visitor) -> dict[str, Any]:
    """What the browser needs to know of a visitor."""
    token, seconds = token_for(visitor)
    return {
        "token": token,
        "seconds": seconds,
        "user": visitor.display_name,
        "role": visitor.role,
        "language": visitor.language,
    }


class PageAuthorizer(Authorizer):
    """In the pages' server: kernels belong to the visitor whose page they draw; nothing else may be done."""

    owners: ClassVar[dict[str, str]] = {}

    def is_authorized(self, handler: Any, user: User, action: str, resource: str) -> bool:
        """Whether `user` may do `action` to `resource`."""
        if resource == "kernels":
            id = getattr(handler, "kernel_id", None) or handler.path_kwargs.get("kernel_id") or _first(handler)
            return self.owners.get(id) == user.username
        return action == "read"


def _first(handler: Any) -> Any:
    return handler.path_args[0] if handler.path_args else None


class LabAuthorizer(Authorizer):
    """In JupyterLab: analysts and administrators, because whoever has a kernel or a terminal can run anything."""

    def is_authorized(self, handler: Any, user: User, action: str, resource: str) -> bool:
        """Whether `user` may work in JupyterLab."""
        return getattr(user, "role", "") in ("analyst", "admin")
