"""Database connections: tested, looked into, added and removed."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from vur.dashboards import given
from vur.dashboards.client import ServiceError
from vur.dashboards.monitoring.part import Board, Part, badge, problems
from vur.dashboards.words import cell

KINDS = ("sqlite", "duckdb", "parquet", "postgresql")
FIELDS = {  # of the form, by the service's names
    "name": "name",
    "kind": "kind",
    "source": "place",
    "table": "table",
    "columns.date": "date",
    "columns.target": "target",
    "columns.series": "series",
    "columns.covariates": "covariates",
}
TYPES = {"date": "date", "target": "exact", "covariate": "exact"}  # of the last rows, by the role of their column


class Connections(Part):
    """The table of connections, the last rows of one, and the form for a new one; `changed` is called after changes."""

    def __init__(self, page: Board, changed: Callable[[], None]):
        self.changed = changed
        self.previewed: str | None = None
        self.shown = 0
        super().__init__(page)

    def declare(self) -> None:
        """Declare the panels."""
        self.table, self.preview, self.form = (self.page.panel(kind) for kind in ("table", "table", "form"))
        self.table.on("select", self.choose)
        self.table.on("test", self.test, role="analyst")
        self.table.on("remove", self.remove, role="analyst")
        self.form.on("add", self.add, role="analyst")

    def open(self) -> None:
        """Fill all panels."""
        self._show()
        self._show_preview()
        self._show_form()
        self.changed()

    def _show(self) -> None:
        self.items = self.page.api.get("/monitoring/databases", limit=100, sort="name")["items"]
        act = self.page.is_at_least("analyst")
        self.table.show(
            title=self.page.say("pages.monitoring.sources.title"),
            columns=[
                {"key": "name", "label": self.page.say("pages.monitoring.name")},
                {"key": "kind", "label": self.page.say("pages.monitoring.kind")},
                {"key": "place", "label": self.page.say("pages.monitoring.sources.place")},
                {"key": "table", "label": self.page.say("pages.monitoring.sources.table")},
                {"key": "state", "label": self.page.say("pages.monitoring.state")},
                {"key": "checked", "label": self.page.say("pages.monitoring.sources.checked"), "type": "ago"},
                *problems(self.page, self.items),
            ],
            rows=[
                {
                    "id": row["id"],
                    "name": row["name"],
                    "kind": self.page.say(f"pages.monitoring.sources.kind.{row['kind']}"),
                    "place": row["configuration"]["source"],
                    "table": row["configuration"]["table"] or "–",
                    "state": badge(self.page, row["status"]),
                    "checked": row["checked_at"],
                    "error": row["error"] or "",
                }
                for row in self.items
            ],
            select=True,
            selected=self.previewed,
            rowActions=[
                {"event": "test", "label": self.page.say("pages.monitoring.sources.test")},
                {
                    "event": "remove",
                    "label": self.page.say("pages.monitoring.remove"),
                    "kind": "small danger",
                    "confirm": self.page.say("pages.monitoring.sources.remove_confirm"),
                },
            ]
            if act
            else None,
            actionsLabel=self.page.say("pages.monitoring.actions"),
            empty=self.page.say("pages.monitoring.sources.empty"),
        )

    def choose(self, values: Any) -> None:
        """Show the last rows of a source."""
        self.previewed = self.known(values, "id")["id"]
        self.table.update(selected=self.previewed)
        self._show_preview()

    def _show_preview(self) -> None:
        row = next((row for row in self.items if row["id"] == self.previewed), None)
        if row is None:
            self.preview.show(hidden=True)
            return
        found = self.page.api.get(f"/monitoring/databases/{row['id']}/preview")
        self.preview.show(
            title=self.page.say("pages.monitoring.sources.preview", name=row["name"]),
            note=self._roles(found["columns"]),
            columns=[
                {
                    "key": f"c{place}",
                    "label": column["name"],
                    "type": TYPES.get(column["role"] or "", "text"),
                }
                for place, column in enumerate(found["columns"])
            ],
            rows=[
                {f"c{place}": _cell(line.get(column["name"])) for place, column in enumerate(found["columns"])}
                for line in found["rows"]
            ],
            empty=self.page.say("pages.monitoring.sources.no_rows"),
        )

    def _roles(self, columns: list[dict[str, Any]]) -> str:
        """What each column is for: `date: day · target: sold`."""
        say = self.page.say
        known = [(say(f"pages.monitoring.role.{one['role']}"), one["name"]) for one in columns if one["role"]]
        return " · ".join(f"{role}: {name}" for role, name in known)

    def test(self, values: Any) -> None:
        """Test a source, and say whether it can be read."""
        row = self.known(values, "id")
        found = self.page.api.post(f"/monitoring/databases/{row['id']}/test")
        self._show()
        if found["ok"]:
            newest = cell(found["newest"], self.page.language)
            text = self.page.say(
                "pages.monitoring.sources.works",
                name=row["name"],
                milliseconds=round(found["milliseconds"]),
                newest=newest,
            )
            self.page.notice(text, "success")
        else:
            self.page.notice(f"{row['name']}: {found['detail']}", "error")

    def remove(self, values: Any) -> None:
        """Remove a source that no continuous predictions read; its data stays where it is."""
        row = self.known(values, "id")
        self.page.api.delete(f"/monitoring/databases/{row['id']}")
        self._show()
        self._show_preview()
        self.changed()

    def _show_form(self, typed: dict[str, Any] | None = None, error: ServiceError | None = None) -> None:
        """The form that registers a source, with what was typed before and why it was refused; hidden for viewers."""
        if not self.page.is_at_least("analyst"):
            self.form.show(hidden=True)
            return
        typed = typed or {}
        wrong = FIELDS.get(error.field or "", "") if error else ""
        self.shown += 1  # another state even with the same fields: what was typed goes

        def text(name: str, **more: Any) -> dict[str, Any]:
            label = self.page.say(f"pages.monitoring.source_form.{name}")
            words = error.detail if error and name == wrong else None
            return {"name": name, "label": label, "type": "text", "value": typed.get(name, ""), "error": words} | more

        admin = self.page.is_at_least("admin")
        kinds = [[kind, self.page.say(f"pages.monitoring.sources.kind.{kind}")] for kind in KINDS]
        self.form.show(
            title=self.page.say("pages.monitoring.source_form.title"),
            text=self.page.say("pages.monitoring.source_form.text"),
            fields=[
                text("name", required=True),
                text(
                    "kind",
                    type="choice",
                    options=kinds,
                    value=typed.get("kind", KINDS[0]),
                    help=None if admin else self.page.say("pages.monitoring.source_form.kind_help"),
                ),
                text("place", help=self.page.say("pages.monitoring.source_form.place_help"), required=True),
                text("password", type="password", help=self.page.say("pages.monitoring.source_form.password_help")),
                text("table", help=self.page.say("pages.monitoring.source_form.table_help")),
                text("date", required=True),
                text("target", required=True),
                text("series", help=self.page.say("pages.monitoring.source_form.list_help")),
                text("covariates", help=self.page.say("pages.monitoring.source_form.list_help")),
            ],
            submit={"event": "add", "label": self.page.say("pages.monitoring.source_form.submit")},
            shown=self.shown,
        )

    def add(self, values: Any) -> None:
        """Register a source; a refusal is said at its field."""
        body = {
            "name": given.text(values, "name"),
            "kind": given.text(values, "kind"),
            "source": with_password(given.text(values, "place"), str(given.value(values, "password") or "")),
            "table": given.text(values, "table"),
            "columns": {
                "date": given.text(values, "date"),
                "target": given.text(values, "target"),
                "series": given.names(values, "series"),
                "covariates": given.names(values, "covariates"),
            },
        }
        try:
            made = self.page.api.post("/monitoring/databases", body)
        except ServiceError as error:
            if error.field not in FIELDS:
                raise
            names = ("name", "kind", "place", "table", "date", "target", "series", "covariates")
            self._show_form({name: given.text(values, name) for name in names}, error)
            return
        self.previewed = made["id"]
        self._show()
        self._show_preview()
        self.changed()
        self._show_form({"kind": body["kind"]})
        self.page.notice(self.page.say("pages.monitoring.source_form.done", name=made["name"]), "success")


def with_password(place: str, password: str) -> str:
    """An address with its password between user and host; as it is without a user or with a password of its own."""
    scheme, _, rest = place.partition("://")
    user, at, host = rest.rpartition("@")
    if not (password and user and at) or ":" in user:
        return place
    return f"{scheme}://{user}:{quote(password, safe='')}@{host}"


def _cell(value: Any) -> Any:
    return value if value is None or isinstance(value, (int, float, str)) else str(value)
