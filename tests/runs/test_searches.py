"""Search spaces of a pipeline.yaml: used as in a request to the service, and what is not used is said."""

import pytest
import yaml
from samples import DATA

from vur.cli import main


def run(tmp_path, monkeypatch, space: dict, algorithms: list[str]) -> int:
    monkeypatch.setenv("VUR_HOME", str(tmp_path / "home"))
    document = {
        "model": {
            "algorithms": algorithms,
            "ensemble": False,
            "optimize": {"iterations": 2, "method": "random", "search_space": space},
        },
        "split": {"horizon": 6, "folds": 1},
    }
    config = tmp_path / "pipeline.yaml"
    config.write_text(yaml.safe_dump(document), encoding="utf-8")
    options = ["--config", str(config), "--out", str(tmp_path / "out"), "--no-notebook", "--quiet"]
    return main(["run", str(DATA / "electrical_equipment.csv"), *options])


def test_what_cannot_be_searched_is_said_in_the_terminal_and_in_the_report(tmp_path, monkeypatch, capsys):
    space = {"ridge": {"alpha": {"min": 1, "max": 9}, "steps": {"min": 1, "max": 9_000}, "alhpa": {"choices": [1]}}}
    assert run(tmp_path, monkeypatch, space, ["ridge"]) == 0
    told = capsys.readouterr().out
    report = next((tmp_path / "out").glob("*/report.html")).read_text(encoding="utf-8")
    for text in (told, report):
        assert "alhpa (alpha?)" in text and "steps is searched from 1 to 1000 instead of 1 to 9000" in text


def test_a_space_of_which_nothing_can_be_used_ends_the_command_with_all_its_parameters(tmp_path, monkeypatch, capsys):
    space = {"ridge": {"leaves": {"choices": [7]}, "rounds": {"choices": [9]}}}
    assert run(tmp_path, monkeypatch, space, ["ridge"]) != 0
    captured = capsys.readouterr()
    assert "leaves, rounds" in captured.out + captured.err and "alpha" in captured.out + captured.err


@pytest.mark.parametrize("name", ["ridge", "theta"])
def test_the_space_of_auto_serves_those_that_have_its_parameters(tmp_path, monkeypatch, capsys, name):
    assert run(tmp_path, monkeypatch, {"auto": {"alpha": {"choices": [0.5, 5.0]}}}, [name]) == 0
    report = next((tmp_path / "out").glob("*/report.html")).read_text(encoding="utf-8")
    assert "alpha (ridge)" in capsys.readouterr().out
    assert ("alpha = 0.5" in report) == (name == "ridge")
