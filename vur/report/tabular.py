"""The report page of a fitted table: how well a number is predicted from a row, by what, and how sure that is."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vur.errors import VurError
from vur.report import write_page
from vur.report.figures import LIGHT, label, layout_of, names_axis, value_axis, values_of
from vur.report.page import page_values, section_view
from vur.report.sections import Block, Part
from vur.report.tables import table
from vur.tabular.words import candidate_name, say, say_aside, say_note
from vur.text import translate
from vur.wording import level_text, moment_text, number, percent

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from vur.tabular import TableModel

KINDS = ("predictions", "residuals", "importances")
MOST_POINTS, MOST_BARS = 3_000, 20
WIDE = 1.645  # standard errors to each side of a 90% interval


def render_table(model: "TableModel", record: Mapping[str, Any], path: Path, language: str = "en") -> Path:
    """Write the report page of a fitted table to `path`; `record` is the run's, or empty."""
    first, *rest = say(model.document, language)
    parts = {
        "top": Part(_t("title", language), content={"headline": first, "sentences": rest}),
        "errors_of_rows": _predictions(model, language),
        "leaderboard": _leaderboard(model, language),
        "importances": _importances(model, language),
        "columns": _columns(model, record, language),
        "method": _method(model, record, language),
    }
    sections = [section_view(name, part) for name, part in parts.items() if part is not None]
    sections[0]["layout"] = "ranking"
    created = moment_text(pd.Timestamp(record["created"]).floor("min"), language) if record.get("created") else ""
    head = {
        "title": model.target,
        "kind": _t("kind", language),
        "run_id": str(record.get("run_id") or ""),
        "created": created,
        "source": str(record.get("source") or ""),
        "notebook": str(record.get("notebook") or ""),
    }
    return write_page(page_values(head, sections, language), path, language)


def _t(key: str, language: str, **values: Any) -> str:
    return translate(f"tabular.report.{key}", language, **values)


def _predictions(model: "TableModel", language: str) -> Part:
    blocks = [
        Block(text=_t("predictions_text", language), figure=predictions_spec(model, language)),
        Block(_t("residuals", language), _t("residuals_text", language), figure=residuals_spec(model, language)),
    ]
    return Part(_t("predictions", language), blocks=blocks)


def shown_rows(cv: pd.DataFrame) -> pd.DataFrame:
    """The rows of a figure: all, or of many every so many in the order of the target."""
    if len(cv) <= MOST_POINTS:
        return cv
    places = np.linspace(0, len(cv) - 1, MOST_POINTS).round().astype(int)
    return cv.sort_values("y", kind="stable").iloc[places]


def predictions_spec(model: "TableModel", language: str) -> dict[str, Any]:
    """Predictions out of fold against the actual values, and the line on which both are equal."""
    rows, chosen = shown_rows(model.cv), model.document["chosen"]
    ends = [float(model.cv["y"].min()), float(model.cv["y"].max())]
    points = {
        "type": "scatter",
        "mode": "markers",
        "x": values_of(rows["y"]),
        "y": values_of(rows[chosen]),
        "customdata": rows["row"].tolist(),
        "marker": {"color": LIGHT["forecast"], "size": 5, "opacity": 0.5},
        "hovertemplate": f"{label(_t('row', language))} %{{customdata}}<br>%{{x}} → %{{y}}<extra></extra>",
    }
    line = {"type": "scatter", "mode": "lines", "x": ends, "y": ends, "line": {"color": LIGHT["naive"], "width": 1.2}}
    layout = layout_of(
        language,
        360,
        xaxis=value_axis(language, title=_t("actual", language, target=label(model.target)), showgrid=False),
        yaxis=value_axis(language, title=_t("predicted", language)),
    )
    return {"data": [line | {"hoverinfo": "skip"}, points], "layout": layout}


def residuals_spec(model: "TableModel", language: str) -> dict[str, Any]:
    """How often errors out of fold of each size occur."""
    errors = (model.cv[model.document["chosen"]] - model.cv["y"]).to_numpy()
    counts, edges = np.histogram(errors, bins=min(40, max(8, int(np.sqrt(len(errors))))))
    bars = {
        "type": "bar",
        "x": values_of((edges[1:] + edges[:-1]) / 2),
        "y": [int(count) for count in counts],
        "width": values_of(np.diff(edges) * 0.95),
        "marker": {"color": LIGHT["forecast"]},
        "hovertemplate": "%{x}: %{y}<extra></extra>",
    }
    layout = layout_of(
        language,
        240,
        xaxis=value_axis(language, title=_t("error", language), showgrid=False),
        yaxis=value_axis(language, title=_t("rows", language)),
    )
    return {"data": [bars], "layout": layout}


def importances_spec(model: "TableModel", language: str) -> dict[str, Any]:
    """How much the error grows without each column, with 90% intervals."""
    rows = model.importances.head(MOST_BARS).iloc[::-1]
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": values_of(rows["importance"]),
        "y": list(range(len(rows))),
        "marker": {"color": LIGHT["forecast"]},
        "error_x": {
            "type": "data",
            "array": values_of(WIDE * rows["error"]),
            "color": LIGHT["muted"],
            "thickness": 1.4,
            "width": 4,
        },
        "hovertemplate": "%{x}<extra></extra>",
    }
    title = _t("importance_axis", language, metric=model.document["metric"].upper())
    layout = layout_of(
        language,
        70 + 26 * len(rows),
        bargap=0.35,
        xaxis=value_axis(language, title=title, zeroline=True),
        yaxis=names_axis(language, rows["variable"].tolist()),
    )
    return {"data": [bars], "layout": layout}


def _leaderboard(model: "TableModel", language: str) -> Part:
    names = ("candidate", "rmse", "mae", "r2", "mape", "skill", "interval")
    columns = [(_t(f"column.{name}", language), "text" if name == "candidate" else "number") for name in names]
    rows = [
        [
            candidate_name(one["candidate"], language),
            number(one["rmse"], language),
            number(one["mae"], language),
            number(one["r2"], language, 3),
            percent(one["mape"] / 100, language),
            percent(one["skill"], language),
            f"{percent(one['skill_low'], language)} – {percent(one['skill_high'], language)}",
        ]
        for one in model.leaderboard.to_dict("records")
    ]
    marked = np.flatnonzero(model.leaderboard["chosen"]).tolist()
    said = _t("leaderboard_text", language, metric=model.document["metric"].upper())
    return Part(_t("leaderboard", language), [said], [Block(table=table(columns, rows, marked))])


def _importances(model: "TableModel", language: str) -> Part | None:
    if model.document["verdict"] == "none":
        return None
    block = Block(figure=importances_spec(model, language))
    return Part(_t("importances", language), [_t("importances_text", language)], [block])


def _columns(model: "TableModel", record: Mapping[str, Any], language: str) -> Part:
    columns = [(_t(f"column.{name}", language), "text") for name in ("variable", "kind", "values")]
    rows = [[one.name, _t(f"kind_{one.kind}", language), _values(one, language)] for one in model.columns]
    notes = [say_note(one, language) for one in model.document["notes"]]
    if record.get("rejected"):
        notes.insert(0, _t("rejected", language, count=record["rejected"]))
    blocks = [Block(table=table(columns, rows))]
    if aside := model.document["aside"]:
        heads = [(_t("column.variable", language), "text"), (_t("column.reason", language), "text")]
        cells = [[one["column"], say_aside(one, language)] for one in aside]
        blocks.append(Block(_t("aside", language), table=table(heads, cells)))
    return Part(_t("columns", language), notes, blocks)


def _values(column: Any, language: str) -> str:
    """What training saw of a column: its levels, its range, or its dates."""
    if column.kind == "category":
        return ", ".join(column.levels[:8]) + (f", … ({len(column.levels)})" if len(column.levels) > 8 else "")
    if column.kind == "date":
        low, high = (pd.Timestamp(0) + pd.Timedelta(days=days) for days in (column.low, column.high))
        return f"{low:%Y-%m-%d} – {high:%Y-%m-%d}"
    if column.kind == "boolean":
        return "–"
    return f"{number(column.low, language)} – {number(column.high, language)}"


def _method(model: "TableModel", record: Mapping[str, Any], language: str) -> Part:
    document = model.document
    parameters = ", ".join(f"{name} {value}" for name, value in document["parameters"].items() if value is not None)
    facts = [
        (_t("fact.rows", language), number(document["rows"], language, 0)),
        (_t("fact.algorithm", language), candidate_name(document["chosen"], language)),
        (_t("fact.parameters", language), parameters or "–"),
        (_t("fact.levels", language), ", ".join(f"{level_text(level, language)}%" for level in document["levels"])),
        (_t("fact.seed", language), str(document["seed"])),
        (_t("fact.fingerprint", language), str(record.get("fingerprint") or "–")[:16]),
        (_t("fact.model", language), str(record.get("model") or "–")),
        *document["versions"].items(),
    ]
    columns = [(_t("column.fact", language), "text"), (_t("column.value", language), "text")]
    return Part(_t("method", language), [_t("method_text", language)], [Block(table=table(columns, facts))])


SPECS = {"predictions": predictions_spec, "residuals": residuals_spec, "importances": importances_spec}


def spec_of(model: "TableModel", kind: str, language: str) -> dict[str, Any]:
    """The Plotly description of a figure; `VurError` tabular.figure lists the kinds."""
    if kind not in SPECS:
        raise VurError("tabular.figure", field="kind", value=kind, known=", ".join(KINDS))
    return SPECS[kind](model, language)


def figure(model: "TableModel", kind: str, language: str) -> "Figure":
    """An interactive figure of a fitted table."""
    import plotly.graph_objects as go

    return go.Figure(spec_of(model, kind, language))
