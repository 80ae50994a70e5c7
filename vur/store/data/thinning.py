"""Fewer points that draw the same curve: what a chart needs of a long series."""

import numpy as np
from numpy.typing import NDArray

LEAST = 4  # points: both ends, a low and a high
DIGITS = 9  # significant digits of a value in a chart


def thin(values: NDArray[np.float64], points: int) -> NDArray[np.int64]:
    """Positions, ascending, of at most `points` of `values` (not below `LEAST`) that keep every extreme one can see.

    The values are cut into runs of equal length; of each the lowest and the highest stay, and both ends of all. A run
    without any value (NaN) stays as one gap. All positions if there are no more than `points`.
    """
    count, points = len(values), max(points, LEAST)
    if count <= points:
        return np.arange(count)
    size = -(-count // ((points - 2) // 2))
    runs = -(-count // size)
    padded = np.full(runs * size, np.nan)
    padded[:count] = values
    table, starts = padded.reshape(runs, size), size * np.arange(runs)
    empty = np.isnan(table)
    lowest = starts + np.where(empty, np.inf, table).argmin(axis=1)
    highest = starts + np.where(empty, -np.inf, table).argmax(axis=1)
    return np.unique(np.concatenate([[0], lowest, highest, [count - 1]]))


def short_numbers(values: NDArray[np.float64]) -> list[int | float | None]:
    """Values as JSON writes them briefly: `DIGITS` significant digits, whole ones as int, None for NaN and infinity."""
    finite = np.isfinite(values)
    return [_short(value) if known else None for value, known in zip(values.tolist(), finite.tolist(), strict=True)]


def _short(value: float) -> int | float:
    rounded = float(f"{value:.{DIGITS}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 2**53 else rounded
