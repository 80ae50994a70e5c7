"""Section on the errors of past tests: bias, autocorrelation, season and distribution."""

import numpy as np

from vur.explain.residuals import residual_checks, residual_sentences
from vur.report import plots
from vur.report.context import ReportContext
from vur.report.sections import Part
from vur.report.tables import speaker
from vur.wording import number


def part(found: ReportContext, language: str) -> Part | None:
    """The residual checks in words, with the autocorrelation and a histogram of the errors."""
    checks = found.checks
    if checks is None and found.residuals is not None and len(found.residuals):
        checks = residual_checks(found.residuals, found.freq.season)
    if not checks or not checks["checks"]:
        return None
    figures = {}
    if len(checks["acf"]) > 1:
        figures["plot-acf"] = plots.acf_spec(checks["acf"], language)
    if checks["n"] >= 10:
        figures["plot-errors"] = plots.error_histogram_spec(np.asarray(checks["scaled"]), language)
    content = {"sentences": residual_sentences(checks, language), "n": number(checks["n"], language, 0)}
    return Part(speaker(language)("nav.errors"), content=content, figures=figures)
