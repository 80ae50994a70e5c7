"""Where a command cannot write: words that name the path, never a traceback."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import vur
from vur.cli import main
from vur.errors import VurError


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The tag of a small model."""
    rng = np.random.default_rng(0)
    series = pd.Series(
        50 + rng.normal(0, 2, 60), index=pd.date_range("2019-01-01", periods=60, freq="MS", name="month"), name="litres"
    )
    result = vur.run(series, horizon=3, algorithms="theta", notebook=False, out=tmp_path_factory.mktemp("reports"))
    assert result.config.data.target == "litres" and len(result.forecast) == 3
    return result.model_tag


@pytest.mark.parametrize("command", [["forecast", "--out"], ["future", "--out"]])
def test_an_output_that_cannot_be_written_is_named(
    model: str, tmp_path: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    name, *options = command
    code = main([name, model, *options, str(tmp_path / "none" / "f.csv")])
    said = capsys.readouterr().err
    assert code == 1 and said.count("\n") == 3
    assert str(tmp_path / "none" / "f.csv") in said


def test_reports_go_only_where_one_may_write(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    frame = pd.DataFrame({"ds": pd.date_range("2019-01-01", periods=40), "y": np.arange(40.0)})
    with pytest.raises(VurError, match="file") as caught:
        vur.run(frame, horizon=3, algorithms="theta", notebook=False, out=tmp_path / "file" / "reports")
    assert caught.value.code == "runs.output" and "--out" in caught.value.remedy("en")


def test_a_folder_and_a_list_are_no_data(tmp_path: Path) -> None:
    with pytest.raises(VurError, match="is a folder"):
        vur.run(tmp_path, notebook=False)
    with pytest.raises(VurError, match="cannot be given as list"):
        vur.run([1, 2, 3], notebook=False)  # type: ignore[arg-type]
