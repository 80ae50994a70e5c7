"""The data of a new training: a file or a stored dataset, its columns, and what is asked of them."""

import re
from typing import Any

from vur.dashboards import given
from vur.dashboards.machines.board import Part, Row
from vur.dashboards.wizard.start import ACCEPT
from vur.dashboards.words import cell, whole

ROWS = 15  # columns on a page of the table
EXAMPLES = 3
DATASETS = 100  # that can be chosen
LAGS, MOST_LAGS = 12, 500
GOALS = ("max", "min")
LEVELS = ("0.8", "0.9", "0.95", "0.99")
DELIMITERS = {"": "auto", ";": "semicolon", ",": "comma", "\t": "tab", "|": "bar"}
DECIMALS = {"": "auto", ",": "comma", ".": "point"}


class Data(Part):
    """From a file to the start of a training."""

    def declare(self) -> None:
        """Declare the panels."""
        self.dataset: Row = {}
        self.examples: list[Row] = []
        self.options: dict[str, str] = {}
        self.asked: dict[str, Any] = {}
        self.search, self.turned = "", 1
        panel = self.page.panel
        self.upload, self.reading = panel("upload", hidden=True), panel("form", hidden=True)
        self.stored, self.columns = panel("form", hidden=True), panel("table", hidden=True)
        self.setup = panel("form", hidden=True)
        self.upload.on("uploaded", self.uploaded, role="analyst")
        self.reading.on("options", self.read_as, role="analyst")
        self.stored.on(
            "use", lambda values: self.choose(given.identifier(given.text(values, "dataset"))), role="analyst"
        )
        self.columns.on("search", self.look_for)
        self.columns.on("page", self.turn)
        self.columns.on("target", self.aim, role="analyst")
        self.setup.on("start", self.start, role="analyst")

    def show(self) -> None:
        """Show where files are dropped and, once there are data, their columns and the settings."""
        self._show_upload()
        self._show_reading()
        self._show_stored()
        id = given.identifier(self.page.query.get("dataset", ""))
        if id and id != self.dataset.get("dataset_id"):
            self._fetch(id)
        self._show_columns()
        self._show_setup()

    def forget(self) -> None:
        """Another machine is opened: its training begins anew."""
        self.dataset, self.examples, self.asked, self.search, self.turned = {}, [], {}, "", 1

    # --- where the data come from ---

    def _show_upload(self) -> None:
        words = self.words
        self.upload.show(
            title=words("data.title"),
            note=words("data.note"),
            path="datasets/upload",
            fields=self.options,
            accept=ACCEPT,
            **{key: self.page.say(f"pages.pipeline.file.{key}") for key in ("drop", "choose", "sending", "failed")},
        )

    def _show_reading(self) -> None:
        words, chosen = self.words, self.options
        choices = {"delimiter": DELIMITERS, "decimal": DECIMALS}
        fields: list[Row] = [
            {
                "name": name,
                "label": words(f"reading.{name}"),
                "type": "choice",
                "value": chosen.get(name, ""),
                "options": [[mark, words(f"reading.mark.{word}")] for mark, word in marks.items()],
            }
            for name, marks in choices.items()
        ]
        sheet = {"name": "sheet", "label": words("reading.sheet"), "help": words("reading.sheet_help")}
        self.reading.show(
            fold=words("reading.title"), fields=[*fields, sheet | {"value": chosen.get("sheet", "")}], live="options"
        )

    def read_as(self, values: Any) -> None:
        """Keep how the next file is read."""
        found = {"delimiter": given.value(values, "delimiter"), "decimal": given.value(values, "decimal")}
        kept = {name: mark for name, mark in found.items() if mark and mark in (*DELIMITERS, *DECIMALS)}
        sheet = given.text(values, "sheet")[:100]
        self.options = kept | ({"sheet": sheet} if sheet else {})
        self._show_upload()

    def _show_stored(self) -> None:
        items = self.page.api.get("/datasets", limit=DATASETS, sort="-updated_at")["items"]
        now = self.dataset.get("dataset_id") or self.page.query.get("dataset")
        self.stored.show(
            hidden=not items,
            title=self.words("stored.title"),
            fields=[
                {
                    "name": "dataset",
                    "label": self.words("stored.dataset"),
                    "type": "choice",
                    "value": now or "",
                    "options": [[one["dataset_id"], self._named(one)] for one in items],
                    "wide": True,
                }
            ],
            submit={"event": "use", "label": self.words("stored.use"), "kind": ""},
        )

    def _named(self, one: Row) -> str:
        rows = whole(one["rows_count"], self.page.language)
        return self.words("stored.option", name=one["name"], rows=rows)

    def uploaded(self, values: Any) -> None:
        """Take what the service made of a file; only the id is believed of what the browser says."""
        self.choose(given.identifier(given.value(given.value(values, "answer"), "dataset_id")))
        count = self.dataset["rejected_rows"]
        if count:
            self.page.notice(self.words("data.rejected", count=count), "warning")
        self._show_stored()

    def choose(self, id: str) -> None:
        """Take a stored dataset."""
        if not id:
            return
        self.asked, self.search, self.turned = {}, "", 1
        self._fetch(id)
        self.page.set_query(dataset=id)
        self._show_columns()
        self._show_setup()

    def _fetch(self, id: str) -> None:
        self.dataset = self.page.api.get(f"/datasets/{id}")
        self.examples = self.page.api.get(f"/datasets/{id}/preview", page=1, limit=EXAMPLES)["items"]
        self.asked.setdefault("target", self._likely())

    def _likely(self) -> str:
        """The target to begin with: that of the last training, if there is one here, else the suggested column."""
        numeric = self.of("numeric")
        before = [one["target"] for one in self.page.trainings]
        suggested = self.dataset["suggestions"].get("target_column")
        return next((name for name in [*before, suggested, *numeric[-1:]] if name in numeric), "")

    def of(self, kind: str) -> list[str]:
        """The columns of a type, in the order of the file."""
        types = self.dataset["detected_types"] | self.dataset["given_types"]
        return [name for name in self.dataset["columns"] if types.get(name) == kind]

    # --- columns and settings ---

    def _show_columns(self) -> None:
        if not self.dataset:
            self.columns.show(hidden=True)
            return
        words, language = self.words, self.page.language
        types = self.dataset["detected_types"] | self.dataset["given_types"]
        wanted = self.search.casefold()
        found = [(at, name) for at, name in enumerate(self.dataset["columns"]) if wanted in name.casefold()]
        pages = max(-(-len(found) // ROWS), 1)
        self.turned = min(self.turned, pages)
        begin = (self.turned - 1) * ROWS
        many = len(self.dataset["columns"]) > ROWS
        self.columns.show(
            title=words("columns.title", name=self.dataset["name"]),
            note=words("columns.note", rows=self.dataset["rows_count"], columns=len(self.dataset["columns"])),
            columns=[
                {"key": "name", "label": words("columns.column"), "wide": True},
                {"key": "type", "label": words("columns.type")},
                {"key": "examples", "label": words("columns.examples"), "wide": True},
            ],
            rows=[
                {
                    "id": str(at),
                    "name": name,
                    "type": self.page.say(f"pages.data.type.{types[name]}"),
                    "examples": " · ".join(cell(_rounded(row.get(name)), language) for row in self.examples),
                    "numeric": types[name] == "numeric" and name != self.asked.get("target"),
                    "tone": "selected" if name == self.asked.get("target") else None,
                }
                for at, name in found[begin : begin + ROWS]
            ],
            page=self.turned,
            pages=pages,
            search={"label": words("columns.search"), "value": self.search} if many else None,
            rowActions=[{"event": "target", "label": words("columns.target"), "when": "numeric"}],
            actionsLabel=words("column.actions"),
            empty=words("columns.none_found"),
        )

    def look_for(self, values: Any) -> None:
        """Show the columns whose names have a text."""
        self.search, self.turned = given.text(values, "text")[:200], 1
        self._show_columns()

    def turn(self, values: Any) -> None:
        """Show other columns."""
        self.turned = given.count(given.value(values, "page"))
        self._show_columns()

    def aim(self, values: Any) -> None:
        """Make a column the target."""
        text = str(given.value(values, "id"))
        at = int(text) if re.fullmatch(r"\d{1,6}", text, re.ASCII) else -1
        if self.dataset and 0 <= at < len(self.dataset["columns"]):
            self.asked["target"] = self.dataset["columns"][at]
            self._show_columns()
            self._show_setup()

    def _show_setup(self, faults: dict[str, str] | None = None) -> None:
        if not self.dataset:
            self.setup.show(hidden=True)
            return
        words, asked, faults = self.words, self.asked, faults or {}
        numeric, dates = self.of("numeric"), self.of("datetime")
        busy = self.page.opened["active_training"] is not None
        percent = [[level, f"{cell(round(100 * float(level)), self.page.language)}%"] for level in LEVELS]
        fields: list[Row] = [
            {"name": "target", "type": "choice", "options": [[one, one] for one in numeric]},
            {
                "name": "time",
                "type": "choice",
                "options": [["", words("setup.time_auto")], *([one, one] for one in dates)],
            },
            {"name": "goal", "type": "choice", "options": [[one, words(f"goal.{one}")] for one in GOALS]},
            {"name": "lags", "type": "integer", "min": 0, "max": MOST_LAGS, "value": LAGS},
            {"name": "level", "type": "choice", "value": "0.9", "options": percent},
        ]
        if not numeric:
            self.setup.show(title=words("setup.title"), text=words("setup.no_number"), fields=[])
            return
        self.setup.show(
            title=words("setup.title"),
            fields=[
                one
                | {"label": words(f"setup.{one['name']}"), "help": words(f"setup.{one['name']}_help")}
                | ({"value": asked[one["name"]]} if one["name"] in asked else {})
                | ({"error": faults[one["name"]]} if one["name"] in faults else {})
                for one in fields
            ],
            text=words("setup.busy") if busy else None,
            submit={"event": "start", "label": words("setup.start"), "disabled": busy},
        )

    def start(self, values: Any) -> None:
        """Start the training; wrong settings are said at their fields."""
        if not self.dataset:
            return
        lags, level = given.value(values, "lags"), given.text(values, "level")
        self.asked = {
            "target": given.text(values, "target"),
            "time": given.text(values, "time"),
            "goal": given.text(values, "goal") if given.text(values, "goal") in GOALS else GOALS[0],
            "lags": lags,
            "level": level if level in LEVELS else LEVELS[1],
        }
        if isinstance(lags, bool) or not isinstance(lags, int) or not 0 <= lags <= MOST_LAGS:
            self._show_setup({"lags": self.words("setup.lags_wrong", most=MOST_LAGS)})
            return
        body = self.asked | {"dataset_id": self.dataset["dataset_id"], "level": float(self.asked["level"])}
        if not body["time"]:
            del body["time"]
        self.page.api.post(f"{self.page.at}/trainings", body)
        self.page.open(self.page.opened["id"], "data")


def _rounded(value: Any) -> Any:
    """An example as it is read best: numbers with six digits."""
    return float(f"{value:.6g}") if isinstance(value, float) else value
