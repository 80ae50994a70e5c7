"""Fixtures of the pages' tests: `site` is the whole of `vur up`, `visit` opens a page in Chromium as somebody."""

from pages_site import chromium, site, visit  # noqa: F401
