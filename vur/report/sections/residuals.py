"""TODO vur.report.sections.residuals"""

from typing import Any

import numpy as np

from vur.report import plots
from vur.report.context import ReportContext
from vur.wording import number

# --- residuals, drivers, recipe ---


def residuals(context: ReportContext, language: str) -> dict[str, Any] | None:
    """The residual checks in words, with the autocorrelation and the spread of the errors."""
    from vur.explain.residuals import residual_checks, residual_sentences

    checks = context.checks
    if checks is None and context.residuals is not None and len(context.residuals):
        checks = residual_checks(context.residuals, context.freq.season)
    if not checks or not checks["checks"]:
        return None
    figures = {}
    if len(checks["acf"]) > 1:
        figures["plot-acf"] = plots.acf_spec(checks["acf"], language)
    if checks["n"] >= 10:
        figures["plot-errors"] = plots.error_histogram_spec(np.asarray(checks["scaled"]), language)
    return {
        "sentences": residual_sentences(checks, language),
        "n": number(checks["n"], language, 0),
        "figures": figures,
    }
