"""Panels that show a run's results in a notebook, each with a static picture for where no kernel runs.

A cell gets two outputs: the picture, which is plain HTML, and the widget. While the widget is drawn it hides its
picture; without a kernel the picture stays, and hides what a notebook application says in place of the widget.
"""

from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any

from vur.dashboards.panel import Panel
from vur.dashboards.picture import picture, plain
from vur.dashboards.results import (
    SPANS,
    audit_content,
    folds_content,
    forecast_content,
    leaderboard_content,
)
from vur.errors import VurError
from vur.settings import settings
from vur.text import translate

if TYPE_CHECKING:
    from vur.dashboards.page import Page
    from vur.runs.result import RunResult

VIEW = "application/vnd.jupyter.widget-view+json"
PICTURES = 4  # series in the static picture of a chart
# A notebook application that trusts the notebook shows the widget, or words in its place when no kernel has it: these
# are hidden until the widget is drawn. One that does not trust the notebook drops this style and the widget alike.
STYLE = (
    "<style>.jp-OutputArea-child:has(.vur-picture)+"
    ".jp-OutputArea-child:has(>.jp-OutputArea-output.lm-Panel:not([data-mime-type])):not(:has(.v-host))"
    "{display:none}</style>"
)


def show(html: str, text: str, *panels: Panel) -> None:
    """Display a static picture, and each panel as an output of its own that holds nothing but the widget."""
    from IPython.display import display

    display({"text/html": html, "text/plain": text}, raw=True)
    for panel in panels:
        if widget := panel._repr_mimebundle_():
            data, metadata = widget
            display({VIEW: data[VIEW]}, metadata=metadata, raw=True)


class ResultPanel(Panel):
    """A panel in a cell. `contents` are what its static picture shows, by default what the panel shows."""

    def __init__(self, kind: str, content: dict[str, Any], language: str, contents: list[dict[str, Any]] | None = None):
        super().__init__(kind, content | {"language": language})
        self.language, self.contents = language, contents or [content]
        self.dispatch = self._handle
        self.picture = f"vur-picture-{self.model_id}"

    @property
    def picture_html(self) -> str:
        """The static picture, which the widget knows by its class."""
        inner = "\n".join(picture(self.kind, one, self.language) for one in self.contents)
        return f'<div class="vur-picture {self.picture}" lang="{escape(self.language)}">{inner}</div>'

    def __repr__(self) -> str:
        return "\n".join(plain(self.kind, one, self.language) for one in self.contents)

    def _ipython_display_(self) -> None:
        show(STYLE + self.picture_html, repr(self), self)

    def _handle(self, panel: Panel, event: str, values: Any) -> str | None:
        handler, _ = self.handlers.get(event, (None, ""))
        if handler is None:
            return None
        try:
            handler(values)
        except VurError as error:
            return error.text(self.language)
        return None


class ChartPanel(ResultPanel):
    """A chart of one series at a time, which the reader picks, over recent or all of the history."""

    def __init__(self, make: Callable[..., dict[str, Any]], r: "RunResult", language: str, series: str | None):
        self.make, self.result = make, r
        self.chosen = {"series": series, "span": SPANS[0]}
        first = make(r, language, series)
        names = next(
            ([value for value, _ in one["options"]] for one in first["filters"] if one["name"] == "series"), []
        )
        if series is not None and series not in (names or [series_of(r)]):
            raise VurError("widgets.series", series=series, names=", ".join(names[:10] or [series_of(r)]))
        shown: list[str | None] = [series] if series is not None else [*names[:PICTURES]] or [None]
        super().__init__("chart", first, language, [first if one is None else make(r, language, one) for one in shown])
        self.on("filter", self._pick)

    def _pick(self, values: Any) -> None:
        """Show another series or span; anything else that arrives is left alone."""
        name, value = (values.get("name"), values.get("value")) if isinstance(values, dict) else (None, None)
        options = [
            [one for one, _ in filter["options"]] for filter in self.content["filters"] if filter["name"] == name
        ]
        if options and value in options[0]:
            self.chosen[str(name)] = str(value)
            self.show(**self.make(self.result, self.language, **self.chosen))


class Cells:
    """A page of the dashboards in a cell: its panels one below the other. `page` is the page.

    Without a kernel its title, what it is for and `names`, those of its parts, stand there.
    """

    def __init__(self, page: "Page", names: list[str]):
        self.page, self.language = page, settings().language
        items = [{"text": f"{number}. {name}"} for number, name in enumerate(names, 1)]
        title, still = (translate(key, self.language) for key in (f"pages.{page.name}.title", "widgets.still"))
        self.content = {"title": title, "text": still, "items": items}
        page.heading.picture = f"vur-picture-{page.heading.model_id}"

    @property
    def picture_html(self) -> str:
        """The static picture, which the page's heading knows by its class."""
        inner = picture("list", self.content, self.language)
        names = f"vur-picture vur-page {self.page.heading.picture}"
        return f'<div class="{names}" lang="{escape(self.language)}">{inner}</div>'

    def __repr__(self) -> str:
        return plain("list", self.content, self.language)

    def _ipython_display_(self) -> None:
        show(STYLE.replace(".vur-picture)+", ".vur-page)~") + self.picture_html, repr(self), *self.page.panels)


def wizard_cells() -> Cells:
    """The Pipeline page."""
    from vur.dashboards.pages import pipeline
    from vur.dashboards.wizard.board import NAMES

    return Cells(pipeline.open(), [translate(f"pipelines.step.{name}", settings().language) for name in NAMES])


def series_of(r: "RunResult") -> str:
    """The name of a run's first series."""
    return str(r.forecast["unique_id"].iloc[0])


def leaderboard_panel(r: "RunResult", language: str) -> ResultPanel:
    """The leaderboard as a table that sorts."""
    panel = ResultPanel("table", leaderboard_content(r, language), language)

    def sort(values: Any) -> None:
        key = values.get("key") if isinstance(values, dict) else None
        if isinstance(key, str):
            panel.show(**leaderboard_content(r, language, key), language=language)

    panel.on("sort", sort)
    return panel


def forecast_panel(r: "RunResult", language: str, series: str | None = None) -> ChartPanel:
    """History and forecast as a chart."""
    return ChartPanel(forecast_content, r, language, series)


def folds_panel(r: "RunResult", language: str, series: str | None = None) -> ChartPanel:
    """The folds on the series as a chart."""
    return ChartPanel(folds_content, r, language, series)


def audit_panel(r: "RunResult", language: str) -> ResultPanel:
    """The findings as a list."""
    return ResultPanel("list", audit_content(r, language), language)
