"""A run: every stage as a cached property, in the folder that also holds its notebook and report."""

import json
import os
import platform
from collections.abc import Callable, Collection
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import pandas as pd

from vur import __version__
from vur.errors import VurError
from vur.hierarchy import with_sums
from vur.models.future import check_future, check_reach
from vur.panel import Panel
from vur.runs.config import Config
from vur.runs.dataset import Dataset, dataset_of
from vur.runs.folder import RunFolder, die_with_parent
from vur.runs.progress import WEIGHTS
from vur.scoring.metrics import shown_metrics
from vur.settings import settings
from vur.stages.features import FeatureSpec, resolve_features
from vur.stages.model import Candidate, candidates
from vur.stages.model.pipeline import whole_numbers
from vur.stages.preprocess import fit_preprocess
from vur.stages.preprocess.preprocessor import Preprocessor
from vur.stages.preview.audit import audit
from vur.stages.preview.findings import audit_table
from vur.stages.split import plan_split
from vur.stages.split.folds import SplitPlan
from vur.stages.training import Training, load_training, train
from vur.stages.training.sums import reconciled
from vur.store.cache import FrameCache, StageCache, code_version, digest, library_versions
from vur.store.home import folder, write_text
from vur.store.models.models import model_name, save_model
from vur.store.runs import run_hash
from vur.timezones import to_zone

if TYPE_CHECKING:
    from IPython.display import Image


CONFIG, NOTEBOOK = "pipeline.yaml", "train.ipynb"


class Run(RunFolder):
    """A run in its folder: each stage is computed once, cached by content, and writes its file beside the notebook.

    `target` is the run's folder and must contain a `pipeline.yaml`. `watcher` receives progress events. `fresh=True`
    ignores cached stage outputs. `should_stop` is polled during training: True stops it and keeps the models finished
    so far.
    """

    def __init__(
        self,
        target: Path,
        *,
        watcher: Callable[[dict], None] | None = None,
        fresh: bool = False,
        should_stop: Callable[[], bool] | None = None,
        only: Collection[str] | None = None,
    ):
        self.given = Config.from_yaml(Path(target) / CONFIG)
        super().__init__(target, weights=WEIGHTS, notebook=NOTEBOOK, language=self.given.language, watcher=watcher)
        self.cache = StageCache(enabled=not fresh)
        self.only = None if only is None else frozenset(only)
        self._should_stop = should_stop or (self.state / "stop").exists

    @cached_property
    def upload(self) -> Dataset:
        """Stage 1: the source as a Parquet version with column types and suggestions."""
        with self.stage("upload") as entry:
            dataset, entry["cached"] = dataset_of(
                self.given.data, self.cache, self.language, lambda f, m="", **d: self.log.emit("upload", f, m, **d)
            )
            self._write_record(
                fingerprint=dataset.fingerprint,
                source=dataset.source,
                rows=dataset.upload.rows,
                rejected=dataset.upload.rejected,
            )
            return dataset

    @cached_property
    def panel(self) -> Panel:
        """The regular panel: absent rows are zeros or have no target. If there can be none, the audit states why.

        With a hierarchy, sums are additional series; `own_panel` is without them.
        """
        dataset = self.upload
        with self.stage("panel"):
            try:
                self.own_panel, self.horizon = dataset.to_split(self.given.data, self.given.split, self.given.hierarchy)
                return with_sums(self.own_panel, self.given.hierarchy)
            except VurError:
                self._write_audit(dataset.raw_findings(self.given.data, self.given.features.country, self.language))
                raise

    @cached_property
    def findings(self) -> pd.DataFrame:
        """The audit: problems of the data as a table; also `audit.csv`."""
        dataset, _ = self.upload, self.panel
        with self.stage("audit"):
            rejects = dataset.upload.rejects if dataset.upload.rejected else None
            return self._write_audit(
                audit(
                    self.own_panel,
                    dataset.frame(self.given.data),
                    rejects,
                    self.language,
                    country=self.given.features.country,
                    notes=dataset.remarks(self.given.data),
                )
            )

    def _write_audit(self, findings: list) -> pd.DataFrame:
        table = audit_table(findings, self.language)
        table.to_csv(self.folder / "audit.csv", index=False)
        return table

    @cached_property
    def config(self) -> Config:
        """The configuration with all inferred values, as written to `pipeline.yaml` at the end."""
        dataset, panel = self.upload, self.panel
        data = replace(
            self.given.data,
            **dataset.chosen(self.given.data),
            fingerprint=dataset.fingerprint,
            freq=panel.freq.alias,
            roles=given_roles(panel),
            path=dataset.path,
        )
        split = replace(self.given.split, horizon=self.horizon)
        name = self.given.name or model_name(Path(dataset.source).stem.split(".")[0])
        return replace(self.given, name=name, data=data, split=split)

    @cached_property
    def plan(self) -> SplitPlan:
        """Stage 3: folds and the held-out test."""
        config, panel = self.config, self.panel
        with self.stage("split"):
            assert config.split.horizon is not None, "`config` holds the horizon that was inferred"
            check_reach(self.own_panel, config.split.horizon)
            check_future(self.own_panel, config.split.horizon)
            return plan_split(panel, config.split)

    @cached_property
    def preprocessor(self) -> Preprocessor:
        """Stage 4, fitted on all data for the final model; each fold fits its own on its training part."""
        panel = self.panel
        with self.stage("preprocess"):
            return fit_preprocess(panel, self.config.preprocess)

    @cached_property
    def features(self) -> FeatureSpec:
        """Stage 5: the feature specification with every "auto" resolved for this panel."""
        panel = self.panel
        with self.stage("features"):
            return resolve_features(self.config.features, panel)

    @cached_property
    def candidates(self) -> list[Candidate]:
        """Stage 6: the competing algorithms, cheapest first; of those in `only` where that is given."""
        panel = self.panel
        with self.stage("model"):
            found = candidates(panel, self.config.model)
            return found if self.only is None else [one for one in found if one.id in self.only]

    @cached_property
    def training(self) -> Training:
        """Stage 7: all candidates on the same folds, the winner fitted on all data and calibrated."""
        inputs = self._training_inputs()
        with self.stage("training") as entry:
            result, key, entry["cached"] = self.cache.stage(
                "training",
                inputs,
                lambda path: self._train(path, inputs),
                load_training,
                keep=lambda result: not result.interrupted,
            )
            entry["key"] = key
        result = result.in_language(self.language)
        for name, table in (
            ("leaderboard", result.leaderboard),
            ("by_step", result.by_step),
            ("test_scores", result.test_scores),
        ):
            table.to_csv(self.folder / f"{name}.csv", index=False)
        return result

    def _training_inputs(self) -> dict[str, Any]:
        config = self.config
        return {
            "data": self.upload.fingerprint,
            "config": config.hash(),
            "features": self.features.to_dict(),
            "candidates": [asdict(candidate) for candidate in self.candidates],
        }

    def _train(self, path: Path, inputs: dict[str, Any]) -> Training:
        config = self.config
        if settings().dask:
            os.environ["VUR_DASK"] = settings().dask  # read by the forecasters
        budgetless = {key: value for key, value in inputs.items() if key not in ("config", "candidates")}
        scope = [
            budgetless,
            replace(
                config, model=type(config.model)(), training=replace(config.training, time_budget=None, whole=False)
            ).hash(),
        ]
        result = train(
            self.panel,
            self.plan,
            self.candidates,
            preprocess=config.preprocess,
            features=self.features,
            model=config.model,
            levels=config.training.scored_levels,
            budget=config.training.time_budget,
            clock=monotonic,
            progress=lambda fraction, message="", **data: self.log.emit("training", fraction, message, **data),
            stop=self._should_stop,
            cache=FrameCache(json.dumps(scope, default=str), self.cache.enabled),
            seed=config.training.seed,
            workers=settings().worker_count,
            storage=folder("cache", "study", digest(scope, code_version())[:32]),
        )
        result = reconciled(
            result,
            self.own_panel,
            self.panel,
            self.plan,
            config.hierarchy,
            config.training.scored_levels,
            config.training.seed,
        )
        result.save(path)
        return result

    @cached_property
    def forecast(self) -> pd.DataFrame:
        """The forecast of the future steps: `unique_id, ds, forecast, lo-80, hi-80, …`, expected values.

        `forecast.csv` has the same, in whole numbers where `training.whole` asks for them.
        """
        training = self.training
        with self.stage("forecast"):
            frame = training.pipeline.predict(self.plan.horizon, self.panel.future, levels=self.config.training.levels)
            shown = whole_numbers(frame) if self.config.training.whole else frame
            to_zone(shown, self.panel.tz, self.panel.freq).to_csv(self.folder / "forecast.csv", index=False)
            return frame

    @cached_property
    def model(self) -> str:
        """Tag of the winner in the model store, saved with run id, fingerprint, metrics and a model card."""
        from vur.models.card import model_card, panel_head

        training, forecast, config = self.training, self.forecast, self.config
        name, target, date = config.name, config.data.target, config.data.date
        assert name is not None and target is not None and date is not None, "`config` holds what was inferred"
        with self.stage("save"):
            path = self.state / "model"
            training.pipeline.save(path)
            metadata = self._model_metadata()
            write_text(path / "panel.json", json.dumps(panel_head(self.panel), default=str))
            write_text(
                path / "README.md",
                model_card(
                    name,
                    self.panel,
                    self.plan,
                    training,
                    forecast,
                    metadata,
                    target=target,
                    date=date,
                    seed=config.training.seed,
                ),
            )
            tag = save_model(
                path,
                name,
                self.id,
                metadata,
                {"run": self.id, "algorithm": training.winner, "fingerprint": self.upload.fingerprint[:16]},
            )
            self._write_record(model=tag)
            return tag

    def _model_metadata(self) -> dict[str, Any]:
        best = self.training.row
        names = (*shown_metrics("model"), "skill", "wql")
        metrics = {name: round(float(best[name]), 6) for name in names if pd.notna(best.get(name))}
        return {
            "run": self.id,
            "fingerprint": self.upload.fingerprint,
            "algorithm": self.training.winner,
            "horizon": self.plan.horizon,
            "freq": self.panel.freq.alias,
            "series": len(self.panel.ids),
            "levels": list(self.config.training.levels),
            "point": self.training.pipeline.point,
            "whole": self.config.training.whole,
            "config_hash": self.config.hash(),
            "vur": __version__,
            "versions": library_versions(),
        } | metrics

    @cached_property
    def report(self) -> Path:
        """The report page for readers who do not open a notebook: `report.html`."""
        from vur.report import render_report
        from vur.report.training import build_context, write_anomalies

        model, findings = self.model, self.findings
        with self.stage("report"):
            context = build_context(
                run=self._report_head(),
                panel=self.panel,
                training=self.training,
                plan=self.plan,
                forecast=self.forecast,
                language=self.language,
                upload=self.upload.upload.to_dict(),
                findings=findings,
                preprocess=self.config.preprocess,
                features=self.features,
                parameters=self.config.model.parameters,
                whole=self.config.training.whole,
                model={"name": model.partition(":")[0], "tag": model},
            )
            write_anomalies(context.extras.get("anomalies"), self.folder / "anomalies.csv")
            return render_report(context, self.folder / "report.html", self.language)

    def _report_head(self) -> dict[str, Any]:
        return {
            "run_id": self.id,
            "name": self.config.name,
            "source": self.upload.source,
            "created": self.created,
            "status": "finished",
            "seed": self.config.training.seed,
            "fingerprint": self.upload.fingerprint,
            "config_hash": self.config.hash(),
            "seconds": sum(entry["seconds"] for entry in self.record["stages"].values()),
            "versions": library_versions(),
            "notebook": NOTEBOOK,
            "interrupted": self.training.interrupted,
        }

    def finish(self) -> dict[str, Any]:
        """Write the final configuration and close the record; the last call of the notebook."""
        write_text(self.folder / CONFIG, self.config.to_yaml())
        seconds = round(sum(entry["seconds"] for entry in self.record["stages"].values()), 3)
        self._write_record(
            status="stopped" if self.training.interrupted else "finished",
            name=self.config.name,
            config_hash=self.config.hash(),
            seed=self.config.training.seed,
            winner=self.training.winner,
            metric=self.training.metric,
            metric_note=getattr(self.training.metric_note, "parts", ()),
            reference=self.training.reference,
            verdict=self.training.verdict,
            headline=self.training.headline,
            choice=self.training.choice and self.training.choice.to_dict(),
            size_ratio=self.training.size_ratio,
            folds=len(self.plan.folds),
            n_series=len(self.panel.ids),
            sums=len(self.panel.ids) - len(self.own_panel.ids),
            completed=self.training.completed,
            remarks=[note.say(self.language) for note in self.training.notes],
            horizon=self.plan.horizon,
            point=self.training.pipeline.point,
            whole=self.config.training.whole,
            seconds=seconds,
            vur=__version__,
            python=platform.python_version(),
            versions=library_versions(),
            expected_hash=run_hash(self.upload.fingerprint, self.given.hash()),
        )
        return self.record

    def describe_series(self) -> pd.DataFrame:
        """Stage 2: observations, span, missing values and moments of each series."""
        from vur.stages.preview import describe_series

        panel = self.panel
        with self.stage("preview"):
            return describe_series(panel)

    def describe_plan(self) -> pd.DataFrame:
        """The folds as a table."""
        from vur.stages.split import split_table

        return split_table(self.panel, self.plan)

    def describe_preprocess(self) -> pd.DataFrame:
        """Effect of stage 4 on each series: values observed, filled, flagged as outliers, trimmed."""
        return self.preprocessor.report

    def describe_candidates(self) -> pd.DataFrame:
        """The candidates with family, scope and parameters."""
        from vur.forecasters.registry import algorithm

        rows = [(algorithm(c.algorithm), c) for c in self.candidates]
        return pd.DataFrame(
            [
                {"candidate": c.id, "name": a.name, "family": a.family, "scope": a.scope, "parameters": c.parameters}
                for a, c in rows
            ]
        )

    def plot_history(self) -> "Image":
        """The first series as a static picture."""
        from vur.report.pictures import draw_history

        return draw_history(self.panel.frame)

    def plot_forecast(self) -> "Image":
        """The end of the history and the forecast with its intervals, as a static picture."""
        from vur.report.pictures import draw_forecast

        return draw_forecast(self.panel.frame, self.forecast, self.plan.horizon)

    def __repr__(self) -> str:
        return f"Run({self.id}, source={self.given.data.path and Path(self.given.data.path).name!r})"

    def all(self) -> dict[str, Any]:
        """Run every stage in order, without a notebook."""
        for stage in (
            "upload",
            "findings",
            "plan",
            "preprocessor",
            "features",
            "candidates",
            "training",
            "forecast",
            "model",
            "report",
        ):
            getattr(self, stage)
        return self.finish()


def given_roles(panel: Panel) -> dict[str, str]:
    """The roles as they were read: with that of columns that were set aside because they hold the answer."""
    copies = panel.notes.get("copies")
    out = [] if copies is None else copies.loc[copies["left_out"], "column"].unique()
    return panel.own_roles | {panel.own(str(name)): "known_future" for name in out}


def open_run(config: str | Path = CONFIG, *, fresh: bool = False) -> Run:
    """The run whose folder contains this `pipeline.yaml`: the first call of the training notebook."""

    die_with_parent()
    return Run(Path(config).absolute().parent, fresh=fresh)
