"""The law of imports: every module imports only what lies below it, and no two import each other."""

import ast
import re
from pathlib import Path

import pytest
from samples import ROOT

import vur

# From the bottom up. A module may import what stands on its own floor or below; the longest name that fits decides.
FLOORS = (
    ("vur.text", "vur.nearest", "vur.errors", "vur.extras", "vur.settings", "vur.languages", "vur.spreadsheets"),
    ("vur.frequency", "vur.columns", "vur.state"),
    ("vur.opening", "vur.panel"),
    ("vur.demand", "vur.absence", "vur.wording", "vur.timezones"),
    ("vur.scoring",),
    ("vur.stages.upload", "vur.stages.preview", "vur.stages.split", "vur.stages.preprocess", "vur.stages.features"),
    ("vur.hierarchy", "vur.forecasters"),
    ("vur.stages.model",),
    ("vur.stages.training",),
    ("vur.tabular", "vur.ranking"),
    ("vur.store", "vur.explain"),
    ("vur.report",),
    ("vur.models",),
    ("vur.runs",),
    ("vur.wizard", "vur.predictions"),
    ("vur.jobs",),
    ("vur.serving",),
    ("vur.dashboards", "vur.widgets"),
    ("vur.commands", "vur.cli"),
)
ROOTS = {"vur", "vur.stages"}  # packages without code of their own; what `vur` offers lies in the modules of its _LAZY
MODULE = re.compile(r"vur(?:\.[a-z_]\w*)+")


def modules(root: Path) -> dict[str, Path]:
    """Every module of the package at `root`, by its dotted name."""
    paths = (path for path in (root / "vur").rglob("*.py") if path.name != "_modidx.py")
    return {".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


def imports(name: str, known: dict[str, Path]) -> set[str]:
    """Modules of VUR that `name` imports: at the top, in functions, under TYPE_CHECKING, as a string `"vur.a.b:c"`."""
    package = name if known[name].name == "__init__.py" else name.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(known[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            above = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            base = ".".join(part for part in (above, node.module or "") if part)
            inner = (f"{base}.{alias.name}" for alias in node.names)
            found |= {one if one in known else base for one in inner if base.split(".")[0] == "vur"}
            if base == "vur":
                found |= {vur._LAZY[alias.name] for alias in node.names if alias.name in vur._LAZY}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "vur"}
            if any(alias.name == "vur" for alias in node.names):
                found |= set(vur._LAZY.values())
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and " " not in node.value:
            found |= named_modules(node.value, known)
    return found - {name} - ROOTS


def named_modules(text: str, known: dict[str, Path]) -> set[str]:
    """The module that a string such as `"vur.jobs.batch:work"` names, for a later import."""
    match = MODULE.fullmatch(text.partition(":")[0])
    return {match.group()} & known.keys() if match else set()


def floor(name: str) -> int:
    """The number of the floor that a module stands on."""
    fits = [
        (len(room), number)
        for number, rooms in enumerate(FLOORS)
        for room in rooms
        if name == room or name.startswith(f"{room}.")
    ]
    assert fits, f"{name} has no floor: say in FLOORS what it may import"
    return max(fits)[1]


def upward(known: dict[str, Path]) -> list[str]:
    """Imports that break the law, as sentences."""
    return [
        f"{name} imports {other}, which stands above it"
        for name in sorted(known.keys() - ROOTS)
        for other in sorted(imports(name, known))
        if floor(other) > floor(name)
    ]


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that reach each other (Tarjan's strongly connected components of more than one)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        order[name] = low[name] = len(order)
        stack.append(name)
        for other in graph.get(name, ()):
            if other not in order:
                visit(other)
            if other in stack:
                low[name] = min(low[name], low[other])
        if low[name] == order[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                found.append(sorted(group))

    for name in graph:
        if name not in order:
            visit(name)
    return found


def test_every_module_imports_only_what_lies_below_it() -> None:
    assert upward(modules(ROOT)) == []


def test_no_modules_import_each_other() -> None:
    known = modules(ROOT)
    assert circles({name: imports(name, known) for name in known}) == []


@pytest.mark.parametrize(
    ("line", "broken"),
    [
        ("from vur.store import home", "vur.scoring.metrics imports vur.store.home"),
        ("def f() -> None:\n    from vur.runs.run import Run", "vur.scoring.metrics imports vur.runs.run"),
        ('TARGET = "vur.jobs.batch:work"', "vur.scoring.metrics imports vur.jobs.batch"),
        ("from ..report import render_report", "vur.scoring.metrics imports vur.report"),
        ("from vur import run", "vur.scoring.metrics imports vur.runs.api"),
    ],
)
def test_the_law_sees_every_way_of_importing(tmp_path: Path, line: str, broken: str) -> None:
    for name in ("scoring/metrics", "store/home", "runs/run", "jobs/batch", "report/__init__"):
        path = tmp_path / "vur" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(line if name == "scoring/metrics" else "", encoding="utf-8")
    assert [sentence.startswith(broken) for sentence in upward(modules(tmp_path))] == [True]


def test_circles_are_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]
