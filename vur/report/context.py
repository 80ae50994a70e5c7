"""The data of a report page: plain frames and dicts about one run."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from vur.demand import DEMAND_CLASSES, demand_classes
from vur.frequency import Frequency
from vur.panel import Limit, Panel, holds
from vur.stages.model.pipeline import whole_numbers


@dataclasses.dataclass
class ReportContext:
    """Everything that the page shows, as plain frames and dicts; what is None or empty is left out.

    run: `run_id, name, source` (file name), `created` (ISO text), `status, seed, fingerprint, config_hash, seconds,
    versions, notebook` (relative link), `interrupted`.

    data: the result of `describe_panel`; `aggregate` ("sum" or "mean"), `label` and `whole` may be added.

    history: `unique_id, ds, y` as observed. forecast: `unique_id, ds, forecast, lo-80, hi-80, …` in the same units.

    leaderboard: columns of `vur.stages.training.leaderboard.leaderboard`, best first; percentages in percent, `skill`
    as a share. status: `algorithm, state, seconds, reason, fallbacks` of every candidate. by_step: `algorithm, step,
    mae, …`. by_series: `algorithm, unique_id, mae, mase, …`. residuals: `fold, unique_id, ds, step, y, forecast` of the
    winner. test_scores: scores on the held-out test, rows by `algorithm`.

    choice: why the winner is used, a `vur.stages.training.choice.Choice`. reference: the naive forecast that skill is
    measured against. headline, metric_note, size_ratio: see `vur.stages.training.Training`. skill: that of the headline
    sentence. off: by how much the winner's total on the folds was off, in percent.

    findings: the table of `vur.stages.preview.findings.audit_table`. plan: `horizon, folds` (number), `test` (bool),
    `gap, window, refit, alignment, notes` (sentences). recipe: `preprocess, features, parameters` as dicts. drivers:
    the result of `vur.explain.drivers.drivers`. checks: the result of `residual_checks`, computed when None. fallbacks:
    `unique_id, reason, used`. canary: `passed, failed, max_difference, fold, where`. model: `name, tag`. notes:
    warnings of the training. extras: what the sections collected, by name.
    """

    run: dict[str, Any]
    data: dict[str, Any]
    history: pd.DataFrame
    forecast: pd.DataFrame
    freq: Frequency
    leaderboard: pd.DataFrame
    metric: str = "mase"
    winner: str = ""
    status: pd.DataFrame | None = None
    by_step: pd.DataFrame | None = None
    by_series: pd.DataFrame | None = None
    residuals: pd.DataFrame | None = None
    test_scores: Any = None
    plan: dict[str, Any] = dataclasses.field(default_factory=dict)
    upload: dict[str, Any] = dataclasses.field(default_factory=dict)
    findings: pd.DataFrame | None = None
    recipe: dict[str, Any] = dataclasses.field(default_factory=dict)
    drivers: dict[str, Any] | None = None
    checks: dict[str, Any] | None = None
    fallbacks: pd.DataFrame | None = None
    canary: dict[str, Any] | None = None
    model: dict[str, Any] = dataclasses.field(default_factory=dict)
    notes: tuple[Any, ...] = ()
    extras: dict[str, Any] = dataclasses.field(default_factory=dict)
    choice: Any = None
    reference: str = "seasonal_naive"
    headline: dict[str, Any] = dataclasses.field(default_factory=dict)
    metric_note: Any = ""
    size_ratio: float = 1.0
    skill: float | None = None
    off: float = math.nan

    def __post_init__(self) -> None:
        self.winner = self.winner or (str(self.leaderboard["algorithm"].iloc[0]) if len(self.leaderboard) else "")
        if self.residuals is not None and "algorithm" in self.residuals:
            self.residuals = self.residuals[self.residuals["algorithm"] == self.winner]

    @property
    def horizon(self) -> int:
        """Steps of the longest forecast."""
        return int(self.forecast.groupby("unique_id", observed=True).size().max())

    @property
    def shown(self) -> pd.DataFrame:
        """The forecast as it is shown: in whole numbers where these are asked for. Totals are those of `forecast`."""
        return whole_numbers(self.forecast) if self.data.get("whole") else self.forecast

    @property
    def hierarchy(self) -> Any:
        """Which series are sums of others, as a `vur.hierarchy` object; None without sums."""
        return getattr(getattr(self.extras.get("hierarchy"), "reconciler", None), "hierarchy", None)


def describe_panel(panel: Panel) -> dict[str, Any]:
    """Column names, counts, span, frequency with its evidence, and roles of a panel, as the page states them.

    `absent` counts the absent rows that became zeros, `ended` names the series that were left out because they ended,
    `unsure` is the share of absent steps that count as unknown, but may be zeros (0 where that is clear).
    """
    frame = panel.frame
    names = dict(panel.names)
    observed = frame["y"].notna()
    ended = panel.notes.get("ended")
    return {
        "target": _name(names, "target", "y"),
        "date": _name(names, "date", "ds"),
        "series": names.get("series", ()),
        "n_series": frame["unique_id"].nunique(),
        "rows": int(observed.sum()),
        "missing": int((~observed).sum()),
        "start": frame["ds"].min(),
        "end": frame.loc[observed, "ds"].max(),
        "alias": panel.freq.alias,
        "season": panel.freq.season,
        "evidence": panel.freq.evidence,
        "roles": panel.own_roles,
        "tz": panel.tz,
        "demand": _demand(panel),
        "integer": _most(panel.integer, panel),
        "nonnegative": _most(panel.nonnegative, panel),
        "absent": len(panel.notes.get("absent", ())),
        "ended": [] if ended is None else ended.loc[ended["omitted"], "unique_id"].astype(str).tolist(),
        "unsure": _unsure(panel),
    }


def _unsure(panel: Panel) -> float:
    """The share of absent steps whose meaning the evidence left open and nobody has set."""
    told = panel.notes.get("absence")
    if told is None:
        return 0.0
    row = told.iloc[0]
    return float(row["share"]) if (row["setting"], row["verdict"]) == ("auto", "maybe") and not row["zero"] else 0.0


def _demand(panel: Panel) -> list[dict[str, Any]]:
    """For each class of demand with series in it: `name, series, interval` and `cv2`, the medians; see `vur.demand`."""
    table = demand_classes(panel)
    return [
        {
            "name": name,
            "series": int(rows.sum()),
            "interval": float(table.loc[rows, "interval"].median()),
            "cv2": float(table.loc[rows, "cv2"].median()),
        }
        for name in DEMAND_CLASSES
        if (rows := table["demand_class"] == name).any()
    ]


def _most(limit: Limit, panel: Panel) -> bool:
    """Whether a limit holds for more than half of the series: one odd value must not turn totals into means."""
    return bool(holds(limit, panel.ids).mean() > 0.5)


def _name(names: Mapping[str, Any], *keys: str) -> str:
    return str(next((names[key] for key in keys if names.get(key)), keys[-1]))
