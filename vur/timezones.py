"""Conversion of stamps between the panel, which holds sub-daily times in UTC, and the user's time zone."""

from typing import Any

import numpy as np
import pandas as pd

from vur.frequency import Frequency, frequency


def is_sub_daily(freq: Frequency) -> bool:
    """Whether stamps are moments, in UTC: steps shorter than a day, except open hours, which a local clock tells."""
    return freq.is_moment


def to_zone(frame: pd.DataFrame, tz: str | None, freq: Frequency) -> pd.DataFrame:
    """`frame` with `ds` in the time zone `tz`; stamps of daily or longer steps are local dates and stay as they are."""
    if tz and is_sub_daily(freq):
        return frame.assign(ds=frame["ds"].dt.tz_localize("UTC").dt.tz_convert(tz))
    return frame


def zone(freq: Frequency, tz: str | None) -> tuple[str, str | None]:
    """Arguments of `stamp_texts`: the alias of a frequency, and the time zone if its steps are shorter than a day."""
    return freq.alias, tz if is_sub_daily(freq) else None


def stamp_texts(stamps: np.ndarray, freq: str, timezone: str | None) -> list[Any]:
    """Stamps in ISO format: dates, moments with the UTC offset of the user's time zone, or whole numbers."""
    if stamps.dtype.kind != "M":
        return stamps.tolist()
    values, place = np.unique(stamps, return_inverse=True)
    if is_sub_daily(frequency(freq)):
        moments = pd.DatetimeIndex(values)
        texts = [
            moment.isoformat() for moment in (moments.tz_localize("UTC").tz_convert(timezone) if timezone else moments)
        ]
    elif (values != values.astype("M8[D]")).any():
        texts = np.datetime_as_string(values, unit="s").tolist()
    else:
        texts = np.datetime_as_string(values, unit="D").tolist()
    return [texts[number] for number in place.ravel()]
