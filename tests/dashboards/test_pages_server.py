"""The pages' server: logins, roles, whose kernel it is, and what is not served."""

import os
import re
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from urllib.parse import urlsplit

import httpx
import pytest
from pages_models import account
from pages_site import Site, Visit, email, json_of, kernel_of, log_in, ready, wait_for
from samples import ROOT
from service import PASSWORD, free_port

from vur.dashboards.sockets import ENDED

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_nothing_but_the_login_is_shown_to_strangers(site: Site) -> None:
    with httpx.Client(base_url=site.pages) as stranger:
        for address in ("/", "/dashboard", "/api/kernels/3f2b6b0e-52f5-4c36-8c5f-2f6c1f0f0a11"):
            answer = stranger.get(address)
            assert answer.status_code in (302, 403), address
            assert answer.status_code == 403 or "/login" in answer.headers["location"]
        for address in ("/vur/session", "/vur/api/datasets", "/metrics"):
            assert stranger.get(address).status_code == 401, address
        for address in (
            "/voila/query/3f2b6b0e-52f5-4c36-8c5f-2f6c1f0f0a11",
            "/voila/files/dashboard.ipynb",
            "/voila/api/contents/dashboard.ipynb",
            "/voila/tree",
            "/voila/render/dashboard.ipynb",
            "/nothing",
        ):
            assert stranger.get(address).status_code == 404, address
        assert stranger.get("/health").json() == {"status": "ok"}


def test_a_wrong_password_is_said_in_the_browsers_language(visit: Visit) -> None:
    tab = visit("dashboard", None, language="pt-BR")
    tab.fill("[name=login]", email("ana"))
    tab.fill("[name=password]", "wrong horse 9")
    tab.click("form button")
    alert = tab.get_by_role("alert")
    alert.wait_for()
    assert "senha" in alert.inner_text().lower()
    assert tab.input_value("[name=login]") == email("ana")


def test_the_login_leads_to_no_other_site(site: Site) -> None:
    with httpx.Client(base_url=site.pages) as client:
        for wanted in ("https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)"):
            form = client.get("/login", params={"next": wanted})
            token = re.search(r'name="_xsrf" value="([^"]+)"', form.text)[1]
            answer = client.post(
                "/login", data={"_xsrf": token, "next": wanted, "login": email("ana"), "password": PASSWORD}
            )
            assert answer.status_code == 302 and answer.headers["location"] == "/", wanted
            client.cookies.delete("vur-session")


def test_an_account_is_made_on_the_page(visit: Visit, site: Site) -> None:
    tab = visit("dashboard", None)
    tab.get_by_role("link", name="Create an account").click()
    tab.fill("[name=email]", "nova@example.com")
    tab.fill("[name=full_name]", "Nina <b>Simone</b>")
    tab.fill("[name=password]", "short")
    tab.click("form button")
    assert "password" in tab.get_by_role("alert").inner_text().lower()
    assert tab.input_value("[name=email]") == "nova@example.com"
    tab.fill("[name=password]", "feeling good 1965")
    tab.click("form button")
    ready(tab)
    assert tab.locator(".v-name").inner_text() == "Nina <b>Simone</b>\nAnalyst"
    with httpx.Client(base_url=site.pages) as client:
        token = re.search(r'name="_xsrf" value="([^"]+)"', client.get("/signup").text)[1]
        again = {"_xsrf": token, "email": "nova@example.com", "password": "feeling good 1965"}
        assert client.post("/signup", data=again).status_code == 422


def test_login_language_theme_and_logout(visit: Visit) -> None:
    tab = visit("dashboard", "vera", language="pt-BR", theme="dark")
    assert tab.locator("html").get_attribute("lang") == "pt-BR"
    assert tab.locator("html").get_attribute("data-theme") == "dark"
    assert tab.title() == "Painel · VUR"
    tab.locator("details.v-user summary").click()
    tab.select_option("[data-vur=theme]", "light")
    assert tab.locator("html").get_attribute("data-theme") == "light"
    with tab.expect_navigation():
        tab.select_option("[data-vur=language]", "en")
    ready(tab)
    assert tab.title() == "Dashboard · VUR"
    tab.locator("details.v-user summary").click()
    tab.get_by_role("button", name="Log out").click()
    tab.wait_for_selector("[name=password]")
    assert json_of(tab, "/vur/session")[0] == 401


def test_the_login_is_one_of_the_services(visit: Visit, site: Site) -> None:
    tab = visit("dashboard", "bia")
    status, session = json_of(tab, "/vur/session")
    assert status == 200 and session["role"] == "analyst"
    with site.api("bia") as api:
        open_logins = api.get("/auth/sessions").json()["items"]
        browser = next(one for one in open_logins if "Chrome" in one["agent"] and not one["current"])
        api.delete(f"/auth/sessions/{browser['id']}").raise_for_status()
    tab.wait_for_timeout(3_100)  # how long the server believes a cookie it has checked
    assert json_of(tab, "/vur/session")[0] == 401
    tab.goto("/dashboard")
    tab.wait_for_selector("[name=password]")
    assert tab.url.endswith("/login?next=%2Fdashboard")


def test_a_session_that_ends_is_said_and_the_page_comes_back(visit: Visit, site: Site) -> None:
    tab = visit("dashboard", "bia")
    tab.context.clear_cookies(name="vur-session")
    tab.evaluate("document.dispatchEvent(new Event('vur-check-session'))")
    dialog = tab.locator("dialog[data-over=true]")
    dialog.wait_for()
    assert "Log in again" in dialog.inner_text()
    dialog.get_by_role("button").click()
    tab.wait_for_selector("[name=password]")
    log_in(tab, "bia")
    ready(tab)


def test_nobody_reaches_the_kernel_of_another(visit: Visit, site: Site) -> None:
    mine, other = visit("dashboard", "ana"), visit("dashboard", "root")
    kernel = kernel_of(mine)
    assert json_of(mine, f"/api/kernels/{kernel}")[0] == 200
    assert json_of(other, f"/api/kernels/{kernel}")[0] == 403
    closed = """async (kernel) => new Promise((resolve) => {
        const socket = new WebSocket(`ws://${location.host}/api/kernels/${kernel}/channels`);
        socket.onopen = () => resolve("open");
        socket.onerror = () => resolve("refused");
    })"""
    assert other.evaluate(closed, kernel) == "refused"
    assert (
        other.evaluate("async (k) => (await fetch(`/voila/api/shutdown/${k}`, {method: 'POST'})).status", kernel) == 403
    )
    assert mine.evaluate(closed, kernel) == "open"


def test_messages_that_a_browser_makes_up_are_dropped(visit: Visit, site: Site) -> None:
    tab = visit("dashboard", "vera")
    answers = tab.evaluate(
        """async (kernel) => new Promise((resolve) => {
        const socket = new WebSocket(`ws://${location.host}/api/kernels/${kernel}/channels`);
        const seen = [];
        const widget = { _model_module: "x", _model_name: 7, _view_module: "y" };
        const date = new Date().toISOString();
        const ask = (type, content) => socket.send(JSON.stringify({
            header: { msg_id: type, username: "", session: "s", msg_type: type, version: "5.3", date },
            parent_header: {}, metadata: {}, content, channel: "shell", buffers: [] }));
        socket.onmessage = (event) => {
            const { msg_type } = JSON.parse(event.data);
            seen.push(msg_type);
            if (msg_type === "kernel_info_reply") setTimeout(() => resolve(seen), 1500);  // what is printed comes late
        };
        socket.onopen = () => {
            ask("execute_request", { code: "1 + 1", silent: false, store_history: false, user_expressions: {},
                allow_stdin: false, stop_on_error: true });
            socket.send("no JSON");
            socket.send(new Uint8Array(64).fill(255));
            ask("comm_open", { comm_id: "made-up", target_name: "jupyter.widget", data: { state: widget } });
            ask("comm_open", { comm_id: "made-up", target_name: "no such target", data: {} });
            ask("comm_msg", { comm_id: "made-up", data: { method: "update", state: widget } });
            ask("shutdown_request", { restart: false });
            ask("kernel_info_request", {});
        };
    })""",
        kernel_of(tab),
    )
    assert "kernel_info_reply" in answers and set(answers) <= {"kernel_info_reply", "status"}, answers
    printed = f"kernel {kernel_of(tab)}: No such comm: made-up"
    assert printed in (site.home / "up.log").read_text(), "what the kernel prints is for the log"
    assert json_of(tab, f"/api/kernels/{kernel_of(tab)}")[0] == 200, "it runs on"


def test_a_panel_that_gets_nonsense_says_nothing_of_the_server(visit: Visit) -> None:
    tab = visit("dashboard", "vera")
    answers = tab.evaluate(
        """async (kernel) => new Promise((resolve) => {
        const socket = new WebSocket(`ws://${location.host}/api/kernels/${kernel}/channels`);
        const seen = [];
        const date = new Date().toISOString();
        const ask = (type, content) => socket.send(JSON.stringify({
            header: { msg_id: type, username: "", session: "s", msg_type: type, version: "5.3", date },
            parent_header: {}, metadata: {}, content, channel: "shell", buffers: [] }));
        socket.onmessage = (event) => {
            seen.push(String(event.data));
            if (typeof event.data !== "string") return;
            const { msg_type, content } = JSON.parse(event.data);
            if (msg_type === "comm_info_reply") {
                const panels = Object.keys(content.comms);
                seen.count = panels.length;
                for (const comm_id of panels) {
                    ask("comm_msg", { comm_id, data: { method: "update", state: { content: 7, kind: {} } } });
                    ask("comm_msg", { comm_id, data: { method: "custom", content: { event: {}, values: [] } } });
                }
                ask("kernel_info_request", {});
            }
            // what a kernel prints comes late
            if (msg_type === "kernel_info_reply") setTimeout(() => resolve([seen, seen.count]), 1500);
        };
        socket.onopen = () => ask("comm_info_request", { target_name: "jupyter.widget" });
    })""",
        kernel_of(tab),
    )
    texts, panels = answers
    assert panels > 5 and not any("Traceback" in one or "site-packages" in one for one in texts), texts


def test_a_socket_ends_with_its_login_and_the_page_says_so(visit: Visit, site: Site) -> None:
    account(site, "lena")
    tab = visit("dashboard", "lena")
    tab.evaluate(
        """(kernel) => {
        const socket = new WebSocket(`ws://${location.host}/api/kernels/${kernel}/channels`);
        socket.onclose = (event) => { document.body.dataset.closed = event.code; };
        return new Promise((resolve) => { socket.onopen = resolve; });
    }""",
        kernel_of(tab),
    )
    with site.api("lena") as api:
        browser = next(one for one in api.get("/auth/sessions").json()["items"] if not one["current"])
        api.delete(f"/auth/sessions/{browser['id']}").raise_for_status()
    tab.wait_for_selector(f"body[data-closed='{ENDED}']", timeout=15_000)
    tab.locator("dialog[data-over=true]", has_text="Log in again").wait_for()


def test_pages_wait_for_a_service_that_starts_later(visit: Visit, site: Site) -> None:
    service, pages = free_port(), free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VUR_")}
    environment |= {
        "VUR_HOME": str(site.home),
        "VUR_SERVICE_URL": f"http://127.0.0.1:{service}",
        "PYTHONPATH": str(ROOT),
    }
    with open(site.home / "late.log", "w") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "vur.cli", "dashboards", "--port", str(pages)],
            env=environment, cwd=site.home, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        wait_for(f"http://127.0.0.1:{pages}/health")
        late = replace(site, pages=f"http://127.0.0.1:{pages}")
        tab = visit("dashboard", "ana", language="pt-BR", at=late, started=False)
        tab.get_by_role("heading", name="O VUR está iniciando").wait_for()
        answer = tab.context.request.get("/vur/api/datasets")
        assert answer.status == 503 and int(answer.headers["retry-after"]) > 0
        assert answer.json()["code"] == "pages.no_service"
        reader = tab.context.request.get("/published/anything")
        assert reader.status == 503 and "<h1>" in reader.text()
        with forwarded(service, site):
            ready(tab)
            assert tab.title() == "Painel · VUR"
            tab.goto("about:blank")
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


@contextmanager
def forwarded(port: int, site: Site) -> Iterator[None]:
    """The service of a site at another port."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(("127.0.0.1", urlsplit(site.service).port)) as service:
                back = threading.Thread(target=pipe, args=(service, self.request), daemon=True)
                back.start()
                pipe(self.request, service)
                back.join()

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = daemon_threads = True

    with Server(("127.0.0.1", port), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


def pipe(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65_536):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def test_the_proxy_asks_for_the_token_against_forged_requests(visit: Visit) -> None:
    tab = visit("dashboard", "ana")
    change = """async (headers) => (await fetch("/vur/api/auth/profile", { method: "PUT", body: "{}",
        headers: { "Content-Type": "application/json", ...headers } })).status"""
    assert tab.evaluate(change, {}) == 403
    good = "(document.cookie.match(/(?:^|; )_xsrf=([^;]*)/) || [])[1]"
    assert tab.evaluate(change, {"X-XSRFToken": tab.evaluate(good)}) == 200


def test_metrics_count_kernels(visit: Visit, site: Site) -> None:
    tab, guest = visit("dashboard", "root"), visit("dashboard", "vera")
    assert json_of(guest, "/metrics")[0] == 403
    status, text = json_of(tab, "/metrics")
    assert status == 200
    visited = re.search(r'^vur_dashboard_kernels\{state="visited"\} ([\d.]+)', text, re.M)
    assert float(visited[1]) >= 2
    assert 'vur_dashboard_kernels{state="waiting"}' in text and "vur_dashboard_kernels_bytes" in text
