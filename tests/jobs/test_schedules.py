"""Scheduled trainings: when they fire, that they fire once, and who may change them."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from jobkit import model_of
from sqlalchemy import select, update

from vur.errors import VurError
from vur.jobs import queue
from vur.jobs.schedules import first_time, next_time, run_due
from vur.jobs.training import on_ended
from vur.store import database
from vur.store.catalog import Activity, Alias, Job, Model, Schedule, User, now

MONDAYS = {"cron": "0 3 * * 1", "timezone": "America/Sao_Paulo"}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("cron", "zone", "after", "expected"),
    [
        ("0 3 * * 1", "America/Sao_Paulo", "2026-03-01 12:00", "2026-03-02 06:00"),
        ("0 3 * * *", "UTC", "2026-03-01 03:00", "2026-03-02 03:00"),
        (
            "30 2 * * *",
            "America/New_York",
            "2026-03-07 12:00",
            "2026-03-08 07:30",
        ),  # the night without half past two: half an hour after the jump
        ("30 1 * * *", "America/New_York", "2026-11-01 06:00", "2026-11-02 06:30"),  # the night with it twice: once
        ("0 0 29 2 *", "UTC", "2026-01-01 00:00", "2028-02-29 00:00"),
        ("*/15 * * * *", "Asia/Kolkata", "2026-01-01 00:01", "2026-01-01 00:15"),
    ],
)
def test_the_next_time_is_in_local_time(cron, zone, after, expected):
    assert next_time(cron, zone, at(after)) == at(expected)


@pytest.mark.parametrize(
    ("cron", "zone", "code"),
    [
        ("0 3 * * 9", "UTC", "schedules.cron"),
        ("0 0 30 2 *", "UTC", "schedules.cron"),
        ("* * * * * *", "UTC", "schedules.cron"),
        ("@daily", "UTC", "schedules.cron"),
        ("", "UTC", "schedules.cron"),
        ("0 3 * * *", "Marte/Olympus", "schedules.timezone"),
        ("0 3 * * *", "../../etc/passwd", "schedules.timezone"),
        ("* * * * *", "UTC", "schedules.often"),
        ("0,2 3 * * *", "UTC", "schedules.often"),
    ],
)
def test_expressions_that_never_match_are_rejected(cron, zone, code):
    with pytest.raises(VurError) as refused:
        first_time(cron, zone)
    assert refused.value.code == code and refused.value.text("pt-BR")


def test_a_schedule_is_created_changed_and_deleted(ana, bia, vera):
    model = model_of(ana.id, None)
    made = ana.post(f"/models/{model}/schedules", json=MONDAYS)
    assert made.status_code == 201 and made.json()["next_at"] > now().isoformat() and made.json()["enabled"]
    id, tag = made.json()["schedule_id"], made.headers["etag"]
    assert ana.get("/schedules").json()["total"] == ana.get(f"/models/{model}/schedules").json()["total"] == 1
    assert bia.get("/schedules").json()["total"] == 0 and bia.get(f"/schedules/{id}").status_code == 404
    assert bia.post("/schedules", json=MONDAYS | {"model_id": model}).status_code == 404
    assert vera.post("/schedules", json=MONDAYS | {"model_id": model}).status_code == 403
    changed = ana.put(f"/schedules/{id}", json={"cron": "0 4 * * *", "enabled": False}, headers={"If-Match": tag})
    assert changed.json()["cron"] == "0 4 * * *" and not changed.json()["enabled"]
    assert ana.put(f"/schedules/{id}", json={"enabled": True}, headers={"If-Match": tag}).status_code == 412
    assert ana.put(f"/schedules/{id}", json={"cron": "7 * * * x"}).json()["code"] == "schedules.cron"
    assert ana.get(f"/schedules/{id}").json()["cron"] == "0 4 * * *"
    assert ana.delete(f"/schedules/{id}").status_code == 204 and ana.get(f"/schedules/{id}").status_code == 404


def due(model: str, owner: str, ago: timedelta = timedelta(minutes=1), **more) -> str:
    with database.writing() as session:
        row = Schedule(owner_id=owner, model_id=model, cron="0 3 * * *", timezone="UTC", next_at=now() - ago, **more)
        session.add(row)
    return row.id


def jobs() -> list[Job]:
    with database.reading() as session:
        return list(session.scalars(select(Job).order_by(Job.created_at)))


def test_a_schedule_fires_once_with_two_workers_and_once_for_missed_times(ana):
    model = model_of(ana.id, None)
    schedule = due(model, ana.id, timedelta(days=30))
    fired: list[str] = []
    both = threading.Barrier(4)

    def look() -> None:
        both.wait()
        fired.extend(run_due())

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (
        len(fired) == 1
        and [job.id for job in jobs()] == fired
        and jobs()[0].params == {"schedule_id": schedule, "promote": False}
    )
    with database.reading() as session:
        row = session.get(Schedule, schedule)
        assert row.last_job_id == fired[0] and now() < row.next_at <= now() + timedelta(days=1)
    assert run_due() == []
    assert [flow.workflow_id for flow in queue.client().list_workflows()] == fired


def test_a_model_in_training_is_skipped_and_recorded(ana):
    model = model_of(ana.id, None)
    queue.submit("train", ana.id, {}, model_id=model)
    schedule = due(model, ana.id)
    assert run_due() == [] and len(jobs()) == 1
    with database.reading() as session:
        assert session.scalars(select(Activity.kind)).all() == ["training_skipped"]
        assert session.get(Schedule, schedule).next_at > now(), "it waits for its next time"


def test_disabled_schedules_and_those_of_inactive_users_do_not_fire(ana, bia):
    due(model_of(ana.id, None), ana.id, enabled=False)
    theirs = due(model_of(bia.id, None), bia.id)
    with database.writing() as session:
        session.execute(update(User).where(User.id == bia.id).values(active=False))
    assert run_due() == [] and jobs() == []
    with database.reading() as session:
        assert not session.get(Schedule, theirs).enabled


@pytest.mark.parametrize(
    ("promote", "error", "champion"), [(True, 0.7, "new"), (True, 0.9, "old"), (False, 0.7, "old")]
)
def test_a_retrained_model_is_promoted_only_if_wanted_and_no_worse(ana, promote, error, champion):
    model = model_of(ana.id, None)
    ids = {"old": model}
    for name, score in (("old", 0.8), ("new", error)):
        if name == "new":
            due(model, ana.id, promote=promote)
            job_id = run_due()[0]
        else:
            job_id = queue.submit("train", ana.id, {}, model_id=model).id
        with database.writing() as session:
            job = session.get(Job, job_id)
            ids[name], job.state = job.model_id, "succeeded"
            on_ended(
                session,
                job,
                {
                    "tag": f"partidas:{name}",
                    "model_checksum": "0",
                    "run_id": name,
                    "folder": f"results/{name}",
                    "checksum": "0",
                    "record": {},
                    "metrics": {"mase": score},
                    "facts": {"winner": "naive"},
                    "dataset_number": 1,
                },
            )
    with database.reading() as session:
        assert session.scalars(select(Alias.model_id)).all() == [ids[champion]]
        old, new = session.get(Model, ids["old"]), session.get(Model, ids["new"])
        assert (old.tag, new.tag, new.family) == ("partidas:old", "partidas:new", old.family), (
            "what was trained stays under its own id"
        )
