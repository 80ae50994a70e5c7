"""The dashboard in a browser: figures, forecasts, whether models are still good, tasks that lead to their page."""

import re
from typing import Any

import pytest
from pages_models import account, faults, panel, trained, worsened
from pages_site import Site, Visit, ready
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def champion(site: Site) -> dict[str, Any]:
    """A champion of an analyst's that got worse, shared with a viewer to look at; and a second one without a past."""
    made = worsened(site, account(site, "dora"), account(site, "dino", "viewer"), "Vendas")
    trained(site, "dora", "Estoque")
    return made


def test_an_empty_dashboard_says_what_to_do(visit: Visit, site: Site) -> None:
    tab = visit("dashboard", account(site, "nina"))
    expect(tab.locator("[data-name=models] strong")).to_have_text("0")
    expect(tab.locator("[data-name=skill] strong")).to_have_text("–")
    expect(panel(tab, "Champions")).to_contain_text("No model is in use yet.")
    expect(panel(tab, "Is it still good?")).to_contain_text("No model has been trained yet.")
    start = tab.get_by_role("link", name="Train the first model")
    assert start.get_attribute("href") == f"{site.pages}/pipeline"


def test_the_dashboard_shows_forecasts_and_whether_models_are_still_good(
    visit: Visit, champion: dict[str, Any]
) -> None:
    tab = visit("dashboard", "dora", language="pt-BR")
    expect(tab.locator("[data-name=models] strong")).to_have_text("2")
    live = tab.locator("[data-name=live_skill]")
    expect(live).to_contain_text("Ganho atual")
    champions = panel(tab, "Campeões")
    expect(champions.locator("tbody tr")).to_have_count(2)
    champions.get_by_role("button", name="Vendas").click()
    chart = panel(tab, "Vendas")
    expect(chart.locator(".v-chart-box[data-drawn] svg")).to_be_visible()
    expect(chart).to_contain_text("a maior de 2 séries")
    good = panel(tab, "Continua bom?")
    row = good.locator(f"tr[data-id='{champion['model_id']}']")
    expect(row).to_contain_text("Sim")
    expect(row).to_contain_text(re.compile(r"O intervalo de \d+% conteve só \d+,\d+% de 28 valores reais"))
    expect(good.locator("tbody tr").nth(1)).to_contain_text("Evidência insuficiente")
    tasks = panel(tab, "Próximas tarefas")
    tasks.get_by_role("link", name=re.compile("Treine Vendas de novo")).click()
    ready(tab)
    assert f"model={champion['model_id']}" in tab.url and "/monitoring?" in tab.url
    expect(tab.get_by_role("heading", name="Treine Vendas de novo.")).to_be_visible()


def test_what_is_chosen_stays_after_a_reload(visit: Visit, champion: dict[str, Any]) -> None:
    tab = visit("dashboard", "dora")
    for name in ("Vendas", "Estoque"):
        panel(tab, "Champions").get_by_role("button", name=name).click()
        expect(panel(tab, name).locator(".v-chart-box[data-drawn]")).to_be_visible()
    tab.reload()
    ready(tab)
    expect(panel(tab, "Estoque").locator(".v-chart-box[data-drawn]")).to_be_visible()
    expect(tab.locator("tr[aria-selected=true]")).to_contain_text("Estoque")
    good = panel(tab, "Is it still good?")
    good.get_by_role("button", name="Model").click()
    expect(good.locator("tbody tr").first).to_contain_text("Estoque")
    good.get_by_role("button", name="Model").click()
    expect(good.locator("tbody tr").first).to_contain_text("Vendas")
    tab.wait_for_url(lambda url: "sort=-name" in url)


def test_a_viewer_sees_what_is_shared_on_a_narrow_dark_screen(visit: Visit, champion: dict[str, Any]) -> None:
    tab = visit("dashboard", "dino", width=390, theme="dark", language="pt-BR")
    row = panel(tab, "Continua bom?").locator("tbody tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("Sim")
    expect(panel(tab, "Vendas").locator(".v-chart-box[data-drawn]")).to_be_visible()
    expect(panel(tab, "Próximas tarefas")).to_contain_text("Nada a fazer.")
    assert faults(tab) == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390, "nothing is cut off at the side"
    assert tab.get_by_role("link", name="Treinar o primeiro modelo").count() == 0
