"""Coverage by step: verdicts, sentences and the report section, with many values and with few."""

import json

import numpy as np
import pandas as pd
import pytest
from builders import fold_rows

from vur.errors import VurError
from vur.report.figures import LIGHT
from vur.report.plots import MOST_MARKS, coverage_spec
from vur.report.sections.coverage import Found, part
from vur.scoring.coverage import coverage_by_step, coverage_sentences, shared_misses, step_list, wilson
from vur.text import LANGUAGES

pytestmark = pytest.mark.slow


def bands(
    series: int = 60, folds: int = 6, horizon: int = 8, width: float = 1.2816, late: float = 1.0, seed: int = 0
) -> pd.DataFrame:
    """Normal errors with 80% intervals of half `width` and 95% intervals; from step 5 errors grow by `late`."""
    frame = fold_rows(series, folds, horizon)
    y = np.random.default_rng(seed).normal(size=len(frame)) * np.where(frame["step"] > 4, late, 1.0)
    return frame.assign(y=y, forecast=0.0, **{"lo-80": -width, "hi-80": width, "lo-95": -1.96, "hi-95": 1.96})


def test_realised_coverage_is_counted_step_by_step():
    rows = bands(series=2, folds=1, horizon=2).assign(y=[0.0, 5.0, 0.0, -1.5])
    table = coverage_by_step(rows, (80, 95)).set_index(["level", "step"])
    assert table["realised"].to_dict() == {(80, 1): 100.0, (80, 2): 0.0, (95, 1): 100.0, (95, 2): 50.0}
    assert (table["low"] <= table["realised"]).all() and (table["realised"] <= table["high"]).all()


def test_steps_that_fail_are_flagged():
    table = coverage_by_step(bands(late=2.0), (80, 95))
    verdicts = table.pivot(index="level", columns="step", values="verdict")
    assert (verdicts.loc[:, 1:4] == "holds").all(axis=None) and (verdicts.loc[:, 5:8] == "narrow").all(axis=None)
    for language in LANGUAGES:
        assert "5–8" in coverage_sentences(table, language)[0] and len(coverage_sentences(table, language)) == 2
    assert (coverage_by_step(bands(width=4.0), (80,))["verdict"] == "wide").all()


def test_correlated_misses_count_less():
    cluster = pd.Series(np.repeat(np.arange(40), 5))
    together = pd.Series(np.repeat(np.random.default_rng(0).integers(0, 2, 40), 5))
    alone = pd.Series(np.random.default_rng(1).integers(0, 2, 200))
    assert shared_misses(together, cluster) == pytest.approx(1.0) and shared_misses(alone, cluster) < 0.15
    assert shared_misses(alone, pd.Series(np.arange(200))) == 0.0


def test_wilsons_interval_contains_the_share_and_narrows():
    assert wilson(0.8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-3)  # 8 of 10, as in textbooks
    assert wilson(1.0, 9)[1] == 1.0 and wilson(0.0, 9)[0] == 0.0
    assert wilson(0.8, 1000)[0] > 0.77


@pytest.mark.parametrize(
    ("language", "claim", "doubt"),
    [("en", "hold at all", "so few values"), ("pt-BR", "se mantêm em todos", "tão poucos valores")],
)
def test_few_values_prove_nothing(language, claim, doubt):
    many, few = (coverage_sentences(coverage_by_step(bands(series=k), (80,)), language) for k in (60, 1))
    assert claim in many[0] and len(many) == 1
    assert claim not in few[0] and doubt in few[0] and len(few) == 2


def test_steps_in_words_and_a_missing_level():
    assert (
        step_list(pd.Series([12, 3, 5, 6, 7]), "en") == "3, 5–7 and 12"
        and step_list(pd.Series([2, 3]), "pt-BR") == "2–3"
    )
    with pytest.raises(VurError, match="hi-99") as caught:
        coverage_by_step(bands(), (99,))
    assert "Faltam" in caught.value.text("pt-BR")
    with pytest.raises(VurError, match="100"):
        coverage_by_step(bands(), (100,))


@pytest.mark.parametrize("horizon", [8, MOST_MARKS + 10])
def test_the_figure_shows_every_step_in_colours_that_dark_mode_knows(horizon):
    table = coverage_by_step(bands(series=5, folds=2, horizon=horizon), (80, 95))
    figure = coverage_spec(table)
    text = json.dumps(figure)
    named = [trace for trace in figure["data"] if trace.get("name")]
    assert len(named) == 2 and all(len(trace["y"]) == horizon for trace in named)
    assert ("error_y" in text) == (horizon <= MOST_MARKS)
    assert {trace["marker"]["color"] for trace in named} <= set(LIGHT.values())
    low, high = figure["layout"]["xaxis"]["range"]
    assert low == 0.5 and high == horizon + 0.5


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_section_marks_the_steps_that_fail(language):
    table = coverage_by_step(bands(late=2.0), (80, 95))
    block = part(Found(table), language).blocks[0]
    assert len(block.table["rows"]) == 16 and block.folded
    assert sum("narrow" == verdict for verdict in table["verdict"]) == 8
    assert json.dumps(block.table, default=str).count({"en": "too narrow", "pt-BR": "estreito demais"}[language]) == 8
