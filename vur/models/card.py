"""The model card, stored beside every saved model."""

from typing import Any

import pandas as pd

from vur.absence import absence_facts
from vur.frequency import spacing
from vur.panel import Panel, holds
from vur.scoring.metrics import shown_metrics
from vur.stages.features.levels import known_levels
from vur.stages.split import SplitPlan
from vur.stages.training import Training
from vur.store.models.models import model_name

SOURCES = {
    "test": "on the held-out test, which had no part in choosing",
    "held_out": "choosing anew without each fold that is scored",
    "folds": "on the one fold that chose the model: expect more",
}


def model_card(
    name: str,
    panel: Panel,
    plan: SplitPlan,
    training: Training,
    forecast: pd.DataFrame,
    metadata: dict[str, Any],
    *,
    target: str,
    date: str,
    seed: int,
) -> str:
    """Markdown: what the model is, its training data, its scores, its limits and how to use it.

    `metadata` is the metadata saved with the model; `run, fingerprint, vur` are quoted.
    """
    board = training.leaderboard
    ends = panel.frame.groupby("unique_id", observed=True)["ds"].max()
    names = ", ".join(panel.ids[:8]) + ("…" if len(panel.ids) > 8 else "")
    columns = ("rank", "algorithm", "chosen", *shown_metrics("card"), "skill", "wql", "coverage-80", "coverage-95")
    table = (
        board[[column for column in columns if column in board]]
        .head(10)
        .to_string(index=False, float_format="{:.4g}".format)
    )
    return f"""# Model {name}

- algorithm: {training.winner}; run: {metadata["run"]}; data fingerprint: {metadata["fingerprint"]}
- target: {target}; date: {date}; series: {len(panel.ids)} ({names})
{sums_line(training)}- frequency: {panel.freq.alias}; horizon: {plan.horizon}; data end: {ends.max()}
{decision_lines(training)}- folds: {len(plan.folds)}; seed: {seed}; VUR {metadata["vur"]}

## Scores on the folds

```
{table}
```

## Use

    vur forecast {model_name(name)} --horizon {plan.horizon} --out forecast.csv

## Limits

Forecasts assume that the future steps behave like those of the folds. Intervals are calibrated on {len(plan.folds)}
folds of {plan.horizon} steps; beyond that their width is extrapolated. First timestamp: {forecast["ds"].min()}.
"""


def decision_lines(training: Training) -> str:
    """Why this candidate is used, what it is worth beside the best naive forecast, and the error to expect of it."""
    scores = training.headline
    shown = [f"{name} {scores[name]:.4g}" for name in ("mase", "rmsse", "wape", "mae", "skill") if name in scores]
    choice = training.choice
    return "".join(
        f"- {line}\n"
        for line in (
            f"ranked on: {training.metric}; best naive forecast: {training.reference}; verdict: {training.verdict}",
            f"error to expect: {', '.join(shown)} ({SOURCES[scores['source']]})" if shown else "",
            f"choice: {choice.note}" if choice is not None and choice.note else "",
        )
        if line
    )


def sums_line(training: Training) -> str:
    """How many series are sums and how they are reconciled with their parts; empty without a hierarchy."""
    reconciler = getattr(training.pipeline, "reconciler", None)
    return (
        ""
        if reconciler is None
        else f"- sums: {len(reconciler.hierarchy.sums)} of these series; reconciled by {reconciler.method}\n"
    )


def panel_head(panel: Panel) -> dict[str, Any]:
    """The facts about the panel that a saved model needs besides its own state."""
    return {
        "freq": vars(panel.freq),
        "roles": panel.roles,
        "tz": panel.tz,
        "names": panel.names,
        "integer": bool(holds(panel.integer, panel.ids).all()),
        "nonnegative": bool(holds(panel.nonnegative, panel.ids).all()),
        "series": panel.ids[:1000],
        "count": len(panel.ids),
        "ranges": known_ranges(panel),
        "absence": absence_facts(panel),
        "levels": known_levels(panel),
        "borders": around_borders(panel),
    }


def around_borders(panel: Panel) -> bool:
    """Whether stamps moved over the border of a month, as those of months of four and five weeks do."""
    moved, step = panel.notes.get("moved"), spacing(panel.freq.alias)
    if step.kind != "month" or moved is None:
        return False
    return bool((moved["to"] < moved["ds"] if step.end else moved["to"] > moved["ds"]).any())


def known_ranges(panel: Panel) -> dict[str, list[float]]:
    """Minimum and maximum of each numeric known-future column over the observed timestamps."""
    numeric = panel.frame[panel.columns("known_future")].select_dtypes("number")
    return {
        name: [float(column.min()), float(column.max())] for name, column in numeric.items() if column.notna().any()
    }
