"""Past forecasts of a series against what came later: by issue, and by how many steps ahead they were made."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Select, select

from vur.frequency import advance
from vur.models.saved import Saved
from vur.predictions.actuals import family_of
from vur.predictions.observed import Line, came_later, find_series, parts_of, trained_on
from vur.predictions.open_models import LruCache, open_model
from vur.predictions.stamps import shown_stamps
from vur.store.accounts.access import Principal
from vur.store.catalog import Forecast, ForecastPoint, Model, Run
from vur.store.data.thinning import short_numbers
from vur.store.database import reading
from vur.store.forecasts.cells import cells
from vur.store.forecasts.scoring import accessible
from vur.store.models.champions import Served, find_served
from vur.store.runs import fold_forecasts

LATEST = 500  # forecasts that are looked through for different issues
MOST_POINTS = 2_000  # of one lead
COLUMNS = ("source", "forecast_id", "tag", "issued", "origin", "ds", "step", "forecast", "lo", "hi", "actual")

_folds: LruCache[pd.DataFrame] = LruCache(4)


def backtest(served: Served) -> pd.DataFrame:
    """Forecasts over the folds of the model's run: `algorithm, fold, unique_id, ds, step, y, forecast`; maybe no rows.

    `attrs` has the `winner` and the `reference`, the naive forecast that it is compared with.
    """
    key = (served.tag, served.checksum, served.run_id)
    found = _folds.get(key, lambda: _read_folds(served))
    if found.empty:  # its run may be known later
        _folds.drop(key)
    return found


def _read_folds(served: Served) -> pd.DataFrame:
    with reading() as session:
        runs = select(Run).where(Run.model_id == served.id, Run.run_id == served.run_id)
        row = session.scalar(runs) if served.run_id else None
    record: Mapping[str, Any] = row.record if row is not None else {}
    found = fold_forecasts(record)
    if found is None:
        columns = ("algorithm", "fold", "unique_id", "ds", "step", "y", "forecast")
        found = pd.DataFrame({name: pd.Series(dtype=object) for name in columns})
    found.attrs = {"winner": record.get("winner"), "reference": record.get("reference")}
    return found


def vintages(
    who: Principal,
    model: str,
    series: str | None = None,
    *,
    lead: int | None = None,
    level: float | None = None,
    limit: int = 12,
) -> dict[str, Any]:
    """Past forecasts of a series, with the actual values, as JSON.

    The `limit` newest issues, and with `lead` what was forecast that many steps ahead. They come from the ledger, as
    far as `who` may see it, and from the folds of the training. The sum has those of the folds only.
    """
    with reading() as session:
        served = find_served(session, who, model)
    saved = open_model(served).saved
    name = find_series(saved, series)
    known = known_values(who, served, saved, name)
    chosen = _level(saved, level)
    folds = fold_issues(served, saved, name)
    issues = [] if name is None else ledger_issues(who, served, saved, name, chosen, limit)
    issues = sorted([*issues, *folds], key=lambda one: one["ds"].iloc[0], reverse=True)[:limit]
    ahead = None
    if lead is not None:
        ledger = [] if name is None else ledger_lead(who, served, saved, name, chosen, lead)
        ahead = lead_shown(saved, [*folds, *ledger], known, lead)
    return {
        "model_id": served.id,
        "series": name,
        "freq": saved.pipeline.head.freq.alias,
        "horizon": int(saved.metadata["horizon"]),
        "level": None if chosen is None else float(chosen),
        "issues": [issue_shown(saved, one, known) for one in issues],
        "lead": ahead,
        "by_lead": by_lead([*folds, *([] if name is None else issues)], known, saved),
    }


def _level(saved: Saved, level: float | None) -> str | None:
    if level is not None:
        return f"{level:g}"
    return f"{max(saved.levels):g}" if saved.levels else None


def known_values(who: Principal, served: Served, saved: Saved, series: str | None) -> pd.Series:
    """Every known value of a series by its step (see `cells`)."""
    freq = saved.pipeline.head.freq.alias
    later, _ = came_later(who, served, saved, series)
    lines: list[Line] = [trained_on(saved, series), later]
    found = [pd.Series(line.values, index=cells(line.stamps, freq)) for line in lines if len(line)]
    values = pd.concat(found).dropna() if found else pd.Series(dtype=float)
    return values[~values.index.duplicated(keep="last")]


# --- where they come from ---


def fold_issues(served: Served, saved: Saved, series: str | None) -> list[pd.DataFrame]:
    """The winner's forecast of each fold, `COLUMNS`; for a sum where all of its series have one."""
    table = backtest(served)
    rows = table[(table["algorithm"] == table.attrs["winner"]) & table["unique_id"].isin(parts_of(saved, series))]
    if rows.empty:
        return []
    if series is None:
        count = len(parts_of(saved, None))
        sums = rows.groupby(["fold", "ds", "step"], as_index=False)
        rows = sums.agg(y=("y", lambda y: y.sum(skipna=False)), forecast=("forecast", "sum"), n=("y", "size"))
        rows = rows[rows["n"] == count]
    alias, found = saved.pipeline.head.freq.alias, []
    for fold, part in rows.groupby("fold", sort=False):
        part = part.sort_values("step")
        stamps = part["ds"].to_numpy()
        origin = advance(stamps[:1], np.array([-int(part["step"].iloc[0])]), alias)[0]
        found.append(
            pd.DataFrame(
                {
                    "source": "backtest",
                    "forecast_id": f"fold-{fold}",
                    "tag": served.tag,
                    "issued": None,
                    "origin": origin,
                    "ds": stamps,
                    "step": part["step"].to_numpy(),
                    "forecast": part["forecast"].to_numpy(float),
                    "lo": np.nan,
                    "hi": np.nan,
                    "actual": part["y"].to_numpy(float),
                }
            )
        )
    return found


def ledger_issues(
    who: Principal, served: Served, saved: Saved, series: str, level: str | None, limit: int
) -> list[pd.DataFrame]:
    """The newest `limit` forecasts of the family from different origins, `COLUMNS`."""
    point, dated = ForecastPoint, not saved.pipeline.head.freq.is_integer
    with reading() as session:
        own = _of_series(session.get_one(Model, served.id), session, series)
        target: Any = point.target_at if dated else point.target_step
        first = own.with_only_columns(Forecast.id, point.tag, target.label("target")).where(point.horizon == 1)
        heads = session.execute(accessible(first, who).order_by(Forecast.created_at.desc()).limit(LATEST)).all()
        newest: dict[Any, Any] = {}
        for head in heads:
            newest.setdefault((head.tag, head.target), head.id)
        ids = list(newest.values())[:limit]
        rows = session.execute(own.where(point.forecast_id.in_(ids)).order_by(point.horizon)).all()
    table = _table(rows, level, dated)
    return [part for _, part in table.groupby("forecast_id", sort=False)]


def ledger_lead(
    who: Principal, served: Served, saved: Saved, series: str, level: str | None, lead: int
) -> list[pd.DataFrame]:
    """The family's forecasts of a series that were made `lead` steps ahead, the newest for each step, `COLUMNS`."""
    point, dated = ForecastPoint, not saved.pipeline.head.freq.is_integer
    with reading() as session:
        own = _of_series(session.get_one(Model, served.id), session, series).where(point.horizon == lead)
        rows = session.execute(accessible(own, who).order_by(Forecast.created_at.desc()).limit(MOST_POINTS)).all()
    table = _table(rows, level, dated)
    return [table.drop_duplicates("ds")] if len(table) else []


def _of_series(model: Model, session: Any, series: str) -> Select[Any]:
    point = ForecastPoint
    family = family_of(session, model)
    return (
        select(
            Forecast.id,
            point.tag,
            Forecast.created_at,
            point.origin_at,
            point.target_at,
            point.target_step,
            point.horizon,
            point.forecast,
            point.quantiles,
            point.actual,
        )
        .select_from(point)
        .join(Forecast, Forecast.id == point.forecast_id)
        .where(
            point.tag.in_([one.tag for one in family]),
            Forecast.model_id.in_([one.id for one in family]),
            point.unique_id == series,
        )
    )


def _table(rows: Sequence[Any], level: str | None, dated: bool) -> pd.DataFrame:
    if not rows:
        return pd.DataFrame(columns=list(COLUMNS))
    ids, tags, issued, origins, moments, steps, horizons, forecast, quantiles, actual = zip(*rows, strict=True)
    ends = np.array([pair.get(level or "") or (np.nan, np.nan) for pair in quantiles], dtype=float)
    return pd.DataFrame(
        {
            "source": "ledger",
            "forecast_id": ids,
            "tag": tags,
            "issued": list(issued),
            "origin": _naive(origins) if dated else None,
            "ds": _naive(moments) if dated else np.array(steps, np.int64),
            "step": horizons,
            "forecast": np.array(forecast, float),
            "lo": ends[:, 0],
            "hi": ends[:, 1],
            "actual": np.array(actual, float),
        }
    )


def _naive(moments: Sequence[datetime | None]) -> np.ndarray:
    return np.array([None if one is None else one.replace(tzinfo=None) for one in moments], "M8[ns]")


# --- how they are shown ---


def with_actuals(issue: pd.DataFrame, known: pd.Series, saved: Saved) -> np.ndarray:
    """The actual values of an issue: those that it was scored with, else the known ones."""
    own = issue["actual"].to_numpy(float)
    found = known.reindex(cells(issue["ds"].to_numpy(), saved.pipeline.head.freq.alias)).to_numpy(float)
    return np.where(np.isnan(own), found, own)


def issue_shown(saved: Saved, issue: pd.DataFrame, known: pd.Series) -> dict[str, Any]:
    """One past forecast with its actual values and its errors so far."""
    actual, head = with_actuals(issue, known, saved), issue.iloc[0]
    origin = issue["origin"].to_numpy()[:1]
    return {
        "source": head["source"],
        "forecast_id": head["forecast_id"] if head["source"] == "ledger" else None,
        "model_version": head["tag"],
        "issued_at": head["issued"],
        "origin": None if pd.isna(origin[0]) else shown_stamps(saved, origin)[0],
        "timestamps": shown_stamps(saved, issue["ds"].to_numpy()),
        **{name: short_numbers(issue[name].to_numpy(float)) for name in ("forecast", "lo", "hi")},
        "actual": short_numbers(actual),
    } | errors(issue, actual)


def errors(issue: pd.DataFrame, actual: np.ndarray) -> dict[str, Any]:
    """The errors of forecasts: `n, mae, bias`, and `coverage`, the percentage inside the interval."""
    forecast, there = issue["forecast"].to_numpy(float), np.isfinite(actual)
    off = (forecast - actual)[there]
    lo, hi = (issue[name].to_numpy(float)[there] for name in ("lo", "hi"))
    banded = np.isfinite(lo) & np.isfinite(hi)
    inside = ((actual[there] >= lo) & (actual[there] <= hi))[banded]
    return {
        "n": int(there.sum()),
        "mae": _round(np.abs(off).mean()) if len(off) else None,
        "bias": _round(off.mean()) if len(off) else None,
        "coverage": _round(100 * inside.mean()) if len(inside) else None,
    }


def _round(value: float) -> float:
    return round(float(value), 6)


def lead_shown(saved: Saved, issues: Sequence[pd.DataFrame], known: pd.Series, lead: int) -> dict[str, Any]:
    """What was forecast `lead` steps ahead, by date, with the actual values."""
    parts = [part for one in issues if len(part := one[one["step"] == lead])]
    if not parts:
        return {"lead": lead, "timestamps": [], "forecast": [], "lo": [], "hi": [], "actual": [], "source": []} | {
            "n": 0,
            "mae": None,
            "bias": None,
            "coverage": None,
        }
    table = pd.concat(parts, ignore_index=True).drop_duplicates("ds", keep="last").sort_values("ds")
    actual = with_actuals(table, known, saved)
    return {
        "lead": lead,
        "timestamps": shown_stamps(saved, table["ds"].to_numpy()),
        **{name: short_numbers(table[name].to_numpy(float)) for name in ("forecast", "lo", "hi")},
        "actual": short_numbers(actual),
        "source": table["source"].tolist(),
    } | errors(table, actual)


def by_lead(issues: Sequence[pd.DataFrame], known: pd.Series, saved: Saved) -> list[dict[str, Any]]:
    """The errors of the shown issues by source and step ahead."""
    if not issues:
        return []
    unique = {(one["source"].iloc[0], one["forecast_id"].iloc[0]): one for one in issues}
    table = pd.concat(list(unique.values()), ignore_index=True)
    table["actual"] = with_actuals(table, known, saved)
    return [
        {"source": source, "lead": int(step)} | errors(part, part["actual"].to_numpy(float))
        for (source, step), part in table.groupby(["source", "step"], sort=True)
    ]
