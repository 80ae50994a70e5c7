"""Models for tests: trained once per session, copied into each test's home and registered as by a training job."""

import atexit
import hashlib
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from builders import daily_sales, seasonal
from samples import DATA

import vur
from vur.models.update import update_model
from vur.predictions import open_models
from vur.runs.config import default_config, replace_sections
from vur.settings import settings
from vur.store import database
from vur.store.catalog import Model
from vur.store.models.champions import promote
from vur.store.models.models import CHECKSUMS, find_model


def shop(days: int = 120, coming: int = 14) -> pd.DataFrame:
    """Three daily shops of different lengths with a known-future price."""
    rng, parts = np.random.default_rng(7), []
    for k, name in enumerate(("norte", "sul", "leste")):
        start = pd.Timestamp("2024-01-01") + pd.Timedelta(days=20 * k)
        level = {name: 60.0 + 20 * k}
        parts.append(daily_sales(level, days - 20 * k, coming, start=start, week=5, price=-4, noise=2.0, seed=rng))
    names = {"unique_id": "loja", "ds": "dia", "y": "vendas", "price": "preco"}
    return pd.concat(parts, ignore_index=True).round({"y": 3}).rename(columns=names)


def stores() -> pd.DataFrame:
    """The same shops without the price and the future days."""
    return shop(coming=0).drop(columns="preco")


def hours() -> pd.DataFrame:
    """Three weeks of hourly data in the local time of a place three hours behind UTC."""
    times = pd.date_range("2024-01-01", periods=24 * 21, freq="h")
    return pd.DataFrame({"hora": times, "carga": seasonal(len(times), 24, swing=10, noise=1, seed=3).round(3)})


def train(out: Path) -> dict[str, vur.RunResult]:
    """One run per model that tests use."""

    def only(*names: str) -> vur.runs.config.Config:
        return default_config(model={"algorithms": list(names), "ensemble": False}, split={"folds": 2})

    columns = {"date": "dia", "target": "vendas", "series": "loja", "horizon": 7}
    return {
        "equipment": vur.run(
            DATA / "electrical_equipment.csv", config=only("naive", "ets"), name="equipment", notebook=False, out=out
        ),
        "stores": vur.run(stores(), config=only("naive", "drift"), name="stores", notebook=False, out=out, **columns),
        "hours": vur.run(
            hours(),
            config=replace_sections(only("drift"), data={"tz": "America/Sao_Paulo"}),
            name="hours",
            notebook=False,
            out=out,
            date="hora",
            target="carga",
            horizon=4,
        ),
        "shop": vur.run(
            shop(),
            config=only("ridge"),
            name="shop",
            notebook=False,
            out=out,
            roles={"preco": "known_future"},
            **columns,
        ),
    }


@cache
def trained_once() -> tuple[Path, dict[str, vur.RunResult]]:
    """A data home with the models and their runs, once per session for all modules."""
    folder, before = Path(tempfile.mkdtemp(prefix="vur-trained-")), os.environ.get("VUR_HOME")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["VUR_HOME"] = str(folder / "home")
    settings.cache_clear()
    try:
        return folder / "home", train(folder / "reports")
    finally:
        os.environ.pop("VUR_HOME") if before is None else os.environ.update(VUR_HOME=before)
        settings.cache_clear()


@pytest.fixture
def runs(catalog: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, vur.RunResult]:
    """The trained models in the test's home; none of them is open yet."""
    source, runs = trained_once()
    monkeypatch.setattr(open_models, "_models", open_models.LruCache(open_models.MODELS))
    for name in ("bentoml", "datasets"):
        shutil.copytree(source / name, catalog / name, dirs_exist_ok=True)
    return runs


def checksum(tag: str) -> str:
    """The catalog's fields of a model's files."""
    return hashlib.sha256((Path(find_model(tag).path) / CHECKSUMS).read_bytes()).hexdigest()


def later_version(run: vur.RunResult) -> str:
    """Tag of the model of `run` advanced by one month, with different forecasts."""
    data = pd.read_csv(DATA / "electrical_equipment.csv")
    return update_model(
        run.model_tag, pd.concat([data, pd.DataFrame({"month": ["2016-06-01"], "turnover": [140.0]})])
    ).tag


def register(
    owner_id: str, run: vur.RunResult, family: str | None = None, champion: bool = True, tag: str | None = None
) -> Model:
    """The row of a trained model, by default the champion of its family; `tag` is that of a later version."""
    board = run.leaderboard.iloc[0]
    with database.writing() as session:
        tag = tag or run.model_tag
        model = Model(
            owner_id=owner_id,
            name=run.config.name,
            algorithm=run.record["winner"],
            status="trained",
            family=family or run.config.name,
            tag=tag,
            checksum=checksum(tag),
            run_id=run.id,
            config=run.config.to_dict(),
            dataset_number=None,
            metrics={"mae": float(board["mae"]), "smape": float(board["smape"])},
            facts={"freq": run.config.data.freq},
        )
        session.add(model)
        session.flush()
        if champion:
            promote(session, model, owner_id)
    return model
