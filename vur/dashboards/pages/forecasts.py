"""The forecasts page: history and forecast of a model, what came, why, what if, overrides and published links."""

from typing import Any
from urllib.parse import quote, urlencode

from vur.dashboards.client import ServiceError
from vur.dashboards.page import Page
from vur.dashboards.pages import forecast_views as views
from vur.dashboards.pages.sharing import Sharing
from vur.languages import LANGUAGES

MODELS, SERIES, WORST = 200, 200, 10  # that lists offer, and rows of the table of series
SUM = ""  # the choice of the sum of all series
DAYS = (1, 7, 30, 90)  # that a link may work


class ForecastsPage(Page):
    """Pick a model and a series; the address keeps the choice."""

    name = "forecasts"
    role = "viewer"
    live = ("prediction",)

    def build(self) -> None:
        """Declare the panels."""
        self.chooser = self.panel("form")
        self.figures = self.panel("cards")
        self.chart = self.panel("chart")
        self.table = self.panel("table")
        self.why = self.panel("chart")
        self.reasons = self.panel("text")
        self.vintages = self.panel("chart")
        self.issues = self.panel("table")
        self.worst = self.panel("table")
        self.sliders = self.panel("form")
        self.effect = self.panel("chart")
        self.override = self.panel("form")
        self.worth = self.panel("text")
        self.overrides = self.panel("table")
        self.shares = Sharing(self, "model")
        self.publish = self.panel("form")
        self.link = self.panel("link")
        self.links = self.panel("table")
        self.chooser.on("choose", self.choose)
        self.chart.on("zoom", self.zoom)
        self.chart.on("point", self.point)
        self.table.on("page", self.turn)
        self.table.on("select", lambda given: self.explain(value(given, "id")))
        self.vintages.on("filter", self.choose_lead)
        for event in ("sort", "page", "search"):
            self.worst.on(event, lambda given, event=event: self.list_series(event, given))
        self.worst.on("select", lambda given: self.choose({"series": value(given, "id")}))
        self.sliders.on("change", self.what_if)
        self.sliders.on("reset", lambda given: self.show_sliders())
        self.override.on("override", self.add_override, role="analyst")
        self.overrides.on("withdraw", self.withdraw, role="analyst")
        self.overrides.on("page", lambda given: self.show_overrides(whole(value(given, "page"), 1)))
        self.publish.on("publish", self.add_link, role="analyst")
        self.links.on("revoke", self.revoke, role="analyst")
        self.model: dict[str, Any] = {}
        self.data: dict[str, Any] = {}
        self.series: str | None = None
        self.errors: dict[str, Any] | None = None
        self.columns: list[dict[str, Any]] = []
        self.part: dict[str, Any] | None = None
        self.view: dict[str, Any] | None = None
        self.page, self.ahead = 1, 0
        self.listing: dict[str, Any] = {"sort": "-share", "page": 1, "search": None}
        self.may_edit = self.may_download = False

    # The model and the series

    def load(self) -> None:
        """Show the model and series of the address, else the newest champion and its largest series."""
        self.may_download = bool(self.api.get("/switches")["may_download"])
        self.models = self._models()
        if not self.models:
            self._nothing()
            return
        wanted = self.query.get("model")
        self.model = next((one for one in self.models if one["model_id"] == wanted), self.models[0])
        self._open(self.query.get("series"))

    def _models(self) -> list[dict[str, Any]]:
        """The trained models: champions first, then the newest; that of the address even if it is old."""
        found = self.api.get("/models", status="trained", sort="-trained_at", limit=MODELS)["items"]
        wanted = self.query.get("model")
        if wanted and all(one["model_id"] != wanted for one in found):
            try:
                found.append(self.api.get(f"/models/{quote(wanted, safe='')}"))
            except ServiceError as error:
                if error.status != 404:
                    raise
                self.notice(error.detail, "warning")
        return sorted(found, key=lambda one: not one["champion"])

    def _nothing(self) -> None:
        """Say that there is no model yet, and where one is made."""
        action = {"href": "pipeline", "label": self._("make_one"), "kind": "primary"}
        may = self.is_at_least("analyst")
        self.reasons.show(title=self._("no_models"), text=self._("no_models_text"), actions=[action] if may else [])
        for panel in self.panels[1:]:
            if panel is not self.reasons:
                panel.show(hidden=True)

    def choose(self, given: Any) -> None:
        """Open another model or series."""
        id, series = value(given, "model"), value(given, "series")
        if id is not None and id != self.model["model_id"]:
            found = next((one for one in self.models if one["model_id"] == id), None)
            if found is None:
                return
            self.model, series = found, None
            self.listing |= {"page": 1, "search": None}
        elif series is None:
            return
        self._open(None if series is None else str(series))

    def _open(self, series: str | None) -> None:
        """Show everything of a series of the chosen model: the largest for None, the sum of all for `SUM`."""
        self.part, self.page, self.ahead = None, 1, 0
        self.may_edit = self._may_edit()
        try:
            self.series = self._largest() if series is None else series or None
            self.data = self._history()
        except ServiceError as error:
            if not series or error.status != 422:
                self._cannot(error)
                return
            self.notice(error.detail, "warning")  # a series that this model does not know
            self.series = self._largest()
            self.data = self._history()
        self.series = self.data["series"]
        self.view = views.recent(self.data)
        if self.view is not None:
            self.part = self._part(self.view["from"], self.view["to"])
        self.set_query(model=self.model["model_id"], series=SUM if self.series is None else self.series)
        self.names = self._names()
        self.show_chooser()
        self.show_chart()
        self.show_table()
        self.show_figures()
        for show in (
            self.explain,
            self.show_vintages,
            self.show_series,
            self.show_sliders,
            self.show_overrides,
            self.show_links,
        ):
            show()

    def _cannot(self, error: ServiceError) -> None:
        """Show why nothing of the chosen model can be shown, and let another be chosen."""
        self.names = []
        self.show_chooser()
        waits = error.code == "models.not_trained"
        said = self._("in_training", name=self.model["name"]) if waits else error.detail
        self.chart.show(title=self.model["name"], series=[], empty=said)
        for panel in self.panels[2:]:
            if panel is not self.chart:
                panel.show(hidden=True)

    def _may_edit(self) -> bool:
        """Whether the visitor may change the model; the service decides it once more."""
        if not self.is_at_least("analyst"):
            return False
        try:
            self.found_links = self.api.get(self._path("publications"))
        except ServiceError as error:
            if error.status != 403:
                raise
            return False
        return True

    def _largest(self) -> str | None:
        """The series with the largest actual values: other than the sum, it has an interval, reasons and overrides."""
        found = self.api.get(self._path("series"), sort="-level", limit=1)["items"]
        return found[0]["series"] if found else None

    def _history(self) -> dict[str, Any]:
        found: dict[str, Any] = self.api.get(self._path("history"), series=self.series)
        return found

    def _names(self) -> list[str]:
        """The first series of the model by name."""
        if self.data["n_series"] == 1:
            return []
        found = self.api.get(self._path("series"), sort="series", limit=SERIES)["items"]
        return [one["series"] for one in found]

    def _path(self, rest: str) -> str:
        return f"/models/{quote(self.model['model_id'], safe='')}/{rest}"

    def _(self, key: str, /, **values: Any) -> str:
        return self.say(f"pages.forecasts.{key}", **values)

    def tick(self) -> None:
        """Show newer values and forecasts; what is being typed or chosen stays."""
        if not self.data:
            return
        found = self._history()
        if found != self.data:
            self.data = found
            self.show_chart()
            self.show_table()
            self.show_figures()

    # History and forecast

    def show_chooser(self) -> None:
        """Show the lists of models and series."""
        models = [[one["model_id"], self._model_label(one)] for one in self.models]
        fields = [
            {"name": "model", "label": self._("model"), "type": "choice", "options": models}
            | {"value": self.model["model_id"]}
        ]
        if self.names:
            series = [[name, name] for name in self.names]
            if self.series is not None and self.series not in self.names:
                series.insert(0, [self.series, self.series])
            options = [[SUM, self._("total")], *series]
            fields.append(
                {"name": "series", "label": self._("series"), "type": "choice", "options": options}
                | {"value": SUM if self.series is None else self.series}
                | ({"help": self._("more_series")} if self.data["n_series"] > len(self.names) else {})
            )
        self.chooser.show(fields=fields, live="choose")

    def _model_label(self, model: dict[str, Any]) -> str:
        return self._("champion", name=model["name"]) if model["champion"] else model["name"]

    def show_chart(self) -> None:
        """Draw history and forecast."""
        name = self.series or (self._("total") if self.data["n_series"] > 1 else self.data["target"])
        of_sum = [self._("sum_has_none")] if self.series is None and self.data["n_series"] > 1 else []
        warnings = " ".join([*of_sum, *self.data["warnings"]])
        found = views.chart(self.data, self._, self.part)
        self.chart.show(
            title=name,
            note=views.counted(self.data, self._),
            text=warnings or None,
            label=self._("chart_label", series=name, target=self.data["target"]),
            height=400,
            zoom=True,
            view=self.view,
            range="zoom",
            click="point",
            empty=self._("no_values"),
            actions=self._downloads(name),
            **found,
        )

    def _downloads(self, name: str) -> list[dict[str, Any]]:
        """Buttons for the picture and the tables of the forecast."""
        actions: list[dict[str, Any]] = [{"png": f"{self.model['name']} {name}", "label": "PNG", "kind": "small"}]
        if self.data["forecast"] is None or not self.may_download:
            return actions
        wanted = {"series": self.series} if self.series is not None else {}
        for format, label in (("csv", "CSV"), ("xlsx", "Excel")):
            query = urlencode({"format": format, "dialect": self.language, **wanted})
            actions.append(
                {"href": f"vur/api{self._path('forecast/download')}?{query}", "label": label, "kind": "small"}
                | {"download": ""}
            )
        return actions

    def zoom(self, given: Any) -> None:
        """Ask for finer points of the visible range."""
        start, end = (views.seen(value(given, key)) for key in ("from", "to"))
        if start is None or end is None or not self.data.get("history", {}).get("thinned"):
            return
        self.part = self._part(start, end)
        self.show_chart()

    def _part(self, start: Any, end: Any) -> dict[str, Any] | None:
        """The finer points of a range of the history, if there are any."""
        if not self.data["history"]["thinned"]:
            return None
        found = self.api.get(self._path("history"), series=self.series, **{"from": start, "to": end})
        return dict(found["history"])

    def show_table(self) -> None:
        """Show a page of the forecast's values."""
        found = self.data["forecast"]
        if found is None:
            self.table.show(hidden=True)
            return
        pick = [self._("values_note")] if self._has_reasons else []
        narrow = [self._("narrows")] if views.narrows(found) else []
        self.table.show(
            title=self._("values"),
            note=" ".join([*pick, *narrow]) or None,
            select=bool(pick),
            width="half" if pick else None,
            **views.table(found, self.page, self._, self.language),
        )

    def turn(self, given: Any) -> None:
        """Turn to another page of the values."""
        self.page = whole(value(given, "page"), 1)
        self.show_table()

    def show_figures(self) -> None:
        """Show what matters most in figures."""
        self.errors = self._errors()
        self.figures.show(items=views.figures(self.data, self.errors, self._, self.language))

    def _errors(self) -> dict[str, Any] | None:
        """The errors of the chosen series."""
        if self.series is None:
            return None
        found = self.api.get(self._path("series"), search=self.series, limit=100)["items"]
        return next((one for one in found if one["series"] == self.series), None)

    # Why

    def point(self, given: Any) -> None:
        """Explain the forecast at a date that was clicked."""
        at = value(given, "x")
        found = self.data["forecast"]
        if found is None or not found["timestamps"]:
            return
        wanted = at if isinstance(found["timestamps"][0], int) else views.seen(at)
        stamp = next((one for one in found["timestamps"] if same(views.clock(one), wanted)), None)
        if stamp is not None:
            self.explain(stamp)

    @property
    def _has_reasons(self) -> bool:
        """Whether a value can be explained: a sum has the reasons of its parts."""
        return self.series is not None and self.data["forecast"] is not None

    def explain(self, at: Any = None) -> None:
        """Show the parts of one forecast, by default of the next."""
        if not self._has_reasons:
            for panel in (self.why, self.reasons):
                panel.show(hidden=True)
            return
        try:
            found = self.api.get(self._path("why"), series=self.series, at=at)
        except ServiceError as error:
            self.why.show(title=self._("why"), series=[], empty=error.detail, width="half")
            self.reasons.show(hidden=True)
            return
        date = views.written(views.clock(found["timestamp"]), self.language)
        self.why.show(
            title=self._("why_title", date=date),
            label=" ".join(found["sentences"]),
            width="half",
            height=420,
            **views.parts_chart(found, self._),
        )
        self.reasons.show(
            title=self._("in_words"),
            lines=[*found["sentences"], *views.made_of(found["members"], self._)],
            more={"label": self._("how_found"), "lines": found["method"]} if found["method"] else None,
        )

    # Vintages

    def choose_lead(self, given: Any) -> None:
        """Show forecasts made so many steps ahead, or by issue for 0."""
        self.ahead = max(0, whole(value(given, "value"), 0))
        self.show_vintages()

    def show_vintages(self) -> None:
        """Show past forecasts against what came."""
        horizon = self.data["horizon"]
        leads = [step for step in (1, 2, 3, 5, 7, 12, 14, 24, 28, 48, horizon) if step <= horizon]
        options = [["0", self._("by_issue")], *([str(step), self._("ahead", lead=step)] for step in sorted({*leads}))]
        found = self.api.get(self._path("vintages"), series=self.series, lead=self.ahead or None)
        self.vintages.show(
            title=self._("vintages"),
            note=self._("vintages_text"),
            label=self._("vintages"),
            height=320,
            filters=[{"name": "lead", "label": self._("shown"), "value": str(self.ahead), "options": options}],
            zoom=bool(self.ahead),
            empty=self._("no_vintages"),
            **views.vintages_chart(found, self._, self.language),
        )
        if found["issues"]:
            self.issues.show(label=self._("vintages"), **views.issues_table(found, self._))
        else:
            self.issues.show(hidden=True)

    # Worst series

    def list_series(self, event: str, given: Any) -> None:
        """Sort, search or turn the table of series."""
        if event == "sort":
            self.listing |= {"sort": str(value(given, "key") or "-share"), "page": 1}
        elif event == "search":
            self.listing |= {"search": str(value(given, "text") or "")[:200] or None, "page": 1}
        else:
            self.listing["page"] = whole(value(given, "page"), 1)
        self.show_series()

    def show_series(self) -> None:
        """Show the series of the model, the worst first."""
        if self.data["n_series"] == 1:
            self.worst.show(hidden=True)
            return
        found = self.api.get(self._path("series"), limit=WORST, **self.listing)
        self.worst.show(
            title=self._("worst"),
            note=self._("worst_note"),
            search={"label": self._("find_series"), "value": self.listing["search"] or ""},
            sort=self.listing["sort"],
            select=True,
            selected=self.series,
            empty=self._("no_series"),
            **views.worst_table(found, self._),
        )

    # What if

    def show_sliders(self) -> None:
        """Show a slider for each column that the model uses."""
        found = self.api.get(self._path("future"), series=self.series)
        self.columns = found["columns"]
        if not any(one["used"] for one in self.columns):
            text = self._("what_if_unused" if self.columns else "what_if_none")
            self.sliders.show(title=self._("what_if"), text=text, fields=[])
            self.effect.show(hidden=True)
            return
        self.sliders.show(
            title=self._("what_if"),
            text=self._("what_if_text"),
            width="rest",
            fields=views.what_if_fields(self.columns, {}, self._),
            live="change",
            actions=[{"event": "reset", "label": self._("reset"), "kind": "small"}],
        )
        self.effect.show(title=self._("effect"), series=[], height=300, width="most", empty=self._("move_a_slider"))

    def what_if(self, given: Any) -> None:
        """Show the forecast with the chosen changes beside the one without."""
        changes = views.changes_of(self.columns, given if isinstance(given, dict) else {})
        if not changes:
            self.effect.show(title=self._("effect"), series=[], height=300, width="most", empty=self._("move_a_slider"))
            return
        found = self.api.post(self._path("what-if"), {"series": self.series, "changes": changes})
        text = (
            self._("effect_none")
            if not found["difference"]
            else self._(
                "effect_more" if found["difference"] > 0 else "effect_less",
                difference=views.plain(abs(found["difference"]), self.language),
                percent=views.plain(abs(found["percent"] or 0), self.language),
                steps=found["horizon"],
            )
        )
        self.effect.show(
            title=self._("effect"),
            note=text,
            text=" ".join(found["warnings"]) or None,
            label=text,
            height=300,
            width="most",
            **views.what_if_chart(found, self._),
        )

    # Overrides

    def show_overrides(self, page: int = 1) -> None:
        """Show the form, the changes of this series and what they were worth."""
        self.show_override_form()
        found = self.api.get(self._path("overrides"), series=self.series, page=page, limit=views.CHANGES)
        worth = found["value_added"]
        if found["total"]:
            tone = "good" if (worth["value_added"] or 0) > 0 else "warn" if worth["n"] else ""
            lines = views.worth_lines(worth, self._, self.language)
            self.worth.show(title=self._("worth"), lines=lines, tone=tone)
        else:
            self.worth.show(hidden=True)
        self.overrides.show(
            title=self._("overrides"),
            note=self._("overrides_note"),
            empty=self._("no_overrides"),
            actionsLabel=self._("actions"),
            rowActions=[
                {"event": "withdraw", "label": self._("withdraw"), "confirm": self._("withdraw_sure"), "when": "open"}
            ],
            **views.overrides_table(found, self._, self.language, self.may_edit),
        )

    def show_override_form(self, given: Any = None, faults: dict[str, str] | None = None) -> None:
        """Show the form of an override, with what was `given` and what it lacks."""
        found = self.data["forecast"]
        if not self.may_edit or found is None or self.series is None:
            text = self._("override_one") if self.may_edit and found is not None else self._("override_no")
            self.override.show(title=self._("override_title"), text=text, fields=[])
            return
        self.override.show(
            title=self._("override_title"),
            text=f"{self._('override_text')} {self._('worth_about')}",
            fields=views.override_fields(found, self._, self.language, given, faults),
            submit={"event": "override", "label": self._("override_do")},
        )

    def add_override(self, given: Any) -> None:
        """Override the forecast of the chosen dates."""
        given = given if isinstance(given, dict) else {}
        body = views.override_body(given, self.series)
        if faults := views.override_faults(body, self._):
            self.show_override_form(given, faults)
            return
        made = self.api.post(self._path("overrides"), body)
        self.notice(self._("overridden_now", count=len(made["points"])), "success")
        self._changed()

    def withdraw(self, given: Any) -> None:
        """Let the forecast of the model count again."""
        id = quote(str(value(given, "id")), safe="")
        self.api.post(self._path(f"overrides/{id}/withdraw"), {})
        self.notice(self._("withdrawn_now"), "success")
        self._changed()

    def _changed(self) -> None:
        """Show the forecast after a change of its overrides."""
        self.data = self._history()
        self.show_chart()
        self.show_table()
        self.show_figures()
        self.show_overrides()

    # Published links

    def show_links(self) -> None:
        """Show the form of a link, and the links there are."""
        if not self.may_edit:
            self.shares.hide()
            for panel in (self.publish, self.link, self.links):
                panel.show(hidden=True)
            return
        self.show_shares()
        options = [["", self._("total")], *([name, name] for name in self.names)]
        chosen = self.series or ""
        if chosen and chosen not in self.names:
            options.append([chosen, chosen])
        days = [[number, self._("days", count=number)] for number in DAYS]
        languages = [[code, language.name] for code, language in LANGUAGES.items()]
        fields: list[dict[str, Any]] = [
            {"name": "title", "label": self._("link_title"), "type": "text", "value": self.model["name"]},
            {"name": "days", "label": self._("link_days"), "type": "choice", "options": days, "value": 7},
            {"name": "language", "label": self._("link_language"), "type": "choice", "options": languages}
            | {"value": self.language},
        ]
        if self.names:
            fields.insert(
                1,
                {"name": "series", "label": self._("series"), "type": "choice", "options": options, "value": chosen},
            )
        self.publish.show(
            title=self._("publish"),
            text=self._("publish_text"),
            fields=fields,
            submit={"event": "publish", "label": self._("publish_do")},
        )
        self.link.show(hidden=True)
        self._show_link_list()

    def show_shares(self) -> None:
        """Show with whom the model is shared, if it is the visitor's to share."""
        try:
            self.shares.show(self.model["model_id"])
        except ServiceError as error:
            if error.status not in (403, 404):
                raise
            self.shares.hide()

    def _show_link_list(self) -> None:
        self.found_links = self.api.get(self._path("publications"))
        self.links.show(
            title=self._("links"),
            empty=self._("no_links"),
            actionsLabel=self._("actions"),
            rowActions=[
                {"event": "revoke", "label": self._("revoke"), "confirm": self._("revoke_sure"), "when": "open"}
            ],
            **views.links_table(self.found_links, self._),
        )

    def add_link(self, given: Any) -> None:
        """Publish the forecast of the chosen series."""
        if value(given, "days") is None:
            return
        series = value(given, "series") if self.names else self.series
        made = self.api.post(
            self._path("publications"),
            {
                "title": str(value(given, "title") or "").strip() or None,
                "days": whole(value(given, "days"), 7),
                "language": value(given, "language"),
                "series": [str(series)] if series else None,
            },
        )
        self.link.show(
            title=self._("link_made"),
            text=self._("link_once"),
            path=made["path"].lstrip("/"),
            url=made["url"],
            copy=self._("copy"),
            copied=self._("copied"),
        )
        self._show_link_list()

    def revoke(self, given: Any) -> None:
        """End a link at once."""
        id = quote(str(value(given, "id")), safe="")
        self.api.delete(self._path(f"publications/{id}"))
        self.link.show(hidden=True)
        self.notice(self._("revoked_now"), "success")
        self._show_link_list()


def value(given: Any, key: str) -> Any:
    """A value of what the browser sent, which may be anything."""
    return given.get(key) if isinstance(given, dict) else None


def whole(given: Any, default: int) -> int:
    """A whole number that the browser sent, or `default`."""
    try:
        return int(given)
    except (TypeError, ValueError, OverflowError):
        return default


def same(stamp: Any, wanted: Any) -> bool:
    """Whether two dates of a chart are the same, one of them with a time at midnight."""
    if isinstance(stamp, int) or isinstance(wanted, (int, float)):
        return bool(stamp == wanted)
    return str(wanted) in (stamp, f"{stamp}T00:00:00")


def open() -> ForecastsPage:  # noqa: A001 - the notebook says `forecasts.open()`
    """Open the page for the visitor."""
    return ForecastsPage()
