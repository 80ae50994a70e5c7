"""The pages' server: logins, roles, whose kernel it is, and what is not served."""

import re

import httpx
import pytest
from pages_site import Site, Visit, email, json_of, log_in, ready
from service import PASSWORD

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
    kernel = mine.evaluate("JSON.parse(document.getElementById('jupyter-config-data').textContent).kernelId")
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


def test_no_code_can_be_run_through_a_page(visit: Visit) -> None:
    tab = visit("dashboard", "vera")
    kernel = tab.evaluate("JSON.parse(document.getElementById('jupyter-config-data').textContent).kernelId")
    answers = tab.evaluate(
        """async (kernel) => new Promise((resolve) => {
        const socket = new WebSocket(`ws://${location.host}/api/kernels/${kernel}/channels`);
        const seen = [];
        const date = new Date().toISOString();
        const ask = (type, content) => socket.send(JSON.stringify({
            header: { msg_id: type, username: "", session: "s", msg_type: type, version: "5.3", date },
            parent_header: {}, metadata: {}, content, channel: "shell", buffers: [] }));
        socket.onmessage = (event) => {
            const message = JSON.parse(event.data);
            seen.push(message.msg_type);
            if (message.msg_type === "kernel_info_reply") resolve(seen);
        };
        socket.onopen = () => {
            ask("execute_request", { code: "1 + 1", silent: false, store_history: false, user_expressions: {},
                allow_stdin: false, stop_on_error: true });
            ask("kernel_info_request", {});
        };
    })""",
        kernel,
    )
    assert "execute_reply" not in answers and "execute_input" not in answers


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
