"""What if variables were held at other values: a slider for each, within what was observed."""

import math
from typing import Any

from vur.dashboards import given
from vur.dashboards.client import ServiceError
from vur.dashboards.machines.board import Part, Row, figure, share
from vur.dashboards.words import cell

FIRST = 8  # sliders that are there from the beginning
RARE = 0.01  # share of the observed rows below which the values were hardly ever seen together


class WhatIf(Part):
    """The sliders and the answer; only what the visitor moved is asked for."""

    def declare(self) -> None:
        """Declare the panel."""
        self.of: tuple[int, int] | None = None  # machine and training that the movements belong to
        self.moved: dict[str, Any] = {}
        self.refused: dict[str, Any] = {}  # values that were typed beyond the range
        self.added: list[str] = []
        self.answer: Row = {}
        self.sliders = self.page.panel("sliders", hidden=True)
        self.sliders.on("move", self.move)
        self.sliders.on("back", self.back)
        self.sliders.on("reset", self.reset)
        self.sliders.on("filter", self.add)

    @property
    def names(self) -> list[str]:
        """All variables that can be moved, in the order of the ranking."""
        document = self.page.document
        known = {**document.get("ranges", {}), **document.get("words", {})}
        ordered = [name for row in document.get("ranking", ()) for name in row["members"]]
        return [name for name in dict.fromkeys([*ordered, *known]) if name in known]

    def show(self) -> None:
        """Show the sliders as they were left, or at the typical values of another training."""
        training = self.page.training or {}
        of = (training.get("machine_id", 0), training.get("training", 0))
        if of != self.of:
            self.of, self.moved, self.refused, self.added, self.answer = of, {}, {}, [], {}
        self._show()

    def move(self, values: Any) -> None:
        """Hold a variable at a value, and ask what follows."""
        name, value = given.value(values, "name"), given.value(values, "value")
        if name not in self.names:
            return
        document = self.page.document
        levels = document["words"].get(name)
        if levels is not None:
            held = value in levels
        else:
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                return
            value = self._snapped(name, float(value))
            low, high = document["ranges"][name]
            held = low <= value <= high
        self.refused.pop(name, None)
        if held:
            self.moved[name] = value
        else:
            self.refused[name] = value
        self._ask()

    def _snapped(self, name: str, value: float) -> float:
        """A typed value is the end of the range where it is the end as it is written."""
        ends = (end for end in self.page.document["ranges"][name] if math.isclose(end, value, rel_tol=1e-5))
        return next(ends, value)

    def back(self, values: Any) -> None:
        """Leave a variable as it was observed."""
        name = given.value(values, "name")
        if isinstance(name, str):
            self.moved.pop(name, None)
            self.refused.pop(name, None)
        self._ask()

    def reset(self, values: Any) -> None:
        """Leave all variables as they were observed."""
        self.moved, self.refused = {}, {}
        self._ask()

    def add(self, values: Any) -> None:
        """Show the slider of another variable."""
        name = given.value(values, "value")
        if name in self.names and name not in self.added:
            self.added.insert(0, str(name))
        self._show()

    def _ask(self) -> None:
        try:
            training = (self.page.training or {})["training"]
            body = {"values": self.moved, "training": training}
            self.answer = self.page.api.post(f"{self.page.at}/what-if", body) if self.moved else {}
        except ServiceError as error:
            if error.ended:
                raise
            self.answer = {"refused": error.detail}
        self._show()

    def _show(self) -> None:
        words, names = self.words, self.names
        shown = list(dict.fromkeys([*names[:FIRST], *self.added]))
        rest = [name for name in names if name not in shown]
        more = {
            "name": "add",
            "label": words("what_if.add"),
            "value": "",
            "options": [["", words("what_if.pick")], *([name, name] for name in rest)],
            "search": words("effect.search"),
        }
        self.sliders.show(
            title=words("what_if.title", target=self.page.document["target"]),
            note=words("what_if.note"),
            fields=[self._field(name) for name in shown],
            answer=self._said(),
            filters=[more] if rest else [],
            canReset=bool(self.moved or self.refused),
            texts={key: words(f"what_if.{key}") for key in ("exact", "back", "reset", "moved")},
        )

    def _field(self, name: str) -> Row:
        document, language, words = self.page.document, self.page.language, self.words
        typical = document["typical"].get(name)
        field: Row = {"name": name, "label": name, "moved": name in self.moved}
        if (levels := document["words"].get(name)) is not None:
            detail = words("what_if.usual", typical=typical)
            value = self.moved.get(name, typical)
            return field | {"options": [[one, one] for one in levels], "value": value, "detail": detail}
        low, high = document["ranges"][name]
        ends = {"low": figure(low, language), "high": figure(high, language)}
        field |= {
            "min": low,
            "max": high,
            "value": self.moved.get(name, low if typical is None else typical),
            "detail": words("what_if.range", typical=figure(typical, language), **ends),
        }
        if name in self.refused:
            value = cell(self.refused[name], language)
            field |= {"typed": self.refused[name], "error": words("what_if.beyond", value=value, **ends)}
        return field

    def _said(self) -> Row:
        words, language, answer = self.words, self.page.language, self.answer
        if "refused" in answer:
            return {"text": answer["refused"], "tone": "warn"}
        if not self.moved or not answer:
            return {"text": words("what_if.start")}
        ends = {key: figure(answer[key], language) for key in ("before", "after", "low", "high")}
        seen = share(answer["support"], language)
        rare = answer["support"] < RARE
        return {
            "text": words("what_if.answer", target=self.page.document["target"], **ends),
            "detail": words("what_if.rare" if rare else "what_if.support", share=seen),
            "tone": "warn" if rare else "",
        }
