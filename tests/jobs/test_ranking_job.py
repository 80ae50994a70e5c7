"""Rankings as jobs: the notebook in a worker's process, Brazilian files, killed workers, and files that are wrong."""

import io
import json

import numpy as np
import pandas as pd
import pytest
from builders import brazilian, plant
from databases import both, kind  # noqa: F401 - fixtures
from jobkit import ended, job_of, until, worker
from service import Person
from sqlalchemy import select

from vur.jobs import lifecycle, queue, ranking
from vur.jobs.messages import error_of, jsonable
from vur.store.catalog import Job, JobLog, MachineTraining, User
from vur.store.database import reading, writing
from vur.store.home import folder, home

pytestmark = pytest.mark.slow


def started(person: Person, content: bytes, target: str = "produção", name: str = "planta março.csv", **query) -> tuple:
    person.http.base_url = "http://localhost"
    id = person.post("/machines/", json={"machine_name": "Extrusora 3"}).json()["id"]
    return id, again(person, id, content, target, name, **query)


def again(person: Person, id: int, content: bytes, target: str = "produção", name: str = "planta.csv", **query) -> str:
    query = {"machine_id": id, "target_column": target} | query
    answer = person.post("/train/", params=query, files={"file": (name, content)})
    assert answer.status_code == 200, answer.text
    return answer.json()["job_id"]


def do(job_id: str) -> None:
    """What a worker does with the job."""
    spec = lifecycle.claim(job_id, "tests")
    spec.folder.mkdir(parents=True, exist_ok=True)
    try:
        result = jsonable(ranking.work(spec, lambda *told, **data: None))
    except Exception as error:  # as the child process keeps it
        lifecycle.end(spec, "tests", "failed", error=error_of(error))
    else:
        lifecycle.end(spec, "tests", "succeeded", result=result)


@pytest.fixture
def no_queue(monkeypatch):
    """Jobs wait in the catalog: the tests do them."""
    monkeypatch.setattr(queue, "enqueue", lambda ids: None)


@both
def test_a_brazilian_file_is_ranked_by_a_worker(ana, vera, kind):
    id, job = started(ana, brazilian(plant()), time_column="data_hora", lags="6")
    with worker(home(), job_concurrency=1):
        seen = until(lambda: (row := job_of(job)).state == "running" and 0 < row.progress < 1 and row, 120)
        assert seen.stage and ana.get("/machines/").json()[0]["status"] == "treinando"
        assert ended(job, seconds=170)[0].state == "succeeded", job_of(job).error
    found = ana.get("/ranking/", params={"machine_id": id}, headers={"Accept-Language": "pt-BR"}).json()[0]
    assert found["status"] == "pronta" and found["target"] == "produção" and found["error"] is None
    first, second = found["ranking"][:2]
    assert {first["variable"], second["variable"]} == {"temperatura", "vazão"} and first["significant"]
    assert first["direction"] == "up" and found["says"][0].startswith("temperatura")
    assert first["ranks_text"].startswith("1º")
    at = f"/api/v1/machines/{id}"
    detail = ana.get(f"{at}/trainings/1").json()
    assert detail["document"]["rows"] == 400 and detail["document"]["lags"] == 6 and detail["progress"] == 100
    assert detail["source"] == "planta março.csv" == detail["document"]["source"]
    assert "planta março.csv" in str(detail["logs"]) and "input." not in json.dumps(detail)
    page = ana.get(f"{at}/trainings/1/report")
    assert "temperatura" in page.text and "input.csv" not in page.text
    assert "sandbox" in page.headers["Content-Security-Policy"]
    notebook = ana.get(f"{at}/trainings/1/notebook")
    assert notebook.json()["cells"] and "attachment" in notebook.headers["Content-Disposition"]
    part = ana.get(f"{at}/trainings/1/report", headers={"Range": "bytes=0-9"})
    assert part.status_code == 206 and part.content == page.content[:10]
    assert vera.http.get(f"http://localhost{at}/trainings/1/report").status_code == 404
    low, high = detail["document"]["ranges"]["temperatura"]
    asked = ana.post(f"{at}/what-if", json={"values": {"temperatura": high}}).json()
    assert asked["after"] > asked["before"] and 0 <= asked["support"] <= 1
    refused = ana.post(f"{at}/what-if", json={"values": {"temperatura": high + 100}})
    assert refused.status_code == 422 and "temperatura" in refused.json()["detail"]
    assert ana.post(f"{at}/what-if", json={"values": {"temperatur": high}}).status_code == 422
    with reading() as session:
        row = session.get(Job, job)
        assert "document" not in row.result and not (folder("results", job) / row.params["input_name"]).exists()
        assert session.scalars(select(JobLog.text).where(JobLog.job_id == job)).all()


def test_a_killed_worker_loses_nothing(ana):
    id, job = started(ana, brazilian(plant(3000)))
    with worker(home(), lease_seconds=3) as first:
        until(lambda: job_of(job).state == "running" and job_of(job).progress > 0.02, 90)
        first.kill()
    assert job_of(job).state == "running" and ana.get("/machines/").json()[0]["status"] == "treinando"
    with worker(home(), lease_seconds=3):
        row = ended(job, seconds=170)[0]
    assert row.state == "succeeded" and row.attempt >= 2, row.error
    assert ana.get("/machines/").json()[0]["status"] == "pronta"
    with reading() as session:
        assert len(session.scalars(select(MachineTraining)).all()) == 1
    assert ana.get(f"/api/v1/machines/{id}/trainings/1/report").status_code == 200


def test_a_running_training_is_cancelled_or_its_machine_deleted(ana):
    id, job = started(ana, brazilian(plant(3000)))
    with worker(home(), job_concurrency=1):
        until(lambda: job_of(job).state == "running", 60)
        assert ana.post(f"/api/v1/machines/{id}/trainings/1/cancel").status_code == 202
        assert ended(job, seconds=60)[0].state == "cancelled"
        assert ana.get("/machines/").json()[0]["status"] == "criada"
        second = again(ana, id, brazilian(plant(3000)))
        until(lambda: job_of(second).state == "running", 60)
        assert ana.delete(f"/machines/{id}").status_code == 200
        assert ended(second, seconds=60)[0].state == "cancelled"
    assert ana.get("/machines/").json() == [] and not folder("results", second).exists()


def test_two_machines_with_the_same_file_do_not_disturb_each_other(ana, no_queue):
    content = brazilian(plant())
    jobs = [started(ana, content)[1] for _ in range(2)]
    for job in jobs:
        do(job)
    with reading() as session:
        runs = session.scalars(select(MachineTraining.run_id)).all()
        found = [session.get(Job, job).state for job in jobs]
    assert found == ["succeeded"] * 2 and len(set(runs)) == 2, "each run has an id of its own"
    shown = ana.get("/ranking/").json()
    assert shown[0]["ranking"] == shown[1]["ranking"], "same data, same digits"


def text_of(frame: pd.DataFrame) -> bytes:
    out = io.StringIO()
    frame.to_csv(out, index=False)
    return out.getvalue().encode()


def wrong_files() -> dict[str, tuple[bytes, dict[str, str], str]]:
    frame = plant(200)
    wide = pd.DataFrame(np.random.default_rng(0).normal(size=(120, 2000)).round(2)).add_prefix("s")
    doubled = text_of(frame).replace("ruído".encode(), b"temperatura", 1)
    return {
        "no target": (text_of(frame.drop(columns="produção")), {}, "ranking.no_target"),
        "constant": (text_of(frame.assign(**{"produção": 7})), {}, "ranking.target_constant"),
        "text": (text_of(frame.assign(**{"produção": "alta"})), {}, "ranking.target_text"),
        "missing": (text_of(frame.assign(**{"produção": np.nan})), {}, "ranking.target_missing"),
        "short": (text_of(frame.head(60)), {}, "ranking.few_rows"),
        "doubled": (doubled, {}, ""),
        "disorder": (text_of(frame.sample(frac=1, random_state=1)), {"time_column": "data_hora"}, "ranking.time_order"),
        "no time": (text_of(frame), {"time_column": "quando"}, "ranking.no_time"),
        "wide": (text_of(wide.assign(**{"produção": wide["s0"]})), {}, "ranking.many_columns"),
        "empty": (b"", {}, "upload.empty"),
        "binary": (bytes(range(256)) * 40, {}, ""),
        "no sheet": (text_of(frame), {"delimiter": "|"}, ""),
    }


@pytest.mark.parametrize("case", list(wrong_files()))
def test_what_is_wrong_with_a_file_is_said_in_its_words(ana, no_queue, case):
    content, query, code = wrong_files()[case]
    with writing() as session:
        session.get(User, ana.id).language = "pt-BR"
    id, job = started(ana, content, **query)
    do(job)
    shown = ana.get(f"/api/v1/machines/{id}", headers={"Accept-Language": "pt-BR"}).json()
    assert shown["status"] == "erro", shown
    error = shown["error"]
    assert error["detail"] and error["remedy"] and error["code"] != "jobs.error", error
    assert not code or error["code"] == code, error
    english = ana.get(f"/api/v1/machines/{id}/trainings/1", headers={"Accept-Language": "en"}).json()["error"]
    assert english["detail"] != error["detail"], "in the words of each reader"
    assert "input." not in json.dumps(error), "the file has the name that its user gave it"
    alert = ana.get("/api/v1/dashboard/alerts").json()["items"][0]["message"]
    assert "Extrusora 3" in alert
    done = again(ana, id, text_of(plant(200)))
    assert ana.get("/machines/").json()[0]["status"] == "treinando"
    assert ana.post(f"/api/v1/jobs/{done}/cancel").status_code == 202
    assert ana.get("/machines/").json()[0]["status"] == "erro"


def test_nothing_that_predicts_is_no_failure(ana, no_queue):
    rng = np.random.default_rng(5)
    noise = pd.DataFrame(rng.normal(size=(300, 4)).round(3), columns=["a", "b", "c", "produção"])
    id, job = started(ana, text_of(noise))
    do(job)
    shown = ana.get("/ranking/", params={"machine_id": id}).json()[0]
    assert shown["status"] == "pronta" and shown["says"], job_of(job).error


def test_a_stored_dataset_is_ranked(ana, no_queue):
    dataset = ana.post("/datasets/upload", files={"file": ("planta.csv", brazilian(plant()))}).json()["dataset_id"]
    id = ana.post("/machines", json={"machine_name": "Extrusora 3"}).json()["id"]
    body = {"dataset_id": dataset, "target": "produção", "time": "data_hora", "exclude": ["vazão"]}
    job = ana.post(f"/machines/{id}/trainings", json=body).json()["job_id"]
    do(job)
    found = ana.get(f"/machines/{id}/ranking").json()
    assert found["ranking"][0]["variable"] == "temperatura" and found["document"]["predicts"]
    assert "vazão" not in [one["variable"] for one in found["ranking"]]
    assert ana.get(f"/machines/{id}").json()["first"] == "temperatura"
