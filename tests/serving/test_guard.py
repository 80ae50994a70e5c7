"""The middleware stack: authentication of every route, headers, CORS, errors, the API documentation."""

import re
from pathlib import Path
from typing import Any

import pytest
from databases import kind  # noqa: F401 - a fixture
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from vur.serving.app import create_app
from vur.serving.middleware.guard import DOCS, OPEN, PROBES, Guard, is_open
from vur.serving.unversioned import WEBHOOK, is_unversioned
from vur.settings import settings

API = "/api/v1"
DOCUMENTED = {
    "/livez",
    "/readyz",
    "/healthz",
    "/health",
    "/health/live",
    "/health/ready",
    "/api/v1/monitoring/health",
    "/api/v1/openapi.json",
    "/api/v1/docs",
    "/api/v1/docs/swagger-ui-bundle.js",
    "/api/v1/docs/swagger-ui.css",
    "/api/v1/auth/login",
    "/api/v1/auth/register",
    "/api/v1/auth/refresh",
    WEBHOOK,  # checks a signature itself
}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
CHROMIUM = Path("/usr/bin/chromium")
ORIGIN = {"Origin": "http://localhost:5173"}


def routes(app: FastAPI) -> list[tuple[str, str]]:
    """Every path of the application with its kind, from all routers."""
    found: list[tuple[str, str]] = []

    def walk(holder: Any, prefix: str) -> None:
        for route in holder.routes:
            if hasattr(route, "original_router"):
                walk(route.original_router, prefix + route.include_context.prefix)
            elif hasattr(route, "path"):
                found.append((prefix + route.path, "http" if hasattr(route, "methods") else "websocket"))
                if getattr(route, "routes", None) and not hasattr(route, "methods"):
                    walk(route, prefix + route.path)

    walk(app, "")
    return found


def filled(path: str) -> str:
    """A path with values for its parameters."""
    return re.sub(r"\{[^}]+\}", "0b9c2d3e-0000-4000-8000-000000000000", path)


def test_only_what_is_documented_is_open():
    assert OPEN == DOCUMENTED and PROBES | DOCS < OPEN
    secret = {path for path, what in routes(create_app()) if what == "http" and is_open(path)} - OPEN
    assert secret == {"/published/{token}"}, "its secret is in the path"
    assert not is_open("/published") and not is_open("/api/v1/published/x")


def test_the_list_of_routes_includes_all_of_openapi():
    app = create_app()
    paths = {path for path, _ in routes(app)}
    assert set(app.openapi()["paths"]) <= paths and "/ws" in paths and len(paths) > 30


def test_no_route_responds_without_a_token(stranger):
    raw = TestClient(stranger.app, base_url="http://localhost", raise_server_exceptions=False)
    for path, what in routes(create_app()):
        if what == "websocket" or is_open(filled(path)):
            continue
        for method in METHODS:
            answer = raw.request(method, filled(path))
            assert answer.status_code == 401, f"{method} {path} answers {answer.status_code}"
            assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_open_routes_reveal_nothing_to_other_methods(stranger):
    raw = TestClient(stranger.app, base_url="http://localhost", raise_server_exceptions=False)
    for path in sorted(OPEN):
        for method in METHODS:
            answer = raw.request(method, path)
            unsigned = (403,) if path == WEBHOOK else ()
            known = (200, 400, 404, 405, 422, 503, *unsigned)
            assert answer.status_code in known, f"{method} {path} answers {answer.status_code}"


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/auth/login/",
        "//api/v1/auth/me",
        "/api/v1/auth/login/../me",
        "/api/v1/auth/login%2f..%2fme",
        "/api/v1/auth/LOGIN",
        "/health/../metrics",
        "/health/live/x",
        "/predict",
        "/",
        "/schema.json",
        "/docs.json",
        "/metrics",
        "/static_content/index.css",
    ],
)
def test_no_spelling_of_a_path_bypasses_the_guard(stranger, path):
    assert TestClient(stranger.app, base_url="http://localhost").request("GET", path).status_code == 401


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic YTpi",
        "bearer x.y.z",
        "Bearer vur_",
        "Bearer vur_" + "x" * 43,
        "Bearer \x00",
        "Bearer " + "a" * 5000,
        "é",
    ],
)
def test_no_malformed_token_is_accepted(stranger, authorization):
    headers = {"Authorization": authorization.encode("latin-1")}
    assert stranger.get("/auth/me", headers=headers).status_code == 401


def test_websockets_need_a_token_too(stranger):
    raw = TestClient(stranger.app, base_url="http://localhost")
    with pytest.raises(WebSocketDisconnect) as refused, raw.websocket_connect("/other"):
        pass
    assert refused.value.code == 4401
    with pytest.raises(WebSocketDisconnect) as refused, raw.websocket_connect("/ws") as socket:
        socket.send_json({"type": "auth", "token": "made up"})
        while True:
            socket.receive_json()
    assert refused.value.code == 4401


def test_every_response_has_the_security_headers(ana, stranger):
    for answer in (
        ana.get("/auth/me"),
        stranger.get("/auth/me"),
        ana.get("/nothing"),
        stranger.post("/auth/login", content=b"{"),
    ):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert (
            "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
            and "script-src" not in answer.headers["Content-Security-Policy"]
        )
        assert answer.headers["Referrer-Policy"] == "no-referrer" and answer.headers["Cache-Control"] == "no-store"
        assert "Strict-Transport-Security" not in answer.headers


def test_allowed_origins_may_read_error_responses(stranger):
    answer = stranger.get("/auth/me", headers=ORIGIN)
    assert answer.status_code == 401 and answer.headers["Access-Control-Allow-Origin"] == ORIGIN["Origin"]
    assert "X-Request-ID" in answer.headers["Access-Control-Expose-Headers"]
    assert (
        "Access-Control-Allow-Origin" not in stranger.get("/auth/me", headers={"Origin": "http://evil.example"}).headers
    )


def test_preflight_needs_no_token(stranger):
    asked = ORIGIN | {
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "authorization, content-type, if-match, idempotency-key",
    }
    answer = stranger.options("/datasets/1/config", headers=asked)
    assert answer.status_code == 200 and "PUT" in answer.headers["Access-Control-Allow-Methods"]
    assert stranger.options("/datasets/1/config", headers=asked | {"Origin": "http://evil.example"}).status_code == 400


def test_origins_written_in_json_are_allowed(catalog, monkeypatch):
    monkeypatch.setenv("VUR_CORS_ORIGINS", '["http://localhost:5173", "http://localhost:3000"]')
    settings.cache_clear()
    client = TestClient(Guard(create_app()))
    for origin in ("http://localhost:5173", "http://localhost:3000"):
        asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
        answer = client.options("/api/v1/models", headers=asked)
        assert answer.status_code == 200 and answer.headers["Access-Control-Allow-Origin"] == origin


def test_no_origin_is_allowed_by_default(catalog, monkeypatch):
    monkeypatch.setenv("VUR_CORS_ORIGINS", "")
    settings.cache_clear()
    client = TestClient(Guard(create_app()))
    assert "Access-Control-Allow-Origin" not in client.get("/health/live", headers=ORIGIN).headers


@pytest.mark.parametrize("given", ["abc-123", "0.A_b"])
def test_a_valid_request_id_is_kept(ana, given):
    assert ana.get("/auth/me", headers={"X-Request-ID": given}).headers["X-Request-ID"] == given


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "<script>", "a\\nb"])
def test_an_invalid_request_id_is_replaced(ana, given):
    made = ana.get("/auth/me", headers={"X-Request-ID": given}).headers["X-Request-ID"]
    assert re.fullmatch(r"[0-9a-f]{32}", made)


def broken() -> FastAPI:
    """An application that fails."""
    app = create_app()

    @app.get("/api/v1/broken")
    def fail() -> None:
        raise RuntimeError("password=geheim-1234 of postgresql://ana:geheim@db/x")

    @app.get("/api/v1/no-database")
    def locked() -> None:
        from sqlalchemy.exc import OperationalError

        raise OperationalError("SELECT", {}, Exception("database is locked"))

    return app


def test_an_internal_error_reveals_only_its_id(ana):
    client = TestClient(Guard(broken()), headers=ana.http.headers, raise_server_exceptions=False)
    answer = client.get("/api/v1/broken", headers={"Accept-Language": "pt-BR"} | ORIGIN)
    assert (answer.status_code, answer.json()["code"]) == (500, "api.internal")
    assert answer.headers["X-Request-ID"] in answer.json()["detail"] and "geheim" not in answer.text
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN["Origin"]


def test_a_busy_database_is_reported_as_such(ana):
    client = TestClient(Guard(broken()), headers=ana.http.headers, raise_server_exceptions=False)
    answer = client.get("/api/v1/no-database")
    assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (503, "api.database", "5")


def test_a_lost_database_is_reported_by_authentication_too(ana, monkeypatch):
    from sqlalchemy.exc import TimeoutError as NoConnection

    from vur.serving.middleware import guard

    def lost(token: str) -> None:
        raise NoConnection("QueuePool limit")

    monkeypatch.setattr(guard, "look_up", lost)
    guard.KNOWN.found.clear()
    answer = ana.get("/auth/me", headers=ORIGIN)
    assert (answer.status_code, answer.json()["code"]) == (503, "api.database") and answer.headers[
        "Access-Control-Allow-Origin"
    ]


def test_only_temporary_errors_have_a_retry_after(ana):
    assert "Retry-After" not in ana.get("/nothing").headers and "Retry-After" not in ana.put("/auth/me").headers


def test_a_failure_before_the_application_gets_a_response_too(ana, monkeypatch):
    async def fail(scope: dict, receive: Any, send: Any) -> None:
        raise RuntimeError("outside of FastAPI")

    answer = TestClient(Guard(fail), headers=ana.http.headers, raise_server_exceptions=False).get("/predict")
    assert (answer.status_code, answer.json()["code"]) == (500, "api.internal")


def test_the_documentation_page_runs_only_its_own_scripts(stranger):
    page = stranger.get("/docs")
    policy = page.headers["Content-Security-Policy"]
    assert (
        page.status_code == 200
        and "script-src 'self' 'sha256-" in policy
        and "unsafe-inline" not in policy.split("style-src")[0]
    )
    for address in re.findall(r'(?:src|href)="(/[^"]+)"', page.text):
        assert TestClient(stranger.app).get(address).status_code == 200, address
    assert "https://" not in page.text


def test_openapi_describes_authentication_and_errors(stranger):
    document = stranger.get("/openapi.json").json()
    assert document["components"]["securitySchemes"]["login"]["flows"]["password"]["tokenUrl"] == f"{API}/auth/login"
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert bool(operation["security"]) == (not is_open(path)), path
            assert is_open(path) or "401" in operation["responses"], path
    foreign = {path for path, methods in document["paths"].items() if "HTTPValidationError" in str(methods)}
    assert foreign == {path for path in document["paths"] if is_unversioned(path)}, "their clients expect that shape"


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM.exists(), reason="there is no Chromium at /usr/bin/chromium")
def test_a_browser_shows_the_documentation_and_authorizes(ana, tmp_path):
    """The policy of the page lets Swagger UI run, log in and call."""
    import threading
    import time

    import uvicorn
    from playwright.sync_api import sync_playwright

    server = uvicorn.Server(uvicorn.Config(Guard(create_app()), port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        with sync_playwright() as tool:
            browser = tool.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
            page = browser.new_page()
            problems: list[str] = []
            page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
            page.goto(f"http://127.0.0.1:{port}{API}/docs")
            page.wait_for_selector(".opblock", timeout=30_000)
            page.click("button.authorize")
            page.fill("#oauth_username", "ana@x.br")
            page.fill("#oauth_password", "correct horse 9")
            page.click(".auth-container:has(#oauth_username) button.authorize")
            page.wait_for_selector(".auth-container:has-text('authorized') button:has-text('Logout')", timeout=30_000)
            browser.close()
    finally:
        server.should_exit = True
        thread.join(10)
    assert problems == []


def test_errors_of_other_applications_have_the_common_shape(ana):
    from starlette.applications import Starlette

    outer = TestClient(Guard(Starlette()), headers={"Authorization": f"Bearer {ana.token}", "Accept-Language": "pt-BR"})
    answer = outer.get("/nothing")
    assert (
        answer.status_code == 404
        and answer.json()["code"] == "api.no_route"
        and answer.json()["detail"].startswith("Não há nada em /nothing")
    )
