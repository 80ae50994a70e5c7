"""Section on the drivers of the forecast: ensemble members, features, trend and season, decomposition."""

import re

from vur.explain.drivers import driver_sentences
from vur.forecasters.registry import algorithm_name
from vur.report import plots
from vur.report.context import ReportContext
from vur.report.sections import Part
from vur.report.tables import MAX_ROWS, speaker, table
from vur.text import table as text_table
from vur.text import translate
from vur.wording import percent


def part(found: ReportContext, language: str) -> Part | None:
    """Members, feature importance, strengths of trend and season, and the decomposition of the largest series."""
    if not found.drivers:
        return None
    t, figures, members = speaker(language), {}, found.drivers["members"]
    drivers = found.drivers | {
        "members": members.assign(algorithm=[algorithm_name(a, language) for a in members["algorithm"]])
    }
    importance = drivers["importance"]
    if len(importance):
        names = [feature_label(name, language) for name in importance["feature"]]
        figures["plot-importance"] = plots.importance_spec(importance, language, labels=names)
    if drivers.get("decomposition") is not None and len(drivers["decomposition"]):
        figures["plot-decomposition"] = plots.decomposition_spec(drivers["decomposition"], language)
    top = table(
        [(t("column.feature"), "text"), (t("column.importance"), "number")],
        [
            [feature_label(row.feature, language), percent(row.importance, language)]
            for row in importance.head(MAX_ROWS).itertuples()
        ],
    )
    owner = drivers.get("importance_of") or found.winner
    content = {
        "sentences": driver_sentences(drivers, language),
        "importance": top if len(importance) else None,
        "series": str(drivers.get("series", "")),
        "importance_note": t("driver.importance", algorithm=algorithm_name(owner, language)) if len(importance) else "",
    }
    return Part(t("nav.drivers"), content=content, figures=figures)


FEATURES = (
    (r"lag(?P<lag>\d+)", "lag"),
    (r"difference(?P<steps>\d+)", "difference"),
    (r"same_season(?P<season>\d+)_(?P<turn>\d+)", "same_season"),
    (r"(?P<wave>sin|cos)_(?P<period>[\d.]+)_(?P<k>\d+)", "fourier"),
    (r"rolling_(?P<function>[a-z]+)_lag(?P<lag>\d+)_window_size(?P<window>\d+).*", "rolling"),
    (r"seasonal_rolling_(?P<function>[a-z]+)_lag(?P<lag>\d+)_.*window_size(?P<window>\d+).*", "seasonal_rolling"),
    (r"(?P<column>.+)\[last\]", "lead_last"),
    (r"(?P<column>.+)\[mean\]", "lead_mean"),
    (r"(?P<column>.+)\[lag(?P<lag>\d+)\]", "lead_lag"),
    (r"expanding_(?P<function>[a-z]+)_lag\d+.*", "expanding"),
    (r"exponentially_weighted_mean_lag\d+_alpha(?P<alpha>[\d.]+)", "ewm"),
)


def feature_label(name: str, language: str) -> str:
    """The display name of a feature: `lag7` as `value 7 steps before`; a column of the data keeps its name."""
    key = f"report.feature.{name}"
    if key in text_table():
        return translate(key, language)
    for pattern, kind in FEATURES:
        if match := re.fullmatch(pattern, str(name)):
            words = match.groupdict()
            if f"report.function.{words.get('function')}" in text_table():
                words["function"] = translate(f"report.function.{words['function']}", language)
            kind = "rolling_lag" if kind == "rolling" and words["lag"] != "1" else kind
            return translate(f"report.feature.{kind}", language, **words)
    return str(name)
