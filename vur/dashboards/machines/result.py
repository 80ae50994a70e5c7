"""What a ranking says: sentences, the order with intervals, what each variable does, and what was set aside."""

from typing import Any

from vur.dashboards import given
from vur.dashboards.machines.board import Part, Row, figure, share
from vur.dashboards.words import written

ROWS = 20
WIDE = 1.645  # standard errors to each side of a 90 % interval
MOST_PAIRS = 20


class Result(Part):
    """The answer of the training that is shown."""

    def declare(self) -> None:
        """Declare the panels."""
        panel = self.page.panel
        self.turned = {"order": 1, "effects": 1, "others": 1}
        self.says = panel("text", hidden=True)
        self.order, self.effects, self.others = (panel("table", hidden=True) for _ in range(3))
        self.members, self.pairs = (panel("table", hidden=True) for _ in range(2))
        self.aside = panel("list", hidden=True)
        self.says.on("newest", lambda values: self.page.open(self.page.opened["id"], "result"))
        for name in self.turned:
            getattr(self, name).on("page", lambda values, name=name: self.turn(name, values))

    def turn(self, name: str, values: Any) -> None:
        """Show other rows of a table."""
        self.turned[name] = given.count(given.value(values, "page"))
        self.show()

    def show(self) -> None:
        """Show the answer, or that there is none yet."""
        self.hide()
        training, words = self.page.training, self.words
        if training is None:
            edits = self.page.may_edit
            self.says.show(
                title=words("result.none"), text=words("result.none_text" if edits else "result.none_viewer")
            )
            return
        self._show_says(training)
        rows = training["ranking"]
        if rows:
            self._show_order(rows)
            if training["origin"] == "vur":
                self._show_effects(rows)
                self._show_others(rows)
                self._show_members(training["members"])
                self._show_pairs()
        self._show_aside(training)

    def _show_says(self, training: Row) -> None:
        words, language = self.words, self.page.language
        first, *rest = training["says"] or [words("result.nothing_said")]
        newest = next((one["training"] for one in self.page.trainings if one["state"] == "finished"), None)
        older = newest is not None and training["training"] != newest
        document = self.page.document
        sure = [one for one in training["ranking"] if one.get("significant")]
        quiet = training["origin"] == "vur" and not sure
        facts = words("result.of", number=training["training"], moment=written(training["finished_at"][:16], language))
        at = f"vur/api/machines/{training['machine_id']}/trainings/{training['training']}"
        actions: list[Row] = []
        if older:
            actions.append({"event": "newest", "label": words("result.newest"), "kind": "primary"})
        if "report" in training["links"]:
            actions.append({"href": f"{at}/report", "label": words("result.report"), "target": "_blank"})
        if "notebook" in training["links"] and self.page.may_download:
            actions.append({"href": f"{at}/notebook", "label": words("result.notebook"), "download": ""})
        if older:
            rest = [words("result.older"), *rest]
        self.says.show(
            title=first,
            note=facts,
            lines=rest,
            tone="warn" if quiet else "",
            facts=self._facts(training, document),
            actions=actions,
        )

    def _facts(self, training: Row, document: Row) -> list[list[Any]]:
        words = self.words
        facts: list[list[Any]] = [[words("result.target"), training["target"]]]
        if "rows" in document:
            facts += [
                [words("result.rows"), document["rows"], "number"],
                [words("setup.goal"), words(f"goal.{document['goal']}")],
                [
                    words("result.explained"),
                    " · ".join(share(max(one, 0.0), self.page.language) for one in document["r2"]),
                ],
            ]
        return [*facts, [words("result.source"), training["source"]]] if training["source"] else facts

    def _paged(self, name: str, rows: list[Row]) -> tuple[list[Row], dict[str, Any]]:
        pages = max(-(-len(rows) // ROWS), 1)
        page = self.turned[name] = min(self.turned[name], pages)
        return rows[(page - 1) * ROWS : page * ROWS], {"page": page, "pages": pages}

    def _show_order(self, rows: list[Row]) -> None:
        words = self.words
        shown, pages = self._paged("order", rows)
        intervals = {one["rank"]: interval(one) for one in rows}
        most = max((high for _, high in intervals.values()), default=0.0) or 1.0
        outside = rows[0].get("rank_low") is None
        columns: list[Row] = [
            {"key": "rank", "label": words("column.rank")},
            {"key": "variable", "label": words("column.variable"), "wide": True},
            {"key": "importance", "label": words("column.importance")},
            {"key": "ranks", "label": words("column.ranks")},
            {"key": "sure", "label": words("column.sure")},
        ]
        self.order.show(
            title=words("order.title"),
            note=words("order.outside" if outside else "order.note"),
            columns=[one for one in columns if not outside or one["key"] not in ("ranks", "sure")],
            rows=[
                {
                    "id": str(one["rank"]),
                    "rank": str(one["rank"]),
                    "variable": one["variable"],
                    "ranks": one.get("ranks_text"),
                    "importance": self._bar(one, intervals[one["rank"]], most),
                    "sure": self._sure(one),
                }
                for one in shown
            ],
            **pages,
        )

    def _bar(self, one: Row, ends: tuple[float, float], most: float) -> Row | str:
        language, value = self.page.language, one.get("importance")
        if value is None:
            return "–"
        if one.get("significant") is None and one.get("z") is None:
            return {"bar": [value, value, value], "most": most, "text": figure(value, language)}
        low, high = (share(end, language) for end in ends)
        text = f"{share(value, language)} ({self.words('order.ends', low=low, high=high)})"
        return {"bar": [value, *ends], "most": most, "text": text, "tone": "" if one["significant"] else "muted"}

    def _sure(self, one: Row) -> Row:
        sure = bool(one.get("significant"))
        return {"text": self.words("sure.yes" if sure else "sure.no"), "tone": "good" if sure else "muted"}

    def _show_effects(self, rows: list[Row]) -> None:
        words, language = self.words, self.page.language
        shown, pages = self._paged("effects", [one for one in rows if one["significant"]])
        self.effects.show(
            hidden=not shown,
            title=words("does.title"),
            note=words("does.note", goal=words(f"goal.{self.page.document['goal']}")),
            columns=[
                {"key": "variable", "label": words("column.variable"), "wide": True},
                {"key": "shape", "label": words("column.shape")},
                {"key": "size", "label": words("column.size"), "number": True},
                {"key": "lag", "label": words("column.lag")},
                {"key": "best", "label": words("column.best"), "wide": True},
            ],
            rows=[
                {
                    "variable": one["variable"],
                    "shape": one["shape_text"],
                    "size": figure(one["effect"], language),
                    "lag": one["lag_text"],
                    "best": one["best_text"] or "–",
                }
                for one in shown
            ],
            **pages,
        )

    def _show_others(self, rows: list[Row]) -> None:
        words, language = self.words, self.page.language
        shown, pages = self._paged("others", rows)
        self.others.show(
            title=words("others.title"),
            note=words("others.note"),
            columns=[
                {"key": "variable", "label": words("column.variable"), "wide": True},
                {"key": "importance", "label": words("column.importance"), "number": True},
                {"key": "permutation", "label": words("column.permutation"), "number": True},
                {"key": "shap", "label": "SHAP", "number": True},
                {"key": "linear", "label": words("column.linear"), "number": True},
            ],
            rows=[
                {
                    "variable": one["variable"],
                    **{key: share(one[key], language) for key in ("importance", "permutation")},
                    **{key: figure(one[key], language) for key in ("shap", "linear")},
                }
                for one in shown
            ],
            **pages,
        )

    def _show_members(self, rows: list[Row]) -> None:
        words, language = self.words, self.page.language
        self.members.show(
            hidden=not rows,
            title=words("members.title"),
            note=words("members.note"),
            columns=[
                {"key": "variable", "label": words("column.variable"), "wide": True},
                {"key": "importance", "label": words("column.importance"), "number": True},
                {"key": "sure", "label": words("column.sure")},
                {"key": "shape", "label": words("column.shape")},
            ],
            rows=[
                {
                    "variable": one["variable"],
                    "importance": share(one["importance"], language),
                    "sure": self._sure(one),
                    "shape": one["shape_text"],
                }
                for one in rows[:ROWS]
            ],
        )

    def _show_pairs(self) -> None:
        words, pairs = self.words, self.page.document.get("pairs") or []
        self.pairs.show(
            hidden=not pairs,
            title=words("pairs.title"),
            note=words("pairs.note"),
            columns=[
                {"key": "first", "label": words("column.variable"), "wide": True},
                {"key": "second", "label": words("pairs.second"), "wide": True},
                {"key": "strength", "label": words("pairs.strength"), "number": True},
            ],
            rows=[
                {
                    "first": one["first"],
                    "second": one["second"],
                    "strength": figure(one["strength"], self.page.language),
                }
                for one in pairs[:MOST_PAIRS]
            ],
        )

    def _show_aside(self, training: Row) -> None:
        items = [{"text": one["text"], "tone": "warn"} for one in training["aside"]]
        items += [{"text": one["text"], "tone": "info"} for one in training["notes"]]
        self.aside.show(hidden=not items, title=self.words("aside.title"), items=items)


def interval(one: Row) -> tuple[float, float]:
    """The 90 % interval of an importance, by its z; the value itself where none is known."""
    value, z = one.get("importance") or 0.0, one.get("z")
    wide = abs(WIDE * value / z) if z else 0.0
    return value - wide, value + wide
