"""Stamps between the panel, which holds sub-daily times in UTC, and the user's time zone."""

import pandas as pd

from vur.panel import Frequency

DAY = pd.Timedelta(days=1)


def is_sub_daily(freq: Frequency) -> bool:
    """Whether steps are shorter than a day."""
    return not freq.is_integer and isinstance(freq.step, pd.offsets.Tick) and pd.Timedelta(freq.step) < DAY


def to_zone(frame: pd.DataFrame, tz: str | None, freq: Frequency) -> pd.DataFrame:
    """`frame` with `ds` in the time zone `tz`; stamps of daily or longer steps are local dates and stay as they are."""
    if tz and is_sub_daily(freq):
        return frame.assign(ds=frame["ds"].dt.tz_localize("UTC").dt.tz_convert(tz))
    return frame
