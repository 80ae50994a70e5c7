"""The report page: the order of its sections, and the values for its template."""

from types import ModuleType
from typing import Any

import pandas as pd

from vur.languages import LANGUAGES
from vur.report import figures
from vur.report.context import ReportContext
from vur.report.sections import (
    Facts,
    Part,
    accuracy,
    anomalies,
    coverage,
    data,
    diagnostics,
    drivers,
    forecast,
    headline,
    hierarchy,
    method,
    residuals,
    tuning,
    usage,
    why,
    worst,
)
from vur.report.sections.method import of_effects
from vur.report.tables import say, speaker
from vur.text import translate
from vur.wording import moment_text

# By element id. A new section is a module in vur.report.sections and an entry here.
SECTIONS: dict[str, ModuleType] = {
    "top": headline,
    "forecast": forecast,
    "accuracy": accuracy,
    "worst": worst,
    "data": data,
    "errors": residuals,
    "drivers": drivers,
    "tuning": tuning,
    "hierarchy": hierarchy,
    "coverage": coverage,
    "anomalies": anomalies,
    "why": why,
    "diagnostics": diagnostics,
    "recipe": method,
    "use": usage,
}


def collect(facts: Facts) -> dict[str, Any]:
    """What the sections compute after a training, by name; sections with nothing to show are left out."""
    found = {name: section.collect(facts) for name, section in SECTIONS.items() if hasattr(section, "collect")}
    return {name: value for name, value in found.items() if value is not None}


def parts(context: ReportContext, language: str) -> dict[str, Part]:
    """The sections that this context has, by name, in the order of the page."""
    shown = {}
    for name, section in SECTIONS.items():
        found = context.extras.get(name) if hasattr(section, "collect") else context
        part = None if found is None else section.part(found, language)
        if part is not None:
            shown[name] = part
    return shown


def section_view(name: str, part: Part) -> dict[str, Any]:
    """A section as the template needs it; the figure of each block gets an element id and is added to `figures`."""
    figures, blocks = dict(part.figures), []
    for number, block in enumerate(part.blocks):
        id = f"plot-{name}-{number}" if block.figure else ""
        if block.figure:
            figures[id] = block.figure
        blocks.append(
            {"id": id, "title": block.title, "text": block.text, "table": block.table, "folded": block.folded}
        )
    return {
        "name": name,
        "layout": name,
        "title": part.title,
        "sentences": part.sentences,
        "blocks": blocks,
        "content": part.content,
        "figures": figures,
    }


def page(context: ReportContext, language: str) -> dict[str, Any]:
    """All values of the template for a training."""
    sections = [section_view(name, part) for name, part in parts(context, language).items()]
    return page_values(head(context, language), sections, language)


def page_values(head: dict[str, Any], sections: list[dict[str, Any]], language: str) -> dict[str, Any]:
    """All values of the template; `figures` has the Plotly descriptions by element id."""
    t = speaker(language)
    entry = LANGUAGES[language]
    return {
        "head": head,
        "sections": sections,
        "figures": {id: spec for section in sections for id, spec in section["figures"].items()},
        "theme": [[figures.LIGHT[name], figures.DARK[name]] for name in figures.LIGHT],
        "locale": {
            "months": entry.months,
            "shortMonths": entry.short_months,
            "days": entry.weekdays,
            "shortDays": entry.short_weekdays,
            "date": entry.axis[1],
            "decimal": entry.decimal,
            "thousands": entry.thousands,
            "reset": t("plot.reset"),
            "zoom": t("plot.zoom"),
            "image": t("plot.image"),
            "pan": t("plot.pan"),
        },
    }


def head(context: ReportContext, language: str) -> dict[str, Any]:
    """The title, the line that identifies the run, and the warnings of the training."""
    run, created = context.run, context.run.get("created")
    return {
        "title": str(run.get("name") or context.data.get("target") or "VUR"),
        "kind": translate("report.title", language),
        "run_id": str(run.get("run_id") or ""),
        "created": moment_text(pd.Timestamp(created).floor("min"), language) if created else "",
        "source": str(run.get("source") or ""),
        "notebook": str(run.get("notebook") or "train.ipynb"),
        "interrupted": bool(run.get("interrupted")),
        "notes": [text for text in (say(note, language) for note in context.notes if not of_effects(note)) if text],
    }
