"""Retention: what is deleted after the days of the settings, and what never is."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from vur.settings import settings
from vur.store import database
from vur.store.catalog import Forecast, ForecastPoint, Job, Model, Run, now
from vur.store.operations import retention


@pytest.fixture
def aged(catalog: Path, ana) -> Path:
    """Forecasts, batches and trainings of 40 days ago and of today; one of the old trainings lost its model."""
    with database.writing() as session:
        model = Model(owner_id=ana.id, name="loja", algorithm="naive", family="f", tag="loja:1")
        session.add(model)
        session.flush()
        for age in (40, 0):
            moment = now() - timedelta(days=age)
            for number in range(retention.AT_ONCE + 5 if age else 2):
                head = Forecast(
                    owner_id=ana.id, kind="request", tag="loja:1", horizon=1, n_series=1, freq="D", created_at=moment
                )
                session.add(head)
                session.flush()
                session.add(
                    ForecastPoint(
                        forecast_id=head.id,
                        owner_id=ana.id,
                        tag="loja:1",
                        unique_id="a",
                        target_at=moment,
                        horizon=1,
                        forecast=float(number),
                        quantiles={},
                    )
                )
            for name, kind, state in (
                ("batch", "batch", "succeeded"),
                ("kept", "train", "succeeded"),
                ("orphan", "train", "succeeded"),
                ("busy", "batch", "running"),
            ):
                id = f"{name}-{age}"
                session.add(
                    Job(
                        id=id,
                        owner_id=ana.id,
                        kind=kind,
                        state=state,
                        ended_at=None if state == "running" else moment,
                        artifact=f"results/{id}/1/r",
                    )
                )
                if kind == "train":
                    session.add(
                        Run(
                            run_id="r",
                            owner_id=ana.id,
                            status="finished",
                            job_id=id,
                            folder=f"results/{id}/1/r",
                            model_id=model.id if name == "kept" else None,
                        )
                    )
                (catalog / "results" / id).mkdir(parents=True)
                (catalog / "results" / id / "forecast.csv").write_text("x")
    return catalog


def left(home: Path) -> tuple[int, int, set[str], set[str]]:
    with database.reading() as session:
        counts = [len(list(session.scalars(select(table.id)))) for table in (Forecast, ForecastPoint)]
        return *counts, {path.name for path in (home / "results").iterdir()}, set(session.scalars(select(Run.job_id)))


def test_by_default_nothing_is_deleted(aged):
    before = left(aged)
    assert retention.sweep() == (0, 0, 0, 0) and left(aged) == before


def test_what_is_older_than_the_settings_allow_is_deleted(aged, monkeypatch):
    monkeypatch.setenv("VUR_KEEP_FORECASTS_DAYS", "30")
    monkeypatch.setenv("VUR_KEEP_RESULTS_DAYS", "30")
    settings.cache_clear()
    assert retention.sweep() == (retention.AT_ONCE + 5, 2, 0, 0)
    kept = {"kept-40", "busy-40", "batch-0", "kept-0", "orphan-0", "busy-0"}
    assert left(aged) == (2, 2, kept, {"kept-40", "kept-0", "orphan-0"}), "the run of a model that is there stays"
    assert retention.sweep() == (0, 0, 0, 0)


def test_a_failed_deletion_is_tried_again(aged, monkeypatch):
    monkeypatch.setenv("VUR_KEEP_RESULTS_DAYS", "30")
    settings.cache_clear()
    before = left(aged)

    def refuse(path: Path) -> None:
        raise PermissionError(13, "denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(retention.shutil, "rmtree", refuse)
        with pytest.raises(PermissionError):
            retention.sweep()
    assert left(aged) == before, "no row is gone whose files are there"
    assert retention.sweep() == (0, 2, 0, 0)
