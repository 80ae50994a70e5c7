"""The content of a user's dashboard, computed from the catalog: key figures with their trends, and recommendations."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from statistics import median
from typing import Any, TypeVar

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from vur.store.accounts.access import Principal, undeleted, visible
from vur.store.catalog import Activity, Alert, Alias, Dataset, ForecastPoint, Job, Model, Pipeline, Promotion, now
from vur.store.data.datasets import MANY_REJECTS
from vur.store.models import thresholds
from vur.store.pipelines import STEPS, done

MONTH, WEEK, DAY = timedelta(days=30), timedelta(days=7), timedelta(days=1)
CHAMPION = "champion"
FAILED_FOR, MOST_EACH, JUDGED_MODELS, JUDGED_POINTS = timedelta(days=14), 20, 20, 2_000
Statement = TypeVar("Statement", bound=Select[*tuple[Any, ...]])
Period = dict[str, Any]
PRIORITY = {"high": 0, "medium": 1, "low": 2}


# --- numbers ---


def stats(session: Session, who: Principal) -> dict[str, Any]:
    """The key figures and their changes against the previous period; None where there is no data."""
    moment = now()
    models = visible(select(Model.trained_at).where(Model.tag.is_not(None)), Model, who)
    added = visible(select(Dataset.created_at), Dataset, who)
    raised = visible(select(Alert.created_at), Alert, who)
    present, before = accuracy_of(champions_at(session, who)), accuracy_of(champions_at(session, who, moment - MONTH))
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    periods: dict[str, Period] = {
        "models": _periods(session, models, Model.trained_at, moment, MONTH),
        "datasets": _periods(session, added, Dataset.created_at, moment, WEEK),
        "alerts": {
            "current": _count(session, raised, Alert.created_at, midnight, None),
            "previous": _count(session, raised, Alert.created_at, midnight - DAY, midnight),
        },
        "accuracy": {"current": present, "previous": before},
    }
    open_alerts = visible(
        select(Alert.id).where(Alert.resolved_at.is_(None), Alert.acknowledged_at.is_(None)), Alert, who
    )
    found = champions_at(session, who)
    return {
        "active_models": _total(session, models),
        "average_accuracy": present,
        "total_datasets": _total(session, added),
        "active_alerts": _total(session, open_alerts),
        "trends": {
            "models_this_month": _signed(periods["models"]),
            "accuracy_vs_last_month": _signed(periods["accuracy"], "%", 1),
            "datasets_this_week": _signed(periods["datasets"]),
            "new_alerts_today": str(periods["alerts"]["current"]),
        },
        "champions": len(found),
        "median_mase": _median([metrics.get("mase") for metrics in found], 3),
        "periods": periods,
    }


def _total(session: Session, query: Select[Any]) -> int:
    return session.scalar(select(func.count()).select_from(query.subquery())) or 0


def _count(session: Session, query: Select[Any], column: Any, start: datetime, end: datetime | None) -> int:
    return _total(session, query.where(column >= start) if end is None else query.where(column >= start, column < end))


def _periods(session: Session, query: Select[Any], column: Any, moment: datetime, length: timedelta) -> Period:
    return {
        "current": _count(session, query, column, moment - length, None),
        "previous": _count(session, query, column, moment - 2 * length, moment - length),
    }


def _signed(period: Period, unit: str = "", digits: int = 0) -> str | None:
    """The change as `+2`, `-1.2%` or `0`; None if one value is unknown."""
    if period["current"] is None or period["previous"] is None:
        return None
    change = round(period["current"] - period["previous"], digits)
    return f"{change:+.{digits}f}{unit}" if change else f"0{unit}"


def champions_at(session: Session, who: Principal, moment: datetime | None = None) -> list[dict[str, Any]]:
    """The metrics of all champions, now or at `moment`."""
    if moment is None:
        query = (
            select(Model.metrics)
            .join(Alias, Alias.model_id == Model.id)
            .where(Alias.name == CHAMPION, Model.tag.is_not(None))
        )
        return list(session.scalars(visible(query, Model, who)))
    latest = (
        select(Promotion.alias_id, func.max(Promotion.created_at).label("at"))
        .where(Promotion.created_at <= moment)
        .group_by(Promotion.alias_id)
        .subquery()
    )
    moves = (
        select(Model.metrics)
        .join(Promotion, Promotion.model_id == Model.id)
        .join(latest, (latest.c.alias_id == Promotion.alias_id) & (latest.c.at == Promotion.created_at))
        .join(Alias, Alias.id == Promotion.alias_id)
    )
    return list(session.scalars(visible(moves.where(Alias.name == CHAMPION, Model.tag.is_not(None)), Model, who)))


def accuracy_of(metrics: Iterable[dict[str, Any]]) -> float | None:
    """The accuracy of models: 100 less the median sMAPE (else WAPE) of their folds, at least 0; None without models."""
    errors = [found.get("smape") if found.get("smape") is not None else found.get("wape") for found in metrics]
    middle = _median(errors, 6)
    return None if middle is None else round(max(100 - middle, 0.0), 1)


def _median(values: Iterable[float | None], digits: int) -> float | None:
    known = [value for value in values if isinstance(value, (int, float)) and value == value]
    return round(median(known), digits) if known else None


# --- activities ---


def activities(who: Principal, **filters: Any) -> Select[Any]:
    """The query for activities on the user's objects and by the user; `filters` are values of columns.

    That something was shared is said to whom it was shared with, in whose words it is.
    """
    query = select(Activity).where(
        or_(Activity.owner_id == who.user_id, Activity.kind.not_like("shared\\_%", escape="\\"))
    )
    if not who.is_admin:
        query = query.where(or_(Activity.owner_id == who.user_id, Activity.user_id == who.user_id))
    for name, value in filters.items():
        if value is not None:
            query = query.where(Activity.created_at >= value if name == "since" else getattr(Activity, name) == value)
    return query


# --- recommendations ---


def tasks(session: Session, who: Principal) -> list[dict[str, Any]]:
    """Recommendations on the user's objects, the most urgent first; see `task` for their fields."""
    found = [
        *_failed(session, who),
        *_drifted(session, who),
        *_outdated(session, who),
        *_rejected(session, who),
        *_unfinished(session, who),
        *_untrained(session, who),
    ]
    return sorted(found, key=lambda task: (PRIORITY[task["priority"]], -task["since"].timestamp()))


def mine(query: Statement, table: Any, who: Principal) -> Statement:
    """Limit `query` to the user's own objects that are not deleted; all for admins."""
    query = undeleted(query, table)
    return query if who.is_admin else query.where(table.owner_id == who.user_id)


def task(type: str, priority: str, kind: str, id: str, since: datetime, **values: Any) -> dict[str, Any]:
    """One recommendation: `type, priority, object_kind, object_id, values, since`."""
    return {"type": type, "priority": priority, "object_kind": kind, "object_id": id, "since": since, "values": values}


def _failed(session: Session, who: Principal) -> list[dict[str, Any]]:
    """Models whose newest job failed in the last two weeks."""
    newest = (
        select(Job.model_id, func.max(Job.created_at).label("at"))
        .where(Job.model_id.is_not(None))
        .group_by(Job.model_id)
        .subquery()
    )
    query = (
        select(Model, Job)
        .join(Job, Job.model_id == Model.id)
        .join(newest, (newest.c.model_id == Job.model_id) & (newest.c.at == Job.created_at))
    )
    query = (
        mine(query.where(Job.state == "failed", Job.created_at >= now() - FAILED_FOR), Model, who)
        .order_by(Job.created_at.desc())
        .limit(MOST_EACH)
    )
    return [
        task("failed_run", "high", "model", model.id, job.ended_at or job.created_at, name=model.name, error=job.error)
        for model, job in session.execute(query)
    ]


def _drifted(session: Session, who: Principal) -> list[dict[str, Any]]:
    """Champions whose live accuracy is worse than that of their backtest."""
    query = select(Model).join(Alias, Alias.model_id == Model.id).where(Alias.name == CHAMPION, Model.tag.is_not(None))
    found = []
    for model in session.scalars(mine(query, Model, who).order_by(Model.trained_at.desc()).limit(JUDGED_MODELS)):
        judged = _judge(session, model)
        if judged is not None:
            found.append(
                task(judged.pop("type"), "high", "model", model.id, judged.pop("since"), name=model.name, **judged)
            )
    return found


def _judge(session: Session, model: Model) -> dict[str, Any] | None:
    """The drift of a model's newest scored points: type, values and since when; None without drift."""
    point = ForecastPoint
    columns = (point.forecast_id, point.unique_id, point.forecast, point.actual, point.quantiles, point.scored_at)
    rows = session.execute(
        select(*columns)
        .where(point.tag == model.tag, point.owner_id == model.owner_id, point.actual.is_not(None))
        .order_by(point.id.desc())
        .limit(JUDGED_POINTS)
    ).all()
    if not rows:
        return None
    import pandas as pd

    from vur.store.forecasts.scoring import accuracy, drift

    live = accuracy(pd.DataFrame(rows, columns=[column.key for column in columns]))
    limits = thresholds.of_model(session, model)
    judged = drift(live, model.metrics, limits["error"], limits["coverage"])
    if not judged["drifting"]:
        return None
    since = max(row.scored_at for row in rows if row.scored_at is not None)
    held = live["coverage"]
    worst = min(held, key=lambda level: (held[level] if held[level] is not None else 100) - float(level), default=None)
    if "error" in judged["reasons"]:
        return {"type": "drift", "since": since, "ratio": round(judged["ratio"], 2), "points": live["n"]}
    return {"type": "coverage", "since": since, "level": worst, "held": round(held[worst], 1), "points": live["n"]}


def _outdated(session: Session, who: Principal) -> list[dict[str, Any]]:
    """The newest trained models of families whose dataset has a newer version."""
    newest = (
        select(Model.family, Model.owner_id, func.max(Model.trained_at).label("at"))
        .where(Model.tag.is_not(None))
        .group_by(Model.family, Model.owner_id)
        .subquery()
    )
    query = (
        select(Model, Dataset)
        .join(Dataset, Dataset.id == Model.dataset_id)
        .join(
            newest,
            (newest.c.family == Model.family)
            & (newest.c.owner_id == Model.owner_id)
            & (newest.c.at == Model.trained_at),
        )
    )
    query = (
        mine(query.where(Model.dataset_number < Dataset.number), Model, who)
        .order_by(Dataset.updated_at.desc())
        .limit(MOST_EACH)
    )
    return [
        task(
            "retrain",
            "medium",
            "model",
            model.id,
            dataset.updated_at,
            name=model.name,
            dataset=dataset.name,
            trained=model.dataset_number,
            present=dataset.number,
        )
        for model, dataset in session.execute(query)
    ]


def _rejected(session: Session, who: Principal) -> list[dict[str, Any]]:
    """Datasets with many rejected rows."""
    rejected = Dataset.head["rejected"].as_integer()
    query = select(Dataset).where(rejected > MANY_REJECTS * (Dataset.rows + rejected))
    rows = session.scalars(mine(query, Dataset, who).order_by(Dataset.created_at.desc()).limit(MOST_EACH))
    return [
        task(
            "many_rejects",
            "medium",
            "dataset",
            row.id,
            row.created_at,
            name=row.name,
            rejected=row.head["rejected"],
            rows=row.rows,
        )
        for row in rows
    ]


def _unfinished(session: Session, who: Principal) -> list[dict[str, Any]]:
    """Pipelines without a model: to be trained if all steps are complete, else to be continued."""
    used = select(Model.pipeline_id).where(Model.pipeline_id.is_not(None))
    rows = session.scalars(
        mine(select(Pipeline).where(Pipeline.id.not_in(used)), Pipeline, who)
        .order_by(Pipeline.updated_at.desc())
        .limit(MOST_EACH)
    )
    found = []
    for row in rows:
        following = next((step for step in STEPS if step not in done(row)), None)
        kind, priority = ("train_pipeline", "medium") if following is None else ("continue_pipeline", "low")
        found.append(task(kind, priority, "pipeline", row.id, row.updated_at, name=row.name, step=following))
    return found


def _untrained(session: Session, who: Principal) -> list[dict[str, Any]]:
    """Datasets without a model and without a pipeline."""
    used = (
        select(Model.dataset_id)
        .where(Model.dataset_id.is_not(None))
        .union(select(Pipeline.dataset_id).where(Pipeline.dataset_id.is_not(None)))
    )
    rows = session.scalars(
        mine(select(Dataset).where(Dataset.id.not_in(used)), Dataset, who)
        .order_by(Dataset.created_at.desc())
        .limit(MOST_EACH)
    )
    return [task("train_model", "low", "dataset", row.id, row.created_at, name=row.name, rows=row.rows) for row in rows]
