"""What is installed: the wheel, the light installation without extras, and what is said where a library is missing."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Callable, Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pandas as pd
import pytest
from builders import panel_of, seasonal
from samples import DATA, ROOT

from vur import extras
from vur.cli import main
from vur.errors import VurError
from vur.extras import EXTRAS, OWNERS, extra_of, missing, require
from vur.forecasters.base import create
from vur.panel import Panel
from vur.runs.api import run
from vur.stages.model import Candidate, ModelSpec, auto_algorithms, candidates
from vur.stages.split import plan_split
from vur.stages.split.folds import SplitSpec
from vur.stages.training import train
from vur.text import LANGUAGES

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OPTIONAL = PROJECT["optional-dependencies"]
# Packages that only the service runs: they may import the libraries of `serve` at the top.
SERVICE = ("dashboards", "jobs", "predictions", "serving")


def normal(requirement: str) -> str:
    """The normalized name of the distribution that `requirement` asks for."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=;! ]", requirement)[0]).lower()


def imported(path: Path, top_level: bool = False) -> set[str]:
    """Libraries outside VUR and Python that a module imports, by their top name; `top_level` leaves functions out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_level else list(ast.walk(tree))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    return {name.partition(".")[0] for name in names} - {*sys.stdlib_module_names, "vur"}


def modules() -> Iterator[Path]:
    """Every module of the package but the one that only `nbdev-export` imports."""
    yield from sorted({*(ROOT / "vur").rglob("*.py")} - {ROOT / "vur" / "_nbdev.py"})


# --- what pyproject.toml declares ---


def test_the_table_of_extras_agrees_with_pyproject() -> None:
    for extra, libraries in EXTRAS.items():
        assert set(libraries) <= {normal(requirement) for requirement in OPTIONAL[extra]}
    assert OPTIONAL["all"] == [f"vur[{','.join(EXTRAS)}]"]
    assert not {normal(requirement) for requirement in PROJECT["dependencies"]} & OWNERS.keys()


def test_every_imported_library_is_declared() -> None:
    declared = {
        normal(requirement)
        for extra in ("", *EXTRAS)
        for requirement in (OPTIONAL[extra] if extra else PROJECT["dependencies"])
    }
    owners = packages_distributions()
    found = {name for path in modules() for name in imported(path)}
    assert {name for name in found if not {normal(owner) for owner in owners.get(name, ())} & declared} == set()


def test_only_the_service_imports_optional_libraries_at_the_top() -> None:
    optional = {module.partition(".")[0] for libraries in EXTRAS.values() for module in libraries.values()}
    found = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules()
        if path.relative_to(ROOT / "vur").parts[0] not in SERVICE
        for name in imported(path, top_level=True) & optional
    }
    assert found == set()


# --- what is said where a library is missing ---


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`without("prophet")`: as if these modules were not installed."""
    find_spec = extras.find_spec

    def hide(*names: str) -> None:
        monkeypatch.setattr(extras, "find_spec", lambda name: None if name in names else find_spec(name))

    return hide


@pytest.fixture(scope="module")
def panel() -> Panel:
    """One monthly series of six years."""
    return panel_of(seasonal(72, trend=1, swing=10), "MS", "2018-01-01")


def test_libraries_are_looked_for_by_the_module_they_hold(without: Callable[..., None]) -> None:
    assert missing(["tensorflow", "prophet", "pandas"]) == []
    without("tensorflow", "jwt")
    assert missing(["tensorflow", "keras", "pyjwt", "pandas"]) == ["tensorflow", "pyjwt"]
    assert extra_of(["tensorflow", "keras", "pyjwt"]) == "neural,serve"
    with pytest.raises(VurError, match=r'pyjwt.*pip install "vur\[serve\]"'):
        require(["pyjwt"], "vur serve")


@pytest.mark.parametrize(("algorithm", "extra"), [("lstm", "neural"), ("network", "neural"), ("prophet", "prophet")])
def test_a_named_algorithm_whose_library_is_missing_is_refused(
    without: Callable[..., None], panel: Panel, tmp_path: Path, algorithm: str, extra: str
) -> None:
    without("tensorflow", "prophet")
    with pytest.raises(VurError) as refused:
        candidates(panel, ModelSpec(["auto", algorithm]))
    assert refused.value.code == "extras.missing" and refused.value.data["extra"] == extra
    for language in LANGUAGES:
        assert f'"vur[{extra}]"' in refused.value.text(language) and algorithm in refused.value.text(language)
    with pytest.raises(VurError, match=f"vur.{extra}"):
        run(DATA / "flights_daily.csv", algorithms=[algorithm], out=tmp_path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(VurError, match=f"vur.{extra}"):
        create(algorithm)


def test_a_network_of_ones_own_needs_its_library(without: Callable[..., None], panel: Panel) -> None:
    network = {"architecture": {"layers": [{"type": "gru", "units": 4}, {"type": "dense", "units": 1}]}}
    without("tensorflow")
    with pytest.raises(VurError, match=r"vur\[neural\]"):
        candidates(panel, ModelSpec("auto", networks={"mine": network}))


def test_auto_goes_on_without_what_is_missing(without: Callable[..., None], panel: Panel) -> None:
    assert "prophet" in auto_algorithms(panel, "best")
    without("prophet")
    chosen = [
        one for one in candidates(panel, ModelSpec(preset="best")) if one.id in ("seasonal_naive", "drift", "prophet")
    ]
    assert [one.id for one in chosen] == ["seasonal_naive", "drift", "prophet"]
    board = train(panel, plan_split(panel, SplitSpec(horizon=6, folds=2)), chosen, clock=lambda: 0.0).leaderboard
    row = board[board["algorithm"] == "prophet"].iloc[0]
    assert pd.isna(row["rank"]) and row["note"] == 'Not installed: pip install "vur[prophet]" (prophet).'
    assert board["rank"].notna().sum() >= 2


def test_one_candidate_without_its_library_leaves_the_others_digits_alone(
    without: Callable[..., None], panel: Panel
) -> None:
    plan, few = (
        plan_split(panel, SplitSpec(horizon=6, folds=2)),
        [Candidate(name, name) for name in ("seasonal_naive", "drift")],
    )
    with_all = train(panel, plan, few, clock=lambda: 0.0).leaderboard
    without("prophet")
    less = train(panel, plan, [*few, Candidate("prophet", "prophet")], clock=lambda: 0.0).leaderboard
    pd.testing.assert_frame_equal(less[less["rank"].notna()].reset_index(drop=True), with_all, check_dtype=False)


@pytest.mark.parametrize(
    ("arguments", "hidden", "extra"),
    [
        (["serve"], "fastapi", "serve"),
        (["worker"], "dbos", "serve"),
        (["init"], "cryptography", "serve"),
        (["users", "list"], "argon2", "serve"),
        (["backup", "b.tar"], "dbos", "serve"),
        (["restore", "b.tar"], "dbos", "serve"),
        (["lab"], "jupyterlab", "lab"),
    ],
)
def test_a_command_names_the_extra_it_needs(
    without: Callable[..., None], capsys: pytest.CaptureFixture[str], arguments: list[str], hidden: str, extra: str
) -> None:
    without(hidden)
    assert main(arguments) == 1
    told = capsys.readouterr().err
    assert f"vur {arguments[0]} needs" in told and f'pip install "vur[{extra}]"' in told


def test_doctor_lists_every_extra(without: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    without("tensorflow", "fastapi")
    assert main(["doctor", "--language", "en"]) == 0
    told = capsys.readouterr().out
    assert "Extra prophet is installed." in told
    assert 'Extra neural is not installed (missing: tensorflow): pip install "vur[neural]"' in told
    assert 'pip install "vur[serve]"' in told and "catalog" not in told


# --- the wheel and the light installation ---


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source distribution as a publisher builds it."""
    folder = tmp_path_factory.mktemp("build")
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in ("vur", "nbs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
    call([sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist"], folder)
    return next((folder / "dist").glob("*.whl"))


@pytest.fixture(scope="module")
def light(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of commands of an environment that holds the wheel, without any extra, at the versions of the lock."""
    folder = tmp_path_factory.mktemp("light")
    venv.create(folder / "env", with_pip=True)
    commands = folder / "env" / ("Scripts" if os.name == "nt" else "bin")
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pins = [line.removesuffix("\\").strip() for line in lock.splitlines() if re.match(r"[\w.-]+==", line)]
    (folder / "constraints.txt").write_text("\n".join(pins), encoding="utf-8")
    call(
        [commands / "python", "-m", "pip", "install", "-q", "--no-compile", "-c", folder / "constraints.txt", wheel],
        folder,
    )
    return commands


def call(command: list[str | Path], folder: Path, code: int = 0, **variables: str) -> str:
    """What `command` prints in `folder`, away from the repository and the settings of these tests."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("VUR_", "PYTHON"))}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=environment | variables,
        capture_output=True,
        text=True,
        timeout=800,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    folders = (ROOT / "vur", *(ROOT / "nbs" / name for name in ("runs", "dashboards", "tutorials")))
    source = {
        path for folder in folders for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }
    source = {path for path in source if ".ipynb_checkpoints" not in path.parts}
    expected = {
        path.relative_to(ROOT).as_posix().replace("nbs/runs/", "vur/notebooks/").replace("nbs/", "vur/notebooks/")
        for path in source
    }
    assert "vur/py.typed" in expected and "vur/notebooks/train.ipynb" in expected
    assert {name for name in names if not name.startswith("vur-")} == expected


@pytest.mark.slow
def test_a_light_installation_runs_away_from_the_repository(light: Path, tmp_path: Path) -> None:
    vur, home = light / "vur", {"VUR_HOME": str(tmp_path / "home")}
    rows = (DATA / "co2_weekly.csv").read_text(encoding="utf-8").splitlines()
    (tmp_path / "air.csv").write_text("\n".join([rows[0], *rows[-300:]]), encoding="utf-8")

    def vur_command(*arguments: str, code: int = 0) -> str:
        return call([vur, *arguments], tmp_path, code, **home)

    told = vur_command("run", "air.csv", "--preset", "best", "--algorithms", "auto", "--time-budget", "20", "--quiet")
    (folder,) = (tmp_path / "reports").iterdir()
    assert {"train.ipynb", "report.html", "forecast.csv", "leaderboard.csv"} <= {path.name for path in folder.iterdir()}
    assert 'pip install "vur[prophet]"' in told
    assert "pip install &#34;vur[prophet]&#34;" in (folder / "report.html").read_text(encoding="utf-8")
    script = """
import vur
result = vur.run("air.csv", algorithms=["theta", "ridge"], notebook=False)
print(len(result.forecast), result.report.is_file())
"""
    printed = call([light / "python", "-c", script], tmp_path, **home).split()
    assert int(printed[-2]) > 0 and printed[-1] == "True"
    assert "unique_id,ds,forecast" in vur_command("forecast", "air")
    assert "air:" in vur_command("models")
    doctor = vur_command("doctor")
    for extra in EXTRAS:
        assert f'pip install "vur[{extra}]"' in doctor
    assert 'pip install "vur[neural]"' in vur_command("run", "air.csv", "--algorithms", "lstm", code=1)
    assert 'pip install "vur[serve]"' in vur_command("serve", code=1)
    assert 'pip install "vur[lab]"' in vur_command("lab", code=1)
