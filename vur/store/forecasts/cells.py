"""Stamps as numbers that are equal within one step, whatever convention they are written in."""

import numpy as np

from vur.frequency import DAY, spacing


def cells(stamps: np.ndarray, freq: str) -> np.ndarray:
    """Map stamps to integers that are equal within a step of `freq`: months if monthly, days if daily or longer."""
    if stamps.dtype.kind != "M":
        return stamps.astype(np.int64)
    step = spacing(freq)
    unit = "M" if step.kind == "month" else "D" if step.kind == "business" or step.size >= DAY else "ns"
    return stamps.astype(f"M8[{unit}]").astype(np.int64)
