"""Step 3, split: the cut and each fold, drawn on a series."""

from typing import Any, ClassVar

from vur.dashboards.wizard.look import _axis
from vur.dashboards.wizard.step import Step


class Split(Step):
    """Training, folds and test."""

    name: ClassVar[str] = "split"
    panels: ClassVar[tuple[str, ...]] = ("options", "chart", "table")

    def draw(self) -> None:
        """Show the parts on the series, and each fold by date."""
        seen, say = self.page.look(), self.page.say
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
            actions=self.series_field(seen),
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
