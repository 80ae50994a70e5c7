"""`vur.widgets`: what the panels show, their static pictures, and both in JupyterLab and in exported notebooks."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
import xml.etree.ElementTree as ET
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pandas as pd
import pytest
from builders import seasonal
from pages_site import PATIENCE, run_cells, wait_for
from samples import ROOT
from service import free_port

import vur
from vur import extras, widgets
from vur.dashboards.picture import chart_svg, nice_ticks, picture, plain, time_ticks
from vur.errors import VurError

VIEW = "application/vnd.jupyter.widget-view+json"
SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = '<script>alert("x")</script>&'


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> vur.RunResult:
    """A run over two daily series; the second is the larger and has an outlier."""
    days = pd.date_range("2024-01-01", periods=140, name="day")
    small = seasonal(140, 7, trend=0.05, swing=6, noise=1)
    large = 10 * small.copy()
    large[60] = 4000
    rows = [pd.DataFrame({"day": days, "shop": name, "sales": y}) for name, y in (("<b>", small), ("north", large))]
    return vur.run(
        pd.concat(rows), date="day", target="sales", series="shop", horizon=7, algorithms=["theta", "drift"],
        notebook=False, out=tmp_path_factory.mktemp("shops"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def hours(tmp_path_factory: pytest.TempPathFactory) -> vur.RunResult:
    """A run over hours whose clock is that of São Paulo."""
    stamps = pd.date_range("2025-03-01", periods=240, freq="h").strftime("%d/%m/%Y %H:%M")
    load = pd.DataFrame({"hora": stamps, "carga": seasonal(240, 24, swing=10, noise=1)})
    return vur.run(
        load, date="hora", target="carga", tz="America/Sao_Paulo", horizon=6, algorithms=["drift"], notebook=False,
        out=tmp_path_factory.mktemp("hours"),
    )  # fmt: skip


def images(html: str) -> list[ET.Element]:
    """The SVG images in a static picture."""
    found = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', html)
    return [ET.fromstring(b64decode(one).decode()) for one in found]


# --- what the panels show ---


def test_the_leaderboard_is_the_runs_and_sorts(shops: vur.RunResult) -> None:
    panel = widgets.leaderboard(shops)
    assert [row["id"] for row in panel.content["rows"]] == list(shops.leaderboard["algorithm"])
    chosen = [row["id"] for row in panel.content["rows"] if row["algorithm"].get("tone")]
    assert chosen == [shops.record["winner"]]
    first = panel.content["rows"][0]
    assert first["mase"] == shops.leaderboard["mase"].iloc[0]
    assert first["coverage-95"] == shops.leaderboard["coverage-95"].iloc[0] / 100
    assert panel.dispatch(panel, "sort", {"key": "-mae"}) is None
    errors = [row["mae"] for row in panel.content["rows"]]
    assert errors == sorted(errors, reverse=True) and panel.content["sort"] == "-mae"
    for hostile in ({"key": "__class__"}, {"key": 3}, None, "x"):
        panel.dispatch(panel, "sort", hostile)
    assert len(panel.content["rows"]) == len(shops.leaderboard)


def test_candidates_without_a_score_stand_last_with_their_reason(
    shops: vur.RunResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = shops.leaderboard.copy()
    board.loc[1, ["rank", "mase", "mae"]] = np.nan
    board.loc[1, "note"] = "It took too long."
    monkeypatch.setitem(shops.__dict__, "leaderboard", board)
    for sort in ("rank", "-rank", "-mae"):
        panel = widgets.leaderboard(shops)
        panel.dispatch(panel, "sort", {"key": sort})
        assert panel.content["rows"][-1]["id"] == board["algorithm"][1], sort
        assert panel.content["rows"][-1]["mase"] is None
    assert "It took too long." in panel.content["note"]
    json.dumps(panel.content, allow_nan=False)


def test_the_forecast_shows_the_largest_series_first_and_any_that_is_picked(shops: vur.RunResult) -> None:
    panel = widgets.forecast(shops)
    assert panel.content["note"] == "north"
    observed, ahead = panel.content["series"]
    mine = shops.forecast[shops.forecast["unique_id"] == "north"]
    assert ahead["x"][1:] == [f"{stamp:%Y-%m-%d}" for stamp in mine["ds"]]
    assert np.allclose(ahead["y"][1:], mine["forecast"]) and ahead["y"][0] == observed["y"][-1]
    assert len(observed["x"]) == 56
    wide = panel.content["bands"][0]
    assert np.allclose(wide["low"][1:], mine["lo-95"]) and np.allclose(wide["high"][1:], mine["hi-95"])
    panel.dispatch(panel, "filter", {"name": "series", "value": "<b>"})
    panel.dispatch(panel, "filter", {"name": "span", "value": "all"})
    assert panel.content["note"] == "<b>" and len(panel.content["series"][0]["x"]) == 140
    before = panel.content
    for hostile in ({"name": "series", "value": "../x"}, {"name": "r", "value": 1}, None, {"name": ["series"]}):
        assert panel.dispatch(panel, "filter", hostile) is None
        assert panel.content == before


def test_hours_are_told_by_the_readers_clock(hours: vur.RunResult) -> None:
    content = widgets.forecast(hours).content
    local = hours.forecast["ds"].dt.tz_localize(None)
    assert content["series"][1]["x"][1:] == local.dt.strftime("%Y-%m-%dT%H:%M:%S").tolist()
    assert content["series"][0]["x"][-1] == (local.iloc[0] - pd.Timedelta(hours=1)).isoformat()
    folds = widgets.folds(hours).content
    assert folds["spans"][-1]["to"] == content["series"][0]["x"][-1]


def test_the_folds_are_those_of_the_run(shops: vur.RunResult) -> None:
    content = widgets.folds(shops).content
    spans = content["spans"]
    assert [one["label"] for one in spans] == [*(str(n + 1) for n in range(shops.record["folds"])), "test"]
    assert spans[-1]["to"] == "2024-05-19" and spans[-1]["from"] == "2024-05-13"
    made = content["series"][1]
    assert sum(y is None for y in made["y"]) == shops.record["folds"]
    assert {x for x, y in zip(made["x"], made["y"], strict=True) if y is not None} <= set(content["series"][0]["x"])


def test_folds_without_the_runs_cache_are_the_periods(shops: vur.RunResult, tmp_path: Path) -> None:
    copy = tmp_path / shops.id
    copy.mkdir()
    for path in shops.folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    record = shops.record
    record["stages"].pop("training")
    (copy / "run.json").write_text(json.dumps(record), encoding="utf-8")
    content = widgets.folds(vur.RunResult(copy)).content
    assert len(content["series"]) == 1 and len(content["spans"]) == record["folds"] + 1


def test_the_audit_lists_findings_with_their_repair(shops: vur.RunResult, monkeypatch: pytest.MonkeyPatch) -> None:
    items = widgets.audit(shops).content["items"]
    assert [one["text"] for one in items] == list(shops.audit["message"])
    outlier = next(one for one in items if "4,000" in one["text"])
    assert outlier["tone"] == "warn" and "blank(panel, 'north', ['2024-03-01'])" in outlier["detail"]
    monkeypatch.setitem(shops.__dict__, "audit", shops.audit.head(0))
    clean = widgets.audit(shops, language="pt-BR")
    assert clean.content["items"] == [] and "não encontrou problemas" in clean.picture_html


def test_what_cannot_be_shown_is_said(shops: vur.RunResult, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(VurError, match="no series 'south'.*north"):
        widgets.forecast(shops, series="south")
    with pytest.raises(VurError, match="'fr' is not a language.*pt-BR"):
        widgets.audit(shops, language="fr")
    found = extras.find_spec
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "anywidget" else found(name))
    with pytest.raises(VurError, match=r"vur.widgets.folds needs.*vur\[lab\]"):
        widgets.folds(shops)


def test_vur_is_imported_without_widgets() -> None:
    script = "import sys, vur; assert not {'anywidget', 'pandas', 'vur.widgets'} & set(sys.modules); vur.widgets.audit"
    subprocess.run([sys.executable, "-P", "-c", script], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})


def test_the_wizard_is_the_pipeline_page_in_a_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[dict[str, Any]] = []
    monkeypatch.setattr("IPython.display.display", lambda data, **options: shown.append(data))
    wizard = widgets.wizard()
    wizard._ipython_display_()
    still, *live = shown
    assert wizard.page.name == "pipeline" and wizard.page.heading.picture in still["text/html"]
    assert [one[VIEW]["model_id"] for one in live] == [panel.model_id for panel in wizard.page.panels]
    assert wizard.page.panels[0] is wizard.page.heading
    assert re.findall(r"<li>(\d\. \w+)", still["text/html"])[::6] == ["1. Upload", "7. Training"]


# --- static pictures ---


def test_a_cell_gets_a_picture_and_the_widget(shops: vur.RunResult, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[dict[str, Any]] = []
    monkeypatch.setattr("IPython.display.display", lambda data, **options: shown.append(data))
    panel = widgets.forecast(shops, language="pt-BR")
    panel._ipython_display_()
    still, live = shown
    assert list(live) == ["application/vnd.jupyter.widget-view+json"]
    assert f'class="vur-picture {panel.picture}" lang="pt-BR"' in still["text/html"]
    assert still["text/plain"] == repr(panel) and "previsão para 7 dias" in repr(panel)


def test_a_saved_notebook_shows_pictures_where_neither_scripts_nor_widgets_run(
    shops: vur.RunResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[dict[str, Any]] = []
    monkeypatch.setattr("IPython.display.display", lambda data, **options: saved.append(data))
    made = [make(shops) for make in (widgets.leaderboard, widgets.forecast, widgets.audit, widgets.folds)]
    made.append(widgets.wizard())
    cells = []
    for one in made:
        saved.clear()
        one._ipython_display_()
        outputs = [
            nbformat.v4.new_output("display_data", data={k: v for k, v in data.items() if k != VIEW}) for data in saved
        ]
        cells.append(nbformat.v4.new_code_cell("", outputs=outputs))
    from nbconvert import HTMLExporter

    notebook = nbformat.v4.new_notebook(cells=cells)
    nbformat.validate(notebook)
    for sanitize in (False, True):  # as an own page, and as viewers of foreign notebooks do
        page = HTMLExporter(template_name="basic", sanitize_html=sanitize).from_notebook_node(notebook)[0]
        drawn = images(page)
        assert len(drawn) == sum(html.count("<img") for html in (one.picture_html for one in made)) >= 4, sanitize
        for text in ("Theta", "north", "7. Training"):
            assert text in page, (sanitize, text)
        assert "<script" not in page and "ResultPanel(" not in page and "Panel(" not in page


def test_pictures_hold_what_the_panels_show(shops: vur.RunResult) -> None:
    html = widgets.leaderboard(shops, language="pt-BR").picture_html
    assert html.count("<tr>") == 1 + len(shops.leaderboard)
    assert f"{shops.leaderboard['mase'].iloc[0]:.3f}".replace(".", ",") in html
    charts = images(widgets.forecast(shops).picture_html)
    assert len(charts) == 2, "one of each series"
    for chart, name in zip(charts, ("north", "<b>"), strict=True):
        assert chart.find(f"{SVG}title").text.startswith(f"{name}: forecast over 7 days, from ")
        assert len(chart.findall(f"{SVG}polygon")) == 2
        paths = [one for one in chart.findall(f"{SVG}path") if one.get("fill") == "none"]
        assert [one.get("d").count("L") for one in paths] == [55, 7]
    assert len(images(widgets.forecast(shops, series="<b>").picture_html)) == 1
    (chart, _) = images(widgets.folds(shops).picture_html)
    assert sum(one.get("opacity") == "0.1" for one in chart.iter(f"{SVG}rect")) == shops.record["folds"] + 1


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("cards", {"title": HOSTILE, "items": [{"label": HOSTILE, "value": HOSTILE, "type": "text"}]}),
        ("list", {"title": HOSTILE, "items": [{"text": HOSTILE, "detail": HOSTILE, "tone": HOSTILE}]}),
        ("list", {"title": HOSTILE, "items": [], "empty": HOSTILE}),
        ("text", {"title": HOSTILE, "text": HOSTILE, "lines": [HOSTILE], "facts": [[HOSTILE, HOSTILE]]}),
        (
            "table",
            {"columns": [{"key": "a", "label": HOSTILE}, {"key": "b", "label": "b"}], "note": HOSTILE}
            | {"rows": [{"a": HOSTILE, "b": {"text": HOSTILE, "tone": "good"}}]},
        ),
        (
            "chart",
            {"label": HOSTILE, "x": "category", "categories": [HOSTILE, "b"], "marks": []}
            | {
                "series": [{"name": HOSTILE, "y": [1, 2], "style": "bar", "color": HOSTILE}, {"name": "b", "y": [2, 1]}]
            },
        ),
        (
            "chart",
            {"title": HOSTILE, "series": [{"name": HOSTILE, "x": ["2024-01-01", "2024-02-01"], "y": [1, None]}]}
            | {"spans": [{"from": "2024-01-01", "to": "2024-01-09", "label": HOSTILE, "tone": HOSTILE}]}
            | {"marks": [{"x": "2024-01-05", "label": HOSTILE}]},
        ),
    ],
)
def test_nothing_from_data_becomes_markup(kind: str, content: dict[str, Any]) -> None:
    html = picture(kind, content, "en")
    drawn = html + "".join(ET.tostring(one, encoding="unicode") for one in images(html))
    assert "<script" not in drawn and "alert" in drawn
    assert HOSTILE in plain(kind, content, "en") or kind == "chart"
    ET.fromstring(f"<div>{html.replace('&mdash;', '')}</div>".replace("<br>", "<br/>").replace('auto">', 'auto"/>'))


def test_values_are_written_in_the_language() -> None:
    columns = [{"key": key, "label": key, "type": key} for key in ("number", "percent", "date", "text")]
    rows = [{"number": 1234.5, "percent": 0.123, "date": "2024-12-31", "text": None}]
    texts = {
        code: plain("table", {"columns": columns, "rows": rows}, code).splitlines()[-1] for code in ("en", "pt-BR")
    }
    assert texts == {"en": "1,234 | 12.3% | 31 Dec 2024 | –", "pt-BR": "1.234 | 12,3% | 31/12/2024 | –"}


def test_axes_have_few_round_ticks() -> None:
    assert nice_ticks(0.2, 9.7, 5) == ([2.0, 4.0, 6.0, 8.0], 0)
    ticks, digits = nice_ticks(0.101, 0.119, 5)
    assert digits == 3 and np.allclose(ticks, [0.105, 0.11, 0.115])
    for low, high, first, last in (
        ("1958-03-01", "2001-12-01", "1960", "2000"),
        ("2024-01-10", "2024-06-20", "Feb 2024", "Jun 2024"),
        ("2024-01-10", "2024-01-20", "10 Jan 2024", "20 Jan 2024"),
        ("2024-01-10 08:10", "2024-01-10 13:50", "09:00", "13:00"),
        ("1700-01-01", "2200-01-01", "1700", "2200"),
    ):
        ticks = time_ticks(*(pd.Timestamp(one).timestamp() * 1000 for one in (low, high)), "en")
        assert 3 <= len(ticks) <= 7 and (ticks[0][1], ticks[-1][1]) == (first, last), low


@pytest.mark.parametrize("y", [[], [None, None], [5.0], [5.0, 5.0], [0.0, 0.0], [-1e12, 1e12]])
def test_odd_charts_are_drawn(y: list[float | None]) -> None:
    content = {"label": "odd", "series": [{"name": "a", "x": ["2024-01-01", "2024-01-02"][: len(y)], "y": y}]}
    assert "nan" not in (chart_svg(content, "en") if y else picture("chart", content, "en"))


# --- in JupyterLab, and in exported notebooks ---

CELLS = (
    "from pathlib import Path\nimport vur\nr = vur.RunResult(Path({folder!r}))",
    "vur.widgets.leaderboard(r)",
    "vur.widgets.forecast(r, language='pt-BR')",
    "vur.widgets.audit(r)",
    "vur.widgets.folds(r)",
    "print('the end')",
)
STILL = """() => ({
    pictures: [...document.querySelectorAll('.vur-picture')].filter((one) => one.checkVisibility()).length,
    images: [...document.querySelectorAll('.vur-picture img')].filter((one) => one.naturalWidth > 0).length,
    panels: [...document.querySelectorAll('.v-panel')].filter((one) => one.checkVisibility()).length,
    words: [...document.querySelectorAll('.jp-OutputArea-output')].filter((one) => one.checkVisibility()
        && /^(Error displaying|Loading) widget/.test(one.textContent)).length,
})"""
PICTURES = {"pictures": 4, "images": 4, "panels": 0, "words": 0}


@dataclass
class Lab:
    """A running JupyterLab over a folder of notebooks."""

    address: str
    folder: Path
    environment: dict[str, str]

    def end_kernels(self) -> None:
        with urllib.request.urlopen(f"{self.address}/api/sessions") as answer:
            for one in json.load(answer):
                urllib.request.urlopen(
                    urllib.request.Request(f"{self.address}/api/sessions/{one['id']}", method="DELETE")
                ).close()


@pytest.fixture(scope="module")
def lab(shops: vur.RunResult, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab without VUR's login, and two notebooks: one to run, one that has been run as papermill runs them."""
    home = tmp_path_factory.mktemp("lab")
    own = {f"JUPYTER_{name}_DIR": str(home / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **own}
    folder = home / "notebooks"
    folder.mkdir()
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    cells = [nbformat.v4.new_code_cell(one.replace("{folder!r}", repr(str(shops.folder)))) for one in CELLS]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / "live.ipynb")
    run = ["papermill", "--log-level", "ERROR", "--no-progress-bar", "live.ipynb", "executed.ipynb"]
    subprocess.run([sys.executable, "-P", "-m", *run], env=environment, check=True, cwd=folder)
    port = free_port()
    arguments = ["--no-browser", "--allow-root", f"--ServerApp.port={port}", f"--ServerApp.root_dir={folder}"]
    secrets = ["--IdentityProvider.token=", "--ServerApp.disable_check_xsrf=True"]
    with open(home / "lab.log", "w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *arguments, *secrets],
            env=environment, cwd=folder, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        wait_for(f"http://127.0.0.1:{port}/api")
        yield Lab(f"http://127.0.0.1:{port}", folder, environment)
    finally:
        server.terminate()
        server.wait(60)


def still(tab: Any, expected: dict[str, int]) -> None:
    """Wait until the page shows so many pictures, images, panels and words about widgets."""
    until = time.monotonic() + PATIENCE / 1000
    while (found := tab.evaluate(STILL)) != expected and time.monotonic() < until:
        tab.wait_for_timeout(200)
    assert found == expected


def opened(chromium: Any, lab: Lab, name: str) -> Any:
    """A notebook in JupyterLab in a context of its own, with its kernel idle."""
    tab = chromium.new_context(viewport={"width": 1280, "height": 3600}).new_page()
    tab.set_default_timeout(PATIENCE)
    tab.goto(f"{lab.address}/lab/tree/{name}?reset")
    tab.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]")
    return tab


@pytest.mark.browser
@pytest.mark.slow
def test_widgets_in_jupyterlab_with_and_without_their_kernel(chromium: Any, lab: Lab) -> None:
    tab = opened(chromium, lab, "live.ipynb")
    run_cells(tab)
    still(tab, {"pictures": 0, "images": 4, "panels": 4, "words": 0})
    chart = tab.locator(".v-is-chart").first
    assert "Série" in chart.inner_text() and chart.get_attribute("lang") == "pt-BR"
    chart.locator("select").first.select_option("<b>")
    tab.wait_for_function("document.querySelector('.v-is-chart .v-note').textContent === '<b>'")
    table = tab.locator(".v-is-table")
    table.get_by_role("button", name="MAE").click()
    table.locator("th[aria-sort=ascending]", has_text="MAE").wait_for()
    tab.get_by_role("menuitem", name="Settings", exact=True).click()
    tab.get_by_text("Theme", exact=True).hover()
    tab.get_by_text("JupyterLab Dark", exact=True).click()
    tab.wait_for_selector("html[data-theme=dark]", state="attached")
    tab.locator(".jp-Notebook .jp-Cell").last.click()
    tab.keyboard.press("Control+s")
    tab.wait_for_selector(".jp-DirtyIndicator, .jp-mod-dirty", state="detached")
    path = lab.folder / "live.ipynb"
    until = time.monotonic() + 30
    while "vur-picture" not in path.read_text() and time.monotonic() < until:
        tab.wait_for_timeout(200)
    tab.context.close()
    lab.end_kernels()
    for name in ("live.ipynb", "executed.ipynb"):  # the kernel that starts knows nothing of the widgets
        tab = opened(chromium, lab, name)
        still(tab, PICTURES)
        tab.locator(".jp-OutputArea-output", has_text="the end").wait_for()
        tab.context.close()
    lab.end_kernels()
    trust = [sys.executable, "-m", "jupyter", "trust", "executed.ipynb"]
    subprocess.run(trust, env=lab.environment, cwd=lab.folder, check=True, capture_output=True)
    tab = opened(chromium, lab, "executed.ipynb")  # trusted, with the state of its widgets in its metadata
    still(tab, PICTURES)
    tab.context.close()
    lab.end_kernels()


@pytest.mark.browser
@pytest.mark.slow
def test_an_exported_notebook_shows_the_pictures(chromium: Any, lab: Lab, tmp_path: Path) -> None:
    convert = ["nbconvert", "--to", "html", "--output-dir", str(tmp_path), str(lab.folder / "executed.ipynb")]
    subprocess.run([sys.executable, "-m", *convert], env=lab.environment, check=True, capture_output=True)
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, color_scheme="dark")
    tab = context.new_page()
    tab.route(re.compile("^https?:"), lambda route: route.abort())  # what nbconvert's own template asks for
    tab.goto((tmp_path / "executed.html").as_uri())
    still(tab, PICTURES)
    context.close()
