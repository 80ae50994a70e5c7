"""Pages of the site that come from the repository itself: notebooks, command line, settings and REST endpoints."""

import argparse
import base64
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
NBS = ROOT / "nbs"
STAGES = sorted((NBS / "stages").glob("[0-9]*"))
GROUPS = {
    "Data contract": NBS,
    **{f"Stage {folder.name[0]}: {folder.name[2:]}": folder for folder in STAGES},
    "Scoring": NBS / "scoring",
    "Hierarchy": NBS / "hierarchy",
    "Forecasters": NBS / "forecasters",
    "Neural networks": NBS / "forecasters" / "networks",
    "Explain": NBS / "explain",
    "Ranking": NBS / "ranking",
    "Tables": NBS / "tabular",
    "Assistant": NBS / "assistant",
    "Tutorials": NBS / "tutorials",
}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill the navigation's entries Book (a chapter a stage) and Notebooks from the folders of nbs/."""
    chapters = [_page(notebooks(folder)[-1]) for folder in STAGES]
    book = {notebooks(folder)[-1] for folder in STAGES}
    groups = [
        {name: [_page(path) for path in notebooks(folder) if path not in book]} for name, folder in GROUPS.items()
    ]
    filled = {"Book": chapters, "Notebooks": [group for group in groups if next(iter(group.values()))]}
    assert config.nav is not None
    config.nav = [{name: filled.get(name, pages)} for entry in config.nav for name, pages in entry.items()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages and the images of the notebooks."""
    made = {"guides/settings.md": settings_page, "reference/commands.md": commands_page, "reference/rest.md": rest_page}
    for place, page in made.items():
        files.append(File.generated(config, place, content=page()))
    for folder in GROUPS.values():
        for path in notebooks(folder):
            text, images = notebook_page(path)
            files.append(File.generated(config, place_of(path), content=text))
            for name, data in images.items():
                files.append(File.generated(config, str(Path(place_of(path)).with_name(name)), content=data))
    return files


def notebooks(folder: Path) -> list[Path]:
    """The notebooks of `folder` in the order of their numbers; the index is the README."""
    return sorted(path for path in folder.glob("*.ipynb") if path != NBS / "index.ipynb")


def place_of(path: Path) -> str:
    """Where the page of the notebook `path` lies among the pages."""
    return "notebooks/" + str(path.relative_to(NBS).with_suffix(".md"))


def _page(path: Path) -> dict[str, str]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    heading = next(re.search(r"^# (.+)$", source(cell), re.M) for cell in cells if cell["cell_type"] == "markdown")
    if heading is None:
        raise PluginError(f"{path.relative_to(ROOT)} does not begin with a title (`# ...`)")
    return {heading[1]: place_of(path)}


def source(cell: dict[str, Any]) -> str:
    """The text of a cell."""
    return "".join(cell["source"])


def notebook_page(path: Path) -> tuple[str, dict[str, bytes]]:
    """Return the notebook as Markdown, and its images by file name. Hidden cells are left out."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    exported = next((m[1] for cell in cells if (m := re.match(r"#\| default_exp (\S+)", source(cell)))), "")
    module = "vur/" + exported.replace(".", "/") + ".py"
    parts: list[str] = []
    images: dict[str, bytes] = {}
    for number, cell in enumerate(cells):
        if cell["cell_type"] == "markdown":
            parts.append(formulas(source(cell).replace(".ipynb)", ".md)")))
            continue
        directives = re.findall(r"^#\| ?(\w+)", source(cell), re.M)
        code = re.sub(r"^#\| ?.*\n?", "", source(cell), flags=re.M).strip()
        if "hide" in directives or not code:
            continue
        title = f' title="{module}"' if "export" in directives else ""
        parts.append(f"````python{title}\n{code}\n````")
        for place, output in enumerate(cell.get("outputs", [])):
            name = f"{path.stem}-{number}-{place}.png"
            parts.extend(output_block(output, name, images))
    return "\n\n".join(parts) + "\n", images


def output_block(output: dict[str, Any], name: str, images: dict[str, bytes]) -> Iterator[str]:
    """Yield an output of a cell as Markdown; a picture goes into `images` as `name`."""
    data = output.get("data", {})
    if output["output_type"] == "stream":
        yield f"````text\n{''.join(output['text']).rstrip()}\n````"
    elif "image/png" in data:
        images[name] = base64.b64decode("".join(data["image/png"]))
        yield f"![Plot made by the cell above]({name})"
    elif "text/html" in data:
        html = re.sub(r"<style scoped>.*?</style>\n?", "", "".join(data["text/html"]), flags=re.S)
        yield re.sub(r"\n\s*\n", "\n", html.replace(' border="1"', ""))
    elif "text/plain" in data:
        yield f"````text\n{''.join(data['text/plain']).rstrip()}\n````"


def formulas(text: str) -> str:
    """Replace formulas in `$...$` outside code by HTML: letters, indices, powers and sums need no script."""
    pieces = re.split(r"(```.*?```|`[^`\n]*`)", text, flags=re.S)
    for place in range(0, len(pieces), 2):
        pieces[place] = re.sub(r"\$([^$\n]+)\$", lambda found: _formula(found[1]), pieces[place])
    return "".join(pieces)


def _formula(tex: str) -> str:
    text = tex.replace(r"\sum", "∑").replace("-", "\N{MINUS SIGN}")
    if "\\" in text:
        raise PluginError(f"docs/hooks.py cannot show the formula ${tex}$: only letters, _, ^ and \\sum are known")
    text = re.sub(r"[A-Za-z]", lambda letter: f"<i>{letter[0]}</i>", text)
    group = r"(?:\{([^}]*)\}|(<i>\w</i>|\d))"
    for sign, tag in (("_", "sub"), (r"\^", "sup")):
        text = re.sub(sign + group, lambda found: f"<{tag}>{found[1] or found[2]}</{tag}>", text)  # noqa: B023
    return f'<span class="formula">{text}</span>'


def settings_page() -> str:
    """Return the guide to the settings: every key of settings.ini with its default and its comment."""
    rows, comment = [], ""
    for line in (ROOT / "settings.ini").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            comment = line.lstrip("# ")
        elif "=" in line:
            key, _, value = (part.strip() for part in line.partition("="))
            shown = f"`{value}`" if value else ""
            rows.append(f"| `{key}` | {shown} | {comment} |")
    head = (
        "# Settings\n\n`settings.ini` holds every key that a user may set. `VUR_<KEY>` overrides a key, for "
        "instance `VUR_HOME=/data/vur` or `VUR_LANGUAGE=pt-BR`; `VUR_SETTINGS` names another file.\n\n"
        "| key | default | meaning |\n|---|---|---|\n"
    )
    return head + "\n".join(rows) + "\n"


def commands_page() -> str:
    """Return the help of every command."""
    os.environ["COLUMNS"] = "110"
    from vur.cli import parser

    main = parser()
    choices = next(a.choices for a in main._actions if isinstance(a, argparse._SubParsersAction))
    parts = ["# Command line\n\nEvery command takes `--help`.", f"```text\n{main.format_help().rstrip()}\n```"]
    for name, command in choices.items():
        parts.append(f"## vur {name}\n\n```text\n{command.format_help().rstrip()}\n```")
    return "\n\n".join(parts) + "\n"


def rest_page() -> str:
    """Return the endpoints of the REST API by tag, from its OpenAPI description."""
    from vur.serving.app import create_app

    by_tag: dict[str, list[str]] = {}
    for path, operations in create_app().openapi()["paths"].items():
        for method, described in operations.items():
            tag = (described.get("tags") or ["other"])[0]
            summary = described.get("summary", "")
            by_tag.setdefault(tag, []).append(f"| {method.upper()} | `{path}` | {summary} |")
    head = (
        "# REST API\n\nThe endpoints by topic. A running service describes them in full, with schemas and an example "
        "for every request, at `/api/v1/docs`; the [guide to serving](../guides/serving.md) shows the order in which "
        "they are called.\n\n"
    )
    tables = [
        f"## {tag[:1].upper()}{tag[1:]}\n\n| method | path | purpose |\n|---|---|---|\n" + "\n".join(rows)
        for tag, rows in by_tag.items()
    ]
    return head + "\n\n".join(tables) + "\n"
