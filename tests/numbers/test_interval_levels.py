"""Interval levels with decimals, such as 97.5 and 99.9, on every door."""

import json

import numpy as np
import pytest
from builders import panel_of, seasonal

import vur
from vur.cli import main
from vur.commands._arguments import read_levels
from vur.errors import VurError
from vur.report.plots import levels_of
from vur.runs.config import Config, TrainingSpec, default_config
from vur.scoring.counts import count_units
from vur.serving.schemas.models import Configure
from vur.settings import read_settings
from vur.wording import level_text

LEVELS = (80, 97.5, 99.9)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run in Portuguese whose levels have decimals."""
    frame = panel_of(seasonal(96, noise=3.0, seed=4), "MS").frame
    folder = tmp_path_factory.mktemp("levels")
    return vur.run(
        frame,
        horizon=6,
        algorithms="seasonal_naive,theta",
        levels=LEVELS,
        language="pt-BR",
        out=folder,
        notebook=False,
        name="levels",
    )


def test_a_run_gives_each_level_its_columns(finished):
    forecast = finished.forecast
    assert levels_of(forecast) == [99.9, 97.5, 80]
    ordered = ["lo-99.9", "lo-97.5", "lo-80", "forecast", "hi-80", "hi-97.5", "hi-99.9"]
    assert (forecast[ordered].diff(axis=1).iloc[:, 1:] > 0).all(axis=None)
    assert {"coverage-97.5", "width-99.9", "winkler-99.9", "wql"} <= set(finished.leaderboard.columns)
    assert finished.config.training.levels == LEVELS


def test_the_report_writes_them_in_the_reader_s_language(finished):
    page = (finished.folder / "report.html").read_text(encoding="utf-8")
    assert "97,5%" in page and "99,9%" in page and "de 97.5%" not in page
    winner = finished.leaderboard.query("chosen").iloc[0]
    assert f"Escore de Winkler {winner['winkler-97.5']:.2f}".replace(".", ",") in page
    assert "WQL" in page and f"{winner['wql']:.1f}%".replace(".", ",") in page


def test_a_saved_model_keeps_its_levels_and_takes_others(finished):
    assert levels_of(vur.forecast("levels")) == [99.9, 97.5, 80]
    assert levels_of(vur.forecast("levels", levels=(99.5, 50))) == [99.5, 50]


def test_the_command_line_takes_them(finished, tmp_path, capsys):
    file = tmp_path / "turnover.csv"
    panel_of(seasonal(60, noise=2.0), "MS").frame[["ds", "y"]].to_csv(file, index=False)
    asked = ["run", file, "--horizon", 3, "--algorithms", "naive", "--levels", "99.9,50", "--no-notebook", "--quiet"]
    assert main([*map(str, asked), "--out", str(tmp_path / "out")]) in (0, None)
    (written,) = (tmp_path / "out").glob("*/forecast.csv")
    assert written.read_text().startswith("unique_id,ds,forecast,lo-50,hi-50,lo-99.9,hi-99.9")


def test_every_door_reads_the_same_levels(tmp_path):
    file = tmp_path / "settings.ini"
    file.write_text("[vur]\nlevels = 99.9, 80, 80.0\n", encoding="utf-8")
    assert read_settings(file).levels == (80, 99.9)
    assert read_levels("99.9,80") == [80, 99.9]
    assert Configure(dataset_id="d", algorithm="theta", levels=[80, 99.9]).levels == [80, 99.9]
    yaml = tmp_path / "pipeline.yaml"
    yaml.write_text("training:\n  levels: [99.9, 80, 80.0]\n", encoding="utf-8")
    assert Config.from_yaml(yaml).training.levels == (80, 99.9)
    assert level_text(97.5, "en") == "97.5" and level_text(97.5, "pt-BR") == "97,5" and level_text(80, "pt-BR") == "80"


def test_whole_levels_change_no_hash_and_stay_whole():
    assert json.dumps(TrainingSpec(levels=(95.0, 80)).levels) == "[80, 95]"
    assert default_config(training={"levels": [80.0, 95.0]}).hash() == default_config().hash()


@pytest.mark.parametrize("levels", [(0,), (100,), (-5, 80), (np.nan,), (np.inf,)])
def test_impossible_levels_are_refused(levels):
    with pytest.raises(VurError, match="training.levels"):
        TrainingSpec(levels=levels)
    with pytest.raises(VurError, match="--levels"):
        read_levels(",".join(map(str, levels)))


@pytest.mark.parametrize("value", [1.0, 7.0, 700.0])
def test_a_constant_whole_number_is_no_count_of_chance_events(value: float) -> None:
    assert count_units(panel_of({"a": np.full(48, value)}, "MS").with_limits()) == {}
    assert count_units(panel_of(np.random.default_rng(0).poisson(3.0, 48), "MS").with_limits()) == {"a": 1.0}
