"""Write README.md from nbs/index.ipynb (code, text and text-like outputs)."""

import re
import sys
from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter

ROOT = Path(__file__).parents[1]


def readme() -> str:
    """The index notebook as Markdown; cells that start with `#| hide` are left out, frames stay HTML tables."""
    notebook = nbformat.read(ROOT / "nbs" / "index.ipynb", as_version=4)
    notebook.metadata["language_info"] = {"name": "python"}
    notebook.cells = [cell for cell in notebook.cells if not cell.source.startswith("#| hide")]
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    body, _ = MarkdownExporter().from_notebook_node(notebook)
    body = re.sub(r"""(["'(])\.\./""", r"\1", body)  # a notebook runs in its folder, the README is read in the root
    body = re.sub(r"<style scoped>.*?</style>\n?", "", body, flags=re.S)
    body = re.sub(r"[ \t]+$", "", body, flags=re.M)
    return (
        "<!-- Made from nbs/index.ipynb by `make readme`; edit there. -->\n"
        + re.sub(r"\n{3,}", "\n\n", body).strip()
        + "\n"
    )


if __name__ == "__main__":
    text, path = readme(), ROOT / "README.md"
    if "--check" in sys.argv:
        sys.exit(
            0
            if path.read_text(encoding="utf-8") == text
            else "README.md differs from nbs/index.ipynb: run `make readme`"
        )
    path.write_text(text, encoding="utf-8")
