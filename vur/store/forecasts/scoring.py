"""Scores forecasts of the ledger against actual values: error, skill against the naive forecast, coverage, drift."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.orm import Session

from vur.frequency import advance, frequency
from vur.store.accounts.access import Principal, Statement
from vur.store.catalog import Forecast, ForecastPoint, Model, now
from vur.store.database import reading, writing
from vur.store.forecasts import overrides
from vur.store.forecasts.cells import cells

if TYPE_CHECKING:
    import pandas as pd

SERIES_AT_ONCE, POINTS_AT_ONCE = 500, 5_000


@dataclass(frozen=True)
class Scored:
    """The result of scoring: `points` that got an actual value, and `matched` and `unmatched` actual values."""

    points: int = 0
    matched: int = 0
    unmatched: int = 0


def score(
    models: Mapping[str, str],
    actuals: "pd.DataFrame",
    freq: str,
    *,
    owner_id: str | None = None,
    again: bool = False,
    past: "Callable[[], pd.DataFrame | None] | None" = None,
) -> Scored:
    """Store `actuals` (`unique_id, ds, y`, with the models' stamps) in the points that forecast them.

    `models` are the tags of models by id. `owner_id` limits it to the forecasts of one user. Points that have an actual
    value keep it, unless `again`. `past` gives earlier values in the form of `actuals`: from them, and from values that
    scored before, the seasonal naive forecast of each point is stored, too. Works in short transactions.
    """
    rows = actuals[actuals["y"].notna()].drop_duplicates(["unique_id", "ds"], keep="last")
    if rows.empty or not models:
        return Scored()
    rows = rows.assign(cell=cells(rows["ds"].to_numpy(), freq))[["unique_id", "cell", "y", "ds"]]
    ids, points = rows["unique_id"].unique().tolist(), 0
    found: set[tuple[Any, Any]] = set()
    earlier: pd.DataFrame | None = None
    for start in range(0, len(ids), SERIES_AT_ONCE):
        some = rows[rows["unique_id"].isin(ids[start : start + SERIES_AT_ONCE])]
        for due in _due(models, some, freq, owner_id, again):
            both = due.merge(some, on=["unique_id", "cell"])
            if both.empty:
                continue
            if earlier is None and past is not None:
                earlier = past()
            both["naive"] = season_before(both, [frame for frame in (earlier, some) if frame is not None], models, freq)
            points += _fill(both)
            found.update(zip(both["unique_id"], both["cell"], strict=True))
        if owner_id is None:  # what anybody else says does not judge the people who override
            with writing() as session:
                overrides.fill_actuals(session, models, some, freq, again)
    return Scored(points, len(found), len(rows) - len(found))


def _due(
    models: Mapping[str, str], rows: "pd.DataFrame", freq: str, owner_id: str | None, again: bool
) -> Iterator["pd.DataFrame"]:
    """Points that forecast the values of `rows`, in pages: `id, unique_id, horizon, target, cell`."""
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
                select(ForecastPoint.id, ForecastPoint.unique_id, ForecastPoint.horizon, target)
                .join(Forecast, Forecast.id == ForecastPoint.forecast_id)
                .where(*wanted, ForecastPoint.id > last)
                .order_by(ForecastPoint.id)
                .limit(50_000)
            ).all()
        if not page:
            return
        ids, series, steps, stamps = zip(*page, strict=True)
        last = ids[-1]
        values = _plain_stamps(stamps, dated)
        columns = {"id": ids, "unique_id": series, "horizon": steps, "target": values, "cell": cells(values, freq)}
        yield pd.DataFrame(columns)


def _plain_stamps(stamps: Collection[Any], dated: bool) -> np.ndarray:
    """Stamps of the ledger as datetime64[ns], or int64 if they are integers."""
    if dated:
        return np.array([stamp.replace(tzinfo=None) for stamp in stamps], "M8[ns]")
    return np.array(list(stamps), np.int64)


def season_before(
    points: "pd.DataFrame", known: "list[pd.DataFrame]", models: Mapping[str, str], freq: str
) -> np.ndarray:
    """The seasonal naive forecast of `points` (`unique_id, horizon, target`): the last value of the same season place.

    Only values up to the origin of each forecast count. They come from `known` (`unique_id, ds, y`), else from actual
    values in the ledger; NaN where none is known.
    """
    import pandas as pd

    season = max(frequency(freq).season, 1)
    back = -(-points["horizon"].to_numpy(np.int64) // season) * season  # whole seasons, at least the horizon
    stamps = points["target"].to_numpy()
    wanted = pd.DataFrame(
        {"unique_id": points["unique_id"].astype(str), "place": cells(advance(stamps, -back, freq), freq)}
    )
    values = np.full(len(wanted), np.nan)
    for frame in (*known, _scored_values(models, wanted, stamps, back, freq)):
        missing = np.isnan(values)
        if not missing.any():
            break
        some = frame[frame["unique_id"].isin(wanted["unique_id"].unique())]
        lookup = pd.DataFrame(
            {
                "unique_id": some["unique_id"].astype(str).to_numpy(),
                "place": cells(some["ds"].to_numpy(), freq),
                "y": some["y"].to_numpy(float),
            }
        ).dropna()
        found = wanted.merge(lookup.drop_duplicates(["unique_id", "place"], keep="last"), how="left")
        values = np.where(missing, found["y"].to_numpy(float), values)
    return values


def _scored_values(
    models: Mapping[str, str], wanted: "pd.DataFrame", stamps: np.ndarray, back: np.ndarray, freq: str
) -> "pd.DataFrame":
    """Actual values of the ledger around the stamps `back` steps before `stamps`: `unique_id, ds, y`."""
    import pandas as pd

    dated = stamps.dtype.kind == "M"
    target = ForecastPoint.target_at if dated else ForecastPoint.target_step
    ends = advance(stamps, -back, freq)
    low, high = ends.min(), ends.max()
    if dated:
        margin = np.timedelta64(31, "D")
        low, high = (pd.Timestamp(stamp, tz="UTC").to_pydatetime() for stamp in (low - margin, high + margin))
    else:
        low, high = int(low), int(high)
    with reading() as session:
        rows = session.execute(
            select(ForecastPoint.unique_id, target, ForecastPoint.actual)
            .where(
                ForecastPoint.tag.in_(list(models.values())),
                ForecastPoint.unique_id.in_(wanted["unique_id"].unique().tolist()),
                ForecastPoint.actual.is_not(None),
                target.between(low, high),
            )
            .distinct()
            .limit(MOST_POINTS)
        ).all()
    series, moments, actual = zip(*rows, strict=True) if rows else ((), (), ())
    return pd.DataFrame({"unique_id": series, "ds": _plain_stamps(moments, dated), "y": actual})


def _fill(rows: "pd.DataFrame") -> int:
    moment = now()
    content = [
        {"id": int(id), "actual": float(y), "naive": float(naive) if np.isfinite(naive) else None, "scored_at": moment}
        for id, y, naive in zip(rows["id"], rows["y"], rows["naive"], strict=True)
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


def accessible(statement: Statement, who: Principal) -> Statement:
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
    Columns: `model_id, forecast_id, unique_id, horizon, target_at, target_step, forecast, actual, naive, scored_at` and
    the ends of intervals, `lo-L, hi-L`.
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
        point.naive,
        point.scored_at,
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
    `naive_mae` is the error of the seasonal naive forecast on those points where it is known, `skill` is one minus the
    forecasts' error on the same points over it.
    """
    from vur.scoring.metrics import bias, coverage, mae, rmse, smape

    points = with_ends(points) if "quantiles" in points else points
    y, forecast = points["actual"].to_numpy(float), points["forecast"].to_numpy(float)
    measures = {"mae": mae, "rmse": rmse, "smape": smape, "bias": bias}
    found: dict[str, Any] = {"n": len(points), "paths": len(points.drop_duplicates(["forecast_id", "unique_id"]))}
    found |= {name: _plain(measure(y, forecast)) for name, measure in measures.items()}
    found |= _against_naive(y, forecast, points)
    levels = [name.removeprefix("lo-") for name in points if name.startswith("lo-") and points[name].notna().any()]
    return found | {
        "coverage": {level: _plain(coverage(y, points[f"lo-{level}"], points[f"hi-{level}"])) for level in levels}
    }


def _against_naive(y: np.ndarray, forecast: np.ndarray, points: "pd.DataFrame") -> dict[str, Any]:
    """`naive_points, naive_mae, skill` of those points whose naive forecast is known."""
    from vur.scoring.metrics import mae, skill

    naive = points["naive"].to_numpy(float) if "naive" in points else np.full(len(points), np.nan)
    known = np.isfinite(naive) & np.isfinite(y)
    if not known.any():
        return {"naive_points": 0, "naive_mae": None, "skill": None}
    reference = mae(y[known], naive[known])
    return {
        "naive_points": int(known.sum()),
        "naive_mae": _plain(reference),
        "skill": _plain(skill(mae(y[known], forecast[known]), reference)),
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


def drift(
    live: dict[str, Any],
    backtest: dict[str, Any],
    worse: float | None = WORSE,
    short_by: float | None = 0.0,
) -> dict[str, Any]:
    """Compare the live accuracy with the backtest: `drifting`, `reasons`, `judged`, and the `ratio` of their errors.

    `error`: the mean absolute error is at least `worse` times that of the folds. `coverage`: an interval's coverage is
    more than `short_by` percent points and `BELOW` standard errors below its level; all steps of one forecast count as
    one observation, because their errors are correlated. None turns a reason off. Fewer than `ENOUGH` points are not
    judged.
    """
    promised = backtest.get("mae")
    ratio = live["mae"] / promised if live["mae"] is not None and promised else None
    short = short_by is not None and any(
        held < float(level) - short_by and held / 100 < _least(float(level) / 100, live["paths"])
        for level, held in live["coverage"].items()
        if held is not None
    )
    grown = ratio is not None and worse is not None and ratio >= worse
    reasons = [name for name, found in (("error", grown), ("coverage", short)) if found]
    judged = live["n"] >= ENOUGH
    return {
        "drifting": judged and bool(reasons),
        "reasons": reasons if judged else [],
        "judged": judged,
        "ratio": None if ratio is None else _plain(ratio),
    }


def _least(share: float, count: int) -> float:
    return share - BELOW * np.sqrt(share * (1 - share) / count)
