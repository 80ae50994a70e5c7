"""The Dashboard: figures with their trend, recent activity and what to do next."""

from typing import Any, ClassVar

from vur.dashboards.page import Page

TONES = {"success": "good", "warning": "warn", "error": "bad", "failed": "bad"}


class DashboardPage(Page):
    """Figures, activity and tasks."""

    name: ClassVar[str] = "dashboard"
    live: ClassVar[tuple[str, ...]] = ("training_update", "alert")

    def build(self) -> None:
        """Declare the panels."""
        self.figures = self.panel("cards")
        self.activity = self.panel("list")
        self.tasks = self.panel("list")

    def load(self) -> None:
        """Show the present state."""
        self.tick()

    def tick(self) -> None:
        """Refresh everything: each answer is small."""
        self._show_figures(self.api.get("/dashboard/stats"))
        self._show_activity(self.api.get("/dashboard/activity", limit=8)["activities"])
        self._show_tasks(self.api.get("/dashboard/tasks")["tasks"])

    def _show_figures(self, stats: dict[str, Any]) -> None:
        self.figures.show(
            items=[
                {"name": key, "label": self.say(f"pages.dashboard.{key}"), "value": stats[key]}
                for key in ("active_models", "total_datasets", "active_alerts")
            ]
        )

    def _show_activity(self, activities: list[dict[str, Any]]) -> None:
        self.activity.show(
            title=self.say("pages.dashboard.activity"),
            width="half",
            empty=self.say("pages.dashboard.no_activity"),
            items=[
                {"text": one["message"], "tone": TONES.get(one["status"], "info"), "at": one["timestamp"]}
                for one in activities
            ],
        )

    def _show_tasks(self, tasks: list[dict[str, Any]]) -> None:
        self.tasks.show(
            title=self.say("pages.dashboard.tasks"),
            width="half",
            empty=self.say("pages.dashboard.no_tasks"),
            items=[{"text": one.get("message") or one.get("title"), "tone": "warn"} for one in tasks],
        )


def open() -> DashboardPage:
    """Open the page: in the dashboards for the visitor, in a notebook with the token of `VUR_TOKEN`."""
    return DashboardPage()
