"""Data that several test files build: series, panels, sales with covariates, rows of folds, sample files, a cache."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from samples import DATA

from vur.frequency import Frequency, frequency
from vur.panel import Panel, complete, make_panel

FLIGHT_COLUMNS = ("cancelled", "temp", "wind", "rain", "visibility")
Seed = int | np.random.Generator


class MemoryCache(dict):
    """A cache of folds in memory."""

    def put(self, key: str, frame: pd.DataFrame) -> None:
        """Store a copy."""
        self[key] = frame.copy()


def seasonal(
    length: int,
    period: float = 12,
    *,
    level: float = 100.0,
    trend: float = 0.0,
    swing: float = 20.0,
    noise: ArrayLike = 0.0,
    seed: Seed = 0,
) -> np.ndarray:
    """A level with a trend per step, a sine of `period` steps and amplitude `swing`, and normal noise.

    `noise` is the standard deviation, one number or one per step.
    """
    steps = np.arange(length)
    errors = np.random.default_rng(seed).normal(0, noise, length)
    return level + trend * steps + swing * np.sin(2 * np.pi * steps / period) + errors


def panel_of(
    series: ArrayLike | Mapping[str, ArrayLike],
    freq: str | Frequency = "D",
    start: str | int = "2015-01-01",
    roles: Mapping[str, str] | None = None,
    **covariates: Any,
) -> Panel:
    """A panel of one array (named "a") or several, which all begin at `start`; integer time begins at 0 without one.

    A covariate is one value or one array, the same for all series; its role is known_future unless `roles` says other.
    """
    freq = frequency(freq) if isinstance(freq, str) else freq
    first = start if isinstance(start, int) else 0
    frames = []
    for id, values in sorted(series.items() if isinstance(series, Mapping) else [("a", series)]):
        y = np.asarray(values, dtype=float)
        if freq.is_integer:
            stamps = first + int(freq.alias) * np.arange(len(y))
        else:
            stamps = pd.date_range(start, periods=len(y), freq=freq.alias, unit="ns")
        columns = {name: given if np.ndim(given) == 0 else given[: len(y)] for name, given in covariates.items()}
        frames.append(pd.DataFrame({"unique_id": id, "ds": stamps, "y": y} | columns))
    roles = dict.fromkeys(covariates, "known_future") | dict(roles or {})
    return Panel(pd.concat(frames, ignore_index=True), freq, roles)


def future_of(panel: Panel, horizon: int, **columns: Any) -> pd.DataFrame:
    """The next `horizon` stamps of every series; a column is one value or one array, the same for all series."""
    ends = panel.frame.groupby("unique_id")["ds"].max()
    frames = [
        pd.DataFrame({"unique_id": id, "ds": panel.freq.after(end, horizon)} | columns) for id, end in ends.items()
    ]
    return pd.concat(frames, ignore_index=True)


def daily_sales(
    levels: Mapping[str, float],
    days: int,
    ahead: int = 0,
    *,
    start: str | pd.Timestamp = "2024-01-01",
    growth: float = 1.0,
    week: float = 10.0,
    trend: float = 0.0,
    promo: float = 0.0,
    price: float = 0.0,
    noise: float = 1.0,
    seed: Seed = 0,
) -> pd.DataFrame:
    """Rows `unique_id, ds, y` of shops with a weekly season, from the level of each; the last `ahead` days lack `y`.

    `promo` and `price` are the effects of a promotion (0 or 1) and of one unit of price (near 10); other than 0 they
    add a column of that name. Each shop is `growth` times what its level says, once more than the shop before.
    """
    rng, frames = np.random.default_rng(seed), []
    stamps = pd.date_range(start, periods=days + ahead)
    length, season = len(stamps), week * np.sin(2 * np.pi * stamps.dayofweek.to_numpy() / 7)
    for number, (name, level) in enumerate(levels.items()):
        columns = {}
        if promo:
            columns["promo"] = rng.integers(0, 2, length)
        if price:
            columns["price"] = 10 + rng.normal(0, 1, length).round(2)
        y = season + seasonal(length, level=level, trend=trend, swing=0, noise=noise, seed=rng)
        y += promo * columns.get("promo", 0) + price * (columns.get("price", 10) - 10)
        y = np.where(np.arange(length) < days, growth**number * y, np.nan)
        frames.append(pd.DataFrame({"unique_id": name, "ds": stamps, "y": y} | columns))
    return pd.concat(frames, ignore_index=True)


def flights(columns: Sequence[str] = FLIGHT_COLUMNS, last: str = "2013-12-31", **roles: str) -> Panel:
    """Departures a day of three airports in 2013 up to `last`, with cancellations and weather; `roles` override."""
    frame = pd.read_csv(DATA / "flights_daily.csv", usecols=["date", "origin", "departures", *columns])
    frame = frame[frame["date"] <= last]
    return complete(make_panel(frame, date="date", target="departures", series="origin", roles=roles))


def turnover(months: int | None = None) -> np.ndarray:
    """The first `months` values of the monthly turnover of electrical equipment."""
    return pd.read_csv(DATA / "electrical_equipment.csv")["turnover"].to_numpy()[:months]


def promoted_turnover() -> tuple[np.ndarray, np.ndarray]:
    """Ten years of promotions, in three months of ten, and the turnover with 8 more in every month that has one."""
    promotion = np.random.default_rng(3).random(120) < 0.3
    return promotion, turnover(120) + 8.0 * promotion


def fold_rows(series: int, folds: int, horizon: int) -> pd.DataFrame:
    """Rows `unique_id, fold, step` of every series, fold and step; folds and steps begin at 1."""
    index = pd.MultiIndex.from_product(
        [[f"s{k}" for k in range(series)], range(1, folds + 1), range(1, horizon + 1)],
        names=["unique_id", "fold", "step"],
    )
    return index.to_frame(index=False)


def plant(rows: int = 400, seed: int = 3) -> pd.DataFrame:
    """A plant whose production follows the temperature and, three rows later, the flow; a date, a recipe and noise."""
    rng = np.random.default_rng(seed)
    temp, flow = (pd.Series(rng.normal(0, 1, rows)).ewm(span=4).mean().to_numpy() for _ in range(2))
    later = np.concatenate([np.zeros(3), flow[:-3]])
    return pd.DataFrame(
        {
            "data_hora": pd.date_range("2025-03-01", periods=rows, freq="h"),
            "temperatura": 180 + 10 * temp,
            "vazão": 40 + 5 * flow,
            "ruído": rng.normal(0, 1, rows),
            "receita": rng.choice(["A", "B"], rows),
            "produção": 1000 + 90 * temp + 40 * later + rng.normal(0, 5, rows),
        }
    )


def brazilian(frame: pd.DataFrame) -> bytes:
    """A file as a Brazilian Excel writes it: `;`, decimal commas, dd/mm/yyyy, latin-1."""
    text = frame.assign(data_hora=frame["data_hora"].dt.strftime("%d/%m/%Y %H:%M"))
    return text.to_csv(sep=";", decimal=",", index=False, float_format="%.3f").encode("latin-1")
