"""A ranking as a run: from a file to the variables that drive its target, with notebook, report and model."""

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
from vur.ranking import Ranking, rank_variables
from vur.ranking.what_if import RankingModel, load_model
from vur.ranking.words import say
from vur.runs.config import DataSpec, from_plain, plain, read_yaml
from vur.runs.dataset import Dataset, dataset_of, keep_frame
from vur.runs.folder import RECORD, RunFolder, die_with_parent
from vur.settings import settings
from vur.stages.upload.files import UploadOptions
from vur.store.cache import StageCache, digest, library_versions
from vur.store.data.sources import renamed
from vur.store.home import write_text
from vur.store.runs import file_fingerprint, next_attempt, run_hash
from vur.text import DEFAULT_LANGUAGE

if TYPE_CHECKING:
    from IPython.display import Image
    from plotly.graph_objects import Figure

CONFIG, NOTEBOOK, DOCUMENT, MODEL = "ranking.yaml", "rank.ipynb", "ranking.json", "model"
WEIGHTS = {"upload": 8.0, "ranking": 88.0, "report": 4.0}


@dataclasses.dataclass(frozen=True)
class RankingConfig:
    """What a ranking needs: the file, how to read it, and what `vur.ranking.rank_variables` takes.

    `fingerprint` is the SHA-256 of the file, by which the stored data are found when the file is missing. `name` is
    what readers know the file as, where it is stored under another name.
    """

    target: str
    path: str | None = None
    fingerprint: str | None = None
    name: str | None = None
    time: str | None = None
    lags: int = 12
    goal: str = "max"
    level: float = 0.9
    seed: int = 0
    exclude: tuple[str, ...] = ()
    language: str = DEFAULT_LANGUAGE
    upload: UploadOptions = dataclasses.field(default_factory=UploadOptions)

    def hash(self) -> str:
        """SHA-256 of everything that can change a number."""
        content = self.to_dict()
        return digest({key: content[key] for key in content if key not in ("path", "fingerprint", "name", "language")})

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, dicts and scalars."""
        return plain(dataclasses.asdict(self))

    def to_yaml(self) -> str:
        """The configuration as YAML that `from_yaml` reads back equal."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)

    @classmethod
    def from_yaml(cls, path: Path) -> "RankingConfig":
        """Read a YAML file; `VurError` names an unknown key, a wrong value or a syntax error with its line."""
        return from_plain(cls, read_yaml(path))


class RankingRun(RunFolder):
    """A ranking in its folder, which contains a `ranking.yaml`: each step is computed once and writes its file there.

    `watcher` receives progress events.
    """

    def __init__(self, target: Path, *, watcher: Callable[[dict], None] | None = None):
        self.given = RankingConfig.from_yaml(Path(target) / CONFIG)
        super().__init__(target, weights=WEIGHTS, notebook=NOTEBOOK, language=self.given.language, watcher=watcher)
        self._fit_started = self._fit_seconds = 0.0
        self._alone = False  # whether no notebook is executed

    @cached_property
    def upload(self) -> Dataset:
        """The file as a Parquet version with column types."""
        given = self.given
        with self.stage("upload") as entry:
            try:
                dataset, entry["cached"] = dataset_of(
                    DataSpec(path=given.path, fingerprint=given.fingerprint, upload=given.upload),
                    StageCache(),
                    self.language,
                    lambda f, m="", **d: self.log.emit("upload", f, m, **d),
                )
            except VurError as error:
                raise renamed(error, Path(given.path or "").name, given.name) from None
            self._write_record(
                fingerprint=dataset.fingerprint,
                source=given.name or dataset.source,
                rows=dataset.upload.rows,
                rejected=dataset.upload.rejected,
            )
            return dataset

    @cached_property
    def frame(self) -> pd.DataFrame:
        """All columns as uploaded."""
        return self.upload.upload.frame()

    @cached_property
    def ranking(self) -> Ranking:
        """The variables by what they add to the prediction of the target; also `ranking.json`, and the model."""
        frame, given = self.frame, self.given
        with self.stage("ranking"):
            found = rank_variables(
                frame,
                given.target,
                time=given.time or self._date(frame),
                lags=given.lags,
                goal=given.goal,
                level=given.level,
                seed=given.seed,
                exclude=given.exclude,
                progress=self._tell,
            )
            if found.model is not None:
                found.model.save(self.folder / MODEL)
            document = found.document() | self._origin()
            text = json.dumps(document, ensure_ascii=False, allow_nan=False, default=_scalar)
            write_text(self.folder / DOCUMENT, text)
            return found

    def _date(self, frame: pd.DataFrame) -> str | None:
        """The column of dates that the upload suggests where several are there; one alone is found anyway."""
        dated = [name for name in frame if pd.api.types.is_datetime64_any_dtype(frame[name])]
        suggested = self.upload.upload.suggestions.date
        return suggested if len(dated) > 1 and suggested in dated and suggested != self.given.target else None

    def _origin(self) -> dict[str, Any]:
        record = self.record
        return {"run": self.id} | {key: record[key] for key in ("source", "fingerprint", "rejected")}

    def _tell(self, done: int, steps: int) -> None:
        """Report progress, and take the time of the first fit: the unit in which the cost of a ranking is said."""
        from vur.ranking import FIT_STEPS

        if done == 0:
            self._fit_started = monotonic()
        elif done == FIT_STEPS:
            self._fit_seconds = monotonic() - self._fit_started
        self.log.emit("ranking", done / steps, "ranking.progress", done=done, steps=steps)
        if (self.state / "stop").exists():
            raise VurError("ranking.stopped", run=self.id)

    @cached_property
    def document(self) -> dict[str, Any]:
        """The ranking as plain JSON, as stored."""
        assert self.ranking is not None, "computed first, so that it is stored"
        return json.loads((self.folder / DOCUMENT).read_text(encoding="utf-8"))

    @cached_property
    def report(self) -> Path:
        """The report page for readers who do not open a notebook: `report.html`."""
        from vur.report.ranking import render_ranking

        document = self.document
        with self.stage("report"):
            notebook = "" if self._alone else NOTEBOOK
            head = self.record | {"created": self.created, "notebook": notebook, "versions": library_versions()}
            return render_ranking(document, head, self.folder / "report.html", self.language)

    def finish(self) -> dict[str, Any]:
        """Close the record; the last call of the notebook."""
        config = dataclasses.replace(self.given, fingerprint=self.upload.fingerprint)
        write_text(self.folder / CONFIG, config.to_yaml())
        seconds = sum(entry["seconds"] for entry in self.record["stages"].values())
        self._write_record(
            status="finished",
            config_hash=self.given.hash(),
            seed=self.given.seed,
            target=self.given.target,
            predicts=self.document["predicts"],
            seconds=round(seconds, 3),
            fit_seconds=round(self._fit_seconds, 3),
            versions=library_versions(),
            vur=__version__,
        )
        return self.record

    def all(self) -> dict[str, Any]:
        """Run every step in order, without a notebook."""
        self._alone = True
        for step in ("upload", "ranking", "report"):
            getattr(self, step)
        return self.finish()

    def plot_importance(self) -> "Image | None":
        """The importance of the first variables with their uncertainty, as a static picture."""
        from vur.report.pictures import draw_importance

        return draw_importance(self.document)

    def plot_effects(self) -> "Image | None":
        """The effects of the first variables, as a static picture."""
        from vur.report.pictures import draw_effects

        return draw_effects(self.document)

    def __repr__(self) -> str:
        return f"RankingRun({self.id}, source={self.given.path and Path(self.given.path).name!r})"


def _scalar(value: Any) -> Any:
    """A NumPy scalar as Python's."""
    return value.item()


def open_ranking(config: str | Path = CONFIG) -> RankingRun:
    """The ranking whose folder contains this `ranking.yaml`: the first call of the notebook."""
    die_with_parent()
    return RankingRun(Path(config).absolute().parent)


@dataclasses.dataclass(frozen=True)
class RankingResult:
    """A finished ranking, read from its folder: `ranking, effects, pairs, model, report, document` and `plot()`."""

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
        """The ranking as plain JSON (`Ranking.document`), with `run, source, fingerprint, rejected`."""
        path = self.folder / DOCUMENT
        if not path.is_file():
            raise VurError("runs.unfinished", run=self.id, status=self.record.get("status"), what=DOCUMENT)
        return json.loads(path.read_text(encoding="utf-8"))

    @cached_property
    def ranking(self) -> pd.DataFrame:
        """A row a variable or group, the most important first; the columns of `vur.ranking.Ranking.ranking`."""
        return _frame(self.document["ranking"])

    @cached_property
    def members(self) -> pd.DataFrame:
        """The variables of groups, each tested alone; columns of `ranking` without the ranks."""
        return _frame(self.document["members"])

    @cached_property
    def effects(self) -> pd.DataFrame:
        """The effect of every variable: `variable, lag, x, y, error, weight`, in units of the target around zero."""
        parts = [
            pd.DataFrame(
                {"variable": name, "lag": one["lag"], **{key: one[key] for key in ("x", "y", "error", "weight")}}
            )
            for name, one in self.document["curves"].items()
        ]
        empty = pd.DataFrame(columns=["variable", "lag", "x", "y", "error", "weight"])
        return pd.concat(parts, ignore_index=True) if parts else empty

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """Variables that act together: `first, second, strength, z, p_value`."""
        return pd.DataFrame(self.document["pairs"], columns=["first", "second", "strength", "z", "p_value"])

    @property
    def predicts(self) -> bool:
        """Whether anything predicts the target; otherwise nothing is ranked."""
        return self.document["predicts"]

    @cached_property
    def model(self) -> RankingModel:
        """The models that were ranked with: `r.model.what_if({"temperature": 81.5})`."""
        if not self.predicts:
            raise VurError("ranking.no_model", target=self.document["target"])
        return load_model(self.folder / MODEL)

    @property
    def report(self) -> Path:
        """Path of the report page."""
        return self.folder / "report.html"

    @property
    def notebook(self) -> Path:
        """Path of the executed notebook (absent for rankings in process)."""
        return self.folder / NOTEBOOK

    def say(self, language: str = DEFAULT_LANGUAGE) -> list[str]:
        """What the ranking says, in sentences."""
        return say(self.document, language)

    def plot(self, variable: str | None = None, language: str = DEFAULT_LANGUAGE) -> "Figure":
        """The importance of the variables with intervals, or the effect of one of them, as an interactive figure."""
        from vur.report.ranking import effect_figure, importance_figure

        if variable is None:
            return importance_figure(self.document, language)
        if variable not in self.document["curves"]:
            known = list(self.document["curves"])
            raise VurError(
                "ranking.unknown_variable",
                column=variable,
                nearest=known[0] if known else "-",
                columns=", ".join(known),
            )
        return effect_figure(self.document, variable, language)

    def __repr__(self) -> str:
        return f"RankingResult({self.id}, {self.record.get('status')}, folder={str(self.folder)!r})"


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    from vur.ranking import COLUMNS

    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"significant": bool})


def rank(
    source: pd.DataFrame | str | Path,
    target: str,
    *,
    time: str | None = None,
    lags: int = 12,
    goal: str = "max",
    level: float = 0.9,
    seed: int = 0,
    exclude: Sequence[str] = (),
    language: str | None = None,
    upload: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    notebook: bool = True,
    watcher: Callable[[dict], None] | None = None,
) -> RankingResult:
    """Rank the columns of a table of process data by what each adds to the prediction of `target`.

    `source` is a file (CSV, TSV, gzip, zip, Parquet, Excel) or a data frame with a row a moment, in the order of time.
    `time` names the column of stamps (default: the only one there is), `lags` is how many rows a variable may take to
    act, `goal` whether a high (`max`) or a low (`min`) target is good, `level` the confidence of the rank sets,
    `exclude` names columns to leave out, such as other results of the process.
    `upload` holds reading options such as `{"decimal": ","}` (`UploadOptions`). `notebook=False` runs in this process,
    without papermill. `watcher` receives progress events. Raises `VurError` with cause and remedy.
    """
    folder = prepare_ranking(
        source,
        target,
        time=time,
        lags=lags,
        goal=goal,
        level=level,
        seed=seed,
        exclude=tuple(exclude),
        language=language,
        upload=upload,
        out=out,
    )
    return execute_ranking(folder, watcher, notebook=notebook)


def prepare_ranking(
    source: pd.DataFrame | str | Path,
    target: str,
    *,
    out: str | Path | None = None,
    language: str | None = None,
    upload: Mapping[str, Any] | None = None,
    **choices: Any,
) -> Path:
    """Create the folder of a new ranking with its `ranking.yaml`; arguments as for `rank`.

    Raises `VurError` for a missing file and for a value that is not allowed.
    """
    path = keep_frame(source) if isinstance(source, pd.DataFrame) else Path(source).expanduser().absolute()
    if not path.is_file():
        raise VurError("runs.is_folder" if path.is_dir() else "runs.no_file", path=path)
    content = choices | {"target": target, "path": str(path), "language": language or settings().language}
    config = from_plain(RankingConfig, content | {"upload": dict(upload or {})})
    reports = Path(out or settings().reports).expanduser().absolute()
    try:
        folder = reports / next_attempt(reports, run_hash(file_fingerprint(path), config.hash()))
        write_text(folder / CONFIG, config.to_yaml())
    except OSError as error:
        raise VurError("runs.output", path=reports, reason=error.strerror or str(error)) from error
    return folder


def execute_ranking(
    folder: Path, watcher: Callable[[dict], None] | None = None, *, notebook: bool = True
) -> RankingResult:
    """Run a ranking in its folder, as a papermill notebook or in this process. Raises `VurError`."""
    if notebook:
        from vur.runs.execute import execute

        execute(folder, NOTEBOOK, {"config": CONFIG}, watcher, preload="vur.runs.ranking")
    else:
        RankingRun(folder, watcher=watcher).all()
    return RankingResult(folder)
