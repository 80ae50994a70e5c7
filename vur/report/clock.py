"""Converts between the reader's clock, which a report's panel may use, and the timestamps of a model and its folds."""

from typing import Any

import numpy as np
import pandas as pd

from vur.frequency import Frequency, advance
from vur.panel import Panel, series_edges
from vur.timezones import is_sub_daily, to_zone


def in_model_time(panel: Panel, ends: pd.Series) -> Panel:
    """`panel` with the timestamps that a pipeline uses; the same panel where both agree.

    `ends` are the last timestamps of the pipeline's series. The panel is regular, so its timestamps are counted back
    from the end of each series.
    """
    if not panel.tz or not is_sub_daily(panel.freq):
        return panel
    bounds = series_edges(panel.frame)
    sizes = np.diff(bounds)
    back = np.concatenate([np.arange(1 - size, 1) for size in sizes]) if len(sizes) else np.zeros(0, int)
    last = ends.reindex(panel.frame["unique_id"].to_numpy()[bounds[:-1]]).to_numpy()
    return panel.with_frame(panel.frame.assign(ds=advance(np.repeat(last, sizes), back, panel.freq.alias)))


def on_clock(frame: pd.DataFrame, tz: str | None, freq: Frequency) -> pd.DataFrame:
    """`frame` with `ds` in the reader's local time, without a zone."""
    if not tz or not is_sub_daily(freq) or frame.empty:
        return frame
    return frame.assign(ds=to_zone(frame, tz, freq)["ds"].dt.tz_localize(None))


def stamp_on_clock(value: Any, tz: str | None, freq: Frequency) -> Any:
    """One timestamp in the reader's local time."""
    return on_clock(pd.DataFrame({"ds": [value]}), tz, freq)["ds"].iloc[0]
