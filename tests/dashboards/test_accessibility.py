"""Every page for everybody: axe finds nothing serious, nothing is wider than a phone, and the keyboard reaches all."""

import pytest
from pages_axe import serious
from pages_site import Visit
from samples import ROOT

from vur.dashboards.shell import ENTRIES, entries

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PAGES = [entry.name for entry in entries(ROOT / "nbs" / "dashboards")]
LOOKS = [(1280, "light", "en"), (1280, "dark", "pt-BR"), (390, "light", "pt-BR")]


def test_every_page_of_the_navigation_exists() -> None:
    assert PAGES == [entry.name for entry in ENTRIES]


@pytest.mark.parametrize(("width", "theme", "language"), LOOKS)
@pytest.mark.parametrize("page", PAGES)
def test_axe_finds_nothing_serious(visit: Visit, page: str, width: int, theme: str, language: str) -> None:
    tab = visit(page, "root", width=width, theme=theme, language=language)
    tab.wait_for_function("() => !document.querySelector('.v-panel.v-waiting:not([hidden])')")
    assert serious(tab) == []
    wide = tab.evaluate(
        """() => [...document.querySelectorAll("#v-main *, #main *")].filter((one) =>
            one.getBoundingClientRect().right > innerWidth + 1 && !one.closest(".v-scroll, pre, .v-tabs, svg"))
            .slice(0, 3).map((one) => one.outerHTML.slice(0, 120))"""
    )
    assert tab.evaluate("document.documentElement.scrollWidth") <= width, wide
    assert tab.evaluate("[...document.querySelectorAll('h1')].filter((one) => one.checkVisibility()).length") == 1


def test_the_login_is_for_everybody_too(visit: Visit) -> None:
    tab = visit("dashboard", None, width=390, language="pt-BR")
    assert serious(tab) == []
    tab.keyboard.type("ana@example.com")
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.name") == "password"


def test_the_keyboard_skips_to_the_content(visit: Visit) -> None:
    tab = visit("dashboard", "vera")
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "v-skip"
    tab.keyboard.press("Enter")
    assert tab.evaluate("location.hash") == "#v-main"
