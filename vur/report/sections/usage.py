"""Section on how to use the saved model."""

import shlex

from vur.report.context import ReportContext
from vur.report.sections import Part
from vur.report.tables import speaker


def part(found: ReportContext, language: str) -> Part:
    """How to forecast with the saved model, on the command line and in Python."""
    name, horizon = str(found.model.get("name") or found.run.get("name") or "NAME"), found.horizon
    shell = f"vur forecast {shlex.quote(name)} --horizon {horizon} --out forecast.csv"
    python = f"import vur\n\nforecast = vur.forecast({name!r}, horizon={horizon})"
    content = {"shell": shell, "python": str(found.model.get("snippet") or python)}
    return Part(speaker(language)("nav.use"), content=content)
