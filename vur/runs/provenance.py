"""The parts of the report page on the data, the errors, the drivers and how the run was made."""

import re
import shlex
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from vur.runs import plots
from vur.runs.pieces import say, speaker, table
from vur.runs.report import ReportContext
from vur.text import table as text_table
from vur.text import translate
from vur.wording import algorithm_name, listing, number, percent, stamp, steps, unit

SEVERITIES = ("error", "warning", "info")
MAX_ROWS = 20


def data_part(context: ReportContext, language: str) -> dict[str, Any]:
    """What the data are, as label and value pairs."""
    t, data, freq = speaker(language), context.data, context.freq
    pairs = [(t("data.source"), str(context.run.get("source") or "–")), (t("data.target"), str(data.get("target", "y"))),
             (t("data.n_series"), number(data.get("n_series"), language, 0)), (t("data.rows"), number(data.get("rows"), language, 0)),
             (t("data.span"), f"{stamp(data.get('start'), freq, language)} – {stamp(data.get('end'), freq, language)}"),
             (t("data.frequency"), t("data.every", step=_every(freq, language), alias=freq.alias)),
             (t("data.season"), steps(freq.season, freq, language) if freq.season > 1 else t("data.no_season"))]
    if data.get("missing"):
        share = data["missing"] / max(data["missing"] + data.get("rows", 0), 1)
        pairs.append((t("data.missing"), f"{number(data['missing'], language, 0)} ({percent(share, language)})"))
    if data.get("tz"):
        pairs.append((t("data.tz"), str(data["tz"])))
    if context.upload.get("rejected"):
        pairs.append((t("data.rejected"), number(context.upload["rejected"], language, 0)))
    roles: dict[str, list[str]] = {}
    for column, role in (data.get("roles") or {}).items():
        roles.setdefault(role, []).append(str(column))
    pairs += [(t(f"role.{role}"), listing(columns, language, 12)) for role, columns in roles.items()]
    return {"pairs": pairs, "dialect": dialect(context.upload, language)}


def _every(freq: Any, language: str) -> str:
    word, span = unit(freq)
    return translate(f"report.unit.{word}", language).split("|")[0] if span == 1 else steps(1, freq, language)


def dialect(upload: Mapping[str, Any], language: str) -> str:
    """How the file was read, in one line of facts that were found."""
    found = upload.get("dialect") or {}
    found = found if isinstance(found, Mapping) else vars(found)
    t = speaker(language)
    return " · ".join(f"{t(f'dialect.{key}')} {_character(found[key])}" for key in ("kind", "encoding", "delimiter", "decimal", "thousands") if found.get(key))


def _character(value: Any) -> str:
    return {"\t": "tab", " ": "␠"}.get(str(value), f"“{value}”" if len(str(value)) == 1 else str(value))


def findings(context: ReportContext, language: str) -> dict[str, Any]:
    """Findings of the audit, one entry a code, worst first; several series of one code are one entry."""
    frame, t = context.findings, speaker(language)
    if frame is None or not len(frame):
        return {"known": frame is not None, "groups": [], "counts": []}
    groups = []
    for (severity, code), rows in frame.groupby(["severity", "code"], sort=False):
        names = [str(name) for name in rows["unique_id"].dropna().unique()]
        repairs = [code for code in rows["repair"].dropna().astype(str).unique() if code.strip()]
        messages = [str(m) for m in rows["message"]]
        count = pd.to_numeric(rows["count"], errors="coerce").sum()
        groups.append({"severity": str(severity), "label": t(f"severity.one.{severity}") if severity in SEVERITIES else str(severity), "code": str(code),
                       "message": messages[0], "more": messages[1:MAX_ROWS], "hidden": max(len(messages) - MAX_ROWS, 0),
                       "count": t("findings.count", count=number(count, language, 0)) if count else "",
                       "series": t("findings.series", count=number(len(names), language, 0)) if len(names) > 1 else "",
                       "repair": repairs[0] if repairs else "", "repairs": len(repairs)})
    groups.sort(key=lambda group: SEVERITIES.index(group["severity"]) if group["severity"] in SEVERITIES else 9)
    counts = [(severity, t(f"severity.{severity}"), number(n, language, 0)) for severity in SEVERITIES if (n := sum(g["severity"] == severity for g in groups))]
    return {"known": True, "groups": groups, "counts": counts}


# --- residuals, drivers, recipe ---

def residuals(context: ReportContext, language: str) -> dict[str, Any] | None:
    """The residual checks in words, with the autocorrelation and the spread of the errors."""
    from vur.insight.explanation import residual_checks, residual_sentences

    checks = context.checks
    if checks is None and context.residuals is not None and len(context.residuals):
        checks = residual_checks(context.residuals, context.freq.season)
    if not checks or not checks["checks"]:
        return None
    figures = {}
    if len(checks["acf"]) > 1:
        figures["plot-acf"] = plots.acf_spec(checks["acf"], language)
    if checks["n"] >= 10:
        figures["plot-errors"] = plots.error_histogram_spec(np.asarray(checks["scaled"]), language)
    return {"sentences": residual_sentences(checks, language), "n": number(checks["n"], language, 0), "figures": figures}


def drivers_part(context: ReportContext, language: str) -> dict[str, Any] | None:
    """What the forecast rests on: members, importance, strengths and the decomposition of the largest series."""
    from vur.insight.explanation import driver_sentences

    found, figures = context.drivers, {}
    if not found:
        return None
    t = speaker(language)
    found = {**found, "members": found["members"].assign(algorithm=[algorithm_name(a, language) for a in found["members"]["algorithm"]])}
    importance = found["importance"]
    if len(importance):
        names = [feature_label(name, language) for name in importance["feature"]]
        figures["plot-importance"] = plots.importance_spec(importance, language, labels=names)
    if found.get("decomposition") is not None and len(found["decomposition"]):
        figures["plot-decomposition"] = plots.decomposition_spec(found["decomposition"], language)
    top = table([(t("column.feature"), "text"), (t("column.importance"), "number")],
                [[feature_label(row.feature, language), percent(row.importance, language)] for row in importance.head(MAX_ROWS).itertuples()])
    owner = found.get("importance_of") or context.winner
    return {"sentences": driver_sentences(found, language), "importance": top if len(importance) else None, "series": str(found.get("series", "")),
            "importance_note": t("driver.importance", algorithm=algorithm_name(owner, language)) if len(importance) else "", "figures": figures}


FEATURES = ((r"lag(?P<lag>\d+)", "lag"), (r"difference(?P<steps>\d+)", "difference"), (r"same_season(?P<season>\d+)_(?P<turn>\d+)", "same_season"), (r"(?P<wave>sin|cos)_(?P<period>[\d.]+)_(?P<k>\d+)", "fourier"),
            (r"rolling_(?P<function>[a-z]+)_lag(?P<lag>\d+)_window_size(?P<window>\d+).*", "rolling"),
            (r"seasonal_rolling_(?P<function>[a-z]+)_lag(?P<lag>\d+)_.*window_size(?P<window>\d+).*", "seasonal_rolling"),
            (r"(?P<column>.+)\[last\]", "lead_last"), (r"(?P<column>.+)\[mean\]", "lead_mean"), (r"(?P<column>.+)\[lag(?P<lag>\d+)\]", "lead_lag"),
            (r"expanding_(?P<function>[a-z]+)_lag\d+.*", "expanding"), (r"exponentially_weighted_mean_lag\d+_alpha(?P<alpha>[\d.]+)", "ewm"))


def feature_label(name: str, language: str) -> str:
    """A feature in words: `lag7` as `value 7 steps before`; a column of the data keeps its name."""
    key = f"report.feature.{name}"
    if key in text_table():
        return translate(key, language)
    for pattern, kind in FEATURES:
        if match := re.fullmatch(pattern, str(name)):
            words = match.groupdict()
            if f"report.function.{words.get('function')}" in text_table():
                words["function"] = translate(f"report.function.{words['function']}", language)
            kind = "rolling_lag" if kind == "rolling" and words["lag"] != "1" else kind
            return translate(f"report.feature.{kind}", language, **words)
    return str(name)


def flat(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    """A nested dict as `a.b: value` pairs without what is empty or off."""
    pairs = []
    for key, inner in (value or {}).items():
        name = f"{prefix}{key}"
        if isinstance(inner, Mapping):
            pairs += flat(inner, f"{name}.")
        elif isinstance(inner, (list, tuple)) and inner:
            pairs.append((name, ", ".join("(" + ", ".join(map(str, i)) + ")" if isinstance(i, (list, tuple)) else str(i) for i in inner[:40])))
        elif inner not in (None, "", "none", False) and not isinstance(inner, (list, tuple)):
            pairs.append((name, str(inner)))
    return pairs


def recipe(context: ReportContext, language: str) -> dict[str, Any]:
    """How the forecast was made: tests, choices, provenance, fallbacks and the leakage canary."""
    t, plan, run = speaker(language), context.plan, context.run
    tests = []
    if plan.get("folds"):
        tests.append(t("recipe.folds" if int(plan["folds"]) > 1 else "recipe.fold", folds=number(plan["folds"], language, 0),
                       horizon=steps(plan.get("horizon") or context.horizon, context.freq, language)))
        tests.append(t("recipe.sliding" if plan.get("window") == "sliding" else "recipe.expanding"))
    if plan.get("test"):
        tests.append(t("recipe.test", horizon=steps(plan.get("horizon") or context.horizon, context.freq, language)))
    if plan.get("gap"):
        tests.append(t("recipe.gap", gap=steps(plan["gap"], context.freq, language)))
    tests += canary_lines(context, language)
    tests += [text for text in (say(note, language) for note in plan.get("notes") or ()) if text]
    provenance = [(t(f"recipe.{key}"), str(run[key])) for key in ("run_id", "fingerprint", "config_hash", "seed") if run.get(key) not in (None, "")]
    if run.get("status"):
        key = f"report.status.{run['status']}"
        provenance.append((t("recipe.status"), translate(key, language) if key in text_table() else str(run["status"])))
    if run.get("seconds") is not None:
        provenance.append((t("recipe.seconds"), f"{number(run['seconds'], language, 1)} s"))
    if context.model.get("tag"):
        provenance.append((t("recipe.tag"), str(context.model["tag"])))
    fallbacks = context.fallbacks if context.fallbacks is not None else pd.DataFrame()
    groups = [(title, flat(context.recipe.get(key))) for key, title in (("parameters", t("recipe.parameters")), ("preprocess", t("recipe.preprocess")),
                                                                          ("features", t("recipe.features")))]
    return {"tests": tests, "provenance": provenance, "groups": [(title, pairs) for title, pairs in groups if pairs],
            "versions": sorted((str(k), str(v)) for k, v in (run.get("versions") or {}).items()),
            "fallbacks": [(str(row.get("unique_id")), say(row.get("reason"), language), algorithm_name(row.get("used"), language))
                          for row in fallbacks.head(MAX_ROWS).to_dict("records")],
            "fallback_count": t("recipe.fallback_count", count=number(len(fallbacks), language, 0)) if len(fallbacks) else ""}


def canary_lines(context: ReportContext, language: str) -> list[str]:
    """What the leakage check said, of the winner and of candidates it threw out."""
    canary, t = context.canary or {}, speaker(language)
    if canary.get("passed") is None:
        return []
    failed = [str(name) for name in canary.get("failed") or ()]
    if canary["passed"]:
        return [t("recipe.canary_passed")]
    if failed and context.winner not in failed:
        return [t("recipe.canary_others", names=listing([algorithm_name(name, language) for name in failed], language))]
    return [t("recipe.canary_failed")]


def usage(context: ReportContext, language: str) -> dict[str, str]:
    """How to ask the saved model again: on the command line and in Python."""
    name, horizon = str(context.model.get("name") or context.run.get("name") or "NAME"), context.horizon
    shell = f"vur forecast {shlex.quote(name)} --horizon {horizon} --out forecast.csv"
    python = f"import vur\n\nforecast = vur.forecast({name!r}, horizon={horizon})"
    return {"shell": shell, "python": str(context.model.get("snippet") or python)}
