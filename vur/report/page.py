"""The parts of the report page a reader meets first: headline, forecast and accuracy; `page` puts all parts together."""

from typing import Any

from vur.hierarchy import counted_once
from vur.report import plots
from vur.report.context import ReportContext
from vur.report.sections import written_parts
from vur.report.sections.accuracy import accuracy, intervals, worst
from vur.report.sections.data import data_part, findings
from vur.report.sections.drivers import drivers_part
from vur.report.sections.forecast import forecast_part
from vur.report.sections.headline import _tests, head, hero, tiles
from vur.report.sections.method import recipe, usage
from vur.report.sections.residuals import residuals as residuals_part
from vur.report.summary import (
    expected,
    trust,
)
from vur.report.tables import speaker
from vur.text import translate


def page(context: ReportContext, language: str) -> dict[str, Any]:
    """Everything the template prints; `figures` holds the Plotly descriptions by element id."""
    t = speaker(language)
    found = getattr(getattr(context.extras.get("hierarchy"), "reconciler", None), "hierarchy", None)
    history, forecast, residuals = (
        counted_once(frame, found) for frame in (context.history, context.forecast, context.residuals)
    )
    facts = expected(history, forecast, context.freq, context.data, residuals)
    confidence = trust(context.leaderboard, context.winner, context.metric, _tests(context), context.test_scores)
    parts: dict[str, Any] = {
        "head": head(context, language),
        "hero": hero(context, facts, confidence, language),
        "tiles": tiles(context, facts, confidence, language),
        "forecast": forecast_part(context, language),
        "accuracy": accuracy(context, language),
        "intervals": intervals(context, language),
        "data": data_part(context, language),
        "findings": findings(context, language),
        "residuals": residuals_part(context, language),
        "worst": worst(context, language),
        "drivers": drivers_part(context, language),
        "recipe": recipe(context, language),
        "usage": usage(context, language),
        "parts": written_parts(context.extras, language),
    }
    parts["figures"] = {
        id: spec for part in parts.values() if isinstance(part, dict) for id, spec in part.pop("figures", {}).items()
    }
    parts["theme"] = [[plots.LIGHT[name], plots.DARK[name]] for name in plots.LIGHT]
    parts["locale"] = {
        "months": translate("report.date.months", language).split(),
        "days": t("date.days").split(),
        "reset": t("plot.reset"),
        "zoom": t("plot.zoom"),
        "image": t("plot.image"),
        "pan": t("plot.pan"),
    }
    return parts
