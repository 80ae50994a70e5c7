"""Actual values from users and datasets, scored against the ledger; a model that drifts raises an alert."""

import logging
import threading
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
from sqlalchemy import select
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.models.check import observed_rows
from vur.models.saved import Saved
from vur.predictions.open_models import open_served
from vur.store import child_process
from vur.store.accounts.access import Principal
from vur.store.catalog import Dataset, DatasetVersion, Model, now
from vur.store.database import reading, writing
from vur.store.events import raise_alert
from vur.store.forecasts.scoring import Scored, accuracy, drift, score, scored_points
from vur.store.models import thresholds
from vur.store.models.champions import find_served

JUDGED = timedelta(days=30)  # the forecasts on which drift is judged
PREPARED = "preprocess"  # the kind of versions with changed values, which are not observations
log = logging.getLogger("vur.predictions")


def score_table(
    saved: Saved, models: Iterable[Model], table: pd.DataFrame, *, owner_id: str | None = None, again: bool = False
) -> Scored:
    """Score the rows of `table`, with the column names of the training data, for all `models`.

    `VurError` for a missing column or an unreadable value.
    """
    rows = observed_rows(saved.pipeline, saved.head, table)
    return score(
        {model.id: model.tag for model in models if model.tag is not None},
        rows[["unique_id", "ds", "y"]],
        saved.pipeline.head.freq.alias,
        owner_id=owner_id,
        again=again,
        past=lambda: observed_before(saved),
    )


def observed_before(saved: Saved) -> pd.DataFrame | None:
    """The values that a model was trained on (`unique_id, ds, y`); None if they no longer exist."""
    try:
        return saved.history().frame[["unique_id", "ds", "y"]]
    except VurError as error:
        log.warning("model %s: forecasts are scored without the naive forecast: %s", saved.tag, error)
        return None


def family_of(session: Session, model: Model) -> list[Model]:
    """The trained models of the same family as `model`, including it: actual values apply to all of them."""
    return list(
        session.scalars(
            select(Model).where(Model.owner_id == model.owner_id, Model.family == model.family, Model.tag.is_not(None))
        )
    )


def score_in_background(dataset_id: str) -> None:
    """Call `score_dataset` in a child process, which a thread waits for, when a dataset has got new rows."""
    threading.Thread(target=_score_in_child, args=(dataset_id,), daemon=True, name="score-dataset").start()


def _score_in_child(dataset_id: str) -> None:
    try:
        with reading() as session:
            trained = select(Model.id).where(Model.dataset_id == dataset_id, Model.tag.is_not(None)).limit(1)
            if session.scalar(trained) is None:
                return
        child_process.call("vur.predictions.actuals:score_dataset", {"dataset_id": dataset_id}, in_child=True)
    except Exception:
        log.exception("the forecasts could not be scored with the new rows of dataset %s", dataset_id)


def score_dataset(dataset_id: str) -> Scored:
    """Score the current data of a dataset against all forecasts of models that were trained on it."""
    with reading() as session:
        dataset = session.get(Dataset, dataset_id)
        path = None if dataset is None else observed_path(session, dataset)
        trained = (
            select(Model)
            .where(Model.dataset_id == dataset_id, Model.tag.is_not(None))
            .order_by(Model.trained_at.desc())
        )
        models = [] if path is None else list(session.scalars(trained))
    points = matched = unmatched = 0
    done: set[tuple[str, str]] = set()
    table = pd.read_parquet(path) if models else None
    for model in models:
        if (model.owner_id, model.family) in done:
            continue
        done.add((model.owner_id, model.family))
        with reading() as session:
            served, family = find_served(session, Principal(model.owner_id), model.id), family_of(session, model)
        found = score_table(open_served(served), family, table)
        points, matched, unmatched = points + found.points, matched + found.matched, unmatched + found.unmatched
        check_drift([one.id for one in family])
    return Scored(points, matched, unmatched)


def observed_path(session: Session, dataset: Dataset) -> Path:
    """The table of the newest version with observed values; `VurError` datasets.gone if its file is missing."""
    from vur.store.data.datasets import parquet_path

    observed = select(DatasetVersion.number).where(
        DatasetVersion.dataset_id == dataset.id, DatasetVersion.kind != PREPARED
    )
    numbers = observed.order_by(DatasetVersion.number.desc())
    return parquet_path(session, dataset, session.scalar(numbers.limit(1)))


def _alert(live: dict[str, Any], found: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The alert of a drift and the values of its text: of the error where it has grown, else of the coverage."""
    if "error" in found["reasons"]:
        return "model_drift", {"ratio": found["ratio"]}
    held = {level: value for level, value in live["coverage"].items() if value is not None}
    worst = min(held, key=lambda level: held[level] - float(level))
    return "model_coverage", {"level": worst, "held": round(held[worst], 1), "points": live["n"]}


def check_drift(model_ids: list[str]) -> list[str]:
    """Raise an alert for each model whose recent forecasts are worse than its backtest; returns their ids.

    The thresholds are those that its owner set.
    """
    drifting = []
    for id in model_ids:
        with reading() as session:
            model = session.get(Model, id)
            if model is None:
                continue
            limits = thresholds.of_model(session, model)
            points = scored_points(session, Principal(model.owner_id), model_ids=[id], since=now() - JUDGED)
        if points.empty:
            continue
        live = accuracy(points)
        found = drift(live, model.metrics, limits["error"], limits["coverage"])
        if found["drifting"]:
            drifting.append(id)
            kind, values = _alert(live, found)
            with writing() as session:
                raise_alert(session, model.owner_id, kind, about=("model", id), name=model.name, **values)
    return drifting
