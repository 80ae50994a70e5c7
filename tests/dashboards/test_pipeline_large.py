"""The Pipeline page with many columns, many series and very long names."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pages_site import Site
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]
DAYS = pd.date_range("2024-01-01", periods=60)
VALUES = np.random.default_rng(0).normal(100, 5, len(DAYS)).round(2)
LONG = "N" * 300
MOST_HEIGHT = 4000  # pixels of a page


def begun(site: Site, frame: pd.DataFrame) -> str:
    """Id of a pipeline on a table, with its first step confirmed."""
    with site.api("ana") as api:
        file = ("table.csv", frame.to_csv(index=False).encode())
        dataset = api.post("/datasets/upload", files={"file": file}).json()["dataset_id"]
        id = api.post("/pipelines", json={"name": "Large", "dataset_id": dataset}).json()["pipeline_id"]
        api.put(f"/pipelines/{id}/steps/upload", json={"data": {"dataset_id": dataset}}).raise_for_status()
    return id


def size(tab: Page) -> tuple[int, int]:
    """The width and height of the whole page in pixels."""
    found: list[int] = tab.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.scrollHeight].map(Math.round)"
    )
    return found[0], found[1]


def stored(site: Site, id: str, step: str) -> dict[str, Any]:
    with site.api("ana") as api:
        return next(one["data"] for one in api.get(f"/pipelines/{id}/state").json()["steps"] if one["step"] == step)


def test_of_many_columns_some_are_shown_and_all_can_be_found(visit, site):
    values = pd.DataFrame({f"x{number:03}": VALUES for number in range(498)})
    id = begun(site, pd.concat([pd.DataFrame({"date": DAYS, "y": VALUES}), values], axis=1))
    tab = visit(f"pipeline?id={id}&step=upload", "ana")
    rows = tab.locator(".v-is-table:not([hidden]) tbody tr")
    expect(rows).to_have_count(50)
    assert size(tab)[1] < MOST_HEIGHT
    tab.locator(".v-is-table:not([hidden]) [data-focus=after]").click()
    expect(rows.first).to_have_attribute("data-id", "x048")
    tab.locator(".v-is-table:not([hidden]) input[type=search]").fill("X497")
    expect(rows).to_have_count(1)
    tab.locator("[name='role:x497']").select_option("exclude")
    expect(tab.locator("[name='role:x497']")).to_have_value("exclude")
    series = tab.locator(".v-many")
    assert series.locator("label:visible").count() == 20
    series.locator("input[type=search]").fill("x49 7")
    expect(series.locator("label:visible")).to_have_text(["x497"])
    tab.click("[data-event=next]")
    expect(tab.locator(".v-steplist li.current button[data-step=preview]")).to_be_visible()
    assert stored(site, id, "preview")["roles"] == {"x497": "exclude"}


def test_every_one_of_many_series_can_be_looked_at(visit, site):
    frame = pd.concat([pd.DataFrame({"date": DAYS, "shop": f"Loja {n:03}", "y": VALUES + n}) for n in range(60)])
    frame.loc[(frame["shop"] == "Loja 033") & (frame["date"] == DAYS[5]), "y"] = np.nan
    tab = visit(f"pipeline?id={begun(site, frame)}&step=preview", "ana")
    chart = tab.locator(".v-is-chart:not([hidden])").first
    expect(chart.locator("h2")).to_have_text("Loja 000")
    choice = chart.locator("[data-focus=filter-series]")
    expect(choice.locator("option")).to_have_count(60)
    expect(tab.locator(".v-is-gaps .v-note")).to_contain_text("40 of 60 series")
    chart.locator("[data-focus=find-series]").fill("05 LOJ")
    expect(choice.locator("option:not([disabled])")).to_have_count(11)
    choice.focus()
    choice.select_option("Loja 057")
    expect(chart.locator("h2")).to_have_text("Loja 057")
    expect(choice).to_be_focused()
    chart.locator("[data-focus=find-series]").fill("033")
    chart.locator("[data-focus=find-series]").press("Enter")
    expect(chart.locator("h2")).to_have_text("Loja 033")


@pytest.mark.parametrize("width", [1280, 390])
def test_no_name_widens_a_page(visit, site, width):
    shops = [f"{letter * 300}" for letter in "ABC"]
    frame = pd.concat([pd.DataFrame({"date": DAYS, f"s{LONG}": shop, f"y{LONG}": VALUES}) for shop in shops])
    id = begun(site, frame)
    tab = visit(f"pipeline?id={id}&step=upload", "ana", width=width)
    expect(tab.locator(".v-is-table:not([hidden]) tbody tr")).to_have_count(3)
    assert size(tab)[0] <= width
    tab.click("[data-event=next]")
    expect(tab.locator(".v-is-chart:not([hidden]) h2").first).to_have_text(shops[0])
    expect(tab.locator("[data-focus=filter-series]")).to_be_visible()
    assert size(tab)[0] <= width
    heads = tab.locator(".v-is-table:not([hidden]) thead th[title]")
    expect(heads.first).to_have_attribute("title", re.compile("^sN{200,}$"))
