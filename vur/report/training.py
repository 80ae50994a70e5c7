"""Builds the report context of a finished training."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from vur.explain.anomalies import COLUMNS
from vur.explain.drivers import drivers, inner_forecaster
from vur.hierarchy import without_sums
from vur.panel import Panel
from vur.report.clock import on_clock
from vur.report.context import ReportContext, describe_panel
from vur.report.page import collect
from vur.report.sections import Facts


def _plain(value: Any) -> Any:
    """A spec, plan or result as dict: by `to_dict`, as a dataclass or by attributes; mappings and frames unchanged."""
    if value is None or isinstance(value, (Mapping, pd.DataFrame)):
        return value
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return dict(vars(value)) if hasattr(value, "__dict__") else value


STATED = ("test_auto",)  # the page states it elsewhere


def plan_facts(plan: Any, language: str) -> dict[str, Any]:
    """A split plan in numbers: `horizon, folds, test, gap, window, refit, alignment, notes` (sentences)."""
    if plan is None:
        return {}
    spec = _plain(getattr(plan, "spec", None)) or {}
    stated = (
        dataclasses.replace(plan, notes=tuple(note for note in plan.notes if note["key"] not in STATED))
        if plan.notes
        else plan
    )
    notes = stated.describe(language)
    return {
        "horizon": plan.horizon,
        "folds": len(plan.folds),
        "test": plan.test is not None,
        "gap": plan.gap,
        "alignment": plan.alignment,
        "window": spec.get("window"),
        "refit": spec.get("refit"),
        "notes": notes,
    }


def _on_clock(frame: pd.DataFrame | None, panel: Panel) -> pd.DataFrame | None:
    return frame if frame is None or "ds" not in frame else on_clock(frame, panel.tz, panel.freq)


def build_context(
    *,
    run: dict[str, Any],
    panel: Panel,
    training: Any,
    forecast: pd.DataFrame,
    plan: Any = None,
    language: str = "en",
    upload: dict[str, Any] | None = None,
    findings: pd.DataFrame | None = None,
    preprocess: Any = None,
    features: Any = None,
    model: dict[str, Any] | None = None,
    parameters: dict[str, dict[str, Any]] | None = None,
    whole: bool = False,
) -> ReportContext:
    """The report context of a finished training.

    `training` has `leaderboard, evaluation, by_step, by_series, test_scores, canary, pipeline`; `parameters` are those
    that the run set, by algorithm id. `whole` shows forecasts as whole numbers.
    """
    evaluation, pipeline = getattr(training, "evaluation", None), getattr(training, "pipeline", None)
    inner = inner_forecaster(pipeline)
    local = dataclasses.replace(panel, frame=on_clock(panel.frame, panel.tz, panel.freq))
    return ReportContext(
        run=run,
        data=describe_panel(without_sums(local, pipeline))
        | {"whole": whole, "point": getattr(pipeline, "point", "mean")},
        history=local.frame[["unique_id", "ds", "y"]],
        forecast=on_clock(forecast, panel.tz, panel.freq),
        freq=panel.freq,
        leaderboard=training.leaderboard,
        winner=getattr(training, "winner", "") or "",
        status=getattr(evaluation, "status", None),
        metric=getattr(training, "metric", "mase"),
        by_step=getattr(training, "by_step", None),
        by_series=getattr(training, "by_series", None),
        residuals=_on_clock(getattr(evaluation, "forecasts", None), panel),
        test_scores=getattr(training, "test_scores", None),
        plan=plan_facts(plan, language),
        upload=upload or {},
        findings=findings,
        drivers=drivers(training, local),
        recipe={
            "preprocess": _plain(preprocess),
            "features": _plain(features),
            "parameters": getattr(inner, "parameters", {}),
        },
        fallbacks=getattr(inner, "fallbacks", None),
        canary=_plain(getattr(training, "canary", None)),
        model=model or {},
        notes=tuple(getattr(training, "notes", ())),
        extras=collect(Facts(local, training, plan, forecast, language, parameters or {})),
        **_decision(training),
    )


def _decision(training: Any) -> dict[str, Any]:
    """What a training says of its choice, as fields of the context; empty for one that made none."""
    if getattr(training, "choice", None) is None:
        return {}
    off = training.row["pbias"]
    return {
        **{name: getattr(training, name) for name in ("choice", "reference", "headline", "metric_note", "size_ratio")},
        "skill": training.skill,
        "off": float("nan") if pd.isna(off) else float(off),
    }


def write_anomalies(found: Any, path: Path) -> None:
    """Write the anomalies of the training data as CSV, highest score first.

    `found` is what the section on anomalies collected; None (nothing could be judged) gives a file without rows.
    """
    rows = pd.DataFrame(columns=list(COLUMNS)) if found is None else found.table
    rows.to_csv(path, index=False)
