"""The monitoring page in a browser: its parts, evidence, jobs, sources, alerts, thresholds, logs; and its rights."""

import re
import sqlite3
from typing import Any

import pytest
from pages_models import DAYS, account, faults, panel, sales, trained, worsened
from pages_site import Site, Visit, ready
from playwright.sync_api import expect

from vur.dashboards.monitoring import connections
from vur.dashboards.monitoring.streams import wall_clock
from vur.dashboards.pages import monitoring
from vur.dashboards.pages.monitoring import MonitoringPage
from vur.store.feeds.kinds import KINDS

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def champion(site: Site) -> dict[str, Any]:
    """A champion of an analyst's that got worse, shared with a viewer to look at."""
    return worsened(site, account(site, "mona"), account(site, "milo", "viewer"), "Loja")


def part(tab: Any, name: str) -> None:
    """Open a part of the page."""
    tab.locator(f"[data-tab={name}]").click()
    expect(tab.locator(f"[data-tab={name}]")).to_have_attribute("aria-selected", "true")


def test_the_parts_are_kept_in_the_address(visit: Visit, champion: dict[str, Any]) -> None:
    tab = visit("monitoring", "mona")
    expect(panel(tab, "Models").locator("tbody tr").first).to_be_visible()
    assert faults(tab) == []
    part(tab, "system")
    expect(tab.locator("[data-name=cpu]")).to_contain_text("%")
    assert panel(tab, "Models").count() == 0, "one part at a time"
    tab.wait_for_url(lambda url: "view=system" in url)
    tab.reload()
    ready(tab)
    expect(tab.locator("[data-name=memory]")).to_contain_text("GB")
    part(tab, "jobs")
    expect(panel(tab, "Jobs").locator("tbody tr", has_text="Loja")).to_contain_text("Done")
    expect(panel(tab, "Pipelines")).to_contain_text("There is no pipeline yet.")
    for name in ("jobs", "streams", "alerts"):
        part(tab, name)
        expect(tab.locator("[aria-busy=true]")).to_have_count(0)
        assert faults(tab) == [], name


def test_the_evidence_leads_to_thresholds_and_a_training(visit: Visit, site: Site, champion: dict[str, Any]) -> None:
    tab = visit("monitoring", "mona", language="pt-BR")
    models = panel(tab, "Modelos")
    models.get_by_role("button", name="Loja ★").click()
    evidence = panel(tab, "Treine Loja de novo.")
    expect(evidence).to_contain_text("28")
    expect(evidence).to_contain_text("Erro médio no treino")
    expect(panel(tab, "Ganho por semana").locator(".v-chart-box[data-drawn]")).to_be_visible()
    evidence.get_by_role("button", name="Limites").click()
    form = panel(tab, "Limites dos alertas")
    expect(form.get_by_label("Para")).to_have_value(champion["model_id"])
    form.get_by_label(re.compile("Idade")).fill("90")
    form.get_by_role("button", name="Salvar").click()
    expect(tab.locator(".v-notice.success")).to_be_visible()
    expect(form).to_contain_text("Definido para este modelo.")
    with site.api("mona") as api:
        told = api.get("/monitoring/thresholds", params={"model_id": champion["model_id"]}).json()["items"]
    assert {one["kind"]: one["value"] for one in told if one["set_by"] == "model"} == {"age": 90}
    part(tab, "models")
    tab.locator("[data-event=retrain]").click()
    tab.locator("dialog").get_by_role("button", name="Treinar de novo").click()
    expect(tab.locator("[data-tab=jobs]")).to_have_attribute("aria-selected", "true")
    expect(panel(tab, "Tarefas").locator("tbody tr", has_text="Loja")).to_have_count(2)


def test_a_source_is_added_tested_and_followed_while_its_rows_come(
    visit: Visit, site: Site, champion: dict[str, Any]
) -> None:
    trained(site, "mona", "Linha")
    folder = site.home / "sources"
    folder.mkdir(exist_ok=True)
    rows = sales(DAYS + 10)
    with sqlite3.connect(folder / "plant.sqlite") as database:
        database.execute("CREATE TABLE sold (day TEXT, shop TEXT, sold REAL)")
        database.executemany("INSERT INTO sold VALUES (?, ?, ?)", rows[: 2 * DAYS])
    tab = visit("monitoring", "mona")
    part(tab, "streams")
    form = panel(tab, "Add a connection")
    for label, value in {"Name": "Plant", "File or address": "nothing.sqlite", "Table or view": "sold"}.items():
        form.get_by_label(label, exact=True).fill(value)
    for label, value in {"Date column": "day", "Target column": "sold", "Series columns": "shop"}.items():
        form.get_by_label(label, exact=True).fill(value)
    form.get_by_role("button", name="Test and add").click()
    expect(form.locator(".v-field", has_text="File or address").locator(".v-error")).to_contain_text("nothing.sqlite")
    expect(form.get_by_label("Date column")).to_have_value("day")
    form.get_by_label("File or address", exact=True).fill("plant.sqlite")
    form.get_by_role("button", name="Test and add").click()
    expect(panel(tab, "Last rows of Plant")).to_contain_text("date: day · series: shop · target: sold")
    expect(form.get_by_label("Name", exact=True)).to_have_value("")
    sources = panel(tab, "Database connections")
    sources.get_by_role("button", name="Test").click()
    expect(tab.locator(".v-notice.success", has_text="Plant can be read")).to_be_visible()
    start = panel(tab, "Start continuous predictions")
    start.get_by_label("Model").select_option(label="Linha")
    start.get_by_label("Seconds between two reads").fill("1")
    start.get_by_role("button", name="Start").click()
    chart = panel(tab, "Linha on Plant")
    expect(chart.locator(".v-chart-box[data-drawn]")).to_be_visible()
    streams = panel(tab, "Continuous predictions")
    before = int(streams.locator("tbody tr td").nth(3).inner_text())
    with sqlite3.connect(folder / "plant.sqlite") as database:
        database.executemany("INSERT INTO sold VALUES (?, ?, ?)", rows[2 * DAYS :])
    expect(streams.locator("tbody tr td").nth(3)).to_have_text(str(before + 1))
    expect(chart.locator("text", has_text="Actual")).to_be_visible()
    tab.get_by_label("Series", exact=True).select_option("Sul")
    expect(chart.locator(".v-note")).to_have_text("Sul")
    streams.get_by_role("button", name="Stop").click()
    expect(streams.locator("tbody tr")).to_contain_text("Stopped")
    streams.get_by_role("button", name="Start").click()
    expect(streams.locator("tbody tr")).to_contain_text("Running")
    streams.get_by_role("button", name="Stop").click()
    streams.get_by_role("button", name="Remove").click()
    tab.locator("dialog").get_by_role("button", name="Remove").click()
    expect(streams).to_contain_text("Nothing is followed yet.")


def test_alerts_are_acknowledged_and_a_wrong_threshold_is_not_taken(
    visit: Visit, site: Site, champion: dict[str, Any]
) -> None:
    tab = visit("monitoring?view=alerts", "mona")
    alerts = panel(tab, "Alerts")
    row = alerts.locator("tbody tr", has_text="Loja").first
    expect(row).to_contain_text("Open")
    id = row.get_attribute("data-id")
    row.get_by_role("button", name="Acknowledge").click()
    expect(alerts.locator(f"tr[data-id='{id}']")).to_have_count(0)
    alerts.get_by_label("State").select_option("acknowledged")
    expect(alerts.locator(f"tr[data-id='{id}']")).to_contain_text("Acknowledged")
    tab.wait_for_url(lambda url: "state=acknowledged" in url)
    form = panel(tab, "Thresholds of alerts")
    growth = form.get_by_label(re.compile("Growth of the error"))
    growth.fill("0.5")
    form.get_by_role("button", name="Save").click()
    assert growth.evaluate("(field) => field.validity.rangeUnderflow"), "the browser says what is wrong with it"
    expect(form).not_to_contain_text("Set for all your models.")
    growth.fill("1.3")
    form.get_by_role("button", name="Save").click()
    expect(form).to_contain_text("Set for all your models.")
    form.get_by_role("button", name="Usual values").click()
    expect(growth).to_have_value("1.5")


def test_viewers_see_and_only_administrators_read_the_log(visit: Visit, champion: dict[str, Any]) -> None:
    tab = visit(f"monitoring?model={champion['model_id']}", "milo", width=390, theme="dark")
    expect(tab.get_by_role("heading", name="Retrain Loja.")).to_be_visible()
    assert tab.locator("[data-tab=logs]").count() == 0
    assert tab.locator("[data-event=retrain], [data-event=thresholds]").count() == 0
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    part(tab, "streams")
    assert tab.locator("form:visible").count() == 0
    part(tab, "alerts")
    expect(panel(tab, "Alerts")).to_contain_text("No open alert. All is well.")
    assert tab.locator("form:visible").count() == 0
    admin = visit("monitoring?view=logs", "root", language="pt-BR")
    log = panel(admin, "Registros do serviço")
    expect(log.locator("tbody tr").first).to_be_visible()
    log.get_by_placeholder("Procurar nos registros").fill("takes up to")
    expect(log.locator("tbody tr")).to_have_count(1)
    log.get_by_label("Nível").select_option("error")
    expect(log).to_contain_text("Nenhum registro corresponde.")
    admin.reload()
    ready(admin)
    expect(log.get_by_placeholder("Procurar nos registros")).to_have_value("takes up to")


# --- rights, without a browser: what a browser sends through the websocket arrives in `Page._dispatch` ---


class Api:
    """A service that answers everything with an empty list and remembers what it was asked."""

    url, token, language = "http://127.0.0.1:1/api/v1", "t", "en"

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def get(self, path: str, **query: Any) -> Any:
        return {"items": [], "total": 0, "page": 1, "pages": 1, "logs": [], "at": [], "tables": []}

    def _change(self, method: str, path: str) -> Any:
        self.asked.append((method, path))
        return {"monitor_id": "m", "id": "i", "name": "n", "acknowledged": 0}

    def post(self, path: str, body: Any = None, **options: Any) -> Any:
        return self._change("POST", path)

    def put(self, path: str, body: Any = None, **options: Any) -> Any:
        return self._change("PUT", path)

    def delete(self, path: str, **options: Any) -> Any:
        return self._change("DELETE", path)


def page_of(role: str) -> tuple[MonitoringPage, Api]:
    page, api = monitoring.open(), Api()
    page.api, page.user = api, {"role": role}
    return page, api


ACTIONS = (
    *("retrain", "cancel", "retry", "stop", "resume", "remove", "start", "test", "add"),
    *("acknowledge", "acknowledge_all", "thresholds", "scope", "save", "reset"),
)


def test_a_viewer_changes_nothing_through_the_websocket() -> None:
    page, api = page_of("viewer")
    events = [(one, event) for one in page.panels[1:] for event in one.handlers if event in ACTIONS]
    assert {event for _, event in events} == set(ACTIONS)
    for one, event in events:
        refused = page._dispatch(one, event, {"id": "x", "model": "x", "name": "x"})
        assert refused is not None and "analyst" in refused, (one.kind, event)
    for event in ("filter", "search"):
        assert page._dispatch(page.logs.table, event, {"value": "debug", "text": "token"}) is not None
    assert api.asked == []


HOSTILE = (
    None,
    7,
    "x",
    [],
    {"id": "../../users"},
    {"id": 7, "page": -1},
    {"page": 10**9, "name": ["models"]},
    {"key": {}},
)


def test_what_a_browser_makes_up_reaches_no_other_address() -> None:
    page, api = page_of("admin")
    for values in HOSTILE:
        for one in page.panels:
            for event in one.handlers if one is not page.heading else ():
                page._dispatch(one, event, values)
    fixed = {
        "/dashboard/alerts/acknowledge",
        "/monitoring/predictions/start",
        "/monitoring/databases",
        "/monitoring/thresholds",
        "/webhooks",
    }
    assert {path for _, path in api.asked} <= fixed


def test_the_curve_of_a_stream_begins_with_what_the_model_was_trained_on() -> None:
    page, api = page_of("viewer")
    days, asked = ["2024-01-01", "2024-01-02T00:00:00", "2024-01-03"], []
    stamps = [wall_clock(day) for day in days]

    def history(path: str, **query: Any) -> Any:
        asked.append(path)
        return {"history": {"timestamps": days, "values": [1.0, None, 3.0]}}

    api.get = history
    points = {"series": "Norte", "time": "datetime", "stamps": stamps[2:], "model_version": "m:1"}
    for _ in range(2):
        actual = {"x": stamps[2:], "y": [30.0]}
        page.streams._put_before(actual, "m", points)
        assert (actual["x"], actual["y"]) == (stamps, [1.0, None, 30.0]), "what was forecast is told by what came"
    assert asked == ["/models/m/history"], "once a series and model"


def test_a_password_is_put_into_the_address_that_has_a_user() -> None:
    put = connections.with_password
    assert put("postgresql://ana@db:5432/sales", "a:b/c@d") == "postgresql://ana:a%3Ab%2Fc%40d@db:5432/sales"
    for place in ("postgresql://ana:own@db/sales", "postgresql://db/sales", "plant.sqlite", "x@y"):
        assert put(place, "" if place == "x@y" else "secret") == place


def test_the_form_offers_every_kind_of_source() -> None:
    assert set(connections.KINDS) == set(KINDS)
