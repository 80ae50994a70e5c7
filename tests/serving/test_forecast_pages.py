# ruff: noqa: F811 - a fixture that is imported is no redefinition
"""The forecasts of a model for people: history, vintages, worst series, reasons, what-if, export."""

import io
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import openpyxl
import pandas as pd
import pytest
from databases import kind  # noqa: F401 - a fixture
from trained_models import register, runs, stores, trained_once  # noqa: F401 - a fixture

from vur.models.saved import forecast
from vur.store import database
from vur.store.catalog import Model, Run, Share

pytestmark = pytest.mark.slow


def with_folds(catalog: Path, model: Model, run) -> Model:
    """Let the service know the run of a model, and its forecasts over the folds."""
    source, key = trained_once()[0], run.record["stages"]["training"]["key"]
    shutil.copytree(source / "cache" / "training" / key, catalog / "cache" / "training" / key, dirs_exist_ok=True)
    with database.writing() as session:
        record = dict(run.record)
        row = Run(run_id=run.id, model_id=model.id, owner_id=model.owner_id, status="finished", folder="x")
        row.record = record
        session.add(row)
    return model


def get(person, path: str, status: int = 200, **parameters) -> dict:
    answer = person.get(path, params=parameters)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_the_history_of_a_series_is_what_was_observed_and_its_forecast(ana, runs):
    model = register(ana.id, runs["equipment"])
    found = ana.get(f"/models/{model.id}/history").json()
    data = pd.read_csv(Path(__file__).parents[2] / "data" / "electrical_equipment.csv")
    assert found["history"]["values"] == pytest.approx(data["turnover"].tolist())
    assert found["history"]["timestamps"][0] == found["history"]["first"] == data["month"].iloc[0]
    assert (found["history"]["count"], found["history"]["missing"], found["history"]["thinned"]) == (
        len(data),
        0,
        False,
    )
    expected, shown = forecast(model.tag), found["forecast"]
    assert shown["timestamps"] == [f"{stamp:%Y-%m-%d}" for stamp in expected["ds"]]
    assert shown["forecast"] == shown["official"] == pytest.approx(expected["forecast"].tolist())
    assert shown["intervals"]["95"]["hi"] == pytest.approx(expected["hi-95"].tolist())
    assert (shown["source"], shown["origin"]) == ("model", data["month"].iloc[-1]) and set(shown["override"]) == {None}
    assert get(ana, "/predictions")["total"] == 0, "looking at a forecast is no request for one"


def test_a_range_is_shown_finer_than_the_whole(ana, runs):
    model = register(ana.id, runs["hours"])
    whole = get(ana, f"/models/{model.id}/history", points=20)["history"]
    assert whole["thinned"] and len(whole["values"]) <= 20 and whole["count"] == 24 * 21
    part = get(
        ana, f"/models/{model.id}/history", **{"points": 20, "from": "2024-01-03", "to": "2024-01-03T11:00:00-03:00"}
    )
    assert part["history"]["timestamps"][0] == "2024-01-03T00:00:00-03:00", "a day begins in the data's time zone"
    assert (part["history"]["count"], part["history"]["thinned"]) == (12, False)
    assert part["history"]["first"] == whole["first"] and part["forecast"]["timestamps"]
    day = get(ana, f"/models/{model.id}/history", **{"from": "2024-01-03", "to": "2024-01-03"})["history"]
    assert day["count"] == 24, "the last day is a whole day"
    refused = get(ana, f"/models/{model.id}/history", 422, **{"from": "soon"})
    assert (refused["code"], refused["field"]) == ("forecasts.stamp", "from") and "-03:00" in refused["detail"]


def test_without_a_name_the_series_are_added(ana, runs):
    model = register(ana.id, runs["stores"])
    parts = [get(ana, f"/models/{model.id}/history", series=name) for name in ("leste", "norte", "sul")]
    whole = get(ana, f"/models/{model.id}/history")
    assert whole["series"] is None and whole["n_series"] == 3 and whole["forecast"]["intervals"] == {}
    sums = np.sum([one["forecast"]["forecast"] for one in parts], axis=0)
    assert whole["forecast"]["forecast"] == pytest.approx(sums.tolist())
    data = stores()
    by_day = data.groupby("dia")["vendas"].sum()
    assert whole["history"]["values"] == pytest.approx(by_day.tolist())
    refused = get(ana, f"/models/{model.id}/history", 422, series="oeste")
    assert refused["code"] == "predictions.unknown_series" and "leste" in refused["detail"]


def test_a_model_is_shown_to_those_who_may_see_it(ana, bia, vera, runs):
    model = register(ana.id, runs["equipment"])
    paths = ("history", "vintages", "series", "why", "future", "forecast/download", "overrides")
    assert {bia.get(f"/models/{model.id}/{path}").status_code for path in paths} == {404}
    with database.writing() as session:
        session.add(Share(kind="model", object_id=model.id, user_id=vera.id))
    assert {vera.get(f"/models/{model.id}/{path}").status_code for path in paths} == {200}


def test_actual_values_and_later_forecasts_are_part_of_the_history(ana, runs):
    model = register(ana.id, runs["equipment"])
    ana.post(f"/models/{model.id}/predict", json={"horizon": 3})
    row = {"month": "2016-06-01", "turnover": 111.5}
    assert ana.post("/predictions/actuals", json={"model": model.id, "series": [row]}).json()["matched"] == 1
    found = get(ana, f"/models/{model.id}/history")
    assert (found["later"]["timestamps"], found["later"]["values"]) == (["2016-06-01"], [111.5])
    assert found["forecast"]["source"] == "model"
    moved = ana.post(f"/models/{model.id}/predict", json={"horizon": 4, "series": [row]}).json()
    found = get(ana, f"/models/{model.id}/history")["forecast"]
    assert (found["source"], found["forecast_id"]) == ("ledger", moved["forecast_id"])
    assert found["origin"] == "2016-06-01" and len(found["timestamps"]) == 4


def test_past_forecasts_stand_beside_what_came(ana, bia, runs, catalog):
    model = with_folds(catalog, register(ana.id, runs["equipment"]), runs["equipment"])
    folds = get(ana, f"/models/{model.id}/vintages")
    assert [one["source"] for one in folds["issues"]] == ["backtest", "backtest"]
    horizon = folds["horizon"]
    assert all(one["n"] == horizon and None not in one["actual"] for one in folds["issues"])
    ana.post(f"/models/{model.id}/predict", json={"horizon": 2})
    ana.post(f"/models/{model.id}/predict", json={"horizon": 2})
    ana.post(
        "/predictions/actuals",
        json={"model": model.id, "series": [{"month": "2016-06-01", "turnover": 111.5}]},
    )
    found = ana.get(f"/models/{model.id}/vintages?lead=1").json()
    newest = found["issues"][0]
    assert (newest["source"], newest["origin"]) == ("ledger", "2016-05-01") and len(found["issues"]) == 3
    assert (newest["actual"], newest["n"]) == ([111.5, None], 1)
    assert newest["mae"] == pytest.approx(abs(newest["forecast"][0] - 111.5), abs=1e-5)
    assert newest["lo"][0] < newest["forecast"][0] < newest["hi"][0] and found["level"] == 95
    lead = found["lead"]
    assert (lead["source"], lead["n"]) == (["backtest", "backtest", "ledger"], 3)
    assert lead["forecast"][-1] == newest["forecast"][0]
    steps = {(one["source"], one["lead"]): one["n"] for one in found["by_lead"]}
    assert steps[("backtest", 1)] == 2 and steps[("ledger", 1)] == 1 and steps[("ledger", 2)] == 0
    with database.writing() as session:
        session.add(Share(kind="model", object_id=model.id, user_id=bia.id))
    hers = get(bia, f"/models/{model.id}/vintages")["issues"]
    assert {one["source"] for one in hers} == {"backtest"}, "forecasts of others are not told"


def test_the_worst_series_come_first(ana, runs, catalog):
    model = with_folds(catalog, register(ana.id, runs["stores"]), runs["stores"])
    found = ana.get(f"/models/{model.id}/series").json()
    shares = [one["share"] for one in found["items"]]
    assert found["total"] == 3 and shares == sorted(shares, reverse=True) and sum(shares) == pytest.approx(100)
    folds = pd.read_parquet(
        catalog
        / "cache"
        / "training"
        / runs["stores"].record["stages"]["training"]["key"]
        / "evaluation_forecasts.parquet"
    )
    rows = folds[folds["algorithm"] == runs["stores"].record["winner"]]
    mae = (rows["forecast"] - rows["y"]).abs().groupby(rows["unique_id"]).mean()
    assert {one["series"]: one["mae"] for one in found["items"]} == pytest.approx(mae.to_dict(), abs=1e-5)
    by_name = get(ana, f"/models/{model.id}/series", sort="series", limit=1, page=2)
    assert [one["series"] for one in by_name["items"]] == ["norte"] and by_name["pages"] == 3
    assert [one["series"] for one in get(ana, f"/models/{model.id}/series", search="SUL")["items"]] == ["sul"]
    assert get(ana, f"/models/{model.id}/series", 422, sort="colour")["field"] == "sort"


def test_the_reasons_of_a_forecast_add_up_to_it(ana, runs):
    model = register(ana.id, runs["shop"])
    history = get(ana, f"/models/{model.id}/history", series="sul")["forecast"]
    at = history["timestamps"][2]
    found = ana.get(f"/models/{model.id}/why?series=sul&at={at}").json()
    assert (found["timestamp"], found["step"]) == (at, 3)
    assert found["forecast"] == pytest.approx(history["forecast"][2], abs=10 ** -found["digits"])
    total = found["baseline"] + sum(part["contribution"] for part in found["parts"])
    assert total == pytest.approx(found["forecast"], abs=1e-9)
    assert any("preco" in part["label"] for part in found["parts"])
    ours = ana.get(f"/models/{model.id}/why?series=sul", headers={"Accept-Language": "pt-BR"}).json()
    assert ours["step"] == 1 and ours["sentences"] and ours["sentences"] != found["sentences"]
    assert get(ana, f"/models/{model.id}/why", 422)["code"] == "forecasts.series_needed"
    assert get(ana, f"/models/{model.id}/why", 422, series="sul", at="2020-01-01")["code"] == "insight.stamp_past"


def test_reasons_of_hourly_data_name_local_times(ana, runs):
    model = register(ana.id, runs["hours"])
    found = get(ana, f"/models/{model.id}/why")
    assert found["timestamp"] == "2024-01-22T00:00:00-03:00" and "22 Jan 2024, 00:00" in found["sentences"][0]


def test_a_what_if_shows_both_forecasts_and_stores_nothing(ana, vera, runs):
    model = register(ana.id, runs["shop"])
    columns = ana.get(f"/models/{model.id}/future?series=sul").json()
    (price,) = columns["columns"]
    assert (price["name"], price["kind"], price["used"]) == ("preco", "number", True) and price["low"] < price["high"]
    assert len(price["values"]) == len(columns["timestamps"]) == 7 and None not in price["values"]
    body = {"series": "sul", "changes": {"preco": "+20%"}}
    with database.writing() as session:
        session.add(Share(kind="model", object_id=model.id, user_id=vera.id))
    found = vera.post(f"/models/{model.id}/what-if", json=body).json()
    base = get(ana, f"/models/{model.id}/history", series="sul")["forecast"]
    assert found["baseline"] == pytest.approx(base["forecast"]) and found["timestamps"] == base["timestamps"]
    assert (
        found["difference"] == pytest.approx(sum(found["forecast"]) - sum(found["baseline"])) and found["percent"] < 0
    )
    assert found["intervals"]["80"]["lo"][0] < found["forecast"][0]
    whole = vera.post(f"/models/{model.id}/what-if", json={"changes": {"preco": "+20%"}}).json()
    assert whole["series"] is None and whole["difference"] < found["difference"] and whole["intervals"] == {}
    far = vera.post(f"/models/{model.id}/what-if", json={"series": "sul", "changes": {"preco": 900}}).json()
    assert any("900" in text for text in far["warnings"])
    last = {"preco": {"change": "+20%", "start": base["timestamps"][-1]}}
    late = vera.post(f"/models/{model.id}/what-if", json={"series": "sul", "changes": last}).json()
    assert late["forecast"][:-1] == late["baseline"][:-1] and late["forecast"][-1] != late["baseline"][-1]
    for wrong, code in (({"prico": 1}, "covariates.column_close"), ({"preco": "cheap"}, "scenarios.edit")):
        answer = vera.post(f"/models/{model.id}/what-if", json={"series": "sul", "changes": wrong})
        assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert get(ana, "/predictions")["total"] == 0


def test_a_model_without_known_future_columns_has_no_what_if(ana, runs):
    model = register(ana.id, runs["equipment"])
    assert get(ana, f"/models/{model.id}/future")["columns"] == []
    answer = ana.post(f"/models/{model.id}/what-if", json={"changes": {"price": 1}})
    assert (answer.status_code, answer.json()["code"]) == (422, "covariates.unused")


def test_a_what_if_of_a_large_model_runs_within_limits(ana, runs, monkeypatch):
    from vur.predictions import bounded, what_if

    model = register(ana.id, runs["shop"])
    monkeypatch.setattr(what_if, "is_big", lambda *_: True)
    body = {"changes": {"preco": "+20%"}}
    found = ana.post(f"/models/{model.id}/what-if", json=body)
    assert found.status_code == 200, found.text
    monkeypatch.setattr(bounded, "settings", lambda: SimpleNamespace(analysis_seconds=0.05))
    slow = ana.post(f"/models/{model.id}/what-if", json=body)
    assert (slow.status_code, slow.json()["code"]) == (422, "forecasts.slow")


def test_the_forecast_is_downloaded_as_people_open_it(ana, runs):
    model = register(ana.id, runs["shop"])
    data = forecast(model.tag)
    english = ana.get(f"/models/{model.id}/forecast/download")
    assert english.headers["content-type"].startswith("text/csv") and 'filename="shop.csv"' in str(english.headers)
    table = pd.read_csv(io.BytesIO(english.content))
    assert list(table)[:3] == ["loja", "dia", "forecast"] and "low 95%" in table
    assert table["forecast"].to_numpy() == pytest.approx(data["forecast"].to_numpy())
    ours = ana.get(f"/models/{model.id}/forecast/download?dialect=pt-BR&series=sul").content
    assert ours.startswith("\ufeffloja;dia;previsão".encode())
    table = pd.read_csv(io.BytesIO(ours), sep=";", decimal=",", encoding="utf-8-sig")
    own = data[data["unique_id"] == "sul"]
    assert table["previsão"].to_numpy() == pytest.approx(own["forecast"].to_numpy()) and set(table["loja"]) == {"sul"}
    assert table["dia"][0] == f"{pd.Timestamp(own['ds'].iloc[0]):%d/%m/%Y}"
    assert table["previsão"].astype(str).str.len().max() <= 9  # about six figures and the mark
    book = openpyxl.load_workbook(io.BytesIO(ana.get(f"/models/{model.id}/forecast/download?format=xlsx").content))
    rows = list(book.active.values)
    assert len(rows) == len(data) + 1 and rows[1][1].year == 2024 and rows[1][2] == pytest.approx(data["forecast"][0])
