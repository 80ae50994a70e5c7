"""Webhooks: made, changed, tested, switched off and on, and the log of what was delivered."""

from typing import Any
from urllib.parse import urlsplit

from vur.dashboards import given
from vur.dashboards.client import ServiceError
from vur.dashboards.monitoring.part import ROWS, Board, Part

FIELDS = ("name", "url", "events", "scope")
SCOPES = ("own", "all")
TONES = {"on": "good", "failing": "bad", "off": "muted", "gone": "bad", "given_up": "bad"}
STATES = {"pending": "info", "succeeded": "good", "failed": "bad", "cancelled": "warn"}


class Webhooks(Part):
    """The table of webhooks, a new secret, the chosen one and its log, and the form; `edited` is the one it changes."""

    def __init__(self, page: Board):
        self.edited: dict[str, Any] | None = None
        self.chosen: dict[str, Any] | None = None
        self.known_events: list[dict[str, Any]] = []
        self.state, self.shown = "all", 0
        super().__init__(page)

    def declare(self) -> None:
        """Declare the panels."""
        self.table, self.secret, self.about = (self.page.panel(one) for one in ("table", "code", "text"))
        self.log, self.form = self.page.panel("table"), self.page.panel("form")
        self.table.on("select", self.choose)
        for event in ("test", "edit", "switch", "rotate", "remove"):
            self.about.on(event, getattr(self, event), role="analyst")
        self.log.on("filter", self.filter)
        self.log.on("page", lambda values: self.turn("deliveries_page", values))
        self.log.on("redeliver", self.redeliver, role="analyst")
        self.form.on("add", self.add, role="analyst")
        self.form.on("save", self.save, role="analyst")
        self.form.on("leave", self.leave, role="analyst")

    def open(self) -> None:
        """Fill all panels."""
        self.known_events = self.page.api.get("/webhooks/events")["items"]
        self.secret.show(hidden=True)
        self.refresh()
        self._show_form()

    def refresh(self) -> None:
        """Ask the service again; the form and a new secret stay."""
        self._show()
        self._show_about()
        self._show_log()

    def say(self, key: str, **values: Any) -> str:
        """A text of this part."""
        return self.page.say(f"pages.monitoring.webhooks.{key}", **values)

    # --- the table ---

    def _show(self) -> None:
        self.items = self.page.api.get("/webhooks", limit=100, sort="name")["items"]
        wanted = self.page.query.get("webhook")
        self.chosen = next((row for row in self.items if row["id"] == wanted), None)
        if self.chosen is None and self.items:
            self.chosen = self.items[0]
        self.table.show(
            title=self.say("title"),
            note=self.say("note"),
            columns=[
                {"key": "name", "label": self.page.say("pages.monitoring.name")},
                {"key": "host", "label": self.say("host")},
                {"key": "events", "label": self.say("events"), "wide": True},
                {"key": "state", "label": self.page.say("pages.monitoring.state")},
                {"key": "waiting", "label": self.say("waiting"), "type": "number"},
                {"key": "last", "label": self.say("last"), "type": "ago"},
            ],
            rows=[
                {
                    "id": row["id"],
                    "name": row["name"],
                    "host": {"text": urlsplit(row["url"]).netloc, "title": row["url"]},
                    "events": self._titles(row),
                    "state": self._state(row),
                    "waiting": row["waiting"],
                    "last": row["last_at"],
                }
                for row in self.items
            ],
            select=True,
            selected=self.chosen["id"] if self.chosen else None,
            empty=self.say("empty"),
        )

    def _titles(self, row: dict[str, Any]) -> str:
        titles = {one["event"]: one["title"] for one in self.known_events}
        return ", ".join(titles.get(one, one) for one in row["events"])

    def _show_about(self) -> None:
        """What the chosen webhook is, and what can be done with it."""
        row = self.chosen
        if row is None:
            self.about.show(hidden=True)
            return
        self.about.show(
            title=row["name"],
            facts=[
                [self.say("form.url"), row["url"]],
                [self.say("events"), self._titles(row)],
                [self.say("form.scope"), self.say(f"form.scope.{row['scope']}")],
                [self.page.say("pages.monitoring.state"), self._state(row)["text"]],
                [self.say("last_status"), str(row["last_status"] or "–")],
            ],
            actions=self._actions(row) if self.page.is_at_least("analyst") else [],
        )

    def _actions(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        def action(event: str, label: str, kind: str = "small", **more: Any) -> dict[str, Any]:
            return {"event": event, "label": label, "kind": kind, "values": {"id": row["id"]}} | more

        remove = self.page.say("pages.monitoring.remove")
        return [
            action("test", self.say("test"), "small primary"),
            action("edit", self.say("edit")),
            action("switch", self.say("switch_off" if row["active"] else "switch_on")),
            action("rotate", self.say("rotate"), confirm=self.say("rotate_confirm")),
            action("remove", remove, "small danger", confirm=self.say("remove_confirm")),
        ]

    def _state(self, row: dict[str, Any]) -> dict[str, str]:
        """Whether a webhook is called, and why not."""
        if row["active"]:
            name = "failing" if row["failures"] else "on"
        else:
            name = {"gone": "gone", "failing": "given_up"}.get(row["off_reason"] or "", "off")
        return {"text": self.say(f"state.{name}"), "tone": TONES[name]}

    def choose(self, values: Any) -> None:
        """Show the log of a webhook."""
        self.page.set_query(webhook=self.known(values, "id")["id"], deliveries_page=None)
        self.refresh()

    def test(self, values: Any) -> None:
        """Send a test event; its line in the log tells what came back."""
        row = self.known(values, "id")
        self.page.api.post(f"/webhooks/{row['id']}/test")
        self.choose(values)
        self.page.notice(self.say("tested", name=row["name"]), "success")

    def switch(self, values: Any) -> None:
        """Switch a webhook off, or on again."""
        row = self.known(values, "id")
        self.page.api.put(f"/webhooks/{row['id']}", {"active": not row["active"]})
        self.refresh()

    def rotate(self, values: Any) -> None:
        """Replace a secret, and show the new one once."""
        row = self.known(values, "id")
        made = self.page.api.post(f"/webhooks/{row['id']}/secret")
        self.refresh()
        self._show_secret(made)

    def remove(self, values: Any) -> None:
        """Remove a webhook with its log."""
        row = self.known(values, "id")
        self.page.api.delete(f"/webhooks/{row['id']}")
        self.secret.show(hidden=True)
        self.refresh()
        if self.edited and self.edited["id"] == row["id"]:
            self.edited = None
            self._show_form()

    def _show_secret(self, made: dict[str, Any]) -> None:
        """Show a secret that the service tells only once."""
        self.secret.show(
            title=self.say("secret", name=made["name"]),
            note=self.say("secret_once"),
            tabs=[{"label": self.say("secret_label"), "text": made["secret"]}],
            copy=self.say("copy"),
            copied=self.say("copied"),
        )

    # --- the log ---

    def _show_log(self) -> None:
        if self.chosen is None:
            self.log.show(hidden=True)
            return
        found = self.page.api.get(
            f"/webhooks/{self.chosen['id']}/deliveries",
            state=None if self.state == "all" else self.state,
            limit=ROWS,
            page=self.page_number("deliveries_page"),
        )
        act = self.page.is_at_least("analyst")
        self.log.show(
            title=self.say("log", name=self.chosen["name"]),
            columns=[
                {"key": "event", "label": self.say("event")},
                {"key": "state", "label": self.page.say("pages.monitoring.state")},
                {"key": "attempts", "label": self.say("attempts"), "type": "number"},
                {"key": "status", "label": self.say("status")},
                {"key": "seconds", "label": self.say("seconds"), "type": "duration"},
                {"key": "at", "label": self.say("at"), "type": "ago"},
                {"key": "next", "label": self.say("next"), "type": "moment"},
                {"key": "answer", "label": self.say("answer"), "wide": True},
            ],
            rows=[
                {
                    "id": row["id"],
                    "event": self.page.say(f"webhooks.event.{row['event']}.title"),
                    "state": {"text": self.say(f"delivery.{row['state']}"), "tone": STATES[row["state"]]},
                    "attempts": row["attempts"],
                    "status": row["status"] or "–",
                    "seconds": row["seconds"],
                    "at": row["created_at"],
                    "next": row["next_attempt_at"] if row["attempts"] else None,
                    "answer": self._answer(row),
                    "over": act and row["state"] != "pending",
                }
                for row in found["items"]
            ],
            filters=[
                {
                    "name": "state",
                    "label": self.page.say("pages.monitoring.state"),
                    "value": self.state,
                    "options": [["all", self.say("delivery.all")]]
                    + [[one, self.say(f"delivery.{one}")] for one in STATES],
                }
            ],
            rowActions=[{"event": "redeliver", "label": self.say("redeliver"), "when": "over"}] if act else None,
            actionsLabel=self.page.say("pages.monitoring.actions"),
            page=found["page"],
            pages=found["pages"],
            pagesLabel=self.page.say("pages.monitoring.pages"),
            empty=self.say("log_empty" if self.state == "all" else "log_none"),
        )

    def _answer(self, row: dict[str, Any]) -> str:
        """What went wrong, or what the receiver said."""
        return " ".join(part for part in (row["detail"], row["excerpt"]) if part) or "–"

    def filter(self, values: Any) -> None:
        """Show deliveries in another state."""
        wanted = given.text(values, "value")
        self.state = wanted if wanted in STATES else "all"
        self.page.set_query(deliveries_page=None)
        self._show_log()

    def redeliver(self, values: Any) -> None:
        """Deliver an event once more."""
        if self.chosen is not None:
            id = given.identifier(given.value(values, "id"))
            self.page.api.post(f"/webhooks/{self.chosen['id']}/deliveries/{id}/redeliver")
            self._show_log()

    # --- the form ---

    def _show_form(self, typed: dict[str, Any] | None = None, error: ServiceError | None = None) -> None:
        """The form that makes a webhook or changes one, with what was typed before and why it was refused."""
        if not self.page.is_at_least("analyst"):
            self.form.show(hidden=True)
            return
        typed = typed or self.edited or {"scope": "own", "events": [one["event"] for one in self.known_events]}
        self.shown += 1  # another state even with the same fields: what was typed goes

        def field(name: str, **more: Any) -> dict[str, Any]:
            words = error.detail if error and (error.field or "").partition(".")[0] == name else None
            label = self.say(f"form.{name}")
            return {"name": name, "label": label, "type": "text", "value": typed.get(name, ""), "error": words} | more

        submit = "save" if self.edited else "add"
        self.form.show(
            title=self.say("form.change", name=self.edited["name"]) if self.edited else self.say("form.title"),
            text=self.say("form.text"),
            fields=[
                field("name", required=True),
                field("url", help=self.say("form.url_help"), placeholder="https://", required=True, wide=True),
                field(
                    "events",
                    type="choices",
                    options=[[one["event"], one["title"]] for one in self.known_events],
                    wide=True,
                ),
                field(
                    "scope",
                    type="choice",
                    options=[[one, self.say(f"form.scope.{one}")] for one in SCOPES],
                    wide=True,
                ),
            ],
            submit={"event": submit, "label": self.say(f"form.{submit}")},
            buttons=[{"event": "leave", "label": self.say("form.leave")}] if self.edited else [],
            shown=self.shown,
        )

    def _typed(self, values: Any) -> dict[str, Any]:
        events = given.value(values, "events")
        return {
            "name": given.text(values, "name"),
            "url": given.text(values, "url"),
            "events": [str(one) for one in events] if isinstance(events, list) else [],
            "scope": given.text(values, "scope"),
        }

    def _refused(self, typed: dict[str, Any], error: ServiceError) -> None:
        """Say a refusal at its field."""
        if (error.field or "").partition(".")[0] not in FIELDS:
            raise error
        self._show_form(typed, error)

    def add(self, values: Any) -> None:
        """Make a webhook, and show its secret once."""
        typed = self._typed(values)
        try:
            made = self.page.api.post("/webhooks", typed)
        except ServiceError as error:
            self._refused(typed, error)
            return
        self.page.set_query(webhook=made["id"], deliveries_page=None)
        self.refresh()
        self._show_secret(made)
        self._show_form()
        self.page.notice(self.say("form.done", name=made["name"]), "success")

    def edit(self, values: Any) -> None:
        """Bring a webhook into the form."""
        self.edited = self.known(values, "id")
        self._show_form()

    def save(self, values: Any) -> None:
        """Change the webhook in the form."""
        if self.edited is None:
            return
        typed = self._typed(values)
        headers = {"If-Match": f'"{self.edited["version"]}"'}
        try:
            self.page.api.put(f"/webhooks/{self.edited['id']}", typed, headers=headers)
        except ServiceError as error:
            self._refused(typed, error)
            return
        self.edited = None
        self.refresh()
        self._show_form()
        self.page.notice(self.say("form.saved", name=typed["name"]), "success")

    def leave(self, values: Any) -> None:
        """Leave the webhook in the form as it is."""
        self.edited = None
        self._show_form()
