"""The results of a run, read from its folder: the same for notebook runs, in-process runs and old runs."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from vur.errors import VurError
from vur.runs.config import Config
from vur.runs.folder import RECORD
from vur.runs.run import CONFIG, NOTEBOOK
from vur.settings import settings
from vur.store.models.models import find_model
from vur.store.runs import find_run, read_table
from vur.timezones import to_zone

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from vur.panel import Panel
    from vur.stages.model.pipeline import Pipeline


@dataclass(frozen=True)
class RunResult:
    """A run's results by name: `leaderboard, forecast, audit, model, report, config, record` and `plot()`."""

    folder: Path

    @property
    def id(self) -> str:
        """The run id: hash of data, configuration and code, and the attempt number."""
        return self.folder.name

    @property
    def record(self) -> dict[str, Any]:
        """`run.json`: fingerprint, hashes, versions, seed, durations, status."""
        return json.loads((self.folder / RECORD).read_text(encoding="utf-8"))

    @property
    def config(self) -> Config:
        """The configuration with all inferred values; `config.to_yaml()` exports it."""
        return Config.from_yaml(self.folder / CONFIG)

    def _table(self, name: str) -> pd.DataFrame:
        path = self.folder / name
        if not path.is_file():
            raise VurError("runs.unfinished", run=self.id, status=self.record.get("status"), what=name)
        return read_table(path)

    @cached_property
    def leaderboard(self) -> pd.DataFrame:
        """Algorithms by rank with their metrics over the folds."""
        return self._table("leaderboard.csv")

    @cached_property
    def by_step(self) -> pd.DataFrame:
        """Errors and coverage by step of the horizon, over the folds: `algorithm, step, ...`."""
        return self._table("by_step.csv")

    @cached_property
    def test_scores(self) -> pd.DataFrame:
        """Errors and coverage on the held-out test, which no choice was based on; empty if there is none."""
        return self._table("test_scores.csv")

    @cached_property
    def forecast(self) -> pd.DataFrame:
        """`unique_id, ds, forecast, lo-80, hi-80, lo-95, hi-95` for the future steps."""
        frame = self._table("forecast.csv")
        return frame if pd.api.types.is_integer_dtype(frame["ds"]) else frame.assign(ds=pd.to_datetime(frame["ds"]))

    @cached_property
    def audit(self) -> pd.DataFrame:
        """Findings on the data: code, severity, series, count, message, repair."""
        return self._table("audit.csv")

    @cached_property
    def anomalies(self) -> pd.DataFrame:
        """Observations of the training data outside the intervals of held-out forecasts, highest score first.

        `unique_id, ds, step, y, forecast, lo, hi, score, p_value, direction, event`, as returned by
        `vur.explain.anomalies.anomalies` for the widest interval. Only values inside a fold can be judged.
        """
        frame = self._table("anomalies.csv")
        return frame if pd.api.types.is_integer_dtype(frame["ds"]) else frame.assign(ds=pd.to_datetime(frame["ds"]))

    @property
    def report(self) -> Path:
        """Path of the report page."""
        return self.folder / "report.html"

    @property
    def notebook(self) -> Path:
        """Path of the executed notebook (absent for runs in process)."""
        return self.folder / NOTEBOOK

    @property
    def model_tag(self) -> str:
        """Exact tag in the model store."""
        return self.record["model"]

    @cached_property
    def model(self) -> "Pipeline":
        """The fitted winner, loaded from the model store: `r.model.predict(horizon, levels=(80, 95))`."""
        from vur.stages.model.pipeline import load_pipeline
        from vur.store.models.models import model_folder

        return load_pipeline(model_folder(self.model_tag))

    @cached_property
    def panel(self) -> "Panel":
        """The training panel, sums included, from the stored dataset."""
        from vur.hierarchy import with_sums
        from vur.runs.dataset import dataset_of
        from vur.store.cache import StageCache

        config = self.config
        dataset = dataset_of(config.data, StageCache())[0]
        return with_sums(dataset.regular(config.data, config.split.horizon, config.hierarchy)[0], config.hierarchy)

    def plot(self, series: str | None = None) -> "Figure":
        """History and forecast with intervals, as an interactive figure; `series` selects one."""
        from vur.report.plots import forecast_figure

        panel = self.panel
        history = panel.frame[["unique_id", "ds", "y"]]
        return forecast_figure(history, self.forecast, self.config.language, series=series, freq=panel.freq)

    def __repr__(self) -> str:
        record = self.record
        return (
            f"RunResult({self.id}, {record.get('status')}, winner={record.get('winner')}, folder={str(self.folder)!r})"
        )


def model_history(tag: str) -> pd.DataFrame | None:
    """`unique_id, ds, y` of a saved model's training data in the user's local time; None without its run's folder."""
    run = find_model(tag).info.metadata["run"]
    try:
        folder: Path = find_run(run, settings().reports)
    except VurError as error:
        if error.code != "runs.no_run":
            raise
        return None
    panel = RunResult(folder).panel
    return to_zone(panel.frame[["unique_id", "ds", "y"]], panel.tz, panel.freq)
