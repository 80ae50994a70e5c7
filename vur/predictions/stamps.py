"""Stamps as users write and read them, for one model."""

import re
from typing import Any

import numpy as np
import pandas as pd

from vur.errors import VurError
from vur.models.saved import Saved
from vur.timezones import is_sub_daily, stamp_texts, zone

DAY_ONLY = re.compile(r"\d{4}-\d{2}-\d{2}")


def read_stamp(saved: Saved, text: str, field: str, *, end: bool = False) -> Any:
    """A stamp as the model has it, from its text in ISO format or a whole number.

    Moments without an offset are local times of the data's time zone. With `end`, a day stands for its last moment.
    `VurError` forecasts.stamp for a text that is no stamp of this model.
    """
    freq, tz = saved.pipeline.head.freq, saved.head["tz"]
    try:
        if freq.is_integer:
            return np.int64(text.strip())
        stamp = pd.Timestamp(text.strip())
        if pd.isna(stamp):
            raise ValueError(text)
        if end and DAY_ONLY.fullmatch(text.strip()):
            stamp += pd.Timedelta(days=1) - pd.Timedelta(1, "us")
        if is_sub_daily(freq):
            if stamp.tz is None and tz:
                stamp = stamp.tz_localize(tz, ambiguous=True, nonexistent="shift_forward")
            stamp = stamp.tz_convert("UTC").tz_localize(None) if stamp.tz is not None else stamp
        return stamp.tz_localize(None).as_unit("ns").to_datetime64()
    except (ValueError, OverflowError):
        expected = shown_stamps(saved, saved.pipeline.ends.to_numpy()[:1])[0]
        raise VurError("forecasts.stamp", field=field, value=text[:100], expected=expected) from None


def shown_stamps(saved: Saved, stamps: np.ndarray) -> list[Any]:
    """The model's stamps as an answer shows them: ISO format in the data's time zone, or whole numbers."""
    return stamp_texts(stamps, *zone(saved.pipeline.head.freq, saved.head["tz"]))
