"""One self-contained page about a run that a manager understands and that opens without a network."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import pandas as pd

from vur.frequency import Frequency
from vur.panel import Panel
from vur.timezones import is_sub_daily, to_zone


@dataclasses.dataclass
class ReportContext:
    """Everything the page is made of, as plain frames and dicts; None or empty leaves that part out.

    run: `run_id, name, source` (file name), `created` (ISO text), `status, seed, fingerprint, config_hash, seconds,
    versions, notebook`
        (relative link), `interrupted`.
    data: what `describe_panel` gives; `aggregate` ("sum" or "mean") and `label` may be added.
    history: `unique_id, ds, y` as observed. forecast: `unique_id, ds, forecast, lo-80, hi-80, …` in the same units.
    leaderboard: columns of `vur.stages.training.leaderboard.leaderboard`, best first; percentages in percent, `skill`
    as a share. status: `algorithm, state, seconds, reason, fallbacks` of every candidate. by_step: `algorithm, step,
    mae, …`. by_series: `algorithm, unique_id, mae, mase, …`. residuals: `fold, unique_id, ds, step, y, forecast` of the
    winner. test_scores: the held-out end, rows by `algorithm`. findings: the table of
    `vur.stages.preview.findings.audit_table`. plan: `horizon, folds` (number), `test` (bool), `gap, window, refit,
    alignment, notes` (sentences). recipe: `preprocess, features, parameters` as dicts. drivers: result of
    `vur.explain.drivers.drivers`. checks: result of `residual_checks`, computed when None. fallbacks: `unique_id,
    reason, used`. canary: `passed, failed, max_difference, fold, where`. model: `name, tag`. notes: warnings of the
    training. extras: what the sections of `vur.report.sections` found, by name.
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

    def __post_init__(self) -> None:
        self.winner = self.winner or (str(self.leaderboard["algorithm"].iloc[0]) if len(self.leaderboard) else "")
        if self.residuals is not None and "algorithm" in self.residuals:
            self.residuals = self.residuals[self.residuals["algorithm"] == self.winner]

    @property
    def horizon(self) -> int:
        """Steps of the longest forecast."""
        return int(self.forecast.groupby("unique_id", observed=True).size().max())


def describe_panel(panel: Panel) -> dict[str, Any]:
    """The facts of a panel that the page states: names of columns, counts, span, frequency with its evidence, roles."""
    frame = panel.frame
    names = dict(panel.names)
    observed = frame["y"].notna()
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
        "roles": dict(panel.roles),
        "tz": panel.tz,
        "integer": panel.integer,
        "nonnegative": panel.nonnegative,
    }


def _name(names: Mapping[str, Any], *keys: str) -> str:
    return str(next((names[key] for key in keys if names.get(key)), keys[-1]))


def _plain(value: Any) -> Any:
    """A spec, plan or result as a dict: by `to_dict`, as a dataclass, or as it is."""
    if value is None or isinstance(value, (Mapping, pd.DataFrame)):
        return value
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if dataclasses.is_dataclass(value):
        return dataclasses.asdict(value)
    return dict(vars(value)) if hasattr(value, "__dict__") else value


STATED = ("test_auto",)  # said on the page in other words


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


def _wall_time(frame: pd.DataFrame | None, panel: Panel) -> pd.DataFrame | None:
    """Sub-daily stamps, held in UTC, as the wall clock of the panel's zone shows them."""
    if frame is None or "ds" not in frame or not panel.tz or not is_sub_daily(panel.freq):
        return frame
    return frame.assign(ds=to_zone(frame, panel.tz, panel.freq)["ds"].dt.tz_localize(None))


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
) -> ReportContext:
    """The context of a finished training; `training` has `leaderboard, evaluation, by_step, by_series, test_scores, canary, pipeline`."""
    from vur.explain.drivers import drivers, inner_forecaster
    from vur.hierarchy import without_sums
    from vur.report.sections import Facts, collect_parts

    evaluation, pipeline = getattr(training, "evaluation", None), getattr(training, "pipeline", None)
    inner = inner_forecaster(pipeline)
    local = dataclasses.replace(panel, frame=_wall_time(panel.frame, panel))
    return ReportContext(
        run=run,
        data=describe_panel(without_sums(local, pipeline)),
        history=local.frame[["unique_id", "ds", "y"]],
        forecast=_wall_time(forecast, panel),
        freq=panel.freq,
        leaderboard=training.leaderboard,
        winner=getattr(training, "winner", "") or "",
        status=getattr(evaluation, "status", None),
        metric=getattr(training, "metric", "mase"),
        by_step=getattr(training, "by_step", None),
        by_series=getattr(training, "by_series", None),
        residuals=_wall_time(getattr(evaluation, "forecasts", None), panel),
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
        extras=collect_parts(Facts(local, training, plan, forecast, language, parameters or {})),
    )
