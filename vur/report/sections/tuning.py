"""Section on hyperparameter optimisation: what was tried, what it gained, and how much of the gain is real."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from vur.forecasters.registry import algorithm_name
from vur.report.figures import LIGHT, label, layout_of, legend, names_axis, value_axis, values_of
from vur.report.sections import Block, Facts, Part
from vur.report.tables import say, table
from vur.scoring.metrics import METRICS
from vur.stages.training.tuning import Tuning
from vur.text import translate
from vur.wording import digits_for, number, percent

SHOWN = 50  # trials in the table
# What a network takes where a searched parameter is not given; all others are chosen from the data.
UNSET = {"hidden_units": "layers", "learning_rate": "optimizer"}


@dataclass(frozen=True)
class Found:
    """The tunings of a training, the winner, and whether a held-out test confirmed it."""

    tunings: tuple[Tuning, ...]
    winner: str
    tested: bool


def collect(facts: Facts) -> Found | None:
    """The tunings of the training; None if nothing was optimised."""
    tunings = tuple(getattr(facts.training, "tunings", ()))
    if not tunings:
        return None
    return Found(tunings, facts.training.winner, len(getattr(facts.training, "test_scores", ())) > 0)


def part(found: Found, language: str) -> Part:
    """Sentences on each search and how to read them; history, importances and best trials of each."""

    def t(key: str, **values: Any) -> str:
        return translate(f"tuning.report.{key}", language, **values)

    sentences = [sentence for tuning in found.tunings for sentence in search_sentences(tuning, language)]
    winners = {f"{tuning.candidate}-tuned" for tuning in found.tunings if tuning.improved}
    if winners:
        test = ("tested" if found.winner in winners else "tested_other") if found.tested else "untested"
        sentences.append(f"{t('optimistic')} {t(test)}")
    blocks = [block for tuning in found.tunings if tuning.trials for block in search_blocks(tuning, language)]
    return Part(t("title"), sentences, blocks)


def search_sentences(tuning: Tuning, language: str) -> list[str]:
    """What was tried, what was gained, and why the search stopped early, if it did."""

    def t(key: str, **values: Any) -> str:
        return translate(f"tuning.report.{key}", language, **values)

    name, metric = (
        algorithm_name(tuning.candidate, language),
        translate(f"report.metric.{tuning.metric}.short", language),
    )
    digits = digits_for([tuning.value or 0.0]) + 1
    states = [trial.state for trial in tuning.trials]
    first = t(
        "tried",
        algorithm=name,
        count=number(len(states), language, 0),
        method=t(f"method.{tuning.method}"),
        pruned=number(states.count("pruned"), language, 0),
        failed=number(states.count("failed"), language, 0),
    )
    if tuning.value is None:
        return [" ".join([t("nothing", algorithm=name), *(say(note, language) for note in tuning.notes)])]
    values = {
        "metric": metric,
        "value": number(tuning.value, language, digits),
        "default": number(tuning.default_value, language, digits),
    }
    if not tuning.improved:
        gained = t("kept", **values)
    elif tuning.gain is None:
        gained = t("found", **values)
    else:
        gained = t("gained", gain=percent(tuning.gain, language), **values)
        honest = tuning.honest_gain
        if honest is not None:
            gained += " " + (
                t("honest", gain=percent(honest, language))
                if honest >= 0.0005
                else t("luck", gain=percent(-honest, language))
            )
    return [" ".join([first, gained, *(say(note, language) for note in tuning.notes)])]


def search_blocks(tuning: Tuning, language: str) -> list[Block]:
    """History, importances and best trials of one search."""

    def t(key: str, **values: Any) -> str:
        return translate(f"tuning.report.{key}", language, **values)

    name = algorithm_name(tuning.candidate, language)
    blocks = [Block(t("history", algorithm=name), t("history.text"), history_spec(tuning, language))]
    if tuning.importances:
        blocks.append(Block(t("importance", algorithm=name), t("importance.text"), importance_spec(tuning, language)))
    return [*blocks, Block(t("best", algorithm=name), "", None, best_table(tuning, language), folded=True)]


def history_spec(tuning: Tuning, language: str = "en") -> dict[str, Any]:
    """The score of each trial, the best so far as a step line, and the default as a dotted line.

    Failed trials have no point.
    """
    rows = tuning.table()
    whole, pruned = rows[rows["state"] == "complete"], rows[rows["state"] == "pruned"]
    metric = translate(f"report.metric.{tuning.metric}.short", language)

    def points(table: Any, key: str, color: str, symbol: str) -> dict[str, Any]:
        return {
            "type": "scatter",
            "mode": "markers",
            "name": translate(f"tuning.report.state.{key}", language),
            "x": table["number"].tolist(),
            "y": values_of(table["value"]),
            "marker": {"color": color, "size": 7, "symbol": symbol},
            "text": [
                parameters_text({k: row[k] for k in tuning.space}, language, markup=True)
                for row in table.to_dict("records")
            ],
            "hovertemplate": "%{text}<br>%{y:,.4~r}<extra></extra>",
        }

    data = [points(whole, "complete", LIGHT["naive"], "circle")]
    data += [points(pruned, "pruned", LIGHT["bad"], "x-thin-open")] if len(pruned) else []
    data.append(
        {
            "type": "scatter",
            "mode": "lines",
            "name": translate("tuning.report.so_far", language),
            "x": rows["number"].tolist(),
            "y": values_of(rows["best"]),
            "line": {"color": LIGHT["forecast"], "width": 2.4, "shape": "hv"},
            "hoverinfo": "skip",
        }
    )
    if tuning.default_value is not None:
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": translate("tuning.report.default", language),
                "hoverinfo": "skip",
                "x": [0, int(rows["number"].iloc[-1])],
                "y": values_of([tuning.default_value] * 2),
                "line": {"color": LIGHT["history"], "width": 1.4, "dash": "dot"},
            }
        )
    layout = layout_of(
        language,
        300,
        showlegend=True,
        legend=legend(),
        hovermode="closest",
        xaxis=value_axis(language, title=translate("tuning.report.trial", language), showgrid=False, tickformat="d"),
        yaxis=value_axis(language, title=metric, tickformat=",~r", range=_span(whole["value"], tuning.default_value)),
    )
    return {"data": data, "layout": layout}


def _span(values: Any, default: float | None) -> list[float] | None:
    """A vertical range that a few very bad trials do not stretch.

    It is the median plus or minus three times its distance to the upper quartile, within the values.
    """
    shown = np.array([*values, *([] if default is None else [default])], dtype=float)
    if len(shown) < 8:
        return None
    low, middle, high = np.percentile(shown, [0, 25, 75])
    worst = np.percentile(shown, [100])[0]
    first, third = middle - 3 * (high - middle), high + 3 * (high - middle)
    bottom, top = max(low, first), min(worst, third)
    pad = 0.06 * (top - bottom) or abs(top) * 0.01 or 1.0
    return [float(bottom - pad), float(top + pad)]


def importance_spec(tuning: Tuning, language: str = "en") -> dict[str, Any]:
    """One bar per parameter: its share of the variation between trials."""
    shares = list(tuning.importances.items())[::-1]
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": values_of([100 * share for _, share in shares]),
        "y": list(range(len(shares))),
        "marker": {"color": LIGHT["forecast"]},
        "text": [percent(share, language, 0) for _, share in shares],
        "textposition": "outside",
        "cliponaxis": False,
        "hoverinfo": "none",
        "textfont": {"color": LIGHT["text"]},
    }
    layout = layout_of(
        language,
        60 + 28 * len(shares),
        bargap=0.35,
        xaxis=value_axis(language, visible=False, range=[0, 115 * max(share for _, share in shares)]),
        yaxis=names_axis(language, [name for name, _ in shares]),
    )
    return {"data": [bars], "layout": layout}


def best_table(tuning: Tuning, language: str) -> dict[str, Any]:
    """The best complete trials and the default, with their parameters; the first row is highlighted."""

    def t(key: str) -> str:
        return translate(f"tuning.report.{key}", language)

    rows = tuning.table()
    ascending = METRICS[tuning.metric].lower_is_better
    whole = rows[rows["state"] == "complete"].sort_values("value", ascending=ascending, kind="stable")
    shown = whole[(np.arange(len(whole)) < SHOWN) | (whole["number"] == 0)]
    digits = digits_for(shown["value"]) + 1
    metric = translate(f"report.metric.{tuning.metric}.short", language)
    columns = [(t("trial"), "number"), (metric, "number"), (t("parameters"), "text"), (t("seconds"), "number")]
    lines = [
        [
            t("default") if row["number"] == 0 else number(row["number"], language, 0),
            number(row["value"], language, digits),
            parameters_text({name: row[name] for name in tuning.space}, language),
            number(row["seconds"], language, 1),
        ]
        for row in shown.to_dict("records")
    ]
    return table(columns, lines, [0])


def parameters_text(parameters: dict[str, Any], language: str, markup: bool = False) -> str:
    """`alpha = 2.43, model = STM`; with `markup` safe inside Plotly text."""

    def written(name: str, value: Any) -> str:
        if value is None or isinstance(value, float) and np.isnan(value):
            return translate(f"tuning.report.{UNSET.get(name, 'auto')}", language)
        if isinstance(value, (bool, np.bool_)):
            return translate("tuning.report.yes" if value else "tuning.report.no", language)
        if isinstance(value, (int, float, np.integer, np.floating)):
            whole = float(value).is_integer()
            return number(float(value), language, 0 if whole else max(digits_for([float(value)]), 2))
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

    text = ", ".join(f"{name} = {written(name, value)}" for name, value in parameters.items())
    return label(text, 120) if markup else text
