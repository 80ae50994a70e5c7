"""Background jobs: the queue, progress and logs, cancellation, retries, several workers."""

import json
import logging
import threading
from typing import Any

import psutil
import pytest
from jobkit import ended, job_of, model_of, until, worker
from sqlalchemy import select

from vur.errors import VurError
from vur.jobs import child, kinds, queue
from vur.jobs.lifecycle import claim, end, report
from vur.jobs.messages import error_text, log_text
from vur.jobs.processes import marked
from vur.jobs.spec import JobSpec
from vur.jobs.workflows import PROGRESS, Watch
from vur.settings import settings
from vur.store import database
from vur.store.catalog import Event, Job, JobLog, Model, new_id

SLOW = pytest.mark.slow


@pytest.fixture(autouse=True)
def test_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kind that workers of the tests know, here without its code."""
    monkeypatch.setitem(kinds.KINDS, "test", "json")
    monkeypatch.setitem(kinds.KINDS, "test-batch", "json")
    monkeypatch.setitem(kinds.QUEUES, "test-batch", kinds.BATCHES)


def submit(ana, **params) -> str:
    return queue.submit("test", ana.id, params).id


def workflows() -> dict[str, str]:
    return {flow.workflow_id: flow.status for flow in queue.client().list_workflows()}


def test_a_job_is_a_row_and_a_workflow_with_the_same_id(ana):
    job = queue.submit("test", ana.id, {"a": 1}, id="3f0b8a52-1d9c-4f63-9f8d-1f2a3b4c5d6e")
    assert queue.submit("test", ana.id, {"a": 2}, id=job.id).params == {"a": 1}, "sent again, the same job"
    assert workflows() == {job.id: "ENQUEUED"}
    with pytest.raises(KeyError):
        queue.submit("nothing", ana.id, {})


def test_a_row_without_a_workflow_gets_one(ana, monkeypatch, caplog):
    def away(*_) -> None:
        raise OSError("the queue is away")

    with monkeypatch.context() as patch:
        patch.setattr(queue, "enqueue", away)
        with caplog.at_level(logging.ERROR, "vur.jobs"):
            job = submit(ana)
    assert job_of(job).state == "queued" and workflows() == {}
    queue.reconcile()
    assert workflows() == {job: "ENQUEUED"}


def test_a_job_cancelled_in_the_queue_never_starts(ana, kind):
    job = submit(ana)
    assert queue.request_cancel(job) == "cancelled"
    assert claim(job, "worker-0") is None and job_of(job).attempt == 0
    assert queue.request_cancel(job) == "cancelled", "again: nothing changes"
    with pytest.raises(VurError, match="never"):
        queue.request_cancel("never")


def test_a_failed_job_is_retried_as_one_new_job(ana):
    job = submit(ana, a=1)
    with pytest.raises(VurError, match="queued"):
        queue.retry(job)
    queue.request_cancel(job)
    again = queue.retry(job)
    assert again.id != job and again.params == {"a": 1, "retry_of": job} and queue.retry(job).id == again.id
    assert workflows()[again.id] == "ENQUEUED"


def test_only_the_attempt_that_holds_a_job_reports_on_it_and_ends_it(ana):
    job = submit(ana)
    first = claim(job, "worker-0")
    assert report(first, "worker-0", {"progress": 0.5}) == "on"
    second = claim(job, "worker-1")
    assert (second.attempt, job_of(job).losses) == (2, 1), "the first worker was taken for dead"
    assert report(first, "worker-0", {"progress": 0.9}) == "lost" and not end(
        first, "worker-0", "failed", error={"code": "jobs.lost", "data": {}}
    )
    assert report(second, "worker-0") == "lost", "nor does another worker speak for the second"
    assert job_of(job).progress == 0.5
    queue.request_cancel(job)
    assert report(second, "worker-1") == "cancel"
    assert end(second, "worker-1", "succeeded", result={"x": 1}) and not end(
        second, "worker-1", "failed", error={"code": "jobs.lost", "data": {}}
    )
    assert (job_of(job).state, job_of(job).result) == ("succeeded", {"x": 1})


def test_a_finished_attempt_of_a_dead_worker_is_not_repeated(ana):
    job = submit(ana)
    spec = claim(job, "worker-0")
    spec.folder.mkdir(parents=True)
    (spec.folder / "done.json").write_text(json.dumps({"x": 1}))
    again = claim(job, "worker-1")
    assert again.attempt == 1 and job_of(job).losses == 0
    assert end(again, "worker-1", "succeeded", result={"x": 1})


def test_a_job_fails_after_ten_lost_workers(ana):
    job = submit(ana)
    for number in range(10):
        assert claim(job, f"worker-{number}") is not None
    assert claim(job, "worker-10") is None
    found = job_of(job)
    assert found.state == "failed" and found.error["code"] == "jobs.worker_lost"
    assert (
        "10 workers" in error_text(found.error, "en")["detail"]
        and "10 workers" in error_text(found.error, "pt-BR")["detail"]
    )


def test_a_job_of_a_dead_worker_is_requeued_once(ana):
    job = submit(ana)
    claim(job, "worker-0")
    with queue.queue_engine().begin() as connection:
        table = "dbos.workflow_status" if connection.dialect.name == "postgresql" else "workflow_status"
        connection.exec_driver_sql(f"UPDATE {table} SET status = 'PENDING', executor_id = 'worker-0'")  # noqa: S608
    assert queue.reconcile(dead=["worker-9"]) == [] and workflows()[job] == "PENDING"
    old = job_of(job)
    assert queue.reconcile(dead=["worker-0"]) == [job] and workflows()[job] == "ENQUEUED"
    assert not queue._take(old), "who looked at the same moment comes too late"


def test_a_job_whose_workflow_ended_fails(ana):
    job = submit(ana)
    claim(job, "worker-0")
    queue.client().cancel_workflow(job)
    queue.reconcile()
    assert job_of(job).error == {"code": "jobs.lost", "stage": "", "data": {"status": "CANCELLED"}}


def test_concurrent_requests_start_one_training_of_a_model(ana):
    from concurrent.futures import ThreadPoolExecutor

    model = model_of(ana.id, None)

    def start(_) -> str:
        try:
            return queue.submit("train", ana.id, {}, model_id=model).id
        except VurError as error:
            return error.code

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(start, range(8)))
    assert answers.count("api.running") == 7
    with database.reading() as session:
        assert len(session.scalars(select(Job)).all()) == 1 and session.get(Model, model).status == "queued"


def test_only_old_workflows_and_folders_are_deleted(ana, catalog):
    from datetime import timedelta

    from vur.jobs import lifecycle
    from vur.store.catalog import now

    old, new = submit(ana), submit(ana)
    for job in (old, new):
        claim(job, "worker-0").folder.mkdir(parents=True)
    with database.writing() as session:
        row = session.get(Job, old)
        row.state, row.ended_at = "succeeded", now() - timedelta(days=31)
    lifecycle.forget(now() - timedelta(days=30))
    queue.forget(now() - timedelta(days=7))
    assert [path.name for path in (catalog / "jobs").iterdir()] == [new] and set(workflows()) == {old, new}


def test_log_lines_are_translated_and_never_fail():
    values = {"epoch": 3, "epochs": 9, "loss": 0.5}
    for language, words in (("pt-BR", "Época 3/9 - Perda: 0,5000"), ("en", "Epoch 3/9 - Loss: 0.5000")):
        assert log_text("networks.progress.epoch_only", values, language).startswith(words)
    assert log_text("plain {text}", {}, "en") == "plain {text}" and "loss" in log_text(
        "networks.progress.epoch_only", {"loss": None}, "en"
    )
    assert (
        error_text({"code": "no.such", "stage": "x", "data": {}, "cause": "as it was told"}, "en")["detail"]
        == "as it was told"
    )
    assert error_text({"code": "jobs.memory", "stage": "", "data": {}}, "en")["code"] == "jobs.memory"


def test_reported_progress_is_json_and_throttled(tmp_path):
    tell = child.Report(tmp_path / "progress.jsonl")
    for tick in range(1000):
        tell(tick / 1000, "training", "same", loss=float("nan"))
    tell(2.0, "training", "same")
    events = [json.loads(line) for line in (tmp_path / "progress.jsonl").read_text().splitlines()]
    assert len(events) < 10 and events[0]["data"] == {"loss": None} and events[-1]["fraction"] == 1.0


@SLOW
def test_a_job_runs_and_its_reports_are_stored(ana, catalog):
    job = submit(ana, ticks=20)
    with worker(catalog, kinds=True) as process:
        until(lambda: job_of(job).epochs, 60)
        found = ended(job)[0]
        assert found.state == "succeeded", process.log
    assert (
        found.result == {"ticks": 20, "nothing": None} and found.epochs["epochs"] == 20 and found.best["value"] == 1.0
    )
    assert (found.progress, found.attempt, found.lease_owner, found.pid) == (1.0, 1, None, None)
    lines = ana.get(f"/jobs/{job}/logs", headers={"Accept-Language": "pt-BR"}).json()
    assert lines["items"][0]["text"].startswith("Época 1/20 - ") and len(lines["items"]) == 20
    assert ana.get(f"/jobs/{job}/logs", params={"after": lines["next"]}).json()["items"] == []
    with database.reading() as session:
        events = [
            event.data for event in session.scalars(select(Event).where(Event.type == "job_update").order_by(Event.id))
        ]
    assert events[-1]["status"] == "succeeded" and 4 < len(events) < 20, "some three a second"
    assert not list(marked(job))


@SLOW
def test_two_workers_share_the_queue_and_run_no_job_twice(ana, catalog, tmp_path, kind):
    if kind == "postgresql":
        pytest.skip("test_job_faults does so on PostgreSQL, under fire")
    log = tmp_path / "log"
    jobs = [submit(ana, ticks=4, log=str(log)) for _ in range(8)]
    with worker(catalog, kinds=True) as one, worker(catalog, kinds=True) as two:
        found = ended(*jobs, seconds=120)
    assert [job.state for job in found] == ["succeeded"] * 8, one.log + two.log
    begun = [line.split()[1] for line in log.read_text().splitlines() if line.startswith("begin")]
    assert sorted(begun) == sorted(jobs)
    owners = {
        line.split("worker ")[1].split()[0]
        for text in (one.log, two.log)
        for line in text.splitlines()
        if "takes up to" in line
    }
    assert len(owners) == 2, "two names"


@SLOW
def test_cancelling_kills_all_processes_of_a_job(ana, catalog, kind):
    if kind == "postgresql":
        pytest.skip("as on SQLite")
    job = submit(ana, ticks=600, start=1)
    with worker(catalog, kinds=True) as process:
        began = until(lambda: found if len(found := list(marked(job))) == 2 else None, 60)
        assert len({psutil.Process(one.pid).pid for one in began}) == 2
        assert ana.post(f"/jobs/{job}/cancel").json()["cancel_requested"]
        _, alive = psutil.wait_procs(began, timeout=5)
        assert not alive
        assert ended(job)[0].state == "cancelled" and process.process.poll() is None


@SLOW
def test_a_failed_job_gives_the_reason(ana, catalog, kind):
    if kind == "postgresql":
        pytest.skip("as on SQLite")
    jobs = [submit(ana, ticks=1, die=1), submit(ana, ticks=1, refuse="ação proibida"), submit(ana, ticks=1, print=3000)]
    with worker(catalog, kinds=True, job_concurrency=3):
        died, refused, loud = ended(*jobs)
    assert (died.state, died.attempt, died.error["data"]) == ("failed", 3, {"signal": "SIGSEGV"}), (
        "it was tried three times"
    )
    assert (refused.state, refused.attempt) == ("failed", 1) and "ação proibida" in error_text(refused.error, "pt-BR")[
        "detail"
    ]
    assert loud.state == "succeeded"
    kept = sum(path.stat().st_size for path in (catalog / "jobs" / loud.id / "1").glob("output*"))
    assert 2**19 < kept <= 2**20 + 2**16, "three megabytes were printed"


@SLOW
@pytest.mark.parametrize("eaten", [900, 20_000])
def test_a_lack_of_memory_is_reported_as_the_reason(ana, catalog, kind, eaten):
    """What it holds beyond its limit, and what no machine should give, in one request."""
    if kind == "postgresql":
        pytest.skip("as on SQLite")
    job = submit(ana, ticks=1, eat=eaten)
    with worker(catalog, kinds=True, job_memory_mb=500):
        found = ended(job)[0]
    assert (found.state, found.attempt, found.error["code"]) == ("failed", 1, "jobs.memory"), (
        "trying again would not help"
    )
    assert (
        "500 MiB" in error_text(found.error, "en")["detail"] and "500 MiB" in error_text(found.error, "pt-BR")["detail"]
    )


@SLOW
def test_a_batch_does_not_wait_for_a_training_and_a_training_not_for_batches(ana, catalog):
    """With one job of each at a time, and so after its worker was stopped, when both are taken up again."""
    training, next_training = submit(ana, ticks=600), submit(ana, ticks=1)
    with worker(catalog, kinds=True) as first:
        until(lambda: job_of(training).state == "running")
        batch = queue.submit("test-batch", ana.id, {"ticks": 1}).id
        assert ended(batch, seconds=30)[0].state == "succeeded"
        assert job_of(training).state == "running" and job_of(next_training).state == "queued"
        waiting = [queue.submit("test-batch", ana.id, {"ticks": 200}).id for _ in range(2)]
        until(lambda: job_of(waiting[0]).state == "running")
        assert job_of(waiting[1]).state == "queued", "one batch at a time"
        first.end()
    flows = {flow.workflow_id: flow.queue_name for flow in queue.client().list_workflows()}
    assert [flows[id] for id in (training, *waiting)] == ["jobs", "batches", "batches"]
    queue.request_cancel(training)
    with worker(catalog, kinds=True):
        assert ended(next_training, seconds=30)[0].state == "succeeded", "batches keep no training waiting"
        assert job_of(waiting[0]).state == "running"


def test_a_batch_beside_a_training_gets_half_its_memory_or_what_the_settings_say(monkeypatch):
    def limits(**values: int) -> tuple[int, int]:
        for name, value in values.items():
            monkeypatch.setenv(f"VUR_{name.upper()}", str(value))
        settings.cache_clear()
        return kinds.memory_limit("train"), kinds.memory_limit("batch")

    assert limits() == (0, 0)
    assert limits(job_memory_mb=3000) == (3000, 1500)
    assert limits(batch_memory_mb=900) == (3000, 900)


@SLOW
def test_a_batch_over_its_limit_names_its_own_setting(ana, catalog, kind):
    if kind == "postgresql":
        pytest.skip("as on SQLite")
    job = queue.submit("test-batch", ana.id, {"ticks": 1, "eat": 700}).id
    with worker(catalog, kinds=True, job_memory_mb=900):
        found = ended(job)[0]
    assert (found.state, found.error["code"]) == ("failed", "jobs.batch_memory")
    assert "450 MiB" in error_text(found.error, "en")["detail"]
    assert "batch_memory_mb" in VurError(found.error["code"], **found.error["data"]).text("en")


@pytest.mark.parametrize(
    "query", ["state=%00", "model_id=%00", "search=%00", "state=running&kind=train", "limit=0", "sort=params"]
)
def test_lists_accept_any_query(ana, query):
    assert ana.get(f"/jobs?{query}").status_code in (200, 422) and ana.get(f"/schedules?{query}").status_code in (
        200,
        422,
    )


def test_nobody_else_sees_a_job(ana, bia, root):
    job = submit(ana)
    for path in (f"/jobs/{job}", f"/jobs/{job}/logs"):
        assert ana.get(path).status_code == root.get(path).status_code == 200 and bia.get(path).status_code == 404
    assert bia.post(f"/jobs/{job}/cancel").status_code == bia.post(f"/jobs/{job}/retry").status_code == 404
    assert ana.post(f"/jobs/{job}/retry").json()["code"] == "jobs.no_retry"
    assert root.post(f"/jobs/{job}/cancel").json()["state"] == "cancelled"
    with database.writing() as session:
        session.add(JobLog(job_id=job, attempt=1, text="written by somebody else"))
    assert ana.get(f"/jobs/{job}/logs").json()["items"][0]["text"] == "written by somebody else"
    assert new_id() not in ana.get("/jobs").text


def test_a_log_has_each_combination_once_and_the_epochs_of_its_network(catalog, tmp_path):
    """A search reports its running combination with every epoch: the log names it once, then the epochs."""
    spec = JobSpec("job", "train", 1, "nobody", tmp_path)
    watch = Watch(spec, "w", None, threading.Event())
    common = {"fraction": 0.5, "eta": None}

    def tell(stage: str, text: str = "", **data: Any) -> None:
        with (tmp_path / PROGRESS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(common | {"stage": stage, "text": text, "data": data}) + "\n")

    tell("model")
    for trial in (1, 2):
        tell("training", "tuning.progress.trial", algorithm="lstm", trial=trial, trials=2, value=None)
        for epoch in (1, 2):
            for value in (0.3, 0.4):
                numbers = {"algorithm": "lstm", "trial": trial, "trials": 2, "value": value}
                losses = {"epoch": epoch, "epochs": 2, "loss": 0.0234, "val_loss": None}
                tell("training", "tuning.progress.trial", **numbers, **losses)
        tell("training", "training.progress.candidate", algorithm="ets", fold=1)
    tell("training")
    tell("report")
    said = [entry.text for entry in watch._news()[1]]
    epochs = ["Epoch 1/2 - Loss: 0.0234", "Epoch 2/2 - Loss: 0.0234"]
    assert [text for text in said if text.startswith("Epoch")] == 2 * epochs
    others = [text for text in said if not text.startswith("Epoch")]
    assert len(others) == len(set(others)) == 5 and [" 1 of 2" in others[1], " 2 of 2" in others[3]] == [True, True]
    assert said.index(others[1]) < said.index(epochs[0]) and said[-1] == others[-1]
