"""The points of continuous predictions for a chart: what was forecast, what came, and what is forecast now."""

from typing import Any

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from vur.serving.views.champions import chart_stamps
from vur.store.catalog import Forecast, ForecastPoint, Model, Monitor
from vur.store.data.thinning import short_numbers
from vur.timezones import stamp_texts

KIND = "monitor"  # of the forecasts in the ledger
MOST_READ, MOST_NAMES = 5_000, 200


def stream(session: Session, monitor: Monitor, series: str | None, points: int) -> dict[str, Any]:
    """Return the last `points` stamps that `monitor` has forecast for one series, by default the first.

    Of several forecasts for a stamp the latest counts. `values` and `intervals` are the forecast, `actual` what came
    (null if it has not yet). Empty before the first forecast.
    """
    last = session.get(Forecast, (monitor.position or {}).get("forecast_id") or "")
    if last is None:
        return _empty(monitor)
    names = select(ForecastPoint.unique_id).where(ForecastPoint.forecast_id == last.id)
    known = list(
        session.scalars(names.group_by(ForecastPoint.unique_id).order_by(func.min(ForecastPoint.id)).limit(MOST_NAMES))
    )
    wanted = series or (known[0] if known else None)
    if wanted is None:
        return _empty(monitor)
    rows = _points(session, monitor, last, wanted)[-points:]
    levels = sorted({level for row in rows for level in row.quantiles}, key=float)
    return _empty(monitor) | {
        "series": wanted,
        "series_names": known,
        "freq": last.freq,
        "model_version": last.tag,
        "made_at": last.created_at,
        **_stamps(rows, last),
        "values": short_numbers(np.array([row.forecast for row in rows], float)),
        "actual": [row.actual for row in rows],
        "intervals": {
            level: {
                end: short_numbers(np.array([_end(row, level, place) for row in rows], float))
                for place, end in enumerate(("lo", "hi"))
            }
            for level in levels
        },
    }


def _empty(monitor: Monitor) -> dict[str, Any]:
    """Return the answer before the first forecast."""
    nothing = dict.fromkeys(("series", "freq", "model_version", "made_at"))
    lists: dict[str, list[Any]] = {name: [] for name in ("series_names", "stamps", "values", "actual")}
    return nothing | lists | {"monitor_id": monitor.id, "status": monitor.state, "time": "datetime", "intervals": {}}


def _points(session: Session, monitor: Monitor, last: Forecast, series: str) -> list[ForecastPoint]:
    """Return the points of one series in the order of time, the latest forecast of each stamp."""
    family = select(Model.family).where(Model.id == monitor.model_id).scalar_subquery()
    models = select(Model.id).where(Model.family == family)
    rows = session.scalars(
        select(ForecastPoint)
        .join(Forecast, Forecast.id == ForecastPoint.forecast_id)
        .where(
            Forecast.kind == KIND,
            Forecast.owner_id == monitor.owner_id,
            Forecast.model_id.in_(models),
            Forecast.freq == last.freq,
            ForecastPoint.unique_id == series,
        )
        .order_by(ForecastPoint.id.desc())
        .limit(MOST_READ)
    )
    newest: dict[Any, ForecastPoint] = {}
    for row in rows:
        newest.setdefault(row.target_at or row.target_step, row)
    return [newest[key] for key in sorted(newest)]


def _stamps(rows: list[ForecastPoint], last: Forecast) -> dict[str, Any]:
    if rows and rows[0].target_at is None:
        return chart_stamps([str(row.target_step) for row in rows], True)
    moments = np.array([row.target_at.replace(tzinfo=None) for row in rows if row.target_at is not None], "M8[ns]")
    return chart_stamps([str(text) for text in stamp_texts(moments, last.freq, last.timezone)], False)


def _end(row: ForecastPoint, level: str, place: int) -> float:
    ends = row.quantiles.get(level)
    value = ends[place] if ends else None
    return float("nan") if value is None else float(value)
