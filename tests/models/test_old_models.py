"""A model that VUR 0.1.0 saved opens and forecasts as it did then, with intervals by today's rule for quantiles."""

import tarfile
from pathlib import Path

import pandas as pd
import pytest
from samples import DATA

import vur
from vur.settings import settings

HERE = Path(__file__).parent
TAG = "turnover:6522341a26bf-1"


@pytest.fixture
def old_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data home whose model store was written by VUR 0.1.0, before the package's modules were moved."""
    with tarfile.open(HERE / "model_0.1.0.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.setenv("VUR_HOME", str(tmp_path))
    settings.cache_clear()
    yield tmp_path
    settings.cache_clear()


@pytest.mark.parametrize("name", ["turnover", TAG])
def test_a_model_of_version_0_1_0_forecasts_what_it_forecast_then(old_home: Path, name: str) -> None:
    then = pd.read_csv(HERE / "model_0.1.0_forecast.csv", parse_dates=["ds"])
    now = vur.forecast(name, 12)
    names = ["unique_id", "ds", "forecast"]
    pd.testing.assert_frame_equal(now[names], then[names], rtol=1e-9, check_dtype=False)
    ends = then.columns.difference(names, sort=False)
    pd.testing.assert_frame_equal(now[ends], then[ends], atol=0.02 * then["forecast"].mean(), check_dtype=False)


def test_it_can_be_moved_to_newer_observations(old_home: Path, tmp_path: Path) -> None:
    then = pd.read_csv(HERE / "model_0.1.0_forecast.csv", parse_dates=["ds"])
    history = pd.read_csv(DATA / "electrical_equipment.csv", parse_dates=["month"])
    newer = pd.DataFrame({"month": then["ds"].head(3), "turnover": then["forecast"].head(3)})
    vur.update_model("turnover", pd.concat([history, newer], ignore_index=True))
    assert vur.forecast("turnover", 2)["ds"].tolist() == then["ds"].iloc[3:5].tolist()
