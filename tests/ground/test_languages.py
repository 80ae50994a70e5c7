"""A language is one entry of `vur.languages` and a folder of texts: one that is added here is spoken everywhere."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import test_ground
import yaml
from samples import ROOT

from vur.cli import main
from vur.errors import VurError
from vur.frequency import Frequency
from vur.languages import LANGUAGES, TRANSLATIONS, Language
from vur.settings import read_settings
from vur.stages.preview.findings import show
from vur.text import table, translate
from vur.wording import day_text, moment_text, number, percent, stamp

FRENCH = {
    "months": tuple("janvier février mars avril mai juin juillet août septembre octobre novembre décembre".split()),
    "weekdays": tuple("dimanche lundi mardi mercredi jeudi vendredi samedi".split()),
    "abbreviations": tuple("janv févr mars avr mai juin juil août sept oct nov déc".split()),
    "aliases": ("fr-fr",),
    "decimal": ",",
    "thousands": "\u202f",
    "day": "{day} {month_name} {year}",
    "moment": "{day} à {time}",
    "date_order": "dmy",
}


@pytest.fixture
def french(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """French, whose texts are the English ones marked `fr:`; the folder of its texts."""
    folder = tmp_path / "fr"
    folder.mkdir()
    for path in LANGUAGES["en"].texts.glob("*.yaml"):
        texts = {key: f"fr:{text}" for key, text in yaml.safe_load(path.read_text(encoding="utf-8")).items()}
        (folder / path.name).write_text(yaml.safe_dump(texts, allow_unicode=True), encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setitem(LANGUAGES, "fr", Language("fr", "Français", folder=folder, **FRENCH))
        table.cache_clear()
        yield folder
    table.cache_clear()


@pytest.mark.usefixtures("french")
def test_a_new_language_writes_numbers_and_dates_in_its_style() -> None:
    moment = pd.Timestamp("2025-08-05 14:30")
    assert (number(1234567.891, "fr", 2), percent(0.123, "fr")) == ("1\u202f234\u202f567,89", "12,3%")
    assert (day_text(moment, "fr"), moment_text(moment, "fr")) == ("5 août 2025", "5 août 2025 à 14:30")
    assert stamp(moment, Frequency("h", 24), "fr") == show(moment, "fr") == moment_text(moment, "fr")
    assert translate("report.title", "fr") == "fr:" + translate("report.title", "en")


@pytest.mark.usefixtures("french")
def test_a_report_is_rendered_in_a_new_language(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "report"))
    from sample_report import sample_context

    from vur.report import render_report

    page = render_report(sample_context(language="fr"), tmp_path / "report.html", "fr").read_text(encoding="utf-8")
    assert '<html lang="fr">' in page and f"fr:{translate('report.title', 'en')}" in page
    assert "4 février 2025" in page and "5 mars 2026 à 14:20" in page
    assert re.search(r"fr:[^<]*\d\u202f\d{3}", page), "totals with the thousands mark of the language"
    assert '"separators": ",\u202f"' in page or '"separators":",\u202f"' in page, "figures too"
    assert "juillet" in page, "the names of months for the axes"


@pytest.mark.usefixtures("french")
def test_the_command_line_speaks_a_new_language(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    assert main(["what-if", "no-such-model", "--set", "price=1", "--language", "fr"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3 and all(line.startswith("fr:") for line in lines)
    settings = tmp_path / "settings.ini"
    settings.write_text("[vur]\nlanguage = FR-fr\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("VUR_LANGUAGE")
        assert read_settings(settings).language == "fr"


def test_a_missing_text_is_named(french: Path) -> None:
    test_ground.test_every_text_is_there_in_every_language_with_the_same_placeholders()
    path = french / "report.yaml"
    texts = yaml.safe_load(path.read_text(encoding="utf-8"))
    del texts["report.title"]
    path.write_text(yaml.safe_dump(texts), encoding="utf-8")
    table.cache_clear()
    with pytest.raises(AssertionError, match=r"report\.title is in \['en', 'pt-BR'\] only"):
        test_ground.test_every_text_is_there_in_every_language_with_the_same_placeholders()


@pytest.mark.parametrize("code", list(LANGUAGES))
def test_every_language_is_whole(code: str) -> None:
    language = LANGUAGES[code]
    assert (language.code, len(language.months), len(language.weekdays)) == (code, 12, 7)
    assert language.decimal != language.thousands and len(language.csv_delimiter) == 1
    assert language.csv_delimiter != language.decimal, "a decimal mark would split its own column"
    assert {path.name for path in language.texts.iterdir()} == {path.name for path in (TRANSLATIONS / "en").iterdir()}
    assert day_text(pd.Timestamp("2025-02-01"), code) != day_text(pd.Timestamp("2025-01-02"), code)


def test_no_other_module_names_a_language() -> None:
    """Only `languages.py` knows a language; elsewhere a code is a default value or an example."""
    branch = re.compile(r"""language\w* (?:==|!=) ["']|["']pt-BR["'](?:,|:| ?\))|\(["']en["'], """)
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in (ROOT / "vur").rglob("*.py")
        if path.name not in ("languages.py", "_modidx.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if branch.search(line)
    ]
    assert found == []


def test_a_language_needs_months_that_differ() -> None:
    with pytest.raises(ValueError, match="abbreviations"):
        Language("fr", "Français", **{name: value for name, value in FRENCH.items() if name != "abbreviations"})


def test_dates_are_read_in_every_language_that_is_added(tmp_path: Path) -> None:
    """In a process of its own, as an entry of the table is there before the modules that read it."""
    code = f"""
from vur.languages import LANGUAGES, Language
LANGUAGES["fr"] = Language("fr", "Français", **{FRENCH!r})
import pandas as pd
from pathlib import Path
from vur.stages.upload import upload
for name, texts in {{
    "fr": ["5 juin 2024", "mardi 2 juillet 2024", "3 août 2024", "4 févr. 2024", "6 juil. 2024"],
    "en": ["Mar 5, 2024", "Tue Mar 12, 2024", "June 7, 2024", "July 8, 2024", "Feb 9, 2024"],
    "pt": ["5 de março de 2024", "terça-feira, 12 de março de 2024", "7 de junho de 2024", "8 jul 2024", "9 fev 2024"],
}}.items():
    file = Path({str(tmp_path)!r}, name + ".csv")
    file.write_text("day;sales\\n" + "".join(f"{{text}};{{k}}\\n" for k, text in enumerate(texts)), encoding="utf-8")
    days = pd.read_parquet(upload(file, file.with_suffix("")).parquet)["day"]
    print(name, *(f"{{day:%d/%m}}" for day in pd.to_datetime(days)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [
        "fr 05/06 02/07 03/08 04/02 06/07",
        "en 05/03 12/03 07/06 08/07 09/02",
        "pt 05/03 12/03 07/06 08/07 09/02",
    ], done.stderr


def test_every_part_of_the_data_home_has_a_name_on_the_data_page():
    from vur.store.home import KINDS

    assert [name for name in (*KINDS, "catalog") if f"pages.data.part.{name}" not in table()] == []


@pytest.mark.parametrize("language", ["en", "pt-BR"])
def test_kinds_and_states_are_words_of_the_readers_language(language):
    """Inside a sentence; `data`, which answers repeat as `values`, keeps the names of the API."""
    from vur.jobs.queue import STATUS
    from vur.store.accounts.access import KINDS

    for name in {*KINDS.values(), *STATUS, *STATUS.values(), "job", "batch", "user", "configured", "receiving", "done"}:
        assert f"word.{name}" in table(), name
    error = VurError("models.not_trained", id="a1", status="queued")
    assert error.data["status"] == "queued" and table()["word.queued"][language] in error.cause(language)
    busy = VurError("api.running", kind="dataset", id="a1").cause(language)
    assert table()["word.dataset"][language] + " a1" in busy
