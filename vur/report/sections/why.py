"""Section on why: one or two forecasts explained, and the importance of each group of features."""

import math
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from vur.explain.drivers import largest_series
from vur.forecasters.registry import algorithm_name
from vur.frequency import Frequency
from vur.report.clock import in_model_time, stamp_on_clock
from vur.report.plots import increase_text, shuffled_spec, signed, waterfall_spec
from vur.report.sections import Block, Facts, Part, attempt, failure_text
from vur.report.tables import table
from vur.text import translate
from vur.wording import listing, number, percent, stamp


@dataclass(frozen=True)
class Found:
    """Explanations of single forecasts, permutation importance (None without features), and errors on the way."""

    explanations: tuple[Any, ...]
    importance: Any
    freq: Frequency
    failures: tuple[Exception, ...] = ()


def collect(facts: Facts) -> Found | None:
    """Explain the next step of the largest series and its step furthest from the usual level.

    None without a fitted pipeline.
    """
    pipeline: Any = getattr(facts.training, "pipeline", None)
    ends = getattr(pipeline, "ends", None)
    if getattr(pipeline, "forecaster", None) is None or ends is None or facts.forecast.empty:
        return None
    panel = in_model_time(facts.panel, ends)
    failures: list[Exception] = []
    explanations = attempt(lambda: explain_points(pipeline, panel, facts.forecast), (), failures)
    importance = attempt(lambda: _importance(pipeline, panel, facts.plan), None, failures)
    shown = tuple(_on_clock(one, panel.tz) for one in explanations)
    return (
        Found(shown, importance, panel.freq, tuple(failures)) if shown or importance is not None or failures else None
    )


def _importance(pipeline: Any, panel: Any, plan: Any) -> Any:
    from vur.explain.attribution import pipeline_importance

    return pipeline_importance(pipeline, panel, plan)


def explain_points(pipeline: Any, panel: Any, forecast: pd.DataFrame) -> tuple[Any, ...]:
    """Explanations of the next step of the largest series and of its step furthest from the usual level."""
    from vur.explain.why import explain_point

    there = set(forecast["unique_id"])
    name = next(series for series in largest_series(panel.frame, len(panel.ids)) if series in there)
    rows = forecast[forecast["unique_id"] == name].sort_values("ds", ignore_index=True)

    def explained(row: pd.Series) -> Any:
        return explain_point(pipeline, panel, name, row["ds"], published=row["forecast"])

    first = explained(rows.iloc[0])
    far = int((rows["forecast"] - first.baseline).abs().idxmax())
    return (first,) if far == 0 else (first, explained(rows.iloc[far]))


def _on_clock(found: Any, tz: str | None) -> Any:
    """The explanation with its timestamps in the reader's local time."""
    data = found.data | (
        {"source": stamp_on_clock(found.data["source"], tz, found.freq)} if "source" in found.data else {}
    )
    return replace(found, stamp=stamp_on_clock(found.stamp, tz, found.freq), data=data)


def part(found: Found, language: str) -> Part:
    """A waterfall with sentences for each explained point, and the importance of feature groups with intervals."""

    def t(key: str, **values: Any) -> str:
        return translate(f"insight.why.{key}", language, **values)

    sentences = [t("failed", message=failure_text(error, language)) for error in found.failures]
    blocks = []
    for one in found.explanations:
        title = t("point", series=one.series, stamp=stamp(one.stamp, one.freq, language))
        blocks.append(
            Block(
                title,
                " ".join(one.sentences(language)),
                waterfall_spec(one, language),
                contribution_table(one, language),
                folded=True,
            )
        )
    if found.importance is not None:
        blocks.append(importance_block(found, language))
    return Part(t("title"), sentences, blocks)


def contribution_table(found: Any, language: str) -> dict[str, Any]:
    """Contributions as a table, from the usual level to the forecast."""
    rows = [[translate("insight.plot.usual", language), number(found.baseline, language, found.digits)]]
    rows += [
        [row.label, signed(row.contribution, language, found.digits)] for row in found.shown(language).itertuples()
    ]
    rows.append([translate("insight.plot.forecast", language), number(found.forecast, language, found.digits)])
    return table(
        [(translate("insight.column.part", language), "text"), (translate("insight.column.value", language), "number")],
        rows,
        [0, len(rows) - 1],
    )


def importance_block(found: Found, language: str) -> Block:
    """Increase of the error without each group, with its uncertainty."""
    from vur.explain.why import part_label

    shown = found.importance
    labels = [part_label(group, found.freq, language) for group in shown.table["group"]]
    useless = [label for label, low in zip(labels, shown.table["low"], strict=True) if not low > 0]
    text = translate(
        f"insight.importance.{'held_out' if shown.held_out else 'inside'}",
        language,
        algorithm=algorithm_name(shown.algorithm, language),
        rows=number(shown.rows, language, 0),
        repeats=number(shown.repeats, language, 0),
    )
    if useless:
        text += " " + translate("insight.importance.useless", language, groups=listing(useless, language))
    rows = [
        [
            label,
            percent(row.increase, language, 0) if math.isfinite(row.increase) else "–",
            increase_text(row, language),
        ]
        for label, row in zip(labels, shown.table.itertuples(), strict=True)
    ]
    columns = [
        (translate(f"insight.column.{name}", language), kind)
        for name, kind in (("group", "text"), ("increase", "number"), ("interval", "number"))
    ]
    return Block(
        translate("insight.importance.title", language),
        text,
        shuffled_spec(shown, found.freq, language),
        table(columns, rows),
        folded=True,
    )
