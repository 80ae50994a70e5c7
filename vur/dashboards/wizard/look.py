"""Step 2, preview: rows, statistics, the series, what is missing, and the audit with repairs."""

from typing import Any, ClassVar

from vur.dashboards.wizard.step import Step
from vur.text import translate_or

MOST_FINDINGS = 30
TONES = {"error": "bad", "warning": "warn", "info": "info"}


class Preview(Step):
    """The data as models would see them, and what is wrong with them."""

    name: ClassVar[str] = "preview"
    panels: ClassVar[tuple[str, ...]] = ("chart", "options", "findings", "effects", "gaps", "table", "details")
    hidden_fields: ClassVar[tuple[str, ...]] = ("date", "target", "series", "roles")
    rows_page = 1

    def show(self) -> None:
        """Show the step from its first page of rows."""
        self.rows_page = 1
        super().show()
        self._show_rows()
        self._show_statistics()

    def draw(self) -> None:
        """Show the series, the audit and the map of missing values."""
        seen, say = self.page.look(), self.page.say
        points = seen["points"] or {"ds": [], "y": [], "missing": 0, "rows": 0}
        facts = {"series": seen["series"], "freq": seen["freq_text"] or "–", "horizon": seen["horizon"] or "–"}
        self.page.chart.show(
            title=seen["shown"] or say("pages.pipeline.preview.chart"),
            note=say("pages.pipeline.preview.facts", **facts) if seen["points"] else None,
            x=_axis(points["ds"]),
            zoom=True,
            series=[{"name": say("pages.pipeline.observed"), "x": points["ds"], "y": points["y"], "color": "second"}],
            empty=self._reason(seen["reason"]),
            **self.series_choice(seen),
        )
        self._show_findings(seen)
        gaps = seen["missing_map"]
        self.page.gaps.show(
            title=say("pages.pipeline.preview.gaps"),
            note=self._gaps_note(gaps),
            label=say("pages.pipeline.preview.gaps_label"),
            full=say("pages.pipeline.preview.gaps_full"),
            none=say("pages.pipeline.preview.gaps_none"),
            **gaps,
        ) if gaps else self.page.gaps.show(hidden=True)

    def _gaps_note(self, gaps: dict[str, Any]) -> str:
        """How much is missing, and how many of the series the map shows where they are many."""
        said = self.page.say("pages.pipeline.preview.gaps_note", missing=gaps["missing"], rows=gaps["rows"])
        shown, left_out = len(gaps["series"]), gaps["left_out"]
        if not left_out:
            return said
        return f"{said} {self.page.say('pages.pipeline.preview.gaps_some', shown=shown, count=shown + left_out)}"

    def _reason(self, reason: dict[str, Any] | None) -> str:
        """Why there is no series to draw, in the words of the page where it has some."""
        if reason is None:
            return self.page.say("pages.pipeline.preview.no_series")
        return translate_or(f"pages.pipeline.preview.reason.{reason['code']}", reason["detail"], self.page.language)

    def _show_findings(self, seen: dict[str, Any]) -> None:
        say, counts = self.page.say, seen["counts"]
        self.page.findings.show(
            title=say("pages.pipeline.preview.audit"),
            note=say("pages.pipeline.preview.counts", **counts),
            width="most" if seen["repairs"] else None,
            empty=say("pages.pipeline.preview.clean"),
            items=[
                {
                    "text": one["message"],
                    "detail": one["handled"] or one["title"],
                    "tone": TONES[one["severity"]],
                    "buttons": [
                        {"event": "repair", "label": one["action"], "values": {"key": one["key"]}, "kind": "small"}
                    ]
                    if one["action"]
                    else [],
                }
                for one in seen["findings"][:MOST_FINDINGS]
            ],
        )
        if not seen["repairs"]:
            self.page.effects.show(hidden=True)
            return
        undo = say("pages.pipeline.preview.undo")
        self.page.effects.show(
            title=say("pages.pipeline.preview.repairs"),
            width="rest",
            items=[
                {
                    "text": one["text"],
                    "tone": "good",
                    "buttons": [{"event": "undo", "label": undo, "values": {"key": one["key"]}, "kind": "small"}],
                }
                for one in seen["repairs"]
            ],
        )

    def on_findings_repair(self, values: dict[str, Any]) -> None:
        """Repair a finding with one click, and offer to undo it."""
        body = {"key": str(values.get("key"))[:64]}
        answer = self.page.api.post(f"/pipelines/{self.page.pipeline_id}/repairs", body)
        self._after(answer, "pages.pipeline.preview.repaired")

    def on_effects_undo(self, values: dict[str, Any]) -> None:
        """Undo a repair."""
        key = str(values.get("key"))[:500]
        answer = self.page.api.delete(f"/pipelines/{self.page.pipeline_id}/repairs", params={"key": key})
        self._after(answer, "pages.pipeline.preview.undone")

    def _after(self, answer: dict[str, Any], key: str) -> None:
        self.page.state = answer
        self.page.notice(self.page.say(key, text=answer["text"]), "success")
        self.page.show_step()

    def _show_rows(self) -> None:
        found = self.page.api.get(f"/datasets/{self.page.state['dataset_id']}/preview", limit=10, page=self.rows_page)
        numbers = {name for name, kind in found["types"].items() if kind == "numeric"}
        dates = {name for name, kind in found["types"].items() if kind == "datetime"}
        names = found["columns"][:30]
        self.page.table.show(
            title=self.page.say("pages.pipeline.preview.rows", total=found["total"]),
            note=self.page.say("pages.pipeline.preview.first_columns", shown=len(names), count=len(found["columns"]))
            if len(names) < len(found["columns"])
            else None,
            columns=[
                {
                    "key": f"c{at}",
                    "label": name,
                    "type": "exact" if name in numbers else "date" if name in dates else "text",
                }
                for at, name in enumerate(names)
            ],
            rows=[
                {"id": str(number), **{f"c{at}": row[name] for at, name in enumerate(names)}}
                for number, row in enumerate(found["items"])
            ],
            page=found["page"],
            pages=found["pages"],
        )

    def on_table_page(self, values: dict[str, Any]) -> None:
        """Turn a page of the rows."""
        self.rows_page = max(1, int(values.get("page") or 1))
        self._show_rows()

    def _show_statistics(self) -> None:
        say = self.page.say
        found = self.page.api.get(f"/datasets/{self.page.state['dataset_id']}/statistics", series="no")
        keys = ("missing", "unique", "min", "mean", "median", "max", "std")
        self.page.details.show(
            title=say("pages.pipeline.preview.statistics"),
            columns=[{"key": "column", "label": say("pages.pipeline.upload.column")}]
            + [{"key": key, "label": say(f"pages.pipeline.statistic.{key}"), "type": "number"} for key in keys],
            rows=[
                {"id": one["column"], "column": one["column"], **{key: _statistic(one[key]) for key in keys}}
                for one in found["columns"]
            ],
        )


def _statistic(value: Any) -> Any:
    """A statistic as a cell: dates in the visitor's writing, texts and truth values in words."""
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    return {"value": value, "type": "text"} if isinstance(value, bool) else {"value": str(value)[:10], "type": "date"}


def _axis(stamps: list[Any]) -> str:
    """The kind of the horizontal axis."""
    return "value" if stamps and not isinstance(stamps[0], str) else "time"
