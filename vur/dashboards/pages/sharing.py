"""Who may see a dataset, model or machine: the form that shares it, people to choose from, and who has access."""

from typing import TYPE_CHECKING, Any, Literal

from vur.dashboards import given

if TYPE_CHECKING:
    from vur.dashboards.page import Page

RIGHTS = ("view", "edit")


class Sharing:
    """The panels of a page about one thing at a time, a dataset, model or machine that is the visitor's to share."""

    def __init__(self, page: "Page", kind: Literal["dataset", "model", "machine"]):
        self.page, self.kind, self.id = page, kind, ""
        self.count = 0  # of people who have access
        self.panels = [page.panel(one, hidden=True) for one in ("form", "list", "table")]
        self.form, self.found, self.people = self.panels
        self.form.on("share", self.add, role="analyst")
        self.found.on("pick", self.pick, role="analyst")
        self.people.on("revoke", self.revoke, role="analyst")

    def hide(self) -> None:
        """Show nothing."""
        for panel in self.panels:
            panel.show(hidden=True)

    def show(self, id: str) -> None:
        """Show the form and who has access to `id`; `ServiceError` if it is not the visitor's to share."""
        items = self.page.api.get(f"/shares/{self.kind}/{id}")["items"]
        self.id, self.count = id, len(items)
        say = self._say
        text = say(f"{self.kind}.text")
        self.found.show(hidden=True)
        self.form.show(
            title=say(f"{self.kind}.title"),
            text=text if items else f"{text} {say('none')}",
            fields=[
                {"name": "person", "label": say("person"), "required": True},
                {"name": "right", "label": say("right"), "type": "choice", "value": RIGHTS[0]}
                | {"options": [[right, self._right(right)] for right in RIGHTS]},
            ],
            submit={"event": "share", "label": say("share")},
        )
        self._show_people(items)

    def _show_people(self, items: list[dict[str, Any]]) -> None:
        say = self._say
        if not items:
            self.people.show(hidden=True)
            return
        self.people.show(
            title=say("people"),
            columns=[
                {"key": "person", "label": say("name")},
                {"key": "email", "label": say("email")},
                {"key": "right", "label": say("right")},
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
            actionsLabel=say("actions"),
            rowActions=[{"event": "revoke", "label": say("revoke"), "kind": "small danger"}],
        )

    def add(self, values: Any) -> None:
        """Share with an address, or with the one person of a name; of several persons one is chosen."""
        person, right = str(given.value(values, "person") or "").strip(), given.value(values, "right")
        if "@" in person and "." in person.rpartition("@")[2]:
            self._share(person, right)
            return
        found = self.page.api.get("/shares/people", search=person)["items"] if person else []
        if len(found) == 1:
            self._share(found[0]["email"], right)
        elif not found:
            self.page.notice(self._say("nobody"), "warning")
        else:
            self.found.show(
                title=self._say("choose"),
                items=[
                    {
                        "text": one["full_name"] or one["email"],
                        "detail": one["email"],
                        "event": "pick",
                        "label": self._say("share"),
                        "values": {"email": one["email"], "right": right},
                    }
                    for one in found
                ],
            )

    def pick(self, values: Any) -> None:
        """Share with the chosen person."""
        self._share(str(given.value(values, "email")), given.value(values, "right"))

    def _share(self, email: str, right: Any) -> None:
        right = right if right in RIGHTS else RIGHTS[0]
        self.page.api.put(f"/shares/{self.kind}/{self._own()}", {"email": email, "right": right})
        self.show(self.id)
        self.page.notice(self._say(f"{self.kind}.shared", email=email, right=self._right(right)), "success")

    def revoke(self, values: Any) -> None:
        """Take a person's right away."""
        person = given.identifier(given.value(values, "id"))
        self.page.api.delete(f"/shares/{self.kind}/{self._own()}/{person}")
        self.show(self.id)
        self.page.notice(self._say("revoked"), "success")

    def _own(self) -> str:
        """The id of what is shown; `ValueError` if nothing is, which no button of the page can cause."""
        if not self.id:
            raise ValueError("nothing is shown to share")
        return self.id

    def _right(self, right: str) -> str:
        return self.page.say(f"pages.data.right.{right}")

    def _say(self, key: str, /, **values: Any) -> str:
        return self.page.say(f"pages.sharing.{key}", **values)
