"""What each variable does to the target over its observed range: charts of the first ones, and one to choose."""

from typing import Any

from vur.dashboards import given
from vur.dashboards.machines.board import Part, Row

FIRST = 4
MOST_NAMES = 3  # of a group
WIDE = 2  # standard errors to each side, as in the report


class Effects(Part):
    """The charts."""

    def declare(self) -> None:
        """Declare the panels."""
        self.chosen: str | None = None
        self.charts = [self.page.panel("chart", hidden=True) for _ in range(FIRST)]
        self.picked = self.page.panel("chart", hidden=True)
        self.picked.on("filter", self.choose)

    @property
    def panels(self) -> list[Any]:
        """All charts."""
        return [*self.charts, self.picked]

    @property
    def names(self) -> list[str]:
        """The variables with an effect, in the order of the ranking."""
        curves = self.page.document.get("curves") or {}
        ordered = [name for row in self.page.document.get("ranking", ()) for name in row["members"]]
        return [name for name in dict.fromkeys([*ordered, *curves]) if name in curves]

    def choose(self, values: Any) -> None:
        """Show the effect of another variable."""
        self.chosen = str(given.value(values, "value"))
        self._show_picked()

    def show(self) -> None:
        """Show the charts of the first variables, and of the chosen one."""
        names = self.names
        for place, panel in enumerate(self.charts):
            if place < min(len(names), FIRST):
                panel.show(width="half", **self._chart(names[place]))
            else:
                panel.show(hidden=True)
        self._show_picked()

    def _show_picked(self) -> None:
        names = self.names
        if not names:
            self.picked.show(hidden=True)
            return
        name = self.chosen if self.chosen in names else names[FIRST if len(names) > FIRST else 0]
        choice = {
            "name": "variable",
            "label": self.words("column.variable"),
            "value": name,
            "options": [[one, one] for one in names],
            "search": self.words("effect.search"),
        }
        self.picked.show(
            **self._chart(name) | {"title": self.words("effect.choose"), "note": None, "filters": [choice]}
        )
        self.picked.update(text=self._does(name))

    def _row(self, name: str) -> Row:
        training = self.page.training or {}
        rows = [*training.get("members", ()), *training.get("ranking", ())]
        return next((one for one in rows if one["members"] == [name]), {})

    def _does(self, name: str) -> str:
        row = self._row(name)
        said = [row.get("shape_text", ""), row.get("lag_text", "")]
        group = self._group(name)
        others = [one for one in group.get("members", ()) if one != name]
        if others:
            said.append(self.words("effect.group", names=", ".join(others[:MOST_NAMES])))
        if not group.get("significant"):
            said.append(self.words("sure.no"))
        if best := self._best(name):
            said.append(self.words("effect.best", best=best))
        return "; ".join(one for one in said if one)

    def _group(self, name: str) -> Row:
        """The row of the ranking that a variable is in, by itself or with those that it was ranked with."""
        rows = (self.page.training or {}).get("ranking", ())
        return next((one for one in rows if name in one["members"]), {})

    def _best(self, name: str) -> str:
        return str(self._row(name).get("best_text") or "") if self._group(name).get("significant") else ""

    def _chart(self, name: str) -> dict[str, Any]:
        words, curve, row = self.words, self.page.document["curves"][name], self._row(name)
        target = self.page.document["target"]
        y, error = curve["y"], [WIDE * one for one in curve["error"]]
        content: dict[str, Any] = {
            "title": name,
            "note": self._does(name),
            "label": words("effect.label", variable=name, target=target, does=self._does(name)),
            "height": 280,
            "y": {"label": words("effect.change", target=target if len(target) <= 30 else target[:29] + "…")},
        }
        if curve["category"]:
            bars = {"name": words("effect.effect"), "x": curve["x"], "y": y, "style": "bar", "error": error}
            categories = [str(one) for one in curve["x"]]
            return content | {"x": "category", "categories": categories, "series": [bars | {"color": "primary"}]}
        band = {
            "name": words("effect.band"),
            "x": curve["x"],
            "low": [value - wide for value, wide in zip(y, error, strict=True)],
            "high": [value + wide for value, wide in zip(y, error, strict=True)],
        }
        spans = []
        if self._best(name) and row["best_low"] is not None:
            spans = [{"from": row["best_low"], "to": row["best_high"], "label": words("effect.best_short")}]
        line = {"name": words("effect.effect"), "x": curve["x"], "y": y, "color": "primary"}
        tone = {"tone": "good", "strength": 0.14}
        return content | {"x": "value", "series": [line], "bands": [band], "spans": [one | tone for one in spans]}
