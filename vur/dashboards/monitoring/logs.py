"""The log of the service, for administrators."""

from typing import Any

from vur.dashboards import given
from vur.dashboards.monitoring.part import SEVERITIES, Part

ROWS = 200
PEOPLE = 200  # users whose names are known
LEVELS = ("debug", "info", "warning", "error")
SHOWN = ("changes", "all")  # without the requests that only read, as open pages do all the time, or with them


class Logs(Part):
    """The table of records, with a filter and a search."""

    def declare(self) -> None:
        """Declare the panel."""
        self.people: dict[str, str] = {}
        self.table = self.page.panel("table")
        self.table.on("filter", self.filter, role="admin")
        self.table.on("search", self.search, role="admin")

    def refresh(self) -> None:
        """Ask the service again."""
        level = self.page.query.get("level", "")
        level = level if level in LEVELS else "info"
        text = self.page.query.get("text", "")[:200]
        shown = "all" if self.page.query.get("requests") == "all" else SHOWN[0]
        found = self.page.api.get(
            "/monitoring/logs", level=level, limit=ROWS, search=text or None, reads=str(shown == "all").lower()
        )["logs"]
        people = self._people(found)
        self.table.show(
            title=self.page.say("pages.monitoring.logs.title"),
            columns=[
                {"key": "at", "label": self.page.say("pages.monitoring.logs.at"), "type": "moment"} | {"seconds": True},
                {"key": "level", "label": self.page.say("pages.monitoring.logs.level")},
                {"key": "who", "label": self.page.say("pages.monitoring.logs.who")},
                {"key": "event", "label": self.page.say("pages.monitoring.logs.event"), "wide": True},
                {"key": "details", "label": self.page.say("pages.monitoring.logs.details"), "wide": True},
            ],
            rows=[
                {
                    "at": row["timestamp"],
                    "level": {"text": self._level(row["level"]), "tone": SEVERITIES.get(row["level"] or "", "muted")},
                    "who": people.get(row.get("user_id") or "", "–"),
                    "event": _event(row),
                    "details": _details(row),
                }
                for row in found
            ],
            search={"label": self.page.say("pages.monitoring.logs.search"), "value": text},
            filters=[
                {
                    "name": "level",
                    "label": self.page.say("pages.monitoring.logs.level"),
                    "value": level,
                    "options": [[one, self.page.say(f"pages.monitoring.severity.{one}")] for one in LEVELS],
                },
                {
                    "name": "requests",
                    "label": self.page.say("pages.monitoring.logs.requests"),
                    "value": shown,
                    "options": [[one, self.page.say(f"pages.monitoring.logs.requests.{one}")] for one in SHOWN],
                },
            ],
            empty=self.page.say("pages.monitoring.logs.empty"),
        )

    def _level(self, level: str | None) -> str:
        return self.page.say(f"pages.monitoring.severity.{level}") if level in SEVERITIES else level or "–"

    def _people(self, rows: list[dict[str, Any]]) -> dict[str, str]:
        """The addresses of the users whom records name, asked for once a user."""
        for id in {row["user_id"] for row in rows if row.get("user_id")} - self.people.keys():
            self.people[id] = id
            for user in self.page.api.get("/users", limit=PEOPLE)["items"]:
                self.people[user["id"]] = user["email"]
        return self.people

    def filter(self, values: Any) -> None:
        """Show the records of another lowest level, or also requests that only read."""
        name = "requests" if given.text(values, "name") == "requests" else "level"
        self.page.set_query(**{name: given.text(values, "value")})
        self.refresh()

    def search(self, values: Any) -> None:
        """Show the records that contain a text."""
        self.page.set_query(text=given.text(values, "text")[:200] or None)
        self.refresh()


def _event(row: dict[str, Any]) -> str:
    """What a record says; a request with its result."""
    if row["event"] != "request":
        return str(row["event"])
    return f"{row.get('method')} {row.get('route')}: {row.get('status')}, {row.get('ms')} ms"


def _details(row: dict[str, Any]) -> str:
    """The other fields of a record."""
    told = ("timestamp", "level", "event", "method", "route", "status", "ms", "user_id")
    rest = {key: value for key, value in row.items() if key not in told and value is not None}
    return "  ".join(f"{key}={value}" for key, value in rest.items())[:600]
