"""The forecasts page in a real browser on a real service, and the link of a published forecast."""

import io
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pytest
from pages_models import account
from pages_site import Site, Visit, ready
from playwright.sync_api import Page, expect
from sqlalchemy import select, update
from trained_models import register, shop

import vur
from vur.runs.config import default_config, replace_sections
from vur.settings import settings
from vur.store import database
from vur.store.catalog import Publication, Run, Share, User, now

pytestmark = [pytest.mark.browser, pytest.mark.slow]
POINTS = 100_000
MOST_BYTES = 300_000


def only(*names: str) -> Any:
    return default_config(model={"algorithms": list(names), "ensemble": False}, split={"folds": 2})


def long_series() -> pd.DataFrame:
    """Eleven years of hours."""
    hours, rng = np.arange(POINTS), np.random.default_rng(1)
    load = 50 + 10 * np.sin(hours / 24 * 2 * np.pi) + rng.normal(0, 1.5, POINTS)
    return pd.DataFrame({"hora": pd.date_range("2012-01-01", periods=POINTS, freq="h"), "carga": load.round(3)})


@pytest.fixture(scope="module")
def home(site: Site) -> Iterator[Path]:
    """The data home of the running service, opened by this process too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VUR_HOME", str(site.home))
        patch.delenv("VUR_DATABASE_URL", raising=False)
        settings.cache_clear()
        yield site.home
        database.engine().dispose()
    settings.cache_clear()


@pytest.fixture(scope="module")
def models(site: Site, home: Path) -> dict[str, str]:
    """Ids of two models of Flora's by name: shops with a price, shared with Vito, and a long series of hours."""
    account(site, "flora")
    account(site, "vito", "viewer")
    out = home / "reports"
    made = {
        "lojas": vur.run(
            shop(150),
            config=only("ridge", "seasonal_naive"),
            name="lojas",
            notebook=False,
            out=out,
            roles={"preco": "known_future"},
            date="dia",
            target="vendas",
            series="loja",
            horizon=7,
        ),
        "horas": vur.run(
            long_series(),
            config=replace_sections(only("seasonal_naive"), data={"tz": "Etc/GMT+3"}),
            name="horas",
            notebook=False,
            out=out,
            date="hora",
            target="carga",
            horizon=24,
        ),
    }
    with database.reading() as session:
        people = {user.username: user.id for user in session.scalars(select(User))}
    found = {}
    for name, run in made.items():
        model = register(people["flora"], run)
        found[name] = model.id
        folder = run.folder.relative_to(home).as_posix()
        with database.writing() as session:
            session.add(
                Run(run_id=run.id, model_id=model.id, owner_id=people["flora"], status="finished", folder=folder)
            )
            session.flush()
            session.execute(update(Run).where(Run.run_id == run.id).values(record=dict(run.record)))
            session.add(Share(kind="model", object_id=model.id, user_id=people["vito"]))
    return found


def card(tab: Page, title: str) -> Any:
    """The panel with a title."""
    return tab.locator("section.v-panel").filter(has=tab.get_by_role("heading", name=title, exact=True))


def drawn(tab: Page) -> None:
    expect(tab.locator(".v-chart-box[data-drawn]").first).to_be_visible()


def test_a_model_is_shared_with_a_viewer(visit: Visit, site: Site, models: dict[str, str]) -> None:
    account(site, "olga", "viewer")
    before = visit("forecasts", "olga")
    expect(before.get_by_text("horas")).to_have_count(0)
    tab = visit(f"forecasts?model={models['horas']}", "flora", language="pt-BR")
    form = card(tab, "Compartilhar o modelo")
    form.get_by_label("Nome ou e-mail").fill("olga@example.com")
    form.get_by_role("button", name="Compartilhar").click()
    expect(tab.locator(".v-notice", has_text="olga@example.com pode ver este modelo.")).to_be_visible()
    before.reload()
    ready(before)
    expect(card(before, "carga")).to_be_visible()
    expect(card(before, "Share the model")).to_have_count(0)
    people = card(tab, "Pessoas com acesso")
    people.locator("tr", has_text="olga@example.com").get_by_role("button").click()
    expect(people.locator("tr", has_text="olga@example.com")).to_have_count(0)


def test_the_page_shows_the_forecast_and_why(visit: Visit, site: Site, models: dict[str, str]) -> None:
    with site.api("flora") as api:
        listed = api.get(f"/models/{models['lojas']}/series").json()["items"]
    largest = max(listed, key=lambda one: one["level"])["series"]
    tab = visit(f"forecasts?model={models['lojas']}", "flora")
    drawn(tab)
    expect(card(tab, largest)).to_contain_text("observed values of vendas")
    expect(tab.get_by_role("heading", name="Why this value")).to_be_visible()  # of the largest series
    tab.get_by_label("Series", exact=True).first.select_option(label="Sum of all series")
    expect(card(tab, "Sum of all series")).to_contain_text("150 observed values of vendas")
    expect(tab.get_by_text("Choose one series to see its intervals and reasons.")).to_be_visible()
    expect(tab.get_by_role("heading", name="Why this value")).to_have_count(0)
    worst = card(tab, "Series by error")
    worst.get_by_role("button", name="sul", exact=True).click()
    expect(card(tab, "sul")).to_contain_text("130 observed values")
    tab.wait_for_url(lambda url: "series=sul" in url)
    expect(tab.locator('[data-name="next"]')).to_contain_text(re.compile(r"between [\d.]+ and [\d.]+ in 95% of cases"))
    words = card(tab, "In words")
    expect(words).to_contain_text("The forecast for 30 May 2024 is")
    card(tab, "Values of the forecast").get_by_role("button", name="1 Jun 2024").click()
    expect(words).to_contain_text("The forecast for 1 Jun 2024 is")
    expect(card(tab, "Why this value: 1 Jun 2024")).to_be_visible()
    tab.reload()
    expect(card(tab, "sul")).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(visit: Visit, models: dict[str, str], theme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    tab = visit(f"forecasts?model={models['lojas']}&series=sul", "flora", theme=theme)
    drawn(tab)
    expect(card(tab, "Published links")).to_be_visible()
    found = Axe().run(tab).response["violations"]
    serious = [
        (one["id"], [node["html"][:200] for node in one["nodes"]])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert serious == []


def test_the_page_speaks_portuguese_on_a_narrow_dark_screen(visit: Visit, models: dict[str, str]) -> None:
    tab = visit(f"forecasts?model={models['lojas']}&series=norte", "flora", language="pt-BR", width=390, theme="dark")
    drawn(tab)
    expect(card(tab, "norte")).to_contain_text("valores observados de vendas")
    expect(card(tab, "Em palavras")).to_contain_text("A previsão para 30/05/2024 é")
    expect(card(tab, "Previsões passadas e o que veio")).to_be_visible()
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    body = tab.locator("body").inner_text()
    assert not re.search(r"pages\.\w+\.|undefined|NaN|\bnull\b", body)


def test_the_wheel_scrolls_the_page_where_a_chart_lies_under_it(visit: Visit, models: dict[str, str]) -> None:
    tab = visit(f"forecasts?model={models['lojas']}&series=sul", "flora")
    drawn(tab)
    tab.locator(".v-chart-box[data-drawn]").first.hover()
    before = tab.evaluate("scrollY")
    tab.mouse.wheel(0, 200)
    tab.wait_for_function(f"scrollY > {before}")


def test_past_forecasts_are_shown_by_issue_and_by_lead(visit: Visit, models: dict[str, str]) -> None:
    tab = visit(f"forecasts?model={models['lojas']}&series=sul", "flora")
    drawn(tab)
    issues = tab.locator("section.v-is-table").filter(has_text="backtest")
    expect(issues.locator("tbody tr")).to_have_count(2)
    tab.get_by_label("Show", exact=True).select_option(label="Made 2 steps ahead")
    expect(tab.locator(".v-chart-box svg text", has_text="Made 2 steps ahead").first).to_be_visible()


def test_a_slider_shows_what_would_be(visit: Visit, models: dict[str, str]) -> None:
    tab = visit(f"forecasts?model={models['lojas']}&series=sul", "vito")
    drawn(tab)
    effect = card(tab, "Effect on the forecast")
    expect(effect).to_contain_text("Change a column to see its effect.")
    tab.get_by_label("preco, change in %").fill("20")
    expect(effect).to_contain_text(re.compile(r"[\d.,]+ less over 7 steps \([\d.,]+%\)"))
    expect(effect.locator(".v-chart-box[data-drawn]")).to_be_visible()
    card(tab, "What if").get_by_role("button", name="Reset").click()
    expect(effect).to_contain_text("Change a column to see its effect.")


def test_an_override_with_its_reason_changes_the_official_forecast(
    visit: Visit, models: dict[str, str], site: Site
) -> None:
    tab = visit(f"forecasts?model={models['lojas']}&series=leste", "flora")
    drawn(tab)
    form = card(tab, "Override the forecast")
    form.get_by_label("From").select_option(label="31 May 2024")
    form.get_by_label("To").select_option(label="1 Jun 2024")
    form.get_by_label("Amount").fill("50")
    form.get_by_role("button", name="Override").click()
    reason = form.get_by_label("Reason")
    expect(reason).to_have_accessible_description(re.compile("Give a reason, in 3 characters"))
    expect(reason).to_be_focused()
    expect(form.get_by_label("Amount")).to_have_value("50")
    expect(tab.get_by_role("alert")).to_have_count(0)
    form.get_by_label("Reason").fill("<b>street festival</b>")
    form.get_by_role("button", name="Override").click()
    changes = card(tab, "Overrides")
    row = changes.locator("tbody tr").first
    expect(row).to_contain_text("31 May 2024 – 1 Jun 2024")
    expect(row).to_contain_text("<b>street festival</b>")
    expect(row).to_contain_text("+50%")
    expect(row).to_contain_text("flora")
    values = card(tab, "Values of the forecast")
    expect(values.locator(".v-badge.warn")).to_have_count(2)
    with site.api("vito") as api:
        shown = api.get(f"/models/{models['lojas']}/history", params={"series": "leste"}).json()["forecast"]
    assert shown["official"][1] == pytest.approx(1.5 * shown["forecast"][1])
    viewer = visit(f"forecasts?model={models['lojas']}&series=leste", "vito")
    expect(card(viewer, "Overrides").locator("tbody tr").first).to_contain_text("in force")
    expect(card(viewer, "Override the forecast")).to_contain_text("Only analysts who may change the model")
    assert viewer.get_by_role("button", name="Withdraw").count() == 0
    assert viewer.get_by_role("heading", name="Publish by a link").count() == 0
    row.get_by_role("button", name="Withdraw").click()
    tab.get_by_role("dialog").get_by_role("button", name="Withdraw").click()
    expect(row).to_contain_text("withdrawn")
    expect(values.locator(".v-badge.warn")).to_have_count(0)


def test_the_forecast_is_saved_as_csv_excel_and_picture(visit: Visit, models: dict[str, str]) -> None:
    tab = visit(f"forecasts?model={models['lojas']}&series=sul", "flora", language="pt-BR")
    drawn(tab)
    chart = card(tab, "sul")

    def saved(name: str) -> bytes:
        with tab.expect_download() as waiting:
            chart.get_by_text(name, exact=True).click()
        return Path(waiting.value.path()).read_bytes()

    table = pd.read_csv(io.BytesIO(saved("CSV")), sep=";", decimal=",", encoding="utf-8-sig")
    assert list(table)[:3] == ["loja", "dia", "previsão"] and len(table) == 7 and table["previsão"].dtype == float
    book = openpyxl.load_workbook(io.BytesIO(saved("Excel")))
    assert book.active.title == "Previsão" and book.active.max_row == 8
    picture = saved("PNG")
    assert picture.startswith(b"\x89PNG") and len(picture) > 10_000


def test_a_published_forecast_is_read_by_everybody_until_it_ends(
    visit: Visit, models: dict[str, str], home: Path
) -> None:
    tab = visit(f"forecasts?model={models['lojas']}&series=sul", "flora")
    drawn(tab)
    form = card(tab, "Publish by a link")
    form.get_by_label("Title").fill("Sales of the south")
    form.get_by_label("Works for").select_option(label="30 days")
    form.get_by_role("button", name="Publish").click()
    link = card(tab, "The link")
    expect(link.locator("a")).to_be_visible()
    address = link.locator("a").get_attribute("href") or ""
    link.get_by_role("button", name="Copy").click()
    assert tab.evaluate("navigator.clipboard.readText()") == address
    reader = visit(address.partition("/published/")[1].lstrip("/") + address.partition("/published/")[2], None)
    expect(reader.get_by_role("heading", name="Sales of the south")).to_be_visible()
    expect(reader.locator("svg.wide path.coming")).to_have_attribute("d", re.compile("^M"))
    assert reader.locator("table tbody tr").count() == 7 and reader.locator("script").count() == 0
    reader.get_by_role("link", name="Ver em português").click()
    expect(reader.get_by_text("O link funciona até")).to_be_visible()
    links = card(tab, "Published links")
    row = links.locator("tbody tr").filter(has_text="Sales of the south").first
    row.get_by_role("button", name="Revoke").click()
    tab.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(row).to_contain_text("revoked")
    reader.reload()
    expect(reader.get_by_role("heading", name="Este link não funciona mais")).to_be_visible()


def test_a_link_expires(visit: Visit, models: dict[str, str], site: Site, home: Path) -> None:
    with site.api("flora") as api:
        made = api.post(f"/models/{models['lojas']}/publications", json={"days": 1, "language": "en"}).json()
    reader = visit(made["path"].lstrip("/"), None)
    expect(reader.get_by_text("The link works until")).to_be_visible()
    with database.writing() as session:
        past = now() - timedelta(seconds=1)
        session.execute(update(Publication).where(Publication.id == made["publication_id"]).values(expires_at=past))
    reader.reload()
    expect(reader.get_by_role("heading", name="This link no longer works")).to_be_visible()


def test_a_long_history_is_small_on_the_wire_and_fine_where_one_looks(visit: Visit, models: dict[str, str]) -> None:
    tab = visit("data-nobody", "flora", started=False)
    received: list[int] = []
    tab.on(
        "websocket",
        lambda socket: socket.on("framereceived", lambda frame: received.append(len(frame or b""))),
    )
    tab.goto(f"/forecasts?model={models['horas']}")
    tab.wait_for_selector("body[data-vur-started=true]")
    drawn(tab)
    expect(card(tab, "carga")).to_contain_text("100,000 observed values")
    assert 20_000 < sum(received) < MOST_BYTES, f"{sum(received)} bytes"
    before, points = sum(received), card(tab, "carga").locator(".v-chart-box")
    first = int(points.get_attribute("data-drawn") or 0)
    box = points.bounding_box()
    assert box is not None
    tab.mouse.move(box["x"] + box["width"] - 8, box["y"] + box["height"] - 18)
    slider = box["y"] + box["height"] - 18
    tab.mouse.move(box["x"] + box["width"] * 0.5, slider)
    tab.mouse.down()
    tab.mouse.move(box["x"] + box["width"] * 0.6, slider, steps=5)
    tab.mouse.up()
    expect(points).not_to_have_attribute("data-drawn", str(first))
    assert sum(received) - before < MOST_BYTES


def test_whoever_has_no_model_is_told_how_to_get_one(visit: Visit, site: Site) -> None:
    tab = visit("forecasts", account(site, "fabio"))
    expect(tab.get_by_role("heading", name="No trained model yet")).to_be_visible()
    expect(tab.get_by_role("link", name="Train a model")).to_have_attribute("href", re.compile("/pipeline$"))
    assert tab.locator(".v-chart-box").count() == 0
