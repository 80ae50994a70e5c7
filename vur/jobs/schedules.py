"""Scheduled trainings: a cron expression in a time zone, which fires once however many workers there are."""

import logging
import uuid
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import select
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.jobs.queue import add, hand_over
from vur.store import database
from vur.store.catalog import Model, Schedule, User, new_id, now
from vur.store.events import record_activity
from vur.store.models import registry

AT_ONCE = 100  # schedules of one transaction
log = logging.getLogger("vur.jobs")


def next_time(cron: str, timezone: str, after: datetime) -> datetime:
    """The first time after `after` that matches `cron` (minute hour day month weekday) in `timezone`.

    A local time that occurs twice in autumn counts once; one that is skipped in spring fires an hour later. `VurError`
    schedules.cron for an expression that never matches, schedules.timezone for an unknown zone.
    """
    from croniter import CroniterError, croniter

    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise VurError("schedules.timezone", field="timezone", timezone=timezone) from None
    if len(cron.split()) != 5 or len(cron) > 100:
        raise VurError("schedules.cron", field="cron", cron=cron[:100])
    try:
        times = croniter(cron, after.astimezone(zone).replace(tzinfo=None), max_years_between_matches=5)
        found = (times.get_next(datetime).replace(tzinfo=zone).astimezone(after.tzinfo) for _ in range(200))
        return next(moment for moment in found if moment > after)
    except (CroniterError, ValueError, OverflowError, StopIteration):
        raise VurError("schedules.cron", field="cron", cron=cron) from None


def run_due() -> list[str]:
    """Submit a training for each schedule that is due, and return the ids of the jobs.

    The transaction that adds the job also moves the schedule's next time, and the job's id is derived from schedule and
    time, so two workers cannot both fire. Missed times fire once. A model that is in training is skipped.
    """
    moment = now()
    with database.writing(durable=True) as session:
        due = (
            select(Schedule)
            .where(Schedule.enabled, Schedule.next_at <= moment)
            .order_by(Schedule.next_at)
            .limit(AT_ONCE)
        )
        fired = [
            job_id
            for schedule in session.scalars(due.with_for_update(skip_locked=True)).all()
            if (job_id := _fire(session, schedule, moment))
        ]
    hand_over(*fired)
    return fired


def _fire(session: Session, schedule: Schedule, moment: datetime) -> str | None:
    assert schedule.next_at is not None, "only schedules that are due fire"
    job_id = str(uuid.uuid5(uuid.UUID(schedule.id), schedule.next_at.isoformat()))
    model = session.get_one(Model, schedule.model_id, with_for_update=True)
    owner = session.get_one(User, schedule.owner_id)
    if not owner.active:
        schedule.enabled = False
        return None
    schedule.next_at = next_time(schedule.cron, schedule.timezone, max(moment, schedule.next_at))
    if registry.active_job(session, model.id) is not None:
        record_activity(
            session, schedule.owner_id, "training_skipped", status="warning", about=("model", model.id), name=model.name
        )
        return None
    target = model_to_train(session, model, schedule.owner_id)
    job = add(
        session,
        "train",
        schedule.owner_id,
        {"schedule_id": schedule.id, "promote": schedule.promote},
        model_id=target.id,
        dataset_id=target.dataset_id,
        id=job_id,
    )
    schedule.last_job_id = job.id
    log.info("schedule %s: job %s trains model %s", schedule.id, job.id, target.id)
    return job.id


def model_to_train(session: Session, model: Model, user_id: str) -> Model:
    """The row for a training of `model`: itself, or a new one of the same family if it was trained before.

    A trained model never changes under its id; a retrained one replaces it by promotion.
    """
    if not model.tag:
        return model
    same = ("owner_id", "name", "description", "algorithm", "dataset_id", "pipeline_id", "family", "config")
    created = Model(
        id=new_id(),
        options=model.options | {"previous": model.id, "by": user_id},
        **{key: getattr(model, key) for key in same},
    )
    session.add(created)
    session.flush()
    return created


def first_time(cron: str, timezone: str) -> datetime:
    """The first time of a new schedule; `VurError` schedules.often if it fires more often than every five minutes."""
    first = next_time(cron, timezone, now())
    times = [first]
    for _ in range(12):
        times.append(next_time(cron, timezone, times[-1]))
    if min(later - earlier for earlier, later in zip(times, times[1:], strict=False)) < timedelta(minutes=5):
        raise VurError("schedules.often", field="cron", cron=cron)
    return first
