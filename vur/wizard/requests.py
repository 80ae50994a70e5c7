"""Translates a preparation request of the API into configuration sections and row operations.

Changes to the target are part of the pipeline: they are learnt in each fold from its training part alone, so that no
score uses future data. Row operations (on other columns, or on whole rows) create a new version of the dataset.
"""

from dataclasses import dataclass, field
from typing import Any

from vur.absence import ABSENT
from vur.errors import VurError
from vur.runs.config import ENDED
from vur.stages.features import WINDOWS, FeatureSpec
from vur.stages.features.calendar import PARTS
from vur.stages.preprocess.cleaning import MISSING, THRESHOLDS, TREATMENTS, OutlierSpec, missing_names
from vur.stages.preprocess.preprocessor import PreprocessSpec

OUTLIERS = {"z_score": "zscore", "z-score": "zscore", "std": "zscore"}
ACTIONS = {
    "cap": "clip",
    "winsorize": "clip",
    "remove": "replace",
    "interpolate": "replace",
    "missing": "replace",
    "keep": "flag",
}
SCALES = {
    "min_max": "minmax",
    "min-max": "minmax",
    "zscore": "standard",
    "z-score": "standard",
    "standardize": "standard",
    "log": "log1p",
    "boxcox": "box_cox",
}
KNOWN_SCALES = ("minmax", "standard", "robust", "log1p", "box_cox", "none")
TRANSFORMS = {"minmax": "min_max"}  # the names of the stage, where they differ
EXTRACTS = {
    "day_of_week": "dayofweek",
    "weekday": "dayofweek",
    "day_of_month": "day",
    "day_of_year": "dayofyear",
    "week_of_year": "week",
    "is_weekend": "weekend",
    "is_month_start": "month_start",
    "is_month_end": "month_end",
}
DUPLICATES = ("drop", "sum", "mean", "first", "last", "refuse")


@dataclass
class PreparationPlan:
    """Configuration sections, row operations, options of the panel, and columns that cannot be normalised.

    `panel` has any of `duplicates, absent, ended`.
    """

    preprocess: dict[str, Any] = field(default_factory=dict)
    features: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    panel: dict[str, str] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)


def preparation_plan(request: dict[str, Any], target: str, date: str, kinds: dict[str, str]) -> PreparationPlan:
    """The plan of a preparation request; `kinds` are the column types by name.

    `VurError` prepare.choice or prepare.column names an unknown option or column.
    """
    plan = PreparationPlan()
    if request.get("missing_values"):
        _missing(request["missing_values"], target, kinds, plan)
    if request.get("outliers"):
        _outliers(request["outliers"], target, kinds, plan)
    if request.get("normalization"):
        _normalization(request["normalization"], target, kinds, plan)
    if request.get("feature_engineering"):
        plan.features = feature_section(request["feature_engineering"])
    if request.get("duplicates"):
        _duplicates(request["duplicates"], plan)
    for name, known in (("absent", ABSENT), ("ended", ENDED)):
        if request.get(name):
            plan.panel[name] = _choice(request[name], {}, known, name)
    if request.get("date_range"):
        plan.rows.append(
            {"do": "range", "column": date, **{name: request["date_range"].get(name) for name in ("start", "end")}}
        )
    if request.get("drop_columns"):
        names = _columns(request["drop_columns"], kinds, "drop_columns")
        if {target, date} & set(names):
            raise VurError(
                "prepare.needed", field="drop_columns", column=next(name for name in names if name in (target, date))
            )
        plan.rows.append({"do": "columns", "columns": names})
    if plan.preprocess:
        PreprocessSpec.from_dict(plan.preprocess)
    return plan


def _choice(value: Any, others: dict[str, str], known: tuple[str, ...], field: str) -> str:
    found = others.get(str(value).lower(), str(value).lower())
    if found not in known:
        raise VurError("prepare.choice", field=field, value=value, known=", ".join(known))
    return found


def _columns(names: list[str], kinds: dict[str, str], field: str) -> list[str]:
    for name in names:
        if name not in kinds:
            raise VurError("prepare.column", field=field, column=name, known=", ".join(kinds))
    return list(dict.fromkeys(names))


def _beside(request: dict[str, Any], target: str, kinds: dict[str, str], field: str) -> tuple[bool, list[str]]:
    """Whether the request is about the target, and about which other columns; without `columns`, the target only."""
    names = _columns(request.get("columns") or [target], kinds, f"{field}.columns")
    return target in names, [name for name in names if name != target]


def _missing(request: dict[str, Any], target: str, kinds: dict[str, str], plan: PreparationPlan) -> None:
    method = _choice(request.get("method", "auto"), missing_names(), (*MISSING, "mode"), "missing_values.method")
    own, others = _beside(request, target, kinds, "missing_values")
    if own:
        if method == "mode":
            raise VurError(
                "prepare.kind", field="missing_values.method", column=target, type=kinds[target], method="mode"
            )
        plan.preprocess["missing"] = method
    if others:
        method = "linear" if method != "mode" and MISSING[method].seasonal else method  # only the target has a season
        for name in others:
            if kinds[name] not in ("numeric", "id") and method != "mode" and not MISSING[method].text:
                raise VurError(
                    "prepare.kind", field="missing_values.method", column=name, type=kinds[name], method=method
                )
        plan.rows.append({"do": "drop" if method == "drop" else "fill", "method": method, "columns": others})


def _outliers(request: dict[str, Any], target: str, kinds: dict[str, str], plan: PreparationPlan) -> None:
    method = _choice(request.get("method", "iqr"), OUTLIERS, tuple(THRESHOLDS), "outliers.method")
    treatment = _choice(
        request.get("treatment") or request.get("action") or "clip", ACTIONS, TREATMENTS, "outliers.treatment"
    )
    threshold = request.get("threshold")
    OutlierSpec(method, treatment, threshold)  # raises for an invalid combination
    spec = {"method": method, "treatment": treatment, "threshold": threshold}
    own, others = _beside(request, target, kinds, "outliers")
    if own:
        plan.preprocess["outliers"] = spec
    for name in others:
        if kinds[name] != "numeric" or method == "hampel":
            raise VurError("prepare.kind", field="outliers.columns", column=name, type=kinds[name], method=method)
    if others and method != "none":
        plan.rows.append({"do": "outliers", **spec, "columns": others})


def _normalization(request: dict[str, Any], target: str, kinds: dict[str, str], plan: PreparationPlan) -> None:
    method = _choice(request.get("method", "standard"), SCALES, KNOWN_SCALES, "normalization.method")
    own, others = _beside(request, target, kinds, "normalization")
    if own:
        plan.preprocess["transforms"] = [] if method == "none" else [TRANSFORMS.get(method, method)]
    plan.unused += others


def _duplicates(request: dict[str, Any], plan: PreparationPlan) -> None:
    method = _choice(request.get("method", "drop"), {}, DUPLICATES, "duplicates.method")
    if method == "drop":
        plan.rows.append({"do": "duplicates"})
    else:
        plan.panel["duplicates"] = method


def feature_section(request: dict[str, Any]) -> dict[str, Any]:
    """The `features` section of a feature request: what it leaves out stays "auto", what it disables is emptied."""
    section: dict[str, Any] = {}
    lags, rolling, seasonal, holidays = (
        request.get(name) for name in ("lag_features", "rolling_features", "seasonal_features", "holidays")
    )
    if lags is not None:
        section["lags"] = (list(lags.get("lags") or []) or "auto") if lags.get("enabled", True) else []
    if rolling is not None:
        field = "feature_engineering.rolling_features.functions"
        windows = rolling.get("windows") or []
        functions = [_choice(name, {}, WINDOWS, field) for name in rolling.get("functions") or ["mean"]]
        section["rolling"] = (
            ([[name, 1, size] for size in windows for name in functions] or "auto")
            if rolling.get("enabled", True)
            else []
        )
    if seasonal is not None:
        parts = [
            _choice(name, EXTRACTS, PARTS, "feature_engineering.seasonal_features.extract")
            for name in seasonal.get("extract") or []
        ]
        section["calendar"] = (parts or "auto") if seasonal.get("enabled", True) else []
        if not seasonal.get("enabled", True):
            section["fourier"] = []
    if holidays is not None:
        on = holidays.get("enabled", True)
        section |= {"country": holidays.get("country") if on else None, "state": holidays.get("state") if on else None}
    FeatureSpec.from_dict(section)
    return section
