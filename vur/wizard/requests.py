"""What a client asks to be done to a dataset, in the words of the documents, as sections of a run's configuration and work on rows.

What is done to the target belongs to the pipeline: it is learnt in each fold from its training part alone, so that no
score sees the future. Work on rows (columns beside the target, whole rows) makes a new version of the dataset.
"""

from dataclasses import dataclass, field
from typing import Any

from vur.errors import VurError
from vur.stages.features import FeatureSpec
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
    "minmax": "min_max",
    "min-max": "min_max",
    "zscore": "standard",
    "z-score": "standard",
    "standardize": "standard",
    "log": "log1p",
    "boxcox": "box_cox",
}
KNOWN_SCALES = ("min_max", "standard", "robust", "log1p", "box_cox", "none")
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
class Work:
    """What a request comes to: sections of the configuration, work on rows, the option for duplicates, and what was left undone."""

    preprocess: dict[str, Any] = field(default_factory=dict)
    features: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    duplicates: str | None = None
    unused: list[str] = field(default_factory=list)


def work_of(asked: dict[str, Any], target: str, date: str, kinds: dict[str, str]) -> Work:
    """The work that a request in the documents' form comes to; `kinds` are the types of the columns by name.

    `VurError` prepare.choice or prepare.column names what is not known.
    """
    work = Work()
    if asked.get("missing_values"):
        _missing(asked["missing_values"], target, kinds, work)
    if asked.get("outliers"):
        _outliers(asked["outliers"], target, kinds, work)
    if asked.get("normalization"):
        _normalization(asked["normalization"], target, kinds, work)
    if asked.get("feature_engineering"):
        work.features = feature_section(asked["feature_engineering"])
    if asked.get("duplicates"):
        _duplicates(asked["duplicates"], work)
    if asked.get("date_range"):
        work.rows.append(
            {"do": "range", "column": date, **{name: asked["date_range"].get(name) for name in ("start", "end")}}
        )
    if asked.get("drop_columns"):
        names = _columns(asked["drop_columns"], kinds, "drop_columns")
        if {target, date} & set(names):
            raise VurError(
                "prepare.needed", field="drop_columns", column=next(name for name in names if name in (target, date))
            )
        work.rows.append({"do": "columns", "columns": names})
    if work.preprocess:
        PreprocessSpec.from_dict(work.preprocess)
    return work


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


def _beside(asked: dict[str, Any], target: str, kinds: dict[str, str], field: str) -> tuple[bool, list[str]]:
    """Whether the target is meant, and which other columns are; without `columns` the target alone."""
    names = _columns(asked.get("columns") or [target], kinds, f"{field}.columns")
    return target in names, [name for name in names if name != target]


def _missing(asked: dict[str, Any], target: str, kinds: dict[str, str], work: Work) -> None:
    method = _choice(asked.get("method", "auto"), missing_names(), (*MISSING, "mode"), "missing_values.method")
    own, others = _beside(asked, target, kinds, "missing_values")
    if own:
        if method == "mode":
            raise VurError(
                "prepare.kind", field="missing_values.method", column=target, type=kinds[target], method="mode"
            )
        work.preprocess["missing"] = method
    if others:
        method = "linear" if method != "mode" and MISSING[method].seasonal else method  # no season beside the target
        for name in others:
            if kinds[name] not in ("numeric", "id") and method != "mode" and not MISSING[method].text:
                raise VurError(
                    "prepare.kind", field="missing_values.method", column=name, type=kinds[name], method=method
                )
        work.rows.append({"do": "drop" if method == "drop" else "fill", "method": method, "columns": others})


def _outliers(asked: dict[str, Any], target: str, kinds: dict[str, str], work: Work) -> None:
    method = _choice(asked.get("method", "iqr"), OUTLIERS, tuple(THRESHOLDS), "outliers.method")
    treatment = _choice(
        asked.get("treatment") or asked.get("action") or "clip", ACTIONS, TREATMENTS, "outliers.treatment"
    )
    threshold = asked.get("threshold")
    OutlierSpec(method, treatment, threshold)  # raises where they do not go together
    chosen = {"method": method, "treatment": treatment, "threshold": threshold}
    own, others = _beside(asked, target, kinds, "outliers")
    if own:
        work.preprocess["outliers"] = chosen
    for name in others:
        if kinds[name] != "numeric" or method == "hampel":
            raise VurError("prepare.kind", field="outliers.columns", column=name, type=kinds[name], method=method)
    if others and method != "none":
        work.rows.append({"do": "outliers", **chosen, "columns": others})


def _normalization(asked: dict[str, Any], target: str, kinds: dict[str, str], work: Work) -> None:
    method = _choice(asked.get("method", "standard"), SCALES, KNOWN_SCALES, "normalization.method")
    own, others = _beside(asked, target, kinds, "normalization")
    if own:
        work.preprocess["transforms"] = [] if method == "none" else [method]
    work.unused += others


def _duplicates(asked: dict[str, Any], work: Work) -> None:
    method = _choice(asked.get("method", "drop"), {}, DUPLICATES, "duplicates.method")
    if method == "drop":
        work.rows.append({"do": "duplicates"})
    else:
        work.duplicates = method


def feature_section(asked: dict[str, Any]) -> dict[str, Any]:
    """The `features` section from the documents' form: what is not mentioned stays as the data suggest, what is off becomes empty."""
    section: dict[str, Any] = {}
    lags, rolling, seasonal, holidays = (
        asked.get(name) for name in ("lag_features", "rolling_features", "seasonal_features", "holidays")
    )
    if lags is not None:
        section["lags"] = (list(lags.get("lags") or []) or "auto") if lags.get("enabled", True) else []
    if rolling is not None:
        windows, functions = rolling.get("windows") or [], rolling.get("functions") or ["mean"]
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
