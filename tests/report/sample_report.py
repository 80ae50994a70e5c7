"""A realistic report context without training: synthetic sales of one or more shops, scored on real forecasts."""

import numpy as np
import pandas as pd
from builders import panel_of

from vur.frequency import Frequency
from vur.panel import Panel
from vur.report.context import ReportContext, describe_panel

FREQUENCIES = {
    "D": Frequency("D", 7, (7,), 1.0, "every step is one day"),
    "MS": Frequency("MS", 12, (12,), 1.0, "every step is one month"),
    "h": Frequency("h", 24, (24,), 1.0, "every step is one hour"),
    "1": Frequency("1", 1, (), 1.0, "every step is 1"),
}


def sample_panel(
    series: int = 5, length: int = 400, alias: str = "D", seed: int = 0, names: list[str] | None = None
) -> Panel:
    """Non-negative counts with trend and season; the last series has zeros."""
    rng, freq = np.random.default_rng(seed), FREQUENCIES[alias]
    names = names or ["São Paulo/Centro", "Rio de Janeiro", "Belo Horizonte", "Curitiba & Região", "Recife"][:series]
    names = names + [f"loja {i:04d}" for i in range(len(names), series)]
    t, values = np.arange(length), {}
    for i, name in enumerate(names):
        level = 900 / (i + 1) + 20
        season = 0.22 * np.sin(2 * np.pi * (t + i) / max(freq.season, 5))
        y = level * (1 + 0.0006 * t + season) + rng.normal(0, level * 0.08, length)
        values[name] = np.clip(np.round(y), 0, None)
    frame = panel_of(values, freq, 1 if alias == "1" else "2024-01-01").frame
    frame.loc[frame.sample(frac=0.004, random_state=seed).index, "y"] = 0.0
    frame.loc[frame.sample(frac=0.01, random_state=seed + 1).index, "y"] = np.nan
    return Panel(
        frame,
        freq,
        {"preço": "known_future", "chuva": "past_only"},
        names={"date": "data", "target": "vendas", "series": ("loja",)},
        integer=True,
        nonnegative=True,
    )


def _forecasts(y: np.ndarray, season: int, horizon: int) -> dict[str, np.ndarray]:
    """Forecasts of four simple rules after the end of `y`."""
    y = pd.Series(y).interpolate(limit_direction="both").to_numpy()
    steps = np.arange(horizon)
    cycles = y[-season * 8 :] if season > 1 else y[-8:]
    cycles = cycles[len(cycles) % max(season, 1) :].reshape(-1, max(season, 1))
    profile = np.median(cycles, axis=0) if season > 1 else np.full(1, cycles.mean())
    smooth = profile[steps % max(season, 1)]
    return {
        "ensemble": smooth,
        "ets": smooth * 0.96,
        "seasonal_naive": y[-season:][steps % max(season, 1)],
        "naive": np.full(horizon, y[-1]),
        "mean": np.full(horizon, y.mean()),
    }


def _evaluate(panel: Panel, horizon: int, folds: int, test: bool) -> pd.DataFrame:
    rows = []
    for name, part in panel.frame.groupby("unique_id"):
        for fold in range(0 if test else 1, folds + 1):
            cut = len(part) - horizon * (folds - fold + 1 + test) if fold else len(part) - horizon
            ahead = part.iloc[cut : cut + horizon]
            for algorithm, values in _forecasts(part["y"].to_numpy()[:cut], panel.freq.season, horizon).items():
                rows.append(
                    pd.DataFrame(
                        {
                            "algorithm": algorithm,
                            "fold": fold,
                            "unique_id": name,
                            "ds": ahead["ds"],
                            "step": np.arange(1, horizon + 1),
                            "y": ahead["y"],
                            "forecast": values,
                        }
                    )
                )
    return pd.concat(rows, ignore_index=True)


def _scores(rows: pd.DataFrame, by: list[str], scale: pd.Series) -> pd.DataFrame:
    rows = rows.dropna(subset=["y"]).assign(error=lambda f: f["forecast"] - f["y"])
    rows = rows.assign(
        mae=rows["error"].abs(),
        mase=rows["error"].abs() / rows["unique_id"].map(scale),
        square=rows["error"] ** 2,
        size=rows["y"].abs(),
    )
    groups = rows.groupby(by)
    table = (
        groups[["mae", "mase"]]
        .mean()
        .assign(
            rmse=np.sqrt(groups["square"].mean()),
            wape=100 * groups["mae"].sum() / groups["size"].sum(),
            bias=groups["error"].mean(),
            smape=12.0,
            mape=11.0,
            rmsse=0.9,
            r2=0.7,
        )
    )
    return table.reset_index()


def sample_context(
    series: int = 5,
    length: int = 400,
    alias: str = "D",
    horizon: int = 28,
    *,
    folds: int = 3,
    test: bool = True,
    winner: str = "ensemble",
    names: list[str] | None = None,
    language: str = "en",
) -> ReportContext:
    """A context like the one a finished run gives; `winner` may be any of its algorithms."""
    from vur.explain.drivers import decompose_series, largest_series, strengths

    panel = sample_panel(series, length, alias, names=names)
    rows = _evaluate(panel, horizon, folds, test)
    y = panel.frame.assign(d=panel.frame.groupby("unique_id")["y"].diff(max(panel.freq.season, 1)).abs())
    scale = y.groupby("unique_id")["d"].mean()
    tuned, held = rows[rows["fold"] > 0], rows[rows["fold"] == 0]
    board = _scores(tuned, ["algorithm"], scale).sort_values("mase", ignore_index=True)
    board = pd.concat([board[board["algorithm"] == winner], board[board["algorithm"] != winner]], ignore_index=True)
    naive = float(board.loc[board["algorithm"] == "seasonal_naive", "mase"].iloc[0])
    board = board.assign(
        rank=range(1, len(board) + 1),
        skill=1 - board["mase"] / naive,
        seconds=[3.2, 1.4, 0.1, 0.1, 0.1],
        note="",
        **{
            "coverage-80": 78.4,
            "width-80": 210.0,
            "winkler-80": 3.1,
            "coverage-95": 81.9,
            "width-95": 340.0,
            "wql": 4.2,
        },
    )
    best = tuned[tuned["algorithm"] == winner]
    spread = (best["forecast"] - best["y"]).abs().groupby(best["unique_id"]).quantile(0.8)
    ahead = []
    for name, part in panel.frame.groupby("unique_id"):
        values, end = _forecasts(part["y"].to_numpy(), panel.freq.season, horizon)[winner], part["ds"].iloc[-1]
        stamps = (
            [end + k for k in range(1, horizon + 1)]
            if alias == "1"
            else pd.date_range(end, periods=horizon + 1, freq=alias)[1:]
        )
        half = spread[name] * np.sqrt(1 + np.arange(horizon) / horizon)
        ahead.append(
            pd.DataFrame(
                {
                    "unique_id": name,
                    "ds": stamps,
                    "forecast": values,
                    "lo-80": np.clip(values - half, 0, None),
                    "hi-80": values + half,
                    "lo-95": np.clip(values - 1.6 * half, 0, None),
                    "hi-95": values + 1.6 * half,
                }
            )
        )
    name = largest_series(panel.frame, 1)[0]
    part = panel.frame[panel.frame["unique_id"] == name]
    found = {
        "algorithm": winner,
        "importance_of": "lightgbm",
        "series": name,
        "strengths": strengths(panel, 20),
        "members": pd.DataFrame({"algorithm": ["ets", "theta", "lightgbm"], "weight": [0.4, 0.35, 0.25]}),
        "importance": pd.DataFrame(
            {
                "feature": ["lag7", "rolling_mean_lag1_window_size28", "dayofweek", "preço", "lag28", "month"],
                "importance": [0.41, 0.24, 0.15, 0.11, 0.06, 0.03],
            }
        ),
        "decomposition": decompose_series(part["y"], panel.freq.season).assign(ds=part["ds"].to_numpy()),
    }
    return ReportContext(
        run={
            "run_id": "4f2a91c07be3-1",
            "name": "loja-diaria",
            "source": "vendas.csv",
            "created": "2026-03-05T14:20:00+00:00",
            "status": "finished",
            "seed": 0,
            "fingerprint": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "config_hash": "1f0cbe77",
            "seconds": 41.7,
            "versions": {"pandas": "2.3.3", "statsforecast": "2.1.1"},
            "notebook": "train.ipynb",
            "interrupted": False,
        },
        data=describe_panel(panel),
        history=panel.frame[["unique_id", "ds", "y"]],
        forecast=pd.concat(ahead, ignore_index=True),
        freq=panel.freq,
        leaderboard=board,
        winner=winner,
        by_step=_scores(tuned, ["algorithm", "step"], scale),
        by_series=_scores(tuned, ["algorithm", "unique_id"], scale),
        residuals=tuned,
        test_scores=_scores(held, ["algorithm"], scale).query("algorithm in ['seasonal_naive', @winner]")
        if test
        else None,
        status=pd.DataFrame(
            {
                "algorithm": [*board["algorithm"], "auto_arima"],
                "state": ["done"] * len(board) + ["skipped"],
                "seconds": 1.0,
                "reason": [None] * len(board) + ["time budget of 30 s was spent"],
                "fallbacks": 0,
            }
        ),
        plan={
            "horizon": horizon,
            "folds": folds,
            "test": test,
            "gap": 0,
            "window": "expanding",
            "refit": True,
            "alignment": "calendar",
            "notes": [],
        },
        upload={
            "rows": 2000,
            "rejected": 3,
            "dialect": {"kind": "csv", "encoding": "latin-1", "delimiter": ";", "decimal": ",", "thousands": "."},
        },
        findings=sample_findings(panel),
        drivers=found,
        canary={"passed": True, "max_difference": 0.0, "fold": 1, "where": None},
        recipe={
            "preprocess": {"missing": "auto", "outliers": {"method": "none"}},
            "features": {"lags": [1, 7, 14, 28], "calendar": ["dayofweek", "month"], "country": "BR"},
            "parameters": {"method": "weighted"},
        },
        fallbacks=pd.DataFrame(
            {"unique_id": ["Recife"], "reason": ["fewer than 2 seasons"], "used": ["seasonal_naive"]}
        ),
        model={"name": "loja-diaria", "tag": "loja-diaria:4f2a91c07be3-1"},
    )


def sample_findings(panel: Panel) -> pd.DataFrame:
    """Findings in the columns of `vur.stages.preview.findings.audit_table`."""
    names = panel.ids
    rows = [
        (
            "duplicates",
            "error",
            names[0],
            2,
            "12/03/2024",
            "12/03/2024",
            "Série <b>São Paulo/Centro</b> repete 12/03/2024.",
            "panel = make_panel(frame, date='data', target='vendas', series=['loja'], duplicates='sum')",
        ),
        (
            "zeros",
            "warning",
            names[-1],
            7,
            "02/01/2024",
            "30/12/2024",
            "7 zeros podem ser dados ausentes.",
            "frame.loc[frame['y'] == 0, 'y'] = None",
        ),
    ]
    rows += [
        ("gaps", "warning", name, 4, "05/02/2024", "08/02/2024", f"Faltam 4 dias em {name}.", "panel = complete(panel)")
        for name in names
    ]
    rows.append(("outliers", "info", names[0], 1, "24/12/2024", "24/12/2024", "1 valor atípico.", ""))
    return pd.DataFrame(rows, columns=["code", "severity", "unique_id", "count", "first", "last", "message", "repair"])
