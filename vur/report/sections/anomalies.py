"""Section on anomalies: observations outside the intervals of forecasts that had not seen them."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from vur.explain.anomalies import anomalies, anomaly_sentences, held_out_bands
from vur.frequency import Frequency
from vur.report.clock import on_clock
from vur.report.figures import label
from vur.report.folds import winner_residuals
from vur.report.plots import anomaly_spec, levels_of
from vur.report.sections import Block, Facts, Part
from vur.report.tables import table
from vur.text import translate
from vur.wording import digits_for, level_text, number, stamp

SHOWN = 20


@dataclass(frozen=True)
class Found:
    """Anomalies, the bands that judged them (reader's clock), the level, and the series with the most anomalies."""

    table: pd.DataFrame
    bands: pd.DataFrame
    level: float
    freq: Frequency
    series: str


def collect(facts: Facts) -> Found | None:
    """Judge the winner's folds by the widest interval of the forecast; None without folds or levels."""
    known, levels = winner_residuals(facts), levels_of(facts.forecast)
    if known is None or not levels:
        return None
    rows, latest, panel = known
    bands = held_out_bands(rows, latest, levels[0], nonnegative=panel.nonnegative, integer=panel.integer)
    if bands.empty:
        return None
    found = anomalies(bands, levels[0], panel.freq.alias)
    counts = found.groupby("unique_id").agg(count=("score", "size"), score=("score", "max")).reset_index()
    series = (
        counts.sort_values(["count", "score", "unique_id"], ascending=[False, False, True])["unique_id"]
        .head(1)
        .tolist()
    )
    return Found(
        on_clock(found, panel.tz, panel.freq),
        on_clock(bands, panel.tz, panel.freq),
        levels[0],
        panel.freq,
        series[0] if series else "",
    )


def part(found: Found, language: str) -> Part:
    """The number of anomalies and how many to expect by chance, the series with the most, and a table."""

    def t(key: str, **values: Any) -> str:
        return translate(f"insight.anomaly.{key}", language, **values)

    sentences = anomaly_sentences(found.table, len(found.bands), found.level, language)
    if found.table.empty:
        return Part(t("title"), sentences)
    here = found.table[found.table["unique_id"] == found.series]
    figure = anomaly_spec(found.bands[found.bands["unique_id"] == found.series], here, language, found.level)
    title = (
        t("series", series=label(found.series), count=number(len(here), language, 0))
        if found.bands["unique_id"].nunique() > 1
        else ""
    )
    return Part(
        t("title"),
        sentences,
        [Block(title, t("text"), figure, anomaly_table(found, language), folded=len(found.table) > 5)],
    )


def anomaly_table(found: Found, language: str) -> dict[str, Any]:
    """The anomalies with the highest scores: forecast, interval, score and p-value."""
    whole = bool((found.table[["y", "forecast", "lo", "hi"]] % 1 == 0).all(axis=None))
    rows, digits = found.table.head(SHOWN), digits_for(found.table["y"], whole)
    names = ("stamp", "series", "value", "forecast", "range", "score", "p_value")
    columns = [
        (
            translate(f"insight.anomaly.column.{name}", language, level=level_text(found.level, language)),
            "text" if name in ("stamp", "series") else "number",
        )
        for name in names
    ]
    return table(
        columns,
        [
            [
                stamp(row.ds, found.freq, language),
                str(row.unique_id),
                number(row.y, language, digits),
                number(row.forecast, language, digits),
                f"{number(row.lo, language, digits)} – {number(row.hi, language, digits)}",
                number(row.score, language, 1),
                number(row.p_value, language, 4),
            ]
            for row in rows.itertuples()
        ],
    )
