"""Liveness, readiness, Prometheus metrics, and the API documentation."""

import asyncio
import re
import time
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

from vur.serving.dependencies import Operator
from vur.serving.middleware import metrics
from vur.serving.middleware.guard import API
from vur.serving.middleware.observe import page_policy
from vur.serving.schemas.health import Live, Ready
from vur.store.operations import health

router = APIRouter(tags=["health"])
FRESH_SECONDS, PATIENCE = 1.0, 5.0
NOT_READY: dict[int | str, dict[str, Any]] = {503: {"model": Ready, "description": "A component is unhealthy"}}
SWAGGER = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}


class Readiness:
    """Runs one health check at a time and shares its result for a second, so that frequent probes cost nothing."""

    def __init__(self) -> None:
        self.lock, self.thread = Lock(), ThreadPoolExecutor(1, "health")
        self.running: Future[dict[str, str]] | None = None
        self.ended = 0.0

    def look(self) -> "Future[dict[str, str]]":
        """Return the running health check, or the one that has just ended."""
        with self.lock:
            if self.running is None or (self.running.done() and time.monotonic() - self.ended > FRESH_SECONDS):
                self.running = self.thread.submit(self._state)
            return self.running

    def _state(self) -> dict[str, str]:
        try:
            return health.state()
        finally:
            self.ended = time.monotonic()


READINESS = Readiness()


async def readiness() -> dict[str, str]:
    """Return the state of every component; all are unavailable if the check takes too long."""
    try:
        return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(READINESS.look())), PATIENCE)
    except TimeoutError:
        return dict.fromkeys(health.CHECKS, health.BAD)


@router.get("/health/live", response_model=Live, summary="Liveness")
async def live() -> Live:
    """Succeeds as long as the process responds."""
    return Live()


@router.get("/health/ready", response_model=Ready, responses=NOT_READY, summary="Readiness")
@router.get("/health", response_model=Ready, responses=NOT_READY, summary="Readiness")
async def ready() -> JSONResponse:
    """State of database, disk space, model store and worker: `ok`, or what is wrong in a word."""
    components = await readiness()
    good = all(state == health.OK for state in components.values())
    return JSONResponse({"status": "ok" if good else "unavailable", "components": components}, 200 if good else 503)


@router.get(
    "/metrics",
    response_class=Response,
    summary="Prometheus metrics",
    responses={
        200: {"content": {"text/plain": {}}, "description": "Prometheus text format"},
        403: {"description": "For administrators, and the key of the setting `metrics_key`"},
    },
)
def get_metrics(who: Operator) -> Response:
    """Requests, latencies, jobs, forecasts and clients of all users. For administrators, and for Prometheus with a key.

    The key, the setting `metrics_key`, is sent as a bearer token.
    """
    return Response(metrics.render(), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _swagger_folder() -> Path | None:
    """Return the folder of BentoML's copy of Swagger UI, so that the page works offline."""
    found = find_spec("bentoml")
    path = Path(found.origin).parent / "_internal" / "server" / "static_content" if found and found.origin else Path()
    return path if (path / "swagger-ui-bundle.js").is_file() else None


@router.get(f"{API}/docs", include_in_schema=False)
def docs(request: Request) -> HTMLResponse:
    """The API documentation as a page."""
    named: dict[str, Any] = (
        {}
        if _swagger_folder() is None
        else {"swagger_js_url": f"{API}/docs/swagger-ui-bundle.js", "swagger_css_url": f"{API}/docs/swagger-ui.css"}
    )
    page = get_swagger_ui_html(
        openapi_url=f"{API}/openapi.json", title="VUR", oauth2_redirect_url=None, swagger_favicon_url="data:,", **named
    )
    script = re.search(r"<script>(.*?)</script>", bytes(page.body).decode(), re.DOTALL)
    policy = page_policy(script[1] if script else "")
    if not named:
        policy = policy.replace("'self'", "'self' https://cdn.jsdelivr.net")
    page.headers["Content-Security-Policy"] = policy
    return page


@router.get(f"{API}/docs/{{name}}", include_in_schema=False)
def docs_file(name: str) -> Response:
    """A file of the documentation page."""
    folder = _swagger_folder()
    if name not in SWAGGER or folder is None:
        return Response(status_code=404)
    return FileResponse(folder / name, media_type=SWAGGER[name], headers={"Cache-Control": "public, max-age=86400"})
