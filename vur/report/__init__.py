"""The report of a run: one self-contained HTML page for readers who do not write code; it needs no network."""

import importlib.util
import json
from pathlib import Path
from typing import Any

from vur.report.context import ReportContext
from vur.text import LANGUAGES, translate


def script_json(value: Any) -> str:
    """JSON that is safe inside a `<script>` element, whatever text it contains."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return (
        text.replace("<", "\\u003c")
        .replace(">", "\\u003e")
        .replace("&", "\\u0026")
        .replace("\u2028", "\\u2028")
        .replace("\u2029", "\\u2029")
    )


def plotly_source() -> str:
    """The JavaScript of the installed plotly package, located without importing it."""
    spec = importlib.util.find_spec("plotly")
    assert spec and spec.submodule_search_locations, "plotly is a dependency of VUR"
    source = Path(spec.submodule_search_locations[0], "package_data", "plotly.min.js").read_text(encoding="utf-8")
    return source.replace("</script", "<\\/script")


def render_report(context: ReportContext, path: Path | str, language: str = "en") -> Path:
    """Write the report page of a training to `path` and return the path.

    Raises `KeyError` for a language that VUR does not have.
    """
    from vur.report.page import page

    if language not in LANGUAGES:
        raise KeyError(f"no report in {language!r}: choose among {', '.join(LANGUAGES)}")
    return write_page(page(context, language), path, language)


def write_page(content: dict[str, Any], path: Path | str, language: str) -> Path:
    """Write a page with these values (`vur.report.page.page_values`) to `path` and return the path."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates", encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["t"] = lambda key, **values: translate(f"report.{key}", language, **values)
    text = environment.get_template("report.html.j2").render(
        page=content,
        language=language,
        figures=Markup(script_json(content["figures"])),
        plotly=Markup(plotly_source()),
        settings=Markup(script_json({"language": language, "theme": content["theme"], "locale": content["locale"]})),
    )
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
