"""The standing of pipelines and trained models: active jobs and monitors, age, live accuracy, staleness."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from vur.store.accounts.access import Principal
from vur.store.catalog import Dataset, Job, Model, Monitor, Pipeline, now
from vur.store.feeds import monitors
from vur.store.forecasts.scoring import accuracy, drift, scored_points
from vur.store.models import retraining, thresholds
from vur.store.models.registry import BUSY, with_champion_alias


def pipeline_rows(session: Session, rows: Collection[Pipeline]) -> list[dict[str, Any]]:
    """Pipelines with the numbers of their models, active jobs and monitors."""
    ids = [row.id for row in rows]
    of = Model.pipeline_id.in_(ids)
    models = {
        id: found
        for id, *found in session.execute(
            select(Model.pipeline_id, func.count(), func.count(Model.tag), func.max(Model.trained_at))
            .where(of)
            .group_by(Model.pipeline_id)
        )
    }
    busy = dict(
        session.execute(
            select(Model.pipeline_id, func.count())
            .join(Job, Job.model_id == Model.id)
            .where(of, Job.state.in_(BUSY))
            .group_by(Model.pipeline_id)
        ).all()
    )
    watched = monitors.counts(session, ids)
    keys = ("name", "description", "status", "step", "completed", "dataset_id", "owner_id", "updated_at")
    return [
        {
            "pipeline_id": row.id,
            "active_jobs": busy.get(row.id, 0),
            "active_monitors": watched.get(row.id, 0),
            **dict(zip(("models", "trained_models", "last_trained_at"), models.get(row.id, (0, 0, None)), strict=True)),
            **{key: getattr(row, key) for key in keys},
        }
        for row in rows
    ]


def model_rows(session: Session, who: Principal, rows: Collection[Model]) -> list[dict[str, Any]]:
    """Trained models with champion flag, active monitors, live accuracy, staleness, and whether to retrain.

    `live` is of the forecasts that `who` may see; the verdict is of everybody's.
    """
    ids = [row.id for row in rows]
    first, newest = (
        with_champion_alias(session, ids),
        dict(
            session.execute(
                select(Dataset.id, Dataset.number).where(Dataset.id.in_({row.dataset_id for row in rows}))
            ).all()
        ),
    )
    watched = dict(
        session.execute(
            select(Monitor.model_id, func.count())
            .where(Monitor.model_id.in_(ids), Monitor.state != "stopped")
            .group_by(Monitor.model_id)
        ).all()
    )
    limits = thresholds.of_models(session, rows)
    points = _points(session, retraining.ANYBODY, ids)
    others = [row.id for row in rows if row.owner_id != who.user_id and not who.is_admin]
    told = points | dict.fromkeys(others) | _points(session, who, others)
    keys = (
        "name",
        "algorithm",
        "status",
        "family",
        "tag",
        "pipeline_id",
        "dataset_id",
        "metrics",
        "trained_at",
        "owner_id",
    )
    found = []
    for row in rows:
        mine, present = told.get(row.id), newest.get(row.dataset_id or "")
        live = None if mine is None else accuracy(mine)
        all_live = live if row.id not in others else accuracy(points[row.id]) if row.id in points else None
        evidence = retraining.collect(session, row, all_live, present)
        found.append(
            {
                "model_id": row.id,
                "champion": row.id in first,
                "active_monitors": watched.get(row.id, 0),
                "live": live,
                "staleness": staleness(row, present, live, limits[row.id]),
                "verdict": retraining.judge(evidence, limits[row.id]),
                "evidence": evidence,
                **{key: getattr(row, key) for key in keys},
            }
        )
    return found


def _points(session: Session, who: Principal, ids: list[str]) -> dict[str, Any]:
    """The recent scored points that `who` may see, by model."""
    found = scored_points(session, who, model_ids=ids, since=now() - retraining.RECENT) if ids else None
    return {} if found is None else dict(list(found.groupby("model_id")))


def staleness(
    model: Model, newest: int | None, live: dict[str, Any] | None, limits: thresholds.Values = thresholds.USUAL
) -> dict[str, Any]:
    """Whether the model is stale: its dataset has a newer version, or its live accuracy is worse than its backtest."""
    reasons = (
        ["newer_data"]
        if newest is not None and model.dataset_number is not None and newest > model.dataset_number
        else []
    )
    reasons += drift(live, model.metrics, limits["error"], limits["coverage"])["reasons"] if live else []
    days = None if model.trained_at is None else round((now() - model.trained_at).total_seconds() / 86_400, 3)
    return {
        "stale": bool(reasons),
        "reasons": reasons,
        "days_since_training": days,
        "dataset_number": model.dataset_number,
        "newest_dataset_number": newest,
    }
