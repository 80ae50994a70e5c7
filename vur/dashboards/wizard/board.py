"""What the steps of the wizard stand on: the page with its panels, the pipeline's state, drafts, bar and code."""

from typing import Any, ClassVar

from vur.dashboards.client import ServiceError
from vur.dashboards.page import Page
from vur.dashboards.panel import Panel

NAMES = ("upload", "preview", "split", "preprocessing", "features", "model", "training")
TRIES = 3  # to store settings while other things of the pipeline change
MOST_LETTERS = 120  # of a setting in a line
CODE = ("python", "command", "http", "download", "file")
# The panels in the order of the page, with their kinds; a step shows some of them.
PANELS = {
    "pipelines": "table",
    "begin": "form",
    "file": "upload",
    "document": "document",
    "steps": "steps",
    "conflict": "text",
    "words": "text",
    "columns": "form",
    "options": "form",
    "models": "models",
    "parameters": "form",
    "network": "network",
    "progress": "progress",
    "chart": "chart",
    "losses": "chart",
    "gaps": "gaps",
    "findings": "list",
    "effects": "list",
    "table": "table",
    "details": "table",
    "bar": "text",
    "other": "upload",
    "code": "code",
}


class Board(Page):
    """What the steps share. What is chosen is kept by the service at once, so that a reload goes on from it."""

    name: ClassVar[str] = "pipeline"
    role: ClassVar[str] = "analyst"
    live: ClassVar[tuple[str, ...]] = ("training_update",)

    pipelines: Panel
    begin: Panel
    file: Panel
    document: Panel
    steps: Panel
    conflict: Panel
    words: Panel
    columns: Panel
    options: Panel
    models: Panel
    parameters: Panel
    network: Panel
    progress: Panel
    chart: Panel
    losses: Panel
    gaps: Panel
    findings: Panel
    effects: Panel
    table: Panel
    details: Panel
    bar: Panel
    other: Panel
    code: Panel
    begin_views: ClassVar[dict[str, type]]  # the step of each name
    begin_start: ClassVar[type]  # what is shown without a pipeline

    def build(self) -> None:
        """Declare the panels, and who answers to what the visitor does in them."""
        for name, kind in PANELS.items():
            setattr(self, name, self.panel(kind, **({} if name == "steps" else {"hidden": True})))
        self.start: Any = self.begin_start(self)
        self.views: dict[str, Any] = {name: kind(self) for name, kind in self.begin_views.items()}
        self.pipeline_id: str | None = None
        self.state: dict[str, Any] = {}
        self.forms: dict[str, Any] = {}
        self.series: str | None = None
        self.step: str = NAMES[0]
        self.code_opened = False
        self.trial: dict[str, Any] | None = None  # settings whose effect is shown before they are kept
        for name in PANELS:
            self._listen_to(name)
        self.steps.on("step", lambda values: self.go_to(values["name"]), role="analyst")
        self.bar.on("back", lambda values: self.go_to(self._beside(-1)), role="analyst")
        self.bar.on("next", lambda values: self.confirm(), role="analyst")
        self.conflict.on("reload", lambda values: self.open(str(self.pipeline_id), self.step), role="analyst")
        self.bar.on("rename", self._rename, role="analyst")
        self.code.on("opened", lambda values: self.show_code(opened=True), role="analyst")

    def _listen_to(self, name: str) -> None:
        """Pass the events of a panel to the methods `on_<panel>_<event>` of the step that is shown, or of the start."""
        panel = getattr(self, name)
        owners = [self.start, *self.views.values()]
        events = {
            method.removeprefix(f"on_{name}_")
            for owner in owners
            for method in dir(owner)
            if method.startswith(f"on_{name}_")
        }
        for event in events:
            panel.on(event, self._passing(f"on_{name}_{event}"), role="analyst")

    def _passing(self, method: str) -> Any:
        def passed(values: Any) -> None:
            handler = getattr(self.view, method, None)
            if handler is not None:
                handler(values if isinstance(values, dict) else {})

        return passed

    @property
    def view(self) -> Any:
        """The step that is shown, or the start."""
        return self.views[self.step] if self.pipeline_id else self.start

    def load(self) -> None:
        """Open the pipeline in the page's address where it was left, or show the list."""
        self.forms = self.api.get("/pipelines/options")
        if id := self.query.get("id"):
            self.open(id, self.query.get("step"))
        else:
            self.show_start()

    def tick(self) -> None:
        """Refresh what changes by itself: a training."""
        if self.pipeline_id and self.user:
            self.view.tick()

    # --- one pipeline ---

    def show_start(self) -> None:
        """Leave the pipeline, and show the list."""
        self.pipeline_id, self.series = None, None
        self.set_query(id=None, step=None)
        self._show_only(("pipelines", "begin", "file", "document"))
        self.start.show()

    def open(self, id: str, step: str | None = None) -> None:
        """Open a pipeline at a step, by default where it was left."""
        self.state = self.api.get(f"/pipelines/{_id(id)}/state")
        self.pipeline_id = self.state["pipeline_id"]
        reachable = {one["step"] for one in self.state["steps"] if one["reachable"]}
        self.step = step if step and step in reachable else self.state["current_step"]
        self.series = None
        self.show_step()

    def go_to(self, step: str) -> None:
        """Go to a step, and keep on the server where the visitor is."""
        if step not in NAMES or self.pipeline_id is None:
            return
        self.state = self.api.post(f"/pipelines/{self.pipeline_id}/navigate", {"to": step})
        self.step = step
        self.show_step()

    def confirm(self) -> None:
        """Complete the step with what is chosen, and go to the next one."""
        if self.view.refusal is not None:
            self.notice(self.say("pages.pipeline.refused", reason=self.view.refusal), "error")
            return
        try:
            if not self.store(self.view.section()):
                return
        except ServiceError as error:
            if error.status != 422:
                raise
            self.view.refused(error)
            return
        after = self._beside(1)
        if self.state["current_step"] != after:
            self.state = self.api.post(f"/pipelines/{self.pipeline_id}/navigate", {"to": after})
        self.step = after
        self.show_step()

    def keep(self, section: dict[str, Any], step: str | None = None) -> bool:
        """Keep a step's settings as a draft; False if they were refused, which the step then shows."""
        try:
            if not self.store(section, step, confirm=False):
                return False
        except ServiceError as error:
            if error.status != 422:
                raise
            self.view.refused(error)
            return False
        self.show_steps()
        return True

    def store(self, section: dict[str, Any], step: str | None = None, confirm: bool = True) -> bool:
        """Store a step's settings over those that the page has seen; False if they were changed elsewhere meanwhile.

        What else has changed of the pipeline does not matter. `ServiceError` for settings that are refused.
        """
        step = step or self.step
        address, body = f"/pipelines/{self.pipeline_id}/steps/{step}", {"data": section, "confirm": confirm}
        for _ in range(TRIES):
            try:
                self.state = self.api.put(address, body, headers={"If-Match": f'"{self.state["version"]}"'})
                return True
            except ServiceError as error:
                if error.code != "api.version":
                    raise
            newer = self.api.get(f"/pipelines/{self.pipeline_id}/state")
            if section_of(newer, step) != section_of(self.state, step):
                break
            self.state = newer
        self._show_conflict(section, step)
        return False

    def _show_conflict(self, section: dict[str, Any], step: str) -> None:
        """Say what of a step was changed elsewhere; what was typed stays in its form until the step is reloaded."""
        stored = section_of(self.api.get(f"/pipelines/{self.pipeline_id}/state"), step)
        labels = {field["name"]: field["label"] for field in self.forms["steps"].get(step, [])}
        seen = section_of(self.state, step)
        lines = [
            self.say(
                "pages.pipeline.conflict.line",
                name=labels.get(key, key),
                stored=self._brief(stored.get(key)),
                here=self._brief(section.get(key)),
            )
            for key in sorted({*stored, *seen})
            if stored.get(key) != seen.get(key)
        ]
        text = self.say("pages.pipeline.conflict.text")
        self.view.refusal = text
        self.conflict.show(
            title=self.say("pages.pipeline.conflict.title"),
            text=text,
            lines=lines,
            tone="warn",
            actions=[{"event": "reload", "label": self.say("pages.pipeline.conflict.reload"), "kind": "primary"}],
        )
        self.notice(self.say("pages.pipeline.conflict.title"), "warning")

    def _brief(self, value: Any) -> str:
        """A setting in a line of a conflict."""
        if value in (None, "", [], {}):
            return self.say("pages.pipeline.conflict.default")
        if isinstance(value, bool):
            return self.say(f"pages.pipeline.conflict.{'on' if value else 'off'}")
        if isinstance(value, dict):
            value = [f"{key}: {self._brief(one)}" for key, one in value.items()]
        words = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        return words if len(words) <= MOST_LETTERS else f"{words[:MOST_LETTERS]}…"

    def look(self) -> dict[str, Any]:
        """The preview of the step with the settings on trial, else with the stored ones."""
        body = {"step": self.step, "series": self.series} | ({} if self.trial is None else {"data": self.trial})
        found: dict[str, Any] = self.api.post(f"/pipelines/{self.pipeline_id}/preview", body)
        return found

    def chosen(self, step: str | None = None) -> dict[str, Any]:
        """The settings of a step: those on trial, else the stored ones."""
        if self.trial is not None and step in (None, self.step):
            return self.trial
        return section_of(self.state, step or self.step)

    def _beside(self, steps: int) -> str:
        return NAMES[min(max(NAMES.index(self.step) + steps, 0), len(NAMES) - 1)]

    # --- what every step shows ---

    def show_step(self) -> None:
        """Show the present step: the steps, its panels, the bar and its code."""
        self.set_query(id=self.pipeline_id, step=self.step)
        self.show_steps()
        self._show_only(("steps", *self.view.panels, "bar", "code"))
        self.show_bar()
        try:
            self.view.show()
        except ServiceError as error:
            if error.status != 422:
                raise
            self.view.refused(error)
        self.show_code()

    def _show_only(self, names: tuple[str, ...]) -> None:
        for name in PANELS:
            if name not in names:
                getattr(self, name).show(hidden=True)

    def show_steps(self) -> None:
        """Show how far the pipeline is."""
        self.steps.show(
            title=self.state["name"],
            note=self._about(),
            actions=[],
            items=[
                {"name": one["step"], "label": one["title"], "state": self._step_state(one)}
                for one in self.state["steps"]
            ],
        )

    def _about(self) -> str:
        dataset = self.state.get("dataset")
        if dataset is None:
            return self.say("pages.pipeline.no_dataset")
        said = {"name": dataset["name"], "rows": dataset["rows_count"], "version": dataset["data_version"]}
        return self.say("pages.pipeline.about", **said)

    def _step_state(self, one: dict[str, Any]) -> str:
        if one["step"] == self.step:
            return "current"
        return "done" if one["completed"] else "open" if one["reachable"] else "locked"

    def show_bar(self, **more: Any) -> None:
        """Show the buttons to go back and on; the configuration to take along."""
        first, last = self.step == NAMES[0], self.step == NAMES[-1]
        at = f"vur/api/pipelines/{self.pipeline_id}/export"
        self.bar.show(
            actions=[
                *([] if first else [{"event": "back", "label": self.say("pages.pipeline.back")}]),
                *([] if last else [{"event": "next", "label": self.say("pages.pipeline.next"), "kind": "primary"}]),
                {"href": at, "label": self.say("pages.pipeline.export"), "download": "pipeline.json"},
                {
                    "href": f"{at}?format=yaml",
                    "label": self.say("pages.pipeline.export_yaml"),
                    "download": "pipeline.yaml",
                },
                {"href": "pipeline", "label": self.say("pages.pipeline.all")},
            ],
            **more,
        )

    def show_code(self, opened: bool = False) -> None:
        """Offer the present step as code, which is asked for once it was `opened`; nothing without a dataset."""
        if self.state.get("dataset") is None:
            self.code.show(hidden=True)
            return
        self.code_opened = self.code_opened or opened
        address = f"/pipelines/{self.pipeline_id}/code"
        found = self.api.get(address, step=self.step) if self.code_opened else dict.fromkeys(CODE, "")
        self.code.show(
            title=self.say("pages.pipeline.code"),
            note=self.say("pages.pipeline.code_note", file=found["file"]) if self.code_opened else None,
            folded=self.say("pages.pipeline.code_show"),
            copy=self.say("pages.pipeline.copy"),
            copied=self.say("pages.pipeline.copied"),
            tabs=[
                {"label": "Python", "text": found["python"]},
                {"label": self.say("pages.pipeline.command"), "text": found["command"]},
                {"label": "HTTP", "text": found["http"]},
                {"label": self.say("pages.pipeline.download_file"), "text": found["download"]},
            ],
            notebook={
                "path": f"vur/home?pipeline={self.pipeline_id}",
                "file": f"vur/api/pipelines/{self.pipeline_id}/notebook",
                "open": self.say("pages.pipeline.notebook_lab"),
                "download": self.say("pages.pipeline.notebook"),
            },
        )

    def _rename(self, values: Any) -> None:
        self.api.put(f"/pipelines/{self.pipeline_id}", {"name": str(values.get("name", ""))})
        self.open(str(self.pipeline_id), self.step)


def section_of(state: dict[str, Any], step: str) -> dict[str, Any]:
    """The stored settings of a step in a pipeline's state."""
    found: dict[str, Any] = next(one["data"] for one in state["steps"] if one["step"] == step)
    return found


def _id(text: str) -> str:
    """An id as it may stand in an address."""
    return "".join(letter for letter in text if letter.isalnum() or letter in "-_")[:64] or "-"
