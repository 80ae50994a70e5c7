"""Sections of the report that a run may have: each module of this folder finds its facts after training and tells them.

A module has `collect(facts) -> Any`, whose result is None where it has nothing to say, and `part(found, language) ->
Part`.
"""

import importlib
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from vur.panel import Panel

PARTS = ("tuning", "hierarchy", "coverage", "anomalies", "why", "diagnostics")


@dataclass(frozen=True)
class Facts:
    """What a section may look at: the panel, the finished training, its plan, the forecast with intervals and the language.

    `parameters` are those that the run gave to algorithms by id; algorithms that are not in it had their default ones.
    """

    panel: Panel
    training: Any
    plan: Any
    forecast: pd.DataFrame
    language: str = "en"
    parameters: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Block:
    """A figure or a table of a section with what is said above it; `folded` hides the table until it is asked for."""

    title: str = ""
    text: str = ""
    figure: dict[str, Any] | None = None
    table: dict[str, Any] | None = None
    folded: bool = False


@dataclass(frozen=True)
class Part:
    """A section of the report: title, sentences under it, and blocks."""

    title: str
    sentences: list[str] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)


def collect_parts(facts: Facts) -> dict[str, Any]:
    """What each section found, by name; those that have nothing to say are left out."""
    found = {name: importlib.import_module(f"{__name__}.{name}").collect(facts) for name in PARTS}
    return {name: value for name, value in found.items() if value is not None}


def written_parts(extras: dict[str, Any], language: str) -> dict[str, dict[str, Any]]:
    """The sections for the template, with the element id of each figure; `figures` holds their descriptions."""
    sections, figures = {}, {}
    for name in PARTS:
        if name not in extras:
            continue
        part = importlib.import_module(f"{__name__}.{name}").part(extras[name], language)
        blocks = []
        for number, block in enumerate(part.blocks):
            id = f"plot-{name}-{number}" if block.figure else ""
            figures |= {id: block.figure} if block.figure else {}
            blocks.append(
                {"id": id, "title": block.title, "text": block.text, "table": block.table, "folded": block.folded}
            )
        sections[name] = {"title": part.title, "sentences": part.sentences, "blocks": blocks}
    return {"sections": sections, "figures": figures}
