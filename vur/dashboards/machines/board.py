"""The page of machines as its parts know it."""

from typing import Any

from vur.dashboards.page import Page
from vur.dashboards.panel import Panel
from vur.dashboards.words import cell
from vur.errors import VurError

TONES = {"criada": "muted", "treinando": "info", "pronta": "good", "erro": "bad"}
STATES = {
    "queued": "muted",
    "training": "info",
    "waiting": "info",
    "finished": "good",
    "failed": "bad",
    "cancelled": "warn",
}
ACTIVE = ("queued", "training", "waiting")
Row = dict[str, Any]


class Board(Page):
    """The page: `machine` is the one that is open, `training` the one whose result is shown, `trainings` all of it."""

    machine: Row | None = None
    training: Row | None = None
    trainings: list[Row]
    may_download = False

    def open(self, id: int, tab: str | None = None, training: int | None = None) -> None:
        """Show one machine; of its trainings the newest that finished, or one that is named."""
        raise NotImplementedError

    def close(self) -> None:
        """Go back to the list."""
        raise NotImplementedError

    def show_tab(self, name: str | None) -> None:
        """Show one of the views of the machine."""
        raise NotImplementedError

    @property
    def opened(self) -> Row:
        """The machine that is open; `VurError` pages.gone if none is, which no button of the page can cause."""
        if self.machine is None:
            raise VurError("pages.gone")
        return self.machine

    @property
    def document(self) -> Row:
        """The ranking that is shown, empty where there is none."""
        return (self.training or {}).get("document") or {}

    @property
    def at(self) -> str:
        """The path of the machine in the service."""
        return f"/machines/{self.opened['id']}"

    @property
    def may_edit(self) -> bool:
        """Whether the visitor may train and rename the machine."""
        return self.machine is not None and self.machine["right"] in ("edit", "own")

    def words(self, key: str, /, **values: Any) -> str:
        """A text of the page."""
        return self.say(f"pages.machines.{key}", **values)


class Part:
    """Some panels of the page that are shown together."""

    def __init__(self, page: Board):
        self.page = page
        self.declare()

    def declare(self) -> None:
        """Declare the panels, and what their events do."""
        raise NotImplementedError

    def show(self) -> None:
        """Fill the panels."""
        raise NotImplementedError

    def hide(self) -> None:
        """Take the panels off the page."""
        for panel in self.panels:
            panel.show(hidden=True)

    @property
    def panels(self) -> list[Panel]:
        """All panels of the part."""
        return [value for value in vars(self).values() if isinstance(value, Panel)]

    def words(self, key: str, /, **values: Any) -> str:
        """A text of the page."""
        return self.page.words(key, **values)


def figure(value: float | None, language: str) -> str:
    """A number with four digits, in the marks of a language."""
    return "–" if value is None else cell(float(f"{value:.4g}"), language)


def share(value: float, language: str) -> str:
    """A share in percent: `12.5%`."""
    return cell(round(100 * value, 1) + 0.0, language) + "%"  # and no minus before a zero


def number_of(sent: Any) -> int | None:
    """The number of a machine or training as the browser or an address gives it; None for anything else."""
    text = str(sent)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 and int(text) > 0 else None
