"""The frame around every page: navigation, language and theme, and the pages that need no kernel."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from vur.languages import DEFAULT_LANGUAGE, LANGUAGES
from vur.settings import settings
from vur.text import translate

TEMPLATES = Path(__file__).parent / "templates"
STATIC = Path(__file__).parent / "static"
ROLES = ("viewer", "analyst", "admin")


@dataclass(frozen=True)
class Entry:
    """A page in the navigation: its name (of its notebook and its texts), the least role that sees it, its icon."""

    name: str
    role: str
    icon: str  # path of an SVG, 24 by 24


ENTRIES = (
    Entry("dashboard", "viewer", "M3 13h5v8H3zM10 8h5v13h-5zM17 3h4v18h-4z"),
    Entry("forecasts", "viewer", "M3 17l6-7 4 4 7-9 1.5 1.2L13.2 17 9 12.8 4.5 18.2z"),
    Entry("pipeline", "analyst", "M4 4h7v5H9v6h4v-2h7v7h-7v-3H7V9H4z"),
    Entry("machines", "viewer", "M4 21V9l6 4V9l6 4V3h4v18z"),
    Entry("monitoring", "viewer", "M2 12h5l3-8 4 15 3-7h5v2h-3.7l-4.4 9L9.8 8.4 8.4 14H2z"),
    Entry("data", "viewer", "M4 4h16v4H4zM4 10h16v4H4zM4 16h16v4H4z"),
)


def entries(notebooks: Path) -> tuple[Entry, ...]:
    """The pages whose notebook exists."""
    return tuple(entry for entry in ENTRIES if (notebooks / f"{entry.name}.ipynb").is_file())


def allowed(entry: Entry, role: str) -> bool:
    """Whether `role` may open a page."""
    return role in ROLES and ROLES.index(role) >= ROLES.index(entry.role)


@cache
def version() -> str:
    """A name for the state of the static files, by which browsers keep them for good."""
    digest = sha256()
    for path in sorted(STATIC.rglob("*")):
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


@cache
def _templates() -> jinja2.Environment:
    return jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True)


def language_of(headers: Mapping[str, str]) -> str:
    """The first language of Accept-Language that VUR speaks, else that of the settings."""
    for part in headers.get("Accept-Language", "").split(","):
        wanted = part.partition(";")[0].strip().lower()
        for code, language in LANGUAGES.items():
            if wanted and (wanted == code.lower() or wanted in language.aliases or wanted.split("-")[0] == code):
                return code
    return settings().language if settings().language in LANGUAGES else DEFAULT_LANGUAGE


def render(template: str, language: str, base_url: str, **values: Any) -> str:
    """A page or part of a page from `templates`; `t("key")` is a text under `pages.shell`."""
    return (
        _templates()
        .get_template(template)
        .render(
            language=language,
            base_url=base_url,
            static=f"{base_url}vur/static/{version()}/",
            t=lambda key, **given: translate(f"pages.shell.{key}", language, **given),
            say=lambda key, **given: translate(key, language, **given),
            **values,
        )
    )


def frame(visitor: Any, base_url: str, page: str, pages: tuple[Entry, ...], xsrf: str, lab_url: str = "") -> str:
    """The navigation of a page for its visitor."""
    return render(
        "navigation.html",
        visitor.language,
        base_url,
        visitor=visitor,
        page=page,
        entries=[entry for entry in pages if allowed(entry, visitor.role)],
        languages=LANGUAGES,
        xsrf=xsrf,
        lab_url=lab_url if visitor.role in ("analyst", "admin") else "",
    )


def json_in_html(value: Any) -> Markup:
    """JSON that may stand inside a script element."""
    text = json.dumps(value, ensure_ascii=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))
