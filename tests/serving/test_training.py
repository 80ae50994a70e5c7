"""Training over HTTP with a real worker: from the request to the files, and every way it can fail."""

import hashlib
import json

import psutil
import pytest
from databases import kind  # noqa: F401 - a fixture
from jobkit import DATA, dataset_of, ended, job_of, model_of, until, worker
from sqlalchemy import select

from vur.store import database
from vur.store.catalog import Activity, Alert, Alias, Event, Model, Run, Share

SLOW = pytest.mark.slow


@pytest.fixture
def partidas(ana) -> str:
    return dataset_of(ana.id, DATA / "partidas_diarias.csv")


@SLOW
def test_a_training_reports_progress_and_produces_a_model_with_its_files(ana, catalog, partidas):
    model = model_of(ana.id, partidas)
    before = ana.get(f"/models/{model}/training/status").json()
    assert (before["status"], before["progress"], before["job_id"]) == ("configured", 0.0, None)
    answer = ana.post(f"/models/{model}/train")
    assert answer.status_code == 202 and answer.json()["status"] == "queued" and answer.json()["model_id"] == model
    assert ana.get(f"/models/{model}/training/status").json()["status"] == "queued"
    busy = ana.post(f"/models/{model}/train", headers={"Accept-Language": "pt-BR"}).json()
    assert busy["code"] == "api.running" and f"modelo {model}" in busy["detail"] and busy["values"]["kind"] == "model"
    seen = []
    with worker(catalog):

        def look() -> bool:
            seen.append(ana.get(f"/models/{model}/training/status").json())
            return seen[-1]["status"] not in ("queued", "training")

        until(look, 90, 0.2)
    last = seen[-1]
    assert last["status"] == "trained", last
    assert (
        last["progress"] == 100
        and last["metrics"].keys() >= {"rmse", "mae", "mape", "r2"}
        and last["logs"]
        and last["attempt"] == 1
    )
    assert last["current_epoch"] is None and last["total_epochs"] is None
    progress = [one["progress"] for one in seen]
    assert progress == sorted(progress) and len({one["stage"] for one in seen}) > 2, (
        "it was watched, not only found done"
    )

    found = ana.get(f"/models/{model}/results").json()
    with database.reading() as session:
        row, run = session.get(Model, model), session.scalars(select(Run)).one()
        types = [event.type for event in session.scalars(select(Event))]
        updates = [event.data for event in session.scalars(select(Event).where(Event.type == "training_update"))]
        assert session.scalars(select(Activity.kind).order_by(Activity.created_at)).all()[-2:] == [
            "model_trained",
            "model_promoted",
        ]
        assert session.scalars(select(Alias.model_id)).all() == [model], "the first of its family is its champion"
        assert not session.scalars(select(Alert)).all()
    best, metric = last["best"], found["metric"]
    assert (best["algorithm"], best["metric"]) == (found["algorithm"], metric.upper())
    assert best["value"] == found["metrics"][metric] == last["metrics"][metric] == updates[-1]["metrics"][metric]
    assert updates[-1]["best"] == best
    for one in seen[:-1]:
        assert one["metrics"] == (one["best"] or {}).get("scores", {}), "the metrics are those of the best so far"
    folder = catalog / run.folder
    assert (
        run.folder.startswith(f"results/{last['job_id']}/1/")
        and run.run_id == row.run_id == found["run_id"] == folder.name
    )
    record = json.loads((folder / "run.json").read_text())
    assert (
        row.tag == record["model"]
        and row.status == "trained"
        and row.facts["winner"] == record["winner"] == found["algorithm"]
    )
    hashes = b"".join(hashlib.sha256((folder / name).read_bytes()).digest() for name in ("run.json", "train.ipynb"))
    assert run.checksum == hashlib.sha256(hashes).hexdigest()
    lines = (folder / "forecast.csv").read_text().splitlines()
    assert found["forecast_rows"] == len(lines) - 1 == len(found["forecast"])
    first = dict(zip(lines[0].split(","), lines[1].split(","), strict=True))
    assert float(first["forecast"]) == found["forecast"][0]["forecast"] and first["ds"] == found["forecast"][0]["ds"]
    assert found["leaderboard"][0]["mase"] == row.metrics["mase"] == found["metrics"]["mase"]
    assert {check["check"] for check in found["diagnostics"]} >= {"bias"} and found["coverage"].keys() == {"80", "95"}
    assert found["winkler"].keys() == {"80", "95"} and all(score > 0 for score in found["winkler"].values())
    assert found["wql"] == pytest.approx(found["metrics"]["wql"]) and found["wql"] > 0
    assert types.count("training_update") > 3 and set(types) <= {"training_update", "alert"}

    page = ana.get(f"/models/{model}/report")
    assert page.text == (folder / "report.html").read_text() and "sandbox" in page.headers["content-security-policy"]
    notebook = ana.get(f"/models/{model}/notebook")
    assert json.loads(notebook.text)["cells"] and f"{run.run_id}.ipynb" in notebook.headers["content-disposition"]

    again = ana.post(f"/models/{model}/train").json()
    assert again["model_id"] != model, "a trained model stays as it is; a new one of its family is trained"
    with database.reading() as session:
        assert session.get(Model, again["model_id"]).family == row.family and session.get(Model, model).tag == row.tag


@SLOW
def test_a_cancelled_training_stops_its_kernel_within_seconds(ana, catalog, partidas):
    model = model_of(ana.id, partidas, model={"algorithms": ["auto_arima", "lightgbm", "naive"]}, split={"folds": 10})
    job = ana.post(f"/models/{model}/train").json()["job_id"]
    with worker(catalog) as process:

        def family() -> list[psutil.Process]:
            found = psutil.Process(process.process.pid).children(recursive=True)
            return found if any("ipykernel" in " ".join(one.cmdline()) for one in found) else []

        began = until(family, 60)
        assert ana.post(f"/models/{model}/training/cancel").json()["cancel_requested"]
        _, alive = psutil.wait_procs(began, timeout=5)
        assert not alive, "the kernel and all it started end within 5 s"
        assert ended(job)[0].state == "cancelled"
        assert process.process.poll() is None
    status = ana.get(f"/models/{model}/training/status").json()
    assert status["status"] == "cancelled" and ana.get(f"/models/{model}").json()["status"] == "cancelled"
    assert ana.post(f"/models/{model}/training/cancel").json()["code"] == "jobs.over"
    retried = ana.post(f"/models/{model}/training/retry")
    assert retried.status_code == 202 and retried.json()["job_id"] != job
    assert job_of(retried.json()["job_id"]).params == {"retry_of": job}


@SLOW
def test_a_failed_training_reports_its_reason_in_both_languages(ana, catalog, partidas):
    model = model_of(ana.id, partidas, data={"target": "nada"})
    job = ana.post(f"/models/{model}/train").json()["job_id"]
    with worker(catalog):
        assert ended(job)[0].state == "failed"
    english = ana.get(f"/models/{model}/training/status", headers={"Accept-Language": "en"}).json()["error"]
    portuguese = ana.get(f"/models/{model}/training/status", headers={"Accept-Language": "pt-BR"}).json()["error"]
    assert english["code"] == portuguese["code"] and "nada" in english["detail"] and "nada" in portuguese["detail"]
    assert english["detail"] != portuguese["detail"] and english["remedy"] != portuguese["remedy"]
    assert ana.get(f"/models/{model}/results").json()["code"] == "models.no_results"
    with database.reading() as session:
        alert = session.scalars(select(Alert)).one()
        assert alert.kind == "training_failed" and alert.object_id == model and "nada" in alert.values["reason"]
        assert session.scalars(select(Run.status)).all() == ["failed"]
    notebook = ana.get(f"/models/{model}/notebook")
    assert notebook.status_code == 200 and "nada" in notebook.text, "the notebook is kept up to the cell that failed"


def test_only_editors_of_the_model_control_its_training(ana, bia, vera, catalog):
    model = model_of(ana.id, None)
    for person, code in ((bia, 404), (vera, 403)):
        assert person.post(f"/models/{model}/train").status_code == code
        assert person.post(f"/models/{model}/training/cancel").status_code == code
    with database.writing() as session:
        session.add(Share(kind="model", object_id=model, user_id=bia.id, right="view"))
    assert bia.post(f"/models/{model}/train").status_code == 403
    job = ana.post(f"/models/{model}/train").json()["job_id"]
    assert bia.get(f"/jobs/{job}").json()["state"] == "queued" and bia.post(f"/jobs/{job}/cancel").status_code == 403
    assert vera.get(f"/jobs/{job}").status_code == 404 and vera.get("/jobs").json()["total"] == 0
    assert ana.get("/jobs", params={"state": "queued"}).json()["items"][0]["job_id"] == job
    assert ana.post(f"/models/{model}/training/cancel").json()["status"] == "cancelled"
    assert ana.get(f"/models/{model}/results").json()["code"] == "models.no_results"
    assert ana.get(f"/models/{model}/report").status_code == ana.get(f"/models/{model}/notebook").status_code == 409


def test_a_repeated_request_starts_no_second_training(ana, catalog):
    model, key = model_of(ana.id, None), {"Idempotency-Key": "train-1"}
    first, again = (ana.post(f"/models/{model}/train", headers=key) for _ in range(2))
    assert first.status_code == again.status_code == 202 and first.json() == again.json()
    assert ana.get("/jobs").json()["total"] == 1


def test_an_impossible_training_is_rejected_before_it_is_queued(ana, catalog):
    model = model_of(ana.id, None)
    assert ana.post(f"/models/{model}/train", json={"dataset_number": 7}).json()["code"] == "datasets.no_version"
    with database.writing() as session:
        session.get(Model, model).dataset_id = None
    assert ana.post(f"/models/{model}/train").json()["code"] == "jobs.no_dataset"
    assert ana.get("/jobs").json()["total"] == 0


def test_a_model_is_configured_and_trained_in_one_request(ana, catalog, partidas):
    body = {
        "dataset_id": partidas,
        "algorithm": "naive",
        "horizon": 5,
        "config": {"split": {"folds": 3}, "training": {"seed": 7}},
    }
    answer = ana.post("/models/train", json=body)
    assert answer.status_code == 202, answer.text
    with database.reading() as session:
        config = session.get(Model, answer.json()["model_id"]).config
    assert config["split"]["folds"] == 3 and config["split"]["horizon"] == 5 and config["training"]["seed"] == 7
    stolen = {"config": {"data": {"path": "/etc/passwd"}}}
    for wrong, code in (
        (stolen, "api.invalid"),
        ({"config": {"modell": {}}}, "config.unknown"),
        ({"algorithm": "oracle"}, None),
    ):
        refused = ana.post("/models/train", json=body | wrong)
        assert refused.status_code == 422 and code in (None, refused.json()["code"]), refused.text
    assert ana.get("/jobs").json()["total"] == 1, "what was refused left nothing behind"
