"""The model card that lies beside every saved model."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from vur.panel import Panel
from vur.store.models import model_name

if TYPE_CHECKING:
    from vur.runs.pipeline import Run

COLUMNS = ("rank", "algorithm", "mase", "mae", "rmse", "smape", "skill", "coverage-80", "coverage-95")


def model_card(run: "Run", forecast: pd.DataFrame, metadata: dict[str, Any]) -> str:
    """Markdown: what the model is, what it was trained on, how well it did, its limits and how to call it."""
    config, board = run.config, run.training.leaderboard
    ends = run.panel.frame.groupby("unique_id", observed=True)["ds"].max()
    table = board[[name for name in COLUMNS if name in board]].head(10).to_string(index=False, float_format="{:.4g}".format)
    return f"""# Model {config.name}

- algorithm: {run.training.winner}; run: {run.id}; data fingerprint: {run.upload.fingerprint}
- target: {config.data.target}; date: {config.data.date}; series: {len(run.panel.ids)} ({", ".join(run.panel.ids[:8])}{"…" if len(run.panel.ids) > 8 else ""})
{sums_line(run)}- frequency: {run.panel.freq.alias}; horizon: {run.plan.horizon}; data end: {ends.max()}
- folds: {len(run.plan.folds)}; seed: {config.training.seed}; VUR {metadata["vur"]}

## Scores on the folds

```
{table}
```

## Use

    vur forecast {model_name(config.name)} --horizon {run.plan.horizon} --out forecast.csv

## Limits

Forecasts assume that the coming steps behave as the folds did. Intervals are calibrated on {len(run.plan.folds)} folds of
{run.plan.horizon} steps; beyond {run.plan.horizon} steps their width is extrapolated. First forecast stamp: {forecast["ds"].min()}.
"""


def sums_line(run: "Run") -> str:
    """How many of the series are sums and how they agree with their parts; empty without a hierarchy."""
    reconciler = getattr(run.training.pipeline, "reconciler", None)
    return "" if reconciler is None else f"- sums: {len(reconciler.hierarchy.sums)} of these series; parts add up to them by {reconciler.method}\n"


def panel_head(panel: Panel) -> dict[str, Any]:
    """What a saved model must know of the panel besides its own state."""
    return {"freq": vars(panel.freq), "roles": panel.roles, "tz": panel.tz, "names": panel.names, "integer": panel.integer,
            "nonnegative": panel.nonnegative, "series": panel.ids[:1000], "count": len(panel.ids), "ranges": known_ranges(panel)}


def known_ranges(panel: Panel) -> dict[str, list[float]]:
    """Lowest and highest value of each numeric column known in the future, over the observed stamps."""
    numeric = panel.frame[panel.columns("known_future")].select_dtypes("number")
    return {name: [float(column.min()), float(column.max())] for name, column in numeric.items() if column.notna().any()}
