"""Data management: the list of datasets, uploads, the bin, disk usage, and the switch of downloads."""

from typing import Any

from vur.dashboards import given
from vur.dashboards.client import ServiceError
from vur.dashboards.pages.dataset import Host, OpenDataset
from vur.dashboards.words import size, whole

PER_PAGE = 20
OWNED = ("all", "mine", "shared")
TICKS = 3  # between two refreshes of the list


class DataPage(Host):
    """The page of data management; with `?dataset=ID` it shows one dataset (`vur.dashboards.pages.dataset`)."""

    name = "data"
    role = "viewer"

    def build(self) -> None:
        """Declare the panels of the list, and those of one dataset."""
        self.asked: dict[str, Any] = {"page": 1, "sort": "-updated_at", "search": "", "owned": "all"}
        self.limits: dict[str, int] = {}
        self.ticks = 0
        self.summary = self.panel("cards")
        self.opened = OpenDataset(self)
        self.upload = self.panel("upload", hidden=True)
        self.upload.on("uploaded", self.uploaded, role="analyst")
        self.table = self.panel("table")
        for event, handler in (
            ("search", self.search),
            ("sort", self.sort),
            ("page", self.turn),
            ("filter", self.filter),
            ("select", lambda values: self.open(given.identifier(given.value(values, "id")))),
        ):
            self.table.on(event, handler)
        self.table.on("delete", self.delete, role="analyst")
        self.bin = self.panel("table", hidden=True)
        self.storage = self.panel("bars", hidden=True)
        self.users = self.panel("bars", hidden=True)
        self.disk = self.panel("bars", hidden=True)
        self.downloads = self.panel("text", hidden=True)
        self.downloads.on("turn", self.turn_downloads, role="admin")
        for panel in (self.bin, self.heading):  # the heading shows the notice with "undo"
            panel.on("restore", self.restore, role="analyst")
        self.bin.on("forever", self.delete_for_ever, role="analyst")

    def load(self) -> None:
        """Show the dataset of the address, else the list."""
        self.may_download = bool(self.api.get("/switches")["may_download"])
        self.asked |= {key: self.query[key] for key in ("search", "sort") if self.query.get(key)}
        if self.query.get("owned") in OWNED:
            self.asked["owned"] = self.query["owned"]
        id = given.identifier(self.query.get("dataset", ""))
        self.opened.id = id or None  # hides the list before it is known
        self.show_storage()
        try:
            if id:
                self.open(id, self.query.get("tab"))
        except ServiceError as error:
            if error.ended:
                raise
            self.close()
            self.notice(error.detail, "warning")
        if self.opened.id is None:
            self.show_list()

    def tick(self) -> None:
        """Refresh the list every few ticks."""
        self.ticks += 1
        if self.opened.id is None and self.ticks % TICKS == 0:
            self.show_list()

    # --- the list ---

    def show_list(self) -> None:
        """Show the page of the list that was asked for, and the figures above it."""
        asked = self.asked
        found = self.api.get(
            "/datasets",
            page=asked["page"],
            limit=PER_PAGE,
            sort=asked["sort"],
            search=asked["search"] or None,
            owned=asked["owned"],
        )
        self.show_summary(found["usage"])
        say = self._say
        columns: list[dict[str, Any]] = [
            {"key": "name", "label": say("column.name"), "sort": True},
            {"key": "rows", "label": say("column.rows"), "type": "number", "sort": True},
            {"key": "versions", "label": say("column.versions"), "type": "number", "sort": True},
            {"key": "size", "label": say("column.size"), "type": "bytes", "sort": "stored_bytes"},
            {"key": "owner", "label": say("column.owner"), "sort": True},
            {"key": "used", "label": say("column.used"), "sort": "models"},
            {"key": "last_used", "label": say("column.last_used"), "type": "ago", "sort": "last_used_at"},
            {"key": "updated", "label": say("column.updated"), "type": "ago", "sort": "updated_at"},
        ]
        nothing = say("list.none" if self.is_at_least("analyst") else "list.none_viewer")
        if asked["search"]:
            nothing = say("list.none_found", search=f"“{asked['search']}”")
        self.table.show(
            hidden=self.opened.id is not None,
            title=say("list.title"),
            note=say("list.note", count=whole(found["total"], self.language)),
            columns=columns,
            rows=[self._row(one) for one in found["items"]],
            sort=asked["sort"],
            page=found["page"],
            pages=found["pages"],
            select=True,
            search={"label": say("list.search"), "value": asked["search"]},
            filters=[self._owned_filter()] if self.is_at_least("analyst") else [],
            actionsLabel=say("actions"),
            rowActions=[
                {
                    "event": "delete",
                    "label": say("action.delete"),
                    "kind": "small danger",
                    "confirm": self.delete_question(),
                    "when": "mine",
                }
            ]
            if self.is_at_least("analyst")
            else None,
            empty=nothing,
        )

    def show_summary(self, usage: dict[str, Any]) -> None:
        """Show the figures above the list."""
        say, language = self._say, self.language
        quota, waiting = usage["quota_bytes"], usage["deleted_bytes"]
        note = say("cards.storage_note", quota=size(quota, language)) if quota else say("cards.storage_free")
        figures: list[tuple[str, Any, str, str]] = [
            ("datasets", usage["datasets"], "number", self._updates(usage["updates_this_week"])),
            ("rows", usage["rows"], "short", say("cards.rows_note")),
            ("storage", usage["total_bytes"], "bytes", note),
            (
                "deleted",
                usage["deleted"],
                "number",
                say("cards.deleted_note", size=size(waiting, language)) if usage["deleted"] else say("bin.none"),
            ),
        ]
        items = [
            {"name": name, "label": say(f"cards.{name}"), "value": value, "type": kind, "note": words}
            for name, value, kind, words in figures
        ]
        self.summary.show(hidden=self.opened.id is not None or not self.is_at_least("analyst"), items=items)

    def _updates(self, count: int) -> str:
        return self._say("cards.datasets_note", count=whole(count, self.language))

    def search(self, values: Any) -> None:
        """Look for a text."""
        self._ask(search=str(given.value(values, "text"))[:200], page=1)

    def sort(self, values: Any) -> None:
        """Sort by another column."""
        self._ask(sort=str(given.value(values, "key"))[:64], page=1)

    def turn(self, values: Any) -> None:
        """Turn to another page."""
        number = given.value(values, "page")
        self._ask(page=number if isinstance(number, int) and number > 0 else 1)

    def filter(self, values: Any) -> None:
        """Show all datasets, one's own or those of others."""
        value = given.value(values, "value")
        self._ask(owned=value if value in OWNED else "all", page=1)

    def _ask(self, **asked: Any) -> None:
        self.asked |= asked
        usual = {"search": "", "sort": "-updated_at", "owned": "all"}
        self.set_query(**{key: self.asked[key] if self.asked[key] != value else None for key, value in usual.items()})
        self.show_list()

    def _row(self, one: dict[str, Any]) -> dict[str, Any]:
        used = {"models": whole(one["models"], self.language), "pipelines": whole(one["pipelines"], self.language)}
        return {
            "id": one["dataset_id"],
            "name": one["name"],
            "rows": one["rows_count"],
            "versions": one["versions"],
            "size": one["stored_bytes"],
            "owner": one["owner"],
            "used": self._say("used", **used) if one["models"] or one["pipelines"] else self._say("unused"),
            "last_used": one["last_used_at"],
            "updated": one["updated_at"],
            "mine": one["right"] == "own",
        }

    def _owned_filter(self) -> dict[str, Any]:
        options = [[name, self._say(f"owned.{name}")] for name in OWNED]
        label = self._say("owned.label")
        return {"name": "owned", "label": label, "value": self.asked["owned"], "options": options}

    # --- one dataset ---

    def open(self, id: str, tab: str | None = None) -> None:
        """Show one dataset instead of the list."""
        self.opened.fetch(id)
        for panel in (self.summary, self.table, self.bin, self.storage, self.users, self.disk, self.downloads):
            panel.update(hidden=True)
        self.opened.show(tab)

    def close(self) -> None:
        """Go back to the list."""
        self.opened.close()
        self.set_query(dataset=None, tab=None)
        self.show_storage()
        self.show_list()

    def show_upload(self) -> None:
        """Show where files are dropped: for new datasets in the list, for a new version in an open dataset."""
        say, of = self._say, self.opened
        limit = size(self.limits["max_upload_bytes"], self.language)
        version = of.id is not None
        self.upload.show(
            hidden=not self.is_at_least("analyst") or version and not (of.may_edit and of.tab == "versions"),
            title=say("upload.version_title" if version else "upload.title"),
            note=say("upload.version_note", name=of.name) if version else say("upload.note", size=limit),
            path=f"datasets/{of.id}/versions" if version else "datasets/upload",
            drop=say("upload.prompt"),
            choose=say("upload.choose"),
            sending=say("upload.sending"),
            failed=say("upload.failed"),
        )

    def uploaded(self, values: Any) -> None:
        """Show what the service made of a file; only the id is believed of what the browser says."""
        answer = given.value(values, "answer")
        found = self.api.get(f"/datasets/{given.identifier(given.value(answer, 'dataset_id'))}")
        text = self._say("upload.done", name=found["name"], rows=whole(found["rows_count"], self.language))
        rejected = found["rejected_rows"]
        if rejected:
            text = f"{text} {self._say('upload.rejected', count=whole(rejected, self.language))}"
        self.show_storage()
        self.open(found["dataset_id"], "versions" if self.opened.id else "rejects" if rejected else None)
        self.notice(text, "warning" if rejected else "success")

    def delete(self, values: Any) -> None:
        """Delete a dataset, and offer to undo it."""
        self.delete_dataset(given.identifier(given.value(values, "id")))

    def delete_dataset(self, id: str) -> None:
        """Delete the dataset `id`, and offer to undo it."""
        name = self.api.get(f"/datasets/{id}")["name"]
        self.api.delete(f"/datasets/{id}")
        self.close()
        if self.limits["keep_deleted_days"]:
            undo = {"event": "restore", "label": self._say("action.undo"), "values": {"id": id}}
            self.notice(self._say("deleted", name=name), "success", **undo)
        else:
            self.notice(self._say("gone"), "success")

    def restore(self, values: Any) -> None:
        """Undo a deletion."""
        found = self.api.post(f"/datasets/{given.identifier(given.value(values, 'id'))}/restore")
        self.show_storage()
        self.show_list()
        self.notice(self._say("restored", name=found["name"]), "success")

    def delete_for_ever(self, values: Any) -> None:
        """Delete a dataset of the bin with its files."""
        self.api.delete(f"/datasets/{given.identifier(given.value(values, 'id'))}", params={"forever": "true"})
        self.show_storage()
        self.show_list()
        self.notice(self._say("gone"), "success")

    def delete_question(self) -> str:
        """The question before a deletion."""
        days = self.limits["keep_deleted_days"]
        return self._say("confirm.delete", days=days) if days else self._say("confirm.delete_now")

    # --- storage ---

    def show_storage(self) -> None:
        """Show disk usage, the bin, and for administrators all users, the disk and the switch of downloads."""
        found = self.api.get("/datasets/storage")
        self.limits = {name: found[name] for name in ("keep_deleted_days", "max_upload_bytes")}
        self.show_upload()
        listed, analyst = self.opened.id is None, self.is_at_least("analyst")
        say, language, usage = self._say, self.language, found["usage"]
        used, quota = size(usage["total_bytes"], language), usage["quota_bytes"]
        self.storage.show(
            hidden=not (listed and analyst and found["datasets"]),
            width="half" if found["users"] else None,
            title=say("storage.title"),
            note=say("storage.note", used=used, quota=size(quota, language))
            if quota
            else say("storage.unlimited", used=used),
            items=[
                {
                    "label": one["name"],
                    "value": one["stored_bytes"],
                    "type": "bytes",
                    "tone": "muted" if one["deleted_at"] else "",
                    "note": say("storage.deleted") if one["deleted_at"] else None,
                }
                for one in found["datasets"][:8]
            ],
        )
        self._show_bin(listed and analyst)
        self._show_home(found if listed else found | {"users": None, "home": None})

    def _show_bin(self, shown: bool) -> None:
        found = self.api.get("/datasets/deleted", limit=100) if shown else {"items": []}
        say = self._say
        self.bin.show(
            hidden=not found["items"],
            title=say("bin.title"),
            note=say("bin.note"),
            columns=[
                {"key": "name", "label": say("column.name")},
                {"key": "rows", "label": say("column.rows"), "type": "number"},
                {"key": "size", "label": say("column.size"), "type": "bytes"},
                {"key": "owner", "label": say("column.owner")},
                {"key": "deleted", "label": say("column.deleted"), "type": "ago"},
                {"key": "until", "label": say("column.until"), "type": "moment"},
            ],
            rows=[
                {
                    "id": one["dataset_id"],
                    "name": one["name"],
                    "rows": one["rows_count"],
                    "size": one["stored_bytes"],
                    "owner": one["owner"],
                    "deleted": one["deleted_at"],
                    "until": one["forgotten_at"],
                }
                for one in found["items"]
            ],
            actionsLabel=say("actions"),
            rowActions=[
                {"event": "restore", "label": say("action.restore")},
                {
                    "event": "forever",
                    "label": say("action.forever"),
                    "kind": "small danger",
                    "confirm": say("confirm.forever"),
                },
            ],
        )

    def _show_home(self, found: dict[str, Any]) -> None:
        say, home = self._say, found["home"]
        self.users.show(
            hidden=not found["users"],
            width="half",
            title=say("storage.users"),
            items=[
                {"label": one["email"], "value": one["total_bytes"], "type": "bytes"}
                for one in (found["users"] or [])[:8]
            ],
        )
        disk = home or {"parts": {}, "free_bytes": 0, "total_bytes": 0}
        parts = sorted(disk["parts"].items(), key=lambda part: -part[1])
        self.disk.show(
            hidden=home is None,
            width="half",
            title=say("storage.home"),
            note=say(
                "storage.disk",
                free=size(disk["free_bytes"], self.language),
                total=size(disk["total_bytes"], self.language),
            ),
            items=[{"label": say(f"part.{name}"), "value": value, "type": "bytes"} for name, value in parts if value],
        )
        on = home is None or bool(self.api.get("/switches")["downloads"])
        turned = {"event": "turn", "values": {"downloads": not on}}
        self.downloads.show(
            hidden=home is None,
            width="half" if found["datasets"] else None,
            title=say("switch.title"),
            text=say("switch.on" if on else "switch.off"),
            tone="" if on else "warn",
            actions=[turned | {"label": say("switch.turn_off" if on else "switch.turn_on")}],
        )

    def turn_downloads(self, values: Any) -> None:
        """Switch downloads on or off for everybody else."""
        on = given.value(values, "downloads") is True
        found = self.api.put("/switches", {"downloads": on})
        self.may_download = bool(found["may_download"])
        self.show_storage()
        self.notice(self._say("switch.turned_on" if on else "switch.turned_off"), "success")

    def _say(self, key: str, /, **values: Any) -> str:
        return self.say(f"pages.data.{key}", **values)


def open() -> DataPage:
    """The page, for its notebook."""
    return DataPage()
