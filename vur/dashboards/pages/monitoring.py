"""The monitoring page: models, jobs, continuous predictions, alerts and their thresholds, the machine, logs."""

import time
from collections.abc import Collection
from typing import Any

from vur.dashboards.page import Page
from vur.dashboards.pages import standing
from vur.dashboards.pages.curves import stream_chart
from vur.errors import VurError

REST = 20.0  # seconds between two refreshes of what changes slowly
SLOW = ("models", "alerts")
VIEWS = ("models", "jobs", "streams", "alerts", "system", "logs")
KINDS = ("sqlite", "duckdb", "parquet", "postgresql")  # of sources
STATES = {
    "queued": "muted",
    "running": "info",
    "succeeded": "good",
    "failed": "bad",
    "cancelled": "warn",
    "failing": "bad",
    "stopped": "muted",
    "connected": "good",
    "error": "bad",
    "unknown": "muted",
}
SEVERITIES = {"error": "bad", "critical": "bad", "warning": "warn", "info": "info", "debug": "muted"}
ROWS, LOG_ROWS, POINTS, HOURS = 20, 200, 120, 3


class MonitoringPage(Page):
    """What runs, whether it runs well, and what to do if not: one part at a time."""

    name = "monitoring"
    live = ("training_update", "prediction", "alert")

    def build(self) -> None:
        """Declare the panels of all parts; those of the chosen one are shown."""
        self.parts = self.panel("tabs")
        self.parts.on("tab", self.open_part)
        self.models, self.evidence, self.weeks = self.panel("table"), self.panel("text"), self.panel("chart")
        self.models.on("select", self.choose_model)
        self.models.on("sort", self.sort_models)
        self.evidence.on("retrain", self.retrain, role="analyst")
        self.evidence.on("thresholds", self.thresholds_of_model, role="analyst")
        self.pipelines, self.jobs = self.panel("table"), self.panel("table")
        self.jobs.on("cancel", self.cancel_job, role="analyst")
        self.jobs.on("retry", self.retry_job, role="analyst")
        self.jobs.on("page", lambda values: self._turn("jobs_page", values))
        self.streams, self.series, self.stream = self.panel("table"), self.panel("form"), self.panel("chart")
        self.streams.on("select", self.choose_stream)
        self.streams.on("stop", self.stop_stream, role="analyst")
        self.streams.on("resume", self.resume_stream, role="analyst")
        self.streams.on("remove", self.remove_stream, role="analyst")
        self.series.on("series", self.choose_series)
        self.start = self.panel("form")
        self.start.on("start", self.start_stream, role="analyst")
        self.sources, self.preview, self.source = self.panel("table"), self.panel("table"), self.panel("form")
        self.sources.on("select", self.preview_source)
        self.sources.on("test", self.test_source, role="analyst")
        self.sources.on("remove", self.remove_source, role="analyst")
        self.source.on("add", self.add_source, role="analyst")
        self.alerts, self.thresholds = self.panel("table"), self.panel("form")
        self.alerts.on("filter", self.filter_alerts)
        self.alerts.on("page", lambda values: self._turn("alerts_page", values))
        self.alerts.on("acknowledge", self.acknowledge, role="analyst")
        self.alerts.on("acknowledge_all", self.acknowledge_all, role="analyst")
        self.thresholds.on("scope", self.choose_scope, role="analyst")
        self.thresholds.on("save", self.save_thresholds, role="analyst")
        self.thresholds.on("reset", self.reset_thresholds, role="analyst")
        self.machine, self.load_chart, self.traffic = self.panel("cards"), self.panel("chart"), self.panel("chart")
        self.logs = self.panel("table")
        self.logs.on("filter", self.filter_logs, role="admin")
        self.logs.on("search", self.search_logs, role="admin")
        self.found: dict[str, list[dict[str, Any]]] = {}
        self.chosen_series: str | None = None
        self.scope = ""
        self.previewed: str | None = None
        self.open_alerts = 0
        self.refreshed = 0.0

    # Parts

    @property
    def panels_of(self) -> dict[str, list[Any]]:
        """The panels of each part, in their order."""
        return {
            "models": [self.models, self.evidence, self.weeks],
            "jobs": [self.pipelines, self.jobs],
            "streams": [
                *(self.streams, self.series, self.stream, self.start),
                *(self.sources, self.preview, self.source),
            ],
            "alerts": [self.alerts, self.thresholds],
            "system": [self.machine, self.load_chart, self.traffic],
            "logs": [self.logs],
        }

    @property
    def part(self) -> str:
        """The part that is shown; a link to a task of a model, monitor, job or source leads to its part."""
        wanted = self.query.get("view", "")
        wanted = {"retrain": "models", "training": "jobs"}.get(wanted, wanted)
        for key, part in (("monitor", "streams"), ("source", "streams"), ("job", "jobs"), ("model", "models")):
            wanted = wanted if wanted in VIEWS or key not in self.query else part
        known = VIEWS if self.is_at_least("admin") else VIEWS[:-1]
        return wanted if wanted in known else VIEWS[0]

    def load(self) -> None:
        """Show the chosen part, and hide the others."""
        self.refreshed = time.monotonic()
        part = self.part
        for name, panels in self.panels_of.items():
            for panel in panels:
                if name != part:
                    panel.show(hidden=True)
        self._count_alerts()
        self._show_parts()
        getattr(self, f"_open_{part}")()

    def tick(self) -> None:
        """Refresh what changes in the part that is shown; forms stay as they are."""
        part = self.part
        if part in SLOW and time.monotonic() - self.refreshed < REST:
            return
        self.refreshed = time.monotonic()
        if part in SLOW:
            self._count_alerts()
            self._show_parts()
        getattr(self, f"_refresh_{part}")()

    def open_part(self, values: Any) -> None:
        """Show another part."""
        name = _text(values, "name")
        if name in VIEWS:
            self.set_query(view=name, model=None, monitor=None, source=None, job=None)
            self.load()

    def _count_alerts(self) -> None:
        self.open_alerts = self.api.get("/dashboard/alerts", limit=1)["total"]

    def _show_parts(self) -> None:
        self.parts.show(
            label=self.say("pages.monitoring.parts"),
            current=self.part,
            items=[
                {
                    "name": name,
                    "label": self.say(f"pages.monitoring.part.{name}"),
                    "count": self.open_alerts if name == "alerts" else None,
                }
                for name in (VIEWS if self.is_at_least("admin") else VIEWS[:-1])
            ],
        )

    def _known(self, values: Any, kind: str, key: str) -> dict[str, Any]:
        """The row that an event names by its id; `VurError` pages.monitoring.gone if it is not among those shown."""
        id = _text(values, "id")
        row = next((row for row in self.found.get(kind, []) if row[key] == id), None)
        if row is None:
            raise VurError("pages.gone")
        return row

    def _turn(self, name: str, values: Any) -> None:
        page = values.get("page") if isinstance(values, dict) else None
        if isinstance(page, int) and 1 <= page <= 100_000:
            self.set_query(**{name: page if page > 1 else None})
            getattr(self, f"_refresh_{self.part}")()

    def _page(self, name: str) -> int:
        text = self.query.get(name, "1")
        return min(max(int(text), 1), 100_000) if text.isdecimal() and len(text) < 7 else 1

    def _badge(self, state: str) -> dict[str, str]:
        return {"text": self.say(f"pages.monitoring.state.{state}"), "tone": STATES.get(state, "muted")}

    def _problems(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The column of problems, if any row has one."""
        column = {"key": "error", "label": self.say("pages.monitoring.problem"), "wide": True}
        return [column] if any(row["error"] for row in rows) else []

    # Models

    def _open_models(self) -> None:
        self._refresh_models()
        self._show_evidence()

    def _refresh_models(self) -> None:
        self.found["models"] = self.api.get("/monitoring/models", limit=standing.MOST)["items"]
        rows = standing.verdict_rows(self, self.found["models"], self.query.get("sort", "verdict"))
        for row in rows:
            if row["champion"]:
                row["name"] = self.say("pages.models.champion", name=row["name"])
        self.models.show(
            title=self.say("pages.monitoring.models.title"),
            note=self.say("pages.monitoring.models.note"),
            columns=standing.verdict_columns(self),
            rows=rows,
            sort=self.query.get("sort", "verdict"),
            select=True,
            selected=self._model_id(rows),
            empty=self.say("pages.dashboard.models.empty"),
        )

    def _model_id(self, rows: Collection[dict[str, Any]] | None = None) -> str | None:
        """The model whose evidence is shown: the one in the address, else the first of the table."""
        ids = [row["id"] for row in (self.models.content.get("rows") or ()) if rows is None] or [
            row["id"] for row in rows or ()
        ]
        wanted = self.query.get("model")
        return wanted if wanted in ids else next(iter(ids), None)

    def sort_models(self, values: Any) -> None:
        """Sort the table of models by another column."""
        key = _text(values, "key")
        if key.removeprefix("-") in {column.get("sort") for column in standing.verdict_columns(self)}:
            self.set_query(sort=key)
            self._refresh_models()

    def choose_model(self, values: Any) -> None:
        """Show the evidence on another model."""
        row = self._known(values, "models", "model_id")
        self.set_query(model=row["model_id"])
        self.models.update(selected=row["model_id"])
        self._show_evidence()

    def _show_evidence(self) -> None:
        id = self._model_id()
        if id is None:
            self.evidence.show(hidden=True)
            self.weeks.show(hidden=True)
            return
        health = self.api.get(f"/monitoring/models/{id}/health")
        verdict, evidence = health["verdict"], health["evidence"]
        live, training, inputs = evidence["live"] or {}, evidence["training"], evidence["inputs"] or {}
        actions: list[dict[str, Any]] = []
        if self.is_at_least("analyst"):
            actions.append({"event": "thresholds", "label": self.say("pages.monitoring.models.thresholds")})
            actions.append(
                {
                    "event": "retrain",
                    "label": self.say("pages.monitoring.models.retrain"),
                    "kind": "primary" if verdict["retrain"] == "yes" else "",
                    "confirm": self.say("pages.monitoring.models.retrain_confirm", name=health["name"]),
                }
            )
        actions.append({"label": self.say("pages.chart.open"), "href": f"forecasts?model={id}"})
        percent, plain = "percent", "number"
        self.evidence.show(
            width="half",
            title=verdict["headline"],
            tone={"yes": "bad", "no": "good"}.get(verdict["retrain"], ""),
            lines=[reason["text"] for reason in verdict["reasons"]],
            facts=[
                [self.say("pages.models.compared"), live.get("n", 0), plain],
                [self.say("pages.models.live_error"), live.get("mae"), plain],
                [self.say("pages.models.training_error"), training["mae"], plain],
                [self.say("pages.models.live_skill"), live.get("skill"), percent],
                [self.say("pages.models.training_skill"), training["skill"], percent],
                [self.say("pages.models.coverage"), standing.coverage_text(live.get("coverage") or {}, self.language)],
                [self.say("pages.models.new_rows"), inputs.get("rows"), plain],
                [self.say("pages.models.moved"), ", ".join(health["moved_columns"]) or "–"],
                [self.say("pages.models.trained"), health["trained_at"], "moment"],
            ],
            actions=actions,
        )
        weeks = [week for week in health["history"] if week["skill"] is not None]
        self.weeks.show(
            width="half",
            title=self.say("pages.monitoring.weeks.title"),
            note=self.say("pages.monitoring.weeks.note"),
            series=[
                {
                    "name": self.say("pages.models.live_skill"),
                    "x": [week["period"] for week in weeks],
                    "y": [week["skill"] for week in weeks],
                },
                {
                    "name": self.say("pages.models.training_skill"),
                    "x": [week["period"] for week in weeks],
                    "y": [training["skill"]] * len(weeks),
                    "style": "dashed",
                    "color": "second",
                },
            ]
            if len(weeks) > 1
            else [],
            y={"percent": True},
            height=260,
            empty=self.say("pages.monitoring.weeks.empty"),
        )

    def retrain(self, values: Any) -> None:
        """Queue a training of the model whose evidence is shown."""
        id = self._model_id()
        if id is None:
            raise VurError("pages.gone")
        self.api.post(f"/models/{id}/train")
        self.set_query(view="jobs", model=None)
        self.load()
        self.notice(self.say("pages.monitoring.models.queued"), "success")

    def thresholds_of_model(self, values: Any) -> None:
        """Show the thresholds of the model whose evidence is shown."""
        self.scope = self._model_id() or ""
        self.set_query(view="alerts", model=None)
        self.load()

    # Pipelines and jobs

    def _open_jobs(self) -> None:
        self._refresh_jobs()

    def _refresh_jobs(self) -> None:
        self._show_jobs()
        self._show_pipelines()

    def _show_pipelines(self) -> None:
        rows = self.api.get("/monitoring/pipelines", limit=ROWS, sort="-updated_at")["items"]
        build = self.is_at_least("analyst")
        self.pipelines.show(
            title=self.say("pages.monitoring.pipelines.title"),
            columns=[
                {"key": "name", "label": self.say("pages.monitoring.name")},
                {"key": "step", "label": self.say("pages.monitoring.pipelines.step")},
                {"key": "models", "label": self.say("pages.monitoring.pipelines.models"), "type": "number"},
                {"key": "active", "label": self.say("pages.monitoring.pipelines.active"), "type": "number"},
                {"key": "monitors", "label": self.say("pages.monitoring.pipelines.monitors"), "type": "number"},
                {"key": "trained", "label": self.say("pages.models.trained"), "type": "ago"},
                {"key": "updated", "label": self.say("pages.monitoring.pipelines.updated"), "type": "ago"},
            ],
            rows=[
                {
                    "id": row["pipeline_id"],
                    "name": row["name"],
                    "href": f"pipeline?id={row['pipeline_id']}" if build else None,
                    "step": self.say(f"pipelines.step.{row['step']}"),
                    "models": row["trained_models"],
                    "active": row["active_jobs"],
                    "monitors": row["active_monitors"],
                    "trained": row["last_trained_at"],
                    "updated": row["updated_at"],
                }
                for row in rows
            ],
            empty=self.say("pages.monitoring.pipelines.empty"),
            actions=[{"label": self.say("pages.monitoring.pipelines.new"), "href": "pipeline"}] if build else [],
        )

    def _show_jobs(self) -> None:
        of = self.query.get("model") if self.query.get("view") == "training" else None
        page = self.api.get("/jobs", limit=ROWS, page=self._page("jobs_page"), sort="-created_at", model_id=of)
        self.found["jobs"] = page["items"]
        act = self.is_at_least("analyst")
        rows = [self._job_row(job, act) for job in page["items"]]
        self.jobs.show(
            title=self.say("pages.monitoring.jobs.title"),
            columns=[
                {"key": "name", "label": self.say("pages.models.name")},
                {"key": "kind", "label": self.say("pages.monitoring.kind")},
                {"key": "state", "label": self.say("pages.monitoring.state")},
                {"key": "stage", "label": self.say("pages.monitoring.jobs.stage")},
                {"key": "progress", "label": self.say("pages.monitoring.jobs.progress"), "type": "percent"},
                {"key": "eta", "label": self.say("pages.monitoring.jobs.eta"), "type": "duration"},
                {"key": "created", "label": self.say("pages.monitoring.jobs.created"), "type": "ago"},
                *self._problems(rows),
            ],
            rows=rows,
            rowActions=[
                {
                    "event": "cancel",
                    "label": self.say("pages.monitoring.jobs.cancel"),
                    "kind": "small danger",
                    "when": "cancellable",
                    "confirm": self.say("pages.monitoring.jobs.cancel_confirm"),
                },
                {"event": "retry", "label": self.say("pages.monitoring.jobs.retry"), "when": "repeatable"},
            ]
            if act
            else None,
            actionsLabel=self.say("pages.monitoring.actions"),
            page=page["page"],
            pages=page["pages"],
            pagesLabel=self.say("pages.monitoring.pages"),
            empty=self.say("pages.monitoring.jobs.empty"),
        )

    def _job_row(self, job: dict[str, Any], act: bool) -> dict[str, Any]:
        active = job["state"] in ("queued", "running")
        return {
            "id": job["job_id"],
            "name": job["model_name"] or "–",
            "kind": self.say(f"pages.monitoring.jobs.kind.{job['kind']}"),
            "state": self._badge(job["state"]),
            "stage": job["stage_name"] if active else "",
            "progress": job["progress"] / 100,
            "eta": job["eta_seconds"] if active else None,
            "created": job["created_at"],
            "error": (job["error"] or {}).get("detail", ""),
            "cancellable": act and active and not job["cancel_requested"],
            "repeatable": act and job["state"] in ("failed", "cancelled"),
        }

    def cancel_job(self, values: Any) -> None:
        """Cancel a job."""
        self.api.post(f"/jobs/{self._known(values, 'jobs', 'job_id')['job_id']}/cancel")
        self._show_jobs()

    def retry_job(self, values: Any) -> None:
        """Start a failed or cancelled job again."""
        self.api.post(f"/jobs/{self._known(values, 'jobs', 'job_id')['job_id']}/retry")
        self._show_jobs()

    # Continuous predictions and their sources

    def _open_streams(self) -> None:
        self._refresh_streams()
        self._show_sources()
        self._show_preview()
        self._show_source_form()
        self._show_start()

    def _refresh_streams(self) -> None:
        found = self.api.get("/monitoring/predictions", limit=100, sort="-created_at")["items"]
        self.found["streams"] = found
        act = self.is_at_least("analyst")
        chosen, rows = self._stream(), [self._stream_row(row, act) for row in found]
        self.streams.show(
            title=self.say("pages.monitoring.streams.title"),
            note=self.say("pages.monitoring.streams.note"),
            columns=[
                {"key": "name", "label": self.say("pages.models.name")},
                {"key": "source", "label": self.say("pages.monitoring.source")},
                {"key": "state", "label": self.say("pages.monitoring.state")},
                {"key": "every", "label": self.say("pages.monitoring.streams.every"), "type": "duration"},
                {"key": "predictions", "label": self.say("pages.monitoring.streams.predictions"), "type": "number"},
                {"key": "last", "label": self.say("pages.monitoring.streams.last"), "type": "ago"},
                {"key": "outside", "label": self.say("pages.monitoring.streams.outside")},
                *self._problems(rows),
            ],
            rows=rows,
            select=True,
            selected=chosen["monitor_id"] if chosen else None,
            rowActions=[
                {"event": "stop", "label": self.say("pages.monitoring.streams.stop"), "when": "active"},
                {"event": "resume", "label": self.say("pages.monitoring.streams.resume"), "when": "stopped"},
                {
                    "event": "remove",
                    "label": self.say("pages.monitoring.remove"),
                    "kind": "small danger",
                    "when": "stopped",
                    "confirm": self.say("pages.monitoring.streams.remove_confirm"),
                },
            ]
            if act
            else None,
            actionsLabel=self.say("pages.monitoring.actions"),
            empty=self.say("pages.monitoring.streams.empty"),
        )
        self._show_stream()

    def _stream_row(self, row: dict[str, Any], act: bool) -> dict[str, Any]:
        last = row["last"]
        outside = f"{last['outside'] or 0} / {last['observed']}" if last["observed"] else "–"
        return {
            "id": row["monitor_id"],
            "name": row["model_name"] or "–",
            "source": row["database_name"] or "–",
            "state": self._badge(row["status"]),
            "every": row["interval_seconds"],
            "predictions": row["predictions"],
            "last": row["last_run_at"],
            "outside": outside,
            "error": (row["error"] or {}).get("detail", ""),
            "active": act and row["status"] != "stopped",
            "stopped": act and row["status"] == "stopped",
        }

    def _stream(self) -> dict[str, Any] | None:
        """The continuous predictions that are drawn: those in the address, else the first ones."""
        found, wanted = self.found.get("streams", []), self.query.get("monitor")
        return next((row for row in found if row["monitor_id"] == wanted), next(iter(found), None))

    def _show_stream(self) -> None:
        row = self._stream()
        if row is None:
            self.series.show(hidden=True)
            self.stream.show(hidden=True)
            return
        path = f"/monitoring/predictions/{row['monitor_id']}/points"
        points = self.api.get(path, points=POINTS, series=self.chosen_series)
        names = points["series_names"]
        if self.chosen_series is not None and self.chosen_series not in names:
            self.chosen_series = None
            points = self.api.get(path, points=POINTS)
        if len(names) > 1:
            self.series.show(
                fields=[
                    {
                        "name": "series",
                        "label": self.say("pages.monitoring.streams.series"),
                        "type": "choice",
                        "value": points["series"],
                        "options": [[name, name] for name in names],
                    }
                ],
                live="series",
            )
        else:
            self.series.show(hidden=True)
        drawn = {"series": [], "bands": []} if points["series"] is None else stream_chart(self, points)
        self.stream.show(
            title=self.say(
                "pages.monitoring.streams.chart", model=row["model_name"] or "–", source=row["database_name"] or "–"
            ),
            note=points["series"],
            height=320,
            label=self.say("pages.monitoring.streams.label"),
            empty=self.say("pages.monitoring.streams.waiting"),
            **drawn,
        )

    def choose_stream(self, values: Any) -> None:
        """Draw other continuous predictions."""
        row = self._known(values, "streams", "monitor_id")
        self.chosen_series = None
        self.set_query(monitor=row["monitor_id"])
        self.streams.update(selected=row["monitor_id"])
        self._show_stream()

    def choose_series(self, values: Any) -> None:
        """Draw another series."""
        self.chosen_series = _text(values, "series") or None
        self._show_stream()

    def stop_stream(self, values: Any) -> None:
        """Stop continuous predictions."""
        row = self._known(values, "streams", "monitor_id")
        self.api.post("/monitoring/predictions/stop", {"monitor_id": row["monitor_id"]})
        self._refresh_streams()

    def resume_stream(self, values: Any) -> None:
        """Start stopped continuous predictions again, where they stopped."""
        row = self._known(values, "streams", "monitor_id")
        self.api.post(
            "/monitoring/predictions/start",
            {key: row[key] for key in ("model_id", "database_id", "interval_seconds", "follow")},
        )
        self._refresh_streams()

    def remove_stream(self, values: Any) -> None:
        """Remove stopped continuous predictions; their forecasts stay in the ledger."""
        row = self._known(values, "streams", "monitor_id")
        self.api.delete(f"/monitoring/predictions/{row['monitor_id']}")
        self._refresh_streams()

    def _show_start(self) -> None:
        """The form that starts continuous predictions; hidden for viewers, and while there is no model or source."""
        if not self.is_at_least("analyst"):
            self.start.show(hidden=True)
            return
        models = self.api.get("/monitoring/models", limit=standing.MOST)["items"]
        sources = self.found["sources"]
        if not models or not sources:
            self.start.show(hidden=True)
            return
        self.found["startable"] = models
        names = [[row["model_id"], row["name"]] for row in sorted(models, key=lambda row: not row["champion"])]
        self.start.show(
            title=self.say("pages.monitoring.start.title"),
            fields=[
                {"name": "model", "label": self.say("pages.models.name"), "type": "choice", "options": names},
                {
                    "name": "source",
                    "label": self.say("pages.monitoring.source"),
                    "type": "choice",
                    "options": [[row["id"], row["name"]] for row in sources],
                },
                {
                    "name": "every",
                    "label": self.say("pages.monitoring.start.every"),
                    "type": "number",
                    "value": 60,
                    "min": 1,
                    "max": 86_400,
                },
                {
                    "name": "follow",
                    "label": self.say("pages.monitoring.start.follow"),
                    "type": "switch",
                    "value": True,
                    "help": self.say("pages.monitoring.start.follow_help"),
                },
            ],
            submit={"event": "start", "label": self.say("pages.monitoring.start.submit")},
        )

    def start_stream(self, values: Any) -> None:
        """Start continuous predictions of a model from a source."""
        every = values.get("every") if isinstance(values, dict) else None
        body = {
            "model_id": _text(values, "model"),
            "database_id": _text(values, "source"),
            "interval_seconds": every if isinstance(every, (int, float)) else 60,
            "follow": isinstance(values, dict) and values.get("follow") is True,
        }
        made = self.api.post("/monitoring/predictions/start", body)
        self.chosen_series = None
        self.set_query(monitor=made["monitor_id"])
        self._refresh_streams()
        self.notice(self.say("pages.monitoring.start.done"), "success")

    def _show_sources(self) -> None:
        self.found["sources"] = self.api.get("/monitoring/databases", limit=100, sort="name")["items"]
        act = self.is_at_least("analyst")
        self.sources.show(
            title=self.say("pages.monitoring.sources.title"),
            columns=[
                {"key": "name", "label": self.say("pages.monitoring.name")},
                {"key": "kind", "label": self.say("pages.monitoring.kind")},
                {"key": "place", "label": self.say("pages.monitoring.sources.place")},
                {"key": "table", "label": self.say("pages.monitoring.sources.table")},
                {"key": "state", "label": self.say("pages.monitoring.state")},
                {"key": "checked", "label": self.say("pages.monitoring.sources.checked"), "type": "ago"},
                *self._problems(self.found["sources"]),
            ],
            rows=[
                {
                    "id": row["id"],
                    "name": row["name"],
                    "kind": self.say(f"pages.monitoring.sources.kind.{row['kind']}"),
                    "place": row["configuration"]["source"],
                    "table": row["configuration"]["table"] or "–",
                    "state": self._badge(row["status"]),
                    "checked": row["checked_at"],
                    "error": row["error"] or "",
                }
                for row in self.found["sources"]
            ],
            select=True,
            selected=self.previewed,
            rowActions=[
                {"event": "test", "label": self.say("pages.monitoring.sources.test")},
                {
                    "event": "remove",
                    "label": self.say("pages.monitoring.remove"),
                    "kind": "small danger",
                    "confirm": self.say("pages.monitoring.sources.remove_confirm"),
                },
            ]
            if act
            else None,
            actionsLabel=self.say("pages.monitoring.actions"),
            empty=self.say("pages.monitoring.sources.empty"),
        )

    def preview_source(self, values: Any) -> None:
        """Show the last rows of a source."""
        self.previewed = self._known(values, "sources", "id")["id"]
        self.sources.update(selected=self.previewed)
        self._show_preview()

    def _show_preview(self) -> None:
        row = next((row for row in self.found["sources"] if row["id"] == self.previewed), None)
        if row is None:
            self.preview.show(hidden=True)
            return
        found = self.api.get(f"/monitoring/databases/{row['id']}/preview")
        self.preview.show(
            title=self.say("pages.monitoring.sources.preview", name=row["name"]),
            columns=[
                {
                    "key": f"c{place}",
                    "label": f"{column['name']} · {self.say('pages.monitoring.role.' + column['role'])}"
                    if column["role"]
                    else column["name"],
                }
                for place, column in enumerate(found["columns"])
            ],
            rows=[
                {f"c{place}": _cell(line.get(column["name"])) for place, column in enumerate(found["columns"])}
                for line in found["rows"]
            ],
            empty=self.say("pages.monitoring.sources.no_rows"),
        )

    def test_source(self, values: Any) -> None:
        """Test a source, and say whether it can be read."""
        row = self._known(values, "sources", "id")
        found = self.api.post(f"/monitoring/databases/{row['id']}/test")
        self._show_sources()
        if found["ok"]:
            newest = str(found["newest"]) if found["newest"] is not None else "–"
            text = self.say(
                "pages.monitoring.sources.works",
                name=row["name"],
                milliseconds=round(found["milliseconds"]),
                newest=newest,
            )
            self.notice(text, "success")
        else:
            self.notice(f"{row['name']}: {found['detail']}", "error")

    def remove_source(self, values: Any) -> None:
        """Remove a source that no continuous predictions read; its data stays where it is."""
        row = self._known(values, "sources", "id")
        self.api.delete(f"/monitoring/databases/{row['id']}")
        self._show_sources()
        self._show_preview()
        self._show_start()

    def _show_source_form(self, values: dict[str, Any] | None = None) -> None:
        """The form that registers a source, with what was typed before; hidden for viewers."""
        if not self.is_at_least("analyst"):
            self.source.show(hidden=True)
            return
        typed = values or {}

        def text(name: str, **more: Any) -> dict[str, Any]:
            label = self.say(f"pages.monitoring.source_form.{name}")
            return {"name": name, "label": label, "type": "text", "value": typed.get(name, "")} | more

        kinds = [[kind, self.say(f"pages.monitoring.sources.kind.{kind}")] for kind in KINDS]
        self.source.show(
            title=self.say("pages.monitoring.source_form.title"),
            text=self.say("pages.monitoring.source_form.text"),
            fields=[
                text("name", required=True),
                text("kind", type="choice", options=kinds, value=typed.get("kind", KINDS[0])),
                text("place", help=self.say("pages.monitoring.source_form.place_help"), required=True),
                text("table", help=self.say("pages.monitoring.source_form.table_help")),
                text("date", required=True),
                text("target", required=True),
                text("series", help=self.say("pages.monitoring.source_form.list_help")),
                text("covariates", help=self.say("pages.monitoring.source_form.list_help")),
            ],
            submit={"event": "add", "label": self.say("pages.monitoring.source_form.submit")},
        )

    def add_source(self, values: Any) -> None:
        """Register a source."""
        body = {
            "name": _text(values, "name"),
            "kind": _text(values, "kind"),
            "source": _text(values, "place"),
            "table": _text(values, "table"),
            "columns": {
                "date": _text(values, "date"),
                "target": _text(values, "target"),
                "series": _names(values, "series"),
                "covariates": _names(values, "covariates"),
            },
        }
        made = self.api.post("/monitoring/databases", body)
        self.previewed = made["id"]
        self._show_sources()
        self._show_preview()
        self._show_start()
        self._show_source_form({"kind": body["kind"]})
        self.notice(self.say("pages.monitoring.source_form.done", name=made["name"]), "success")

    # Alerts and thresholds

    def _open_alerts(self) -> None:
        self._refresh_alerts()
        self._show_thresholds()

    def _refresh_alerts(self) -> None:
        state = self._alert_state()
        page = self.api.get(
            "/dashboard/alerts", state=state, limit=ROWS, page=self._page("alerts_page"), sort="-created_at"
        )
        self.found["alerts"] = page["items"]
        act = self.is_at_least("analyst")
        some = act and any(row["state"] == "open" for row in page["items"])
        self.alerts.show(
            title=self.say("pages.monitoring.alerts.title"),
            columns=[
                {"key": "message", "label": self.say("pages.monitoring.alerts.message"), "wide": True},
                {"key": "severity", "label": self.say("pages.monitoring.alerts.severity")},
                {"key": "state", "label": self.say("pages.monitoring.state")},
                {"key": "at", "label": self.say("pages.monitoring.alerts.at"), "type": "ago"},
            ],
            rows=[
                {
                    "id": row["id"],
                    "message": row["message"],
                    "href": self._address(row),
                    "severity": {
                        "text": self.say(f"pages.monitoring.severity.{row['severity']}"),
                        "tone": SEVERITIES.get(row["severity"], "info"),
                    },
                    "state": self.say(f"pages.monitoring.alerts.state.{row['state']}"),
                    "at": row["created_at"],
                    "open": act and row["state"] == "open",
                }
                for row in page["items"]
            ],
            filters=[
                {
                    "name": "state",
                    "label": self.say("pages.monitoring.state"),
                    "value": state,
                    "options": [
                        [one, self.say(f"pages.monitoring.alerts.state.{one}")]
                        for one in ("open", "acknowledged", "resolved", "all")
                    ],
                }
            ],
            rowActions=[
                {"event": "acknowledge", "label": self.say("pages.monitoring.alerts.acknowledge"), "when": "open"}
            ]
            if act
            else None,
            actionsLabel=self.say("pages.monitoring.actions"),
            actions=[{"event": "acknowledge_all", "label": self.say("pages.monitoring.alerts.acknowledge_all")}]
            if some
            else [],
            page=page["page"],
            pages=page["pages"],
            pagesLabel=self.say("pages.monitoring.pages"),
            empty=self.say(f"pages.monitoring.alerts.empty_{'open' if state == 'open' else 'other'}"),
        )

    def _address(self, place: dict[str, Any]) -> str | None:
        from vur.dashboards.pages.dashboard import address

        build = place["page"] != "pipeline" or self.is_at_least("analyst")
        return address(place) if build else None

    def _alert_state(self) -> str:
        wanted = self.query.get("state", "open")
        return wanted if wanted in ("open", "acknowledged", "resolved", "all") else "open"

    def filter_alerts(self, values: Any) -> None:
        """Show the alerts of another state."""
        self.set_query(state=_text(values, "value"), alerts_page=None)
        self._refresh_alerts()

    def acknowledge(self, values: Any) -> None:
        """Acknowledge an alert."""
        row = self._known(values, "alerts", "id")
        self.api.post(f"/dashboard/alerts/{row['id']}/acknowledge")
        self._alerts_changed()

    def acknowledge_all(self, values: Any) -> None:
        """Acknowledge all open alerts of the visitor."""
        count = self.api.post("/dashboard/alerts/acknowledge")["acknowledged"]
        self._alerts_changed()
        self.notice(self.say("pages.monitoring.alerts.acknowledged", count=count), "success")

    def _alerts_changed(self) -> None:
        self._refresh_alerts()
        self._count_alerts()
        self._show_parts()

    def _show_thresholds(self) -> None:
        """The form of thresholds: of all models of the visitor, or of one; hidden for viewers."""
        if not self.is_at_least("analyst"):
            self.thresholds.show(hidden=True)
            return
        models = self.api.get("/monitoring/models", limit=standing.MOST)["items"]
        if self.scope not in {row["model_id"] for row in models}:
            self.scope = ""
        items = self.api.get("/monitoring/thresholds", model_id=self.scope or None)["items"]
        self.found["thresholds"] = items
        options = [["", self.say("pages.monitoring.thresholds.all")]]
        self.thresholds.show(
            title=self.say("pages.monitoring.thresholds.title"),
            text=self.say("pages.monitoring.thresholds.text"),
            fields=[
                {
                    "name": "model",
                    "label": self.say("pages.monitoring.thresholds.scope"),
                    "type": "choice",
                    "value": self.scope,
                    "options": options + [[row["model_id"], row["name"]] for row in models],
                    "wide": True,
                },
                *(
                    {
                        "name": one["kind"],
                        "label": f"{one['title']} ({self.say('pages.monitoring.thresholds.unit.' + one['unit'])})",
                        "type": "number",
                        "value": one["value"],
                        "min": one["least"],
                        "max": one["most"],
                        "help": f"{one['help']} {self.say('pages.monitoring.thresholds.set_by.' + one['set_by'])}",
                    }
                    for one in items
                ),
            ],
            live="scope",
            submit={"event": "save", "label": self.say("pages.monitoring.thresholds.save")},
            buttons=[{"event": "reset", "label": self.say("pages.monitoring.thresholds.reset")}],
        )

    def choose_scope(self, values: Any) -> None:
        """Show the thresholds of another model, or of all; other changes wait for the button."""
        scope = _text(values, "model")
        if scope != self.scope:
            self.scope = scope
            self._show_thresholds()

    def save_thresholds(self, values: Any) -> None:
        """Save the thresholds that were changed."""
        given = values if isinstance(values, dict) else {}
        changed = {
            one["kind"]: given[one["kind"]]
            for one in self.found.get("thresholds", [])
            if one["kind"] in given and given[one["kind"]] != one["value"]
        }
        if changed:
            self.api.put("/monitoring/thresholds", {"model_id": self.scope or None, "values": changed})
        self._show_thresholds()
        self.notice(self.say("pages.monitoring.thresholds.saved"), "success")

    def reset_thresholds(self, values: Any) -> None:
        """Let the usual thresholds count again; for a model, those of the visitor."""
        self.api.delete("/monitoring/thresholds", params={"model_id": self.scope} if self.scope else {})
        self._show_thresholds()

    # The machine

    def _open_system(self) -> None:
        self._refresh_system()

    def _refresh_system(self) -> None:
        now = self.api.get("/monitoring/system")
        past = self.api.get("/monitoring/system/history", hours=HOURS)
        queues = now["queues"]
        say = self.say

        def card(name: str, value: Any, key: str, **more: Any) -> dict[str, Any]:
            spark = past[key] if len(past[key]) > 1 else None
            label = say(f"pages.monitoring.system.{name}")
            return {"name": name, "label": label, "value": value, "spark": spark} | more

        def used(one: dict[str, Any]) -> str:
            return say("pages.monitoring.system.of", used=_gigabytes(one["used"]), total=_gigabytes(one["total"]))

        self.machine.show(
            items=[
                card("cpu", now["cpu"]["percent"] / 100, "cpu", type="percent", note=self._cores(now["cpu"])),
                card("memory", now["memory"]["percent"] / 100, "memory", type="percent", note=used(now["memory"])),
                card("disk", now["disk"]["percent"] / 100, "disk", type="percent", note=used(now["disk"])),
                card("traffic_now", now["network"]["received_per_second"], "received", type="bytes"),
                card("queue", queues["queued"] + queues["running"], "queued", note=self._queue(queues)),
            ]
        )
        self.load_chart.show(
            width="half",
            title=say("pages.monitoring.system.load"),
            note=say("pages.monitoring.system.utc"),
            series=[
                {"name": say(f"pages.monitoring.system.{name}"), "x": past["at"], "y": [v / 100 for v in past[name]]}
                for name in ("cpu", "memory", "disk")
            ]
            if past["at"]
            else [],
            y={"percent": True, "from": 0},
            height=260,
            empty=say("pages.monitoring.system.empty"),
        )
        self.traffic.show(
            width="half",
            title=say("pages.monitoring.system.traffic"),
            note=say("pages.monitoring.system.utc"),
            series=[
                {"name": say(f"pages.monitoring.system.{name}"), "x": past["at"], "y": past[name]}
                for name in ("received", "sent")
            ]
            if past["at"]
            else [],
            y={"from": 0},
            height=260,
            empty=say("pages.monitoring.system.empty"),
        )

    def _cores(self, cpu: dict[str, Any]) -> str:
        return self.say("pages.monitoring.system.cores", cores=cpu["cores"] or 0, load=self._number(cpu["load"][0], 1))

    def _queue(self, queues: dict[str, Any]) -> str:
        return self.say("pages.monitoring.system.queue_note", queued=queues["queued"], running=queues["running"])

    def _number(self, value: float, digits: int = 0) -> str:
        from vur.wording import number

        return number(value, self.language, digits)

    # Logs

    def _open_logs(self) -> None:
        self._refresh_logs()

    def _refresh_logs(self) -> None:
        level = self.query.get("level", "")
        level = level if level in ("debug", "info", "warning", "error") else "info"
        text = self.query.get("text", "")[:200]
        found = self.api.get("/monitoring/logs", level=level, limit=LOG_ROWS, search=text or None)["logs"]
        self.logs.show(
            title=self.say("pages.monitoring.logs.title"),
            columns=[
                {"key": "at", "label": self.say("pages.monitoring.logs.at"), "type": "moment"},
                {"key": "level", "label": self.say("pages.monitoring.logs.level")},
                {"key": "event", "label": self.say("pages.monitoring.logs.event"), "wide": True},
                {"key": "details", "label": self.say("pages.monitoring.logs.details"), "wide": True},
            ],
            rows=[
                {
                    "at": row["timestamp"],
                    "level": {"text": row["level"] or "–", "tone": SEVERITIES.get(row["level"] or "", "muted")},
                    "event": _event(row),
                    "details": _details(row),
                }
                for row in found
            ],
            search={"label": self.say("pages.monitoring.logs.search"), "value": text},
            filters=[
                {
                    "name": "level",
                    "label": self.say("pages.monitoring.logs.level"),
                    "value": level,
                    "options": [
                        [one, self.say(f"pages.monitoring.severity.{one}")]
                        for one in ("debug", "info", "warning", "error")
                    ],
                }
            ],
            empty=self.say("pages.monitoring.logs.empty"),
        )

    def filter_logs(self, values: Any) -> None:
        """Show the records of another lowest level."""
        self.set_query(level=_text(values, "value"))
        self._refresh_logs()

    def search_logs(self, values: Any) -> None:
        """Show the records that contain a text."""
        self.set_query(text=_text(values, "text")[:200] or None)
        self._refresh_logs()


def _text(values: Any, name: str) -> str:
    """A text that an event carries; empty if it carries none."""
    found = values.get(name) if isinstance(values, dict) else None
    return found.strip() if isinstance(found, str) else ""


def _names(values: Any, name: str) -> list[str]:
    """The names in a text with commas between them."""
    return [part for part in (part.strip() for part in _text(values, name).split(",")) if part]


def _cell(value: Any) -> Any:
    return value if value is None or isinstance(value, (int, float, str)) else str(value)


def _event(row: dict[str, Any]) -> str:
    """What a record says; a request with its result."""
    if row["event"] != "request":
        return str(row["event"])
    return f"{row.get('method')} {row.get('route')}: {row.get('status')}, {row.get('ms')} ms"


def _details(row: dict[str, Any]) -> str:
    """The other fields of a record."""
    told = ("timestamp", "level", "event", "method", "route", "status", "ms")
    rest = {key: value for key, value in row.items() if key not in told and value is not None}
    return "  ".join(f"{key}={value}" for key, value in rest.items())[:600]


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.0f}"


def open() -> MonitoringPage:
    """Open the page: in the dashboards for the visitor, in a notebook with the token of `VUR_TOKEN`."""
    return MonitoringPage()
