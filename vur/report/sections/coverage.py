"""Section on intervals by horizon: nominal and realised coverage at each step."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from vur.report.folds import winner_residuals
from vur.report.plots import coverage_spec, levels_of
from vur.report.sections import Block, Facts, Part
from vur.report.tables import table
from vur.scoring.coverage import coverage_by_step, coverage_sentences
from vur.scoring.intervals import held_out_intervals
from vur.text import translate
from vur.wording import level_text, number, percent


@dataclass(frozen=True)
class Found:
    """Coverage by step and level, as `coverage_by_step` returns it."""

    table: pd.DataFrame


def collect(facts: Facts) -> Found | None:
    """Coverage by step of the winner's held-out intervals; None without folds, levels or a second step."""
    known, levels = winner_residuals(facts), sorted(levels_of(facts.forecast))
    if known is None or not levels:
        return None
    rows, latest, panel = known
    bands = held_out_intervals(rows, latest, levels, nonnegative=panel.nonnegative, integer=panel.integer)
    if bands.empty or bands["step"].nunique() < 2:
        return None
    return Found(coverage_by_step(bands, levels))


def part(found: Found, language: str) -> Part:
    """The verdict in words, a figure and the numbers."""

    def t(key: str, **values: Any) -> str:
        return translate(f"insight.coverage.{key}", language, **values)

    columns = [
        (t(f"column.{name}"), "text" if name == "verdict" else "number")
        for name in ("level", "step", "rows", "realised", "interval", "verdict")
    ]
    rows = [
        [
            f"{level_text(row.level, language)}%",
            number(row.step, language, 0),
            number(row.rows, language, 0),
            percent(row.realised / 100, language),
            f"{percent(row.low / 100, language)} – {percent(row.high / 100, language)}",
            t(f"verdict.{row.verdict}"),
        ]
        for row in found.table.itertuples()
    ]
    marked = [place for place, verdict in enumerate(found.table["verdict"]) if verdict != "holds"]
    return Part(
        t("title"),
        coverage_sentences(found.table, language),
        [Block("", t("text"), coverage_spec(found.table, language), table(columns, rows, marked), folded=True)],
    )
