"""One dataset on the page of data management: its rows, chart, statistics, rejects, versions and use."""

from typing import Any
from urllib.parse import quote

from vur.dashboards import given
from vur.dashboards.client import ServiceError
from vur.dashboards.page import Page
from vur.dashboards.pages.sharing import Sharing
from vur.dashboards.panel import Panel
from vur.dashboards.words import cell, size, whole
from vur.languages import LANGUAGES

TABS = ("rows", "chart", "statistics", "rejects", "versions", "use", "sharing")
ROWS = 50  # rows of a page of the table
POINTS = 2000
TOTAL = "\u2211"  # the choice of the sum of all series; no series is called so without being one of its names
FORMATS = ("excel", "parquet", "original")  # beside the CSV of each language
NUMBERS = {"numeric": "exact", "datetime": "date"}
SHOWN_CHANGES = 20


class Host(Page):
    """A page on which one dataset can be open."""

    may_download = False

    def close(self) -> None:
        """Go back to where the dataset was opened."""
        raise NotImplementedError

    def show_upload(self) -> None:
        """Show, or hide, where a new version is dropped."""
        raise NotImplementedError

    def delete_dataset(self, id: str) -> None:
        """Delete a dataset, and offer to undo it."""
        raise NotImplementedError

    def delete_question(self) -> str:
        """The question before a deletion."""
        raise NotImplementedError


class OpenDataset:
    """The panels of one dataset; hidden while `id` is None."""

    def __init__(self, page: "Host"):
        self.page = page
        self.id: str | None = None
        self.tab = TABS[0]
        self.detail: dict[str, Any] = {}
        self.use: dict[str, Any] = {}
        self.chosen: dict[str, Any] = {}
        self.pair: tuple[int, int] | None = None
        self.whole_chart: dict[str, Any] = {}
        self.head = self._panel("opened")
        self.rename = self._panel("form")
        self.tabs = self._panel("tabs")
        self.rows = self._panel("table")
        self.choice = self._panel("form")
        self.chart = self._panel("chart")
        self.statistics = self._panel("table")
        self.rejects = self._panel("table")
        self.versions = self._panel("table")
        self.between = self._panel("form")
        self.changes = self._panel("cards")
        self.changed_columns = self._panel("table")
        self.changed_rows = self._panel("table")
        self.sharing = Sharing(self.page, "dataset")
        self.users = self._panel("list")
        self._listen()

    def _panel(self, kind: str) -> Panel:
        return self.page.panel(kind, hidden=True)

    def _listen(self) -> None:
        self.head.on("back", lambda values: self.page.close())
        self.head.on("rename", self.ask_name, role="analyst")
        self.head.on("delete", lambda values: self.page.delete_dataset(self._own()), role="analyst")
        self.head.on("pipeline", self.begin_pipeline, role="analyst")
        self.rename.on("save", self.save_name, role="analyst")
        self.rename.on("cancel", lambda values: self.rename.show(hidden=True), role="analyst")
        self.tabs.on("tab", lambda values: self.show_tab(given.value(values, "name")))
        self.rows.on("page", lambda values: self.show_rows(given.count(given.value(values, "page"))))
        self.rejects.on("page", lambda values: self.show_rejects(given.count(given.value(values, "page"))))
        self.choice.on("choose", self.choose_series)
        self.chart.on("range", self.zoom)
        self.versions.on("use", self.use_version, role="analyst")
        self.versions.on("compare", lambda values: self.compare(None, given.count(given.value(values, "id"))))
        self.between.on(
            "between",
            lambda values: self.compare(
                given.count(given.value(values, "old")), given.count(given.value(values, "new"))
            ),
        )

    # --- opening and closing ---

    @property
    def panels(self) -> list[Panel]:
        """All panels of the dataset."""
        return [*(value for value in vars(self).values() if isinstance(value, Panel)), *self.sharing.panels]

    @property
    def name(self) -> str:
        """The dataset's name."""
        return str(self.detail.get("name", ""))

    @property
    def may_edit(self) -> bool:
        """Whether the visitor may change the dataset."""
        return self.use.get("right") in ("edit", "own")

    @property
    def is_own(self) -> bool:
        """Whether the visitor may delete and share the dataset."""
        return self.use.get("right") == "own"

    def fetch(self, id: str) -> None:
        """Ask for the dataset `id`; `ServiceError` if the visitor may not see it."""
        detail, use = self.page.api.get(f"/datasets/{id}"), self.page.api.get(f"/datasets/{id}/usage")
        if id != self.id:
            self.chosen, self.pair, self.whole_chart = {}, None, {}
        self.id, self.detail, self.use = id, detail, use

    def show(self, tab: str | None = None) -> None:
        """Show the dataset that was fetched."""
        self.show_head()
        self.show_tab(tab or TABS[0])

    def close(self) -> None:
        """Hide the dataset."""
        self.id = None
        self._hide(*self.panels)

    def show_head(self) -> None:
        """Show the name, the facts, and what can be done with the dataset."""
        say, detail, use = self._say, self.detail, self.use
        language = self.page.language
        actions: list[dict[str, Any]] = []
        if self.page.is_at_least("analyst"):
            actions.append({"event": "pipeline", "label": say("action.pipeline"), "kind": "primary"})
        if self.may_edit:
            actions.append({"event": "rename", "label": say("action.rename")})
        if self.is_own:
            question = self.page.delete_question()
            label = say("action.delete")
            actions.append({"event": "delete", "label": label, "kind": "danger", "confirm": question})
        files = [self._csv(code) for code in LANGUAGES] + [self._download(name) for name in FORMATS]
        menu = {"label": say("action.download"), "items": files}
        facts = say(
            "facts",
            rows=whole(detail["rows_count"], language),
            columns=whole(len(detail["columns"]), language),
            version=detail["data_version"],
            size=size(use["stored_bytes"], language),
        )
        lines = [*detail["warnings"]]
        if detail["description"]:
            lines.insert(0, detail["description"])
        if not self.page.may_download:
            lines.append(say("downloads_off"))
        self.head.show(
            title=self.name,
            note=f"{facts}, {say('facts_owner', owner=use['owner'])}",
            lines=lines,
            back={"event": "back", "label": f"← {say('action.back')}"},
            actions=actions,
            menu=menu if self.page.may_download else None,
        )

    def _csv(self, code: str) -> dict[str, Any]:
        """The download in the dialect of a language, which its marks describe."""
        form = LANGUAGES[code]
        note = self._say("action.csv_note", delimiter=form.csv_delimiter, decimal=form.decimal)
        return self._file(f"format=csv&dialect={code}", f"CSV {form.csv_delimiter}", note)

    def _download(self, name: str) -> dict[str, Any]:
        return self._file(f"format={name}", self._say(f"action.{name}"), self._say(f"action.{name}_note"))

    def _file(self, query: str, label: str, note: str) -> dict[str, Any]:
        address = f"vur/api/datasets/{self.id}/download?{query}"
        return {"href": address, "label": label, "note": note, "download": ""}

    def ask_name(self, values: Any) -> None:
        """Show the form for another name."""
        say = self._say
        self.rename.show(
            title=say("action.rename"),
            fields=[
                {"name": "name", "label": say("column.name"), "value": self.name, "required": True},
                {
                    "name": "description",
                    "label": say("column.description"),
                    "type": "textarea",
                    "rows": 2,
                    "value": self.detail["description"],
                    "wide": True,
                },
            ],
            submit={"event": "save", "label": say("action.save")},
            buttons=[{"event": "cancel", "label": say("action.cancel")}],
        )

    def save_name(self, values: Any) -> None:
        """Give the dataset another name and description."""
        change = {key: str(given.value(values, key) or "").strip() for key in ("name", "description")}
        self.detail = self.page.api.put(f"/datasets/{self._own()}", change)
        self.rename.show(hidden=True)
        self.show_head()
        self.page.notice(self._say("renamed", name=self.name), "success")

    def begin_pipeline(self, values: Any) -> None:
        """Make a pipeline over the dataset, and go to its page."""
        found = self.page.api.post("/pipelines", {"name": self.name, "dataset_id": self._own()})
        self.page.go("pipeline", id=found["pipeline_id"])

    # --- tabs ---

    def show_tab(self, name: Any) -> None:
        """Show one of the views; the first one for an unknown name."""
        shown = [one for one in TABS if one != "sharing" or self.is_own]
        self.tab = name if name in shown else shown[0]
        shares = self.sharing.count if self.sharing.id == self.id else self.use["shares"] or 0
        counts = {"rejects": self.detail["rejected_rows"], "versions": self.use["versions"]}
        counts |= {"sharing": shares, "use": self.use["models"] + self.use["pipelines"]}
        items = [{"name": one, "label": self._say(f"tab.{one}"), "count": counts.get(one)} for one in shown]
        self.tabs.show(items=items, current=self.tab, label=self.name)
        self._hide(*(panel for panel in self.panels if panel not in (self.head, self.rename, self.tabs)))
        self.page.set_query(dataset=self.id, tab=self.tab)
        self.page.show_upload()
        show = {
            "rows": self.show_rows,
            "chart": self.show_chart,
            "statistics": self.show_statistics,
            "rejects": self.show_rejects,
            "versions": self.show_versions,
            "use": self.show_use,
            "sharing": lambda: self.sharing.show(self._own()),
        }
        show[self.tab]()

    def show_rows(self, page: int = 1) -> None:
        """Show a page of rows in the order of the file."""
        found = self.page.api.get(f"/datasets/{self._own()}/preview", page=page, limit=ROWS)
        keys = {name: f"c{at}" for at, name in enumerate(found["columns"])}
        self.rows.show(
            title=self._say("tab.rows"),
            note=self._say("rows.note", total=whole(found["total"], self.page.language)),
            columns=[
                {"key": key, "label": name, "type": NUMBERS.get(found["types"][name], "text")}
                for name, key in keys.items()
            ],
            rows=[{keys[name]: value for name, value in row.items()} for row in found["items"]],
            page=found["page"],
            pages=found["pages"],
        )

    def show_statistics(self) -> None:
        """Show each column in numbers."""
        found = self.page.api.get(f"/datasets/{self._own()}/statistics", series="no")
        say = self._say
        types = dict.fromkeys(("missing", "unique", "min", "median", "mean", "max", "std"), "number")
        names = ("column", "type", "missing", "unique", "min", "median", "mean", "max", "std", "top")
        self.statistics.show(
            title=say("tab.statistics"),
            note=say("statistics.note"),
            columns=[{"key": name, "label": say(f"column.{name}"), "type": types.get(name, "text")} for name in names],
            rows=[
                {name: row[name] for name in names}
                | {"type": say(f"type.{row['type']}"), "missing": self._missing(row)}
                | {name: _bound(row, name) for name in ("min", "max", "top")}
                for row in found["columns"]
            ],
        )

    def _missing(self, row: dict[str, Any]) -> Any:
        tone = "warn" if row["share_missing"] > 0 else None
        return {"value": row["missing"], "type": "number", "tone": tone} if tone else row["missing"]

    def show_rejects(self, page: int = 1) -> None:
        """Show the rows that could not be read, each with its cause."""
        found = self.page.api.get(f"/datasets/{self._own()}/rejects", page=page, limit=ROWS)
        say = self._say
        self.rejects.show(
            title=say("tab.rejects"),
            note=say("rejects.note", count=whole(found["total"], self.page.language)) if found["total"] else None,
            columns=[
                {"key": "line", "label": say("column.line"), "type": "number"},
                {"key": "cause", "label": say("column.cause")},
                {"key": "text", "label": say("column.text")},
            ],
            rows=found["items"],
            page=found["page"],
            pages=found["pages"],
            empty=say("rejects.none"),
        )

    # --- the chart ---

    def show_chart(self) -> None:
        """Show the chosen series over time, and what else can be chosen."""
        say, chosen = self._say, self.chosen
        try:
            found = self._points()
        except ServiceError as error:
            if error.ended or error.status == 404:
                raise
            self.chart.show(title=say("tab.chart"), series=[], empty=error.detail)
            return
        self.whole_chart = found
        names = found["series_names"]
        series = [[name, name] for name in names]
        if found["series_count"] > 1:
            series.insert(0, [TOTAL, say("chart.total")])
        fields = [
            {"name": name, "label": say(f"chart.{name}"), "type": "choice", "value": value, "options": options}
            for name, value, options in (
                ("series", chosen.get("series") or (names[0] if names else ""), series),
                ("column", found["column"], [[name, name] for name in found["columns"]]),
            )
            if len(options) > 1
        ]
        self.choice.show(hidden=not fields, fields=fields, live="choose")
        self._draw(found["items"][0])

    def _points(self, **bounds: Any) -> dict[str, Any]:
        series, column = self.chosen.get("series"), self.chosen.get("column")
        which = {"total": "true"} if series == TOTAL else {"series": series}
        found: dict[str, Any] = self.page.api.get(
            f"/datasets/{self._own()}/series", **which, column=column, points=POINTS, **bounds
        )
        return found

    def _draw(self, curve: dict[str, Any]) -> None:
        language, found = self.page.language, self.whole_chart
        counts = {name: whole(curve[name], language) for name in ("rows", "missing")}
        shown = len(curve["stamps"])
        note = (
            self._say("chart.note", **counts)
            if shown >= curve["rows"]
            else self._say("chart.thinned", shown=whole(shown, language), **counts)
        )
        self.chart.show(
            title=self._say("chart.title", column=found["column"]),
            text=note,
            height=420,
            x="value" if found["time"] == "integer" else "time",
            series=[
                {"name": curve["series"] or self._say("chart.total"), "x": curve["stamps"], "y": curve["values"]},
            ],
            zoom=True,
            range="range",
            empty=self._say("chart.none"),
        )

    def choose_series(self, values: Any) -> None:
        """Draw another series or column."""
        known = self.whole_chart
        series, column = given.value(values, "series"), given.value(values, "column")
        self.chosen = {
            "series": series if series == TOTAL or series in known.get("series_names", ()) else None,
            "column": column if column in known.get("columns", ()) else None,
        }
        self.show_chart()

    def zoom(self, values: Any) -> None:
        """Draw the visible part in finer points, between the points of the whole that lie outside it."""
        start, end = given.value(values, "from"), given.value(values, "to")
        if not self.whole_chart or not all(isinstance(one, int | float) for one in (start, end)):
            return
        whole_curve = self.whole_chart["items"][0]
        if len(whole_curve["stamps"]) >= whole_curve["rows"]:
            return
        fine = self._points(**{"from": self._moment(start), "to": self._moment(end)})["items"][0]
        outside = list(zip(whole_curve["stamps"], whole_curve["values"], strict=True))
        points = [one for one in outside if one[0] < start]
        points += list(zip(fine["stamps"], fine["values"], strict=True))
        points += [one for one in outside if one[0] > end]
        self._draw(whole_curve | {"stamps": [one[0] for one in points], "values": [one[1] for one in points]})

    def _moment(self, value: float) -> str:
        """A bound of the visible part as the service reads it."""
        from datetime import UTC, datetime

        if self.whole_chart["time"] == "integer":
            return str(int(value))
        return datetime.fromtimestamp(value / 1000, UTC).replace(tzinfo=None).isoformat(sep=" ")

    # --- versions ---

    def show_versions(self) -> None:
        """Show the versions, and what changed between two of them."""
        say = self._say
        found = self.page.api.get(f"/datasets/{self._own()}/versions")["items"]
        self.versions.show(
            title=say("tab.versions"),
            note=say("versions.note"),
            columns=[
                {"key": "version", "label": say("column.version")},
                {"key": "kind", "label": say("column.kind")},
                {"key": "rows", "label": say("column.rows"), "type": "number"},
                {"key": "size", "label": say("column.size"), "type": "bytes"},
                {"key": "made", "label": say("column.made"), "type": "moment"},
            ],
            rows=[
                {
                    "id": str(one["number"]),
                    "version": {"text": f"{one['number']} · {say('versions.current')}", "tone": "good"}
                    if one["current"]
                    else str(one["number"]),
                    "kind": say(f"versions.{one['kind']}"),
                    "rows": one["rows_count"],
                    "size": one["size"],
                    "made": one["created_at"],
                    "other": not one["current"] and self.may_edit,
                    "later": one["number"] > 1,
                }
                for one in found
            ],
            actionsLabel=say("actions"),
            rowActions=[
                {"event": "compare", "label": say("action.compare"), "when": "later"},
                {"event": "use", "label": say("action.use"), "when": "other"},
            ],
        )
        numbers = [one["number"] for one in found]
        if len(numbers) < 2:
            self.between.show(title=say("action.compare"), text=say("versions.one"), fields=[])
            return
        old, new = self.pair or (numbers[1], numbers[0])
        options = [[str(number), str(number)] for number in numbers]
        fields = [
            {"name": name, "label": say(f"compare.{label}"), "type": "choice", "value": str(value), "options": options}
            for name, label, value in (("old", "from", old), ("new", "to", new))
        ]
        self.between.show(
            title=say("action.compare"), fields=fields, submit={"event": "between", "label": say("action.compare")}
        )
        if self.pair:
            self.compare(*self.pair)

    def use_version(self, values: Any) -> None:
        """Make another version the current one."""
        number = given.count(given.value(values, "id"))
        self.detail = self.page.api.post(f"/datasets/{self._own()}/versions/{number}/use")
        self.show_head()
        self.show_versions()
        self.page.notice(self._say("version_used", number=number), "success")

    def compare_chosen(self, values: Any) -> None:
        """Show what changed between the two chosen versions."""
        old, new = (given.count(given.value(values, name)) for name in ("old", "new"))
        self.compare(old, new)

    def compare(self, old: int | None, new: int) -> None:
        """Show what changed between two versions; without `old` between `new` and the one before."""
        query = {"from": old, "to": new, "limit": SHOWN_CHANGES}
        found = self.page.api.get(f"/datasets/{self._own()}/compare", **query)
        self.pair = (found["from_version"], found["to_version"])
        say, counts = self._say, found["counts"]
        names = ("added", "removed", "changed", "unchanged")
        self.changes.show(
            items=[{"name": name, "label": say(f"compare.{name}"), "value": counts[name]} for name in names]
        )
        keys = ", ".join(found["keys"])
        notes = [say("compare.note", keys=keys) if keys else say("compare.whole")]
        notes += [
            say(f"compare.{name}", names=", ".join(found[name]))
            for name in ("columns_added", "columns_removed")
            if found[name]
        ]
        self.changed_columns.show(
            title=say("compare.title", old=self.pair[0], new=self.pair[1]),
            note=" ".join(notes),
            columns=[
                {"key": "column", "label": say("column.column")},
                {"key": "changed", "label": say("column.changed"), "type": "number"},
                {"key": "missing_before", "label": say("column.missing_before"), "type": "number"},
                {"key": "missing_after", "label": say("column.missing_after"), "type": "number"},
                {"key": "sum_before", "label": say("column.sum_before"), "type": "number"},
                {"key": "sum_after", "label": say("column.sum_after"), "type": "number"},
            ],
            rows=[
                {
                    "column": one["column"],
                    "changed": {"value": one["changed"], "type": "number", "tone": "warn"} if one["changed"] else 0,
                    "missing_before": one["old"]["missing"],
                    "missing_after": one["new"]["missing"],
                    "sum_before": one["old"]["sum"],
                    "sum_after": one["new"]["sum"],
                }
                for one in found["columns"]
            ],
        )
        tones = {"added": "good", "removed": "bad", "changed": "warn"}
        self.changed_rows.show(
            hidden=not found["rows"],
            title=say("compare.rows"),
            columns=[
                {"key": "change", "label": say("column.change")},
                {"key": "key", "label": say("column.key")},
                {"key": "before", "label": say("column.before")},
                {"key": "after", "label": say("column.after")},
            ],
            rows=[
                {
                    "change": {"text": say(f"compare.change.{one['change']}"), "tone": tones[one["change"]]},
                    "key": self._cells(one["key"]),
                    "before": self._cells(one["old"]),
                    "after": self._cells(one["new"]),
                }
                for one in found["rows"]
            ],
        )

    # --- use ---

    def show_use(self) -> None:
        """Show the models and pipelines that use the dataset, as far as the visitor may see them."""
        say = self._say
        models = [
            {
                "text": say("use.model", name=one["name"], version=one["dataset_version"] or "–"),
                "href": f"forecasts?model={quote(one['model_id'])}",
                "at": one["created_at"],
            }
            for one in self.use["used_by_models"]
        ]
        pipelines = [
            {
                "text": say("use.pipeline", name=one["name"]),
                "href": f"pipeline?id={quote(one['pipeline_id'])}",
                "at": one["updated_at"],
            }
            for one in self.use["used_by_pipelines"]
        ]
        self.users.show(title=say("use.title"), items=models + pipelines, empty=say("use.none"))

    # --- helpers ---

    def _cells(self, cells: dict[str, Any] | None) -> str:
        """Cells of a row in one line."""
        if cells is None:
            return "–"
        return ", ".join(f"{name}: {cell(value, self.page.language)}" for name, value in cells.items())

    def _own(self) -> str:
        """The id of the open dataset; `ValueError` if none is open, which no button of the page can cause."""
        if self.id is None:
            raise ValueError("no dataset is open")
        return self.id

    def _hide(self, *panels: Panel) -> None:
        for panel in panels:
            panel.show(hidden=True)

    def _say(self, key: str, /, **values: Any) -> str:
        return self.page.say(f"pages.data.{key}", **values)


def _bound(row: dict[str, Any], name: str) -> Any:
    """The least or greatest value of a column: a number, a date, or a text."""
    value = row[name]
    kind = "number" if isinstance(value, int | float) and not isinstance(value, bool) else NUMBERS.get(row["type"])
    return {"value": value, "type": "text" if value is None else kind or "text"}
