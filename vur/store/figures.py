"""The figures at the top of the dashboard, each with its history of a month by the catalog."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from vur.scoring.metrics import skill
from vur.store.accounts.access import Principal, visible
from vur.store.catalog import Alert, Alias, Dataset, Model, Promotion, now
from vur.store.dashboard import CHAMPION
from vur.store.forecasts.scoring import scored_points
from vur.store.models.retraining import ANYBODY, RECENT

STEP, STEPS = timedelta(days=2), 15
LEAST_HISTORY = timedelta(days=1)  # before it, there is nothing to compare with
Point = dict[str, Any]


def figures(session: Session, who: Principal) -> dict[str, Any]:
    """`models, skill, live_skill, datasets, alerts`: each `value, before, change` and `points` (`at, value`).

    `before` is the value 30 days ago, or at the first point there is. `points`, `before` and `change` are None where
    the catalog has no history yet. Skills are in percent, and None without a champion or without forecasts to compare.
    """
    moment = now()
    moments = [moment - STEP * (STEPS - number) for number in range(STEPS)] + [moment]
    return {
        "models": _counted(_times(session, Model.trained_at, Model, who, Model.tag.is_not(None)), moments),
        "datasets": _counted(_times(session, Dataset.created_at, Dataset, who), moments),
        "alerts": _open_alerts(session, who, moments),
        "skill": _figure(moments, _skills(session, who, moments)),
        "live_skill": live_skill(session, who, moments),
        "since": moments[0],
    }


def _figure(moments: Sequence[datetime], values: Sequence[float | None]) -> dict[str, Any]:
    """A figure from its values at `moments`, which begin with the first one that is known."""
    known = [place for place, value in enumerate(values) if value is not None]
    value = values[-1]
    if not known or moments[-1] - moments[known[0]] < LEAST_HISTORY:
        return {"value": value, "before": None, "change": None, "points": None}
    points = [{"at": moments[place], "value": values[place]} for place in range(known[0], len(moments))]
    before = values[known[0]]
    change = None if value is None or before is None else round(value - before, 1)
    return {"value": value, "before": before, "change": change, "points": points}


def _times(session: Session, column: Any, table: Any, who: Principal, *more: Any) -> list[datetime]:
    return sorted(at for at in session.scalars(visible(select(column).where(*more), table, who)) if at is not None)


def _counted(times: Sequence[datetime], moments: Sequence[datetime]) -> dict[str, Any]:
    """The number of objects that exist now by the time of their creation; unknown before the first one."""
    return _figure(moments, _known_from(times, moments, lambda moment: sum(at <= moment for at in times)))


def _known_from(
    times: Sequence[datetime], moments: Sequence[datetime], count: Callable[[datetime], float]
) -> list[float | None]:
    """`count` at each moment from the first of `times` on; at the last one it is always known."""
    return [
        count(moment) if number == len(moments) - 1 or (times and times[0] <= moment) else None
        for number, moment in enumerate(moments)
    ]


def _open_alerts(session: Session, who: Principal, moments: Sequence[datetime]) -> dict[str, Any]:
    columns = (Alert.created_at, Alert.acknowledged_at, Alert.resolved_at)
    since = moments[0]
    there = or_(Alert.acknowledged_at.is_(None), Alert.acknowledged_at > since)
    still = or_(Alert.resolved_at.is_(None), Alert.resolved_at > since)
    rows = session.execute(visible(select(*columns).where(there, still).order_by(Alert.created_at), Alert, who)).all()
    first = session.scalar(visible(select(Alert.created_at).order_by(Alert.created_at).limit(1), Alert, who))

    def count(moment: datetime) -> float:
        return sum(row[0] <= moment and all(end is None or end > moment for end in row[1:]) for row in rows)

    return _figure(moments, _known_from([] if first is None else [first], moments, count))


def _skills(session: Session, who: Principal, moments: Sequence[datetime]) -> list[float | None]:
    """The median skill of the champions over their folds, in percent, at each moment, by their promotions."""
    moves = session.execute(
        visible(
            select(Promotion.alias_id, Promotion.created_at, Model.metrics)
            .join(Model, Model.id == Promotion.model_id)
            .join(Alias, Alias.id == Promotion.alias_id)
            .where(Alias.name == CHAMPION, Model.tag.is_not(None))
            .order_by(Promotion.created_at),
            Model,
            who,
        )
    ).all()
    found: list[float | None] = []
    for moment in moments:
        present = {alias: metrics for alias, at, metrics in moves if at <= moment}
        skills = [metrics["skill"] for metrics in present.values() if (metrics or {}).get("skill") is not None]
        found.append(round(100 * median(skills), 1) if skills else None)
    return found


def live_skill(session: Session, who: Principal, moments: Sequence[datetime]) -> dict[str, Any]:
    """The median over models, in percent, of the skill of all forecasts that had been compared at each moment."""
    ids = list(session.scalars(visible(select(Model.id).where(Model.tag.is_not(None)), Model, who)))
    scored = scored_points(session, ANYBODY, model_ids=ids, since=now() - RECENT)
    scored = scored[scored["naive"].notna() & scored["scored_at"].notna()]
    errors = scored.assign(
        error=(scored["actual"] - scored["forecast"]).abs(), reference=(scored["actual"] - scored["naive"]).abs()
    )
    found: list[float | None] = []
    for moment in moments:
        sums = errors[errors["scored_at"] <= moment].groupby("model_id")[["error", "reference"]].sum()
        skills = [skill(row.error, row.reference) for row in sums.itertuples() if row.reference > 0]
        found.append(round(100 * median(skills), 1) if skills else None)
    return _figure(moments, found) | {"values": len(scored)}
