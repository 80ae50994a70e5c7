"""Section on sums: which there are, how they were reconciled with their parts, and the effect on accuracy."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from vur.frequency import Frequency
from vur.hierarchy.methods import largest_gap
from vur.report import figures, plots
from vur.report.clock import on_clock
from vur.report.sections import Block, Facts, Part
from vur.report.tables import table
from vur.text import translate
from vur.wording import digits_for, level_text, listing, number, percent

COLORS = ("forecast", "past", "bad", "good", "history")
NOTES = ("late", "closed", "cut", "zeroed", "averaged")
SAME = 0.005  # changes below half a percent count as no change


@dataclass(frozen=True)
class Found:
    """The reconciler, history and forecast of all series, notes of the panel, and the largest gap of sum and parts."""

    reconciler: Any
    history: pd.DataFrame
    forecast: pd.DataFrame
    freq: Frequency
    notes: dict[str, pd.DataFrame]
    gap: float


def collect(facts: Facts) -> Found | None:
    """The results of a training with a reconciler; None without sums."""
    pipeline = getattr(facts.training, "pipeline", None)
    reconciler = getattr(facts.training, "reconciler", None) or getattr(pipeline, "reconciler", None)
    if reconciler is None:
        return None
    notes = {kind: facts.panel.notes[kind] for kind in NOTES if kind in facts.panel.notes}
    return Found(
        reconciler,
        facts.panel.frame[["unique_id", "ds", "y"]],
        on_clock(facts.forecast, facts.panel.tz, facts.panel.freq),
        facts.panel.freq,
        notes,
        largest_gap(reconciler.hierarchy, facts.forecast),
    )


def part(found: Found, language: str) -> Part:
    """Levels, method, scores by level and a figure of the parts."""

    def t(key: str, **values: Any) -> str:
        return translate(f"hierarchy.{key}", language, **values)

    parts, rest = parts_shown(found)
    text = t("figure_text", count=number(len(parts), language, 0)) if rest else t("figure_all")
    blocks = [Block(t("figure_title"), text, figure=parts_figure(found, language))]
    by_level = found.reconciler.by_level
    if len(by_level):
        blocks.append(Block(t("table_title"), t("table_text"), table=level_table(by_level, language)))
    if len(found.reconciler.methods):
        blocks.append(
            Block(t("methods_title"), t("methods_text"), table=method_table(found.reconciler, language), folded=True)
        )
    sentences = [
        levels_sentence(found, language),
        gap_sentence(found, language),
        *method_sentences(found, language),
        t("intervals"),
        *note_sentences(found, language),
    ]
    return Part(t("title"), sentences, blocks)


# --- sentences ---


def level_label(name: str, language: str) -> str:
    """The display name of a level."""
    return translate("hierarchy.total", language) if name == "Total" else name


def levels_sentence(found: Found, language: str) -> str:
    """The number of series at each level."""
    tags = found.reconciler.hierarchy.tags
    levels = [
        translate("hierarchy.total_level", language)
        if name == "Total"
        else translate("hierarchy.level", language, count=number(len(ids), language, 0), level=name)
        for name, ids in tags.items()
    ]
    return translate("hierarchy.levels", language, levels=listing(levels, language, most=8))


def gap_sentence(found: Found, language: str) -> str:
    """Whether the parts add up, with the largest difference found."""
    if found.gap <= 1e-9:
        steps = number(found.forecast["ds"].nunique(), language, 0)
        return translate("hierarchy.adds_up", language, steps=steps, gap="0" if found.gap == 0 else f"{found.gap:.0e}")
    return translate("hierarchy.gap", language, gap=percent(found.gap, language, 4))


def method_sentences(found: Found, language: str) -> list[str]:
    """The chosen method, why it was chosen, and its effect on the errors."""
    reconciler = found.reconciler
    name = translate(f"hierarchy.method.{reconciler.method}", language)
    sentences = [
        translate(
            "hierarchy.settled", language, method=name, how=translate(f"hierarchy.how.{reconciler.method}", language)
        )
    ]
    errors = (
        reconciler.methods.set_index("method")["error"].dropna() if len(reconciler.methods) else pd.Series(dtype=float)
    )
    if reconciler.method not in errors:
        return [*sentences, translate("hierarchy.no_folds", language)]
    sentences.append(
        translate("hierarchy.chosen", language, count=number(len(errors.drop("none", errors="ignore")), language, 0))
    )
    if errors.get("none", 0) > 0:
        change = float(errors[reconciler.method] / errors["none"] - 1)
        key = "same" if abs(change) < SAME else "gain" if change < 0 else "cost"
        sentences.append(translate(f"hierarchy.{key}", language, change=percent(abs(change), language)))
    for worse in (False, True):
        sentences += clear_sentence(reconciler.by_level, worse, language)
    return sentences


def clear_sentence(by_level: pd.DataFrame, worse: bool, language: str) -> list[str]:
    """Levels that are significantly better (or `worse`) after reconciliation."""
    if by_level.empty:
        return []
    rows = by_level[by_level["clear"].astype(bool) & ((by_level["change"] > 0) == worse)]
    levels = [
        f"{level_label(row['level'], language)} ({percent(abs(row['change']), language)})"
        for row in rows.to_dict("records")
    ]
    key = "hierarchy.clearly_worse" if worse else "hierarchy.clearly_better"
    return [translate(key, language, levels=listing(levels, language))] if levels else []


def note_sentences(found: Found, language: str) -> list[str]:
    """How parts that start late, end early or have gaps were handled, and their covariates."""
    sentences = []
    for kind, rows in found.notes.items():
        if kind == "averaged":
            sentences.append(
                translate("hierarchy.note.averaged", language, columns=listing(rows["column"].unique(), language))
            )
        else:
            ids = rows["unique_id"].unique()
            sentences.append(
                translate(
                    f"hierarchy.note.{kind}",
                    language,
                    series=listing(ids, language),
                    count=number(len(ids), language, 0),
                    rows=number(len(rows), language, 0),
                )
            )
    dropped = found.reconciler.hierarchy.dropped
    return sentences + [
        translate("hierarchy.note.dropped", language, level=level, same=level_label(same, language))
        for level, same in dropped.items()
    ]


# --- tables ---


def level_table(by_level: pd.DataFrame, language: str) -> dict[str, Any]:
    """Scores by level before and after reconciliation."""
    names = ("level", "series", "mase_before", "mase_after", "change", "mae_after", "skill_after")
    held = [name for name in by_level if name.startswith("held-") and by_level[name].notna().any()]
    columns = [
        (translate(f"hierarchy.column.{name}", language), "text" if name == "level" else "number") for name in names
    ]
    columns += [
        (
            translate("hierarchy.column.held", language, level=level_text(float(name.removeprefix("held-")), language)),
            "number",
        )
        for name in held
    ]
    digits = digits_for(by_level["mae_after"])
    rows = [
        [
            level_label(row["level"], language),
            number(row["series"], language, 0),
            number(row["mase_before"], language, 3),
            number(row["mase_after"], language, 3),
            signed(row["change"], language),
            number(row["mae_after"], language, digits),
            percent(row["skill_after"], language),
            *(percent(row[name] / 100, language) for name in held),
        ]
        for row in by_level.to_dict("records")
    ]
    return table(columns, rows)


def method_table(reconciler: Any, language: str) -> dict[str, Any]:
    """Errors of the methods on the folds, with the chosen one highlighted."""
    methods = reconciler.methods
    columns = [
        (translate("hierarchy.column.method", language), "text"),
        (translate("hierarchy.column.error", language), "number"),
        (translate("hierarchy.column.reason", language), "text"),
    ]
    rows = [
        [translate(f"hierarchy.method.{row['method']}", language), number(row["error"], language, 4), row["reason"]]
        for row in methods.to_dict("records")
    ]
    return table(columns, rows, marked=np.flatnonzero(methods["method"] == reconciler.method).tolist())


def signed(share: float, language: str) -> str:
    """A change as a percentage with its sign."""
    return "–" if pd.isna(share) else ("+" if share > 0 else "−" if share < 0 else "") + percent(abs(share), language)


# --- figure ---


def parts_shown(found: Found) -> tuple[list[str], list[str]]:
    """The largest series of the first level that has several, and the others of that level."""
    ids = next(ids for ids in found.reconciler.hierarchy.tags.values() if len(ids) > 1)
    size = (
        found.forecast[found.forecast["unique_id"].isin(ids)]
        .groupby("unique_id")["forecast"]
        .sum()
        .abs()
        .sort_values(ascending=False)
    )
    shown = size.index[: len(COLORS)].tolist()
    return shown, [id for id in ids if id not in shown]


def parts_figure(found: Found, language: str) -> dict[str, Any]:
    """History and forecast as stacked parts, with the interval of the total.

    Parts are lines where some values are negative.
    """
    shown, rest = parts_shown(found)
    steps = found.forecast["ds"].nunique()
    history = found.history.pivot(index="ds", columns="unique_id", values="y").tail(max(3 * steps, 40))
    ahead = found.forecast.pivot(index="ds", columns="unique_id", values="forecast")
    wide = pd.concat([history[[*shown, *rest]], ahead[[*shown, *rest]]])
    x = figures.stamps_of(pd.Series(wide.index))
    stacked = {"stackgroup": "parts", "stackgaps": "interpolate"} if not (wide < 0).any(axis=None) else {}
    pieces = [(name, wide[name], figures.LIGHT[color]) for name, color in zip(shown, COLORS, strict=False)]
    if rest:
        others = translate("hierarchy.others", language, count=number(len(rest), language, 0))
        pieces.append((others, wide[rest].sum(axis=1, skipna=False), figures.LIGHT["naive"]))
    digits = digits_for(found.forecast["forecast"].head(1000))
    data = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": figures.label(name),
            "x": x,
            "y": figures.values_of(values),
            "line": {"width": 0.8, "color": color},
            "hovertemplate": f"%{{y:,.{digits}f}}<extra>{figures.label(name)}</extra>",
            **stacked,
        }
        for name, values, color in pieces
    ]
    data += total_traces(found, language, digits) if stacked else []
    axis = figures.time_axis(language, pd.api.types.is_datetime64_any_dtype(found.forecast["ds"]))
    start = figures.stamps_of(pd.Series(ahead.index[:1]))[0]
    stroke = {"color": figures.LIGHT["muted"], "width": 1, "dash": "dot"}
    line = {"type": "line", "x0": start, "x1": start, "yref": "paper", "y0": 0, "y1": 1, "line": stroke}
    layout = figures.layout_of(
        language,
        380,
        showlegend=True,
        legend=figures.legend(),
        hovermode="x unified",
        xaxis=axis,
        shapes=[line],
        yaxis=figures.value_axis(
            language, tickformat=",~r" if digits else ",d", rangemode="tozero" if stacked else "normal"
        ),
    )
    layout["margin"]["t"] = 50
    return {"data": data, "layout": layout}


def total_traces(found: Found, language: str, digits: int) -> list[dict]:
    """Forecast and narrowest interval of the top series; nothing if the top level has several series."""
    top = next(iter(found.reconciler.hierarchy.tags.values()))
    if len(top) > 1:
        return []
    rows = found.forecast[found.forecast["unique_id"] == top[0]].sort_values("ds")
    x, name = figures.stamps_of(rows["ds"]), translate("hierarchy.total", language)
    level = min(plots.levels_of(rows), default=None)
    stroke = {"width": 1, "dash": "dot", "color": figures.LIGHT["text"]}
    edges = (
        []
        if level is None
        else [
            {
                "type": "scatter",
                "mode": "lines",
                "x": x,
                "y": figures.values_of(rows[f"{end}-{level}"]),
                "showlegend": end == "hi",
                "hoverinfo": "skip",
                "name": translate("report.plot.band", language, level=level_text(level, language)),
                "line": stroke,
            }
            for end in ("lo", "hi")
        ]
    )
    return edges + [
        {
            "type": "scatter",
            "mode": "lines",
            "x": x,
            "y": figures.values_of(rows["forecast"]),
            "name": name,
            "line": {"width": 2.2, "color": figures.LIGHT["text"]},
            "hovertemplate": f"%{{y:,.{digits}f}}<extra>{name}</extra>",
        }
    ]
