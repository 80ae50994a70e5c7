"""The page of machines, in Chromium over a real service: from a file to a ranking, its effects, and what-if."""

import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from pages_axe import serious
from pages_models import account, panel
from pages_site import Site, Visit, email
from playwright.sync_api import Page, expect

from vur.ranking.plants import simulate_plant

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SHOWN = ".v-panel:not([hidden])"
HOSTILE = "<script>boom()</script> ${x} {y}"


def plant(**changes: Any) -> bytes:
    """A simulated plant with a recipe, 700 rows and 14 variables, as a file of Brazil."""
    frame = simulate_plant("recipes", 1, rows=700, variables=12).frame.assign(**changes)
    return frame.to_csv(index=False, sep=";", decimal=",").encode()


def title() -> str:
    return f"Extrusora {uuid.uuid4().hex[:8]}"


def made(site: Site, person: str, name: str) -> int:
    """A machine; its number."""
    with site.api(person) as api:
        return api.post("/machines", json={"machine_name": name}).raise_for_status().json()["id"]


def trained(site: Site, person: str, id: int, content: bytes, **settings: Any) -> dict[str, Any]:
    """Train a machine on a file, and wait for the end; the training."""
    with site.api(person) as api:
        sent = api.post(
            f"/machines/{id}/trainings",
            files={"file": ("planta.csv", content)},
            data={"target": "production", **settings},
        )
        assert sent.status_code == 202, sent.text
        at, until = f"/machines/{id}/trainings/{sent.json()['training']}", time.monotonic() + 150
        while (found := api.get(at).json())["state"] in ("queued", "training"):
            assert time.monotonic() < until, found
            time.sleep(0.5)
        return found


@pytest.fixture(scope="module")
def machine(site: Site) -> dict[str, Any]:
    """A machine of Ana with two trainings that Vera may view: `id, name, first, second`."""
    name = f"{title()} {HOSTILE}"
    id = made(site, "ana", name)
    first = trained(site, "ana", id, plant())
    second = trained(site, "ana", id, plant().replace(b"v00", HOSTILE.encode()), lags="4")
    assert first["state"] == second["state"] == "finished", (first["error"], second["error"])
    with site.api("ana") as api:
        api.put(f"/shares/machine/{id}", json={"email": email("vera"), "right": "view"}).raise_for_status()
    return {"id": id, "name": name, "first": first, "second": second}


def tab_of(tab: Page, name: str) -> None:
    tab.locator(f"[data-tab={name}]").click()
    expect(tab.locator(f"[data-tab={name}]")).to_have_attribute("aria-selected", "true")


def drawn(tab: Page) -> Any:
    return tab.locator(f"{SHOWN} .v-chart-box[data-drawn] svg")


def test_from_a_file_to_what_if_in_portuguese(visit: Visit, tmp_path: Path) -> None:
    tab, name = visit("machines", "ana", language="pt-BR"), title()
    path = tmp_path / "planta.csv"
    path.write_bytes(plant())
    form = panel(tab, "Nova máquina")
    form.get_by_label("Nome").fill(name)
    form.get_by_role("button", name="Criar").click()
    expect(tab.get_by_role("heading", name=name)).to_be_visible()
    expect(tab.locator("[data-tab=data]")).to_have_attribute("aria-selected", "true")
    tab.set_input_files(f"{SHOWN}[data-kind=upload] input[type=file]", path)
    columns = panel(tab, "Colunas de planta")
    expect(columns.locator("tr", has_text="recipe")).to_contain_text("categoria")
    expect(columns.locator("tr", has_text="v03")).to_contain_text("número")
    setup = panel(tab, "O que se quer explicar?")
    expect(setup.get_by_label("Coluna a explicar")).to_have_value("production")
    setup.get_by_label("Linhas até uma variável agir").fill("5000")
    setup.get_by_role("button", name="Iniciar o treino").click()
    assert setup.get_by_label("Linhas até uma variável agir").evaluate("(one) => one.validity.rangeOverflow")
    expect(tab.get_by_role("progressbar")).to_have_count(0)
    setup.get_by_label("Linhas até uma variável agir").fill("6")
    setup.get_by_label("Bom é").select_option("min")
    assert serious(tab) == []
    setup.get_by_role("button", name="Iniciar o treino").click()
    expect(tab.get_by_role("progressbar")).to_be_visible()
    expect(tab.get_by_role("button", name="Cancelar o treino")).to_be_visible()
    expect(tab.locator(".v-notice", has_text="O treino 1 terminou")).to_be_visible()
    order = panel(tab, "Ranking")
    expect(order.locator("tbody tr").first).to_contain_text("1º")
    expect(order.locator("tbody tr .v-rankbar b").first).to_be_visible()
    expect(tab.locator(SHOWN, has_text="associação, não prova").first).to_be_visible()
    expect(panel(tab, "O que elas fazem")).to_contain_text("onde o resultado é baixo")
    assert serious(tab) == []
    tab_of(tab, "effects")
    expect(drawn(tab)).to_have_count(5)
    panel(tab, "Qualquer variável").get_by_label("Variável", exact=True).select_option("recipe")
    expect(panel(tab, "Qualquer variável")).to_contain_text("muda com a categoria")
    assert serious(tab) == []
    tab_of(tab, "what_if")
    sliders = panel(tab, "Como ficaria production?")
    expect(sliders.get_by_role("status")).to_have_text("Mova um controle para ver o que os modelos esperam.")
    first = sliders.get_by_role("slider").first
    first.press("End")
    expect(sliders.get_by_role("status")).to_contain_text("entre")
    expect(sliders.get_by_role("status")).to_contain_text("das linhas")
    sliders.locator("input[type=number]").first.fill("99999")
    sliders.locator("input[type=number]").first.press("Enter")
    expect(sliders.get_by_role("alert")).to_contain_text("99.999 nunca foi observado")
    expect(sliders.get_by_text("movida")).to_have_count(1)
    sliders.get_by_role("button", name="Recomeçar").click()
    expect(sliders.get_by_role("status")).to_have_text("Mova um controle para ver o que os modelos esperam.")
    expect(sliders.get_by_role("alert")).to_have_count(0)
    assert serious(tab) == []
    tab.reload()
    expect(tab.locator("[data-tab=what_if]")).to_have_attribute("aria-selected", "true")


def test_only_what_was_moved_is_asked_and_the_answer_is_the_service_s(
    visit: Visit, site: Site, machine: dict[str, Any]
) -> None:
    tab = visit(f"machines?machine={machine['id']}&tab=what_if", "ana")
    sliders = panel(tab, "What would production be?")
    words = machine["second"]["document"]["words"]["recipe"]
    usual = machine["second"]["document"]["typical"]["recipe"]
    other = next(word for word in words if word != usual)
    if sliders.get_by_label("recipe").count() == 0:
        sliders.get_by_label("Another variable").select_option("recipe")
    sliders.get_by_label("recipe").select_option(other)
    with site.api("ana") as api:
        answer = api.post(f"/machines/{machine['id']}/what-if", json={"values": {"recipe": other}}).json()
    told = sliders.get_by_role("status")
    expect(told).to_contain_text(f"from {answer['before']:.4g} to {answer['after']:.4g}")
    sliders.get_by_role("button", name="as observed").click()
    expect(told).to_have_text("Move a slider to see what the models expect.")


def test_the_history_shows_moves_and_leads_to_an_older_training(visit: Visit, machine: dict[str, Any]) -> None:
    tab = visit(f"machines?machine={machine['id']}&tab=history", "ana")
    places = panel(tab, "Places by training")
    expect(places.locator("tr", has_text=HOSTILE)).to_contain_text("new")
    expect(places.locator("tr", has=tab.get_by_text("v00", exact=True))).to_contain_text("gone")
    expect(drawn(tab)).to_have_count(1)
    assert serious(tab) == []
    panel(tab, "Trainings").locator("tr[data-id='1']").get_by_role("button", name="Look at it").click()
    expect(tab.get_by_text("This is an older training")).to_be_visible()
    tab.wait_for_url("**training=1**")
    tab.reload()
    expect(tab.get_by_text("This is an older training")).to_be_visible()
    tab.get_by_role("button", name="To the newest").click()
    expect(tab.get_by_text("This is an older training")).to_have_count(0)


def test_the_report_opens_and_the_notebook_is_downloaded(visit: Visit, machine: dict[str, Any]) -> None:
    tab = visit(f"machines?machine={machine['id']}", "ana")
    with tab.expect_popup() as popup:
        tab.get_by_role("link", name="Report").click()
    expect(popup.value.locator("body")).to_contain_text("production")
    with tab.expect_download() as download:
        tab.get_by_role("link", name="Notebook").click()
    assert '"nbformat"' in Path(download.value.path()).read_text()


def test_a_constant_target_fails_with_its_cause_and_remedy(visit: Visit, site: Site) -> None:
    name = title()
    id = made(site, "bia", name)
    with site.api("bia") as api:
        sent = api.post(
            "/datasets/upload", files={"file": ("constante.csv", plant(production=5.0))}, data={"name": name}
        )
        dataset = sent.raise_for_status().json()["dataset_id"]
    tab = visit(f"machines?machine={id}&dataset={dataset}", "bia", language="pt-BR")
    setup = panel(tab, "O que se quer explicar?")
    setup.get_by_label("Coluna a explicar").select_option("production")
    setup.get_by_role("button", name="Iniciar o treino").click()
    failure = panel(tab, "O último treino falhou")
    expect(failure).to_contain_text("O alvo 'production' é")
    expect(failure).to_contain_text("em todas as linhas")
    expect(failure).to_contain_text("Escolha uma coluna que varie")
    tab.get_by_role("button", name="Todas as máquinas").click()
    expect(tab.locator(f"{SHOWN} tr", has_text=name)).to_contain_text("erro")
    assert serious(tab) == []


def test_a_training_is_cancelled(visit: Visit, site: Site) -> None:
    id = made(site, "bia", title())
    with site.api("bia") as api:
        sent = api.post("/datasets/upload", files={"file": ("planta.csv", plant())})
        dataset = sent.raise_for_status().json()["dataset_id"]
        api.post(f"/machines/{id}/trainings", json={"dataset_id": dataset, "target": "production"}).raise_for_status()
    tab = visit(f"machines?machine={id}", "bia")
    tab.get_by_role("button", name="Cancel the training").click()
    tab.get_by_role("dialog").get_by_role("button", name="Cancel the training").click()
    expect(tab.locator(".v-notice", has_text="Training 1 was cancelled")).to_be_visible()
    expect(tab.get_by_role("progressbar")).to_have_count(0)
    tab_of(tab, "history")
    expect(panel(tab, "Trainings").locator("tr[data-id='1']")).to_contain_text("cancelled")


def test_nothing_predicts_and_no_ranking_are_said(visit: Visit, site: Site) -> None:
    id = made(site, "bia", title())
    content = simulate_plant("null", 1, rows=600, variables=12).frame.to_csv(index=False).encode()
    assert trained(site, "bia", id, content)["document"]["predicts"] is False
    tab = visit(f"machines?machine={id}", "bia")
    expect(tab.get_by_role("heading", name="Nothing in this table predicts production")).to_be_visible()
    expect(tab.locator("[data-tab=what_if]")).to_have_count(0)
    assert serious(tab) == []


def test_viewers_look_and_change_nothing(visit: Visit, site: Site, machine: dict[str, Any]) -> None:
    account(site, "vitor", "viewer")
    tab = visit("machines", "vitor")
    expect(tab.get_by_text("No machine is shared with you yet")).to_be_visible()
    assert serious(tab) == []
    tab = visit("machines", "vera", language="pt-BR", width=390, theme="dark")
    expect(panel(tab, "Nova máquina")).to_have_count(0)
    tab.get_by_role("button", name=machine["name"]).click()
    expect(panel(tab, "Ranking")).to_be_visible()
    for name in ("Novo treino", "Renomear", "Excluir"):
        expect(tab.get_by_role("button", name=name)).to_have_count(0)
    for name in ("data", "sharing"):
        expect(tab.locator(f"[data-tab={name}]")).to_have_count(0)
    for name in ("effects", "what_if", "history"):
        tab_of(tab, name)
        assert serious(tab) == []
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_machine_of_another_is_as_one_that_is_not_there(visit: Visit, machine: dict[str, Any]) -> None:
    for id in (machine["id"], 987654321):
        tab = visit(f"machines?machine={id}", "bia")
        expect(tab.locator(".v-notice", has_text=f"machine {id}")).to_be_visible()
        expect(tab.get_by_role("heading", name="New machine")).to_be_visible()
        assert machine["name"] not in tab.content()


def test_a_machine_is_renamed_shared_and_deleted(visit: Visit, site: Site) -> None:
    id, name = made(site, "ana", title()), title()
    tab = visit(f"machines?machine={id}", "ana")
    tab.get_by_role("button", name="Rename").click()
    form = panel(tab, "Rename")
    form.get_by_label("Name").fill(name)
    form.get_by_role("button", name="Save").click()
    expect(tab.get_by_role("heading", name=name)).to_be_visible()
    tab_of(tab, "sharing")
    tab.get_by_label("Name or e-mail address").fill(email("bia"))
    tab.get_by_role("button", name="Share", exact=True).click()
    expect(tab.locator(f"{SHOWN} tr", has_text=email("bia"))).to_be_visible()
    with site.api("bia") as api:
        assert api.get(f"/machines/{id}").json()["right"] == "view"
    tab.get_by_role("button", name="Delete").click()
    tab.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(tab.locator(".v-notice", has_text="The machine was deleted")).to_be_visible()
    with site.api("ana") as api:
        assert api.get(f"/machines/{id}").status_code == 404


def test_five_hundred_columns_with_long_names_are_searched(visit: Visit, site: Site) -> None:
    names = [f"{'sensor_' * 28}{number}" for number in range(500)]
    rows = ["\t".join([*names, "y"])] + ["\t".join([*([str(row % 7)] * 500), str(row)]) for row in range(120)]
    with site.api("bia") as api:
        sent = api.post("/datasets/upload", files={"file": ("largo.tsv", "\n".join(rows).encode())})
        dataset = sent.raise_for_status().json()["dataset_id"]
    tab = visit(f"machines?machine={made(site, 'bia', 'x' * 200)}&dataset={dataset}", "bia", width=390)
    columns = tab.locator(SHOWN, has=tab.get_by_placeholder("Search columns"))
    expect(columns.locator("tbody tr")).to_have_count(15)
    columns.get_by_placeholder("Search columns").fill("_499")
    expect(columns.locator("tbody tr")).to_have_count(1)
    columns.get_by_role("button", name="Explain this").click()
    expect(tab.get_by_label("Column to explain")).to_have_value(names[499])
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    assert serious(tab) == []
