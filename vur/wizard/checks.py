"""Checks of a stored dataset: audit, whether it can be forecast, its series, and its split.

All arguments and results are plain JSON data, so that the work can run in a child process.
"""

import json
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from vur.errors import VurError
from vur.frequency import default_horizon, describe_alias
from vur.models.future import check_reach, known_steps
from vur.panel import Panel
from vur.runs.config import Config, DataSpec
from vur.runs.dataset import Dataset, as_named
from vur.stages.preview import describe_series
from vur.stages.preview.audit import audit
from vur.stages.preview.findings import Finding, audit_summary, by_severity
from vur.stages.split import asked_horizon, plan_split, split_table
from vur.stages.split.folds import SplitPlan, SplitSpec, training_panel, validation_frame
from vur.store.data import sources, tables
from vur.store.home import folder
from vur.text import translate

MOST_FINDINGS, MOST_ROWS, MOST_SERIES = 200, 20, 100
KEPT = 8  # versions and panels in memory; those of large tables are built in child processes and end with them


def open_version(version_folder: str, data: dict[str, Any]) -> tuple[Dataset, DataSpec]:
    """The stored version and its chosen columns; `data` is the `data` section of a `Config`."""
    return _opened(str(folder("datasets", version_folder)), json.dumps(data, sort_keys=True))


@lru_cache(maxsize=KEPT)
def _opened(place: str, data: str) -> tuple[Dataset, DataSpec]:
    spec = Config.from_dict({"data": json.loads(data)}).data
    found, source = sources.read_head(Path(place))
    dataset = Dataset(found, spec.fingerprint or found.fingerprint, None, source)
    again = as_named(dataset, spec)
    return (again[0] if again else dataset), spec


def panel_of(version_folder: str, data: dict[str, Any], horizon: int | None = None) -> Panel:
    """The regular panel that a run would train on; the latest ones stay in memory, since nothing changes a version."""
    return _panel(str(folder("datasets", version_folder)), json.dumps(data, sort_keys=True), horizon)[0]


@lru_cache(maxsize=KEPT)
def _panel(place: str, data: str, horizon: int | None) -> tuple[Panel, int]:
    dataset, spec = _opened(place, data)
    return dataset.regular(spec, horizon)


def panel_to_split(version_folder: str, data: dict[str, Any], wanted: SplitSpec) -> tuple[Panel, int]:
    """The panel and the horizon of a run with this split: its sizes set the horizon where it names none."""
    place, key = str(folder("datasets", version_folder)), json.dumps(data, sort_keys=True)
    panel, horizon = _panel(place, key, wanted.horizon)
    asked = asked_horizon(panel, wanted) or horizon
    return (panel, horizon) if asked == horizon else _panel(place, key, asked)


# --- validation ---


def validate(version_folder: str, data: dict[str, Any], language: str, country: str | None = None) -> dict[str, Any]:
    """Findings of the audit, most severe first, and whether models can be compared on the data."""
    findings, facts, reason = found(version_folder, data, language, country)
    return validated(findings, facts, reason, language)


def found(
    version_folder: str, data: dict[str, Any], language: str, country: str | None = None
) -> tuple[list[Finding], dict[str, Any], dict[str, str] | None]:
    """The findings, facts about the series, and why models cannot be compared (None if they can)."""
    dataset, spec = open_version(version_folder, data)
    reason: dict[str, str] | None = None
    facts = dict.fromkeys(("freq", "freq_text", "start", "end", "horizon", "known_steps")) | {"series": 0}
    try:
        panel = panel_of(version_folder, data)
        findings = audit(
            panel,
            dataset.frame(spec),
            _rejects(dataset, version_folder, language),
            language,
            country=country,
            notes=dataset.remarks(spec),
        )
        facts |= _facts(panel, language)
        plan = plan_split(panel)
        reason = None if plan.folds else {"code": "split.too_short", "detail": " ".join(plan.describe(language))}
    except VurError as error:
        reason = {"code": error.code, "detail": error.text(language)}
        findings = _raw(dataset, spec, country, language)
    return findings, facts, reason


def validated(
    findings: list[Finding], facts: dict[str, Any], reason: dict[str, str] | None, language: str
) -> dict[str, Any]:
    """What `found` returns as the API shows it."""
    counts = {severity: sum(f.severity == severity for f in findings) for severity in ("error", "warning", "info")}
    return {
        "valid": not counts["error"] and reason is None,
        "can_forecast": reason is None,
        "reason": reason,
        "counts": counts,
        "total": len(findings),
        "findings": [finding_shown(f) for f in by_severity(findings)[:MOST_FINDINGS]],
        "summary": audit_summary(findings, language).to_dict("records"),
        **facts,
    }


def _raw(dataset: Dataset, spec: DataSpec, country: str | None, language: str) -> list[Finding]:
    try:
        return dataset.raw_findings(spec, country, language)
    except VurError:  # there is no such column, which `reason` states already
        return []


def _rejects(dataset: Dataset, version_folder: str, language: str) -> pd.DataFrame | None:
    if not dataset.upload.rejected:
        return None
    return pd.DataFrame(tables.reject_rows(version_folder, language)[0], columns=["line", "cause", "text"])


def finding_shown(found: Finding) -> dict[str, Any]:
    """A finding as the API shows it."""
    return {
        "code": found.code,
        "severity": found.severity,
        "series": found.unique_id and tables.cut(found.unique_id),
        "message": tables.cut(found.message),
        "count": found.count,
        "rows": [_stamp(row) for row in found.rows[:MOST_ROWS]],
        "repair": found.repair,
    }


def _facts(panel: Panel, language: str) -> dict[str, Any]:
    ds = panel.frame["ds"]
    return {
        "series": len(panel.ids),
        "freq": panel.freq.alias,
        "freq_text": describe_alias(panel.freq.alias, language),
        "start": _stamp(ds.min()),
        "end": _stamp(ds.max()),
        "horizon": default_horizon(panel.freq),
        "known_steps": known_steps(panel) if panel.columns("known_future") else None,
        "roles": panel.own_roles,
    }


def _stamp(value: Any) -> Any:
    return value.isoformat() if isinstance(value, pd.Timestamp) else value.item() if hasattr(value, "item") else value


def series_facts(version_folder: str, data: dict[str, Any], language: str) -> dict[str, Any]:
    """The number of series, their frequency, and statistics of the first ones."""
    panel = panel_of(version_folder, data)
    table = describe_series(panel).head(MOST_SERIES)
    items = [{name: tables.plain(_stamp(value)) for name, value in row.items()} for row in table.to_dict("records")]
    return _facts(panel, language) | {"items": items}


# --- the split ---


def split(version_folder: str, data: dict[str, Any], spec: dict[str, Any], language: str) -> dict[str, Any]:
    """The split of the data as a run makes it: training, validation and test by date, the folds, and notes on them."""
    wanted = SplitSpec(**spec)
    panel, horizon = panel_to_split(version_folder, data, wanted)
    plan = plan_split(panel, replace(wanted, horizon=horizon))
    inferred = {} if asked_horizon(panel, wanted) else {"horizon": horizon}
    check_reach(panel, plan.horizon)
    folds = [
        {name: _stamp(value) for name, value in row.items()} for row in split_table(panel, plan).to_dict("records")
    ]
    return {
        "horizon": plan.horizon,
        "gap": plan.gap,
        "alignment": plan.alignment,
        "window": plan.spec.window,
        "folds": [row for row in folds if row["fold"]],
        "test_fold": next((row for row in folds if not row["fold"]), None),
        **_parts(panel, plan),
        "notes": [
            *([translate("split.note.horizon_default", language, **inferred)] if inferred else []),
            *plan.describe(language),
        ],
    }


def _parts(panel: Panel, plan: SplitPlan) -> dict[str, Any]:
    """The training part of the first fold, the scored parts of all folds, and the test, as dates and row counts."""
    scored = [validation_frame(panel, fold, plan) for fold in plan.folds]
    held_out = validation_frame(panel, plan.test, plan) if plan.test else None
    first = plan.folds[0] if plan.folds else plan.test
    train = training_panel(panel, first, plan).frame if first else panel.frame
    return {
        "train": _span(train),
        "validation": _span(pd.concat(scored).drop_duplicates(["unique_id", "ds"])) if scored else None,
        "test": _span(held_out) if held_out is not None else None,
    }


def _span(frame: pd.DataFrame) -> dict[str, Any]:
    return {"start": _stamp(frame["ds"].min()), "end": _stamp(frame["ds"].max()), "rows": len(frame)}
