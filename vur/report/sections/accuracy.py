"""Section on accuracy: leaderboard, error by step, held-out test, and coverage of the intervals."""

import math
from typing import Any

import pandas as pd

from vur.forecasters.registry import algorithm_name
from vur.report import plots
from vur.report.context import ReportContext
from vur.report.sections import Part
from vur.report.summary import coverage_rows, score_rows, scored_sentences, target_digits
from vur.report.tables import metric_text, say, speaker, table
from vur.scoring.metrics import METRICS, UNLIKE, shown_metrics
from vur.text import translate
from vur.wording import digits_for, level_text, listing, number, percent, steps

FINISHED = ("", "ok", "done", "finished", "cached", "evaluated", "scored")


def part(found: ReportContext, language: str) -> Part:
    """Scores of all models, and nominal and realised coverage of the winner's intervals."""
    content = accuracy(found, language) | {"intervals": intervals(found, language)}
    return Part(speaker(language)("nav.accuracy"), figures=content.pop("figures"), content=content)


def accuracy(context: ReportContext, language: str) -> dict[str, Any]:
    """Leaderboard as bars and tables, error by step, scores on the held-out test, and why MAPE is not used."""
    t, board = speaker(language), scored_rows(context.leaderboard)
    there = [name for name in ("skill", *shown_metrics("report"), "wql") if name in board and board[name].notna().any()]
    unlike = context.size_ratio > UNLIKE
    main = [name for name in ("skill", context.metric, "rmsse" if unlike else "mae", "wape") if name in there]
    digits = digits_for(board["mae"]) if "mae" in board else None
    names = [algorithm_name(a, language) for a in board["algorithm"]]
    marked = [i for i, a in enumerate(board["algorithm"]) if a == context.winner]

    def rows(metrics: list[str]) -> list[list[str]]:
        return [
            [
                number(row.get("rank", i + 1), language, 0),
                names[i],
                *(metric_text(m, row.get(m), language, digits) for m in metrics),
                number(row.get("seconds"), language, 1),
            ]
            for i, row in enumerate(board.to_dict("records"))
        ]

    def columns(metrics: list[str]) -> list[tuple[str, str]]:
        return [
            ("#", "number"),
            (t("column.algorithm"), "text"),
            *((t(f"metric.{m}.short"), "number") for m in metrics),
            (t("column.seconds"), "number"),
        ]

    figures = {}
    if "skill" in there and len(board) > 1:
        figures["plot-skill"] = plots.skill_spec(board, language, context.winner)
    decision = [say(note, language) for note in (context.metric_note, context.choice and context.choice.note) if note]
    if unlike:
        decision.append(t("accuracy.unlike", ratio=number(context.size_ratio, language, 0)))
    step = _by_step(context, language)
    notes = (
        decision
        + board_notes(board, language, context)
        + scored_sentences(context.hierarchy, len(score_rows(context.test_scores)) > 0, language)
    )
    has_zero = bool((context.history["y"] == 0).any())
    return {
        "table": table(columns(list(dict.fromkeys(main))), rows(list(dict.fromkeys(main))), marked),
        "all": table(columns(there), rows(there), marked),
        "glossary": [(t(f"metric.{m}.short"), t(f"metric.{m}.meaning")) for m in there],
        "notes": notes,
        "mape": t("accuracy.mape") if has_zero else "",
        "left_out": unscored_models(context, language),
        "test": test_table(context, language),
        "step_note": step.pop("note", ""),
        "ranked": t(
            "accuracy.ranked",
            metric=t(f"metric.{context.metric}.short"),
            better=t("accuracy.smaller" if METRICS[context.metric].lower_is_better else "accuracy.larger"),
        ),
        "skill_text": t("accuracy.skill_text", reference=algorithm_name(context.reference, language)),
        "figures": figures | step,
    }


def board_notes(board: pd.DataFrame, language: str, context: ReportContext | None = None) -> list[str]:
    """Notes of the leaderboard, each with the models that it is about; what the choice says stands above them."""
    said: dict[str, list[str]] = {}
    choice = context.choice.note if context is not None and context.choice else ""
    for name, note in zip(board["algorithm"], board.get("note", [None] * len(board)), strict=True):
        if text := _without(say(note, language), choice, language):
            said.setdefault(text, []).append(algorithm_name(name, language))
    return [text if len(names) == len(board) else f"{listing(names, language)}: {text}" for text, names in said.items()]


def _without(text: str, note: Any, language: str) -> str:
    """`text` without the sentences of `note`, which say names or ids of algorithms."""
    for said in (say(note, language), note.say(language)) if note else ():
        text = text.replace(said, "")
    return text.strip()


def scored_rows(board: pd.DataFrame) -> pd.DataFrame:
    """The rows of a leaderboard that have a score; the others are listed separately with their reason."""
    there = [name for name in ("mase", "mae", "rmse") if name in board]
    return board[board[there].notna().any(axis=1)].reset_index(drop=True) if there else board


def _by_step(context: ReportContext, language: str) -> dict[str, Any]:
    frame = context.by_step
    if frame is None or not len(frame) or frame["step"].nunique() < 2:
        return {}
    metric = "mae" if "mae" in frame else context.metric
    order = [context.winner, context.reference, *context.leaderboard["algorithm"]]
    names = [name for name in dict.fromkeys(order) if name in set(frame["algorithm"])][:3]
    rows = frame[frame["algorithm"] == names[0]].sort_values("step")
    part = max(len(rows) // 4, 1)
    first, last = float(rows[metric].head(part).mean()), float(rows[metric].tail(part).mean())
    growth = last / first - 1 if first > 0 else math.nan
    key = "flat" if not abs(growth) > 0.1 else "falls" if growth < 0 else "grows" if growth < 1 else "times"
    shown = number(growth + 1, language, 1) if key == "times" else percent(abs(growth), language, 0)
    note = translate(
        f"report.accuracy.step_{key}", language, growth=shown, period=steps(len(rows), context.freq, language)
    )
    return {"plot-step": plots.step_spec(frame, language, metric, names, context.reference), "note": note}


def unscored_models(context: ReportContext, language: str) -> list[tuple[str, str]]:
    """Candidates that were not scored, and why."""
    if context.status is None or not len(context.status):
        return []
    rows = context.status[~context.status["state"].astype(str).isin(FINISHED)]
    return [
        (algorithm_name(row["algorithm"], language), say(row.get("reason"), language) or str(row["state"]))
        for row in rows.to_dict("records")
    ]


def test_table(context: ReportContext, language: str) -> dict[str, Any] | None:
    """Scores on the held-out test."""
    scores, t = score_rows(context.test_scores), speaker(language)
    scores = scores[scores["algorithm"] != ""]
    there = [m for m in ("skill", *shown_metrics("test"), "wql") if m in scores and scores[m].notna().any()]
    if scores.empty or not there:
        return None
    digits = digits_for(scores["mae"]) if "mae" in scores else None
    return table(
        [(t("column.algorithm"), "text"), *((t(f"metric.{m}.short"), "number") for m in there)],
        [
            [algorithm_name(row["algorithm"], language), *(metric_text(m, row[m], language, digits) for m in there)]
            for row in scores.to_dict("records")
        ],
        [i for i, a in enumerate(scores["algorithm"]) if a == context.winner],
    )


def intervals(context: ReportContext, language: str) -> list[dict[str, Any]]:
    """For each level: its nominal and its realised coverage on past data."""
    digits = target_digits(context.forecast["forecast"].head(1000), context.data)
    return [
        {
            "level": row["level"],
            "name": level_text(row["level"], language),
            "value": round(row["value"], 1),
            "text": percent(row["value"] / 100, language),
            "verdict": row["verdict"],
            "sentence": translate(
                f"report.interval.{row['verdict']}",
                language,
                level=level_text(row["level"], language),
                value=percent(row["value"] / 100, language),
            ),
            "width": number(row["width"], language, digits),
            "winkler": number(row["winkler"], language, 2),
        }
        for row in coverage_rows(context.leaderboard, context.winner)
    ]
