"""A saved model after an upgrade of its libraries: it forecasts as before, or the error names the versions."""

import json
from pathlib import Path

import pandas as pd
import pytest
from builders import panel_of, seasonal

from vur.errors import VurError
from vur.stages.model import Candidate
from vur.stages.model.pipeline import Pipeline, load_pipeline
from vur.state import installed_versions

LIBRARY = {
    "theta": "statsforecast",
    "ridge": "scikit-learn",
    "lightgbm": "lightgbm",
    "random_forest": "scikit-learn",
    "xgboost": next(iter(installed_versions(["xgboost", "xgboost-cpu"]))),
    "prophet": "prophet",
    "sarimax": "statsmodels",
}


def saved(id: str, folder: Path) -> tuple[Pipeline, pd.DataFrame]:
    panel = panel_of({"loja": seasonal(120, 7, level=50, swing=10, noise=1)}, start="2024-01-01")
    pipeline = Pipeline(Candidate(id, id)).fit(panel)
    pipeline.save(folder)
    return pipeline, pipeline.predict(5)


def pretend_older(folder: Path, library: str) -> str:
    """As if the model had been saved with an older `library`; its present version."""
    path = folder / "forecaster" / "forecaster.json"
    head = json.loads(path.read_text(encoding="utf-8"))
    now = head["versions"][library]
    head["versions"][library] = "0.0.9"
    path.write_text(json.dumps(head), encoding="utf-8")
    return now


@pytest.mark.parametrize(("id", "library"), LIBRARY.items())
def test_a_model_of_an_older_library_opens_and_forecasts_the_same(id, library, tmp_path):
    pipeline, forecast = saved(id, tmp_path)
    assert pretend_older(tmp_path, library) == installed_versions([library])[library]
    pd.testing.assert_frame_equal(load_pipeline(tmp_path).predict(5), forecast)


@pytest.mark.parametrize("language", ["en", "pt-BR"])
@pytest.mark.parametrize(("id", "library"), LIBRARY.items())
def test_a_forecast_that_changed_with_a_library_is_refused_with_both_versions(id, library, language, tmp_path):
    saved(id, tmp_path)
    now = pretend_older(tmp_path, library)
    probe = pd.read_parquet(tmp_path / "probe.parquet")
    probe.assign(forecast=probe["forecast"] * 1.01).to_parquet(tmp_path / "probe.parquet", index=False)
    with pytest.raises(VurError) as caught:
        load_pipeline(tmp_path)
    assert f"{library} 0.0.9 → {now}" in caught.value.cause(language) and "loja" in caught.value.cause(language)
    assert "vur reproduce" in caught.value.remedy(language)


def test_a_model_whose_file_a_newer_library_cannot_read_names_the_versions(tmp_path):
    saved("lightgbm", tmp_path)
    now = pretend_older(tmp_path, "lightgbm")
    for path in (tmp_path / "forecaster").rglob("*"):
        if path.is_file() and path.name != "forecaster.json":
            path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(VurError) as caught:
        load_pipeline(tmp_path)
    assert f"lightgbm 0.0.9 → {now}" in caught.value.cause("en") and "vur reproduce" in caught.value.remedy("en")


def test_the_same_libraries_are_not_asked_again(tmp_path):
    """Without a change of version the probe is not computed: a changed probe alone stops nothing."""
    _, forecast = saved("theta", tmp_path)
    probe = pd.read_parquet(tmp_path / "probe.parquet")
    probe.assign(forecast=0.0).to_parquet(tmp_path / "probe.parquet", index=False)
    pd.testing.assert_frame_equal(load_pipeline(tmp_path).predict(5), forecast)
