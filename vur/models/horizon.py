"""How far a forecast may reach: as trained, as asked, and as the calendar of 64-bit nanoseconds can hold."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from vur.errors import VurError
from vur.frequency import Frequency, advance, most_steps
from vur.scoring.intervals import check_levels

LONGEST = 10_000  # steps of one forecast


def asked_horizon(horizon: int | None, metadata: Mapping[str, Any]) -> int:
    """The horizon in effect: as trained for None. `VurError` predictions.horizon if it is not 1 to `LONGEST`."""
    found = metadata["horizon"] if horizon is None else horizon
    if isinstance(found, bool) or found != int(found) or not 1 <= found <= LONGEST:
        raise VurError("predictions.horizon", horizon=found, limit=LONGEST, field="horizon")
    return int(found)


def asked_levels(levels: Sequence[float] | None, trained: Sequence[float]) -> tuple[float, ...]:
    """The interval levels in effect, ascending: as trained for None, no intervals for an empty list."""
    return tuple(trained) if levels is None else check_levels(list(dict.fromkeys(levels)))


def check_calendar(ends: pd.Series, freq: Frequency, horizon: int, ahead: int = 0) -> None:
    """`VurError` predictions.calendar if `horizon` steps after one of `ends` pass the end of the calendar.

    The error has the greatest horizon that all of `ends` allow as `most`. `ahead` are further steps that are computed
    but not shown.
    """
    stamps = ends.to_numpy()
    if not len(stamps) or _fits(stamps, freq, horizon + ahead):
        return
    most = most_steps(int(stamps.max().astype(np.int64)), freq.alias) - ahead
    while most > 0 and not _fits(stamps, freq, most + ahead):  # another series may have another phase
        most -= 1
    end = pd.Series(stamps).max()
    raise VurError(
        "predictions.calendar" if most > 0 else "predictions.calendar_over",
        field="horizon",
        horizon=horizon,
        most=max(most, 0),
        end=f"{end:%Y-%m-%d}" if isinstance(end, pd.Timestamp) else end,
        freq=freq.alias,
    )


def _fits(stamps: np.ndarray, freq: Frequency, steps: int) -> bool:
    try:
        advance(stamps, steps, freq.alias)
    except VurError as error:
        if error.code != "panel.calendar_end":
            raise
        return False
    return True
