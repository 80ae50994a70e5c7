"""Results of a run as panels in a notebook: the components of the dashboards, and static pictures where no kernel runs.

    r = vur.run("sales.csv")
    vur.widgets.leaderboard(r)    # a table: click on a column to sort
    vur.widgets.forecast(r)       # a chart: pick the series, zoom
    vur.widgets.audit(r)          # the findings with the code of their repairs
    vur.widgets.folds(r)          # what the models were compared on
    vur.widgets.wizard()          # the Pipeline page of the dashboards, over a running service

They need the extra `lab`. A run that is finished opens again by `vur.RunResult(folder)`.
"""

from typing import TYPE_CHECKING

from vur.errors import VurError
from vur.extras import require
from vur.languages import LANGUAGES
from vur.settings import settings

if TYPE_CHECKING:
    from vur.dashboards.shown import Cells, ChartPanel, ResultPanel
    from vur.runs.result import RunResult

NEEDS = ("anywidget", "ipecharts")


def leaderboard(r: "RunResult", *, language: str | None = None) -> "ResultPanel":
    """Show the candidates of a run with their errors on the same folds, best first; a click on a column sorts.

    The chosen model is marked. Candidates without a score stand last, with the reason.

    Parameters: `r` is a run's result; `language` a code of `vur.languages`, by default that of the settings.
    Raises `VurError` runs.unfinished for a run without a leaderboard, extras.missing without the extra `lab`.

        vur.widgets.leaderboard(vur.run("sales.csv"))
    """
    spoken = _language(language, "leaderboard")
    from vur.dashboards.shown import leaderboard_panel

    return leaderboard_panel(r, spoken)


def forecast(r: "RunResult", *, series: str | None = None, language: str | None = None) -> "ChartPanel":
    """Show history and forecast of a series with its intervals; pick another series, all of the history, and zoom.

    Parameters: `r` is a run's result; `series` the one to show first, by default the largest; `language` a code of
    `vur.languages`, by default that of the settings. Raises `VurError` widgets.series for a series that was not
    forecast, runs.unfinished for a run without a forecast, extras.missing without the extra `lab`.

        vur.widgets.forecast(r, series="store 7")
    """
    spoken = _language(language, "forecast")
    from vur.dashboards.shown import forecast_panel

    return forecast_panel(r, spoken, series)


def audit(r: "RunResult", *, language: str | None = None) -> "ResultPanel":
    """Show what the audit found in the data of a run, worst first, with the code that repairs it.

    Parameters: `r` is a run's result; `language` a code of `vur.languages`, by default that of the settings. The
    sentences of the findings are in the language of the run. Raises `VurError` extras.missing without the extra `lab`.

        vur.widgets.audit(r)
    """
    spoken = _language(language, "audit")
    from vur.dashboards.shown import audit_panel

    return audit_panel(r, spoken)


def folds(r: "RunResult", *, series: str | None = None, language: str | None = None) -> "ChartPanel":
    """Show the periods that the models of a run were compared on and tested on, with the chosen model's forecasts.

    Forecasts over the folds are kept in the cache of runs; where it was cleared only the periods are shown.

    Parameters: `r` is a run's result; `series` the one to show first, by default the largest; `language` a code of
    `vur.languages`, by default that of the settings. Raises `VurError` widgets.series for an unknown series,
    extras.missing without the extra `lab`.

        vur.widgets.folds(r)
    """
    spoken = _language(language, "folds")
    from vur.dashboards.shown import folds_panel

    return folds_panel(r, spoken, series)


def wizard() -> "Cells":
    """Open the Pipeline page of the dashboards in a cell: from a file to a trained model, in seven steps.

    It speaks with a running service (`vur up`) as the user of `vur lab`, or of the personal key in the environment
    variable VUR_TOKEN, and is in the language of that account. The panels stand one below the other;
    `vur.widgets.wizard().page` has them by name, for cells of their own. Without a kernel that is running its
    picture lists the steps, as the rest is what the service holds. Raises `VurError` extras.missing without the extra
    `lab`.

        vur.widgets.wizard()
    """
    require((*NEEDS, "httpx"), "vur.widgets.wizard")
    from vur.dashboards.shown import wizard_cells

    return wizard_cells()


def _language(language: str | None, name: str) -> str:
    require(NEEDS, f"vur.widgets.{name}")
    if language is None:
        return settings().language
    if language not in LANGUAGES:
        raise VurError("widgets.language", language=language, languages=", ".join(LANGUAGES))
    return language
