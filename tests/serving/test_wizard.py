"""The wizard: options of its forms, live previews that store nothing, repairs with undo, and a training as it goes."""

import time
from datetime import date, timedelta

import pytest
from databases import both, kind  # noqa: F401 - a fixture
from jobkit import model_of
from samples import DATA
from test_datasets import PT, sent, table
from test_pipelines import begun, complete, put

from vur.forecasters.registry import algorithms
from vur.runs.config import Config
from vur.store import database
from vur.store.catalog import Job, JobLog, Share
from vur.store.home import folder
from vur.text import LANGUAGES
from vur.wizard.options import FIELDS, SECTIONS_OF


@pytest.fixture
def flights(ana) -> str:
    """Address of a pipeline on the Brazilian sample whose columns are confirmed."""
    url = begun(ana, sent(ana, DATA / "partidas_diarias.csv", "partidas_diarias.csv")["dataset_id"])
    assert put(ana, url, "preview", {}).status_code == 200
    return url


def look(person, url: str, step: str, data: dict | None = None, **more) -> dict:
    """The preview of a step."""
    answer = person.post(f"{url}/preview", json={"step": step, "data": data, **more}, headers=PT)
    assert answer.status_code == 200, answer.text
    return answer.json()


# --- options ---


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_setting_of_a_form_has_texts_in_every_language_and_a_default_that_its_step_accepts(ana, language):
    found = ana.get("/pipelines/options", headers={"Accept-Language": language}).json()
    for step, fields in found["steps"].items():
        assert [field["name"] for field in fields] == [field["name"] for field in FIELDS[step]]
        usual = Config().to_dict()[SECTIONS_OF[step]]
        for field in fields:
            section, _, key = field["name"].rpartition(".")
            assert field["default"] == (usual[section] if section else usual)[key]
            assert field["label"] and field["help"], field
            for choice in field["choices"] or []:
                assert choice["label"] and not choice["label"].islower() or field["name"] == "levels", choice
    assert "SP" in found["countries"]["BR"] and found["states"]["BR"]["SP"] == "São Paulo"
    document = found["network"]["document"]
    assert {layer["type"] for layer in document["architecture"]["layers"]} <= {
        layer["type"] for layer in found["network"]["layers"]
    }


def test_choices_of_forms_are_those_that_a_step_takes(ana, flights):
    for step in ("split", "preprocessing", "features", "model"):
        put(ana, flights, step, {})
        fields = {field["name"]: field for field in ana.get("/pipelines/options").json()["steps"][step]}
        for name, field in fields.items():
            if "." in name or field["type"] != "choice":
                continue
            for choice in field["choices"]:
                answer = put(ana, flights, step, {name: choice["value"]})
                assert answer.status_code == 200, (step, name, choice, answer.text)


def test_parameters_of_algorithms_have_the_label_of_a_form(ana):
    found = ana.get("/models/algorithms", headers=PT).json()
    shown = {entry["id"]: entry["parameters"] for family in found.values() for entry in family}
    assert all(shown["ets"][name]["label"] for name in shown["ets"])
    lacking = [
        (id, name) for id, own in shown.items() for name, parameter in own.items() if not parameter.get("description")
    ]
    assert not lacking and set(shown) <= set(algorithms())


# --- previews ---


def test_previews_show_each_step_and_store_nothing(ana, flights, catalog):
    before = ana.get(f"{flights}/state").json()
    files = {path for path in folder("datasets").rglob("*") if path.is_file()}
    seen = look(ana, flights, "preview", {"roles": {"Cancelados": "exclude"}}, series="JFK")
    assert seen["names"] == ["EWR", "JFK", "LGA"] and seen["shown"] == "JFK" and seen["points"]["rows"] == 365
    assert seen["roles"] == {"Temperatura média (°C)": "past_only", "Precipitação (mm)": "past_only"}
    assert seen["missing_map"]["series"] == ["EWR", "JFK", "LGA"] and len(seen["missing_map"]["spans"]) == 120
    split = look(ana, flights, "split", {"horizon": 14, "folds": 3})
    assert [fold["cutoff"][:10] for fold in split["folds"]] == ["2013-11-05", "2013-11-19", "2013-12-03"]
    assert split["test_fold"]["scored_end"][:10] == "2013-12-31" and len(split["points"]["ds"]) == 365
    prepared = look(ana, flights, "preprocessing", {"outliers": {"method": "hampel", "treatment": "replace"}})
    assert prepared["counts"]["outliers"] >= len(prepared["outliers"]) > 5 and prepared["points"]["transformed"] is None
    changed = [a != b for a, b in zip(prepared["points"]["before"], prepared["points"]["after"], strict=True)]
    assert sum(changed) == len(prepared["outliers"])
    logs = look(ana, flights, "preprocessing", {"transforms": ["log1p"]})["points"]
    assert logs["transformed"][0] == pytest.approx(5.72, abs=0.01) and logs["after"] == logs["before"]
    matrix = look(ana, flights, "features", {"lags": [1, 7], "rolling": [], "country": "BR"})
    known = {entry["name"]: entry for entry in matrix["features"]}
    assert known["lag7"]["steps"] == 7 and known["holiday"]["steps"] is None and known["Cancelados"]["steps"] == 0
    assert known["lag7"]["text"].startswith("Do passado do alvo: medido até o passo 7 de 28")
    first = dict(zip(matrix["columns"], matrix["rows"][0], strict=True))
    assert first["ds"] == "2013-01-09" and first["lag7"] == seen_value(ana, flights, "EWR", "2013-01-02")
    contest = look(ana, flights, "model", {"algorithms": ["ets"]})
    sizes = [len(preset["candidates"]) for preset in contest["presets"]]
    assert sizes == sorted(sizes) and sizes[0] < sizes[2]
    assert [one["id"] for one in contest["candidates"]] == ["seasonal_naive", "naive", "drift", "ets"]
    plan = look(ana, flights, "training", {"time_budget": 30})
    assert plan["time_budget"] == 30 and plan["series"] == 3 and plan["rows"] == 1095 and plan["seconds"] > 0
    assert ana.get(f"{flights}/state").json() == before
    assert {path for path in folder("datasets").rglob("*") if path.is_file()} == files


def seen_value(person, url: str, series: str, day: str) -> float:
    points = look(person, url, "preview", series=series)["points"]
    return points["y"][points["ds"].index(day)]


def test_a_preview_of_everyday_data_takes_a_fraction_of_a_second(ana, flights):
    settings = {
        "split": [{"horizon": steps} for steps in (7, 14, 21)],
        "preprocessing": [{"transforms": [name]} for name in ("log1p", "standard", "robust")],
        "features": [{"lags": [1, lag]} for lag in (2, 3, 4)],
    }
    look(ana, flights, "preview")
    for step, tries in settings.items():
        took = []
        for data in tries:
            started = time.process_time()
            look(ana, flights, step, data)
            took.append(time.process_time() - started)
        assert min(took) < 0.3, (step, took)


def test_a_preview_takes_the_steps_before_it_into_account(ana, flights):
    put(ana, flights, "preview", {"roles": {"Cancelados": "known_future"}})
    put(ana, flights, "split", {"horizon": 3, "folds": 2})
    known = look(ana, flights, "features", {"lags": [1, 7]})
    assert known["horizon"] == 3
    assert {entry["name"]: entry["steps"] for entry in known["features"]}["lag7"] == 3
    assert look(ana, flights, "training", {})["folds"] == 2


def test_wrong_settings_of_a_preview_are_refused_as_those_of_the_step(ana, flights):
    wrong = {
        "split": {"horizon": 5000, "folds": 2},
        "preprocessing": {"missing": "guess"},
        "features": {"lags": ["x"]},
        "model": {"algorithms": ["arimaa"]},
        "training": {"levels": [150]},
    }
    for step, data in wrong.items():
        refused = put(ana, flights, step, data) if step in ("split", "preprocessing") else None
        answer = ana.post(f"{flights}/preview", json={"step": step, "data": data})
        assert answer.status_code == 422, (step, answer.text)
        if refused is not None and refused.status_code == 422:
            assert answer.json()["code"] == refused.json()["code"]
    assert ana.post(f"{flights}/preview", json={"step": "upload"}).status_code == 422
    assert ana.post(f"{begun(ana)}/preview", json={"step": "split"}).json()["code"] == "pipelines.unreachable"


def test_data_that_cannot_be_a_panel_are_shown_with_the_reason_and_the_repair(ana):
    rows = table(40).decode().splitlines()
    url = begun(ana, sent(ana, "\n".join([*rows, rows[-1].replace("104", "7")]).encode())["dataset_id"])
    seen = look(ana, url, "preview", {"date": "date", "target": "sales", "series": []})
    assert not seen["can_forecast"] and seen["points"] is None and seen["reason"]["code"] == "panel.duplicates"
    finding = next(one for one in seen["findings"] if one["code"] == "duplicate_stamps")
    assert finding["action"] == "Somar linhas com a mesma data" and finding["action_step"] == "preview"


# --- drafts ---


def test_a_draft_is_kept_without_completing_its_step(ana, flights):
    answer = ana.put(f"{flights}/steps/split", json={"data": {"horizon": 10}, "confirm": False})
    body = answer.json()
    assert answer.status_code == 200 and body["facts"] == {} and body["current_step"] == "split"
    assert "split" not in body["completed_steps"] and body["steps"][2]["data"] == {"horizon": 10}
    assert ana.get(f"{flights}/state").json()["steps"][2]["data"] == {"horizon": 10}
    refused = ana.put(f"{flights}/steps/split", json={"data": {"horizon": -1}, "confirm": False})
    assert refused.status_code == 422 and ana.get(f"{flights}/state").json()["steps"][2]["data"] == {"horizon": 10}


def test_a_draft_of_a_complete_pipeline_reopens_what_depends_on_it(ana):
    url = complete(ana, sent(ana, table(120))["dataset_id"])
    body = ana.put(f"{url}/steps/features", json={"data": {"lags": [3]}, "confirm": False}).json()
    assert body["undone"] == ["training"] and "features" in body["completed_steps"] and not body["can_train"]
    same = ana.put(f"{url}/steps/features", json={"data": {"lags": [3]}, "confirm": False}).json()
    assert same["undone"] == []


# --- repairs ---


def test_outliers_are_repaired_in_preprocessing_and_the_repair_is_undone(ana, flights):
    finding = next(one for one in look(ana, flights, "preview")["findings"] if one["code"] == "outliers")
    assert finding["action"] == "Substituir valores atípicos no pré-processamento"
    body = ana.post(f"{flights}/repairs", json={"key": finding["key"]}, headers=PT).json()
    outliers = body["steps"][3]["data"]["outliers"]
    assert (outliers["method"], outliers["treatment"]) == ("hampel", "replace")
    seen = look(ana, flights, "preview")
    same = next(one for one in seen["findings"] if one["key"] == finding["key"])
    assert same["action"] is None and same["handled"].startswith("Tratados no passo de pré-processamento")
    assert [one["key"] for one in seen["repairs"]] == ["outliers"]
    back = ana.delete(f"{flights}/repairs", params={"key": "outliers"}).json()
    assert "outliers" not in back["steps"][3]["data"] and look(ana, flights, "preview")["repairs"] == []
    assert ana.delete(f"{flights}/repairs", params={"key": "outliers"}).json()["code"] == "repairs.unknown"


def test_rows_with_the_same_date_are_added_up_by_one_click(ana):
    rows = table(40).decode().splitlines()
    url = begun(ana, sent(ana, "\n".join([*rows, rows[-1].replace("104", "7")]).encode())["dataset_id"])
    chosen = {"date": "date", "target": "sales", "series": []}
    ana.put(f"{url}/steps/preview", json={"data": chosen, "confirm": False})
    key = next(one["key"] for one in look(ana, url, "preview")["findings"] if one["code"] == "duplicate_stamps")
    body = ana.post(f"{url}/repairs", json={"key": key}).json()
    assert body["steps"][1]["data"] == chosen | {"roles": {}, "duplicates": "sum"} and body["dataset_version"] == 1
    seen = look(ana, url, "preview")
    assert seen["can_forecast"] and seen["points"]["y"][-1] == 104 + 7
    ana.delete(f"{url}/repairs", params={"key": "duplicates"})
    assert not look(ana, url, "preview")["can_forecast"]


def trailing(days: int = 40) -> bytes:
    """Two shops, one of which ends in five zeros."""
    lines = ["dia;loja;vendas"]
    for day in range(days):
        for shop in ("Olinda", "Natal"):
            closed = shop == "Natal" and day >= days - 5
            stamp = date(2024, 1, 1) + timedelta(day)
            lines.append(f"{stamp:%d/%m/%Y};{shop};{0 if closed else 20 + (day * 7) % 11}")
    return "\n".join(lines).encode()


def test_a_repair_of_rows_makes_a_version_and_undo_returns_to_the_one_before(ana):
    dataset = sent(ana, trailing())["dataset_id"]
    url = begun(ana, dataset)
    put(ana, url, "preview", {})
    put(ana, url, "split", {"horizon": 3, "folds": 2})
    finding = next(one for one in look(ana, url, "preview")["findings"] if one["code"] == "trailing_zeros")
    assert finding["action_step"] == "data" and finding["action"].startswith("Encerrar Natal em 2024-02-04")
    body = ana.post(f"{url}/repairs", json={"key": finding["key"]}, headers=PT).json()
    assert body["dataset_version"] == 2 and body["undone_steps"] == ["split"]
    seen = look(ana, url, "preview", series="Natal")
    assert seen["points"]["rows"] == 35 and all(one["code"] != "trailing_zeros" for one in seen["findings"])
    assert seen["repairs"] == [
        {
            "key": "rows",
            "text": "Linhas corrigidas: A série Natal termina em 2024-02-04: 5 linhas posteriores foram removidas.",
        }
    ]
    body = ana.delete(f"{url}/repairs", params={"key": "rows"}).json()
    assert body["dataset_version"] == 1 and look(ana, url, "preview", series="Natal")["points"]["rows"] == 40
    assert len(ana.get(f"/datasets/{dataset}/versions").json()["items"]) == 2


@pytest.mark.parametrize(
    ("make", "code", "rows"),
    [
        (lambda rows: [*rows, rows[-1]], "repeated_rows", 40),
        (lambda rows: [*rows[:9], rows[9].replace(rows[9].split(",")[1], "-50"), *rows[10:]], "negative", 40),
    ],
)
def test_other_repairs_of_rows(ana, make, code, rows):
    content = "\n".join(make(table(40).decode().splitlines())).encode()
    url = begun(ana, sent(ana, content)["dataset_id"])
    ana.put(f"{url}/steps/preview", json={"data": {"target": "sales", "series": []}, "confirm": False})
    finding = next(one for one in look(ana, url, "preview")["findings"] if one["code"] == code)
    answer = ana.post(f"{url}/repairs", json={"key": finding["key"]})
    assert answer.status_code == 200, answer.text
    seen = look(ana, url, "preview")
    assert code not in [one["code"] for one in seen["findings"]] and seen["points"]["rows"] == rows


def test_a_repair_needs_the_right_to_change(ana, bia, vera, flights):
    key = look(ana, flights, "preview")["findings"][0]["key"]
    assert bia.post(f"{flights}/repairs", json={"key": key}).status_code == 404
    assert vera.post(f"{flights}/repairs", json={"key": key}).status_code == 403
    with database.writing() as session:
        for person in (bia, vera):
            session.add(Share(kind="pipeline", object_id=flights.rsplit("/", 1)[1], user_id=person.id, right="view"))
            dataset = ana.get(flights).json()["dataset_id"]
            session.add(Share(kind="dataset", object_id=dataset, user_id=person.id, right="view"))
    for person in (bia, vera):
        assert look(person, flights, "preview")["total"] == 3
        assert person.post(f"{flights}/repairs", json={"key": key}).status_code == 403
        assert person.delete(f"{flights}/repairs", params={"key": "outliers"}).status_code == 403
        for path in ("code", "notebook"):
            assert person.get(f"{flights}/{path}").status_code == 200
    assert ana.post(f"{flights}/repairs", json={"key": "nothing"}).json()["code"] == "repairs.unknown"


def test_nobody_sees_the_previews_and_the_code_of_another(bia, ana, flights):
    for method, path, body in (
        ("POST", "/preview", {"step": "split"}),
        ("POST", "/repairs", {"key": "x"}),
        ("DELETE", "/repairs?key=x", None),
        ("GET", "/code", None),
        ("GET", "/notebook", None),
    ):
        assert bia.request(method, flights + path, json=body).status_code == 404, path


# --- a training as it goes ---


def test_the_state_names_the_newest_model(ana):
    url = complete(ana, sent(ana, table(120))["dataset_id"])
    assert ana.get(f"{url}/state").json()["model"] is None
    model = ana.post(f"{url}/models", json={}).json()["model_id"]
    assert ana.get(f"{url}/state").json()["model"]["model_id"] == model


@both
def test_scores_losses_and_the_log_of_a_training_are_read_from_what_is_stored(ana):
    model = model_of(ana.id, None)
    empty = ana.get(f"/models/{model}/training/progress").json()
    assert empty["status"] == "configured" and empty["scores"] == empty["losses"] == empty["log"] == []
    with database.writing() as session:
        best = {"algorithm": "ets", "metric": "MASE", "value": 0.8}
        job = Job(id="j1", kind="train", owner_id=ana.id, model_id=model, state="running", attempt=2, best=best)
        session.add(job)

        def tell(attempt: int, key: str, **values) -> None:
            session.add(JobLog(job_id="j1", attempt=attempt, key=key, values=values, text=key))
            session.flush()

        def scored(attempt: int, name: str, value: float) -> None:
            told = {"algorithm": name, "metric": "MASE", "value": value, "seconds": 1.5}
            tell(attempt, "training.progress.scored", **told)

        def epoch(fold: int, number: int, loss: float) -> None:
            told = {"algorithm": "custom", "fold": fold, "epoch": number, "epochs": 2, "loss": loss}
            tell(2, "networks.progress.epoch_only", **told)

        scored(1, "theta", 0.1)
        scored(2, "naive", 1.2)
        scored(2, "ets", 0.8)
        for fold in (1, 2):
            epoch(fold, 1, 0.9)
            epoch(fold, 2, 0.5)
    seen = ana.get(f"/models/{model}/training/progress", headers=PT).json()
    assert [(one["algorithm"], one["value"], one["best"]) for one in seen["scores"]] == [
        ("ets", 0.8, True),
        ("naive", 1.2, False),
    ], "those of the running attempt"
    assert [(one["fold"], one["epoch"], one["loss"]) for one in seen["losses"]] == [
        (1, [1, 2], [0.9, 0.5]),
        (2, [1, 2], [0.9, 0.5]),
    ]
    assert [line["text"] for line in seen["log"]][-1] == "Época 2/2 - Perda: 0,5000" and seen["status"] == "training"
    rest = ana.get(f"/models/{model}/training/progress", params={"after": seen["next"]}).json()
    assert rest["log"] == [] and rest["next"] == seen["next"]
    last = ana.get(f"/models/{model}/training/progress", params={"limit": 1}).json()["log"]
    assert [line["id"] for line in last] == [seen["next"]]


@pytest.mark.parametrize("value", ["abc", 5, [1], {"a": [1]}, None, True])
def test_values_of_any_kind_are_answered(ana, flights, value):
    for step, fields in FIELDS.items():
        for name in {field["name"].partition(".")[0] for field in fields} | {
            "optimize",
            "parameters",
            "networks",
            "exclude_columns",
            "feature_columns",
        }:
            answer = ana.post(f"{flights}/preview", json={"step": step, "data": {name: value}})
            assert answer.status_code in (200, 422), (step, name, value, answer.text)


def test_the_preview_of_preprocessing_opens_on_the_series_that_changes_most(ana):
    lines = ["date,shop,sales"]
    for day in range(60):
        stamp = date(2024, 1, 1) + timedelta(day)
        lines += [f"{stamp},A,{10 + day % 7}"] + ([] if day in (20, 30) else [f"{stamp},B,{20 + day % 7}"])
    url = begun(ana, sent(ana, "\n".join(lines).encode())["dataset_id"])
    put(ana, url, "preview", {})
    seen = look(ana, url, "preprocessing")
    assert seen["shown"] == "B" and len(seen["filled"]) == 2
    assert "2 valores ausentes em 1 série foram preenchidos (Automático" in " ".join(seen["notes"])
    assert look(ana, url, "preprocessing", series="A")["shown"] == "A"
