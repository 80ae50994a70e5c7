"""Webhooks in a browser: made with a secret shown once, tested, changed, switched off; viewers only look."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pages_models import account, faults, panel
from pages_site import Site, Visit
from playwright.sync_api import expect

from vur.store.webhooks.kinds import KINDS

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def person(site: Site) -> str:
    return account(site, "wanda")


@pytest.fixture
def url() -> Iterator[str]:
    """A receiver on this machine, at the one address of it that an administrator has allowed."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.3", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.3:{server.server_port}/hook"
    server.shutdown()
    server.server_close()


def test_an_inner_address_is_refused_at_its_field(visit: Visit, person: str) -> None:
    tab = visit("monitoring?view=webhooks", person)
    expect(panel(tab, "Webhooks")).to_contain_text("There is no webhook yet.")
    form = panel(tab, "Add a webhook")
    form.get_by_label("Name", exact=True).fill("Inner")
    form.get_by_label("Address", exact=True).fill("http://127.0.0.1:9/hook")
    form.get_by_role("button", name="Add", exact=True).click()
    expect(form.locator(".v-field", has_text="Address").locator(".v-error")).to_contain_text("not public")
    expect(form.get_by_label("Name", exact=True)).to_have_value("Inner")
    expect(panel(tab, "Webhooks")).to_contain_text("There is no webhook yet.")
    assert faults(tab) == []


def test_a_webhook_is_made_tested_changed_and_removed(visit: Visit, site: Site, person: str, url: str) -> None:
    tab = visit("monitoring?view=webhooks", person, language="pt-BR", width=390, theme="dark")
    form = panel(tab, "Adicionar um webhook")
    form.get_by_label("Nome", exact=True).fill("Fluxo")
    form.get_by_label("Endereço", exact=True).fill(url)
    form.get_by_label("Relatório pronto").uncheck()
    form.get_by_role("button", name="Adicionar", exact=True).click()
    secret = panel(tab, "Segredo de Fluxo")
    expect(secret).to_contain_text("whsec_")
    expect(form.get_by_label("Nome", exact=True)).to_have_value("")
    about = panel(tab, "Fluxo")
    expect(about).to_contain_text(url)
    with site.api(person) as api:
        (made,) = api.get("/webhooks").json()["items"]
    assert made["events"] == [event for event in KINDS if event != "report.ready"]
    assert f"webhook={made['id']}" in tab.url
    about.get_by_role("button", name="Testar").click()
    log = panel(tab, "Entregas para Fluxo")
    expect(log.locator("tbody tr")).to_contain_text("Entregue", timeout=20_000)
    about.get_by_role("button", name="Novo segredo").click()
    tab.locator("dialog").get_by_role("button", name="Novo segredo").click()
    expect(panel(tab, "Segredo de Fluxo")).to_contain_text("whsec_")
    about.get_by_role("button", name="Alterar").click()
    change = panel(tab, "Alterar Fluxo")
    expect(change.get_by_label("Relatório pronto")).not_to_be_checked()
    change.get_by_label("Nome", exact=True).fill("Outro")
    change.get_by_role("button", name="Salvar").click()
    expect(tab.locator(".v-notice.success", has_text="Outro foi alterado.")).to_be_visible()
    panel(tab, "Outro").get_by_role("button", name="Desligar").click()
    expect(panel(tab, "Webhooks").locator("tbody tr")).to_contain_text("Desligado")
    log = panel(tab, "Entregas para Outro")
    log.get_by_label("Estado").select_option("failed")
    expect(log).to_contain_text("Não há nenhuma entrega neste estado.")
    assert faults(tab) == []
    tab.reload()
    expect(panel(tab, "Outro")).to_be_visible()
    assert panel(tab, "Segredo de Outro").count() == 0, "shown once"
    panel(tab, "Outro").get_by_role("button", name="Remover").click()
    tab.locator("dialog").get_by_role("button", name="Remover").click()
    expect(panel(tab, "Webhooks")).to_contain_text("Ainda não há nenhum webhook.")


def test_a_viewer_has_no_form(visit: Visit, site: Site) -> None:
    tab = visit("monitoring?view=webhooks", account(site, "wim", "viewer"))
    expect(panel(tab, "Webhooks")).to_contain_text("There is no webhook yet.")
    assert panel(tab, "Add a webhook").count() == 0
