"""The parts of the report page a reader meets first: headline, forecast and accuracy; `page` puts all parts together."""

import math
from typing import Any

import pandas as pd
from markupsafe import Markup

from vur.runs import plots, provenance
from vur.runs.parts import written_parts
from vur.runs.parts.hierarchy import scored_sentences
from vur.runs.pieces import say, speaker, table
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
from vur.runs.sums import counted_once
from vur.text import translate
from vur.wording import algorithm_name, digits_for, listing, number, percent, stamp, steps

METRICS = ("skill", "mase", "mae", "rmse", "wape", "smape", "mape", "rmsse", "r2", "bias")
PERCENTS = ("wape", "smape", "mape")
FINISHED = ("", "ok", "done", "finished", "cached", "evaluated", "scored")


def page(context: ReportContext, language: str) -> dict[str, Any]:
    """Everything the template prints; `figures` holds the Plotly descriptions by element id."""
    t = speaker(language)
    found = getattr(getattr(context.extras.get("hierarchy"), "reconciler", None), "hierarchy", None)
    history, forecast, residuals = (counted_once(frame, found) for frame in (context.history, context.forecast, context.residuals))
    facts = expected(history, forecast, context.freq, context.data, residuals)
    confidence = trust(context.leaderboard, context.winner, context.metric, _tests(context), context.test_scores)
    parts: dict[str, Any] = {
        "head": head(context, language), "hero": hero(context, facts, confidence, language), "tiles": tiles(context, facts, confidence, language),
        "forecast": forecast_part(context, language), "accuracy": accuracy(context, language), "intervals": intervals(context, language),
        "data": provenance.data_part(context, language), "findings": provenance.findings(context, language), "residuals": provenance.residuals(context, language),
        "worst": worst(context, language), "drivers": provenance.drivers_part(context, language), "recipe": provenance.recipe(context, language),
        "usage": provenance.usage(context, language), "parts": written_parts(context.extras, language)}
    parts["figures"] = {id: spec for part in parts.values() if isinstance(part, dict) for id, spec in part.pop("figures", {}).items()}
    parts["theme"] = [[plots.LIGHT[name], plots.DARK[name]] for name in plots.LIGHT]
    parts["locale"] = {"months": translate("report.date.months", language).split(), "days": t("date.days").split(),
                       "reset": t("plot.reset"), "zoom": t("plot.zoom"), "image": t("plot.image"), "pan": t("plot.pan")}
    return parts


def _tests(context: ReportContext) -> int:
    if context.residuals is not None and "fold" in context.residuals and len(context.residuals):
        return int(context.residuals["fold"].nunique())
    return int(context.plan.get("folds") or 0)


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
    t, freq = speaker(language), context.freq
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
    t, ids = speaker(language), context.forecast["unique_id"].nunique()
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
    t, how = speaker(language), aggregate_of(context.data)
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
    t = speaker(language)
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
    t, board = speaker(language), scored(context.leaderboard)
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
    notes = board_notes(board, language) + scored_sentences(context.extras, len(score_rows(context.test_scores)) > 0, language)
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
    scores, t = score_rows(context.test_scores), speaker(language)
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
    frame, t = context.by_series, speaker(language)
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
