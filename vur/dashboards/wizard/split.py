"""Step 3, split: the cut and each fold, drawn on a series."""

from typing import Any, ClassVar

from vur.dashboards.wizard.board import Board
from vur.dashboards.wizard.look import _axis
from vur.dashboards.wizard.step import Step, flat

CUTS = ("validation_start", "test_start")


class Split(Step):
    """Training, folds and test."""

    name: ClassVar[str] = "split"
    panels: ClassVar[tuple[str, ...]] = ("options", "chart", "table")

    def __init__(self, page: Board):
        super().__init__(page)
        self.seen: dict[str, Any] = {}  # the split that is drawn

    def show(self) -> None:
        """Show the split, then the form, whose dates are as fine as the data's."""
        self.errors, self.refusal = {}, None
        self.values = flat(self.page.chosen())
        try:
            self.draw()
        finally:
            self.show_form()

    def field(self, field: dict[str, Any]) -> dict[str, Any]:
        """A field; dates have a time where the data have one, and are numbers where the data count steps."""
        shown = super().field(field)
        first = next(iter((self.seen.get("points") or {}).get("ds") or []), "")
        if field["type"] == "date" and not isinstance(first, str):
            return shown | {"type": "integer"}
        if field["type"] == "date" and "T" in first:
            return shown | {"type": "datetime", "value": str(shown["value"])[:16]}
        return shown

    def on_chart_cut(self, values: dict[str, Any]) -> None:
        """Move the beginning of the test or of the folds to where its line was left; the horizon stays."""
        name, at, seen = str(values.get("name")), values.get("x"), self.seen
        if name not in CUTS or at not in seen["points"]["ds"]:
            return
        sizes = ("test_size",) if name == "test_start" else ("validation_size", "train_size")
        held = {"horizon": seen["horizon"]}
        if name == "validation_start" and seen["test_fold"]:
            held["test_start"] = seen["test_fold"]["scored_start"]
            sizes = (*sizes, "test_size")
        chosen = {key: value for key, value in self.values.items() if key not in sizes and value is not None}
        if self.choose({**held, **chosen, name: at}):
            self.show_form()

    def _cuts(self) -> list[dict[str, Any]]:
        """The lines that can be moved: where the first fold is scored from, and where the test begins."""
        folds, test, say = self.seen["folds"], self.seen["test_fold"], self.page.say
        starts = {
            "validation_start": folds[0]["scored_start"] if folds else None,
            "test_start": test["scored_start"] if test else None,
        }
        return [
            {"name": name, "label": say(f"pages.pipeline.split.cut.{name}"), "x": starts[name]}
            for name in CUTS
            if starts[name] is not None
        ]

    def draw(self) -> None:
        """Show the parts on the series, and each fold by date."""
        seen, say = self.page.look(), self.page.say
        self.seen = seen
        points = seen["points"]
        folds, test = seen["folds"], seen["test_fold"]
        fold_word = say("pages.pipeline.split.fold")
        spans = [
            {
                "from": one["scored_start"],
                "to": one["scored_end"],
                "label": f"{one['fold']}",
                "tone": "primary",
                "strength": 0.16,
            }
            for one in folds
        ]
        if test:
            label = say("pages.pipeline.split.test")
            spans.append(
                {
                    "from": test["scored_start"],
                    "to": test["scored_end"],
                    "label": label,
                    "tone": "fourth",
                    "strength": 0.2,
                }
            )
        self.page.chart.show(
            title=say("pages.pipeline.split.chart", series=seen["shown"]),
            note=" ".join(seen["notes"]) or None,
            label=say("pages.pipeline.split.label", folds=len(folds), horizon=seen["horizon"]),
            height=360,
            x=_axis(points["ds"]),
            zoom=True,
            series=[{"name": say("pages.pipeline.observed"), "x": points["ds"], "y": points["y"], "color": "second"}],
            spans=spans,
            cuts=self._cuts(),
            text=say("pages.pipeline.split.cut.help"),
            **self.series_choice(seen),
        )
        rows = [*folds, *([test] if test else [])]
        kind = "date" if _axis(points["ds"]) == "time" else "number"
        self.page.table.show(
            title=say("pages.pipeline.split.folds", folds=len(folds), horizon=seen["horizon"]),
            columns=[
                {"key": "fold", "label": fold_word},
                {"key": "training_start", "label": say("pages.pipeline.split.from"), "type": kind},
                {"key": "cutoff", "label": say("pages.pipeline.split.cutoff"), "type": kind},
                {"key": "training_rows", "label": say("pages.pipeline.split.training_rows"), "type": "number"},
                {"key": "scored_start", "label": say("pages.pipeline.split.scored_from"), "type": kind},
                {"key": "scored_end", "label": say("pages.pipeline.split.scored_to"), "type": kind},
                {"key": "scored_rows", "label": say("pages.pipeline.split.scored_rows"), "type": "number"},
                {"key": "series", "label": say("pages.pipeline.split.series"), "type": "number"},
            ],
            rows=[one | {"id": str(one["fold"]), "fold": self._fold(one)} for one in rows],
        )

    def _fold(self, one: dict[str, Any]) -> str:
        return str(one["fold"]) if one["fold"] else self.page.say("pages.pipeline.split.test")
