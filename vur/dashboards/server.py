"""The server of the pages: standalone Voilà behind the service's accounts.

Compared with plain Voilà: everything but the login, health and static files needs a login; pages open by role; kernels
belong to their visitor; there is a limit of open pages; and what Voilà offers to anybody (files, notebooks' contents,
the address of a preheated kernel's visitor) is not served at all.
"""

import logging
import os
import sys
from functools import cache
from gzip import compress
from pathlib import Path
from typing import Any

from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.services.kernels.handlers import KernelHandler
from jupyter_server.utils import url_path_join
from tornado import web
from tornado.ioloop import PeriodicCallback
from traitlets.config import Config
from voila.app import Voila
from voila.request_info_handler import RequestInfoSocketHandler
from voila.shutdown_kernel_handler import VoilaShutdownKernelHandler
from voila.static_file_handler import AllowListFileHandler
from voila.tornado.contentshandler import VoilaContentsHandler
from voila.tornado.handler import TornadoVoilaHandler
from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler
from voila.tornado.treehandler import TornadoVoilaTreeHandler

from vur.dashboards import counts, kernels, service
from vur.dashboards.login import (
    PageAuthorizer,
    SessionPage,
    SignupPage,
    VurIdentityProvider,
    session_of,
    visitor_of,
)
from vur.dashboards.proxy import ApiProxy, PublishedProxy
from vur.dashboards.shell import Entry, allowed, entries, frame, json_in_html, language_of, render, version
from vur.dashboards.sockets import PageConnection, PageSocket
from vur.settings import settings

SHARE = Path(__file__).parent / "share"
STATIC = Path(__file__).parent / "static"
EXTENSIONS = ["@jupyter-widgets/jupyterlab-manager", "@voila-dashboards/widgets-manager8", "anywidget"]
# The pages need nothing from elsewhere; inline scripts and evaluation are Voilà's own.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' ws: wss:; worker-src 'self' blob:; "
    "frame-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
# Voilà's own doors that stay shut.
CLOSED = (RequestInfoSocketHandler, AllowListFileHandler, VoilaContentsHandler, TornadoVoilaTreeHandler)
FULL_SECONDS, SERVICE_SECONDS = 15, 3  # until a browser asks again for a page that could not be opened
log = logging.getLogger("vur.dashboards")


def notebooks() -> Path:
    """The folder of the pages' notebooks: in a checkout, or in the installed package."""
    package = Path(__file__).parents[1]
    checkout = package.parent / "nbs" / "dashboards"
    return checkout if checkout.is_dir() else package / "notebooks" / "dashboards"


class Health(web.RequestHandler):
    """Whether the server answers."""

    @allow_unauthenticated
    def get(self) -> None:
        """Answer without a login."""
        self.finish({"status": "ok"})


class Metrics(JupyterHandler):
    """Kernels and pages for Prometheus: for administrators, and with the key of the setting `metrics_key`."""

    @allow_unauthenticated
    def get(self) -> None:
        """Answer in Prometheus' text format."""
        visitor, key = visitor_of(self), settings().metrics_key
        if not ((visitor and visitor.role == "admin") or counts.has_key(self.request.headers, key)):
            self.set_status(401 if visitor is None else 403)
            self.finish({"code": "api.unauthenticated" if visitor is None else "api.forbidden"})
            return
        self.set_header("Content-Type", "text/plain; version=0.0.4")
        self.finish(counts.exposition(self.kernel_manager))


class Start(JupyterHandler):
    """The first page that the visitor may open."""

    @web.authenticated
    def get(self) -> None:
        """Go there."""
        self.redirect(url_path_join(self.base_url, "dashboard"))


class StaticFile(web.StaticFileHandler):
    """Scripts and styles under a path that names their state, so that browsers keep them for good."""

    get = allow_unauthenticated(web.StaticFileHandler.get)
    head = allow_unauthenticated(web.StaticFileHandler.head)

    def set_extra_headers(self, path: str) -> None:
        """Let browsers keep the file if the path is that of its present state."""
        if f"/vur/static/{version()}/" in self.request.path:
            self.set_header("Cache-Control", "public, max-age=31536000, immutable")
        if path.endswith(".mjs"):
            self.set_header("Content-Type", "text/javascript; charset=utf-8")


class EChartsFile(web.RequestHandler):
    """ECharts as a module."""

    @allow_unauthenticated
    def get(self) -> None:
        """Answer compressed where the browser takes it."""
        self.set_header("Content-Type", "text/javascript; charset=utf-8")
        self.set_header("Cache-Control", "public, max-age=31536000, immutable")
        plain, packed = _echarts()
        if "gzip" in self.request.headers.get("Accept-Encoding", ""):
            self.set_header("Content-Encoding", "gzip")
            self.finish(packed)
        else:
            self.finish(plain)


@cache
def _echarts() -> tuple[bytes, bytes]:
    from vur.dashboards.echarts import module_text

    text = module_text().encode()
    return text, compress(text, 6)


class VisitorKernel(KernelHandler):
    """A kernel, for its visitor."""


class VisitorShutdown(VoilaShutdownKernelHandler):
    """Shuts a kernel down when its page is closed; only its visitor's."""

    @web.authenticated
    async def post(self, kernel_id: str) -> None:
        """Shut down the kernel of the visitor's own page."""
        visitor = visitor_of(self)
        if visitor is None or PageAuthorizer.owners.get(kernel_id) != visitor.username:
            raise web.HTTPError(403)
        if kernel_id in self.kernel_manager:
            await super().post(kernel_id)
        else:
            self.set_status(204)
            self.finish()

    def check_xsrf_cookie(self) -> None:
        """Sent by the browser while it leaves the page, without the token; the cookie stays on this site (Lax)."""


class PageHandler(TornadoVoilaHandler):
    """A page: its frame for the visitor around the notebook's panels."""

    entry: Entry
    pages: tuple[Entry, ...]

    def initialize(self, entry: Entry, pages: tuple[Entry, ...], **options: Any) -> None:
        """Keep which page this is."""
        super().initialize(**options)
        self.entry, self.pages = entry, pages

    @web.authenticated
    async def get(self) -> None:
        """Answer with the page; 403 without the role, 503 with a word why if too many pages are open."""
        visitor = visitor_of(self)
        assert visitor is not None
        self.visitor = visitor
        self.set_header("Content-Security-Policy", POLICY)
        if not allowed(self.entry, visitor.role):
            counts.REFUSED.labels("role").inc()
            self._message(403, "forbidden")
            return
        if not await service.answers():
            self._wait("starting", SERVICE_SECONDS)
            return
        if why := kernels.full(self.kernel_manager, visitor.username):
            await kernels.end_unwatched(self.kernel_manager, visitor.username if why == "crowded" else None)
        if why := kernels.full(self.kernel_manager, visitor.username):
            counts.REFUSED.labels("full").inc()
            self._wait(why, FULL_SECONDS)
            return
        kernels.VISITOR.set(visitor.username)
        counts.OPENED.labels(self.entry.name).inc()
        self.texts = {
            "<!--vur:language-->": visitor.language,
            "<!--vur:title-->": self._say(f"pages.{self.entry.name}.title"),
            "<!--vur:static-->": f"{self.base_url}vur/static/{version()}/",
            "<!--vur:frame-->": self._frame(),
            "<!--vur:session-->": json_in_html(session_of(visitor)),
        }
        await super().get(path=f"{self.entry.name}.ipynb")

    def _say(self, key: str) -> str:
        from vur.text import translate

        return translate(key, self.visitor.language)

    def _frame(self) -> str:
        url = f"//{self.request.host_name}:{settings().lab_port}/" if counts.has_lab() else ""
        return frame(self.visitor, self.base_url, self.entry.name, self.pages, self.xsrf_token.decode(), url)

    def _wait(self, name: str, seconds: int) -> None:
        """Answer that the page cannot be opened now; the browser asks again after `seconds`."""
        self.set_header("Retry-After", str(seconds))
        self._message(503, name, seconds)

    def _message(self, status: int, name: str, again: int = 0) -> None:
        chosen = settings()
        limit = chosen.dashboard_kernels_per_user if name == "crowded" else chosen.dashboard_kernels
        self.set_status(status)
        self.finish(render("message.html", self.visitor.language, self.base_url, name=name, frame=self._frame(),
                           limit=limit, again=again))  # fmt: skip

    def write(self, chunk: Any) -> None:
        """Write a part of the page with the visitor's frame in its places."""
        if isinstance(chunk, str) and "<!--vur:" in chunk:
            for place, text in self.texts.items():
                chunk = chunk.replace(place, text)
        super().write(chunk)

    def redirect_to_file(self, path: str) -> None:
        """There are no files here."""
        raise web.HTTPError(404)


class NotFound(JupyterHandler):
    """Any other address."""

    @allow_unauthenticated
    def prepare(self) -> None:  # type: ignore[override]
        """Answer with a page that leads back."""
        self.set_status(404)
        language = language_of(self.request.headers)
        self.finish(render("message.html", language, self.base_url, name="missing", frame="", limit=0))


class Pages(Voila):
    """Voilà with the service's accounts."""

    name = "voila"

    def init_settings(self) -> dict[str, Any]:
        """Repair the pool, compress answers."""
        found = super().init_settings()
        if hasattr(self.kernel_manager, "get_rendered_notebook"):
            kernels.give_to_visitor(self.kernel_manager)
            PeriodicCallback(lambda: kernels.recycle(self.kernel_manager), 60_000).start()
        return found | {"compress_response": True, "login_url": url_path_join(self.base_url, "login")}

    def init_handlers(self) -> list[Any]:
        """Serve the pages and what they need, and nothing else of Voilà's."""
        swap = {
            KernelHandler: VisitorKernel,
            VoilaShutdownKernelHandler: VisitorShutdown,
            VoilaKernelWebsocketHandler: PageSocket,
        }
        own = [list(handler) for handler in super().init_handlers()]
        kept = [
            (one[0], swap.get(one[1], one[1]), *one[2:])
            for one in own
            if one[1] not in CLOSED and one[1] is not TornadoVoilaHandler
        ]
        pages = entries(Path(self.root_dir))
        options = {
            "template_paths": self.template_paths,
            "config": self.config,
            "voila_configuration": self.voila_configuration,
            "pages": pages,
        }

        def at(*parts: str) -> str:
            return url_path_join(self.server_url, *parts)

        static = at(r"/vur/static/[0-9a-f]+/")
        return [
            (at("/"), Start),
            (at("/health"), Health),
            (at("/metrics"), Metrics),
            (at("/signup"), SignupPage),
            (at("/vur/session"), SessionPage),
            (at(r"/vur/api/(.*)"), ApiProxy),
            (at(r"/published/(.*)"), PublishedProxy),
            (static + r"echarts\.mjs", EChartsFile),
            (static + "(.*)", StaticFile, {"path": str(STATIC)}),
            *((at(f"/{entry.name}"), PageHandler, options | {"entry": entry}) for entry in pages),
            *kept,
            (r".*", NotFound),
        ]


def configuration(port: int, host: str) -> Config:
    """Voilà's configuration."""
    chosen = settings()
    config = Config()
    config.Voila.ip, config.Voila.port, config.Voila.port_retries = host, port, 0
    config.Voila.open_browser = False
    config.Voila.log_level = config.Pages.log_level = "ERROR"
    config.KernelManager.transport = "ipc"  # sockets in a folder of this user instead of ports that others may reach
    config.Voila.root_dir = str(notebooks())
    config.Voila.identity_provider_class = VurIdentityProvider
    config.Voila.authorizer_class = PageAuthorizer
    config.Voila.kernel_websocket_connection_class = PageConnection
    config.VoilaConfiguration.template = "vur"
    config.VoilaConfiguration.theme = "light"
    config.VoilaConfiguration.allow_template_override = "NO"
    config.VoilaConfiguration.allow_theme_override = "NO"
    config.VoilaConfiguration.show_tracebacks = False
    config.VoilaConfiguration.strip_sources = True
    config.VoilaConfiguration.extension_allowlist = EXTENSIONS
    config.VoilaConfiguration.preheat_kernel = chosen.dashboard_pool > 0
    config.VoilaConfiguration.default_pool_size = chosen.dashboard_pool
    config.VoilaConfiguration.multi_kernel_manager_class = kernels.Kernels
    config.Kernels.cull_idle_timeout = chosen.dashboard_idle_seconds
    config.Kernels.cull_interval = min(60, chosen.dashboard_idle_seconds)
    config.Kernels.cull_connected = False
    config.Kernels.cull_busy = False
    return config


def main() -> None:
    """Serve the pages on the host and port of the arguments, until SIGTERM."""
    host, port = sys.argv[1], int(sys.argv[2])
    os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, (str(SHARE), os.environ.get("JUPYTER_PATH"))))
    os.environ["JUPYTER_PLATFORM_DIRS"] = "1"
    from vur.serving.middleware import logs
    from vur.serving.process.supervisor import end_with_parent

    end_with_parent()
    logs.configure()  # so that errors of pages are found where those of the service are
    # Only Voilà's own configuration files would be read besides: whoever may write them may run code here anyway.
    Pages.launch_instance(argv=[], config=configuration(port, host))


if __name__ == "__main__":
    main()
