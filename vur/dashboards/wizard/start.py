"""The start of the wizard: the pipelines that there are, and a new one from a file, a dataset or a configuration."""

from typing import Any

from vur.dashboards.wizard.board import Board

TONES = {"trained": "good", "training": "warn", "failed": "bad"}
ACCEPT = ".csv,.tsv,.txt,.gz,.zip,.parquet,.xlsx,.xls"


class Start:
    """The list of pipelines, and three ways to begin one."""

    def __init__(self, page: Board):
        self.page = page
        self.listed: dict[str, Any] = {"page": 1, "limit": 10, "sort": "-updated_at", "search": None}

    def show(self) -> None:
        """Show the list and the ways to begin."""
        self._show_list()
        say = self.page.say
        self.page.file.show(**upload_texts(self.page, "datasets/upload"), width="half", title=say("pages.pipeline.new"))
        datasets = self.page.api.get("/datasets", limit=100, sort="-updated_at")["items"]
        self.page.begin.show(
            title=say("pages.pipeline.from_dataset"),
            width="half",
            fields=[
                {
                    "name": "dataset",
                    "type": "choice",
                    "label": say("pages.pipeline.dataset"),
                    "options": [[one["dataset_id"], one["name"]] for one in datasets],
                    "value": datasets[0]["dataset_id"] if datasets else "",
                },
                {"name": "name", "type": "text", "label": say("pages.pipeline.name"), "value": ""},
            ]
            if datasets
            else [{"name": "none", "type": "note", "label": say("pages.pipeline.no_datasets")}],
            submit={"event": "create", "label": say("pages.pipeline.begin"), "disabled": not datasets},
        )
        self.page.document.show(
            title=say("pages.pipeline.import"),
            note=say("pages.pipeline.import_note"),
            choose=say("pages.pipeline.import_choose"),
            too_long=say("pages.pipeline.import_long"),
            accept=".json,.yaml,.yml",
        )

    def _show_list(self) -> None:
        say = self.page.say
        found = self.page.api.get("/pipelines", **self.listed)
        titles = {step: say(f"pipelines.step.{step}") for step in self.page.views}
        self.page.pipelines.show(
            title=say("pages.pipeline.list"),
            columns=[
                {"key": "name", "label": say("pages.pipeline.name"), "sort": True},
                {"key": "status", "label": say("pages.pipeline.status"), "sort": True},
                {"key": "step", "label": say("pages.pipeline.step")},
                {"key": "progress", "label": say("pages.pipeline.progress"), "type": "percent", "digits": 0},
                {"key": "updated_at", "label": say("pages.pipeline.updated"), "type": "ago", "sort": True},
            ],
            rows=[
                {
                    "id": one["pipeline_id"],
                    "name": one["name"],
                    "status": {
                        "text": say(f"pages.pipeline.status.{one['status']}"),
                        "tone": TONES.get(one["status"], "muted"),
                    },
                    "step": titles[one["current_step"]],
                    "progress": one["progress"] / 100,
                    "updated_at": one["updated_at"],
                }
                for one in found["items"]
            ],
            select=True,
            sort=self.listed["sort"],
            page=found["page"],
            pages=found["pages"],
            search={"label": say("pages.pipeline.search"), "value": self.listed["search"] or ""},
            rowActions=[
                {
                    "event": "remove",
                    "label": say("pages.pipeline.delete"),
                    "kind": "small danger",
                    "confirm": say("pages.pipeline.delete_confirm"),
                }
            ],
            actionsLabel=say("pages.pipeline.actions"),
            empty=say("pages.pipeline.none"),
        )

    def on_pipelines_select(self, values: dict[str, Any]) -> None:
        """Open a pipeline."""
        self.page.open(str(values.get("id")))

    def on_pipelines_remove(self, values: dict[str, Any]) -> None:
        """Delete a pipeline; its dataset and its models stay."""
        self.page.api.delete(f"/pipelines/{_only_id(values.get('id'))}")
        self._show_list()

    def on_pipelines_sort(self, values: dict[str, Any]) -> None:
        """Sort the list."""
        self.listed["sort"] = str(values.get("key"))[:64]
        self._show_list()

    def on_pipelines_page(self, values: dict[str, Any]) -> None:
        """Turn a page of the list."""
        self.listed["page"] = max(1, int(values.get("page") or 1))
        self._show_list()

    def on_pipelines_search(self, values: dict[str, Any]) -> None:
        """Search the list."""
        self.listed |= {"search": str(values.get("text") or "")[:200] or None, "page": 1}
        self._show_list()

    def on_begin_create(self, values: dict[str, Any]) -> None:
        """Begin a pipeline on a dataset."""
        dataset = self.page.api.get(f"/datasets/{_only_id(values.get('dataset'))}")
        self._begin(dataset, str(values.get("name") or "").strip())

    def on_file_uploaded(self, values: dict[str, Any]) -> None:
        """Begin a pipeline on the file that was sent."""
        answer = values.get("answer")
        id = answer.get("dataset_id") if isinstance(answer, dict) else None
        self._begin(self.page.api.get(f"/datasets/{_only_id(id)}"), "")

    def _begin(self, dataset: dict[str, Any], name: str) -> None:
        body = {"name": name or dataset["name"], "dataset_id": dataset["dataset_id"]}
        made = self.page.api.post("/pipelines", body)
        self.page.open(made["pipeline_id"], "upload")

    def on_document_read(self, values: dict[str, Any]) -> None:
        """Import a configuration, and say what of it does not fit here."""
        text = str(values.get("text") or "")
        headers = {"Content-Type": "application/yaml"}
        made = self.page.api.request("POST", "/pipelines/import", content=text.encode(), headers=headers)
        for problem in made["problems"]:
            self.page.notice(problem["text"], "warning" if problem["severity"] != "error" else "error")
        self.page.open(made["pipeline_id"])

    def tick(self) -> None:
        """Refresh the list: its trainings go on."""
        self._show_list()


def upload_texts(page: Board, path: str) -> dict[str, Any]:
    """What the upload says and takes."""
    keys = ("drop", "choose", "sending", "failed", "cancel")
    return {
        "path": path,
        "accept": ACCEPT,
        "note": page.say("pages.pipeline.file.note"),
        **{key: page.say(f"pages.pipeline.file.{key}") for key in keys},
    }


def _only_id(value: Any) -> str:
    return "".join(letter for letter in str(value) if letter.isalnum() or letter in "-_")[:64] or "-"
