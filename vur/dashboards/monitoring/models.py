"""Models: whether each is still good, the evidence on one of them, and its training once more."""

from collections.abc import Collection
from typing import Any

from vur.dashboards import given
from vur.dashboards.monitoring.part import Part
from vur.dashboards.pages import standing
from vur.errors import VurError


class Models(Part):
    """The table of models, and the evidence on the chosen one."""

    slow = True

    def declare(self) -> None:
        """Declare the panels."""
        self.table, self.evidence, self.weeks = (self.page.panel(kind) for kind in ("table", "text", "chart"))
        self.table.on("select", self.choose)
        self.table.on("sort", self.sort)
        self.evidence.on("retrain", self.retrain, role="analyst")
        self.evidence.on("thresholds", self.thresholds, role="analyst")

    def open(self) -> None:
        """Fill the table, and show the evidence."""
        self.refresh()
        self._show_evidence()

    def refresh(self) -> None:
        """Ask the service again."""
        self.items = self.page.api.get("/monitoring/models", limit=standing.MOST)["items"]
        rows = standing.verdict_rows(self.page, self.items, self.page.query.get("sort", "verdict"))
        for row in rows:
            if row["champion"]:
                row["name"] = self.page.say("pages.models.champion", name=row["name"])
        self.table.show(
            title=self.page.say("pages.monitoring.models.title"),
            note=self.page.say("pages.monitoring.models.note"),
            columns=standing.verdict_columns(self.page),
            rows=rows,
            sort=self.page.query.get("sort", "verdict"),
            select=True,
            selected=self._model_id(rows),
            empty=self.page.say("pages.dashboard.models.empty"),
        )

    def _model_id(self, rows: Collection[dict[str, Any]] | None = None) -> str | None:
        """The model whose evidence is shown: the one in the address, else the first of the table."""
        ids = [row["id"] for row in (self.table.content.get("rows") or ()) if rows is None] or [
            row["id"] for row in rows or ()
        ]
        wanted = self.page.query.get("model")
        return wanted if wanted in ids else next(iter(ids), None)

    def sort(self, values: Any) -> None:
        """Sort the table of models by another column."""
        key = given.text(values, "key")
        if key.removeprefix("-") in {column.get("sort") for column in standing.verdict_columns(self.page)}:
            self.page.set_query(sort=key)
            self.refresh()

    def choose(self, values: Any) -> None:
        """Show the evidence on another model."""
        row = self.known(values, "model_id")
        self.page.set_query(model=row["model_id"])
        self.table.update(selected=row["model_id"])
        self._show_evidence()

    def _show_evidence(self) -> None:
        id = self._model_id()
        if id is None:
            self.evidence.show(hidden=True)
            self.weeks.show(hidden=True)
            return
        health = self.page.api.get(f"/monitoring/models/{id}/health")
        verdict, evidence = health["verdict"], health["evidence"]
        live, training, inputs = evidence["live"] or {}, evidence["training"], evidence["inputs"] or {}
        actions: list[dict[str, Any]] = []
        if self.page.is_at_least("analyst"):
            actions.append({"event": "thresholds", "label": self.page.say("pages.monitoring.models.thresholds")})
            actions.append(
                {
                    "event": "retrain",
                    "label": self.page.say("pages.monitoring.models.retrain"),
                    "kind": "primary" if verdict["retrain"] == "yes" else "",
                    "confirm": self.page.say("pages.monitoring.models.retrain_confirm", name=health["name"]),
                }
            )
        actions.append({"label": self.page.say("pages.chart.open"), "href": f"forecasts?model={id}"})
        percent, plain = "percent", "number"
        self.evidence.show(
            width="half",
            title=verdict["headline"],
            tone={"yes": "bad", "no": "good"}.get(verdict["retrain"], ""),
            lines=[reason["text"] for reason in verdict["reasons"]],
            facts=[
                [self.page.say("pages.models.compared"), live.get("n", 0), plain],
                [self.page.say("pages.models.live_error"), live.get("mae"), plain],
                [self.page.say("pages.models.training_error"), training["mae"], plain],
                [self.page.say("pages.models.live_skill"), live.get("skill"), percent],
                [self.page.say("pages.models.training_skill"), training["skill"], percent],
                [
                    self.page.say("pages.models.coverage"),
                    standing.coverage_text(live.get("coverage") or {}, self.page.language),
                ],
                [self.page.say("pages.models.new_rows"), inputs.get("rows"), plain],
                [self.page.say("pages.models.moved"), ", ".join(health["moved_columns"]) or "–"],
                [self.page.say("pages.models.trained"), health["trained_at"], "moment"],
            ],
            actions=actions,
        )
        weeks = [week for week in health["history"] if week["skill"] is not None]
        self.weeks.show(
            width="half",
            title=self.page.say("pages.monitoring.weeks.title"),
            note=self.page.say("pages.monitoring.weeks.note"),
            series=[
                {
                    "name": self.page.say("pages.models.live_skill"),
                    "x": [week["period"] for week in weeks],
                    "y": [week["skill"] for week in weeks],
                },
                {
                    "name": self.page.say("pages.models.training_skill"),
                    "x": [week["period"] for week in weeks],
                    "y": [training["skill"]] * len(weeks),
                    "style": "dashed",
                    "color": "second",
                },
            ]
            if len(weeks) > 1
            else [],
            y={"percent": True},
            height=260,
            empty=self.page.say("pages.monitoring.weeks.empty"),
        )

    def retrain(self, values: Any) -> None:
        """Queue a training of the model whose evidence is shown."""
        id = self._model_id()
        if id is None:
            raise VurError("pages.gone")
        self.page.api.post(f"/models/{id}/train")
        self.page.show_part("jobs")
        self.page.notice(self.page.say("pages.monitoring.models.queued"), "success")

    def thresholds(self, values: Any) -> None:
        """Show the thresholds of the model whose evidence is shown."""
        self.page.show_thresholds(self._model_id() or "")
