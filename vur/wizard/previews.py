"""What each step of the wizard does to the data, for a live preview: nothing is stored.

Each function takes a version's folder, the `data` section of a `Config` and plain settings, and returns plain JSON;
series come as arrays of at most `points` stamps that draw the same curve.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vur.forecasters.registry import PRESETS, algorithm, algorithm_name, algorithms
from vur.models.future import known_steps
from vur.panel import Panel
from vur.runs.config import Config, TrainingSpec
from vur.stages.features import FeatureSpec, features_frame, lag_kernels, listed, resolve_features
from vur.stages.features.calendar import calendar_frame
from vur.stages.model import ModelSpec, auto_algorithms, candidates
from vur.stages.model.search_space import say_remark
from vur.stages.preprocess import describe_preprocess, fit_preprocess
from vur.stages.preprocess.preprocessor import Preprocessor, PreprocessSpec
from vur.stages.preview.findings import by_severity
from vur.stages.split import plan_split
from vur.stages.split.folds import SplitSpec
from vur.stages.training.budget import guessed_seconds
from vur.store.data import tables
from vur.store.data.thinning import short_numbers, thin
from vur.text import translate
from vur.wizard import checks, repairs

MAP_SERIES, MAP_SPANS = 40, 120
NAMES, ROWS = 500, 12
POINTS = 1000


# --- series as arrays ---


def chosen_series(panel: Panel, name: str | None) -> str:
    """`name` if the panel has that series, else its first one."""
    return name if name in panel.ids else panel.ids[0]


def series_names(panel: Panel) -> list[str]:
    """The names to choose a series from: the first `NAMES`."""
    return panel.ids[:NAMES]


def own_rows(panel: Panel, name: str) -> pd.DataFrame:
    """The rows of one series."""
    return panel.frame[panel.frame["unique_id"] == name].reset_index(drop=True)


def positions(columns: Sequence[NDArray[np.float64]], points: int) -> NDArray[np.int64]:
    """Positions of at most `points` rows that keep the extremes of every column; all where there are no more."""
    if len(columns[0]) <= points:
        return np.arange(len(columns[0]))
    each = max(points // len(columns), 4)
    return np.unique(np.concatenate([thin(values, each) for values in columns]))


def stamps(values: pd.Series) -> list[Any]:
    """Stamps as ISO text, without the time where all are midnight; integers as they are."""
    if not pd.api.types.is_datetime64_any_dtype(values.dtype):
        return [int(value) for value in values]
    days = bool((values == values.dt.normalize()).all())
    return values.dt.strftime("%Y-%m-%d" if days else "%Y-%m-%dT%H:%M:%S").tolist()


def points_of(rows: pd.DataFrame, points: int) -> dict[str, Any]:
    """The target of one series: `ds, y`, and how many rows and missing values there are of it."""
    y = rows["y"].to_numpy(float)
    at = thin(y, points)
    return {
        "ds": stamps(rows["ds"].iloc[at]),
        "y": short_numbers(y[at]),
        "rows": len(rows),
        "missing": int(np.isnan(y).sum()),
    }


# --- 2 preview ---


def preview(
    version_folder: str,
    data: dict[str, Any],
    preprocess: dict[str, Any],
    language: str,
    series: str | None = None,
    points: int = POINTS,
    country: str | None = None,
) -> dict[str, Any]:
    """The audit with its repairs, a series, and a map of what is missing; without a panel the findings say why."""
    findings, facts, reason = checks.found(version_folder, data, language, country)
    answer = checks.validated([], facts, reason, language) | {
        "counts": {grade: sum(f.severity == grade for f in findings) for grade in ("error", "warning", "info")},
        "total": len(findings),
        "findings": [_shown(found, preprocess, language) for found in by_severity(findings)[: checks.MOST_FINDINGS]],
        "valid": reason is None and not any(found.severity == "error" for found in findings),
        "repairs": repairs.in_effect(data, preprocess, language),
        "names": [],
        "shown": None,
        "points": None,
        "missing_map": None,
    }
    answer.pop("summary")
    if not facts["series"]:
        return answer
    panel = checks.panel_of(version_folder, data)
    name = chosen_series(panel, series)
    return answer | {
        "names": series_names(panel),
        "shown": name,
        "points": points_of(own_rows(panel, name), points),
        "missing_map": missing_map(panel),
    }


def _shown(found: Any, preprocess: dict[str, Any], language: str) -> dict[str, Any]:
    repair, handled = repairs.repair_of(found, preprocess), repairs.handled(found, preprocess)
    return checks.finding_shown(found) | {
        "key": repairs.finding_key(found),
        "title": translate(f"audit.{found.code}.title", language),
        "action": repair and repair.text(language),
        "action_step": repair and (repair.step if repair.rows is None else "data"),
        "handled": handled and translate(handled, language),
    }


def find_repair(
    version_folder: str,
    data: dict[str, Any],
    key: str,
    preprocess: dict[str, Any],
    language: str,
    country: str | None = None,
) -> dict[str, Any] | None:
    """The repair of the finding `key`: `step, settings, rows, text`; None if there is none."""
    for found in checks.found(version_folder, data, language, country)[0]:
        if repairs.finding_key(found) == key and (repair := repairs.repair_of(found, preprocess)):
            return {
                "step": repair.step,
                "settings": repair.settings,
                "rows": repair.rows,
                "text": repair.text(language),
            }
    return None


def missing_map(panel: Panel) -> dict[str, Any]:
    """The share of missing targets by series and span of time; null where a series has no rows.

    `spans` are the first stamps of the spans; series with most missing values come first.
    """
    frame = panel.frame
    ds, lost = frame["ds"].to_numpy().astype(np.int64), frame["y"].isna().to_numpy()
    ids, codes = np.unique(frame["unique_id"].to_numpy(), return_inverse=True)
    absent = np.bincount(codes, lost, len(ids))
    shown = np.argsort(-absent, kind="stable")[:MAP_SERIES]
    distinct = np.unique(ds)
    count = min(MAP_SPANS, len(distinct))
    starts = distinct[np.arange(count) * len(distinct) // count]
    span = np.searchsorted(starts, ds, side="right") - 1
    cell = codes * count + span
    rows, empty = (np.bincount(cell, weights, len(ids) * count).reshape(-1, count) for weights in (None, lost))
    share = np.divide(empty, rows, out=np.full(rows.shape, np.nan), where=rows > 0)
    integer = panel.freq.is_integer
    return {
        "spans": stamps(pd.Series(starts if integer else starts.astype("datetime64[ns]"))),
        "series": [str(ids[place]) for place in shown],
        "share": [short_numbers(np.round(share[place], 3)) for place in shown],
        "missing": int(lost.sum()),
        "rows": len(frame),
        "left_out": max(len(ids) - MAP_SERIES, 0),
    }


# --- 3 split ---


def split(
    version_folder: str,
    data: dict[str, Any],
    spec: dict[str, Any],
    language: str,
    series: str | None = None,
    points: int = POINTS,
) -> dict[str, Any]:
    """The split as a run makes it (`vur.wizard.checks.split`), and a series to draw it on."""
    answer = checks.split(version_folder, data, spec, language)
    panel = checks.panel_to_split(version_folder, data, SplitSpec(**spec))[0]
    name = chosen_series(panel, series)
    return answer | {"names": series_names(panel), "shown": name, "points": points_of(own_rows(panel, name), points)}


# --- 4 preprocessing ---


def preprocessing(
    version_folder: str,
    data: dict[str, Any],
    preprocess: dict[str, Any],
    language: str,
    series: str | None = None,
    points: int = POINTS,
) -> dict[str, Any]:
    """A series before and after cleaning and after the transforms, as if fitted on all rows; counts and sentences.

    `filled` and `outliers` are the stamps that cleaning changed.
    """
    panel = checks.panel_of(version_folder, data)
    spec = PreprocessSpec.from_dict(preprocess)
    fitted = fit_preprocess(panel, spec)
    name = chosen_series(panel, series or _most_changed(fitted))
    own = panel.with_frame(own_rows(panel, name))
    before = own.frame[["ds", "y"]]
    cleaned = fit_preprocess(own, replace(spec, transforms=())).transform(own).frame[["ds", "y"]]
    changed = fit_preprocess(own, spec).transform(own).frame[["ds", "y"]] if spec.transforms else None
    both = before.merge(cleaned, on="ds", how="left", suffixes=("", "_clean"))
    if changed is not None:
        both = both.merge(changed.rename(columns={"y": "y_new"}), on="ds", how="left")
    columns = {column: both[column].to_numpy(float) for column in both.columns if column != "ds"}
    at = positions(list(columns.values()), points)
    flags = fitted.flags[fitted.flags["unique_id"] == name]
    gaps = both["y"].isna() & both["y_clean"].notna()
    return {
        "names": series_names(panel),
        "shown": name,
        "points": {
            "ds": stamps(both["ds"].iloc[at]),
            "before": short_numbers(columns["y"][at]),
            "after": short_numbers(columns["y_clean"][at]),
            "transformed": short_numbers(columns["y_new"][at]) if changed is not None else None,
            "rows": len(both),
        },
        "filled": stamps(both.loc[gaps, "ds"].head(points)),
        "outliers": [
            {"ds": stamp, "value": value, "used": used}
            for stamp, value, used in zip(
                stamps(flags["ds"].head(points)),
                short_numbers(flags["value"].head(points).to_numpy(float)),
                short_numbers(flags["used"].head(points).to_numpy(float)),
                strict=True,
            )
        ],
        "counts": {key: int(fitted.series[key].sum()) for key in ("filled", "outliers", "trimmed")}
        | {"series": len(fitted.series), "rows": len(panel.frame)},
        "notes": describe_preprocess(fitted, language),
    }


def _most_changed(fitted: Preprocessor) -> str | None:
    """The series of which most values change; None where none does."""
    changed = fitted.series[["filled", "outliers", "trimmed"]].sum(axis=1)
    return str(changed.idxmax()) if len(changed) and changed.max() > 0 else None


# --- 5 features ---


def features(
    version_folder: str,
    data: dict[str, Any],
    preprocess: dict[str, Any],
    features: dict[str, Any],
    language: str,
    series: str | None = None,
    split: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Each feature, where it comes from and when its value is known, and the first rows of the matrix of a series."""
    panel, horizon = checks.panel_to_split(version_folder, data, SplitSpec(**(split or {})))
    name = chosen_series(panel, series)
    spec = resolve_features(FeatureSpec.from_dict(features), panel)
    own = panel.with_frame(own_rows(panel, name))
    prepared = fit_preprocess(own, PreprocessSpec.from_dict(preprocess)).transform(own)
    matrix = features_frame(prepared, spec)
    names = [column for column in matrix.columns if column not in ("unique_id", "ds", "y")]
    complete = matrix[matrix[names].notna().all(axis=1)]
    first = complete.head(ROWS)
    target = str(panel.names.get("target", "y"))
    return {
        "names": series_names(panel),
        "shown": name,
        "horizon": horizon,
        "features": known_when(panel, spec, horizon, language),
        "spec": spec.to_dict(),
        "columns": ["ds", target, *(panel.own(column) for column in names)],
        "rows": [[when, *row] for when, row in zip(stamps(first["ds"]), _cells(first[["y", *names]]), strict=True)],
        "count": len(names),
        "complete": len(complete),
        "incomplete": len(matrix) - len(complete),
    }


def _cells(frame: pd.DataFrame) -> list[list[Any]]:
    """Rows of plain values: numbers with nine digits, text as it is."""
    columns = [
        short_numbers(column.to_numpy(float))
        if pd.api.types.is_numeric_dtype(column.dtype)
        else [None if pd.isna(value) else tables.plain(value) for value in column]
        for _, column in frame.items()
    ]
    return [list(row) for row in zip(*columns, strict=True)]


def known_when(panel: Panel, spec: FeatureSpec, horizon: int, language: str) -> list[dict[str, Any]]:
    """What is known when: `name, kind, steps, text` of each feature.

    `steps` is up to which step of the horizon its value is known without the model's own forecasts; None means all.
    """
    steps = known_steps(panel) if panel.columns("known_future") else None
    found: list[tuple[str, str, int | None]] = []
    found += [(column, "static", None) for column in listed(spec.static)]
    found += [
        (column, "known_future", min(steps, horizon) if steps is not None else None) for column in spec.known_future
    ]
    found += [(column, "past", min(_nearest(column, spec), horizon)) for column in lag_kernels(spec)]
    found += [(column, "calendar", None) for column in _calendar_names(panel, spec)]
    found += [(column, "past_only", 0) for column in listed(spec.past_only)]
    return [
        {
            "name": panel.own(name),
            "kind": kind,
            "steps": reach,
            "text": translate(f"known.{_case(kind, reach, horizon)}", language, steps=reach, horizon=horizon),
        }
        for name, kind, reach in found
    ]


def _case(kind: str, reach: int | None, horizon: int) -> str:
    """The sentence of a feature: with `_all` where its whole horizon is known."""
    if kind == "past":
        return "past_all" if reach is not None and reach >= horizon else "past"
    if kind == "known_future":
        return "future" if reach is not None and reach < horizon else "future_all"
    return kind


def _nearest(column: str, spec: FeatureSpec) -> int:
    """Steps back to the newest value of the target that a feature reads."""
    found = re.search(r"lag(\d+)", column)
    return int(found[1]) if found else 1


def _calendar_names(panel: Panel, spec: FeatureSpec) -> list[str]:
    """Names of the calendar features, from one stamp."""
    if not (spec.calendar or spec.fourier or spec.country):
        return []
    first = pd.Index(panel.frame["ds"].iloc[:1])
    table = calendar_frame(
        first,
        panel.freq,
        parts=listed(spec.calendar),
        fourier=listed(spec.fourier),
        country=spec.country,
        state=spec.state,
        tz=panel.tz,
    )
    return [str(name) for name in table.columns]


# --- 6 model and 7 training ---


def model(
    version_folder: str, data: dict[str, Any], split: dict[str, Any], model: dict[str, Any], language: str
) -> dict[str, Any]:
    """Who competes with these settings, and with each preset; how long that may take; remarks on the search."""
    panel, horizon, folds = _planned(version_folder, data, split)
    spec = Config.from_dict({"model": model}).model
    return {
        "presets": [
            {"id": preset, **_contest(panel, replace(spec, algorithms="auto", preset=preset), folds, language)}
            for preset in PRESETS
        ],
        "suited": [name for name in auto_algorithms(panel, "best")],
        "unsuited": [
            name
            for name, one in algorithms().items()
            if one.auto is not None and name not in auto_algorithms(panel, "best")
        ],
        **_contest(panel, spec, folds, language),
        "horizon": horizon,
        "folds": folds,
        "warnings": [say_remark(parts, language) for parts in spec.optimize.remarks(spec.parameters)],
    }


def training(
    version_folder: str,
    data: dict[str, Any],
    split: dict[str, Any],
    model: dict[str, Any],
    training: dict[str, Any],
    language: str,
) -> dict[str, Any]:
    """What will be trained: rows, folds, who competes, the estimated time, the time limit, the levels."""
    panel, horizon, folds = _planned(version_folder, data, split)
    sections = Config.from_dict({"model": model, "training": training})
    chosen: TrainingSpec = sections.training
    return {
        **_contest(panel, sections.model, folds, language),
        "horizon": horizon,
        "folds": folds,
        "series": len(panel.ids),
        "rows": int(panel.frame["y"].notna().sum()),
        "time_budget": chosen.time_budget,
        "levels": list(chosen.levels),
        "warnings": [
            say_remark(parts, language) for parts in sections.model.optimize.remarks(sections.model.parameters)
        ],
    }


def _planned(version_folder: str, data: dict[str, Any], split: dict[str, Any]) -> tuple[Panel, int, int]:
    """The panel, the horizon and the number of folds."""
    wanted = SplitSpec(**split)
    panel, horizon = checks.panel_to_split(version_folder, data, wanted)
    plan = plan_split(panel, replace(wanted, horizon=horizon))
    return panel, plan.horizon, len(plan.folds)


def _contest(panel: Panel, spec: ModelSpec, folds: int, language: str) -> dict[str, Any]:
    """The candidates with the seconds that each may take over the folds, and the total on one core.

    The seconds come from the registry's costs: they tell seconds from minutes, not more.
    """
    rows, times = int(panel.frame["y"].notna().sum()), max(folds, 1) + 1
    entered = candidates(panel, spec)
    tries = 1 + spec.optimize.iterations
    tuned = set(spec.optimize.algorithms or spec.named)
    seconds = [guessed_seconds(one, rows) * times * (tries if one.algorithm in tuned else 1) for one in entered]
    return {
        "candidates": [
            {
                "id": one.id,
                "name": algorithm_name(one.id, language),
                "family": algorithm(one.algorithm).family,
                "seconds": round(cost, 1),
            }
            for one, cost in zip(entered, seconds, strict=True)
        ],
        "seconds": round(sum(seconds), 1),
    }
