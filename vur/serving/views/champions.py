"""The champions' current forecasts with the last actual values before them, small enough for one page."""

from typing import Any

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.frequency import advance
from vur.serving.middleware.logs import log
from vur.serving.views.ledger import series_shown
from vur.store.accounts.access import Principal, visible
from vur.store.catalog import Alias, Dataset, Forecast, ForecastPoint, Model
from vur.store.data import tables
from vur.store.data.thinning import short_numbers
from vur.store.database import reading
from vur.store.models import registry
from vur.store.models.champions import CHAMPION
from vur.store.runs import read_table
from vur.wizard import chart as charts
from vur.wizard.preparation import version_ref

CLOCK = len("2024-01-31T14:30:00")  # characters of a stamp without the offset of its zone


def champion_forecasts(who: Principal, limit: int, actuals: int) -> list[dict[str, Any]]:
    """Return the forecasts of the champions that were trained last, each of its largest series.

    `actuals` is how many of the last values before the forecast come with it. A part that is gone is null.
    """
    with reading() as session:
        crowned = select(Model).join(Alias, Alias.model_id == Model.id).where(Alias.name == CHAMPION)
        newest = visible(crowned.where(Model.tag.is_not(None)), Model, who).order_by(Model.trained_at.desc(), Model.id)
        models = list(session.scalars(newest.distinct().limit(limit)))
        heads = [(model, _forecast_of(session, model)) for model in models]
    return [_shown(model, forecast, actuals) for model, forecast in heads]


def _shown(model: Model, forecast: dict[str, Any] | None, actuals: int) -> dict[str, Any]:
    """Return one champion with its forecast and the values before it."""
    return {
        "model_id": model.id,
        "name": model.name,
        "algorithm": model.algorithm,
        "family": model.family,
        "trained_at": model.trained_at,
        "skill": (model.metrics or {}).get("skill"),
        "freq": (model.facts or {}).get("freq"),
        "forecast": forecast,
        "actual": None if forecast is None else _actual_values(model, forecast, actuals),
    }


def _forecast_of(session: Session, model: Model) -> dict[str, Any] | None:
    """Return the newest forecast of a model's largest series: of its training, or a later one of the ledger."""
    try:
        frame = read_table(registry.run_folder(session, model) / "forecast.csv")
    except (VurError, OSError) as error:
        log.info("a champion has no stored forecast", model_id=model.id, reason=str(error))
        return _from_ledger(session, model, None)
    sizes = frame.groupby("unique_id")["forecast"].sum()
    series = str(sizes.idxmax())
    rows = frame[frame["unique_id"].astype(str) == series]
    levels = sorted({name[3:] for name in rows.columns if name.startswith("lo-")}, key=float)
    found = {
        "series": series,
        "series_count": len(sizes),
        "source": "training",
        "made_at": model.trained_at,
        **chart_stamps(rows["ds"].astype(str).tolist()),
        "values": short_numbers(rows["forecast"].to_numpy(float)),
        "intervals": {
            level: {end: short_numbers(rows[f"{end}-{level}"].to_numpy(float)) for end in ("lo", "hi")}
            for level in levels
        },
    }
    later = _from_ledger(session, model, series)
    if later is None or not found["stamps"] or later["stamps"][0] <= found["stamps"][0]:
        return found
    return later | {"series_count": len(sizes)}


def _from_ledger(session: Session, model: Model, series: str | None) -> dict[str, Any] | None:
    """Return the forecast in the ledger with the latest origin, of a series if given; the longest one of several."""
    wanted = [ForecastPoint.tag == model.tag, Forecast.model_id == model.id, Forecast.owner_id == model.owner_id]
    wanted += [] if series is None else [ForecastPoint.unique_id == series]
    newest = (
        select(ForecastPoint.forecast_id, ForecastPoint.unique_id)
        .join(Forecast, Forecast.id == ForecastPoint.forecast_id)
        .where(*wanted)
        .group_by(ForecastPoint.forecast_id, ForecastPoint.unique_id)
        .order_by(
            func.max(ForecastPoint.origin_at).desc(),
            func.min(ForecastPoint.target_step).desc(),
            func.count().desc(),
            ForecastPoint.forecast_id.desc(),
        )
    )
    row = session.execute(newest.limit(1)).first()
    if row is None:
        return None
    head = session.get_one(Forecast, row.forecast_id)
    points = session.scalars(
        select(ForecastPoint)
        .where(ForecastPoint.forecast_id == head.id, ForecastPoint.unique_id == row.unique_id)
        .order_by(ForecastPoint.horizon)
    ).all()
    shown = series_shown(head, points)
    return {
        "series": row.unique_id,
        "series_count": head.n_series,
        "source": "ledger",
        "made_at": head.created_at,
        **chart_stamps([str(stamp) for stamp in shown["timestamps"]], points[0].target_at is None),
        "values": short_numbers(np.array(shown["forecast"], float)),
        "intervals": {
            level: {end: short_numbers(np.array(values, float)) for end, values in ends.items()}
            for level, ends in shown["intervals"].items()
        },
    }


def chart_stamps(texts: list[str], integers: bool | None = None) -> dict[str, Any]:
    """Return stamps as charts take them: milliseconds since 1970 on the clock of their zone, or integers."""
    if integers is None:
        integers = bool(texts) and texts[0].lstrip("-").isdigit()
    if integers:
        return {"time": "integer", "stamps": [int(text) for text in texts]}
    clock = np.array([text[:CLOCK].replace(" ", "T") for text in texts], "M8[ms]")
    return {"time": "datetime", "stamps": clock.astype(np.int64).tolist()}


def _actual_values(model: Model, forecast: dict[str, Any], count: int) -> dict[str, Any] | None:
    """Return the last `count` values of the forecast's series in the newest version of the model's dataset."""
    if not forecast["stamps"]:
        return None
    with reading() as session:
        dataset = session.get(Dataset, model.dataset_id) if model.dataset_id else None
        if dataset is None:
            return None
        try:
            place = version_ref(session, dataset)
            head = dataset.head if place.number == dataset.number else tables.head(place.folder)
            source = charts.source_of(place, head)
            first = _before(forecast, str((model.facts or {}).get("freq") or "D"), count)
            curve = charts.chart(
                place, source, series=[forecast["series"]], total=False, start=first, end=None, points=2 * count
            )["items"][0]
        except VurError as error:
            log.info("a champion has no actual values", model_id=model.id, reason=str(error))
            return None
    return {"stamps": curve["stamps"], "values": curve["values"]}


def _before(forecast: dict[str, Any], freq: str, count: int) -> str:
    """Return the stamp `count` steps before a forecast, as the chart takes it."""
    if forecast["time"] == "integer":
        return str(int(advance(np.array(forecast["stamps"][:1], np.int64), -count, freq)[0]))
    first = np.array(forecast["stamps"][:1], "M8[ms]").astype("M8[ns]")
    return str(advance(first, -count, freq)[0].astype("M8[s]"))
