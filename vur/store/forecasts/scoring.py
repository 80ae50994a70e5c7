"""Scores forecasts of the ledger against actual values: error, coverage and drift."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import ColumnElement, Select, and_, func, or_, select, update
from sqlalchemy.orm import Session

from vur.frequency import DAY, spacing
from vur.store.accounts.access import Principal
from vur.store.catalog import Forecast, ForecastPoint, Model, now
from vur.store.database import reading, writing

if TYPE_CHECKING:
    import pandas as pd

SERIES_AT_ONCE, POINTS_AT_ONCE = 500, 5_000


@dataclass(frozen=True)
class Scored:
    """The result of scoring: `points` that got an actual value, and `matched` and `unmatched` actual values."""

    points: int = 0
    matched: int = 0
    unmatched: int = 0


def cells(stamps: np.ndarray, freq: str) -> np.ndarray:
    """Map stamps to integers that are equal within a step of `freq`: months if monthly, days if daily or longer."""
    if stamps.dtype.kind != "M":
        return stamps.astype(np.int64)
    step = spacing(freq)
    unit = "M" if step.kind == "month" else "D" if step.kind == "business" or step.size >= DAY else "ns"
    return stamps.astype(f"M8[{unit}]").astype(np.int64)


def score(
    models: Mapping[str, str], actuals: "pd.DataFrame", freq: str, *, owner_id: str | None = None, again: bool = False
) -> Scored:
    """Store `actuals` (`unique_id, ds, y`, with the models' stamps) in the points that forecast them.

    `models` are the tags of models by id. `owner_id` limits it to the forecasts of one user. Points that have an actual
    value keep it, unless `again`. Works in short transactions.
    """
    rows = actuals[actuals["y"].notna()].drop_duplicates(["unique_id", "ds"], keep="last")
    if rows.empty or not models:
        return Scored()
    rows = rows.assign(cell=cells(rows["ds"].to_numpy(), freq))[["unique_id", "cell", "y", "ds"]]
    ids, points = rows["unique_id"].unique().tolist(), 0
    found: set[tuple[Any, Any]] = set()
    for start in range(0, len(ids), SERIES_AT_ONCE):
        some = rows[rows["unique_id"].isin(ids[start : start + SERIES_AT_ONCE])]
        for due in _due(models, some, freq, owner_id, again):
            both = due.merge(some, on=["unique_id", "cell"])
            points += _fill(both)
            found.update(zip(both["unique_id"], both["cell"], strict=True))
    return Scored(points, len(found), len(rows) - len(found))


def _due(
    models: Mapping[str, str], rows: "pd.DataFrame", freq: str, owner_id: str | None, again: bool
) -> Iterator["pd.DataFrame"]:
    """Points that forecast the values of `rows`, in pages: `id, unique_id, cell`."""
    import pandas as pd

    dated = rows["ds"].dtype.kind == "M"
    target = ForecastPoint.target_at if dated else ForecastPoint.target_step
    low, high = rows["ds"].min(), rows["ds"].max()
    if dated:  # a stamp may lie anywhere in its month
        margin = pd.Timedelta(days=31)
        low, high = (
            (stamp + way).to_pydatetime().replace(tzinfo=UTC) for stamp, way in ((low, -margin), (high, margin))
        )
    else:
        low, high = int(low), int(high)
    wanted: list[ColumnElement[bool]] = [
        ForecastPoint.tag.in_(list(models.values())),
        Forecast.model_id.in_(list(models)),
        ForecastPoint.unique_id.in_(rows["unique_id"].unique().tolist()),
        target.between(low, high),
    ]
    wanted += [] if again else [ForecastPoint.actual.is_(None)]
    wanted += [] if owner_id is None else [ForecastPoint.owner_id == owner_id]
    last = 0
    while True:
        with reading() as session:
            page = session.execute(
                select(ForecastPoint.id, ForecastPoint.unique_id, target)
                .join(Forecast, Forecast.id == ForecastPoint.forecast_id)
                .where(*wanted, ForecastPoint.id > last)
                .order_by(ForecastPoint.id)
                .limit(50_000)
            ).all()
        if not page:
            return
        ids, series, stamps = zip(*page, strict=True)
        last = ids[-1]
        values = (
            np.array([stamp.replace(tzinfo=None) for stamp in stamps], "M8[ns]")
            if dated
            else np.array(stamps, np.int64)
        )
        yield pd.DataFrame({"id": ids, "unique_id": series, "cell": cells(values, freq)})


def _fill(rows: "pd.DataFrame") -> int:
    moment = now()
    content = [
        {"id": int(id), "actual": float(y), "scored_at": moment} for id, y in zip(rows["id"], rows["y"], strict=True)
    ]
    for start in range(0, len(content), POINTS_AT_ONCE):
        with writing() as session:
            session.execute(update(ForecastPoint), content[start : start + POINTS_AT_ONCE])
    return len(content)


# --- accuracy ---

MOST_POINTS, MOST_LEVELS = 50_000, 10
# Drift: the least number of points; the factor of the backtest's error; standard errors below the nominal coverage.
ENOUGH, WORSE, BELOW = 12, 1.5, 3.0
PERIODS = {"day": "D", "week": "W", "month": "M"}


def accessible(statement: Select[Any], who: Principal) -> Select[Any]:
    """Limit `statement` to the forecasts that `who` requested and those of their models; all for admins."""
    if who.is_admin:
        return statement
    return statement.where(
        or_(
            Forecast.owner_id == who.user_id,
            Forecast.model_id.in_(select(Model.id).where(Model.owner_id == who.user_id)),
        )
    )


def scored_points(
    session: Session,
    who: Principal,
    *,
    model_ids: Collection[str] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    series: str | None = None,
    kind: str | None = None,
) -> "pd.DataFrame":
    """Scored points of forecasts made from `since` to before `until`, the newest first, at most `MOST_POINTS`.

    A model's forecast for the same series, origin and step counts once, however often it was requested.
    Columns: `model_id, forecast_id, unique_id, horizon, target_at, target_step, forecast, actual` and the ends of
    intervals, `lo-L, hi-L`.
    """
    import pandas as pd

    point = ForecastPoint
    wanted: list[ColumnElement[bool]] = [point.actual.is_not(None)]
    wanted += [
        column == value for column, value in ((point.unique_id, series), (Forecast.kind, kind)) if value is not None
    ]
    wanted += [] if model_ids is None else [Forecast.model_id.in_(list(model_ids))]
    wanted += [] if since is None else [Forecast.created_at >= since]
    wanted += [] if until is None else [Forecast.created_at < until]
    same = (
        Forecast.model_id,
        point.tag,
        point.unique_id,
        point.origin_at,
        point.target_at,
        point.target_step,
        point.horizon,
    )
    last = select(func.max(point.id).label("id")).join(Forecast, Forecast.id == point.forecast_id).where(and_(*wanted))
    newest = accessible(last, who).group_by(*same).order_by(func.max(point.id).desc()).limit(MOST_POINTS).subquery()
    columns = (
        Forecast.model_id,
        point.forecast_id,
        point.unique_id,
        point.horizon,
        point.target_at,
        point.target_step,
        point.forecast,
        point.actual,
        point.quantiles,
    )
    found = select(*columns).join(Forecast, Forecast.id == point.forecast_id).join(newest, newest.c.id == point.id)
    return with_ends(
        pd.DataFrame(session.execute(found.order_by(point.id.desc())).all(), columns=[column.key for column in columns])
    )


def with_ends(points: "pd.DataFrame") -> "pd.DataFrame":
    """Replace the column `quantiles` by the intervals' bounds at their most common levels, `lo-L` and `hi-L`."""
    usual = Counter(level for ends in points["quantiles"] for level in ends).most_common(MOST_LEVELS)
    levels = sorted((level for level, _ in usual), key=float)
    columns: dict[str, np.ndarray] = {}
    for level in levels:
        ends = np.array([pair.get(level) or (np.nan, np.nan) for pair in points["quantiles"]], dtype=float)
        columns |= {f"lo-{level}": ends[:, 0], f"hi-{level}": ends[:, 1]}
    return points.drop(columns="quantiles").assign(**columns)


def accuracy(points: "pd.DataFrame") -> dict[str, Any]:
    """The accuracy of `points`.

    `n` points from `paths` (forecasts of a series); `mae, rmse, smape, bias`, and `coverage` in percent by level.
    """
    from vur.scoring.metrics import bias, coverage, mae, rmse, smape

    points = with_ends(points) if "quantiles" in points else points
    y, forecast = points["actual"].to_numpy(float), points["forecast"].to_numpy(float)
    measures = {"mae": mae, "rmse": rmse, "smape": smape, "bias": bias}
    found: dict[str, Any] = {"n": len(points), "paths": len(points.drop_duplicates(["forecast_id", "unique_id"]))}
    found |= {name: _plain(measure(y, forecast)) for name, measure in measures.items()}
    levels = [name.removeprefix("lo-") for name in points if name.startswith("lo-") and points[name].notna().any()]
    return found | {
        "coverage": {level: _plain(coverage(y, points[f"lo-{level}"], points[f"hi-{level}"])) for level in levels}
    }


def _plain(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None


def by_horizon(points: "pd.DataFrame") -> list[dict[str, Any]]:
    """The accuracy of each step of the horizon."""
    return [{"horizon": int(step)} | accuracy(part) for step, part in points.groupby("horizon", sort=True)]


def by_period(points: "pd.DataFrame", period: str) -> list[dict[str, Any]]:
    """The accuracy by `day, week` or `month` of the target; empty if stamps are integers."""
    import pandas as pd

    dated = points[points["target_at"].notna()]
    if dated.empty:
        return []
    starts = (
        pd.to_datetime(dated["target_at"], utc=True).dt.tz_localize(None).dt.to_period(PERIODS[period]).dt.start_time
    )
    return [{"period": f"{start:%Y-%m-%d}"} | accuracy(part) for start, part in dated.groupby(starts, sort=True)]


def drift(live: dict[str, Any], backtest: dict[str, Any]) -> dict[str, Any]:
    """Compare the live accuracy with the backtest: `drifting`, `reasons`, `judged`, and the `ratio` of their errors.

    `error`: the mean absolute error is at least `WORSE` times that of the folds. `coverage`: an interval's coverage is
    more than `BELOW` standard errors below its level; all steps of one forecast count as one observation, because
    their errors are correlated. Fewer than `ENOUGH` points are not judged.
    """
    promised = backtest.get("mae")
    ratio = live["mae"] / promised if live["mae"] is not None and promised else None
    short = [
        level
        for level, held in live["coverage"].items()
        if held is not None and held / 100 < _least(float(level) / 100, live["paths"])
    ]
    reasons = [name for name, found in (("error", ratio is not None and ratio >= WORSE), ("coverage", short)) if found]
    judged = live["n"] >= ENOUGH
    return {
        "drifting": judged and bool(reasons),
        "reasons": reasons if judged else [],
        "judged": judged,
        "ratio": None if ratio is None else _plain(ratio),
    }


def _least(share: float, count: int) -> float:
    return share - BELOW * np.sqrt(share * (1 - share) / count)
