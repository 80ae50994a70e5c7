"""Who may see a model: the form that shares it and the people who have access, on the page of forecasts."""

from typing import TYPE_CHECKING, Any

from vur.dashboards import given

if TYPE_CHECKING:
    from vur.dashboards.page import Page

RIGHTS = ("view", "edit")


class ModelShares:
    """The panels `form` and `people` of a page, for one model at a time."""

    def __init__(self, page: "Page"):
        self.page, self.model_id = page, ""
        self.form, self.people = page.panel("form"), page.panel("table")
        self.form.on("share", self.add, role="analyst")
        self.people.on("revoke", self.revoke, role="analyst")

    def hide(self) -> None:
        """Show nothing: the visitor may not share the model."""
        for panel in (self.form, self.people):
            panel.show(hidden=True)

    def show(self, model_id: str) -> None:
        """Show the form and who has access to a model of the visitor's."""
        self.model_id = model_id
        say = self._say
        self.form.show(
            width="half",
            title=say("title"),
            text=say("text"),
            fields=[
                {"name": "person", "label": self.page.say("pages.data.sharing.person"), "required": True},
                {
                    "name": "right",
                    "label": self.page.say("pages.data.sharing.right"),
                    "type": "choice",
                    "value": "view",
                    "options": [[right, self._right(right)] for right in RIGHTS],
                },
            ],
            submit={"event": "share", "label": self.page.say("pages.data.action.share")},
        )
        self._show_people()

    def _show_people(self) -> None:
        items = self.page.api.get(f"/shares/model/{self.model_id}")["items"]
        self.people.show(
            width="half",
            title=self.page.say("pages.data.sharing.title"),
            columns=[
                {"key": "person", "label": self.page.say("pages.data.column.person")},
                {"key": "email", "label": self.page.say("pages.data.column.email")},
                {"key": "right", "label": self.page.say("pages.data.column.right")},
            ],
            rows=[
                {
                    "id": one["user_id"],
                    "person": one["full_name"] or one["email"],
                    "email": one["email"],
                    "right": self._right(one["right"]),
                }
                for one in items
            ],
            rowActions=[
                {"event": "revoke", "label": self.page.say("pages.data.action.revoke"), "kind": "small danger"}
            ],
            empty=self.page.say("pages.data.sharing.none"),
        )

    def add(self, values: Any) -> None:
        """Share the model with an address, or with the only person of a name."""
        person, right = str(given.value(values, "person") or "").strip(), given.value(values, "right")
        right = right if right in RIGHTS else "view"
        if "@" not in person:
            found = self.page.api.get("/shares/people", search=person)["items"] if person else []
            if len(found) != 1:
                self.page.notice(self._say("several" if found else "nobody"), "warning")
                return
            person = found[0]["email"]
        self.page.api.put(f"/shares/model/{self.model_id}", {"email": person, "right": right})
        self._show_people()
        self.page.notice(self._say("shared", email=person, right=self._right(right)), "success")

    def revoke(self, values: Any) -> None:
        """Take a person's right away."""
        person = given.identifier(given.value(values, "id"))
        self.page.api.delete(f"/shares/model/{self.model_id}/{person}")
        self._show_people()
        self.page.notice(self.page.say("pages.data.revoked"), "success")

    def _right(self, right: str) -> str:
        return self.page.say(f"pages.data.right.{right}")

    def _say(self, key: str, /, **values: Any) -> str:
        return self.page.say(f"pages.forecasts.share.{key}", **values)
