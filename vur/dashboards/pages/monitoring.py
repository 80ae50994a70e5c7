"""The monitoring page: models, jobs, continuous predictions, alerts, webhooks, the machine, logs: a part at a time."""

import time
from typing import Any

from vur.dashboards import given
from vur.dashboards.monitoring.alerts import Alerts
from vur.dashboards.monitoring.jobs import Jobs
from vur.dashboards.monitoring.logs import Logs
from vur.dashboards.monitoring.models import Models
from vur.dashboards.monitoring.part import Board, Part
from vur.dashboards.monitoring.streams import Streams
from vur.dashboards.monitoring.system import System
from vur.dashboards.monitoring.webhooks import Webhooks

REST = 20.0  # seconds between two refreshes of what changes slowly
VIEWS = ("models", "jobs", "streams", "alerts", "webhooks", "system", "logs")
OLD_NAMES = {"retrain": "models", "training": "jobs"}  # of parts, in links to tasks
LED_BY = {
    "monitor": "streams",
    "source": "streams",
    "job": "jobs",
    "webhook": "webhooks",
    "model": "models",
}  # what an address may name


class MonitoringPage(Board):
    """What runs, whether it runs well, and what to do if not. Its parts are in `vur.dashboards.monitoring`."""

    name = "monitoring"
    live = ("training_update", "prediction", "alert")

    def build(self) -> None:
        """Declare the panels of all parts; those of the chosen one are shown."""
        self.tabs = self.panel("tabs")
        self.tabs.on("tab", self.open_part)
        self.models, self.jobs, self.streams = Models(self), Jobs(self), Streams(self)
        self.alerts, self.webhooks = Alerts(self), Webhooks(self)
        self.system, self.logs = System(self), Logs(self)
        self.open_alerts = 0
        self.refreshed = 0.0

    @property
    def parts(self) -> dict[str, Part]:
        """The parts that the visitor may see, by name."""
        return {name: getattr(self, name) for name in VIEWS if name != "logs" or self.is_at_least("admin")}

    @property
    def view(self) -> str:
        """The part that is shown; a link to a task of a model, monitor, job or source leads to its part."""
        wanted = self.query.get("view", "")
        wanted = OLD_NAMES.get(wanted, wanted)
        for key, part in LED_BY.items():
            wanted = wanted if wanted in VIEWS or key not in self.query else part
        return wanted if wanted in self.parts else VIEWS[0]

    def load(self) -> None:
        """Show the chosen part, and hide the others."""
        self.refreshed = time.monotonic()
        for name in VIEWS:
            if name != self.view:
                getattr(self, name).hide()
        self.count_alerts()
        self.parts[self.view].open()

    def tick(self) -> None:
        """Refresh what changes in the part that is shown."""
        part = self.parts[self.view]
        if part.slow and time.monotonic() - self.refreshed < REST:
            return
        self.refreshed = time.monotonic()
        if part.slow:
            self.count_alerts()
        part.refresh()

    def open_part(self, values: Any) -> None:
        """Show another part."""
        name = given.text(values, "name")
        if name in VIEWS:
            self.show_part(name)

    def show_part(self, view: str) -> None:
        """Show another part."""
        self.set_query(view=view, model=None, monitor=None, source=None, job=None, webhook=None)
        self.load()

    def show_thresholds(self, model_id: str) -> None:
        """Show the thresholds of a model."""
        self.alerts.scope = model_id
        self.show_part("alerts")

    def count_alerts(self) -> None:
        """Count the open alerts, and show how many."""
        self.open_alerts = self.api.get("/dashboard/alerts", limit=1)["total"]
        self.tabs.show(
            label=self.say("pages.monitoring.parts"),
            current=self.view,
            items=[
                {
                    "name": name,
                    "label": self.say(f"pages.monitoring.part.{name}"),
                    "count": self.open_alerts if name == "alerts" else None,
                }
                for name in self.parts
            ],
        )


def open() -> MonitoringPage:
    """Open the page: in the dashboards for the visitor, in a notebook with the token of `VUR_TOKEN`."""
    return MonitoringPage()
