"""Machines: which variables drive production, what each does, and what a change would bring."""

from typing import Any

from vur.dashboards import given
from vur.dashboards.client import ServiceError
from vur.dashboards.machines.board import ACTIVE, Board, Part, Row, number_of
from vur.dashboards.machines.data import Data
from vur.dashboards.machines.effects import Effects
from vur.dashboards.machines.history import History
from vur.dashboards.machines.listing import Listing
from vur.dashboards.machines.result import Result
from vur.dashboards.machines.what_if import WhatIf
from vur.dashboards.pages.sharing import Sharing
from vur.dashboards.words import written

TABS = ("result", "effects", "what_if", "history", "data", "sharing")
TICKS = 3  # between two refreshes of a list in which nothing happens
TRAININGS = 100  # that are listed


class MachinesPage(Board):
    """The page of machines; with `?machine=NUMBER` it shows one. Its parts are in `vur.dashboards.machines`."""

    name = "machines"
    live = ("machine_update", "job_update")

    def build(self) -> None:
        """Declare the panels of the list, and those of one machine."""
        self.trainings: list[Row] = []
        self.may_download, self.tab, self.ticks = False, TABS[0], 0
        self.list = Listing(self)
        self.head, self.rename = self.panel("opened", hidden=True), self.panel("form", hidden=True)
        self.progress, self.failure = self.panel("progress", hidden=True), self.panel("text", hidden=True)
        self.tabs = self.panel("tabs", hidden=True)
        self.result, self.effects, self.what_if = Result(self), Effects(self), WhatIf(self)
        self.history, self.data = History(self), Data(self)
        self.sharing = Sharing(self, "machine")
        self.head.on("back", lambda values: self.close())
        self.head.on("train", lambda values: self.show_tab("data"), role="analyst")
        self.head.on("rename", self.ask_name, role="analyst")
        self.head.on("delete", self.delete, role="analyst")
        self.rename.on("save", self.save_name, role="analyst")
        self.rename.on("cancel", lambda values: self.rename.show(hidden=True), role="analyst")
        self.progress.on("cancel", self.cancel, role="analyst")
        self.tabs.on("tab", lambda values: self.show_tab(given.text(values, "name")))

    @property
    def parts(self) -> dict[str, Part | Sharing]:
        """What each tab shows."""
        return {name: getattr(self, name) for name in TABS}

    def load(self) -> None:
        """Show the machine of the address, else the list."""
        self.may_download = bool(self.api.get("/switches")["may_download"])
        id = number_of(self.query.get("machine", ""))
        if id is None:
            self.close()
            return
        try:
            self.open(id, self.query.get("tab"), number_of(self.query.get("training", "")))
        except ServiceError as error:
            if error.ended:
                raise
            self.close()
            self.notice(error.detail, "warning")

    def tick(self) -> None:
        """Refresh what changes by itself."""
        self.ticks += 1
        if self.machine is not None:
            self._follow()
        elif self.list.training or self.ticks % TICKS == 0:
            self.list.refresh()

    # --- one machine ---

    def open(self, id: int, tab: str | None = None, training: int | None = None) -> None:
        """Show one machine; of its trainings the newest that finished, or one that is named."""
        found = self.api.get(f"/machines/{id}")
        if self.machine is None or self.machine["id"] != id:
            self.data.forget()
            self.rename.show(hidden=True)
        trainings = self.api.get(f"/machines/{id}/trainings", limit=TRAININGS)["items"]
        newest = next((one["training"] for one in trainings if one["state"] == "finished"), None)
        number = training or newest
        shown = self.api.get(f"/machines/{id}/trainings/{number}") if number else None
        if shown is not None and shown["document"] is None:  # it has not finished
            shown = self.api.get(f"/machines/{id}/trainings/{newest}") if newest else None
        self.machine, self.trainings, self.training = found, trainings, shown
        self.list.hide()
        older = shown["training"] if shown and shown["training"] != newest else None
        self.set_query(machine=id, training=older)
        self._show_head()
        self._show_state()
        self.show_tab(tab or (TABS[0] if shown or not self.may_edit else "data"))

    def close(self) -> None:
        """Go back to the list."""
        self.machine, self.training, self.trainings = None, None, []
        for panel in (self.head, self.rename, self.progress, self.failure, self.tabs):
            panel.show(hidden=True)
        for part in self.parts.values():
            part.hide()
        self.set_query(machine=None, tab=None, training=None, dataset=None)
        self.list.show()

    def show_tab(self, name: str | None) -> None:
        """Show one of the views of the machine; the first one for an unknown name."""
        names = [one for one in TABS if self._has(one)]
        self.tab = name if name in names else names[0]
        self.tabs.show(
            items=[{"name": one, "label": self.words(f"tab.{one}")} for one in names],
            current=self.tab,
            label=self.opened["machine_name"],
        )
        for one, part in self.parts.items():
            if one != self.tab:
                part.hide()
        self.set_query(tab=self.tab)
        self._show_part()

    def _show_part(self) -> None:
        if self.tab == "sharing":
            self.sharing.show(str(self.opened["id"]))
        else:
            getattr(self, self.tab).show()

    def _has(self, tab: str) -> bool:
        document = self.document
        if tab in ("effects", "what_if"):
            return bool(document.get("predicts") and document.get("curves"))
        if tab == "history":
            return bool(self.trainings)
        if tab == "data":
            return self.may_edit
        return tab != "sharing" or self.opened["right"] == "own" and self.is_at_least("analyst")

    def _show_head(self) -> None:
        machine, words = self.opened, self.words
        facts = [words(f"status.{machine['status']}"), words("head.owner", owner=machine["owner"])]
        facts.append(words("head.trainings", count=machine["trainings"]))
        if machine["ranked_at"]:
            facts.append(words("head.ranked", moment=written(machine["ranked_at"][:16], self.language)))
        actions: list[Row] = []
        if self.may_edit:
            actions.append({"event": "train", "label": words("action.train"), "kind": "primary"})
            actions.append({"event": "rename", "label": words("action.rename")})
        if machine["right"] == "own" and self.is_at_least("analyst"):
            question = words("action.delete_confirm")
            actions.append({"event": "delete", "label": words("action.delete"), "kind": "danger", "confirm": question})
        self.head.show(
            title=machine["machine_name"],
            note=" · ".join(facts),
            lines=[machine["description"]] if machine["description"] else [],
            back={"event": "back", "label": f"← {words('action.back')}"},
            actions=actions,
        )

    def ask_name(self, values: Any) -> None:
        """Show the form for another name."""
        words, machine = self.words, self.opened
        self.rename.show(
            title=words("action.rename"),
            fields=[
                {"name": "name", "label": words("column.name"), "value": machine["machine_name"], "required": True},
                {"name": "description", "label": words("column.description"), "value": machine["description"]},
            ],
            submit={"event": "save", "label": words("action.save")},
            buttons=[{"event": "cancel", "label": words("action.cancel")}],
        )

    def save_name(self, values: Any) -> None:
        """Give the machine another name and description."""
        change = {"machine_name": given.text(values, "name"), "description": given.text(values, "description")}
        self.machine = self.api.request("PATCH", self.at, json=change)
        self.rename.show(hidden=True)
        self._show_head()
        self.notice(self.words("renamed"), "success")

    def delete(self, values: Any) -> None:
        """Delete the machine."""
        self.api.delete(self.at)
        self.close()
        self.notice(self.words("deleted"), "success")

    # --- a training that runs, or failed ---

    def cancel(self, values: Any) -> None:
        """Cancel the training that runs."""
        number = self.opened["active_training"]
        if number is not None:
            self.api.post(f"{self.at}/trainings/{number}/cancel")
            self._follow()

    def _follow(self) -> None:
        """Ask whether something happened to the machine: show the progress, or what came of the training."""
        before = self.opened
        try:
            found = self.api.get(f"/machines/{before['id']}")
        except ServiceError as error:
            if error.status != 404:
                raise
            self.close()
            self.notice(error.detail, "warning")
            return
        self.machine = found
        if (found["active_training"], found["trainings"]) == (before["active_training"], before["trainings"]):
            if found["version"] != before["version"]:
                self._show_head()
            self._show_state()
            return
        ended = before["active_training"] if found["active_training"] is None else None
        state = self.api.get(f"{self.at}/trainings/{ended}")["state"] if ended else ""
        stays = "result" if state == "finished" and self.tab == "data" else self.tab
        older = None if state == "finished" else number_of(self.query.get("training", ""))
        self.open(found["id"], stays, older)
        if state in ("finished", "failed", "cancelled"):
            kind = {"finished": "success", "failed": "error"}.get(state, "info")
            self.notice(self.words(f"ended.{state}", number=ended), kind)

    def _show_state(self) -> None:
        """Show how far the training is that runs, or why the last one failed."""
        machine, words = self.opened, self.words
        number = machine["active_training"]
        error = machine["error"] if number is None and machine["status"] == "erro" else None
        self.failure.show(
            hidden=error is None,
            tone="bad",
            title=words("failure.title"),
            text=(error or {}).get("detail"),
            lines=[one for one in ((error or {}).get("remedy"), self._older_stays()) if one],
        )
        if number is None:
            self.progress.show(hidden=True)
            return
        found = self.api.get(f"{self.at}/trainings/{number}")
        over = found["state"] not in ACTIVE
        stage = found["stage_name"] or words(f"state.{found['state']}")
        self.progress.show(
            title=words("progress.title", number=number, target=found["target"]),
            state="training",
            percent=found["progress"],
            stage=stage[:1].upper() + stage[1:],
            eta=found["eta_seconds"],
            log=found["logs"],
            texts={key: words(f"progress.{key}") for key in ("progress", "left", "log")},
            actions=[
                {
                    "event": "cancel",
                    "label": words("progress.cancel"),
                    "kind": "danger",
                    "confirm": words("progress.cancel_confirm"),
                }
            ]
            if self.may_edit and not over
            else [],
        )

    def _older_stays(self) -> str:
        return self.words("failure.older") if self.training is not None else ""


def open() -> MachinesPage:
    """Open the page: in the dashboards for the visitor, in a notebook with the token of `VUR_TOKEN`."""
    return MachinesPage()
