"""Continuous predictions: started, stopped, and drawn while rows come."""

from datetime import UTC, datetime
from typing import Any

from vur.dashboards import given
from vur.dashboards.client import ServiceError
from vur.dashboards.monitoring.connections import Connections
from vur.dashboards.monitoring.part import Board, Part, badge, problems
from vur.dashboards.pages import standing
from vur.dashboards.pages.curves import stream_chart

POINTS = 120  # of the chart
BEFORE = 60  # values before the first forecast


class Streams(Part):
    """The table of continuous predictions, the chart of one, and the form that starts some; then the connections."""

    def __init__(self, page: Board):
        self.chosen_series: str | None = None
        self.before: tuple[Any, list[tuple[int, float | None]]] = (None, [])
        super().__init__(page)
        self.connections = Connections(page, self._show_start)

    def declare(self) -> None:
        """Declare the panels."""
        self.table, self.series, self.chart = (self.page.panel(kind) for kind in ("table", "form", "chart"))
        self.table.on("select", self.choose)
        self.table.on("stop", self.stop, role="analyst")
        self.table.on("resume", self.resume, role="analyst")
        self.table.on("remove", self.remove, role="analyst")
        self.series.on("series", self.choose_series)
        self.form = self.page.panel("form")
        self.form.on("start", self.start, role="analyst")

    def open(self) -> None:
        """Fill all panels, and those of the connections."""
        self.refresh()
        self.connections.open()

    def hide(self) -> None:
        """Take the panels off the page, and those of the connections."""
        super().hide()
        self.connections.hide()

    def refresh(self) -> None:
        """Ask the service again."""
        found = self.page.api.get("/monitoring/predictions", limit=100, sort="-created_at")["items"]
        self.items = found
        act = self.page.is_at_least("analyst")
        chosen, rows = self._chosen(), [self._row(row, act) for row in found]
        self.table.show(
            title=self.page.say("pages.monitoring.streams.title"),
            note=self.page.say("pages.monitoring.streams.note"),
            columns=[
                {"key": "name", "label": self.page.say("pages.models.name")},
                {"key": "source", "label": self.page.say("pages.monitoring.source")},
                {"key": "state", "label": self.page.say("pages.monitoring.state")},
                {"key": "every", "label": self.page.say("pages.monitoring.streams.every"), "type": "duration"},
                {
                    "key": "predictions",
                    "label": self.page.say("pages.monitoring.streams.predictions"),
                    "type": "number",
                },
                {"key": "last", "label": self.page.say("pages.monitoring.streams.last"), "type": "ago"},
                {"key": "outside", "label": self.page.say("pages.monitoring.streams.outside")},
                *problems(self.page, rows),
            ],
            rows=rows,
            select=True,
            selected=chosen["monitor_id"] if chosen else None,
            rowActions=[
                {"event": "stop", "label": self.page.say("pages.monitoring.streams.stop"), "when": "active"},
                {"event": "resume", "label": self.page.say("pages.monitoring.streams.resume"), "when": "stopped"},
                {
                    "event": "remove",
                    "label": self.page.say("pages.monitoring.remove"),
                    "kind": "small danger",
                    "when": "stopped",
                    "confirm": self.page.say("pages.monitoring.streams.remove_confirm"),
                },
            ]
            if act
            else None,
            actionsLabel=self.page.say("pages.monitoring.actions"),
            empty=self.page.say("pages.monitoring.streams.empty"),
        )
        self._draw()

    def _row(self, row: dict[str, Any], act: bool) -> dict[str, Any]:
        last = row["last"]
        outside = f"{last['outside'] or 0} / {last['observed']}" if last["observed"] else "–"
        return {
            "id": row["monitor_id"],
            "name": row["model_name"] or "–",
            "source": row["database_name"] or "–",
            "state": badge(self.page, row["status"]),
            "every": row["interval_seconds"],
            "predictions": row["predictions"],
            "last": row["last_run_at"],
            "outside": outside,
            "error": (row["error"] or {}).get("detail", ""),
            "active": act and row["status"] != "stopped",
            "stopped": act and row["status"] == "stopped",
        }

    def _chosen(self) -> dict[str, Any] | None:
        """The continuous predictions that are drawn: those in the address, else the first ones."""
        found, wanted = self.items, self.page.query.get("monitor")
        return next((row for row in found if row["monitor_id"] == wanted), next(iter(found), None))

    def _draw(self) -> None:
        row = self._chosen()
        if row is None:
            self.series.show(hidden=True)
            self.chart.show(hidden=True)
            return
        path = f"/monitoring/predictions/{row['monitor_id']}/points"
        points = self.page.api.get(path, points=POINTS, series=self.chosen_series)
        names = points["series_names"]
        if self.chosen_series is not None and self.chosen_series not in names:
            self.chosen_series = None
            points = self.page.api.get(path, points=POINTS)
        if len(names) > 1:
            self.series.show(
                fields=[
                    {
                        "name": "series",
                        "label": self.page.say("pages.monitoring.streams.series"),
                        "type": "choice",
                        "value": points["series"],
                        "options": [[name, name] for name in names],
                    }
                ],
                live="series",
            )
        else:
            self.series.show(hidden=True)
        drawn: dict[str, Any] = {"series": [], "bands": []}
        if points["series"] is not None:
            drawn = stream_chart(self.page, points)
            self._put_before(drawn["series"][0], row["model_id"], points)
        self.chart.show(
            title=self.page.say(
                "pages.monitoring.streams.chart", model=row["model_name"] or "–", source=row["database_name"] or "–"
            ),
            note=points["series"],
            height=320,
            label=self.page.say("pages.monitoring.streams.label"),
            empty=self.page.say("pages.monitoring.streams.waiting"),
            **drawn,
        )

    def _put_before(self, actual: dict[str, Any], model_id: str, points: dict[str, Any]) -> None:
        """Let the curve of actual values begin with the last ones that the model was trained on."""
        key = (model_id, points["series"], points["model_version"])
        if self.before[0] != key:
            self.before = (key, self._history(model_id, points))
        first = points["stamps"][0] if points["stamps"] else None
        earlier = [(x, y) for x, y in self.before[1] if first is None or x < first][-BEFORE:]
        actual["x"] = [x for x, _ in earlier] + actual["x"]
        actual["y"] = [y for _, y in earlier] + actual["y"]

    def _history(self, model_id: str, points: dict[str, Any]) -> list[tuple[int, float | None]]:
        """The values of a series before its forecasts, by the stamps of the chart; none if the model has no more."""
        try:
            found = self.page.api.get(f"/models/{model_id}/history", series=points["series"])["history"]
        except ServiceError as error:
            if error.ended:
                raise
            return []
        at = int if points["time"] == "integer" else wall_clock
        return [(at(text), value) for text, value in zip(found["timestamps"], found["values"], strict=True)]

    def choose(self, values: Any) -> None:
        """Draw other continuous predictions."""
        row = self.known(values, "monitor_id")
        self.chosen_series = None
        self.page.set_query(monitor=row["monitor_id"])
        self.table.update(selected=row["monitor_id"])
        self._draw()

    def choose_series(self, values: Any) -> None:
        """Draw another series."""
        self.chosen_series = given.text(values, "series") or None
        self._draw()

    def stop(self, values: Any) -> None:
        """Stop continuous predictions."""
        row = self.known(values, "monitor_id")
        self.page.api.post("/monitoring/predictions/stop", {"monitor_id": row["monitor_id"]})
        self.refresh()

    def resume(self, values: Any) -> None:
        """Start stopped continuous predictions again, where they stopped."""
        row = self.known(values, "monitor_id")
        self.page.api.post(
            "/monitoring/predictions/start",
            {key: row[key] for key in ("model_id", "database_id", "interval_seconds", "follow")},
        )
        self.refresh()

    def remove(self, values: Any) -> None:
        """Remove stopped continuous predictions; their forecasts stay in the ledger."""
        row = self.known(values, "monitor_id")
        self.page.api.delete(f"/monitoring/predictions/{row['monitor_id']}")
        self.refresh()

    def _show_start(self) -> None:
        """The form that starts continuous predictions; hidden for viewers, and while there is no model or source."""
        if not self.page.is_at_least("analyst"):
            self.form.show(hidden=True)
            return
        models = self.page.api.get("/monitoring/models", limit=standing.MOST)["items"]
        sources = self.connections.items
        if not models or not sources:
            self.form.show(hidden=True)
            return
        names = [[row["model_id"], row["name"]] for row in sorted(models, key=lambda row: not row["champion"])]
        self.form.show(
            title=self.page.say("pages.monitoring.start.title"),
            fields=[
                {"name": "model", "label": self.page.say("pages.models.name"), "type": "choice", "options": names},
                {
                    "name": "source",
                    "label": self.page.say("pages.monitoring.source"),
                    "type": "choice",
                    "options": [[row["id"], row["name"]] for row in sources],
                },
                {
                    "name": "every",
                    "label": self.page.say("pages.monitoring.start.every"),
                    "type": "number",
                    "value": 60,
                    "min": 1,
                    "max": 86_400,
                },
                {
                    "name": "follow",
                    "label": self.page.say("pages.monitoring.start.follow"),
                    "type": "switch",
                    "value": True,
                    "help": self.page.say("pages.monitoring.start.follow_help"),
                },
            ],
            submit={"event": "start", "label": self.page.say("pages.monitoring.start.submit")},
        )

    def start(self, values: Any) -> None:
        """Start continuous predictions of a model from a source."""
        every = values.get("every") if isinstance(values, dict) else None
        body = {
            "model_id": given.text(values, "model"),
            "database_id": given.text(values, "source"),
            "interval_seconds": every if isinstance(every, (int, float)) else 60,
            "follow": isinstance(values, dict) and values.get("follow") is True,
        }
        made = self.page.api.post("/monitoring/predictions/start", body)
        self.chosen_series = None
        self.page.set_query(monitor=made["monitor_id"])
        self.refresh()
        self.page.notice(self.page.say("pages.monitoring.start.done"), "success")


def wall_clock(text: str) -> int:
    """A date and time of the data's own clock in milliseconds, as charts count them."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)
