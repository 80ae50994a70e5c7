"""How the ranking moved from training to training, and the trainings themselves, to look at an older one."""

from typing import Any

from vur.dashboards import given
from vur.dashboards.machines.board import STATES, Part, Row, number_of

LINES = 6  # variables of the chart
LAST = 8  # trainings of chart and table
ROWS = 20
TONES = {"new": "info", "gone": "warn"}


class History(Part):
    """The chart, the table of places, and the list of trainings."""

    def declare(self) -> None:
        """Declare the panels."""
        self.page_number = 1
        self.moves: Row = {}
        self.chart, self.places = self.page.panel("chart", hidden=True), self.page.panel("table", hidden=True)
        self.trainings = self.page.panel("table", hidden=True)
        self.places.on("page", self.turn)
        self.trainings.on("look", self.look)

    def show(self) -> None:
        """Ask how the ranking moved."""
        self.moves = self.page.api.get(f"{self.page.at}/movement", most=LAST)
        several = len(self.moves["trainings"]) > 1
        self._show_chart(several)
        self._show_places(several)
        self._show_trainings()

    def turn(self, values: Any) -> None:
        """Show other variables."""
        self.page_number = given.count(given.value(values, "page"))
        self._show_places(True)

    def look(self, values: Any) -> None:
        """Show the result of a training."""
        number = number_of(given.value(values, "id"))
        if number is not None:
            self.page.open(self.page.opened["id"], "result", number)

    def _name(self, training: int) -> str:
        return self.words("history.training", number=training)

    def _show_chart(self, several: bool) -> None:
        names = [self._name(one["training"]) for one in self.moves["trainings"]]
        firsts = {_named(one): one for one in reversed(self.moves["variables"])}
        shown = list(firsts.items())[::-1][:LINES]
        self.chart.show(
            hidden=not (several and shown),
            title=self.words("history.chart", target=self.moves["target"]),
            note=self.words("history.chart_note"),
            label=self.words("history.chart", target=self.moves["target"]),
            x="category",
            categories=names,
            series=[
                {
                    "name": name,
                    "x": names,
                    "y": [place["rank"] if place else None for place in one["places"]],
                }
                for name, one in shown
            ],
            y={"label": self.words("column.rank"), "inverse": True},
            height=340,
        )

    def _show_places(self, several: bool) -> None:
        words, variables = self.words, self.moves["variables"]
        pages = max(-(-len(variables) // ROWS), 1)
        self.page_number = min(self.page_number, pages)
        begin = (self.page_number - 1) * ROWS
        self.places.show(
            hidden=not (several and variables),
            title=words("history.places"),
            note=words("history.places_note"),
            columns=[
                {"key": "variable", "label": words("column.variable"), "wide": True},
                {"key": "change", "label": words("history.change")},
                *(
                    {"key": f"t{one['training']}", "label": self._name(one["training"]), "number": True}
                    for one in reversed(self.moves["trainings"])
                ),
            ],
            rows=[self._moved(one) for one in variables[begin : begin + ROWS]],
            page=self.page_number,
            pages=pages,
        )

    def _moved(self, one: Row) -> Row:
        change, steps = one["change"], abs(one["moved"] or 0)
        tone = TONES.get(change) or (("good" if change == "up" else "bad") if one["clear"] else "muted")
        cells = {
            f"t{step['training']}": self._place(place)
            for step, place in zip(self.moves["trainings"], one["places"], strict=True)
        }
        badge = {"text": self.words(f"change.{change}", count=steps), "tone": tone}
        return {"variable": one["variable"], "change": badge, **cells}

    def _place(self, place: Row | None) -> str:
        if place is None or place["rank"] is None:
            return "–"
        low, high = place["rank_low"], place["rank_high"]
        return str(place["rank"]) if low is None or low == high else f"{place['rank']} ({low}–{high})"

    def _show_trainings(self) -> None:
        words = self.words
        shown = (self.page.training or {}).get("training")
        failed = any(one["error"] for one in self.page.trainings)
        self.trainings.show(
            title=words("history.trainings"),
            columns=[
                {"key": "number", "label": words("column.number")},
                {"key": "state", "label": words("column.status")},
                {"key": "target", "label": words("result.target"), "wide": True},
                {"key": "source", "label": words("result.source")},
                {"key": "at", "label": words("column.when"), "type": "moment"},
                *([{"key": "problem", "label": words("column.problem"), "wide": True}] if failed else []),
            ],
            rows=[
                {
                    "id": str(one["training"]),
                    "number": str(one["training"]),
                    "state": {"text": words(f"state.{one['state']}"), "tone": STATES.get(one["state"], "muted")},
                    "target": one["target"],
                    "source": one["source"] or "–",
                    "at": one["finished_at"] or one["created_at"],
                    "problem": one["error"]["detail"] if one["error"] else "",
                    "look": one["state"] == "finished" and one["training"] != shown,
                    "tone": "selected" if one["training"] == shown else None,
                }
                for one in self.page.trainings
            ],
            rowActions=[{"event": "look", "label": words("action.look"), "when": "look"}],
            actionsLabel=words("column.actions"),
            empty=words("history.none"),
        )


def _named(one: Row) -> str:
    """The name of a variable in the chart: that of the group that it was last ranked with."""
    last = next((place for place in reversed(one["places"]) if place), None)
    return str((last or {}).get("group") or one["variable"])
