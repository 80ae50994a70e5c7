"""Retention of forecasts, batches, results of deleted models (by default unlimited), deleted datasets, deliveries."""

import shutil
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update

from vur.settings import settings
from vur.store.catalog import Dataset, Delivery, Forecast, Job, Run, now
from vur.store.data import datasets
from vur.store.database import reading, writing
from vur.store.home import folder

AT_ONCE = 200  # forecasts that one transaction deletes, while other writers wait
ENDED = ("succeeded", "failed", "cancelled")


def sweep() -> tuple[int, int, int, int]:
    """Delete what is older than the settings allow: forecasts, jobs' results, datasets, deliveries; how many."""
    chosen = settings()
    forecasts = (
        forget_forecasts(now() - timedelta(days=chosen.keep_forecasts_days)) if chosen.keep_forecasts_days else 0
    )
    results = forget_results(now() - timedelta(days=chosen.keep_results_days)) if chosen.keep_results_days else 0
    gone = forget_datasets(now() - timedelta(days=chosen.keep_deleted_days))
    kept = chosen.keep_deliveries_days
    return forecasts, results, gone, forget_deliveries(now() - timedelta(days=kept)) if kept else 0


def forget_forecasts(before: datetime) -> int:
    """Delete the forecasts made before `before` from the ledger, with their points; how many."""
    count = 0
    while True:
        with writing() as session:
            ids = list(
                session.scalars(
                    select(Forecast.id).where(Forecast.created_at < before).order_by(Forecast.created_at).limit(AT_ONCE)
                )
            )
            if not ids:
                return count
            session.execute(delete(Forecast).where(Forecast.id.in_(ids)))
            count += len(ids)


def forget_results(before: datetime) -> int:
    """Delete the files of batches, and of trainings of deleted models, that ended before `before`; how many.

    The run of an existing model stays, because it proves the model's numbers. `OSError` if files cannot be deleted.
    """
    with reading() as session:
        orphans = select(Run.job_id).where(Run.model_id.is_(None), Run.job_id.is_not(None))
        old = Job.state.in_(ENDED) & (Job.ended_at < before)
        ids = [
            id
            for id in session.scalars(select(Job.id).where(old, (Job.kind == "batch") | Job.id.in_(orphans)))
            if folder("results", id).is_dir()
        ]
    for id in ids:
        shutil.rmtree(folder("results", id))  # before its rows, so that a failed deletion is tried again
        with writing() as session:
            session.execute(delete(Run).where(Run.job_id == id))
            session.execute(update(Job).where(Job.id == id).values(artifact=None, checksum=None))
    return len(ids)


def forget_deliveries(before: datetime) -> int:
    """Delete the deliveries of webhooks that ended before `before`; how many."""
    count = 0
    old = select(Delivery.id).where(Delivery.ended_at < before).order_by(Delivery.ended_at).limit(AT_ONCE)
    while True:
        with writing() as session:
            ids = list(session.scalars(old))
            if not ids:
                return count
            session.execute(delete(Delivery).where(Delivery.id.in_(ids)))
            count += len(ids)


def forget_datasets(before: datetime) -> int:
    """Delete the datasets that were deleted before `before` for ever, with the files that nothing else needs; how many.

    The files of one whose deletion is interrupted are found by `vur.store.data.datasets.sweep`.
    """
    with reading() as session:
        ids = list(session.scalars(select(Dataset.id).where(Dataset.deleted_at < before)))
    for id in ids:
        with writing(durable=True) as session:
            row = session.scalar(select(Dataset).where(Dataset.id == id, Dataset.deleted_at < before))
            fingerprints = [] if row is None else datasets.purge(session, row)
        datasets.collect(fingerprints)
    return len(ids)
