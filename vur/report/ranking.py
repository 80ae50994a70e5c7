"""The report page of a ranking: which variables drive a target, how sure that is, and what each one does."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vur.ranking.words import say, say_aside, say_best, say_chance, say_lag, say_note, say_ranks, say_shape
from vur.report import write_page
from vur.report.figures import LIGHT, band_traces, label, layout_of, names_axis, value_axis, values_of
from vur.report.page import page_values, section_view
from vur.report.sections import Block, Part
from vur.report.tables import table
from vur.text import translate
from vur.wording import moment_text, number, percent

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

MOST_BARS, MOST_EFFECTS = 20, 8
WIDE = 1.645  # standard errors to each side of a 90 % interval


def render_ranking(document: Mapping[str, Any], record: Mapping[str, Any], path: Path, language: str = "en") -> Path:
    """Write the report page of a ranking's `document` to `path`; `record` is its run.json with `notebook, versions`."""
    parts = {
        "top": Part(translate("ranking.report.title", language), content=_top(document, language)),
        "order": _order(document, language),
        "effects": _effects(document, language),
        "pairs": _pairs(document, language),
        "aside": _aside(document, language),
        "method": _method(document, record, language),
    }
    sections = [section_view(name, part) for name, part in parts.items() if part is not None]
    sections[0]["layout"] = "ranking"
    created = moment_text(pd.Timestamp(record["created"]).floor("min"), language) if record.get("created") else ""
    head = {
        "title": document["target"],
        "kind": translate("ranking.report.kind", language),
        "run_id": str(record.get("run_id") or ""),
        "created": created,
        "source": str(record.get("source") or ""),
        "notebook": str(record.get("notebook") or ""),
    }
    return write_page(page_values(head, sections, language), path, language)


def _top(document: Mapping[str, Any], language: str) -> dict[str, Any]:
    first, *rest = say(document, language)
    return {"headline": first, "sentences": rest, "predicts": document["predicts"]}


def _t(key: str, language: str, **values: Any) -> str:
    return translate(f"ranking.report.{key}", language, **values)


def _order(document: Mapping[str, Any], language: str) -> Part | None:
    rows = document["ranking"]
    if not rows:
        return None
    columns = [(_t(f"column.{name}", language), kind) for name, kind in _COLUMNS]
    cells = [
        [
            str(one["rank"]),
            one["variable"],
            say_ranks(one, language),
            percent(one["importance"], language),
            say_chance(one["p_value"], language),
            *_does(one, language),
        ]
        for one in rows
    ]
    marked = [place for place, one in enumerate(rows) if one["significant"]]
    others = table(
        [(_t(f"column.{name}", language), kind) for name, kind in _OTHERS],
        [
            [
                one["variable"],
                percent(one["permutation"], language),
                *(number(one[key], language) for key in ("shap", "linear")),
            ]
            for one in rows
        ],
    )
    blocks = [
        Block(text=_t("importance", language), figure=importance_spec(document, language)),
        Block(text=_t("table", language), table=table(columns, cells, marked)),
        Block(_t("others", language), _t("others_text", language), table=others, folded=True),
    ]
    if members := document["members"]:
        alone = table(
            [(_t(f"column.{name}", language), kind) for name, kind in _MEMBERS],
            [
                [
                    one["variable"],
                    percent(one["importance"], language),
                    say_chance(one["p_value"], language),
                    say_shape(one, language),
                ]
                for one in members
            ],
        )
        blocks.append(Block(_t("members", language), _t("members_text", language), table=alone))
    return Part(_t("order", language), blocks=blocks)


def _does(one: Mapping[str, Any], language: str) -> list[str]:
    """Shape, lag and best range of a variable; empty where it may be chance."""
    return [say(one, language) if one["significant"] else "" for say in (say_shape, say_lag, say_best)]


_COLUMNS = (
    ("rank", "number"),
    ("variable", "text"),
    ("ranks", "text"),
    ("importance", "number"),
    ("chance", "number"),
    ("effect", "text"),
    ("lag", "text"),
    ("best", "text"),
)
_OTHERS = (("variable", "text"), ("permutation", "number"), ("shap", "number"), ("linear", "number"))
_MEMBERS = (("variable", "text"), ("importance", "number"), ("chance", "number"), ("effect", "text"))


def importance_spec(document: Mapping[str, Any], language: str) -> dict[str, Any]:
    """The importance of the first variables with 90 % intervals, in percent of the target's variance."""
    rows = document["ranking"][:MOST_BARS][::-1]
    value = 100 * np.array([one["importance"] for one in rows])
    error = np.array([WIDE * 100 * one["importance"] / one["z"] if one["z"] else 0.0 for one in rows])
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": values_of(value),
        "y": list(range(len(rows))),
        "marker": {"color": [LIGHT["forecast"] if one["significant"] else LIGHT["naive"] for one in rows]},
        "error_x": {"type": "data", "array": values_of(error), "color": LIGHT["muted"], "thickness": 1.4, "width": 4},
        "customdata": [[say_ranks(one, language), say_shape(one, language)] for one in rows],
        "hovertemplate": "%{x:.1f}%<br>%{customdata[0]}<br>%{customdata[1]}<extra></extra>",
    }
    layout = layout_of(
        language,
        70 + 26 * len(rows),
        bargap=0.35,
        xaxis=value_axis(language, title=_t("axis.importance", language), ticksuffix="%", zeroline=True),
        yaxis=names_axis(language, [one["variable"] for one in rows]),
    )
    return {"data": [bars], "layout": layout}


def _effects(document: Mapping[str, Any], language: str) -> Part | None:
    shown = [one for one in document["ranking"] if one["significant"]][:MOST_EFFECTS]
    blocks = []
    for row in shown:
        for name in row["members"]:
            of = row if len(row["members"]) == 1 else _member(document, name)
            blocks.append(Block(name, _effect_text(of, language), figure=effect_spec(document, name, language)))
    return Part(_t("effects", language), [_t("effects_text", language)], blocks) if blocks else None


def _member(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return next(one for one in document["members"] if one["variable"] == name)


def _effect_text(one: Mapping[str, Any], language: str) -> str:
    """The shape, the lag and the best range of a variable."""
    said = [say_shape(one, language), say_lag(one, language)]
    if best := say_best(one, language):
        said.append(_t("best", language, best=best))
    return " · ".join(said)


def effect_spec(document: Mapping[str, Any], variable: str, language: str) -> dict[str, Any]:
    """The effect of one variable in units of the target, with a band of twice the spread between the models."""
    curve, target = document["curves"][variable], document["target"]
    y, error = np.array(curve["y"]), 2 * np.array(curve["error"])
    if curve["category"]:
        data = [
            {
                "type": "bar",
                "x": list(range(len(curve["x"]))),
                "y": values_of(y),
                "marker": {"color": LIGHT["forecast"]},
                "error_y": {
                    "type": "data",
                    "array": values_of(error),
                    "color": LIGHT["muted"],
                    "thickness": 1.4,
                    "width": 4,
                },
                "hoverinfo": "y",
            }
        ]
        words = [label(word, 24) for word in curve["x"]]
        axis = value_axis(language, showgrid=False, tickvals=list(range(len(words))), ticktext=words)
    else:
        x = values_of(curve["x"])
        line = {"color": LIGHT["forecast"], "width": 2.2}
        data = [
            *band_traces(x, values_of(y - error), values_of(y + error), "", LIGHT["outer"], {}),
            {
                "type": "scatter",
                "mode": "lines",
                "x": x,
                "y": values_of(y),
                "line": line,
                "hovertemplate": "%{x}: %{y}<extra></extra>",
            },
        ]
        axis = value_axis(language, title=label(variable), showgrid=False)
    layout = layout_of(
        language,
        250,
        xaxis=axis,
        yaxis=value_axis(language, title=label(target), zeroline=True, zerolinecolor=LIGHT["grid"]),
    )
    return {"data": data, "layout": layout}


def _pairs(document: Mapping[str, Any], language: str) -> Part | None:
    if not document["pairs"]:
        return None
    columns = [(_t(f"column.{name}", language), kind) for name, kind in _PAIRS]
    rows = [
        [one["first"], one["second"], percent(one["strength"], language), say_chance(one["p_value"], language)]
        for one in document["pairs"]
    ]
    return Part(_t("pairs", language), [_t("pairs_text", language)], [Block(table=table(columns, rows))])


_PAIRS = (("first", "text"), ("second", "text"), ("strength", "number"), ("chance", "number"))


def _aside(document: Mapping[str, Any], language: str) -> Part | None:
    said = [say_note(one, language) for one in document["notes"]]
    if document.get("rejected"):
        said.insert(0, translate("ranking.note.rejected", language, count=document["rejected"]))
    said += [say_aside(one, language) for one in document["aside"]]
    return Part(_t("aside", language), said) if said else None


def _method(document: Mapping[str, Any], record: Mapping[str, Any], language: str) -> Part:
    shares = [percent(max(r2, 0.0), language, 0) for r2 in document["r2"]]
    facts = [
        (_t("fact.rows", language), number(document["rows"], language, 0)),
        (_t("fact.lags", language), number(document["lags"], language, 0)),
        (_t("fact.goal", language), _t(f"goal.{document['goal']}", language)),
        (_t("fact.level", language), percent(document["level"], language, 0)),
        (_t("fact.seed", language), str(document["seed"])),
        (_t("fact.fingerprint", language), str(record.get("fingerprint") or "")[:16]),
        *((name, version) for name, version in dict(record.get("versions") or {}).items() if name in _LIBRARIES),
    ]
    said = [_t("method_text", language)]
    if shares:
        said.insert(0, _t("r2", language, shares=", ".join(shares)))
    columns = [(_t("column.fact", language), "text"), (_t("column.value", language), "text")]
    return Part(_t("method", language), said, [Block(table=table(columns, facts))])


_LIBRARIES = ("lightgbm", "numpy", "pandas", "scipy")


def importance_figure(document: Mapping[str, Any], language: str) -> "Figure":
    """The importance of the first variables as an interactive figure."""
    import plotly.graph_objects as go

    return go.Figure(importance_spec(document, language))


def effect_figure(document: Mapping[str, Any], variable: str, language: str) -> "Figure":
    """The effect of one variable as an interactive figure."""
    import plotly.graph_objects as go

    return go.Figure(effect_spec(document, variable, language))
