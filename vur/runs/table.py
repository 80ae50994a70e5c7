"""A table as a run: from a file to a model that predicts a number from a row, with notebook, report and saved model."""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml

from vur import __version__
from vur.errors import VurError
from vur.runs.config import DataSpec, from_plain, plain, read_yaml
from vur.runs.dataset import Dataset, dataset_of, keep_frame
from vur.runs.folder import RECORD, RunFolder, die_with_parent
from vur.settings import settings
from vur.stages.upload.files import UploadOptions
from vur.store.cache import StageCache, digest, library_versions
from vur.store.home import write_text
from vur.store.models.models import TABLES, model_folder, model_name, save_model
from vur.store.runs import file_fingerprint, next_attempt, run_hash
from vur.tabular import TableModel, fit
from vur.tabular.words import say
from vur.text import DEFAULT_LANGUAGE

if TYPE_CHECKING:
    from IPython.display import Image
    from plotly.graph_objects import Figure

CONFIG, NOTEBOOK, DOCUMENT, MODEL = "table.yaml", "table.ipynb", "table.json", "model"
WEIGHTS = {"upload": 6.0, "training": 86.0, "save": 4.0, "report": 4.0}


@dataclasses.dataclass(frozen=True)
class TableConfig:
    """What a fitted table needs: the file, how to read it, and what `vur.tabular.fit` takes.

    `fingerprint` is the SHA-256 of the file, by which the stored data are found when the file is missing. `name` is
    that of the saved model.
    """

    target: str
    path: str | None = None
    fingerprint: str | None = None
    name: str | None = None
    algorithms: tuple[str, ...] = ("auto",)
    hyperparameters: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    folds: int = 5
    group: str | None = None
    time: str | None = None
    features: tuple[str, ...] | None = None
    trust: tuple[str, ...] = ()
    metric: str = "rmse"
    levels: tuple[float, ...] = (80.0, 95.0)
    seed: int = 0
    language: str = DEFAULT_LANGUAGE
    upload: UploadOptions = dataclasses.field(default_factory=UploadOptions)

    def choices(self) -> dict[str, Any]:
        """The arguments of `vur.tabular.fit`."""
        names = ("algorithms", "hyperparameters", "folds", "group", "time", "features", "trust")
        return {name: getattr(self, name) for name in (*names, "metric", "levels", "seed")}

    def hash(self) -> str:
        """SHA-256 of everything that can change a number."""
        content = self.to_dict()
        return digest({key: content[key] for key in content if key not in ("path", "fingerprint", "language", "name")})

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, dicts and scalars."""
        return plain(dataclasses.asdict(self))

    def to_yaml(self) -> str:
        """The configuration as YAML that `from_yaml` reads back equal."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)

    @classmethod
    def from_yaml(cls, path: Path) -> "TableConfig":
        """Read a YAML file; `VurError` names an unknown key, a wrong value or a syntax error with its line."""
        return from_plain(cls, read_yaml(path))


class FittedTable(TableModel):
    """A fitted table that draws itself and writes its report: what `vur.fit_table` and `vur.load_table` return."""

    def plot(self, kind: str = "predictions", language: str = DEFAULT_LANGUAGE) -> "Figure":
        """An interactive figure: `predictions` out of fold against actual values, `residuals` or `importances`."""
        from vur.report.tabular import figure

        return figure(self, kind, language)

    def report(self, path: str | Path = "report.html", language: str = DEFAULT_LANGUAGE) -> Path:
        """Write the report page to `path` and return it."""
        from vur.report.tabular import render_table

        return render_table(self, {}, Path(path), language)

    def say(self, language: str = DEFAULT_LANGUAGE) -> list[str]:
        """What the table says, in sentences."""
        return say(self.document, language)


def fit_table(
    data: pd.DataFrame | str | Path,
    target: str,
    *,
    algorithms: str | Sequence[str] = "auto",
    hyperparameters: Mapping[str, Mapping[str, Any]] | None = None,
    folds: int = 5,
    group: str | None = None,
    time: str | None = None,
    features: Sequence[str] | None = None,
    trust: Sequence[str] = (),
    metric: str = "rmse",
    levels: Sequence[float] = (80, 95),
    seed: int = 0,
    upload: Mapping[str, Any] | None = None,
) -> FittedTable:
    """Predict `target` from the other columns of a row: compare algorithms on the same folds and keep the one to trust.

    `data` is a data frame or a file (CSV, TSV, gzip, zip, Parquet, Excel), which `upload` says how to read
    (`UploadOptions`). `algorithms` are ids of `vur.tabular.algorithms.TABLE_ALGORITHMS`, or `auto`, `hyperparameters`
    theirs by id. Rows of one `group`, such as a house that was sold twice, stay together in the folds; rows with a
    `time` are tested after those they learn from. `features` limits the columns, `trust` names ones that look like ids
    or copies of the target and are none. `metric` (`rmse, mae`) decides, `levels` are those of the intervals, in
    percent. Nothing is stored: `.save(folder)` does, and `vur.load_table` opens it. `VurError` with cause and remedy.
    """
    if isinstance(data, pd.DataFrame):
        frame = data
    else:
        frame = read_file(Path(data).expanduser().absolute(), upload)
    return fit(
        frame,
        target,
        algorithms=algorithms,
        hyperparameters=hyperparameters,
        folds=folds,
        group=group,
        time=time,
        features=features,
        trust=trust,
        metric=metric,
        levels=levels,
        seed=seed,
        workers=settings().worker_count,
        cls=FittedTable,
        clock=monotonic,
    )


def load_table(model: str | Path) -> FittedTable:
    """The saved table model in a folder, or of the model store by its name or tag."""
    if isinstance(model, Path) or "/" in model or (Path(model) / DOCUMENT).is_file():
        return FittedTable.load(model)
    return FittedTable.load(model_folder(model, TABLES))


def read_file(path: Path, upload: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """The rows of a file, read as every file is; `VurError` for one that is missing or cannot be read safely."""
    if not path.is_file():
        raise VurError("runs.is_folder" if path.is_dir() else "runs.no_file", path=path)
    options = from_plain(UploadOptions, dict(upload or {}))
    return dataset_of(DataSpec(path=str(path), upload=options), StageCache())[0].upload.frame()


class TableRun(RunFolder):
    """A fitted table in its folder, which contains a `table.yaml`: each step is computed once and writes its file.

    `watcher` receives progress events.
    """

    def __init__(self, target: Path, *, watcher: Callable[[dict], None] | None = None):
        self.given = TableConfig.from_yaml(Path(target) / CONFIG)
        super().__init__(target, weights=WEIGHTS, notebook=NOTEBOOK, language=self.given.language, watcher=watcher)

    @cached_property
    def upload(self) -> Dataset:
        """The file as a Parquet version with column types."""
        given = self.given
        with self.stage("upload") as entry:
            dataset, entry["cached"] = dataset_of(
                DataSpec(path=given.path, fingerprint=given.fingerprint, upload=given.upload),
                StageCache(),
                self.language,
                lambda f, m="", **d: self.log.emit("upload", f, m, **d),
            )
            self._write_record(
                fingerprint=dataset.fingerprint,
                source=dataset.source,
                rows=dataset.upload.rows,
                rejected=dataset.upload.rejected,
            )
            return dataset

    @cached_property
    def frame(self) -> pd.DataFrame:
        """All columns as uploaded."""
        return self.upload.upload.frame()

    @cached_property
    def model(self) -> FittedTable:
        """The candidates on the same folds and the chosen one on all rows; also its tables beside the notebook."""
        frame = self.frame
        with self.stage("training"):
            found = fit(
                frame,
                self.given.target,
                **self.given.choices(),
                workers=settings().worker_count,
                cls=FittedTable,
                clock=monotonic,
                progress=self._tell,
            )
            for name, table in (
                ("leaderboard", found.leaderboard),
                ("cross_validation", found.cv),
                ("importances", found.importances),
            ):
                table.to_csv(self.folder / f"{name}.csv", index=False)
            document = found.document | {"run": self.id, "rejected": self.record["rejected"]}
            write_text(self.folder / DOCUMENT, json.dumps(document, ensure_ascii=False, allow_nan=False))
            return found

    def _tell(self, fraction: float, message: str = "", **data: Any) -> None:
        self.log.emit("training", fraction, message, **data)

    @cached_property
    def tag(self) -> str:
        """The tag of the model in the model store."""
        model, given = self.model, self.given
        name = given.name or model_name(Path(self.upload.source).stem.split(".")[0])
        with self.stage("save"):
            path = self.state / MODEL
            if path.is_dir():
                import shutil

                shutil.rmtree(path)
            model.save(path)
            metadata = {
                "run": self.id,
                "fingerprint": self.record["fingerprint"],
                "algorithm": model.document["chosen"],
                "target": model.target,
                "config_hash": self.given.hash(),
                "vur": __version__,
                "versions": library_versions(),
            } | {name: value for name, value in model.metrics.items()}
            labels = {"run": self.id, "algorithm": model.document["chosen"]}
            tag = save_model(path, name, self.id, metadata, labels, module=TABLES)
            self._write_record(model=tag)
            return tag

    @cached_property
    def report(self) -> Path:
        """The report page for readers who do not open a notebook: `report.html`."""
        from vur.report.tabular import render_table

        model, tag = self.model, self.tag
        with self.stage("report"):
            head = self.record | {"created": self.created, "notebook": NOTEBOOK, "model": tag}
            return render_table(model, head, self.folder / "report.html", self.language)

    def finish(self) -> dict[str, Any]:
        """Close the record; the last call of the notebook."""
        config = dataclasses.replace(self.given, fingerprint=self.upload.fingerprint)
        write_text(self.folder / CONFIG, config.to_yaml())
        self._write_record(
            status="finished",
            model=self.tag,
            config_hash=self.given.hash(),
            seed=self.given.seed,
            target=self.given.target,
            winner=self.model.document["chosen"],
            seconds=round(sum(entry["seconds"] for entry in self.record["stages"].values()), 3),
            versions=library_versions(),
            vur=__version__,
        )
        return self.record

    def all(self) -> dict[str, Any]:
        """Run every step in order, without a notebook."""
        for step in ("upload", "model", "tag", "report"):
            getattr(self, step)
        return self.finish()

    def plot_predictions(self) -> "Image":
        """Predictions out of fold against the actual values, as a static picture."""
        from vur.report.pictures import draw_fit

        return draw_fit(self.model.cv, self.model.document)

    def __repr__(self) -> str:
        return f"TableRun({self.id}, source={self.given.path and Path(self.given.path).name!r})"


def open_table(config: str | Path = CONFIG) -> TableRun:
    """The run whose folder contains this `table.yaml`: the first call of the notebook."""
    die_with_parent()
    return TableRun(Path(config).absolute().parent)


@dataclasses.dataclass(frozen=True)
class TableResult:
    """A finished run, read from its folder: `model, leaderboard, document, report, notebook, tag`."""

    folder: Path

    @property
    def id(self) -> str:
        """The run id: hash of data, configuration and code, and the attempt number."""
        return self.folder.name

    @property
    def record(self) -> dict[str, Any]:
        """`run.json`: fingerprint, hashes, versions, seed, durations, status."""
        return json.loads((self.folder / RECORD).read_text(encoding="utf-8"))

    @cached_property
    def document(self) -> dict[str, Any]:
        """All facts of the fit as plain JSON, with `run` and `rejected`."""
        path = self.folder / DOCUMENT
        if not path.is_file():
            raise VurError("runs.unfinished", run=self.id, status=self.record.get("status"), what=DOCUMENT)
        return json.loads(path.read_text(encoding="utf-8"))

    @property
    def tag(self) -> str:
        """The tag of the model in the model store."""
        return self.record["model"]

    @cached_property
    def model(self) -> FittedTable:
        """The model, opened from the model store."""
        return load_table(self.tag)

    @property
    def leaderboard(self) -> pd.DataFrame:
        """The candidates, best first."""
        return self.model.leaderboard

    @property
    def report(self) -> Path:
        """Path of the report page."""
        return self.folder / "report.html"

    @property
    def notebook(self) -> Path:
        """Path of the executed notebook (absent for runs in process)."""
        return self.folder / NOTEBOOK

    def __repr__(self) -> str:
        return f"TableResult({self.id}, {self.record.get('status')}, folder={str(self.folder)!r})"


def prepare_table(
    source: pd.DataFrame | str | Path,
    target: str,
    *,
    out: str | Path | None = None,
    language: str | None = None,
    upload: Mapping[str, Any] | None = None,
    **choices: Any,
) -> Path:
    """Create the folder of a new run with its `table.yaml`; arguments as for `fit_table`, and `name`.

    Raises `VurError` for a missing file and for a value that is not allowed.
    """
    path = keep_frame(source) if isinstance(source, pd.DataFrame) else Path(source).expanduser().absolute()
    if not path.is_file():
        raise VurError("runs.is_folder" if path.is_dir() else "runs.no_file", path=path)
    config = table_config(target, path, language, upload, **choices)
    reports = Path(out or settings().reports).expanduser().absolute()
    try:
        folder = reports / next_attempt(reports, run_hash(file_fingerprint(path), config.hash()))
        write_text(folder / CONFIG, config.to_yaml())
    except OSError as error:
        raise VurError("runs.output", path=reports, reason=error.strerror or str(error)) from error
    return folder


def table_config(
    target: str, path: Path | None, language: str | None, upload: Mapping[str, Any] | None, **choices: Any
) -> TableConfig:
    """The configuration with these choices; `VurError` names a key or value that is not allowed."""
    content = {name: value for name, value in choices.items() if value is not None}
    if isinstance(content.get("algorithms"), str):
        content["algorithms"] = [one.strip() for one in content["algorithms"].split(",") if one.strip()]
    content |= {"target": target, "path": str(path) if path else None, "language": language or settings().language}
    return from_plain(TableConfig, plain(content) | {"upload": dict(upload or {})})


def execute_table(folder: Path, watcher: Callable[[dict], None] | None = None, *, notebook: bool = True) -> TableResult:
    """Run a fit in its folder, as a papermill notebook or in this process. Raises `VurError`."""
    if notebook:
        from vur.runs.execute import execute

        execute(folder, NOTEBOOK, {"config": CONFIG}, watcher, preload="vur.runs.table")
    else:
        TableRun(folder, watcher=watcher).all()
    return TableResult(folder)
