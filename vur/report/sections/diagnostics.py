"""Section on SARIMAX and Prophet models: residual checks, coefficients and forecast components."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from vur.errors import VurError
from vur.frequency import Frequency
from vur.panel import Panel
from vur.report.clock import in_model_time, on_clock
from vur.report.figures import LIGHT, label, layout_of, stamps_of, time_axis, value_axis, values_of
from vur.report.plots import acf_spec
from vur.report.sections import Block, Facts, Part, attempt, failure_text
from vur.report.tables import table
from vur.text import translate
from vur.wording import digits_for, listing, number, stamp

MOST_ROWS = 600


@dataclass(frozen=True)
class Found:
    """Diagnostics of a SARIMAX model and components of a Prophet model (None without one), and errors on the way.

    `member`: they belong to a member of an ensemble. `rival`: SARIMAX did not win and was estimated for this section
    with its `default`, `given` or `tuned` parameters. `prepared`: units are those of the target after preprocessing.
    `missing`: the covariate whose future values are missing.
    """

    sarimax: Any
    prophet: pd.DataFrame | None
    series: str
    freq: Frequency
    member: bool = False
    rival: str = ""
    prepared: bool = False
    missing: str = ""
    failures: tuple[Exception, ...] = ()


def collect(facts: Facts) -> Found | None:
    """Diagnostics of SARIMAX and Prophet on the largest series.

    They cover the winner, members of a winning ensemble, and a SARIMAX candidate that did not win; None without any of
    them.
    """
    pipeline: Any = getattr(facts.training, "pipeline", None)
    forecaster, ends = getattr(pipeline, "forecaster", None), getattr(pipeline, "ends", None)
    if forecaster is None or ends is None:
        return None
    models = {
        model.id: model
        for model in reversed(member_models(forecaster))
        if any(one.state["kind"] == model.id for one in model.fitted)
    }
    kind, parameters = ("", {}) if "sarimax" in models else sarimax_candidate(facts)
    if not models and not kind:
        return None
    failures: list[Exception] = []
    panel = in_model_time(facts.panel, ends)
    prepared = attempt(lambda: pipeline.preprocessor.transform(panel), None, failures)
    if prepared is None:
        return Found(None, None, "", panel.freq, failures=tuple(failures))
    model = (
        attempt(lambda: refit_sarimax(pipeline, prepared, parameters), None, failures)
        if kind
        else models.get("sarimax")
    )
    sarimax = attempt(lambda: _sarimax(model, prepared), None, failures)
    parts, series, missing = attempt(
        lambda: _prophet(models.get("prophet"), prepared, pipeline, facts), (None, "", ""), failures
    )
    if sarimax is None and parts is None and not failures:
        return None
    return Found(
        sarimax,
        None if parts is None else on_clock(parts, panel.tz, panel.freq),
        series,
        panel.freq,
        bool(models) and forecaster.id not in models,
        kind,
        _differs(panel, prepared),
        missing,
        tuple(failures),
    )


def sarimax_candidate(facts: Facts) -> tuple[str, dict[str, Any]]:
    """The origin (`default, given, tuned`) and the parameters of the best SARIMAX on the leaderboard.

    `("", {})` without one, and after Ctrl-C, since another fit would delay the end of the run.
    """
    training = facts.training
    board = getattr(training, "leaderboard", None)
    if board is None or "rank" not in board or getattr(training, "interrupted", False):
        return "", {}
    given = facts.parameters.get("sarimax", {})
    known = {"sarimax": ("given" if given else "default", given)}
    for tuning in getattr(training, "tunings", ()):
        if tuning.algorithm == "sarimax":
            known[f"{tuning.candidate}-tuned"] = ("tuned", tuning.parameters)
    return next((known[name] for name in board.loc[board["rank"].notna(), "algorithm"] if name in known), ("", {}))


def refit_sarimax(pipeline: Any, prepared: Panel, parameters: dict[str, Any]) -> Any:
    """SARIMAX fitted on all data of the largest series, with the features of the run; None if it falls back."""
    from vur.explain.drivers import largest_series
    from vur.forecasters.base import create

    name = largest_series(prepared.frame, 1)
    one = prepared.with_frame(prepared.frame[prepared.frame["unique_id"].isin(name)].reset_index(drop=True))
    model = create("sarimax", features=pipeline.features, seed=pipeline.seed, **parameters).fit(one)
    return model if model.fallbacks.empty else None


def member_models(forecaster: Any) -> list[Any]:
    """The SARIMAX and Prophet models in a forecaster: itself or its members, in their order."""
    if forecaster is None:
        return []
    members = getattr(forecaster, "members", None)
    if members is not None:
        return [model for member in members for model in member_models(member)]
    return [forecaster] if forecaster.id in ("sarimax", "prophet") else []


def _differs(panel: Panel, prepared: Panel) -> bool:
    """Whether preprocessing changed observed values, so that the model's units are not those of the data."""
    both = (
        panel.frame[["unique_id", "ds", "y"]]
        .merge(prepared.frame[["unique_id", "ds", "y"]], on=["unique_id", "ds"])
        .dropna()
    )
    return not both.empty and float(np.isclose(both["y_x"], both["y_y"]).mean()) < 0.5


def _sarimax(model: Any, prepared: Panel) -> Any:
    from vur.explain.diagnostics import sarimax_diagnostics

    return None if model is None else sarimax_diagnostics(model, prepared)


def _prophet(model: Any, prepared: Panel, pipeline: Any, facts: Facts) -> tuple[pd.DataFrame | None, str, str]:
    """Components of the largest series, its name, and the covariate whose future values are missing, if any."""
    from vur.explain.diagnostics import choose_series, prophet_components
    from vur.stages.model.pipeline import coming_rows

    if model is None:
        return None, "", ""
    series = model.ids[choose_series(model, prepared, None, "prophet")]
    horizon = int((facts.forecast["unique_id"] == series).sum() + pipeline.behind.get(series, 0))
    future = coming_rows(pipeline, max(horizon, 1), None)
    try:
        return prophet_components(model, series, horizon, prepared, future), series, ""
    except VurError as error:
        if error.code != "regression.future_missing":
            raise
        return prophet_components(model, series, 0, prepared), series, str(error.data["column"])


def part(found: Found, language: str) -> Part:
    """Sentences on the errors, their autocorrelation and quantiles, coefficients, and the components of Prophet."""

    def t(key: str, **values: Any) -> str:
        return translate(f"diagnostics.{key}", language, **values)

    sentences = [t("failed", message=failure_text(error, language)) for error in found.failures]
    sentences += [t("member")] if found.member else []
    if found.rival and found.sarimax is not None:
        sentences.append(t(f"rival.{found.rival}", series=found.sarimax.series))
    sentences += [t("prepared")] if found.prepared else []
    blocks = sarimax_blocks(found.sarimax, language) if found.sarimax is not None else []
    if found.prophet is not None:
        blocks += prophet_blocks(found, found.prophet, language)
    return Part(t("title"), sentences, blocks)


def sarimax_blocks(found: Any, language: str) -> list[Block]:
    """The model with its coefficients, the autocorrelation of its errors, and a normal Q–Q plot."""
    from vur.explain.diagnostics import effect_sentences, parameter_label, probability, sarimax_sentences, verdicts

    def t(key: str) -> str:
        return translate(f"diagnostics.{key}", language)

    rows = [
        [
            parameter_label(row.name, language),
            number(row.estimate, language),
            number(row.error, language),
            number(row.z, language, 2),
            p_value_text(probability(row.p_value, language)) if np.isfinite(row.p_value) else "–",
        ]
        for row in found.parameters.itertuples()
    ]
    columns = [
        (t("column.parameter"), "text"),
        *((t(f"column.{name}"), "number") for name in ("estimate", "error", "z", "p")),
    ]
    said = [sentence for _, sentence in verdicts(found, language)]
    related = len(said) - 2
    head = " ".join([sarimax_sentences(found, language)[0], *effect_sentences(found, language)])
    return [
        Block(t("coefficients"), head, None, table(columns, rows)),
        Block(t("acf"), " ".join(said[:related]), acf_spec(found.acf, language)),
        Block(
            t("qq"),
            " ".join(said[related:]),
            qq_spec(found.residuals["residual"].to_numpy(), language),
            tests_table(found.tests, language),
            True,
        ),
    ]


def p_value_text(probability: str) -> str:
    """`0.03` or `< 0.001` from `p = 0.03` or `p < 0.001`, for a column titled p-value."""
    return probability.removeprefix("p = ").removeprefix("p ")


def tests_table(tests: pd.DataFrame, language: str) -> dict[str, Any]:
    """Statistic, degrees of freedom and p-value of each test."""
    from vur.explain.diagnostics import probability

    def t(key: str, **values: Any) -> str:
        return translate(f"diagnostics.{key}", language, **values)

    rows = [
        [
            t(f"test.{row.test}", lags=number(row.lags, language, 0)),
            number(row.statistic, language, 2),
            number(row.degrees, language, 0),
            p_value_text(probability(row.p_value, language)),
        ]
        for row in tests.itertuples()
    ]
    return table(
        [
            (t("column.test"), "text"),
            (t("column.statistic"), "number"),
            (t("column.degrees"), "number"),
            (t("column.p"), "number"),
        ],
        rows,
    )


def qq_spec(errors: np.ndarray, language: str = "en") -> dict[str, Any]:
    """Sorted standardised errors against normal quantiles; normally distributed errors lie on the line."""
    from scipy.stats import norm

    found = np.sort(errors[np.isfinite(errors)])
    normal = norm.ppf((np.arange(len(found)) + 0.5) / len(found))
    kept = np.unique(np.linspace(0, len(found) - 1, min(len(found), 300)).astype(int))
    reach = [float(normal[0]), float(normal[-1])]
    line = {
        "type": "scatter",
        "mode": "lines",
        "x": reach,
        "y": reach,
        "line": {"color": LIGHT["naive"], "width": 1.4},
        "hoverinfo": "skip",
    }
    dots = {
        "type": "scatter",
        "mode": "markers",
        "x": values_of(normal[kept]),
        "y": values_of(found[kept]),
        "marker": {"color": LIGHT["forecast"], "size": 5, "line": {"width": 0}},
        "hovertemplate": "%{x:.2f}: %{y:.2f}<extra></extra>",
    }
    layout = layout_of(
        language,
        300,
        xaxis=value_axis(language, title=translate("diagnostics.plot.normal", language), nticks=7),
        yaxis=value_axis(language, title=translate("diagnostics.plot.error", language), nticks=7),
    )
    return {"data": [line, dots], "layout": layout}


def component_name(name: str, language: str) -> str:
    """The display name of a component; a covariate keeps its name."""
    from vur.explain.diagnostics import parameter_label

    known = ("trend", "yearly", "weekly", "daily", "season", "holidays", "forecast")
    return translate(f"diagnostics.component.{name}", language) if name in known else parameter_label(name, language)


def prophet_blocks(found: Found, parts: pd.DataFrame, language: str) -> list[Block]:
    """The components as stacked panels, and their values over the horizon (or the last steps)."""
    names = [name for name in parts if name not in ("ds", "past", "forecast")]
    swings = parts[names].max() - parts[names].min()
    largest = [
        component_name(name, language)
        for name in swings.drop("trend").sort_values(ascending=False, kind="stable").index
    ]
    key = ("none", "one")[len(largest)] if len(largest) < 2 else "several"
    text = translate(f"diagnostics.components.{key}", language, series=found.series, names=listing(largest, language))
    if found.missing:
        text += " " + translate("diagnostics.future", language, column=found.missing)
    shown = parts[~parts["past"]] if (~parts["past"]).any() else parts.tail(24)
    digits = digits_for(shown["forecast"])
    rows = [
        [
            stamp(row["ds"], found.freq, language),
            *(number(row[name], language, digits) for name in [*names, "forecast"]),
        ]
        for row in shown.head(60).to_dict("records")
    ]
    heads = [component_name(name, language) for name in [*names, "forecast"]]
    columns = [
        (translate("report.column.stamp", language), "text"),
        *((head[:1].upper() + head[1:], "number") for head in heads),
    ]
    title = translate("diagnostics.components.title", language)
    return [Block(title, text, components_spec(parts.tail(MOST_ROWS), names, language), table(columns, rows), True)]


def components_spec(parts: pd.DataFrame, names: list[str], language: str = "en", most: int = 8) -> dict[str, Any]:
    """One panel per component, past and future in two colours."""
    names, x, data = names[:most], stamps_of(parts["ds"]), []
    past, height = int(parts["past"].sum()), 1 / len(names[:most])
    layout = layout_of(
        language, 110 * len(names) + 50, xaxis=time_axis(language, pd.api.types.is_datetime64_any_dtype(parts["ds"]))
    )
    for position, name in enumerate(names):
        suffix = "" if position == 0 else str(position + 1)
        for color, rows in ((LIGHT["history"], slice(0, past)), (LIGHT["forecast"], slice(max(past - 1, 0), None))):
            data.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "x": x[rows],
                    "y": values_of(parts[name][rows]),
                    "yaxis": f"y{suffix}",
                    "hovertemplate": "%{y:,.4~r}<extra></extra>",
                    "line": {"color": color, "width": 1.5},
                }
            )
        top = 1 - position * height
        layout[f"yaxis{suffix}"] = value_axis(
            language,
            domain=[top - height * 0.8, top],
            tickformat=",~r",
            nticks=4,
            title=label(component_name(name, language), 18),
        )
    layout["xaxis"]["anchor"] = f"y{len(names)}" if len(names) > 1 else "y"
    return {"data": data, "layout": layout}
