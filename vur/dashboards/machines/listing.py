"""The list of machines, and the form for a new one."""

from typing import Any

from vur.dashboards import given
from vur.dashboards.machines.board import TONES, Part, Row, number_of
from vur.dashboards.words import whole

PER_PAGE = 20


class Listing(Part):
    """The machines of the visitor and those shared with them."""

    def declare(self) -> None:
        """Declare the panels."""
        self.asked: dict[str, Any] = {"page": 1, "sort": "-updated_at", "search": ""}
        self.training = False  # whether one of the machines shown is being trained
        self.table, self.create = self.page.panel("table"), self.page.panel("form", hidden=True)
        self.table.on("search", lambda values: self._ask(search=given.text(values, "text")[:200], page=1))
        self.table.on("sort", lambda values: self._ask(sort=given.text(values, "key")[:64], page=1))
        self.table.on("page", lambda values: self._ask(page=given.count(given.value(values, "page"))))
        self.table.on("select", self.choose)
        self.table.on("delete", self.delete, role="analyst")
        self.create.on("create", self.make, role="analyst")

    def show(self) -> None:
        """Ask for the page of the list that is looked at."""
        self.refresh()
        self._show_form("")

    def refresh(self) -> None:
        """Ask for the list again; the form stays as it is."""
        asked, words = self.asked, self.words
        found = self.page.api.get(
            "/machines", page=asked["page"], limit=PER_PAGE, sort=asked["sort"], search=asked["search"] or None
        )
        self.training = any(one["status"] == "treinando" for one in found["items"])
        edits = self.page.is_at_least("analyst")
        empty = words("list.none" if edits else "list.none_viewer")
        self.table.show(
            title=words("list.title"),
            note=words("list.count", count=whole(found["total"], self.page.language)) if found["total"] else None,
            columns=[
                {"key": "name", "label": words("column.name"), "sort": "machine_name", "wide": True},
                {"key": "status", "label": words("column.status"), "sort": "status"},
                {"key": "first", "label": words("column.first"), "wide": True},
                {"key": "trainings", "label": words("column.trainings"), "type": "number"},
                {"key": "ranked", "label": words("column.ranked"), "type": "ago"},
                {"key": "owner", "label": words("column.owner")},
            ],
            rows=[self._row(one) for one in found["items"]],
            sort=asked["sort"],
            page=found["page"],
            pages=found["pages"],
            select=True,
            search={"label": words("list.search"), "value": asked["search"]}
            if found["total"] or asked["search"]
            else None,
            rowActions=[
                {
                    "event": "delete",
                    "label": words("action.delete"),
                    "kind": "small danger",
                    "confirm": words("action.delete_confirm"),
                    "when": "own",
                }
            ]
            if edits
            else None,
            actionsLabel=words("column.actions"),
            empty=words("list.none_found", search=asked["search"]) if asked["search"] else empty,
        )

    def _row(self, one: Row) -> Row:
        return {
            "id": str(one["id"]),
            "name": one["machine_name"],
            "status": {"text": self.words(f"status.{one['status']}"), "tone": TONES.get(one["status"], "muted")},
            "first": one["first"],
            "trainings": one["trainings"],
            "ranked": one["ranked_at"],
            "owner": one["owner"],
            "own": one["right"] == "own",
        }

    def _show_form(self, name: str, problem: str | None = None) -> None:
        words = self.words
        self.create.show(
            hidden=not self.page.is_at_least("analyst"),
            title=words("new.title"),
            note=words("new.note"),
            fields=[
                {"name": "name", "label": words("column.name"), "value": name, "required": True, "error": problem},
                {"name": "description", "label": words("column.description")},
            ],
            submit={"event": "create", "label": words("new.create")},
        )

    def _ask(self, **asked: Any) -> None:
        self.asked |= asked
        self.refresh()

    def choose(self, values: Any) -> None:
        """Open a machine."""
        if id := number_of(given.value(values, "id")):
            self.page.open(id)

    def make(self, values: Any) -> None:
        """Make a machine, and open it where its data are chosen."""
        name = given.text(values, "name")
        if not name:
            self._show_form(name, self.words("new.unnamed"))
            return
        body = {"machine_name": name, "description": given.text(values, "description")}
        self.page.open(self.page.api.post("/machines", body)["id"])

    def delete(self, values: Any) -> None:
        """Delete a machine."""
        if id := number_of(given.value(values, "id")):
            self.page.api.delete(f"/machines/{id}")
            self.page.notice(self.words("deleted"), "success")
            self.refresh()
