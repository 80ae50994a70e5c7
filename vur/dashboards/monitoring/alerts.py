"""Alerts, and the thresholds that raise them."""

from typing import Any

from vur.dashboards import given
from vur.dashboards.monitoring.part import ROWS, SEVERITIES, Board, Part
from vur.dashboards.pages import standing


class Alerts(Part):
    """The table of alerts, and the form of thresholds: `scope` is the model that they are of, empty for all."""

    slow = True

    def __init__(self, page: Board):
        self.scope = ""
        self.limits: list[dict[str, Any]] = []
        super().__init__(page)

    def declare(self) -> None:
        """Declare the panels."""
        self.table, self.thresholds = self.page.panel("table"), self.page.panel("form")
        self.table.on("filter", self.filter)
        self.table.on("page", lambda values: self.turn("alerts_page", values))
        self.table.on("acknowledge", self.acknowledge, role="analyst")
        self.table.on("acknowledge_all", self.acknowledge_all, role="analyst")
        self.thresholds.on("scope", self.choose_scope, role="analyst")
        self.thresholds.on("save", self.save, role="analyst")
        self.thresholds.on("reset", self.reset, role="analyst")

    def open(self) -> None:
        """Fill all panels."""
        self.refresh()
        self._show_thresholds()

    def refresh(self) -> None:
        """Ask the service again."""
        state = self._state()
        page = self.page.api.get(
            "/dashboard/alerts", state=state, limit=ROWS, page=self.page_number("alerts_page"), sort="-created_at"
        )
        self.items = page["items"]
        act = self.page.is_at_least("analyst")
        some = act and any(row["state"] == "open" for row in page["items"])
        self.table.show(
            title=self.page.say("pages.monitoring.alerts.title"),
            columns=[
                {"key": "message", "label": self.page.say("pages.monitoring.alerts.message"), "wide": True},
                {"key": "severity", "label": self.page.say("pages.monitoring.alerts.severity")},
                {"key": "state", "label": self.page.say("pages.monitoring.state")},
                {"key": "at", "label": self.page.say("pages.monitoring.alerts.at"), "type": "ago"},
            ],
            rows=[
                {
                    "id": row["id"],
                    "message": row["message"],
                    "href": self._address(row),
                    "severity": {
                        "text": self.page.say(f"pages.monitoring.severity.{row['severity']}"),
                        "tone": SEVERITIES.get(row["severity"], "info"),
                    },
                    "state": self.page.say(f"pages.monitoring.alerts.state.{row['state']}"),
                    "at": row["created_at"],
                    "open": act and row["state"] == "open",
                }
                for row in page["items"]
            ],
            filters=[
                {
                    "name": "state",
                    "label": self.page.say("pages.monitoring.state"),
                    "value": state,
                    "options": [
                        [one, self.page.say(f"pages.monitoring.alerts.state.{one}")]
                        for one in ("open", "acknowledged", "resolved", "all")
                    ],
                }
            ],
            rowActions=[
                {"event": "acknowledge", "label": self.page.say("pages.monitoring.alerts.acknowledge"), "when": "open"}
            ]
            if act
            else None,
            actionsLabel=self.page.say("pages.monitoring.actions"),
            actions=[{"event": "acknowledge_all", "label": self.page.say("pages.monitoring.alerts.acknowledge_all")}]
            if some
            else [],
            page=page["page"],
            pages=page["pages"],
            pagesLabel=self.page.say("pages.monitoring.pages"),
            empty=self.page.say(f"pages.monitoring.alerts.empty_{'open' if state == 'open' else 'other'}"),
        )

    def _address(self, place: dict[str, Any]) -> str | None:
        from vur.dashboards.pages.dashboard import address

        build = place["page"] != "pipeline" or self.page.is_at_least("analyst")
        return address(place) if build else None

    def _state(self) -> str:
        wanted = self.page.query.get("state", "open")
        return wanted if wanted in ("open", "acknowledged", "resolved", "all") else "open"

    def filter(self, values: Any) -> None:
        """Show the alerts of another state."""
        self.page.set_query(state=given.text(values, "value"), alerts_page=None)
        self.refresh()

    def acknowledge(self, values: Any) -> None:
        """Acknowledge an alert."""
        row = self.known(values, "id")
        self.page.api.post(f"/dashboard/alerts/{row['id']}/acknowledge")
        self._changed()

    def acknowledge_all(self, values: Any) -> None:
        """Acknowledge all open alerts of the visitor."""
        count = self.page.api.post("/dashboard/alerts/acknowledge")["acknowledged"]
        self._changed()
        self.page.notice(self.page.say("pages.monitoring.alerts.acknowledged", count=count), "success")

    def _changed(self) -> None:
        self.refresh()
        self.page.count_alerts()

    def _show_thresholds(self) -> None:
        """The form of thresholds: of all models of the visitor, or of one; hidden for viewers."""
        if not self.page.is_at_least("analyst"):
            self.thresholds.show(hidden=True)
            return
        models = self.page.api.get("/monitoring/models", limit=standing.MOST)["items"]
        if self.scope not in {row["model_id"] for row in models}:
            self.scope = ""
        items = self.page.api.get("/monitoring/thresholds", model_id=self.scope or None)["items"]
        self.limits = items
        options = [["", self.page.say("pages.monitoring.thresholds.all")]]
        self.thresholds.show(
            title=self.page.say("pages.monitoring.thresholds.title"),
            text=self.page.say("pages.monitoring.thresholds.text"),
            fields=[
                {
                    "name": "model",
                    "label": self.page.say("pages.monitoring.thresholds.scope"),
                    "type": "choice",
                    "value": self.scope,
                    "options": options + [[row["model_id"], row["name"]] for row in models],
                    "wide": True,
                },
                *(
                    {
                        "name": one["kind"],
                        "label": f"{one['title']} ({self.page.say('pages.monitoring.thresholds.unit.' + one['unit'])})",
                        "type": "number",
                        "value": one["value"],
                        "min": one["least"],
                        "max": one["most"],
                        "help": f"{one['help']} {self.page.say('pages.monitoring.thresholds.set_by.' + one['set_by'])}",
                    }
                    for one in items
                ),
            ],
            live="scope",
            submit={"event": "save", "label": self.page.say("pages.monitoring.thresholds.save")},
            buttons=[{"event": "reset", "label": self.page.say("pages.monitoring.thresholds.reset")}],
        )

    def choose_scope(self, values: Any) -> None:
        """Show the thresholds of another model, or of all; other changes wait for the button."""
        scope = given.text(values, "model")
        if scope != self.scope:
            self.scope = scope
            self._show_thresholds()

    def save(self, values: Any) -> None:
        """Save the thresholds that were changed."""
        given = values if isinstance(values, dict) else {}
        changed = {
            one["kind"]: given[one["kind"]]
            for one in self.limits
            if one["kind"] in given and given[one["kind"]] != one["value"]
        }
        if changed:
            self.page.api.put("/monitoring/thresholds", {"model_id": self.scope or None, "values": changed})
        self._show_thresholds()
        self.page.notice(self.page.say("pages.monitoring.thresholds.saved"), "success")

    def reset(self, values: Any) -> None:
        """Let the usual thresholds count again; for a model, those of the visitor."""
        self.page.api.delete("/monitoring/thresholds", params={"model_id": self.scope} if self.scope else {})
        self._show_thresholds()
