# ruff: noqa: F811 - a fixture that is imported is no redefinition
"""Predictions over HTTP: the numbers of the pipeline, errors by series, the model that was promoted a moment ago."""

import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from databases import kind  # noqa: F401 - a fixture
from trained_models import checksum, later_version, register, runs, shop, stores  # noqa: F401 - a fixture

from vur.models.saved import forecast
from vur.models.update import update_model
from vur.store import database
from vur.store.catalog import Model, Share
from vur.store.models.models import find_model

pytestmark = pytest.mark.slow


def frame_of(answer: dict) -> pd.DataFrame:
    """The answer in the columns of `vur.models.saved.forecast`."""
    parts = []
    for id, one in answer["forecasts"].items():
        ends = {f"{end}-{level}": ends[end] for level, ends in one["intervals"].items() for end in ("lo", "hi")}
        parts.append(
            pd.DataFrame(
                {"unique_id": id, "ds": pd.to_datetime(one["timestamps"]), "forecast": one["forecast"], **ends}
            )
        )
    return pd.concat(parts, ignore_index=True)


def same(answer: dict, expected: pd.DataFrame) -> None:
    """Equal to the last digit."""
    pd.testing.assert_frame_equal(frame_of(answer), expected, check_exact=True, check_dtype=False)


def ask(person, path: str = "/predictions/predict", **body) -> dict:
    answer = person.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_response_has_the_pipelines_numbers_and_their_provenance(ana, runs):
    model = register(ana.id, runs["equipment"])
    for name in (model.id, model.tag, "equipment", "equipment@champion"):
        answer = ask(ana, model=name, horizon=6, levels=[50, 99])
        same(answer, forecast(model.tag, 6, levels=(50, 99)))
        same(ask(ana, model=name, horizon=6, levels=[99, 50]), forecast(model.tag, 6, levels=(50, 99)))
    assert (
        answer["model_id"] == model.id
        and answer["model_version"] == model.tag
        and answer["run_id"] == runs["equipment"].id
    )
    assert answer["data_version"] == f"{runs['equipment'].record['fingerprint']}:1"
    assert answer["origin"] == answer["forecasts"]["turnover"]["origin"] == "2016-05-01" and answer["errors"] == {}
    same(ask(ana, f"/models/{model.id}/predict"), runs["equipment"].forecast)
    same(ask(ana, "/predictions/real-time", model_id=model.id), runs["equipment"].forecast)
    assert ask(ana, model=model.id, levels=[])["forecasts"]["turnover"]["intervals"] == {}


def test_whole_numbers_on_request_keep_the_sum_of_each_series(ana, runs):
    model = register(ana.id, runs["stores"])
    plain = ask(ana, model=model.id, horizon=7)
    assert (plain["point"], plain["whole"]) == ("mean", False)
    for series in (None, ["norte", "sul"]):
        whole = ask(ana, model=model.id, horizon=7, whole=True, series=series)
        assert (whole["point"], whole["whole"]) == ("mean", True)
        for id, one in whole["forecasts"].items():
            assert all(value == round(value) for value in one["forecast"])
            assert abs(sum(one["forecast"]) - sum(plain["forecasts"][id]["forecast"])) <= 0.5 + 1e-9
        same(whole, forecast(model.tag, 7, whole=True).query("unique_id in @whole['forecasts']").reset_index(drop=True))
    assert ask(ana, model=model.id, horizon=7)["forecasts"] == plain["forecasts"]
    assert ana.post("/predictions/predict", json={"model": model.id, "whole": "maybe"}).status_code == 422


def test_new_observations_move_the_origin_as_an_update_of_the_model_does(ana, runs):
    model = register(ana.id, runs["stores"])
    new = pd.DataFrame(
        {
            "dia": pd.to_datetime(["2024-04-30", "2024-05-01", "2024-05-02", "2024-04-30"]),
            "loja": ["norte", "norte", "norte", "sul"],
            "vendas": [61.0, 62.5, 64.0, 85.5],
        }
    )
    moved = update_model(model.tag, pd.concat([stores(), new]))
    expected = forecast(moved.tag).set_index("unique_id")
    rows = [{"dia": f"{row.dia:%Y-%m-%d}", "loja": row.loja, "vendas": row.vendas} for row in new.itertuples()]
    lists = {
        name: {"timestamps": [f"{dia:%Y-%m-%d}" for dia in part["dia"]], "values": part["vendas"].tolist()}
        for name, part in new.groupby("loja", sort=False)
    }
    for series in (rows, lists):
        answer = ask(ana, model="stores", series=series)
        assert {id: one["origin"] for id, one in answer["forecasts"].items()} == {
            "norte": "2024-05-02",
            "sul": "2024-04-30",
        }
        for id, one in answer["forecasts"].items():  # an update forecasts all series after the same stamp
            updated = expected.loc[[id]].set_index("ds")["forecast"]
            own = pd.Series(one["forecast"], pd.to_datetime(one["timestamps"]))
            shared = own.index.intersection(updated.index)
            assert len(shared) >= 5 and own[shared].tolist() == updated[shared].tolist()
    same(ask(ana, model="stores"), runs["stores"].forecast)


def test_series_that_cannot_be_forecast_have_an_error_each(ana, runs):
    register(ana.id, runs["stores"])
    answer = ask(ana, model="stores", series=["norte", "nordeste"])
    assert (
        list(answer["forecasts"]) == ["norte"] and answer["errors"]["nordeste"]["code"] == "predictions.unknown_series"
    )
    assert "norte" in answer["errors"]["nordeste"]["detail"]
    day = {"timestamps": ["2024-04-30"], "values": [60.0]}
    broken = {
        "norte": day,
        "outra": day,
        "sul": {"timestamps": ["2024-04-30"], "values": [60.0, 61.0]},
        "leste": {"timestamps": ["2024-04-30", "2024-04-30"], "values": [60.0, 61.0]},
    }
    answer = ask(ana, model="stores", series=broken)
    assert list(answer["forecasts"]) == ["norte"]
    assert {id: error["code"] for id, error in answer["errors"].items()} == {
        "outra": "predictions.unknown_series",
        "sul": "predictions.lengths",
        "leste": "panel.duplicates",
    }
    far = ask(ana, model="stores", series={"norte": day, "sul": {"timestamps": ["2124-04-30"], "values": [60.0]}})
    assert far["errors"]["sul"]["code"] == "predictions.too_far" and list(far["forecasts"]) == ["norte"]
    refused = ana.post(
        "/predictions/predict", json={"model": "stores", "series": ["x", "y"]}, headers={"Accept-Language": "pt-BR"}
    )
    assert (
        refused.status_code == 422
        and refused.json()["code"] == "predictions.unknown_series"
        and "não conhece" in refused.json()["detail"]
    )
    assert set(refused.json()["errors"]) == {"x", "y"}


def test_a_missing_future_value_is_named_and_stops_only_its_series(ana, runs):
    model = register(ana.id, runs["shop"])
    same(ask(ana, model="shop"), runs["shop"].forecast)
    ahead = shop().query("vendas.isna()").groupby("loja").head(7)
    raised = ahead.assign(preco=ahead["preco"] + 1)
    rows = [{"dia": f"{row.dia:%Y-%m-%d}", "loja": row.loja, "preco": row.preco} for row in raised.itertuples()]
    same(ask(ana, model="shop", future=rows), forecast(model.tag, future=raised.drop(columns="vendas")))
    lower, before = frame_of(ask(ana, model="shop", future=rows)), runs["shop"].forecast
    assert (lower["forecast"].to_numpy() < before["forecast"].to_numpy()).mean() > 0.9
    long = [row for row in rows if row["loja"] == "sul"] + [
        {"dia": f"{day:%Y-%m-%d}", "loja": "sul", "preco": 9.0} for day in pd.date_range("2024-05-14", periods=3)
    ]
    answer = ask(ana, model="shop", horizon=17, future=long)
    assert list(answer["forecasts"]) == ["sul"] and set(answer["errors"]) == {"norte", "leste"}
    error = answer["errors"]["norte"]
    assert (
        error["code"] == "covariates.missing"
        and "preco (norte, 2024-05-14)" in error["detail"]
        and len(error["values"]["table"]) == 3
    )
    wrong = [{"dia": "2024-05-01", "loja": "sul", "preco": "caro"}]
    assert ana.post("/predictions/predict", json={"model": "shop", "future": wrong}).status_code == 422


def test_a_global_model_forecasts_an_unseen_series(ana, runs):
    register(ana.id, runs["shop"])
    like = shop().query("loja == 'sul'")
    known = {
        "timestamps": [f"{dia:%Y-%m-%d}" for dia in like["dia"][:-14]],
        "values": like["vendas"][:-14].tolist(),
        "preco": like["preco"][:-14].tolist(),
    }
    future = [{"dia": f"{row.dia:%Y-%m-%d}", "loja": "oeste", "preco": row.preco} for row in like[-14:-7].itertuples()]
    answer = ask(ana, model="shop", series={"oeste": known}, future=future)
    assert np.allclose(
        answer["forecasts"]["oeste"]["forecast"],
        ask(ana, model="shop", series=["sul"])["forecasts"]["sul"]["forecast"],
        rtol=0.02,
    )


def test_hours_are_in_the_time_zone_of_the_data(ana, runs):
    register(ana.id, runs["hours"])
    answer = ask(ana, model="hours")
    assert answer["origin"] == "2024-01-21T23:00:00-03:00"
    assert answer["forecasts"]["carga"]["timestamps"] == [f"2024-01-22T0{hour}:00:00-03:00" for hour in range(4)]
    shown = ana.get(f"/predictions/{answer['forecast_id']}").json()["forecasts"]["carga"]
    assert shown["timestamps"] == answer["forecasts"]["carga"]["timestamps"] and shown["origin"] == answer["origin"]
    for stamp in ("2024-01-22T00:00:00", "2024-01-22T03:00:00Z", "2024-01-22T00:00:00-03:00"):
        moved = ask(ana, model="hours", series=[{"hora": stamp, "carga": 100.0}])
        assert moved["origin"] == "2024-01-22T00:00:00-03:00"
    assert (
        ana.post(
            "/predictions/actuals", json={"model": "hours", "series": [{"hora": "2024-01-22 01:00", "carga": 5.0}]}
        ).json()["points"]
        == 4
    )
    assert ana.get(f"/predictions/{answer['forecast_id']}").json()["forecasts"]["carga"]["actual"] == [
        None,
        5.0,
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"model": "nothing"}, 404, "api.not_found"),
        ({"model": "nothing:1"}, 404, "api.not_found"),
        ({}, 422, "api.invalid"),
        ({"model": "equipment", "horizon": 0}, 422, "api.invalid"),
        ({"model": "equipment", "horizon": 10_001}, 422, "api.invalid"),
        ({"model": "equipment", "levels": [100]}, 422, "api.invalid"),
        ({"model": "equipment", "levels": ["NaN"]}, 422, "api.invalid"),
        ({"model": "equipment", "series": []}, 422, "api.invalid"),
        ({"model": "equipment", "series": {}}, 422, "api.invalid"),
        ({"model": "equipment", "series": [{"x": 1}]}, 422, "panel.column_missing"),
        ({"model": "equipment", "series": "turnover"}, 422, "api.invalid"),
        ({"model": "equipment", "series": {"turnover": {"timestamps": [], "values": []}}}, 422, "insight.no_rows"),
        (
            {"model": "equipment", "series": {"turnover": {"timestamps": ["31/12/2016"], "values": [1]}}},
            422,
            "panel.date_unreadable",
        ),
        (
            {"model": "equipment", "series": {"turnover": {"timestamps": ["2016-06-01"], "values": [None]}}},
            422,
            "panel.target_empty",
        ),
        ({"model": "equipment", "future": [{"month": "2016-06-01", "price": 1}]}, 422, "covariates.unused"),
        ({"model": "equipment", "horizon": 10_000, "levels": list(range(1, 20))}, 422, "predictions.too_many"),
    ],
)
def test_invalid_requests_are_rejected_with_a_reason(ana, runs, body, status, code):
    register(ana.id, runs["equipment"])
    answer = ana.post("/predictions/predict", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


def test_another_users_model_cannot_be_used(ana, bia, vera, root, stranger, runs):
    model = register(ana.id, runs["equipment"])
    asked = ask(ana, model=model.id)["forecast_id"]
    for name in (model.id, model.tag, "equipment"):
        assert bia.post("/predictions/predict", json={"model": name}).status_code == 404
        assert bia.post(f"/models/{name}/predict", json={}).status_code == 404
    assert stranger.post("/predictions/predict", json={"model": model.id}).status_code == 401
    assert bia.get(f"/predictions/{asked}").status_code == 404 and bia.get("/predictions").json()["total"] == 0
    assert bia.get(f"/predictions?model={model.id}").json()["total"] == 0
    with database.writing() as session:
        session.add_all([Share(kind="model", object_id=model.id, user_id=person.id) for person in (bia, vera)])
    for person in (bia, vera):
        own = ask(person, model="equipment")["forecast_id"]
        assert (
            person.get(f"/predictions/{own}").status_code == 200
            and person.get(f"/predictions/{asked}").status_code == 404
        )
        assert person.get("/predictions").json()["total"] == 1
        assert person.post(f"/models/{model.id}/promote").status_code == 403
    assert root.get(f"/predictions/{asked}").status_code == 200 and root.get("/predictions").json()["total"] == 3
    assert ana.get("/predictions").json()["total"] == 1


def test_some_series_of_a_large_model_have_the_same_numbers(ana, runs, monkeypatch):
    from vur.predictions import predict

    register(ana.id, runs["stores"])
    whole = ask(ana, model="stores", horizon=5)["forecasts"]
    monkeypatch.setattr(predict, "CHUNK", 10)  # as if three series were many
    for series in (["sul"], ["leste", "norte"], ["norte", "x"]):
        answer = ask(ana, model="stores", horizon=5, series=series)
        assert answer["forecasts"] == {id: whole[id] for id in series if id in whole} and set(answer["errors"]) == set(
            series
        ) - set(whole)


def test_a_tampered_model_never_answers(ana, runs):
    model = register(ana.id, runs["equipment"])
    path = Path(find_model(model.tag).path) / "pipeline.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"seed": 0', '"seed": 1'), encoding="utf-8")
    answer = ana.post("/predictions/predict", json={"model": model.id})
    assert (answer.status_code, answer.json()["code"]) == (409, "store.tampered")


def test_a_model_whose_checksums_were_forged_along_never_answers(ana, runs):
    from vur.store.models.models import CHECKSUMS, checksums

    model = register(ana.id, runs["equipment"])
    folder = Path(find_model(model.tag).path)
    (folder / "README.md").write_text("changed", encoding="utf-8")
    (folder / CHECKSUMS).write_text(checksums(folder), encoding="utf-8")
    assert ana.post("/predictions/predict", json={"model": model.id}).json()["code"] == "store.tampered"
    with database.writing() as session:
        session.get(Model, model.id).checksum = checksum(model.tag)
    assert ana.post("/predictions/predict", json={"model": model.id}).status_code == 200
    shutil.rmtree(folder)
    assert (
        ana.post("/predictions/predict", json={"model": model.id, "horizon": 3}).status_code == 200
    )  # it is open already


def test_promotion_and_rollback_apply_from_the_next_request(ana, runs):
    first, second = (
        register(ana.id, runs["equipment"]),
        register(ana.id, runs["equipment"], champion=False, tag=later_version(runs["equipment"])),
    )
    answers, wrong, stop = [], [], threading.Event()

    def keep_asking() -> None:
        while not stop.is_set():
            answer = ana.post("/predictions/predict", json={"model": "equipment", "horizon": 3})
            (answers if answer.status_code == 200 else wrong).append(answer.json())

    threads = [threading.Thread(target=keep_asking) for _ in range(6)]
    for thread in threads:
        thread.start()
    try:
        for round in range(10):
            path = f"/models/{second.id}/promote" if round % 2 == 0 else f"/models/{first.id}/rollback"
            moved = ana.post(path)
            assert moved.status_code == 200, moved.text
            expected = second.tag if round % 2 == 0 else first.tag
            assert moved.json()["model_version"] == expected
            assert ask(ana, model="equipment", horizon=3)["model_version"] == expected
            time.sleep(0.1)
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    assert not wrong and {answer["model_version"] for answer in answers} == {first.tag, second.tag}
    by_tag = {
        tag: {str(answer["forecasts"]) for answer in answers if answer["model_version"] == tag}
        for tag in (first.tag, second.tag)
    }
    assert all(len(found) == 1 for found in by_tag.values()) and by_tag[first.tag] != by_tag[second.tag]
    moves = ana.get(f"/models/{first.id}/promotions").json()
    assert (
        moves["champion"] == first.id
        and [move["rollback"] for move in moves["items"]][:2] == [True, False]
        and len(moves["items"]) == 11
    )
    assert ana.post(f"/models/{first.id}/rollback").json()["code"] == "champions.no_previous"


def test_concurrent_requests_open_a_model_once_and_old_ones_are_evicted(ana, runs, monkeypatch):
    from vur.predictions import open_models
    from vur.predictions import open_models as opened

    opened_tags = []
    plain = opened.open_served
    monkeypatch.setattr(
        opened, "open_served", lambda served: opened_tags.append(served.tag) or time.sleep(0.2) or plain(served)
    )
    monkeypatch.setattr(open_models, "_models", open_models.LruCache(1))
    model, other = register(ana.id, runs["equipment"]), register(ana.id, runs["stores"])
    threads = [threading.Thread(target=ask, args=(ana,), kwargs={"model": model.id}) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert opened_tags == [model.tag]
    ask(ana, model=other.id)
    ask(ana, model=model.id)
    assert opened_tags == [model.tag, other.tag, model.tag]


def test_a_start_opens_champions_and_logs_only_their_errors(runs, ana, caplog, monkeypatch):
    from vur.predictions import predict
    from vur.serving.process import startup

    monkeypatch.setattr(startup.gc, "freeze", lambda: None)
    monkeypatch.setattr(startup.gc, "set_threshold", lambda *_: None)
    needs_more, plain = register(ana.id, runs["shop"]), register(ana.id, runs["equipment"])
    startup.warm()
    opened = {served.tag for served in startup.moved_last() if predict.open_if_cached(served)}
    assert opened == {needs_more.tag, plain.tag} and not caplog.records, (
        "a model that asks for coming values is no broken one"
    )
    forecast = predict._forecast
    monkeypatch.setattr(
        predict,
        "_forecast",
        lambda opened, request: 1 / 0 if opened.saved.tag == plain.tag else forecast(opened, request),
    )
    startup.warm()
    assert [record.levelname for record in caplog.records] == ["ERROR"] and plain.tag in caplog.records[0].getMessage()
