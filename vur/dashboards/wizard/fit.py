"""Step 7, training: the job as it goes, then the result, the report and the promotion."""

from typing import Any, ClassVar

from vur.dashboards.wizard.step import Step
from vur.wording import percent

ACTIVE = ("queued", "training")
MOST_ROWS = 20
OVERHEAD = 10.0  # seconds of a training besides its models: to begin, to report


class Training(Step):
    """The training of the pipeline's newest model; what is shown comes from the service alone."""

    name: ClassVar[str] = "training"
    panels: ClassVar[tuple[str, ...]] = ("progress", "options", "words", "table", "losses")
    width: ClassVar[str | None] = "half"

    def __init__(self, page: Any):
        super().__init__(page)
        self.status: dict[str, Any] = {}
        self.shown_result: Any = None
        self.plan: dict[str, float] = {}  # about how many seconds each model takes

    @property
    def model_id(self) -> str | None:
        """The pipeline's newest model."""
        newest = self.page.state.get("model")
        return newest["model_id"] if newest else None

    def draw(self) -> None:
        """Show the plan, or the training of the newest model."""
        self.shown_result = None
        self.tick()
        self._show_plan()

    def tick(self) -> None:
        """Show the training as it is now."""
        if self.model_id is None:
            self._show_ready()
            return
        before = self.status.get("status")
        self.status = self.page.api.get(f"/models/{self.model_id}/training/status")
        if self.status["status"] == "configured":
            self._show_ready()
            return
        self._show_progress(self.page.api.get(f"/models/{self.model_id}/training/progress", limit=100))
        if self.status["status"] == "trained":
            self._show_result()
        if before in ACTIVE and self.status["status"] not in ACTIVE:
            self.page.state = self.page.api.get(f"/pipelines/{self.page.pipeline_id}/state")
            self.page.show_steps()
            self._show_plan()
            key = f"pages.pipeline.training.ended.{self.status['status']}"
            self.page.notice(
                self.page.say(key), {"trained": "success", "failed": "error"}.get(self.status["status"], "info")
            )

    # --- before ---

    def _show_plan(self) -> None:
        seen, say = self.page.look(), self.page.say
        self.plan = {one["id"]: one["seconds"] for one in seen["candidates"]}
        names = [one["name"] for one in seen["candidates"]]
        shown = ", ".join(names[:8]) + (f" … ({len(names)})" if len(names) > 8 else "")
        ended = self.status.get("status") == "trained" and not self.page.state["outdated"]
        estimate = [say("pages.pipeline.training.estimate"), seen["seconds"] + OVERHEAD, "duration"]
        self.page.words.show(
            title=say(f"pages.pipeline.training.{'planned' if ended else 'plan'}"),
            width="half",
            facts=[
                [say("pages.pipeline.training.models"), shown, "text"],
                [say("pages.pipeline.training.series"), seen["series"], "number"],
                [say("pages.pipeline.training.rows"), seen["rows"], "number"],
                [say("pages.pipeline.training.folds"), seen["folds"], "number"],
                [say("pages.pipeline.training.horizon"), seen["horizon"], "number"],
                *([] if ended else [estimate]),
                [say("pages.pipeline.training.limit"), seen["time_budget"], "duration"],
            ],
            lines=seen["warnings"],
        )

    def _show_ready(self) -> None:
        say = self.page.say
        lacking = [one["title"] for one in self.page.state["steps"][:-1] if not one["completed"]]
        self.page.progress.show(
            title=say("pages.pipeline.training.ready") if not lacking else say("pages.pipeline.training.lacking"),
            note=", ".join(lacking) if lacking else say("pages.pipeline.training.ready_note"),
            state="ready",
            actions=[
                {
                    "event": "train",
                    "label": say("pages.pipeline.training.train"),
                    "kind": "primary",
                    "disabled": bool(lacking),
                }
            ],
        )
        self.page.table.show(hidden=True)
        self.page.losses.show(hidden=True)

    def on_progress_train(self, values: dict[str, Any]) -> None:
        """Confirm the step, make the model and queue its training."""
        page, at = self.page, f"/pipelines/{self.page.pipeline_id}"
        if not page.store(self.section()):
            return
        made = page.api.post(f"{at}/models", {})
        page.api.post(f"/models/{made['model_id']}/train", {})
        page.state = page.api.get(f"{at}/state")
        page.show_steps()
        page.show_code()
        self.tick()

    # --- while it goes ---

    def _show_progress(self, found: dict[str, Any]) -> None:
        say, status = self.page.say, self.status
        state = status["status"]
        self.page.progress.show(
            title=say(f"pages.pipeline.training.state.{state}"),
            note=self._note(),
            state=state,
            percent=status["progress"],
            stage=status["stage_name"] if state == "training" else None,
            eta=self._left(found) if state == "training" else None,
            epoch=[status["current_epoch"], status["total_epochs"]]
            if status["current_epoch"] and state == "training"
            else None,
            best=self._best(),
            error=status["error"] and f"{status['error']['detail']} {status['error']['remedy']}",
            log=[line["text"] for line in found["log"]],
            texts={
                key: say(f"pages.pipeline.training.{key}")
                for key in ("left", "epoch", "log", "progress", "used" if state == "trained" else "best")
            },
            actions=self._actions(),
        )
        if state != "trained":
            self._show_scores(found)
        self._show_losses(found)

    def _left(self, found: dict[str, Any]) -> float | None:
        """The seconds that are left: what the job says, else by the plan and the time that finished models took."""
        if self.status["eta_seconds"] is not None or not self.plan:
            said: float | None = self.status["eta_seconds"]
            return said
        took = {one["algorithm"]: one["seconds"] for one in found["scores"] if one["seconds"] is not None}
        planned = sum(self.plan.get(name, 0) for name in took)
        pace = sum(took.values()) / planned if planned else 1.0
        return OVERHEAD + pace * sum(seconds for name, seconds in self.plan.items() if name not in took)

    def _note(self) -> str | None:
        status, say = self.status, self.page.say
        if status["status"] == "queued" and status["queued_before"]:
            return say("pages.pipeline.training.queued_before", count=status["queued_before"])
        if status["cancel_requested"] and status["status"] in ACTIVE:
            return say("pages.pipeline.training.cancelling")
        if status["status"] in ACTIVE:
            return say("pages.pipeline.training.leave")
        return say("pages.pipeline.training.outdated") if self.page.state["outdated"] else None

    def _best(self) -> dict[str, Any] | None:
        best = self.status["best"]
        if not best or best.get("value") is None:
            return None
        return {"name": self.named(best["algorithm"]), "metric": best["metric"], "value": best["value"]}

    def _actions(self) -> list[dict[str, Any]]:
        say, state = self.page.say, self.status["status"]
        if state in ACTIVE:
            asked = self.status["cancel_requested"]
            label = say("pages.pipeline.training.cancel")
            return [{"event": "cancel", "label": label, "kind": "danger", "disabled": asked}]
        again: dict[str, Any] = {"event": "train", "label": say("pages.pipeline.training.again")}
        if not self.page.state["can_train"]:
            again["disabled"] = not all(one["completed"] for one in self.page.state["steps"][:-1])
        if state in ("failed", "cancelled"):
            # What was changed since begins a new training; otherwise the finished stages are not repeated.
            if self.page.state["outdated"]:
                return [again | {"kind": "primary"}, *self._champion()]
            retry = {"event": "retry", "label": say("pages.pipeline.training.retry"), "kind": "primary"}
            return [retry, *self._champion()]
        at = f"vur/api/models/{self.model_id}"
        model = self.page.api.get(f"/models/{self.model_id}")
        return [
            {
                "href": f"{at}/report",
                "label": say("pages.pipeline.training.report"),
                "kind": "primary",
                "target": "_blank",
            },
            self._promotion(model),
            {"href": f"forecasts?model={self.model_id}", "label": say("pages.pipeline.training.forecasts")},
            {"href": f"{at}/notebook", "label": say("pages.pipeline.training.notebook"), "download": "train.ipynb"},
            again,
            *self._champion(),
        ]

    def _promotion(self, model: dict[str, Any]) -> dict[str, Any]:
        """The button that makes a model the champion; it asks first where another one would be replaced."""
        say = self.page.say
        if model["champion"]:
            return {"event": "promote", "label": say("pages.pipeline.training.champion"), "disabled": True}
        button = {"event": "promote", "label": say("pages.pipeline.training.promote")}
        if (now := self.page.state["champion"]) is None:
            return button
        skill = [one["metrics"].get("skill") for one in (model, self.page.api.get(f"/models/{now['model_id']}"))]
        texts = [
            say("pages.pipeline.training.untested") if one is None else percent(one, self.page.language)
            for one in skill
        ]
        asked = say("pages.pipeline.training.promote_confirm", name=now["name"], own=texts[0], other=texts[1])
        worse = say("pages.pipeline.training.promote_worse") if skill[0] is not None and skill[0] < 0 else ""
        return button | {"confirm": f"{asked} {worse}".strip()}

    def _champion(self) -> list[dict[str, Any]]:
        """The way to the champion, where another model is shown."""
        champion = self.page.state["champion"]
        if champion is None or champion["model_id"] == self.model_id:
            return []
        say, id = self.page.say, champion["model_id"]
        report = {"href": f"vur/api/models/{id}/report", "label": say("pages.pipeline.training.champion_report")}
        forecasts = {"href": f"forecasts?model={id}", "label": say("pages.pipeline.training.champion_forecasts")}
        return [report | {"target": "_blank"}, forecasts]

    def on_progress_cancel(self, values: dict[str, Any]) -> None:
        """Ask the training to stop."""
        self.page.api.post(f"/models/{self.model_id}/training/cancel")
        self.tick()

    def on_progress_retry(self, values: dict[str, Any]) -> None:
        """Queue the training again; finished stages are not repeated."""
        self.page.api.post(f"/models/{self.model_id}/training/retry")
        self.tick()

    def on_progress_promote(self, values: dict[str, Any]) -> None:
        """Make the model the champion of its family."""
        self.page.api.post(f"/models/{self.model_id}/promote", {})
        self.page.state = self.page.api.get(f"/pipelines/{self.page.pipeline_id}/state")
        self.page.notice(self.page.say("pages.pipeline.training.promoted"), "success")
        self.tick()

    def _show_scores(self, found: dict[str, Any]) -> None:
        say = self.page.say
        self.page.table.show(
            title=say("pages.pipeline.training.scores"),
            columns=[
                {"key": "name", "label": say("pages.pipeline.model.model")},
                {
                    "key": "value",
                    "label": found["scores"][0]["metric"] if found["scores"] else "MASE",
                    "type": "number",
                    "digits": 3,
                },
                {"key": "seconds", "label": say("pages.pipeline.model.time"), "type": "duration"},
            ],
            rows=[
                {
                    "id": one["algorithm"],
                    "name": {"text": self.named(one["algorithm"]), "tone": "good"}
                    if one["best"]
                    else self.named(one["algorithm"]),
                    "value": one["value"],
                    "seconds": one["seconds"],
                }
                for one in found["scores"]
            ],
            empty=say("pages.pipeline.training.no_scores"),
        )

    def _show_losses(self, found: dict[str, Any]) -> None:
        if not found["losses"]:
            self.page.losses.show(hidden=True)
            return
        say, last = self.page.say, found["losses"][-1]
        self.page.losses.show(
            title=self._losses_title(last),
            x="value",
            height=240,
            series=[
                {
                    "name": say("pages.pipeline.training.loss"),
                    "x": last["epoch"],
                    "y": last["loss"],
                    "color": "primary",
                },
                {
                    "name": say("pages.pipeline.training.held_out"),
                    "x": last["epoch"],
                    "y": last["val_loss"],
                    "color": "fourth",
                },
            ],
        )

    def _losses_title(self, losses: dict[str, Any]) -> str:
        """Of which network and, if it was trained on folds, of which of them losses are."""
        name, fold = self.named(losses["algorithm"]), losses["fold"]
        key = "losses" if fold else "losses_whole"
        return self.page.say(f"pages.pipeline.training.{key}", name=name, fold=fold)

    # --- the result ---

    def _show_result(self) -> None:
        say = self.page.say
        if self.shown_result == self.model_id and self.page.table.content.get("rows"):
            return
        found = self.page.api.get(f"/models/{self.model_id}/results", limit=0)
        metric = found["metric"] or "mase"
        shown = list(dict.fromkeys([metric, "mae", "rmse", "wape"]))
        self.page.table.show(
            title=say("pages.pipeline.training.leaderboard"),
            note=(found["choice"] or {}).get("text") or None,
            columns=[
                {"key": "rank", "label": "#", "type": "number"},
                {"key": "name", "label": say("pages.pipeline.model.model")},
                *(
                    {"key": key, "label": key.upper(), "type": "number", "digits": 3 if key in ("mase", "rmsse") else 2}
                    for key in shown
                ),
                {"key": "skill", "label": say("pages.pipeline.training.skill"), "type": "percent"},
                {"key": "seconds", "label": say("pages.pipeline.model.time"), "type": "duration"},
            ],
            rows=[
                {
                    "id": one["algorithm"],
                    "rank": one.get("rank"),
                    "name": {"text": self.named(one["algorithm"]), "tone": "good"}
                    if one["algorithm"] == found["algorithm"]
                    else self.named(one["algorithm"]),
                    **{key: one.get(key) for key in (*shown, "skill", "seconds")},
                }
                for one in found["leaderboard"][:MOST_ROWS]
            ],
        )
        self.shown_result = self.model_id
