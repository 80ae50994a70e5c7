# ruff: noqa: F811 - a fixture that is imported is no redefinition
"""Batches: rows in, files out, every forecast in the ledger, in a process of their own."""

import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from databases import kind  # noqa: F401 - a fixture
from sqlalchemy import func, select
from trained_models import register, runs, stores  # noqa: F401 - a fixture

from vur.jobs import batch, lifecycle, queue
from vur.jobs.messages import error_of, jsonable
from vur.store import database
from vur.store.catalog import Activity, Dataset, DatasetVersion, Forecast, ForecastPoint, Job, Model, new_id
from vur.store.home import folder

pytestmark = pytest.mark.slow
NEW = pd.DataFrame(
    {
        "dia": pd.to_datetime(["2024-04-30", "2024-05-01", "2024-04-30", "2024-04-30"]),
        "loja": ["norte", "norte", "sul", "nova"],
        "vendas": [61.0, 62.5, 85.5, 1.0],
    }
)
ROWS = [{"dia": f"{row.dia:%Y-%m-%d}", "loja": row.loja, "vendas": row.vendas} for row in NEW.itertuples()]


@pytest.fixture(autouse=True)
def no_queue(monkeypatch):
    """Jobs wait in the catalog: the tests do them."""
    monkeypatch.setattr(queue, "enqueue", lambda ids: None)


def started(person, path: str = "/predictions/batch", **request) -> str:
    answer = person.post(path, **request)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"].endswith(answer.json()["job_id"])
    return answer.json()["job_id"]


def do(job_id: str) -> None:
    """What a worker does with the job."""
    spec = lifecycle.claim(job_id, "tests")
    spec.folder.mkdir(parents=True, exist_ok=True)
    try:
        result = jsonable(batch.work(spec, lambda *told, **data: None))
    except Exception as error:  # as the child process keeps it
        lifecycle.end(spec, "tests", "failed", error=error_of(error))
    else:
        lifecycle.end(spec, "tests", "succeeded", result=result)


def download(person, job_id: str, **query) -> pd.DataFrame:
    answer = person.get(f"/predictions/batch/{job_id}/download", params=query)
    assert answer.status_code == 200, answer.text
    content = io.BytesIO(answer.content)
    return (
        pd.read_parquet(content)
        if "parquet" in answer.headers["content-type"]
        else pd.read_csv(content, float_precision="round_trip")
    )


@pytest.mark.parametrize("output", ["csv", "parquet"])
def test_a_batch_without_rows_forecasts_all_series_as_trained(ana, runs, output):
    register(ana.id, runs["stores"])
    job_id = started(ana, json={"model": "stores", "output": output})
    waiting = ana.get(f"/predictions/batch/{job_id}").json()
    assert (waiting["status"], waiting["files"], waiting["result"]) == ("queued", [], None)
    assert ana.get(f"/predictions/batch/{job_id}/download").json()["code"] == "predictions.not_ready"
    do(job_id)
    shown = ana.get(f"/predictions/batch/{job_id}").json()
    assert shown["status"] == "succeeded" and shown["progress"] == 100 and shown["files"] == [f"forecast.{output}"]
    assert (
        shown["result"]
        | {"series": 3, "failed": 0, "rows": 21, "horizon": 7, "model_version": runs["stores"].model_tag}
        == shown["result"]
    )
    found = download(ana, job_id)
    pd.testing.assert_frame_equal(
        found.assign(ds=pd.to_datetime(found["ds"])), runs["stores"].forecast, check_exact=True, check_dtype=False
    )
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(ForecastPoint)) == 21
        head = session.scalars(select(Forecast)).one()
        assert (head.id, head.kind, head.job_id, head.n_series) == (shown["result"]["forecast_id"], "batch", job_id, 3)
        assert session.scalars(select(Activity).where(Activity.kind == "batch_finished")).one().values == {
            "series": 3,
            "failed": 0,
        }
        assert session.get(Job, job_id).artifact == f"results/{job_id}/forecast.{output}"


def test_rows_in_the_body_and_in_a_file_move_their_series_and_errors_get_a_file(ana, runs):
    register(ana.id, runs["stores"])
    brazilian = NEW.assign(
        dia=NEW["dia"].dt.strftime("%d/%m/%Y"), vendas=NEW["vendas"].map(lambda value: f"{value:.1f}".replace(".", ","))
    )
    text = brazilian.to_csv(index=False, sep=";")
    expected = ana.post("/predictions/predict", json={"model": "stores", "series": ROWS}).json()["forecasts"]
    jobs = [
        started(ana, json={"model": "stores", "rows": ROWS}),
        started(
            ana,
            "/predictions/batch/upload",
            data={"model": "stores", "levels": "80,95", "output": "csv"},
            files={"file": ("novas.csv", text)},
            headers={"Accept-Language": "pt-BR"},
        ),
    ]
    for job_id in jobs:
        do(job_id)
        shown = ana.get(f"/predictions/batch/{job_id}").json()
        assert shown["status"] == "succeeded", shown["error"]
        assert (shown["result"]["series"], shown["result"]["failed"], shown["files"]) == (
            2,
            1,
            ["forecast.csv", "errors.csv"],
        )
        found = download(ana, job_id)
        for id, one in expected.items():
            assert found.loc[found["unique_id"] == id, "forecast"].tolist() == one["forecast"]
            assert found.loc[found["unique_id"] == id, "ds"].tolist() == one["timestamps"]
        assert not list(folder("results", job_id).glob("input*"))
    errors = download(ana, jobs[1], file="errors.csv")
    assert (
        errors[["series", "code"]].values.tolist() == [["nova", "predictions.unknown_series"]]
        and "não conhece" in errors["detail"][0]
    )


def test_rows_that_cannot_be_read_are_listed(ana, runs):
    register(ana.id, runs["stores"])
    days = pd.date_range("2024-04-30", periods=60).strftime("%Y-%m-%d")
    text = (
        "dia,loja,vendas\n"
        + "".join(f"{day},norte,{60 + number % 7}\n" for number, day in enumerate(days))
        + "2024-06-29,norte,muitas\n"
    )
    job_id = started(ana, "/predictions/batch/upload", data={"model": "stores"}, files={"file": ("x.csv", text)})
    do(job_id)
    shown = ana.get(f"/predictions/batch/{job_id}").json()
    assert (
        shown["status"] == "succeeded"
        and shown["result"]["rejected"] == 1
        and shown["files"] == ["forecast.csv", "rejects.csv"]
    )
    assert download(ana, job_id, file="rejects.csv")["line"].tolist() == [62]


def test_no_text_in_the_files_is_a_formula_of_a_spreadsheet(ana, runs, monkeypatch):
    register(ana.id, runs["stores"])
    forecasts = batch.forecasts

    def renamed(*given, **more):
        found = forecasts(*given, **more)
        return replace(found, frame=found.frame.assign(unique_id="=" + found.frame["unique_id"].astype(str)))

    monkeypatch.setattr(batch, "forecasts", renamed)
    days = pd.date_range("2024-04-30", periods=60).strftime("%Y-%m-%d")
    rows = "".join(f"{shop},{day},60\n" for shop in ("norte", "=1+1") for day in days)
    text = f"loja,dia,vendas\n{rows}=1+1,2024-06-29,muitas\n"
    job_id = started(ana, "/predictions/batch/upload", data={"model": "stores"}, files={"file": ("x.csv", text)})
    do(job_id)
    assert download(ana, job_id)["unique_id"].str.startswith("'=").all()
    assert download(ana, job_id)["forecast"].notna().all()
    assert download(ana, job_id, file="errors.csv")["series"].tolist() == ["'=1+1"]
    assert download(ana, job_id, file="rejects.csv")["text"].tolist() == ["'=1+1,2024-06-29,muitas"]


def test_a_batch_uses_the_newer_rows_of_a_dataset(ana, bia, runs, tmp_path):
    model = register(ana.id, runs["stores"])
    place = folder("datasets", "newer")
    place.mkdir(parents=True)
    pd.concat([stores(), NEW[:3]]).to_parquet(place / "data.parquet", index=False)
    with database.writing() as session:
        dataset = Dataset(
            id=new_id(),
            owner_id=ana.id,
            name="lojas",
            filename="x",
            size_bytes=1,
            fingerprint="f" * 64,
            rows=1,
            head={},
            number=1,
        )
        session.add(dataset)
        session.flush()
        session.add(
            DatasetVersion(
                dataset_id=dataset.id,
                number=1,
                kind="upload",
                fingerprint="f" * 64,
                folder="newer",
                rows=1,
                size_bytes=1,
            )
        )
    job_id = started(ana, json={"model": model.id, "dataset_id": dataset.id})
    do(job_id)
    moved = download(ana, job_id).groupby("unique_id")["ds"].min().to_dict()
    assert moved == {"norte": "2024-05-02", "sul": "2024-05-01", "leste": "2024-04-30"}
    assert bia.post("/predictions/batch", json={"model": model.id}).status_code == 404
    told = ana.post("/predictions/actuals", json={"model": model.id, "dataset_id": dataset.id})
    assert told.json()["points"] == 0
    ana.post("/predictions/predict", json={"model": model.id})
    assert ana.post("/predictions/actuals", json={"model": model.id, "dataset_id": dataset.id}).json()["points"] == 3


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"model": "nothing"}, 404),
        ({"model": "stores", "output": "xlsx"}, 422),
        ({"model": "stores", "dataset_id": "x"}, 404),
        ({"model": "stores", "dataset_id": "x", "rows": ROWS}, 422),
        ({"model": "stores", "series": {"a": {"timestamps": ["1"], "values": []}}}, 422),
    ],
)
def test_invalid_batches_are_rejected_and_leave_nothing(ana, runs, body, status):
    register(ana.id, runs["stores"])
    assert ana.post("/predictions/batch", json=body).status_code == status
    with database.reading() as session:
        assert session.scalars(select(Job)).all() == []
    assert not folder("results").exists() or not list(folder("results").iterdir())


@pytest.mark.parametrize(
    ("form", "file", "status"),
    [
        ({}, "a,b\n1,2\n", 422),
        ({"model": "nothing"}, "a,b\n1,2\n", 404),
        ({"model": "stores"}, "", 400),
        ({"model": "stores", "horizon": "x"}, "a\n", 422),
        ({"model": "stores", "colour": "red"}, "a\n", 400),
        ({"model": "stores", "levels": "80,101"}, "a\n", 422),
        ({"model": "stores", "encoding": "klingon"}, "a\n", 400),
    ],
)
def test_wrong_forms_are_refused_and_leave_nothing(ana, runs, form, file, status):
    register(ana.id, runs["stores"])
    answer = ana.post("/predictions/batch/upload", data=form, files={"file": ("../../x.csv", file)})
    assert answer.status_code == status, answer.text
    assert not folder("results").exists() or not list(folder("results").iterdir())


def test_a_batch_belongs_to_its_owner_and_has_only_the_listed_files(ana, bia, vera, runs):
    register(ana.id, runs["stores"])
    job_id = started(ana, json={"model": "stores"})
    do(job_id)
    assert [bia.get(f"/predictions/batch/{job_id}{path}").status_code for path in ("", "/download")] == [404, 404]
    for name in ("../catalog.sqlite", "input.json", "", "forecast.csv/../errors.csv"):
        assert ana.get(f"/predictions/batch/{job_id}/download", params={"file": name}).status_code in (
            (200,) if name == "" else (409,)
        )
    assert vera.post("/predictions/batch", json={"model": "stores"}).status_code == 403
    training = new_id()
    with database.writing() as session:
        session.add(Job(id=training, kind="train", owner_id=ana.id))
    assert ana.get(f"/predictions/batch/{training}").status_code == 404


def test_a_failed_batch_gives_the_reason_and_can_be_retried(ana, runs):
    register(ana.id, runs["stores"])
    job_id = started(ana, json={"model": "stores", "rows": [{"dia": "2024-04-30", "loja": "nova", "vendas": 1}]})
    do(job_id)
    shown = ana.get(f"/predictions/batch/{job_id}").json()
    assert (
        shown["status"] == "failed"
        and shown["error"]["code"] == "predictions.unknown_series"
        and "nova" in shown["error"]["detail"]
    )
    again = queue.retry(job_id).id
    do(again)
    assert ana.get(f"/predictions/batch/{again}").json()["error"]["code"] == "predictions.unknown_series"
    with database.reading() as session:
        assert (
            session.scalars(select(Activity).where(Activity.kind == "batch_failed")).all()
            and not session.scalars(select(Forecast)).all()
        )


def test_a_batch_runs_in_a_child_and_fails_once_its_owner_lost_the_model(ana, runs, catalog):
    model = register(ana.id, runs["stores"])
    for lost in (False, True):
        job_id = started(ana, json={"model": "stores"})
        if lost:
            with database.writing() as session:
                session.get(Model, model.id).tag = "stores:other"
        spec = lifecycle.claim(job_id, "tests")
        spec.folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [sys.executable, "-m", "vur.jobs.child", job_id, str(spec.attempt)],
            env=os.environ,
            capture_output=True,
            text=True,
            timeout=300,
        )
        left = Path(spec.folder / (lifecycle.FAILED if lost else lifecycle.DONE))
        assert done.returncode == lost and left.is_file(), done.stderr
        content = json.loads(left.read_text(encoding="utf-8"))
        assert content.get("code") == "store.no_model" if lost else content["rows"] == 21
    told = [json.loads(line) for line in (folder("jobs", job_id) / "1" / "progress.jsonl").read_text().splitlines()]
    assert told[0]["stage"] == "model"


@pytest.mark.parametrize(
    ("end", "alias", "order"),
    [("2013-12-31", "D", "dmy"), ("2013-12-01", "MS", "mdy"), ("2014-01-05", "D", "dmy"), ("2014-06-01", "MS", "mdy")],
)
def test_the_dates_of_new_rows_follow_the_model(end, alias, order):
    dates = {
        "mdy": pd.Series(pd.date_range("2014-01-01", periods=12, freq="MS")),
        "dmy": pd.Series(pd.date_range("2014-01-01", periods=12, freq="D")),
    }
    pipeline = SimpleNamespace(
        ends=pd.Series([pd.Timestamp(end)]), head=SimpleNamespace(freq=SimpleNamespace(alias=alias))
    )
    assert batch.following_order(dates, SimpleNamespace(pipeline=pipeline)) == order


def test_twelve_days_in_a_file_are_not_taken_for_twelve_months(ana, runs):
    register(ana.id, runs["stores"])
    days = pd.date_range("2024-05-01", periods=12)
    text = "dia;loja;vendas\n" + "".join(f"{day:%d/%m/%Y};norte;{60 + day.day},5\n" for day in days)
    form = {"model_id": "stores", "horizon": "3"}
    for order, first in (("", "2024-05-13"), ("mdy", "2024-12-06")):
        asked = form | ({"date_order": order} if order else {})
        job_id = started(ana, "/predictions/batch/upload", files={"file": ("maio.csv", text.encode())}, data=asked)
        do(job_id)
        assert download(ana, job_id)["ds"].tolist()[0] == first
