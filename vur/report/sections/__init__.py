"""The interface of a report section.

Each module of this folder is a section, listed in `vur.report.page.SECTIONS` in page order. It has

    part(found, language) -> Part | None    what the page shows; None leaves the section out
    collect(facts) -> Any | None            optional: computed once, after training, and kept in the context

`found` is the result of `collect` (after None the section is left out); a section without `collect` gets the
`ReportContext`. Helpers of several sections live in `vur.report`, so that no section imports another.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pandas as pd

from vur.errors import VurError
from vur.panel import Panel

T = TypeVar("T")
D = TypeVar("D")


@dataclass(frozen=True)
class Facts:
    """The input of `collect`: the panel, the finished training, its plan, the forecast with intervals, the language.

    `parameters` are those that the run set, by algorithm id; all other algorithms used their defaults.
    """

    panel: Panel
    training: Any
    plan: Any
    forecast: pd.DataFrame
    language: str = "en"
    parameters: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Block:
    """A figure or a table of a section, with a text above; a `folded` table stays closed until the reader opens it."""

    title: str = ""
    text: str = ""
    figure: dict[str, Any] | None = None
    table: dict[str, Any] | None = None
    folded: bool = False


@dataclass(frozen=True)
class Part:
    """The content of a section: sentences and blocks under a title.

    A section with its own layout, `templates/sections/<name>.html.j2`, passes the values of that template in `content`
    and its Plotly descriptions by element id in `figures`.
    """

    title: str
    sentences: list[str] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    content: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)


def attempt(work: Callable[[], T], default: D, failures: list[Exception]) -> T | D:
    """The result of `work()`; on an error `default`, and the error is appended to `failures`."""
    try:
        return work()
    except Exception as error:  # a failing section must not fail the finished run
        failures.append(error)
        return default


def failure_text(error: Exception, language: str) -> str:
    """The text of an error for the page."""
    return error.text(language) if isinstance(error, VurError) else f"{type(error).__name__}: {error}"
