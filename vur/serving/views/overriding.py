"""Overrides as the API takes and shows them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.predictions.observed import find_series
from vur.predictions.open_models import open_model
from vur.predictions.outlook import outlook
from vur.predictions.stamps import read_stamp, shown_stamps
from vur.store.accounts.access import Principal, fetch
from vur.store.catalog import Model, Override
from vur.store.database import reading, writing
from vur.store.forecasts import overrides
from vur.store.models.champions import find_served
from vur.timezones import stamp_texts, zone

SORTED_BY = ("author", "series")


def add(who: Principal, model_id: str, asked: dict[str, Any], language: str) -> dict[str, Any]:
    """Override the forecast of a series from `start` to `end`; the change as the API shows it.

    `VurError` overrides.no_forecast for a series without a forecast, overrides.no_steps for dates outside of it.
    """
    if (asked["value"] is None) == (asked["factor"] is None):
        raise VurError("overrides.one_way", field="value")
    with reading() as session:
        fetch(session, Model, model_id, who, "edit")
        served = find_served(session, who, model_id)
    saved = open_model(served).saved
    series = find_series(saved, asked["series"])
    if series is None:
        raise VurError("forecasts.series_needed", field="series", count=len(saved.pipeline.ends))
    found, errors = outlook(who, served, series)
    if found is None:
        reason = errors[0].text(language) if errors else "-"
        raise VurError("overrides.no_forecast", field="series", series=series, reason=reason)
    start = read_stamp(saved, asked["start"], "start")
    end = read_stamp(saved, asked["end"] or asked["start"], "end", end=True)
    chosen = (found.stamps >= start) & (found.stamps <= end)
    if not chosen.any():
        first, last = shown_stamps(saved, found.stamps[[0, -1]])
        raise VurError("overrides.no_steps", field="start", series=series, first=first, last=last)
    freq, timezone = zone(saved.pipeline.head.freq, saved.head["tz"])
    with writing(durable=True) as session:
        model = fetch(session, Model, model_id, who, "edit")
        rows = overrides.override(
            session,
            model,
            who.user_id,
            series=series,
            stamps=found.stamps[chosen],
            forecast=found.values[chosen],
            value=asked["value"],
            factor=asked["factor"],
            reason=asked["reason"],
            freq=freq,
            timezone=timezone,
        )
        return change_shown(rows, overrides.authors(session, rows), {row.id for row in rows})


def change_shown(rows: Sequence[Override], names: dict[str, str], in_force: set[str]) -> dict[str, Any]:
    """One change: who, when and why, and its dates with the model's value and the person's."""
    head = rows[0]
    state = "withdrawn" if head.withdrawn_at else "active" if any(row.id in in_force for row in rows) else "replaced"
    stamps = stamp_texts(np.array([overrides.stamp_of(row) for row in rows]), head.freq, head.timezone)
    return {
        "override_id": head.change_id,
        "model_id": head.model_id,
        "series": head.unique_id,
        "state": state,
        "author_id": head.owner_id,
        "author": names.get(head.owner_id, ""),
        "created_at": head.created_at,
        "reason": head.reason,
        "value": head.value if head.factor is None else None,
        "factor": head.factor,
        "withdrawn_at": head.withdrawn_at,
        "withdrawn_by": names.get(head.withdrawn_by or "") if head.withdrawn_by else None,
        "withdrawn_reason": head.withdrawn_reason or None,
        "points": [
            {
                "timestamp": stamp,
                "forecast": row.forecast,
                "override": row.value,
                "actual": row.actual,
                "in_force": row.id in in_force,
            }
            for stamp, row in zip(stamps, rows, strict=True)
        ],
    }


def listed(
    session: Session, model: Model, series: str | None, state: str | None, page: int, limit: int
) -> dict[str, Any]:
    """One page of the changes of the model's family, and what those in force were worth."""
    found = overrides.changes(session, model.owner_id, model.family, series)
    standing = overrides.in_force(session, model.owner_id, model.family, None if series is None else [series])
    ids = {row.id for row in standing}
    names = overrides.authors(session, [row for rows in found for row in rows])
    items = [change_shown(rows, names, ids) for rows in found]
    items = [item for item in items if state is None or item["state"] == state]
    return {
        "items": items[(page - 1) * limit : page * limit],
        "total": len(items),
        "page": page,
        "limit": limit,
        "pages": -(-len(items) // limit),
        "value_added": worth(standing, names),
    }


def worth(rows: Sequence[Override], names: dict[str, str]) -> dict[str, Any]:
    """What overrides were worth: all together, by author and by series."""
    parts: dict[str, dict[str, list[Override]]] = {name: {} for name in SORTED_BY}
    for row in rows:
        if row.actual is not None:
            parts["author"].setdefault(names.get(row.owner_id, ""), []).append(row)
            parts["series"].setdefault(row.unique_id, []).append(row)
    return overrides.value_added(rows) | {
        f"by_{name}": [{"name": key} | overrides.value_added(some) for key, some in sorted(parts[name].items())]
        for name in SORTED_BY
    }


def withdraw(who: Principal, model_id: str, override_id: str, reason: str) -> dict[str, Any]:
    """Withdraw a change of a model that `who` may edit."""
    with writing(durable=True) as session:
        model = fetch(session, Model, model_id, who, "edit")
        rows = overrides.withdraw(session, model, override_id, who.user_id, reason)
        return change_shown(rows, overrides.authors(session, rows), set())
