"""Overrides: values that people put in place of a forecast, kept as they were made, and what they were worth."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.store.catalog import Forecast, ForecastPoint, Model, Override, User, new_id, now
from vur.store.events import record_activity
from vur.store.forecasts.cells import cells

if TYPE_CHECKING:
    import pandas as pd

MOST = 10_000  # dates of one change
ENOUGH = 12  # dates with an actual value from which the value added is judged
SHOWN = 5


def cells_of(stamps: np.ndarray, freq: str) -> list[int]:
    """Stamps as numbers that are equal within a step of `freq`."""
    return [int(cell) for cell in cells(stamps, freq)]


def cell_of(row: Override, freq: str) -> int:
    """The number of the step that a row is for."""
    return cells_of(np.array([stamp_of(row)]), freq)[0]


def stamp_of(row: Override) -> Any:
    """The stamp of a row: datetime64[ns] (UTC, or a date) or int64."""
    if row.target_at is None:
        return np.int64(row.target_step or 0)
    return np.datetime64(row.target_at.replace(tzinfo=None), "ns")


# --- making and withdrawing ---


def override(
    session: Session,
    model: Model,
    user_id: str,
    *,
    series: str,
    stamps: np.ndarray,
    forecast: np.ndarray,
    value: float | None,
    factor: float | None,
    reason: str,
    freq: str,
    timezone: str | None,
) -> list[Override]:
    """Put `value`, or `factor` times the model's `forecast`, in place of the forecast at `stamps`; the new rows.

    Rows for the same dates that stood before stay in the history and no longer count. `VurError` overrides.too_many,
    and overrides.known for a date whose actual value is known already.
    """
    if len(stamps) > MOST:
        raise VurError("overrides.too_many", count=len(stamps), limit=MOST)
    known = known_cells(session, model, series, stamps, freq)
    if late := [stamp for stamp, cell in zip(stamps, cells_of(stamps, freq), strict=True) if cell in known]:
        raise VurError("overrides.known", series=series, stamps=", ".join(map(_text, late[:SHOWN])), count=len(late))
    change, moment = new_id(), now()
    rows = []
    for stamp, made in zip(stamps, forecast.tolist(), strict=True):
        dated = np.asarray(stamp).dtype.kind == "M"
        rows.append(
            Override(
                change_id=change,
                created_at=moment,
                owner_id=user_id,
                model_id=model.id,
                family_owner_id=model.owner_id,
                family=model.family,
                unique_id=series,
                target_at=_moment(stamp) if dated else None,
                target_step=None if dated else int(stamp),
                freq=freq,
                timezone=timezone,
                forecast=made,
                value=made * factor if factor is not None else value,
                factor=factor,
                reason=reason,
            )
        )
    session.add_all(rows)
    record_activity(
        session,
        model.owner_id,
        "forecast_overridden",
        user_id=user_id,
        about=("model", model.id),
        name=model.name,
        series=series,
        count=len(rows),
    )
    session.flush()
    return rows


def _moment(stamp: Any) -> datetime:
    return np.datetime64(stamp, "us").item().replace(tzinfo=UTC)


def _text(stamp: Any) -> str:
    return str(stamp).removesuffix("T00:00:00.000000000")


def known_cells(session: Session, model: Model, series: str, stamps: np.ndarray, freq: str) -> set[int]:
    """The steps of `stamps` whose actual value the ledger or an override has already."""
    point, dated = ForecastPoint, stamps.dtype.kind == "M"
    target = point.target_at if dated else point.target_step
    family = select(Model.tag).where(
        Model.owner_id == model.owner_id, Model.family == model.family, Model.tag.is_not(None)
    )
    scored = (
        select(target)
        .join(Forecast, Forecast.id == point.forecast_id)
        .where(point.tag.in_(family), point.unique_id == series, point.actual.is_not(None))
    )
    found = [_naive(stamp) for stamp in session.scalars(scored.distinct())]
    rows = session.scalars(_of_family(model.owner_id, model.family, [series]).where(Override.actual.is_not(None)))
    found += [stamp_of(row) for row in rows]
    return set(cells_of(np.array(found, dtype=stamps.dtype), freq)) if found else set()


def _naive(stamp: Any) -> Any:
    return np.datetime64(stamp.replace(tzinfo=None), "ns") if isinstance(stamp, datetime) else np.int64(stamp)


def withdraw(session: Session, model: Model, change_id: str, user_id: str, reason: str = "") -> list[Override]:
    """Withdraw a change, which stays in the history; its rows.

    `VurError` api.not_found, overrides.withdrawn if it was before, and overrides.scored once an actual value is known:
    its worth stands then.
    """
    rows = list(
        session.scalars(
            select(Override)
            .where(
                Override.change_id == change_id,
                Override.family_owner_id == model.owner_id,
                Override.family == model.family,
            )
            .order_by(Override.target_at, Override.target_step)
            .with_for_update()
        )
    )
    if not rows:
        raise VurError("api.not_found", kind="override", id=change_id)
    if rows[0].withdrawn_at is not None:
        raise VurError("overrides.withdrawn", id=change_id)
    if any(row.actual is not None for row in rows):
        raise VurError("overrides.scored", id=change_id)
    moment = now()
    for row in rows:
        row.withdrawn_at, row.withdrawn_by, row.withdrawn_reason = moment, user_id, reason
    record_activity(
        session,
        model.owner_id,
        "override_withdrawn",
        status="warning",
        user_id=user_id,
        about=("model", model.id),
        name=model.name,
        series=rows[0].unique_id,
    )
    return rows


# --- reading ---


def _of_family(owner_id: str, family: str, series: Collection[str] | None = None) -> Any:
    wanted: list[ColumnElement[bool]] = [Override.family_owner_id == owner_id, Override.family == family]
    if series is not None and len(series) <= 500:
        wanted.append(Override.unique_id.in_(list(series)))
    return select(Override).where(and_(*wanted)).order_by(Override.created_at, Override.id)


def in_force(session: Session, owner_id: str, family: str, series: Collection[str] | None = None) -> list[Override]:
    """The overrides of a family that count: for each series and date the newest that was not withdrawn."""
    found: dict[tuple[str, Any], Override] = {}
    names = None if series is None else set(series)
    for row in session.scalars(_of_family(owner_id, family, series).where(Override.withdrawn_at.is_(None))):
        if names is None or row.unique_id in names:
            found[row.unique_id, row.target_at or row.target_step] = row
    return list(found.values())


def changes(session: Session, owner_id: str, family: str, series: str | None = None) -> list[list[Override]]:
    """All changes of a family, the newest first, each with its rows by date."""
    found: dict[str, list[Override]] = {}
    for row in session.scalars(_of_family(owner_id, family, None if series is None else [series])):
        found.setdefault(row.change_id, []).append(row)
    return [sorted(rows, key=stamp_of) for rows in found.values()][::-1]


def authors(session: Session, rows: Collection[Override]) -> dict[str, str]:
    """The names of those who made or withdrew `rows`, by id."""
    ids = {row.owner_id for row in rows} | {row.withdrawn_by for row in rows if row.withdrawn_by}
    users = session.execute(select(User.id, User.full_name, User.username).where(User.id.in_(ids)))
    return {id: full or name for id, full, name in users}


# --- actual values ---


def fill_actuals(session: Session, models: Mapping[str, str], rows: "pd.DataFrame", freq: str, again: bool) -> int:
    """Store actual values (`unique_id, cell, y`) in the overrides of the families of `models`; how many.

    Those that have one keep it, unless `again`.
    """
    families = session.execute(
        select(Model.owner_id, Model.family).where(Model.id.in_(list(models))).distinct()
    ).tuples()
    wanted = [and_(Override.family_owner_id == owner, Override.family == family) for owner, family in families]
    if not wanted:
        return 0
    due = select(Override).where(or_(*wanted))
    due = due if again else due.where(Override.actual.is_(None))
    actual = {
        (series, int(cell)): float(y) for series, cell, y in rows[["unique_id", "cell", "y"]].itertuples(index=False)
    }
    count, moment = 0, now()
    for row in session.scalars(due):
        if (y := actual.get((row.unique_id, cell_of(row, freq)))) is not None:
            row.actual, row.scored_at, count = y, moment, count + 1
    return count


def value_added(rows: Sequence[Override]) -> dict[str, Any]:
    """What overrides in force were worth where the actual value is known.

    `n` dates; `model_mae` and `override_mae`, mean absolute errors of the model and of the person; `value_added`, by
    how much the person's is smaller, and `percent` of the model's; `better` and `worse` dates; `enough` to judge.
    Source: Gilliland (2010), forecast value added analysis.
    """
    scored = [row for row in rows if row.actual is not None]
    model = np.array([abs(row.forecast - row.actual) for row in scored if row.actual is not None])
    person = np.array([abs(row.value - row.actual) for row in scored if row.actual is not None])
    if not scored:
        empty = dict.fromkeys(("model_mae", "override_mae", "value_added", "percent"))
        return {"n": 0, **empty, "better": 0, "worse": 0, "enough": False}
    gain = float(model.mean() - person.mean())
    return {
        "n": len(scored),
        "model_mae": _round(model.mean()),
        "override_mae": _round(person.mean()),
        "value_added": _round(gain),
        "percent": _round(100 * gain / model.mean()) if model.mean() > 0 else None,
        "better": int((person < model).sum()),
        "worse": int((person > model).sum()),
        "enough": len(scored) >= ENOUGH,
    }


def _round(value: float) -> float:
    return round(float(value), 6)
