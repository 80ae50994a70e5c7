"""Pipelines, and the jobs of the service: what is queued, runs, has ended or failed."""

from typing import Any

from vur.dashboards.monitoring.part import ROWS, Part, badge, problems


class Jobs(Part):
    """The table of pipelines and the table of jobs."""

    def declare(self) -> None:
        """Declare the panels."""
        self.pipelines, self.table = self.page.panel("table"), self.page.panel("table")
        self.table.on("cancel", self.cancel, role="analyst")
        self.table.on("retry", self.retry, role="analyst")
        self.table.on("page", lambda values: self.turn("jobs_page", values))

    def refresh(self) -> None:
        """Ask the service again."""
        self._show_jobs()
        self._show_pipelines()

    def _show_pipelines(self) -> None:
        rows = self.page.api.get("/monitoring/pipelines", limit=ROWS, sort="-updated_at")["items"]
        build = self.page.is_at_least("analyst")
        self.pipelines.show(
            title=self.page.say("pages.monitoring.pipelines.title"),
            columns=[
                {"key": "name", "label": self.page.say("pages.monitoring.name")},
                {"key": "step", "label": self.page.say("pages.monitoring.pipelines.step")},
                {"key": "models", "label": self.page.say("pages.monitoring.pipelines.models"), "type": "number"},
                {"key": "active", "label": self.page.say("pages.monitoring.pipelines.active"), "type": "number"},
                {"key": "monitors", "label": self.page.say("pages.monitoring.pipelines.monitors"), "type": "number"},
                {"key": "trained", "label": self.page.say("pages.models.trained"), "type": "ago"},
                {"key": "updated", "label": self.page.say("pages.monitoring.pipelines.updated"), "type": "ago"},
            ],
            rows=[
                {
                    "id": row["pipeline_id"],
                    "name": row["name"],
                    "href": f"pipeline?id={row['pipeline_id']}" if build else None,
                    "step": self.page.say(f"pipelines.step.{row['step']}"),
                    "models": row["trained_models"],
                    "active": row["active_jobs"],
                    "monitors": row["active_monitors"],
                    "trained": row["last_trained_at"],
                    "updated": row["updated_at"],
                }
                for row in rows
            ],
            empty=self.page.say("pages.monitoring.pipelines.empty"),
            actions=[{"label": self.page.say("pages.monitoring.pipelines.new"), "href": "pipeline"}] if build else [],
        )

    def _show_jobs(self) -> None:
        of = self.page.query.get("model") if self.page.query.get("view") == "training" else None
        page = self.page.api.get(
            "/jobs", limit=ROWS, page=self.page_number("jobs_page"), sort="-created_at", model_id=of
        )
        self.items = page["items"]
        act = self.page.is_at_least("analyst")
        rows = [self._row(job, act) for job in page["items"]]
        self.table.show(
            title=self.page.say("pages.monitoring.jobs.title"),
            columns=[
                {"key": "name", "label": self.page.say("pages.models.name")},
                {"key": "kind", "label": self.page.say("pages.monitoring.kind")},
                {"key": "state", "label": self.page.say("pages.monitoring.state")},
                {"key": "stage", "label": self.page.say("pages.monitoring.jobs.stage")},
                {"key": "progress", "label": self.page.say("pages.monitoring.jobs.progress"), "type": "percent"},
                {"key": "eta", "label": self.page.say("pages.monitoring.jobs.eta"), "type": "duration"},
                {"key": "created", "label": self.page.say("pages.monitoring.jobs.created"), "type": "ago"},
                *problems(self.page, rows),
            ],
            rows=rows,
            rowActions=[
                {
                    "event": "cancel",
                    "label": self.page.say("pages.monitoring.jobs.cancel"),
                    "kind": "small danger",
                    "when": "cancellable",
                    "confirm": self.page.say("pages.monitoring.jobs.cancel_confirm"),
                },
                {"event": "retry", "label": self.page.say("pages.monitoring.jobs.retry"), "when": "repeatable"},
            ]
            if act
            else None,
            actionsLabel=self.page.say("pages.monitoring.actions"),
            page=page["page"],
            pages=page["pages"],
            pagesLabel=self.page.say("pages.monitoring.pages"),
            empty=self.page.say("pages.monitoring.jobs.empty"),
        )

    def _row(self, job: dict[str, Any], act: bool) -> dict[str, Any]:
        active = job["state"] in ("queued", "running")
        return {
            "id": job["job_id"],
            "name": job["model_name"] or "–",
            "kind": self.page.say(f"pages.monitoring.jobs.kind.{job['kind']}"),
            "state": badge(self.page, job["state"]),
            "stage": job["stage_name"] if active else "",
            "progress": job["progress"] / 100,
            "eta": job["eta_seconds"] if active else None,
            "created": job["created_at"],
            "error": (job["error"] or {}).get("detail", ""),
            "cancellable": act and active and not job["cancel_requested"],
            "repeatable": act and job["state"] in ("failed", "cancelled"),
        }

    def cancel(self, values: Any) -> None:
        """Cancel a job."""
        self.page.api.post(f"/jobs/{self.known(values, 'job_id')['job_id']}/cancel")
        self._show_jobs()

    def retry(self, values: Any) -> None:
        """Start a failed or cancelled job again."""
        self.page.api.post(f"/jobs/{self.known(values, 'job_id')['job_id']}/retry")
        self._show_jobs()
