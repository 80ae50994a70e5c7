"""Commands register themselves: each is one file of `vur/commands`."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import vur.commands
from vur.cli import commands, main

HELLO = """
PURPOSE = "greet somebody"


def add_arguments(command):
    command.add_argument("name")


def run(options, language):
    from vur.errors import VurError

    if options.name == "nobody":
        raise VurError("runs.no_file", path=options.name)
    print(f"Hello, {options.name} ({language})")
    return 7
"""
DOCUMENTED = (
    "run rank table forecast predict future what-if check update reproduce models report lab init users up serve "
    "dashboards worker "
    "package backup restore doctor"
)


@pytest.fixture
def hello(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A command `say-hello`, added as one file, beside a module that is no command."""
    (tmp_path / "say_hello.py").write_text(HELLO, encoding="utf-8")
    (tmp_path / "_shared.py").write_text("raise AssertionError('not a command')\n", encoding="utf-8")
    monkeypatch.setattr(vur.commands, "__path__", [*vur.commands.__path__, str(tmp_path)])
    yield
    sys.modules.pop("vur.commands.say_hello", None)


@pytest.mark.usefixtures("hello")
def test_a_new_file_is_a_new_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["say-hello", "Ana"]) == 7
    assert capsys.readouterr().out == "Hello, Ana (en)\n"
    assert main(["say-hello", "nobody"]) == 1
    assert capsys.readouterr().err.splitlines()[1].startswith("Cause:")
    assert list(commands()) == [*DOCUMENTED.split(), "say-hello"]  # without ORDER it comes last
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "say-hello  greet somebody" in capsys.readouterr().out.replace("\n              ", "  ")


def test_help_lists_the_documented_commands_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(commands()) == DOCUMENTED.split()
    orders = [module.ORDER for module in commands().values()]
    assert len(set(orders)) == len(orders)
    assert all(module.PURPOSE and module.add_arguments.__doc__ and module.run.__doc__ for module in commands().values())
    for name in commands():
        with pytest.raises(SystemExit) as end:
            main([name, "--help"])
        assert end.value.code == 0
        assert f"usage: vur {name}" in capsys.readouterr().out


def test_an_unknown_command_exits_with_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["what_if"])
    assert end.value.code == 2
    assert "invalid choice: 'what_if'" in capsys.readouterr().err


def test_help_imports_no_heavy_module() -> None:
    """`vur --help` imports every command's file, but none of what the commands run."""
    code = (
        "import sys; from vur.cli import parser; parser('-').format_help();"
        "print(*sorted({name.partition('.')[0] for name in sys.modules} & {'numpy', 'pandas', 'sqlalchemy', 'yaml',"
        " 'fastapi', 'bentoml', 'papermill', 'subprocess', 'logging'}))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""
