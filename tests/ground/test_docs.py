"""What a newcomer reads first says what is true: `help(vur)`, README, CONTRIBUTING and the site."""

import os
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from samples import ROOT

import vur
from vur.cli import parser

GUIDES = sorted((ROOT / "docs").rglob("*.md"))
READ_FIRST = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
MADE = {"site/"}  # by `make docs`


def relative(path: Path) -> str:
    """The path below the root, for the names of tests."""
    return str(path.relative_to(ROOT))


def test_help_names_what_a_user_calls_and_no_internals() -> None:
    text = vur.__doc__ or ""
    assert len(text.strip().splitlines()) <= 11
    named = set(re.findall(r"\bvur\.([a-z_]+)", text))
    assert {"run", "forecast", "scenario", "check_new", "update_model"} <= named
    assert named <= set(vur.__all__), "every name in it can be called"


def test_readme_fits_three_screens() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


@pytest.mark.parametrize("path", READ_FIRST, ids=relative)
def test_every_path_in_backticks_exists(path: Path) -> None:
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.S | re.M)
    named = re.findall(r"`(\.?\w[\w.-]*(?:/[\w.-]*)*)`", text)
    files = {one for one in named if "/" in one or re.search(r"\.(md|py|ipynb|ini|ya?ml|toml|lock)$", one)}
    assert len(files) > 5
    assert {one for one in files - MADE if not (ROOT / one).exists()} == set()


@pytest.mark.parametrize("path", [ROOT / "README.md", *GUIDES], ids=relative)
def test_every_command_is_understood(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```", path.read_text(encoding="utf-8"), flags=re.S | re.M)
    lines = [line for block in blocks for line in re.sub(r"\\\n", " ", block).splitlines()]
    for line in lines:
        words = shlex.split(line, comments=True)
        if words[:1] == ["vur"]:
            try:
                parser(words[1]).parse_args(words[1:])
            except SystemExit:
                pytest.fail(f"{line}\n{capsys.readouterr().err}")


@pytest.mark.parametrize("path", [ROOT / "README.md", *GUIDES], ids=relative)
def test_every_python_name_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    known = {*vur.__all__}
    unknown = {name for name in re.findall(r"`?\bvur\.([A-Za-z_]+)\b", text) if name not in known}
    assert {name for name in unknown if find_spec(f"vur.{name}") is None} == set()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does: a dead link or an unknown name is an error."""
    pytest.importorskip("mkdocs")
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(target)]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return target


@pytest.mark.slow
def test_pages_of_the_site_load_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 60
    tags, address = r"script|link|img|iframe|source|video|audio|object|embed", r"((?:https?:)?//[^\"'\s>]+)"
    loading = rf"<(?:{tags})\b[^>]*?\b(?:src|href|data)=[\"']?{address}"
    assert re.findall(loading, '<script async src="https://cdn/x.js">') == ["https://cdn/x.js"]
    loaded = {
        (relative_to_site(site, page), url)
        for page in pages
        for url in re.findall(loading, page.read_text(encoding="utf-8"))
    }
    styles = {
        (relative_to_site(site, style), url)
        for style in site.rglob("*.css")
        for url in re.findall(
            r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^\"')\s]+)", style.read_text(encoding="utf-8")
        )
    }
    assert loaded | styles == set()


def relative_to_site(site: Path, path: Path) -> str:
    """The path of a page in the site."""
    return str(path.relative_to(site))


@pytest.mark.slow
def test_the_site_holds_every_chapter_command_setting_and_endpoint(site: Path) -> None:
    home = (site / "index.html").read_text(encoding="utf-8")
    chapters = [sorted(folder.glob("*.ipynb"))[-1] for folder in (ROOT / "nbs" / "stages").glob("[0-9]*")]
    assert len(chapters) == 7
    for chapter in chapters:
        place = f"notebooks/stages/{chapter.parent.name}/{chapter.stem}/"
        assert (site / place / "index.html").is_file() and place.split("/", 1)[1] in home
    commands = (site / "reference" / "commands" / "index.html").read_text(encoding="utf-8")
    assert all(f"vur {name}" in commands for name in ("run", "what-if", "serve", "doctor"))
    assert "lease_seconds" in (site / "guides" / "settings" / "index.html").read_text(encoding="utf-8")
    assert "/api/v1/predictions/predict" in (site / "reference" / "rest" / "index.html").read_text(encoding="utf-8")
    assert 'id="vur.runs.api.run"' in (site / "reference" / "runs" / "index.html").read_text(encoding="utf-8")
