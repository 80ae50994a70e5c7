"""A part of the monitoring page: its panels, what fills them, and what refreshes them."""

from collections.abc import Iterable
from typing import Any, ClassVar

from vur.dashboards import given
from vur.dashboards.page import Page
from vur.dashboards.panel import Panel
from vur.errors import VurError

STATES = {
    "queued": "muted",
    "running": "info",
    "succeeded": "good",
    "failed": "bad",
    "cancelled": "warn",
    "failing": "bad",
    "stopped": "muted",
    "connected": "good",
    "error": "bad",
    "unknown": "muted",
}
SEVERITIES = {"error": "bad", "critical": "bad", "warning": "warn", "info": "info", "debug": "muted"}
ROWS = 20  # of a page of a table


class Board(Page):
    """The page as its parts know it."""

    def show_part(self, view: str) -> None:
        """Show another part."""
        raise NotImplementedError

    def show_thresholds(self, model_id: str) -> None:
        """Show the thresholds of a model."""
        raise NotImplementedError

    def count_alerts(self) -> None:
        """Count the open alerts, and show how many."""
        raise NotImplementedError


class Part:
    """One part. `items` are the service's rows that it shows, by which events name theirs."""

    slow: ClassVar[bool] = False  # whether it is refreshed less often

    def __init__(self, page: Board):
        self.page = page
        self.items: list[dict[str, Any]] = []
        self.declare()

    def declare(self) -> None:
        """Declare the panels, in their order, and what their events do."""
        raise NotImplementedError

    def open(self) -> None:
        """Fill all panels."""
        self.refresh()

    def refresh(self) -> None:
        """Refresh what changes by itself; forms stay as they are."""

    def hide(self) -> None:
        """Take the panels off the page."""
        for panel in self.panels:
            panel.show(hidden=True)

    @property
    def panels(self) -> list[Panel]:
        """All panels of the part."""
        return [value for value in vars(self).values() if isinstance(value, Panel)]

    def known(self, values: Any, key: str) -> dict[str, Any]:
        """The row that an event names by its id; `VurError` pages.gone if it is not among those shown."""
        id = given.text(values, "id")
        row = next((row for row in self.items if row[key] == id), None)
        if row is None:
            raise VurError("pages.gone")
        return row

    def turn(self, name: str, values: Any) -> None:
        """Show another page of a table; the address keeps it as `name`."""
        page = given.value(values, "page")
        if isinstance(page, int) and 1 <= page <= 100_000:
            self.page.set_query(**{name: page if page > 1 else None})
            self.refresh()

    def page_number(self, name: str) -> int:
        """The page of a table that the address names."""
        text = self.page.query.get(name, "1")
        return min(max(int(text), 1), 100_000) if text.isdecimal() and len(text) < 7 else 1


def badge(page: Page, state: str) -> dict[str, str]:
    """A state in a word and a colour."""
    return {"text": page.say(f"pages.monitoring.state.{state}"), "tone": STATES.get(state, "muted")}


def problems(page: Page, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The column of problems, if any row has one."""
    column = {"key": "error", "label": page.say("pages.monitoring.problem"), "wide": True}
    return [column] if any(row["error"] for row in rows) else []
