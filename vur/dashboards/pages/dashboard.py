"""The dashboard: figures with their history, champions' forecasts, whether models are still good, tasks, activity."""

import time
from typing import Any
from urllib.parse import urlencode

from vur.dashboards.page import Page
from vur.dashboards.pages import standing
from vur.dashboards.pages.curves import forecast_chart

REST = 20.0  # seconds between two refreshes
SHOWN_TASKS, SHOWN_ACTIVITIES, CHAMPIONS, ACTUALS = 6, 8, 6, 90
DONE = {"success": "good", "warning": "warn", "error": "bad"}
URGENT = {"high": "bad", "medium": "warn", "low": "info"}


def address(place: dict[str, Any]) -> str | None:
    """The address of a page that the service names, with its parameters."""
    if not place.get("page"):
        return None
    query = urlencode(place["parameters"])
    return f"{place['page']}?{query}" if query else str(place["page"])


class DashboardPage(Page):
    """What a stakeholder opens first."""

    name = "dashboard"
    live = ("training_update", "alert")

    def build(self) -> None:
        """Declare the panels from top to bottom."""
        self.figures = self.panel("cards")
        self.chart = self.panel("chart")
        self.champions = self.panel("table")
        self.models = self.panel("table")
        self.tasks = self.panel("list")
        self.activity = self.panel("list")
        self.champions.on("select", self.choose)
        self.models.on("sort", self.sort)
        self.items: list[dict[str, Any]] = []
        self.listed: list[dict[str, Any]] = []
        self.refreshed = 0.0

    def load(self) -> None:
        """Fill all panels."""
        self.refreshed = time.monotonic()
        self._figures()
        self._forecasts()
        self._models()
        self._tasks()
        self._activity()

    def tick(self) -> None:
        """Refresh now and then; what is chosen stays."""
        if time.monotonic() - self.refreshed >= REST:
            self.load()

    # Figures

    def _figures(self) -> None:
        found = self.api.get("/dashboard/figures")
        self.figures.show(
            items=[
                self._figure("models", found["models"], href="monitoring?view=models", up=True),
                self._figure("skill", found["skill"], unit="%", digits=1, up=True),
                self._figure("live_skill", found["live_skill"], unit="%", digits=1, up=True),
                self._figure("datasets", found["datasets"], href="data", up=None),
                self._figure("alerts", found["alerts"], href="monitoring?view=alerts", up=False),
            ]
        )

    def _figure(
        self, name: str, figure: dict[str, Any], *, unit: str = "", digits: int = 0, up: bool | None, href: str = ""
    ) -> dict[str, Any]:
        """A card; `up` is whether growth is good (None: neither)."""
        change, points = figure["change"], figure["points"]
        item: dict[str, Any] = {
            "name": name,
            "label": self.say(f"pages.dashboard.figure.{name}"),
            "value": figure["value"],
            "digits": digits,
            "note": self._note(name, figure),
            "unit": unit if figure["value"] is not None else "",
            "href": href or None,
        }
        if change is not None:
            item["delta"] = self.say(
                "pages.dashboard.figure.change" if unit == "" else "pages.dashboard.figure.change_points",
                change=standing.signed(change, self.language, digits),
            )
            item["trend"] = "up" if change > 0 else "down" if change < 0 else "flat"
            item["good"] = None if up is None or change == 0 else (change > 0) == up
        if points:
            item["spark"] = [point["value"] for point in points]
        return item

    def _note(self, name: str, figure: dict[str, Any]) -> str | None:
        """What a figure without a trend waits for; what a gain is measured against."""
        gain = name in ("skill", "live_skill")
        if figure["value"] is None or not (figure["points"] or gain):
            return self.say(f"pages.dashboard.figure.{name}_note")
        return self.say("pages.dashboard.figure.than_naive") if gain else None

    # Forecasts

    def _forecasts(self) -> None:
        self.items = self.api.get("/dashboard/forecasts", limit=CHAMPIONS, actuals=ACTUALS)["items"]
        chosen = self._chosen()
        self.champions.show(
            width="rest",
            title=self.say("pages.dashboard.champions.title"),
            note=self.say("pages.dashboard.champions.note"),
            select=True,
            selected=chosen["model_id"] if chosen else None,
            columns=[
                {"key": "name", "label": self.say("pages.models.name")},
                {"key": "spark", "label": self.say("pages.dashboard.champions.forecast")},
                {"key": "skill", "label": self.say("pages.models.skill"), "type": "percent", "digits": 0},
            ],
            rows=[
                {
                    "id": item["model_id"],
                    "name": item["name"],
                    "spark": {"spark": item["forecast"]["values"]} if item["forecast"] else None,
                    "skill": item["skill"],
                }
                for item in self.items
            ],
            empty=self.say("pages.dashboard.champions.empty"),
        )
        self._draw()

    def _chosen(self) -> dict[str, Any] | None:
        """The champion that the visitor chose, else the first one that has a forecast."""
        wanted = self.query.get("model")
        known = [item for item in self.items if item["model_id"] == wanted]
        drawn = [item for item in self.items if item["forecast"]]
        return next(iter([*known, *drawn, *self.items]), None)

    def _draw(self) -> None:
        chosen = self._chosen()
        title = self.say("pages.dashboard.chart.title")
        if chosen is None or chosen["forecast"] is None:
            start = self.is_at_least("analyst") and not self.items
            self.chart.show(
                width="most",
                title=title if chosen is None else chosen["name"],
                empty=self.say("pages.dashboard.chart.empty" if chosen is None else "pages.dashboard.chart.gone"),
                actions=[{"label": self.say("pages.dashboard.start"), "href": "pipeline", "kind": "primary"}]
                if start
                else [],
            )
            return
        self.chart.show(width="most", **forecast_chart(self, chosen))

    def choose(self, values: Any) -> None:
        """Show the forecast of another champion."""
        id = values.get("id") if isinstance(values, dict) else None
        if id in {item["model_id"] for item in self.items}:
            self.set_query(model=id)
            self.champions.update(selected=id)
            self._draw()

    # Is it still good?

    def _models(self) -> None:
        self.listed = self.api.get("/monitoring/models", limit=standing.MOST)["items"]
        champions = [model for model in self.listed if model["champion"]]
        rows = standing.verdict_rows(self, champions, self.query.get("sort", "verdict"))
        for row in rows:
            row["href"] = f"monitoring?{urlencode({'view': 'models', 'model': row['id']})}"
        self.models.show(
            title=self.say("pages.dashboard.models.title"),
            note=self.say("pages.dashboard.models.note"),
            columns=standing.verdict_columns(self),
            rows=rows,
            sort=self.query.get("sort", "verdict"),
            empty=self.say("pages.dashboard.models.empty"),
        )

    def sort(self, values: Any) -> None:
        """Sort the table of models by another column."""
        key = str(values.get("key", "")) if isinstance(values, dict) else ""
        columns = {column["sort"] for column in standing.verdict_columns(self) if column.get("sort")}
        if key.removeprefix("-") in columns:
            self.set_query(sort=key)
            self._models()

    # Tasks and activity

    def _tasks(self) -> None:
        found = self.api.get("/dashboard/tasks")
        shown = found["tasks"][:SHOWN_TASKS]
        width = "half" if shown else None
        self.tasks.show(
            width=width,
            title=self.say("pages.dashboard.tasks.title"),
            note=self.say("pages.dashboard.tasks.more", count=found["total"] - len(shown))
            if found["total"] > len(shown)
            else None,
            items=[
                {
                    "text": task["title"],
                    "detail": task["reason"],
                    "tone": URGENT[task["priority"]],
                    "href": address(task) if self._may_open(task) else None,
                }
                for task in shown
            ],
            empty=self.say("pages.dashboard.tasks.empty"),
        )

    def _may_open(self, place: dict[str, Any]) -> bool:
        return place.get("page") != "pipeline" or self.is_at_least("analyst")

    def _activity(self) -> None:
        rows = self.api.get("/dashboard/activity", limit=SHOWN_ACTIVITIES)["activities"]
        self.activity.show(
            width=self.tasks.content.get("width"),
            title=self.say("pages.dashboard.activity.title"),
            items=[
                {
                    "text": row["message"],
                    "at": row["timestamp"],
                    "tone": DONE.get(row["status"], "info"),
                    "href": address(row) if self._may_open(row) else None,
                }
                for row in rows
            ],
            empty=self.say("pages.dashboard.activity.empty"),
        )


def open() -> DashboardPage:
    """The page, for its notebook."""
    return DashboardPage()
