"""The ledger as the API shows it: lists, single forecasts with their points, accuracy."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from vur.store.accounts.access import Principal, visible
from vur.store.catalog import Forecast, ForecastPoint, Model, now
from vur.store.forecasts import scoring
from vur.store.models import registry
from vur.timezones import stamp_texts

HEAD = (
    "kind",
    "model_id",
    "run_id",
    "data_version",
    "job_id",
    "request_id",
    "owner_id",
    "freq",
    "horizon",
    "n_series",
    "seconds",
    "created_at",
)
RECENT = timedelta(days=30)


def head_shown(row: Forecast) -> dict[str, Any]:
    """Return the summary of a forecast."""
    return {"forecast_id": row.id, "model_version": row.tag, "n_errors": len(row.errors or {})} | {
        key: getattr(row, key) for key in HEAD
    }


def chosen(
    who: Principal,
    *,
    model: str | None = None,
    kind: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    series: str | None = None,
) -> Select[Any]:
    """Select the forecasts that `who` requested, filtered; `model` is an id, a tag or a family."""
    statement = visible(select(Forecast), Forecast, who)
    if model is not None:
        family = visible(select(Model.id).where(Model.family == model.removesuffix("@champion")), Model, who)
        statement = statement.where(
            or_(Forecast.model_id == model, Forecast.tag == model, Forecast.model_id.in_(family))
        )
    if kind is not None:
        statement = statement.where(Forecast.kind == kind)
    if since is not None:
        statement = statement.where(Forecast.created_at >= since)
    if until is not None:
        statement = statement.where(Forecast.created_at < until)
    if series is not None:
        of_series = select(ForecastPoint.id).where(
            ForecastPoint.forecast_id == Forecast.id, ForecastPoint.unique_id == series
        )
        statement = statement.where(of_series.exists())
    return statement


def forecast_shown(session: Session, row: Forecast, series: str | None, page: int, limit: int) -> dict[str, Any]:
    """Return a forecast with the points of one page of its series."""
    names = select(ForecastPoint.unique_id).where(ForecastPoint.forecast_id == row.id).group_by(ForecastPoint.unique_id)
    if series is not None:
        names = names.where(ForecastPoint.unique_id == series)
    total = session.scalar(select(func.count()).select_from(names.subquery()))
    ids = list(session.scalars(names.order_by(func.min(ForecastPoint.id)).limit(limit).offset((page - 1) * limit)))
    points = (
        select(ForecastPoint)
        .where(ForecastPoint.forecast_id == row.id, ForecastPoint.unique_id.in_(ids))
        .order_by(ForecastPoint.id)
    )
    found: dict[str, list[ForecastPoint]] = {id: [] for id in ids}
    for point in session.scalars(points):
        found[point.unique_id].append(point)
    return head_shown(row) | {
        "forecasts": {id: series_shown(row, one) for id, one in found.items()},
        "errors": row.errors or {},
        "total_series": total,
        "page": page,
        "limit": limit,
    }


def series_shown(row: Forecast, points: Sequence[ForecastPoint]) -> dict[str, Any]:
    """Return the points of one series as lists."""
    first = points[0]
    levels = list(first.quantiles)
    return {
        "origin": _texts(row, [first.origin_at])[0] if first.origin_at else None,
        "timestamps": [point.target_step for point in points]
        if first.target_at is None
        else _texts(row, [point.target_at for point in points if point.target_at is not None]),
        "forecast": [point.forecast for point in points],
        "actual": [point.actual for point in points],
        "intervals": {
            level: {end: [point.quantiles[level][place] for point in points] for place, end in enumerate(("lo", "hi"))}
            for level in levels
        },
    }


def _texts(row: Forecast, moments: Sequence[datetime]) -> list[Any]:
    return stamp_texts(np.array([moment.replace(tzinfo=None) for moment in moments], "M8[ns]"), row.freq, row.timezone)


def statistics(
    session: Session,
    who: Principal,
    *,
    model: str | None,
    since: datetime | None,
    until: datetime | None,
    series: str | None,
    kind: str | None,
    period: str,
) -> dict[str, Any]:
    """Return counts of the forecasts that `who` requested, and accuracy by model of those and of their own models'."""
    since = since or now() - RECENT
    asked = chosen(who, model=model, kind=kind, since=since, until=until, series=series).subquery()
    kinds: dict[str, int] = dict(
        session.execute(select(asked.c.kind, func.count()).group_by(asked.c.kind)).tuples().all()
    )
    counts = select(func.count(), func.count(ForecastPoint.actual)).where(
        ForecastPoint.forecast_id.in_(select(asked.c.id))
    )
    points, scored = session.execute(counts).one()
    wanted = None
    if model is not None:
        named = or_(Model.id == model, Model.tag == model, Model.family == model.removesuffix("@champion"))
        wanted = list(session.scalars(visible(select(Model.id).where(named), Model, who)))
    found = scoring.scored_points(session, who, model_ids=wanted, since=since, until=until, series=series, kind=kind)
    return {
        "since": since,
        "until": until,
        "forecasts": sum(kinds.values()),
        "by_kind": kinds,
        "points": points,
        "scored": scored,
        "models": [_model(session, id, part, period) for id, part in found.groupby("model_id", sort=True)],
    }


def _model(session: Session, id: str, points: Any, period: str) -> dict[str, Any]:
    from vur.scoring.metrics import METRICS

    model, live = session.get(Model, id), scoring.accuracy(points)
    backtest = {
        key: value
        for key, value in (model.metrics if model else {}).items()
        if key in METRICS or key in ("skill", "wql") or key.startswith(("coverage-", "winkler-"))
    }
    return {
        "model_id": id,
        "model_name": model.name if model else "",
        "model_version": model.tag if model else None,
        "champion": model is not None and registry.has_champion_alias(session, model),
        "backtest": backtest,
        "drift": scoring.drift(live, backtest),
        "by_horizon": scoring.by_horizon(points),
        "by_period": scoring.by_period(points, period),
    } | live
