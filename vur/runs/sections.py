"""The parts of the report page: every function turns a piece of the context into text, tables and figures ready to print."""

import math
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from vur.runs import plots
from vur.runs.report import ReportContext
from vur.runs.summary import (
    aggregate_of,
    change_since,
    coverage_rows,
    expectation_sentences,
    expected,
    score_rows,
    trust,
    trust_sentence,
    typical_error,
)
from vur.text import table as text_table
from vur.text import translate
from vur.wording import algorithm_name, digits_for, listing, number, percent, stamp, steps, unit

METRICS = ("skill", "mase", "mae", "rmse", "wape", "smape", "mape", "rmsse", "r2", "bias")
PERCENTS = ("wape", "smape", "mape")
SEVERITIES = ("error", "warning", "info")
FINISHED = ("", "ok", "done", "finished", "cached", "evaluated", "scored")
MAX_ROWS = 20


def page(context: ReportContext, language: str) -> dict[str, Any]:
    """Everything the template prints; `figures` holds the Plotly descriptions by element id."""
    t = _speaker(language)
    facts = expected(context.history, context.forecast, context.freq, context.data, context.residuals)
    confidence = trust(context.leaderboard, context.winner, context.metric, _tests(context), context.test_scores)
    parts: dict[str, Any] = {
        "head": head(context, language), "hero": hero(context, facts, confidence, language), "tiles": tiles(context, facts, confidence, language),
        "forecast": forecast_part(context, language), "accuracy": accuracy(context, language), "intervals": intervals(context, language),
        "data": data_part(context, language), "findings": findings(context, language), "residuals": residuals(context, language),
        "worst": worst(context, language), "drivers": drivers_part(context, language), "recipe": recipe(context, language),
        "usage": usage(context, language)}
    parts["figures"] = {id: spec for part in parts.values() if isinstance(part, dict) for id, spec in part.pop("figures", {}).items()}
    parts["theme"] = [[plots.LIGHT[name], plots.DARK[name]] for name in plots.LIGHT]
    parts["locale"] = {"months": translate("report.date.months", language).split(), "days": t("date.days").split(),
                       "reset": t("plot.reset"), "zoom": t("plot.zoom"), "image": t("plot.image"), "pan": t("plot.pan")}
    return parts


def _speaker(language: str) -> Any:
    return lambda key, **values: translate(f"report.{key}", language, **values)


def _tests(context: ReportContext) -> int:
    if context.residuals is not None and "fold" in context.residuals and len(context.residuals):
        return int(context.residuals["fold"].nunique())
    return int(context.plan.get("folds") or 0)


def say(note: Any, language: str) -> str:
    """A note as text: plain text stays, a known key or a (key, data) pair is translated."""
    if hasattr(note, "parts"):
        return " ".join(translate(key, language, **_named(data, language)) for key, data in note.parts)
    key, data = note, {}
    if isinstance(note, Mapping):
        key, data = note.get("key"), dict(note.get("data") or {})
    elif isinstance(note, (tuple, list)) and len(note) == 2 and isinstance(note[1], Mapping):
        key, data = note[0], dict(note[1])
    if key is None or (isinstance(key, float) and math.isnan(key)):
        return ""
    if str(key) in text_table():
        try:
            return translate(str(key), language, **data)
        except (KeyError, IndexError):
            return str(key)
    return str(key) + (f" ({', '.join(f'{k}: {v}' for k, v in data.items())})" if data else "")


def _named(data: Mapping[str, Any], language: str) -> dict[str, Any]:
    """The data of a note with algorithms by name."""
    named = dict(data)
    if "members" in named:
        named["members"] = listing([algorithm_name(id, language) for id in str(named["members"]).split(", ")], language)
    if "algorithm" in named:
        named["algorithm"] = algorithm_name(named["algorithm"], language)
    return named


def table(columns: Iterable[tuple[str, str]], rows: Iterable[Iterable[Any]], marked: Iterable[int] = ()) -> dict[str, Any]:
    """A table for the template: `columns` are (title, "text" or "number"), `marked` the rows to stress."""
    return {"columns": list(columns), "rows": [list(row) for row in rows], "marked": set(marked)}


# --- top of the page ---

def head(context: ReportContext, language: str) -> dict[str, Any]:
    """Title, and the line that says which run this is."""
    run, created = context.run, context.run.get("created")
    when = ""
    if created:
        moment = pd.Timestamp(created)
        when = f"{moment:%d/%m/%Y %H:%M}" if language == "pt-BR" else f"{moment.day} {moment:%b %Y, %H:%M}"
    return {"title": str(run.get("name") or context.data.get("target") or "VUR"), "run_id": str(run.get("run_id") or ""), "created": when,
            "source": str(run.get("source") or ""), "notebook": str(run.get("notebook") or "train.ipynb"), "interrupted": bool(run.get("interrupted")),
            "notes": [text for text in (say(note, language) for note in context.notes) if text]}


def hero(context: ReportContext, facts: dict[str, Any], confidence: dict[str, Any], language: str) -> dict[str, Any]:
    """The headline, the sentences under it and the verdict against the naive forecast."""
    sentences = expectation_sentences(facts, context.data, context.freq, language)
    period = translate("report.headline.period", language, start=stamp(facts["start"], context.freq, language),
                       end=stamp(facts["end"], context.freq, language), algorithm=algorithm_name(context.winner, language))
    return {"headline": sentences[0], "sentences": sentences[1:], "period": period, "verdict": confidence["verdict"],
            "trust": trust_sentence(confidence, context.freq, context.plan.get("horizon") or context.horizon, language)}


def tiles(context: ReportContext, facts: dict[str, Any], confidence: dict[str, Any], language: str) -> list[dict[str, str]]:
    """The four numbers at a glance: horizon, next value, typical error, gain on the naive forecast."""
    t, freq = _speaker(language), context.freq
    def tell(value: float) -> str:
        return number(value, language, facts["digits"])
    change = facts["change"]
    said = [{"label": t(f"tile.{facts['how']}", period=steps(facts["horizon"], freq, language)), "value": tell(facts["value"]), "tone": "",
             "note": t("tile.change", change=("+" if change["share"] >= 0 else "−") + percent(abs(change["share"]), language),
                       lag=steps(change["lag"], freq, language)) if change else ""}]
    if facts["next"] is not None:
        note = t("tile.range", low=tell(facts["range"][0]), high=tell(facts["range"][1]), level=facts["level"]) if facts["range"] else \
            t(f"tile.next_{facts['how']}", count=number(facts["series"], language, 0)) if facts["series"] > 1 else ""
        said.append({"label": t("tile.next", stamp=stamp(facts["next_stamp"], freq, language)), "value": tell(facts["next"]), "tone": "", "note": note})
    value, note = typical_error(context.leaderboard, context.history, context.winner, language)
    tested, _ = typical_error(score_rows(context.test_scores), context.history, context.winner, language)
    if tested != "–":
        note = t("tile.error_test", meaning=note, value=tested, period=steps(context.plan.get("horizon") or context.horizon, freq, language))
    said.append({"label": t("tile.error"), "value": value, "tone": "", "note": note})
    skill = confidence["test_skill"] if math.isnan(confidence["skill"]) else confidence["skill"]
    tone = {"clear": "good", "slight": "", "naive": ""}.get(confidence["verdict"], "bad" if confidence["verdict"] != "unknown" else "")
    sign = "−" if skill > 0 else "+"
    said.append({"label": t("tile.skill"), "value": "–" if math.isnan(skill) else sign + percent(abs(skill), language) if abs(skill) >= 0.0005 else percent(0, language),
                 "tone": tone, "note": t(f"verdict.{confidence['verdict']}")})
    return said


# --- forecast ---

def forecast_part(context: ReportContext, language: str) -> dict[str, Any]:
    """The interactive plot, the glance table of several series and the values behind the plot."""
    t, ids = _speaker(language), context.forecast["unique_id"].nunique()
    first = []
    if ids > 1 and context.by_series is not None and len(context.by_series):
        from vur.insight.explanation import worst_series
        first = worst_series(context.by_series, context.winner, top=5)["unique_id"].tolist() if ids > plots.MAX_SERIES else []
    largest = plots.shown_series(context.history, context.forecast, most=plots.MAX_SERIES - len(first))
    shown = list(dict.fromkeys([*largest, *first]))
    spec = plots.forecast_spec(context.history, context.forecast, language, shown, context.residuals)
    spec["layout"].pop("updatemenus", None)
    spec["layout"]["margin"]["t"] = 30
    names = [{"value": i, "name": name} for i, name in enumerate(shown)]
    note = t("forecast.subset", shown=number(len(shown), language, 0), total=number(ids, language, 0)) if ids > len(shown) else ""
    if first:
        note += " " + t("forecast.subset_worst", count=number(len(first), language, 0))
    return {"names": names, "note": note, "several": ids > 1, "glance": glance(context, shown, language) if ids > 1 else None,
            "values": values_table(context, shown[:1], language), "figures": {"plot-forecast": spec},
            "alt": t("forecast.alt", first=str(shown[0]) if shown else "", period=steps(context.horizon, context.freq, language))}


def glance(context: ReportContext, names: list[str], language: str) -> dict[str, Any]:
    """A row a series: a small drawing, the next value with its range, the horizon's total or mean and its change."""
    t, how = _speaker(language), aggregate_of(context.data)
    levels = plots.levels_of(context.forecast)
    level = levels[-1] if levels else None
    pasts, aheads = (dict(tuple(f[f["unique_id"].isin(names)].groupby("unique_id", observed=True))) for f in (context.history, context.forecast))
    rows = []
    for name in names:
        past, ahead = pasts.get(name, context.history.head(0)), aheads[name]
        digits = digits_for(ahead["forecast"], bool(context.data.get("integer")) and how == "sum")
        next_row, change = ahead.iloc[0], change_since(past, ahead, context.freq, len(ahead))
        band = f"{number(next_row[f'lo-{level}'], language, digits)} – {number(next_row[f'hi-{level}'], language, digits)}" if level else "–"
        sign = "" if change is None else "+" if change["share"] >= 0 else "−"
        rows.append([name, Markup(plots.sparkline(past, ahead, context.freq, language)), number(next_row["forecast"], language, digits), band,
                     number(getattr(ahead["forecast"], how)(), language, digits), sign + percent(abs(change["share"]), language) if change else "–"])
    columns = [(t("column.series"), "text"), (t("column.shape"), "text"), (t("column.next"), "number"), (t("column.range", level=level or 80), "number"),
               (t(f"column.{how}"), "number"), (t("column.change"), "number")]
    return table(columns, rows)


def values_table(context: ReportContext, names: list[str], language: str) -> dict[str, Any]:
    """The forecast in numbers, of the series drawn first."""
    t = _speaker(language)
    frame = context.forecast[context.forecast["unique_id"].isin(names)].head(60)
    digits = digits_for(frame["forecast"], bool(context.data.get("integer")))
    levels = plots.levels_of(frame)[::-1]
    columns = [(t("column.stamp"), "text"), (t("column.forecast"), "number"), *((t("column.range", level=level), "number") for level in levels)]
    rows = [[stamp(row["ds"], context.freq, language), number(row["forecast"], language, digits),
             *(f"{number(row[f'lo-{level}'], language, digits)} – {number(row[f'hi-{level}'], language, digits)}" for level in levels)]
            for row in frame.to_dict("records")]
    return table(columns, rows)


# --- accuracy ---

def _metric_text(name: str, value: Any, language: str, digits: int | None = None) -> str:
    if name == "skill":
        return percent(value, language)
    return percent(value / 100, language) if name in PERCENTS and value is not None and pd.notna(value) else \
        number(value, language, 3 if name in ("mase", "rmsse", "r2") else digits)


def accuracy(context: ReportContext, language: str) -> dict[str, Any]:
    """Leaderboard as bars and tables, error by step, scores on the held-out end, and why MAPE is left aside."""
    t, board = _speaker(language), scored(context.leaderboard)
    there = [name for name in METRICS if name in board and board[name].notna().any()]
    main = [name for name in ("skill", context.metric, "mae", "wape") if name in there]
    digits = digits_for(board["mae"]) if "mae" in board else None
    names = [algorithm_name(a, language) for a in board["algorithm"]]
    marked = [i for i, a in enumerate(board["algorithm"]) if a == context.winner]
    def rows(metrics: list[str]) -> list[list[str]]:
        return [[number(row.get("rank", i + 1), language, 0), names[i], *(_metric_text(m, row.get(m), language, digits) for m in metrics), number(row.get("seconds"), language, 1)]
                for i, row in enumerate(board.to_dict("records"))]
    def columns(metrics: list[str]) -> list[tuple[str, str]]:
        return [("#", "number"), (t("column.algorithm"), "text"), *((t(f"metric.{m}.short"), "number") for m in metrics), (t("column.seconds"), "number")]
    figures = {}
    if "skill" in there and len(board) > 1:
        figures["plot-skill"] = plots.skill_spec(board, language, context.winner)
    step = _by_step(context, language)
    notes = board_notes(board, language)
    has_zero = bool((context.history["y"] == 0).any())
    return {"table": table(columns(list(dict.fromkeys(main))), rows(list(dict.fromkeys(main))), marked), "all": table(columns(there), rows(there), marked),
            "glossary": [(t(f"metric.{m}.short"), t(f"metric.{m}.meaning")) for m in there], "notes": notes, "mape": t("accuracy.mape") if has_zero else "",
            "left_out": left_out(context, language), "test": test_table(context, language), "step_note": step.pop("note", ""),
            "metric": t(f"metric.{context.metric}.short"), "figures": figures | step}


def board_notes(board: pd.DataFrame, language: str) -> list[str]:
    """Notes of the leaderboard, each with the models it concerns."""
    said: dict[str, list[str]] = {}
    for name, note in zip(board["algorithm"], board.get("note", [None] * len(board)), strict=True):
        if text := say(note, language):
            said.setdefault(text, []).append(algorithm_name(name, language))
    return [text if len(names) == len(board) else f"{listing(names, language)}: {text}" for text, names in said.items()]


def scored(board: pd.DataFrame) -> pd.DataFrame:
    """The rows of a leaderboard that have a score; the others are listed with their reason."""
    there = [name for name in ("mase", "mae", "rmse") if name in board]
    return board[board[there].notna().any(axis=1)].reset_index(drop=True) if there else board


def _by_step(context: ReportContext, language: str) -> dict[str, Any]:
    frame = context.by_step
    if frame is None or not len(frame) or frame["step"].nunique() < 2:
        return {}
    metric = "mae" if "mae" in frame else context.metric
    order = [context.winner, "seasonal_naive", *context.leaderboard["algorithm"]]
    names = [name for name in dict.fromkeys(order) if name in set(frame["algorithm"])][:3]
    rows = frame[frame["algorithm"] == names[0]].sort_values("step")
    part = max(len(rows) // 4, 1)
    first, last = float(rows[metric].head(part).mean()), float(rows[metric].tail(part).mean())
    growth = last / first - 1 if first > 0 else math.nan
    key = "flat" if not abs(growth) > 0.1 else "falls" if growth < 0 else "grows" if growth < 1 else "times"
    shown = number(growth + 1, language, 1) if key == "times" else percent(abs(growth), language, 0)
    note = translate(f"report.accuracy.step_{key}", language, growth=shown, period=steps(len(rows), context.freq, language))
    return {"plot-step": plots.step_spec(frame, language, metric, names), "note": note}


def left_out(context: ReportContext, language: str) -> list[tuple[str, str]]:
    """Candidates that were not scored, and why."""
    if context.status is None or not len(context.status):
        return []
    rows = context.status[~context.status["state"].astype(str).isin(FINISHED)]
    return [(algorithm_name(row["algorithm"], language), say(row.get("reason"), language) or str(row["state"])) for row in rows.to_dict("records")]


def test_table(context: ReportContext, language: str) -> dict[str, Any] | None:
    """Scores on the end of the data that was kept apart."""
    scores, t = score_rows(context.test_scores), _speaker(language)
    scores = scores[scores["algorithm"] != ""]
    there = [m for m in ("skill", "mase", "mae", "wape", "rmse") if m in scores and scores[m].notna().any()]
    if scores.empty or not there:
        return None
    digits = digits_for(scores["mae"]) if "mae" in scores else None
    return table([(t("column.algorithm"), "text"), *((t(f"metric.{m}.short"), "number") for m in there)],
                 [[algorithm_name(row["algorithm"], language), *(_metric_text(m, row[m], language, digits) for m in there)]
                  for row in scores.to_dict("records")], [i for i, a in enumerate(scores["algorithm"]) if a == context.winner])


def intervals(context: ReportContext, language: str) -> list[dict[str, Any]]:
    """For each level: what the interval promises and what it held on past data."""
    digits = digits_for(context.forecast["forecast"].head(1000), bool(context.data.get("integer")))
    return [{"level": row["level"], "value": round(row["value"], 1), "text": percent(row["value"] / 100, language), "verdict": row["verdict"],
             "sentence": translate(f"report.interval.{row['verdict']}", language, level=row["level"], value=percent(row["value"] / 100, language)),
             "width": number(row["width"], language, digits)} for row in coverage_rows(context.leaderboard, context.winner)]


def worst(context: ReportContext, language: str) -> dict[str, Any] | None:
    """The series with the largest scaled errors of the winner."""
    frame, t = context.by_series, _speaker(language)
    if frame is None or not len(frame) or context.forecast["unique_id"].nunique() < 2:
        return None
    from vur.insight.explanation import worst_series
    rows = worst_series(frame, context.winner, top=10)
    there = [m for m in ("mase", "mae", "wape", "skill") if m in rows and rows[m].notna().any()]
    if rows.empty or not there:
        return None
    share = float((rows["mase"] > 1).mean()) if "mase" in rows else math.nan
    all_rows = frame[frame["algorithm"] == context.winner] if "algorithm" in frame else frame
    above = int((all_rows["mase"] > 1).sum()) if "mase" in all_rows else 0
    return {"table": table([(t("column.series"), "text"), *((t(f"metric.{m}.short"), "number") for m in there)],
                           [[str(row["unique_id"]), *(_metric_text(m, row[m], language) for m in there)] for row in rows.to_dict("records")]),
            "note": t("worst.note", above=number(above, language, 0), total=number(len(all_rows), language, 0)) if not math.isnan(share) else ""}


# --- data ---

def data_part(context: ReportContext, language: str) -> dict[str, Any]:
    """What the data are, as label and value pairs."""
    t, data, freq = _speaker(language), context.data, context.freq
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
    t = _speaker(language)
    return " · ".join(f"{t(f'dialect.{key}')} {_character(found[key])}" for key in ("kind", "encoding", "delimiter", "decimal", "thousands") if found.get(key))


def _character(value: Any) -> str:
    return {"\t": "tab", " ": "␠"}.get(str(value), f"“{value}”" if len(str(value)) == 1 else str(value))


def findings(context: ReportContext, language: str) -> dict[str, Any]:
    """Findings of the audit, one entry a code, worst first; several series of one code are one entry."""
    frame, t = context.findings, _speaker(language)
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
    t = _speaker(language)
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
    t, plan, run = _speaker(language), context.plan, context.run
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
    canary, t = context.canary or {}, _speaker(language)
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
