"""The ground: import time, settings, translation table, packaging, sample data, requirements."""

import configparser
import re
import string
import subprocess
import sys
from pathlib import Path

import pytest
from samples import DATA, ROOT

from vur.errors import VurError, error_body
from vur.languages import LANGUAGES
from vur.settings import Settings, read_settings
from vur.text import table, translate


def test_import_is_light() -> None:
    """`import vur` loads none of the heavy libraries (the time itself is a benchmark)."""
    heavy = "('pandas','tensorflow','prophet','lightgbm','bentoml','plotly','statsforecast')"
    code = f"import sys, vur; print(*[m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""


def test_stage_modules_import_no_heavy_library() -> None:
    heavy = (
        "('tensorflow','prophet','lightgbm','bentoml','plotly','statsforecast','mlforecast','sklearn','statsmodels')"
    )
    code = (
        "import sys, vur.cli, vur.stages.upload, vur.stages.training, vur.forecasters.registry as b; b.algorithms();"
        f"print(*[m for m in {heavy} if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""


def test_settings_file_names_every_key_with_its_default() -> None:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "settings.ini", encoding="utf-8")
    assert set(parser["vur"]) == set(Settings.__dataclass_fields__)
    assert read_settings(ROOT / "settings.ini").levels == Settings().levels
    comments = sum(line.startswith("#") for line in (ROOT / "settings.ini").read_text(encoding="utf-8").splitlines())
    assert comments >= len(parser["vur"])


def test_environment_overrides_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "settings.ini"
    file.write_text("[vur]\nlanguage = en\nlevels = 50, 90\n", encoding="utf-8")
    monkeypatch.setenv("VUR_LANGUAGE", "pt")
    assert read_settings(file).language == "pt-BR"
    assert read_settings(file).levels == (50, 90)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("port = x", "'port'"),
        ("levels = 80, 101", "'levels'"),
        ("colour = red", "'colour'"),
        ("language = fr", "'language'"),
        ("time_budget = -1", "'time_budget'"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VUR_LANGUAGE")
    file = tmp_path / "settings.ini"
    file.write_text(f"[vur]\n{text}\n", encoding="utf-8")
    with pytest.raises(VurError, match=named):
        read_settings(file)


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("", True),
        ("sqlite:////srv/vur/catalog.sqlite", True),
        ("postgresql://vur@db.example:5432/vur", True),
        ("postgres://vur:a/b%40c@[::1]/vur?sslmode=require", True),
        ("postgresql://vur@/vur?host=/var/run/postgresql", True),
        ("postgresql://vur:a@SECRET@db.example/vur", False),
        ("postgresql://vur:SECRET@db.example:port/vur", False),
        ("postgresql:/vur:SECRET@db.example/vur", False),
        ("the SECRET", False),
    ],
)
def test_an_address_of_the_catalog_in_another_form_is_refused_unseen(monkeypatch, url: str, good: bool) -> None:
    monkeypatch.setenv("VUR_DATABASE_URL", url)
    if good:
        assert read_settings().database_url == url
        return
    with pytest.raises(VurError, match="'database_url'") as caught:
        read_settings()
    assert "SECRET" not in str(caught.value) and "SECRET" not in str(caught.value.data)


LISTS = [
    ("levels", "80, 95", (80, 95)),
    ("levels", "[95, 80, 99.9]", (80, 95, 99.9)),
    ("levels", '["80", "95"]', (80, 95)),
    ("cors_origins", "http://localhost:5173,http://localhost:3000", ("http://localhost:5173", "http://localhost:3000")),
    (
        "cors_origins",
        '["http://localhost:5173", "http://localhost:3000"]',
        ("http://localhost:5173", "http://localhost:3000"),
    ),
    ("cors_origins", ' [ "HTTPS://Vur.Example:443" ] ', ("https://vur.example",)),
    ("cors_origins", "http://[::1]:3000", ("http://[::1]:3000",)),
    ("cors_origins", "*", ("*",)),
    ("cors_origins", "", ()),
    ("cors_origins", "[]", ()),
    ("trusted_proxies", "127.0.0.1, 10.0.0.0/8", ("127.0.0.1", "10.0.0.0/8")),
    ("trusted_proxies", '["::1"]', ("::1",)),
    ("data_folders", "/srv/a, /srv/sales 2025", ("/srv/a", "/srv/sales 2025")),
    ("data_folders", '["/srv/a, b", "~/more"]', ("/srv/a, b", "~/more")),
]


@pytest.mark.parametrize(("key", "text", "value"), LISTS)
def test_lists_are_read_with_commas_and_in_json(tmp_path: Path, monkeypatch, key: str, text: str, value: tuple) -> None:
    file = tmp_path / "settings.ini"
    file.write_text(f"[vur]\n{key} = {text}\n", encoding="utf-8")
    assert getattr(read_settings(file), key) == value
    file.write_text("[vur]\n", encoding="utf-8")
    monkeypatch.setenv(f"VUR_{key.upper()}", text)
    assert getattr(read_settings(file), key) == value


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("levels", "80; 95"),
        ("levels", "[80, 95"),
        ("levels", "[true]"),
        ("levels", "[]"),
        ("levels", "1e999"),
        ("cors_origins", "['http://localhost:3000', 'http://localhost:5173']"),
        ("cors_origins", '"http://localhost:3000"'),
        ("cors_origins", '{"a": "http://localhost:3000"}'),
        ("cors_origins", '[["http://localhost:3000"]]'),
        ("cors_origins", "http://localhost:3000 http://localhost:5173"),
        ("cors_origins", "http://localhost:3000; http://localhost:5173"),
        ("cors_origins", "http://localhost:3000,"),
        ("cors_origins", "http://localhost:3000/"),
        ("cors_origins", "http://localhost:3000/app"),
        ("cors_origins", "http://ana@localhost:3000"),
        ("cors_origins", "http://localhost:70000"),
        ("cors_origins", "http://*.vur.example"),
        ("cors_origins", "*, http://localhost:3000"),
        ("cors_origins", "localhost:3000"),
        ("cors_origins", "null"),
        ("trusted_proxies", "proxy.example"),
        ("trusted_proxies", "*"),
        ("trusted_proxies", "10.0.0.1/8"),
        ("data_folders", "relative"),
        ("data_folders", "/srv/a, ./b"),
        ("data_folders", "~nobody-of-this-name/a"),
        ("data_folders", "/srv/a;/srv/b"),
        ("data_folders", "/srv/a:/srv/b"),
        ("data_folders", "/srv/a /srv/b"),
        ("data_folders", "['/srv/a']"),
        ("data_folders", '"/srv/a"'),
        ("data_folders", "[1, null]"),
    ],
)
def test_a_list_in_another_form_is_refused_by_the_name_of_its_key(tmp_path: Path, monkeypatch, key, text) -> None:
    file = tmp_path / "settings.ini"
    file.write_text(f"[vur]\n{key} = {text}\n", encoding="utf-8")
    with pytest.raises(VurError, match=f"'{key}'"):
        read_settings(file)
    file.write_text("[vur]\n", encoding="utf-8")
    monkeypatch.setenv(f"VUR_{key.upper()}", text)
    with pytest.raises(VurError, match=f"'{key}' in VUR_{key.upper()}"):
        read_settings(file)


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_every_text_is_there_in_every_language_with_the_same_placeholders() -> None:
    for key, entry in table().items():
        assert set(entry) == set(LANGUAGES), f"{key} is in {sorted(entry)} only"
        assert len({frozenset(placeholders(text)) for text in entry.values()}) == 1, f"{key} has other placeholders"


def test_every_error_has_cause_and_remedy_and_every_raised_code_is_in_the_table() -> None:
    keys = {key for key in table() if key.startswith("error.")}
    codes = {key.rpartition(".")[0] for key in keys}
    assert keys == {f"{code}.{part}" for code in codes for part in ("cause", "remedy")}
    raised = set()
    for path in (ROOT / "vur").rglob("*.py"):
        raised |= {
            f"error.{code}" for code in re.findall(r"VurError\(\s*\"([a-z_.]+)\"", path.read_text(encoding="utf-8"))
        }
    assert raised - codes == set()


def test_a_missing_text_is_a_bug_not_a_blank() -> None:
    with pytest.raises(KeyError, match="no.such.key"):
        translate("no.such.key")


def test_texts_say_one_and_many_with_the_marks_of_the_language(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"en": "{rows:,} {rows:row was|rows were} read", "pt-BR": "{rows:,} {rows:linha lida|linhas lidas}"}
    monkeypatch.setitem(table(), "a.count", said)
    assert [translate("a.count", rows=rows) for rows in (0, 1, 1488)] == [
        "0 rows were read",
        "1 row was read",
        "1,488 rows were read",
    ]
    assert translate("a.count", "pt-BR", rows=1488) == "1.488 linhas lidas"
    assert translate("a.count", "pt-BR", rows="1.488") == "1.488 linhas lidas"
    assert translate("a.count", "pt-BR", rows="1") == "1 linha lida"


def test_lock_has_hashes_and_names_no_host() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in text
    requirements = re.findall(r"^([a-zA-Z0-9_.-]+)==", text, flags=re.M)
    assert len(requirements) > 100
    assert text.count("--hash=sha256:") >= len(requirements)


def test_samples_are_what_the_script_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DATA))
    import make_samples

    monkeypatch.setattr(make_samples, "HERE", tmp_path)
    make_samples.main()
    made = {path.name: path.read_bytes() for path in tmp_path.glob("*.csv")}
    there = {path.name: path.read_bytes() for path in DATA.glob("*.csv")}
    simulated = there.pop("tennessee_eastman.csv")  # by a package of its own, see data/make_tennessee_eastman.py
    assert made == there and simulated.count(b"\n") == 3002
    assert {*made, "tennessee_eastman.csv"} <= set(
        re.findall(r"`([a-z0-9_]+\.csv)`", (DATA / "README.md").read_text(encoding="utf-8"))
    )


def test_readme_is_made_from_the_index_notebook() -> None:
    done = subprocess.run([sys.executable, ROOT / "nbs" / "make_readme.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_roles_of_people_are_said_in_words_and_given_as_the_api_names_them():
    refused = VurError("api.forbidden", role="analyst", have="viewer")
    assert refused.cause("pt-BR") == "Isto exige o papel de analista; o seu é de leitor."
    assert error_body(refused, "pt-BR")["values"] == {"role": "analyst", "have": "viewer"}
