"""Step 4, preprocessing: a series before and after."""

from typing import Any, ClassVar

from vur.dashboards.wizard.look import _axis
from vur.dashboards.wizard.step import Step

MOST_CHANGES = 50


class Preprocessing(Step):
    """Gaps, outliers and transforms of the target."""

    name: ClassVar[str] = "preprocessing"
    panels: ClassVar[tuple[str, ...]] = ("options", "chart", "losses", "table")

    def draw(self) -> None:
        """Show the series before and after, the transformed one, and the values that were changed."""
        seen, say = self.page.look(), self.page.say
        points, counts = seen["points"], seen["counts"]
        outliers = seen["outliers"]
        self.page.chart.show(
            title=say("pages.pipeline.preprocessing.chart", series=seen["shown"]),
            note=" ".join(seen["notes"]) or say("pages.pipeline.preprocessing.unchanged"),
            height=360,
            x=_axis(points["ds"]),
            zoom=True,
            series=[
                {"name": say("pages.pipeline.before"), "x": points["ds"], "y": points["before"], "color": "second"},
                {"name": say("pages.pipeline.after"), "x": points["ds"], "y": points["after"], "color": "primary"},
                *self._filled(seen),
                *(
                    [
                        {
                            "name": say("pages.pipeline.preprocessing.outliers"),
                            "x": [one["ds"] for one in outliers],
                            "y": [one["value"] for one in outliers],
                            "style": "dots",
                            "color": "fourth",
                        }
                    ]
                    if outliers
                    else []
                ),
            ],
            **self.series_choice(seen),
        )
        self._show_transformed(points)
        self.page.table.show(
            title=say("pages.pipeline.preprocessing.changes"),
            note=say("pages.pipeline.preprocessing.counts", **counts),
            columns=[
                {"key": "ds", "label": say("pages.pipeline.date"), "type": "date"},
                {"key": "what", "label": say("pages.pipeline.preprocessing.what")},
                {"key": "value", "label": say("pages.pipeline.before"), "type": "number"},
                {"key": "used", "label": say("pages.pipeline.after"), "type": "number"},
            ],
            rows=self._changes(seen),
            empty=say("pages.pipeline.preprocessing.unchanged"),
        )

    def _filled(self, seen: dict[str, Any]) -> list[dict[str, Any]]:
        """The gaps that were filled as points of the chart."""
        after = dict(zip(seen["points"]["ds"], seen["points"]["after"], strict=True))
        filled = [stamp for stamp in seen["filled"] if stamp in after]
        if not filled:
            return []
        name = self.page.say("pages.pipeline.preprocessing.filled")
        return [{"name": name, "x": filled, "y": [after[one] for one in filled], "style": "dots", "color": "third"}]

    def _show_transformed(self, points: dict[str, Any]) -> None:
        if points["transformed"] is None:
            self.page.losses.show(hidden=True)
            return
        name = self.page.say("pages.pipeline.preprocessing.transformed")
        self.page.losses.show(
            title=name,
            height=220,
            x=_axis(points["ds"]),
            series=[{"name": name, "x": points["ds"], "y": points["transformed"], "color": "third"}],
        )

    def _changes(self, seen: dict[str, Any]) -> list[dict[str, Any]]:
        say = self.page.say
        kinds = {"outlier": say("pages.pipeline.preprocessing.outlier"), "gap": say("pages.pipeline.preprocessing.gap")}
        after = dict(zip(seen["points"]["ds"], seen["points"]["after"], strict=True))
        rows = [{"id": f"o{one['ds']}", "what": kinds["outlier"], **one} for one in seen["outliers"]]
        rows += [
            {"id": f"g{stamp}", "ds": stamp, "what": kinds["gap"], "value": None, "used": after.get(stamp)}
            for stamp in seen["filled"]
        ]
        return sorted(rows, key=lambda row: str(row["ds"]))[:MOST_CHANGES]
