"""Step 1, upload: what was found in the file, the roles of its columns, and the lines that were rejected."""

from typing import Any, ClassVar

from vur.dashboards.client import ServiceError
from vur.dashboards.given import count
from vur.dashboards.wizard.board import Board
from vur.dashboards.wizard.start import upload_texts
from vur.dashboards.wizard.step import Step

MOST_REJECTS = 8
MOST_COLUMNS = 50  # on a page of their table
TYPES = ("datetime", "numeric", "boolean", "text")  # that may be given to a column


class Upload(Step):
    """The file: types, roles, rejected lines; another file in its place."""

    name: ClassVar[str] = "upload"
    panels: ClassVar[tuple[str, ...]] = ("words", "columns", "table", "details", "other")

    def __init__(self, page: Board):
        super().__init__(page)
        self.dataset: dict[str, Any] = {}
        self.turn = 0
        self.search, self.columns_page = "", 1  # of the table of columns

    def show(self) -> None:
        """Show what the upload found."""
        page, self.refusal = self.page, None
        page.other.show(**upload_texts(page, "datasets/upload"), title=page.say("pages.pipeline.file.other"))
        if page.state.get("dataset") is None:
            page.words.show(title=page.say("pages.pipeline.upload.title"), text=page.say("pages.pipeline.no_dataset"))
            for name in ("columns", "table", "details"):
                getattr(page, name).show(hidden=True)
            return
        self.dataset = page.api.get(f"/datasets/{page.state['dataset_id']}")
        self._show_data()

    def _show_data(self) -> None:
        self._show_words()
        self._show_roles()
        self._show_columns()
        self._show_rejects()

    def _show_words(self) -> None:
        say, found, file = self.page.say, self.dataset, self.dataset["file"]
        marks = {",": say("pages.pipeline.upload.comma"), ".": say("pages.pipeline.upload.point")}
        facts = [
            [say("pages.pipeline.upload.file"), found["filename"], "text"],
            [say("pages.pipeline.upload.rows"), found["rows_count"], "number"],
            [say("pages.pipeline.upload.rejected"), found["rejected_rows"], "number"],
            [say("pages.pipeline.upload.encoding"), file.get("encoding"), "text"],
            [say("pages.pipeline.upload.delimiter"), file.get("delimiter"), "text"],
            [say("pages.pipeline.upload.decimal"), marks.get(str(file.get("decimal")), file.get("decimal")), "text"],
        ]
        self.page.words.show(
            title=say("pages.pipeline.upload.title"),
            width="half",
            facts=[fact for fact in facts if fact[1] not in (None, "")],
            lines=list(dict.fromkeys([*found["warnings"], *found["notes"]]))[:8],
            tone="warn" if found["warnings"] else "",
        )

    def _show_roles(self, error: str | None = None) -> None:
        say, found = self.page.say, self.dataset
        chosen, suggested = self.page.chosen("preview"), self.dataset["suggestions"]
        names = found["columns"]
        date = chosen.get("date") or suggested["date_column"] or ""
        target = chosen.get("target") or suggested["target_column"] or ""
        given_series = chosen.get("series")
        series: list[str] = suggested["series_columns"] if given_series is None else given_series
        labels = {field["name"]: field for field in self.page.forms["steps"]["preview"]}
        reasons = suggested["reasons"]

        def of(name: str, kind: str, value: Any) -> dict[str, Any]:
            field = labels[name]
            help = reasons.get(name) or field["help"]
            return {
                "name": name,
                "type": kind,
                "label": field["label"],
                "help": help,
                "value": value,
                "options": [[one, one] for one in names],
            }

        self.page.columns.show(
            title=say("pages.pipeline.upload.roles"),
            text=error,
            width="half",
            fields=[
                of("date", "choice", date),
                of("target", "choice", target),
                of("series", "choices", series) | {"search": say("pages.pipeline.upload.column_search")},
            ],
            live="change",
            actions=[],
        )

    def on_columns_change(self, values: dict[str, Any]) -> None:
        """Keep the columns of the date, the target and the series as a draft of the next step."""
        names = set(self.dataset["columns"])
        date, target = str(values.get("date") or ""), str(values.get("target") or "")
        series = [str(name) for name in values.get("series") or [] if name in names and name not in (date, target)]
        self._keep({"date": date or None, "target": target or None, "series": series})

    def _give_role(self, name: str, role: str) -> None:
        """Keep the role of a column, the empty one for what the data say."""
        roles = dict(self.page.chosen("preview").get("roles") or {})
        roles.pop(name, None)
        self._keep({"roles": roles | ({name: role} if role else {})})

    def _keep(self, given: dict[str, Any]) -> None:
        """Keep choices of columns as a draft of the next step; a column has one role."""
        section = self.page.chosen("preview") | given
        taken = (section.get("date"), section.get("target"), *(section.get("series") or ()))
        section["roles"] = {name: role for name, role in (section.get("roles") or {}).items() if name not in taken}
        self.refusal = None
        if self.page.keep(section, "preview"):
            self._show_roles()
            self._show_columns()
            self.page.show_code()

    def refused(self, error: ServiceError) -> None:
        """Show why the roles were refused."""
        self.refusal = error.detail
        self._show_roles(error.detail)
        self.page.notice(error.detail, "error")

    def section(self) -> dict[str, Any]:
        """The dataset."""
        return {"dataset_id": self.page.state["dataset_id"]}

    def on_table_search(self, values: dict[str, Any]) -> None:
        """Show the columns whose names have these words."""
        self.search, self.columns_page = str(values.get("text") or "")[:200], 1
        self._show_columns()

    def on_table_page(self, values: dict[str, Any]) -> None:
        """Turn a page of the columns."""
        self.columns_page = count(values.get("page"))
        self._show_columns()

    def on_table_choose(self, values: dict[str, Any]) -> None:
        """Take another type or role of a column."""
        name, choice = str(values.get("id")), str(values.get("value") or "")
        if name not in self.dataset["columns"]:
            return
        if values.get("key") == "role":
            self._give_role(name, choice)
        else:
            self._give_type(name, choice)

    def _give_type(self, name: str, kind: str) -> None:
        """Read the file again with another type of a column, and show what becomes of its values and rows."""
        given = {column: one for column, one in self.dataset["given_types"].items() if column != name}
        if kind in TYPES:
            given[name] = kind
        try:
            self.dataset = self.page.api.put(f"/datasets/{self.dataset['dataset_id']}/types", {"types": given})
        except ServiceError as error:
            if error.ended:
                raise
            self._show_columns(error.detail)
            self.page.notice(error.detail, "error")
            return
        self.page.state = self.page.api.get(f"/pipelines/{self.page.pipeline_id}/state")
        self.page.show_steps()
        self._show_data()
        self.page.show_code()

    def _type(self, column: dict[str, Any]) -> dict[str, Any]:
        """The choice of a column's type; the empty one lets it be detected."""
        say, given = self.page.say, self.dataset["given_types"].get(column["name"], "")
        detected = say("pages.pipeline.type.detected", type=say(f"pages.pipeline.type.{column['type']}"))
        first = say("pages.pipeline.type.detect") if given else detected
        return {
            "value": given,
            "options": [["", first]] + [[kind, say(f"pages.pipeline.type.give.{kind}")] for kind in TYPES],
        }

    def _show_columns(self, error: str | None = None) -> None:
        say, chosen = self.page.say, self.page.chosen("preview")
        self.turn += 1
        suggested = self.dataset["suggestions"]
        roles = dict(chosen.get("roles") or {})
        named = {
            chosen.get("date") or suggested["date_column"]: "date",
            chosen.get("target") or suggested["target_column"]: "target",
            **dict.fromkeys(chosen.get("series") or suggested["series_columns"], "series"),
        }
        labels = {field["name"]: field["label"] for field in self.page.forms["steps"]["preview"]}
        words = [
            [one["value"], one["label"]]
            for field in self.page.forms["steps"]["preview"]
            if field["name"] == "roles"
            for one in field["choices"]
        ]
        by_data = [["", say("pages.pipeline.upload.by_data")]]
        details = [one for one in self.dataset["details"] if self.search.casefold() in one["name"].casefold()]
        pages = max(1, -(-len(details) // MOST_COLUMNS))
        self.columns_page = min(self.columns_page, pages)
        first = (self.columns_page - 1) * MOST_COLUMNS
        self.page.table.show(
            title=say("pages.pipeline.upload.columns"),
            note=error or say("pages.pipeline.upload.columns_note"),
            turn=self.turn,  # a refused choice goes back to what was
            columns=[
                {"key": "name", "label": say("pages.pipeline.upload.column")},
                {"key": "type", "label": say("pages.pipeline.upload.type")},
                {"key": "role", "label": say("pages.pipeline.upload.role")},
                {"key": "missing", "label": say("pages.pipeline.upload.missing"), "type": "number"},
                {"key": "unique", "label": say("pages.pipeline.upload.unique"), "type": "number"},
                {"key": "example", "label": say("pages.pipeline.upload.example")},
                {"key": "reason", "label": say("pages.pipeline.upload.reason"), "wide": True},
            ],
            rows=[
                {
                    "id": one["name"],
                    "name": one["name"],
                    "type": self._type(one),
                    "role": labels[named[one["name"]]]
                    if one["name"] in named
                    else {"value": roles.get(one["name"], ""), "options": by_data + words},
                    "missing": one["missing"],
                    "unique": one["unique"],
                    "example": example(one["example"], one["type"]),
                    "reason": one["reason"] or one["format"],
                }
                for one in details[first : first + MOST_COLUMNS]
            ],
            page=self.columns_page,
            pages=pages,
            search={"label": say("pages.pipeline.upload.column_search"), "value": self.search}
            if len(self.dataset["details"]) > MOST_COLUMNS
            else None,
            empty=say("pages.pipeline.upload.no_columns"),
        )

    def _show_rejects(self) -> None:
        if not self.dataset["rejected_rows"]:
            self.page.details.show(hidden=True)
            return
        say = self.page.say
        found = self.page.api.get(f"/datasets/{self.dataset['dataset_id']}/rejects", limit=MOST_REJECTS)
        self.page.details.show(
            title=say("pages.pipeline.upload.rejects", count=found["total"]),
            columns=[
                {"key": "line", "label": say("pages.pipeline.upload.line"), "type": "number"},
                {"key": "cause", "label": say("pages.pipeline.upload.cause")},
                {"key": "text", "label": say("pages.pipeline.upload.content")},
            ],
            rows=[
                {"id": str(one["line"]), **{key: one[key] for key in ("line", "cause", "text")}}
                for one in found["items"]
            ],
        )

    def on_other_uploaded(self, values: dict[str, Any]) -> None:
        """Take another file for this pipeline."""
        answer = values.get("answer")
        id = str(answer.get("dataset_id")) if isinstance(answer, dict) else ""
        address = f"/pipelines/{self.page.pipeline_id}/steps/upload"
        self.page.state = self.page.api.put(address, {"data": {"dataset_id": id}})
        self.page.go_to("upload")


def example(text: Any, kind: str) -> Any:
    """The example of a column's values, as a cell that is written in the visitor's language."""
    if kind == "boolean" and text in ("true", "false"):
        return text == "true"
    if kind == "datetime" and isinstance(text, str):
        return {"value": text, "type": "date"}
    if kind == "numeric" and text is not None:
        try:
            return {"value": float(text), "type": "exact"}
        except ValueError:  # a number in the writing of its file
            return text
    return text
