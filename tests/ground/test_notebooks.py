"""Every notebook under nbs/ runs from top to bottom, and vur/ is what the notebooks export."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from samples import ROOT

from vur.settings import settings

GENERATED = (
    "_modidx.py",
    "panel.py",
    "frequency.py",
    "columns.py",
    "demand.py",
    "absence.py",
    "opening.py",
    "state.py",
    "stages",
    "scoring",
    "hierarchy",
    "forecasters",
    "tabular",
    "explain",
    "ranking",
)


def notebooks() -> list[Path]:
    """Notebooks that stand alone; those of nbs/runs are executed with parameters by the tests of runs."""
    found = sorted(path.relative_to(ROOT) for path in (ROOT / "nbs").rglob("*.ipynb"))
    return [path for path in found if ".ipynb_checkpoints" not in path.parts and "runs" not in path.parts]


@pytest.mark.slow
@pytest.mark.parametrize("path", notebooks(), ids=str)
def test_notebook_runs(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from nbdev.test import test_nb

    from vur.forecasters.registry import REGISTRY, algorithms

    known = algorithms()
    monkeypatch.chdir(ROOT)
    for name, value in dict(os.environ).items():
        monkeypatch.setenv(name, value)  # so that what a notebook sets ends with its test
    monkeypatch.setenv("VUR_REPORTS", str(tmp_path))
    passed, _seconds = test_nb(ROOT / path, basepath=ROOT)
    settings.cache_clear()
    for name in REGISTRY.keys() - known.keys():
        del REGISTRY[name]  # examples that a notebook registered
    assert passed, f"a cell of {path} fails: open it and run it"


def files_of(folder: Path) -> dict[str, str]:
    """Text of every generated module below `folder`, by relative path."""
    paths = [
        p for name in GENERATED for p in ([folder / name] if name.endswith(".py") else (folder / name).rglob("*.py"))
    ]
    return {str(p.relative_to(folder)): p.read_text(encoding="utf-8") for p in paths if p.is_file()}


def test_package_is_what_the_notebooks_export(tmp_path: Path) -> None:
    """Deletes the generated modules in a copy, exports, and compares: stale or hand-edited modules show."""
    copy = tmp_path / "copy"
    for name in ("nbs", "vur"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    for name in files_of(copy / "vur"):
        if not name.endswith("__init__.py"):
            (copy / "vur" / name).unlink()
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    command = [str(Path(sys.executable).with_name("nbdev-export"))]
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert files_of(copy / "vur") == files_of(ROOT / "vur")
    face = Path("vur") / "__init__.py"
    assert (copy / face).read_bytes() == (ROOT / face).read_bytes(), "nbdev wrote its list of modules into it"


def test_notebooks_show_no_warning_or_error() -> None:
    for path in notebooks():
        cells = json.loads((ROOT / path).read_text(encoding="utf-8"))["cells"]
        for number, cell in enumerate(cells):
            outputs = cell.get("outputs", [])
            warned = [one for one in outputs if one.get("name") == "stderr" or one["output_type"] == "error"]
            assert not warned, (
                f"{path} cell {number} shows a warning or an error, with paths of the machine that ran it"
            )
