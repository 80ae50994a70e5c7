"""The cache of stage outputs: what changes its keys, and that words change no number."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from builders import seasonal
from samples import ROOT

import vur
from vur import text
from vur.store.cache import NUMBERLESS, StageCache, code_version, library_versions, source_digests


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package's source that a test may edit."""
    copy = tmp_path_factory.mktemp("source") / "vur"
    shutil.copytree(ROOT / "vur", copy, ignore=shutil.ignore_patterns("__pycache__", "translations"))
    return copy


def edited(package: Path, name: str, rooms: tuple[str, ...] = ()) -> bool:
    """Whether an edit of the file `name` changes the digests."""
    path, before = package / name, source_digests(package, rooms)
    content = path.read_text(encoding="utf-8")
    try:
        path.write_text(content + "\n# edited\n", encoding="utf-8")
        return source_digests(package, rooms) != before
    finally:
        path.write_text(content, encoding="utf-8")


@pytest.mark.parametrize(
    "name",
    [
        "report/page.py",
        "report/sections/why.py",
        "wizard/checks.py",
        "serving/app.py",
        "jobs/worker.py",
        "store/cache.py",
        "cli.py",
        "settings.py",
        "text.py",
        "wording.py",
    ],
)
def test_an_edit_that_changes_no_number_keeps_the_cache(package: Path, name: str) -> None:
    assert not edited(package, name)


@pytest.mark.parametrize(
    "name",
    [
        "panel.py",
        "frequency.py",
        "timezones.py",
        "stages/upload/__init__.py",
        "stages/training/tuning.py",
        "scoring/metrics.py",
        "hierarchy/methods.py",
        "forecasters/registry.py",
        "runs/run.py",
    ],
)
def test_an_edit_of_what_makes_numbers_changes_the_keys(package: Path, name: str) -> None:
    assert edited(package, name)


def test_answers_of_the_wizard_are_cached_by_its_code_too(package: Path) -> None:
    assert edited(package, "wizard/checks.py", ("wizard",))
    assert code_version("wizard") != code_version()


def test_every_numberless_name_exists_or_is_planned() -> None:
    missing = {name for name in NUMBERLESS if not (ROOT / "vur" / name).exists()}
    assert missing <= {"assistant", "dashboards"}


def test_the_code_version_covers_the_installed_package() -> None:
    assert {"numpy", "pandas", "statsforecast"} <= library_versions().keys()
    assert "stages/model/pipeline.py" in source_digests(Path(vur.__file__).parent)


def test_a_value_that_is_not_kept_is_computed_again(tmp_path: Path) -> None:
    calls: list[Path] = []

    def compute(folder: Path) -> int:
        calls.append(folder)
        (folder / "value").write_text("7", encoding="utf-8")
        return 7

    def stage(keep: bool, name: str = f"test-{tmp_path.name}") -> tuple[int, bool]:
        value, _, hit = StageCache().stage(
            name, {"a": 1}, compute, lambda folder: int((folder / "value").read_text()), lambda value: keep
        )
        return value, hit

    assert [stage(False), stage(False), stage(True), stage(True)] == [(7, False), (7, False), (7, False), (7, True)]
    assert len(calls) == 3


def test_other_words_leave_every_number_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    day = pd.date_range("2023-01-01", periods=120, freq="D").strftime("%d/%m/%Y")
    path = tmp_path / "sales.csv"
    frame = pd.DataFrame({"date": day, "sales": seasonal(120, 7, level=50, swing=9, noise=2, seed=3)})
    frame.to_csv(path, index=False)

    def numbers(folder: str) -> dict[str, pd.DataFrame]:
        run = vur.run(
            path, horizon=7, folds=2, algorithms=["theta", "ridge"], notebook=False, fresh=True, out=tmp_path / folder
        )
        names = ("forecast", "leaderboard", "by_step", "test_scores", "anomalies")
        tables = {name: pd.read_csv(run.folder / f"{name}.csv") for name in names}
        return {name: table.drop(columns=["note", "seconds"], errors="ignore") for name, table in tables.items()}

    before = numbers("before")
    known = text.table()
    other = {
        key: entry if key.startswith("report.date") else {language: f"«{words}»" for language, words in entry.items()}
        for key, entry in known.items()
    }
    monkeypatch.setattr(text, "table", lambda: other)
    assert text.translate("report.title") == "«Forecast report»"
    after = numbers("after")
    for name, table in before.items():
        pd.testing.assert_frame_equal(table, after[name], check_exact=True, obj=name)
