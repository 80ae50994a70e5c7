"""The Pipeline page in a browser: the whole wizard to a trained and promoted model, and what interrupts it."""

import json
import os
import re
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from pages_models import account
from pages_site import PATIENCE, Site, json_of, ready
from playwright.sync_api import Page, expect
from samples import DATA

from vur.text import translate

pytestmark = [pytest.mark.browser, pytest.mark.slow]
FLIGHTS = DATA / "partidas_diarias.csv"
STEPS = ("upload", "preview", "split", "preprocessing", "features", "model", "training")


def panel(tab: Page, kind: str) -> Any:
    """The visible panel of a kind."""
    return tab.locator(f".v-is-{kind}:not([hidden])")


def at_step(tab: Page, step: str) -> None:
    expect(tab.locator(f".v-steplist li.current button[data-step={step}]")).to_be_visible()


def go_on(tab: Page, step: str) -> None:
    """Press the button for the next step, which is `step`."""
    tab.click("[data-event=next]")
    at_step(tab, step)


def send_file(tab: Page, file: Path | dict[str, Any]) -> None:
    panel(tab, "upload").locator("input[type=file]").set_input_files(file)


def field(tab: Page, name: str) -> Any:
    """A field of a visible form."""
    return panel(tab, "form").locator(f"[name='{name}']")


def choose(tab: Page, name: str, value: str) -> None:
    """Fill a text or number, as a person who leaves the field."""
    field(tab, name).fill(value)
    field(tab, name).blur()


def begun(site: Site, name: str = "ana", language: str = "en", upto: str = "training") -> str:
    """Id of a pipeline on the flights, confirmed up to a step, with models that train in seconds."""
    with site.api(name, language) as api, FLIGHTS.open("rb") as file:
        dataset = api.post("/datasets/upload", files={"file": (FLIGHTS.name, file)}).json()["dataset_id"]
        id = api.post("/pipelines", json={"name": "Partidas", "dataset_id": dataset}).json()["pipeline_id"]
        given = {"split": {"horizon": 14, "folds": 2}, "model": {"algorithms": ["theta"], "ensemble": False}}
        for step in STEPS[1 : STEPS.index(upto)]:
            api.put(f"/pipelines/{id}/steps/{step}", json={"data": given.get(step, {})}).raise_for_status()
    return id


def address(id: str, step: str | None = None) -> str:
    """The page of a pipeline."""
    return f"pipeline?id={id}" + (f"&step={step}" if step else "")


def state_of(site: Site, id: str, name: str = "ana") -> dict[str, Any]:
    with site.api(name) as api:
        return api.get(f"/pipelines/{id}/state").json()


def stored(site: Site, id: str, step: str) -> dict[str, Any]:
    return next(one["data"] for one in state_of(site, id)["steps"] if one["step"] == step)


def until(condition: Any, seconds: float = 30) -> Any:
    """What `condition` says as soon as it says something."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "this never came"
        time.sleep(0.05)
    return found


# --- the whole wizard ---


@pytest.mark.parametrize("language", ["pt-BR", "en"])
def test_the_whole_wizard_leads_to_a_trained_and_promoted_model(visit, site, language):
    def say(key: str, **values: Any) -> str:
        return translate(f"pages.pipeline.{key}", language, **values)

    tab = visit("pipeline", "ana", language=language)
    send_file(tab, FLIGHTS)
    at_step(tab, "upload")
    tab.wait_for_url(lambda url: "id=" in url)
    id = tab.url.partition("id=")[2].partition("&")[0]
    columns = panel(tab, "table").filter(has_text=say("upload.columns"))
    expect(columns.locator("tbody tr")).to_have_count(6)
    expect(columns.locator("tr[data-id=Partidas]")).to_contain_text(translate("options.preview.target", language))
    columns.locator("[name='role:Precipitação (mm)']").select_option("exclude")
    until(lambda: stored(site, id, "preview").get("roles") == {"Precipitação (mm)": "exclude"})

    go_on(tab, "preview")
    expect(panel(tab, "chart").locator("svg path").first).to_be_attached()
    audit = panel(tab, "list").first
    expect(audit.locator("li")).to_have_count(3)
    audit.get_by_role("button", name=translate("repair.outliers", language)).first.click()
    effects = panel(tab, "list").filter(has_text=say("preview.repairs"))
    expect(effects.locator("li")).to_have_count(2)
    assert stored(site, id, "preprocessing")["outliers"]["method"] == "hampel"

    go_on(tab, "split")
    choose(tab, "horizon", "14")
    choose(tab, "folds", "2")
    folds = panel(tab, "table").locator("tbody tr")
    expect(folds).to_have_count(3)
    expect(panel(tab, "table")).to_contain_text(say("split.folds", folds=2, horizon=14))

    go_on(tab, "preprocessing")
    expect(field(tab, "outliers.method")).to_have_value("hampel")
    expect(panel(tab, "table").locator("tbody tr").first).to_contain_text(say("preprocessing.outlier"))

    go_on(tab, "features")
    field(tab, "country").select_option("BR")
    known = panel(tab, "table").filter(has_text=say("features.known", horizon=14))
    expect(known.locator("tr[data-id=holiday]")).to_contain_text(say("features.all"))
    expect(known.locator("tr[data-id=lag7]")).to_contain_text("7 / 14")

    go_on(tab, "model")
    panel(tab, "models").locator("summary").click()
    panel(tab, "models").locator("[data-algorithm=theta] input").check()
    expect(panel(tab, "table").locator("tr[data-id=theta]")).to_be_visible()
    expect(panel(tab, "table").locator("tr[data-id=ets]")).to_have_count(0)

    go_on(tab, "training")
    train(tab, say("training.train"))
    expect(panel(tab, "table")).to_contain_text(say("training.leaderboard"))
    expect(panel(tab, "table").locator("tbody .v-badge.good")).to_have_count(1)
    expect(tab.locator("[data-event=promote]")).to_have_text(say("training.champion"))
    first = state_of(site, id)["model"]["model_id"]
    report = tab.get_by_role("link", name=say("training.report")).get_attribute("href")
    assert report.endswith(f"/models/{first}/report")
    status, text = json_of(tab, report)
    assert status == 200 and "<html" in text[:500] and FLIGHTS.name in text
    expect(panel(tab, "text").first).to_contain_text(say("training.planned"))

    choose(tab, "seed", "5")
    train(tab, say("training.again"))
    second = until(lambda: (newest := state_of(site, id)["model"]["model_id"]) != first and newest)
    tab.click("[data-event=promote]:enabled")
    asked = tab.get_by_role("dialog")
    expect(asked).to_contain_text("%")  # what both are worth
    asked.get_by_role("button", name=say("training.promote")).click()
    expect(tab.locator("[data-event=promote]")).to_have_text(say("training.champion"))
    with site.api("ana") as api:
        assert api.get(f"/models/{second}").json()["champion"] and not api.get(f"/models/{first}").json()["champion"]


def train(tab: Page, label: str) -> None:
    """Press the button and wait for the end."""
    tab.click(f"[data-event=train]:has-text('{label}')")
    expect(tab.locator(".v-is-progress:is([data-state=queued],[data-state=training])")).to_be_visible()
    expect(tab.locator(".v-is-progress[data-state=trained]")).to_be_visible(timeout=3 * PATIENCE)


def test_a_training_is_shown_after_a_reload_as_it_is_and_can_be_cancelled(visit, site):
    id = begun(site, upto="model")
    with site.api("ana") as api:
        slow = {"algorithms": ["auto_arima", "prophet", "theta"], "ensemble": False, "optimize": {"iterations": 200}}
        api.put(f"/pipelines/{id}/steps/model", json={"data": slow}).raise_for_status()
    tab = visit(address(id, "training"), "ana")
    tab.click("[data-event=train]")
    expect(tab.locator(".v-is-progress[data-state=training]")).to_be_visible()
    scores = panel(tab, "table").filter(has_text="Scores so far").locator("tbody tr")
    expect(scores.first).to_be_visible()
    tab.reload()
    ready(tab)
    at_step(tab, "training")
    expect(tab.locator(".v-is-progress[data-state=training]")).to_be_visible()
    expect(scores.first).to_be_visible()
    elsewhere = visit(address(id), "ana")
    expect(elsewhere.locator(".v-is-progress[data-state=training]")).to_be_visible()
    left = translate("pages.pipeline.training.left", "en")
    expect(tab.locator(".v-is-progress")).to_contain_text(left)
    tab.click("[data-event=cancel]")
    expect(tab.locator(".v-is-progress[data-state=cancelled]")).to_be_visible()
    expect(tab.locator("[data-event=train]")).to_have_count(0)
    expect(elsewhere.locator(".v-is-progress[data-state=cancelled]")).to_be_visible()
    expect(tab.locator("[data-event=retry]")).to_be_enabled()


# --- what interrupts it ---


def test_a_wrong_file_is_refused_in_words_and_leaves_nothing(visit, site):
    tab = visit("pipeline", account(site, "caio"), language="pt-BR")
    send_file(
        tab, {"name": "foto.png", "mimeType": "image/png", "buffer": b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20}
    )
    expect(panel(tab, "upload").locator(".v-error")).to_contain_text(re.compile(r"^foto\.png "))  # said once
    expect(panel(tab, "table")).to_contain_text(translate("pages.pipeline.none", "pt-BR"))
    with site.api("caio") as api:
        assert api.get("/pipelines").json()["total"] == api.get("/datasets").json()["total"] == 0
    send_file(tab, {"name": "vazio.csv", "mimeType": "text/csv", "buffer": b""})
    expect(panel(tab, "upload").locator(".v-error")).to_contain_text(re.compile(r"^vazio\.csv "))  # said once
    send_file(tab, FLIGHTS)
    at_step(tab, "upload")


def test_a_viewer_is_refused(visit, site):
    tab = visit("pipeline", "vera", started=False)
    expect(tab.get_by_role("heading", name=translate("pages.shell.forbidden_title", "en"))).to_be_visible()
    expect(tab.locator(".v-panel")).to_have_count(0)
    tab.goto("/dashboard")
    ready(tab)
    expect(tab.locator("nav a[href*=pipeline]")).to_have_count(0)


def test_another_users_pipeline_is_refused(visit, site):
    id = begun(site, upto="split")
    tab = visit(address(id), "bia")
    expect(tab.locator(".v-failed")).to_contain_text("pipeline")
    expect(tab.locator(".v-steplist")).to_have_count(0)


def test_a_column_is_given_another_type_and_a_type_that_does_not_fit_is_refused(visit, site):
    text = "dia;loja;código;vendas\n" + "".join(
        f"{day % 28 + 1:02}/{day // 28 + 1:02}/2024;{'AB'[day % 2]};{day % 5:03};{day + 0.5}\n".replace(".5", ",5")
        for day in range(84)
    )
    tab = visit("pipeline", "ana", language="pt-BR")
    send_file(tab, {"name": "tipos.csv", "mimeType": "text/csv", "buffer": text.encode()})
    at_step(tab, "upload")
    columns = panel(tab, "table").filter(has_text=translate("pages.pipeline.upload.columns", "pt-BR"))
    code = columns.locator("select[name='type:código']")
    expect(code.locator("option:checked")).to_have_text("Identificador (detectado)")
    code.select_option("numeric")
    expect(columns.locator("tr[data-id=código]")).to_contain_text(translate("upload.note.type_given", "pt-BR"))
    expect(code).to_have_value("numeric")
    shop = columns.locator("select[name='type:loja']")
    shop.select_option("numeric")
    expect(columns).to_contain_text("A coluna loja não pode ser lida como números")
    expect(shop).to_have_value("")
    code.select_option("")
    expect(code.locator("option:checked")).to_have_text("Identificador (detectado)")


# --- what is kept ---


def test_choices_are_kept_through_reload_back_and_forth_and_another_browser(visit, site):
    id = begun(site, upto="split")
    tab = visit(address(id, "split"), "ana")
    choose(tab, "horizon", "9")
    expect(panel(tab, "table")).to_contain_text("horizon of 9 steps")
    assert stored(site, id, "split") == {"horizon": 9} and "split" not in state_of(site, id)["completed_steps"]
    tab.reload()
    ready(tab)
    expect(field(tab, "horizon")).to_have_value("9")
    tab.click("[data-event=back]")
    at_step(tab, "preview")
    go_on(tab, "split")
    expect(field(tab, "horizon")).to_have_value("9")
    other = visit(address(id), "ana")
    at_step(other, "split")
    expect(field(other, "horizon")).to_have_value("9")


def test_a_refused_choice_is_said_beside_its_field_and_not_kept(visit, site):
    id = begun(site, upto="split")
    tab = visit(address(id, "split"), "ana")
    choose(tab, "train_size", "much")
    expect(panel(tab, "form").locator(".v-error")).to_be_visible()
    assert "train_size" not in stored(site, id, "split")
    choose(tab, "train_size", "0,7")
    expect(panel(tab, "form").locator(".v-error")).to_have_count(0)
    until(lambda: stored(site, id, "split") == {"train_size": 0.7})


def test_a_refused_value_keeps_the_visitor_at_the_step(visit, site):
    id = begun(site, upto="split")
    tab = visit(address(id, "split"), "ana")
    choose(tab, "horizon", "-5")
    expect(panel(tab, "form").locator(".v-error")).to_be_visible()
    tab.click("[data-event=next]")
    expect(tab.locator(".v-notice.error")).to_contain_text("refused")
    at_step(tab, "split")
    choose(tab, "horizon", "9")
    expect(panel(tab, "table")).to_contain_text("horizon of 9 steps")
    tab.locator("[data-event=next]").scroll_into_view_if_needed()
    go_on(tab, "preprocessing")
    until(lambda: tab.evaluate("scrollY") == 0)
    expect(tab.locator(".v-steplist li.current button")).to_be_focused()


def test_cuts_are_moved_on_the_chart_by_keys_and_mouse_and_by_the_form(visit, site):
    id = begun(site, upto="split")
    tab = visit(address(id, "split"), "ana")
    cut = tab.locator("[data-cut=test_start]")
    expect(cut).to_be_visible()
    before = cut.get_attribute("aria-valuenow")
    cut.focus()
    cut.press("ArrowLeft")
    cut.press("ArrowLeft")
    expect(field(tab, "test_start")).not_to_have_value("")
    chosen = until(lambda: stored(site, id, "split").get("test_start"))
    expect(field(tab, "test_start")).to_have_value(chosen)
    expect(cut).to_have_attribute("aria-valuenow", str(int(before) - 2))
    expect(cut).to_be_focused()
    assert stored(site, id, "split")["horizon"]

    cut.scroll_into_view_if_needed()
    place = cut.bounding_box()
    x, y = place["x"] + place["width"] / 2, place["y"] + place["height"] / 2
    tab.mouse.move(x, y)
    tab.mouse.down()
    tab.mouse.move(x - 60, y, steps=5)
    tab.mouse.up()
    moved = until(lambda: (now := stored(site, id, "split")["test_start"]) != chosen and now)
    assert moved < chosen
    expect(field(tab, "test_start")).to_have_value(moved)

    choose(tab, "test_start", chosen)
    expect(cut).to_have_attribute("aria-valuenow", str(int(before) - 2))


def test_repairs_are_undone_by_a_click(visit, site):
    id = begun(site, upto="preview")
    tab = visit(address(id, "preview"), "ana")
    panel(tab, "list").first.locator("button").first.click()
    effects = panel(tab, "list").filter(has_text="Repairs in effect")
    effects.get_by_role("button", name="Undo").click()
    expect(effects).to_have_count(0)
    assert "outliers" not in stored(site, id, "preprocessing")


def test_the_code_of_a_step_is_shown_copied_and_taken_as_a_notebook(visit, site):
    id = begun(site, upto="preprocessing")
    tab = visit(address(id, "split"), "ana")
    panel(tab, "code").locator("summary").click()
    with site.api("ana") as api:
        told = api.get(f"/pipelines/{id}/code", params={"step": "split"}).json()
    box = panel(tab, "code").locator("pre")
    for label, text in (("Python", told["python"]), ("Command", told["command"])):
        panel(tab, "code").get_by_role("tab", name=label).click()
        expect(box).to_have_text(text, use_inner_text=False)
    panel(tab, "code").get_by_role("button", name="Copy").click()
    assert tab.evaluate("navigator.clipboard.readText()") == told["command"]
    with tab.expect_download() as download:
        tab.get_by_role("link", name="Download as notebook").click()
    assert json.loads(Path(download.value.path()).read_text())["nbformat"] == 4
    with tab.expect_download() as download:
        tab.get_by_role("link", name="Export configuration").click()
    document = Path(download.value.path()).read_bytes()
    tab.get_by_role("link", name="All pipelines").click()
    ready(tab)
    file = {"name": "pipeline.json", "mimeType": "application/json", "buffer": document}
    panel(tab, "document").locator("input").set_input_files(file)
    at_step(tab, "preprocessing")
    tab.wait_for_url(lambda url: "id=" in url and id not in url)
    again = tab.url.partition("id=")[2].partition("&")[0]
    assert again != id and stored(site, again, "split") == stored(site, id, "split")


def test_parameters_and_a_network_of_ones_own_are_built_in_forms(visit, site):
    id = begun(site, upto="model")
    with site.api("ana") as api:
        api.put(f"/pipelines/{id}/steps/model", json={"data": {"algorithms": ["arima"]}, "confirm": False})
    tab = visit(address(id, "model"), "ana")
    card = panel(tab, "models").locator("[data-algorithm=arima]")
    card.get_by_role("button", name="Parameters").click()
    choose(tab, "p", "2")
    until(lambda: stored(site, id, "model").get("parameters", {}).get("arima", {}).get("order", [0])[0] == 2)
    choose(tab, "p", "-3")
    expect(panel(tab, "form").locator(".v-error")).to_contain_text("-3")
    panel(tab, "models").locator("[data-network=own]").click()
    network = panel(tab, "network")
    expect(network.locator(".v-layer")).to_have_count(3)
    network.get_by_label("Units").first.fill("8")
    network.get_by_label("Units").first.blur()
    document = until(lambda: next(iter(stored(site, id, "model").get("networks", {}).values()), None))
    until(lambda: next(iter(stored(site, id, "model")["networks"].values()))["architecture"]["layers"][0]["units"] == 8)
    assert document["architecture"]["layers"][-1]["type"] == "dense"
    network.get_by_label("Activation").last.select_option("relu")
    expect(network.locator(".v-error")).to_contain_text("relu")
    panel(tab, "models").locator("[data-preset=fast]").click()
    until(lambda: stored(site, id, "model").get("preset") == "fast")
    expect(network).to_have_count(0)


# --- everybody can use it ---


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (390, "dark")])
def test_every_step_is_accessible_and_fits_its_width(visit, site, width, theme):
    from axe_playwright_python.sync_playwright import Axe

    id = begun(site, upto="training")
    tab = visit(address(id, "upload"), "ana", language="pt-BR", width=width, theme=theme)
    for step in STEPS:
        if step != "upload":
            tab.locator(f"button[data-step={step}]").click()
        at_step(tab, step)
        expect(panel(tab, "code")).to_be_visible()
        found = [
            (one["id"], one["impact"], [node["html"][:120] for node in one["nodes"]][:3])
            for one in Axe().run(tab).response["violations"]
            if one["impact"] in ("serious", "critical")
        ]
        assert found == [], (step, found)
        wide = tab.evaluate("document.scrollingElement.scrollWidth")
        assert wide <= width, (step, wide)
        if folder := os.environ.get("VUR_TEST_SHOTS"):
            tab.screenshot(path=f"{folder}/{width}_{theme}_{step}.png", full_page=True)


def test_the_page_asks_the_service_with_the_visitors_own_token(site):
    with httpx.Client(base_url=site.service) as nobody:
        assert nobody.get("/api/v1/pipelines/options").status_code == 401


def test_the_older_of_two_tabs_does_not_undo_what_the_newer_changed(visit, site):
    id = begun(site, upto="preprocessing")
    older = visit(address(id, "split"), "ana")
    newer = visit(address(id, "split"), "ana")
    choose(newer, "horizon", "7")
    until(lambda: stored(site, id, "split").get("horizon") == 7)
    choose(older, "folds", "3")
    said = panel(older, "text").filter(has_text=translate("pages.pipeline.conflict.title", "en"))
    expect(said.locator("li")).to_contain_text("7 (here: 14)")
    older.click("[data-event=next]")
    at_step(older, "split")
    assert stored(site, id, "split") == {"horizon": 7, "folds": 2}
    expect(field(older, "folds")).to_have_value("3")
    said.locator("[data-event=reload]").click()
    expect(field(older, "horizon")).to_have_value("7")
    expect(said).to_have_count(0)
    choose(older, "folds", "3")
    until(lambda: stored(site, id, "split") == {"horizon": 7, "folds": 3})
