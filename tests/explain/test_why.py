"""A forecast taken apart adds up, in numbers and in the words of both languages, whichever model made it."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from builders import daily_sales, panel_of

from vur.errors import VurError
from vur.explain.components import path_of, state_parts
from vur.explain.why import Explanation, explain_point, part_labels, rounded_parts
from vur.frequency import Frequency
from vur.panel import Panel, make_panel
from vur.report.plots import waterfall_spec
from vur.report.sections.why import Found, contribution_table, part
from vur.stages.model import Candidate
from vur.stages.model.pipeline import Pipeline
from vur.stages.preprocess.preprocessor import PreprocessSpec
from vur.text import LANGUAGES

pytestmark = pytest.mark.slow

DAILY = Frequency("D", 7, (7,))
AHEAD = pd.date_range("2023-07-01", periods=8)
STATED = {
    "ets": {"model": "AAA"},
    "theta": {},
    "holt_winters": {},
    "mstl": {},
    "ces": {},
    "croston": {},
    "sba": {},
    "tsb": {},
    "adida": {},
    "imapa": {},
    "drift": {},
    "mean": {},
    "seasonal_naive": {},
    "arima": {"order": [1, 1, 1]},
    "log_theta": {},
    "recent_theta": {},
}
TREES = {"lightgbm": {"rounds": 25}, "xgboost": {"rounds": 25}, "random_forest": {"trees": 10}}


def shops(promo: bool = False) -> Panel:
    """Two shops, 180 days: a weekly season, a slight trend and, optionally, known-future promotions worth 30."""
    effect = 30.0 if promo else 0.0
    panel = make_panel(daily_sales({"a": 100, "b": 200}, 180, 8, start="2023-01-02", trend=0.2, week=12, promo=effect))
    return replace(panel, future=panel.future.assign(promo=1)) if promo else panel


def fitted(panel: Panel, id: str, transforms: tuple[str, ...] = (), **options) -> Pipeline:
    return Pipeline(Candidate(id, id, options), preprocess=PreprocessSpec(transforms=transforms)).fit(panel)


def forecast_of(pipeline: Pipeline, panel: Panel, series: str, step: int) -> float:
    table = pipeline.predict(step, panel.future)
    return float(table.loc[table["unique_id"] == series, "forecast"].iloc[-1])


# --- the parts add up ---


@pytest.mark.parametrize("id", STATED)
def test_the_parts_of_a_statistical_model_add_up_to_its_forecast(id):
    panel = shops()
    pipeline = fitted(panel, id, **STATED[id])
    for step in (1, 8):
        found = explain_point(pipeline, panel, "b", AHEAD[step - 1])
        assert found.forecast == pytest.approx(forecast_of(pipeline, panel, "b", step), rel=1e-9)
        assert found.baseline + found.table["contribution"].sum() == pytest.approx(found.forecast, rel=1e-9)
    assert found.baseline == pytest.approx(panel.frame.query("unique_id == 'b'")["y"].tail(7).mean())


@pytest.mark.parametrize(
    ("id", "names"), [("ets", {"level", "trend", "season"}), ("theta", {"level", "trend", "season"})]
)
def test_a_state_holds_the_parts_of_its_own_forecast(id, names):
    """Level, trend and season add up to the path at every step, and the season repeats each week."""
    forecaster = fitted(shops(), id, **STATED[id]).forecaster
    parts = state_parts(forecaster.fitted[0].state, 14, 100.0)
    assert set(parts) == names
    np.testing.assert_allclose(np.sum(list(parts.values()), axis=0), path_of(forecaster, "a", 14, None), rtol=1e-9)
    if id == "ets":
        np.testing.assert_allclose(parts["season"][:7], parts["season"][7:], atol=1e-6)


@pytest.mark.parametrize("id", TREES)
def test_shap_values_add_up_and_find_the_promotion(id):
    panel = shops(promo=True)
    pipeline = fitted(panel, id, **TREES[id])
    found = explain_point(pipeline, panel, "a", AHEAD[2])
    assert found.baseline + found.table["contribution"].sum() == pytest.approx(
        forecast_of(pipeline, panel, "a", 3), rel=1e-9
    )
    assert dict(found.table.values)["covariate:promo"] > 5
    without = explain_point(pipeline, panel, "a", AHEAD[2], panel.future.assign(promo=0))
    assert dict(without.table.values)["covariate:promo"] < -5


@pytest.mark.parametrize("transforms", [("log1p",), ("difference",), ("seasonal_difference", "standard")])
def test_parts_are_in_units_of_the_target_after_any_transformation(transforms):
    panel = shops()
    pipeline = fitted(panel, "ridge", transforms)
    found = explain_point(pipeline, panel, "a", AHEAD[4])
    assert found.baseline + found.table["contribution"].sum() == pytest.approx(
        forecast_of(pipeline, panel, "a", 5), rel=1e-9
    )


def test_an_ensemble_shows_its_members_and_their_parts():
    panel = shops()
    found = explain_point(fitted(panel, "ensemble", members=["ets", "theta", "seasonal_naive"]), panel, "a", AHEAD[1])
    assert set(found.members["algorithm"]) == {"ets", "theta", "seasonal_naive"}
    assert (found.members["value"] * found.members["weight"]).sum() == pytest.approx(found.forecast)
    for language, median in (("en", "median"), ("pt-BR", "mediana")):
        assert median in " ".join(found.sentences(language))


def test_clipping_at_zero_is_a_part():
    loose = panel_of(np.linspace(30, 1, 30), start="2024-01-01")
    falling = replace(loose, nonnegative=True)
    found = explain_point(fitted(falling, "drift"), falling, "a", "2024-02-05")
    assert found.forecast == 0 and dict(found.table.values)["limits"] > 0
    assert "limits" not in set(explain_point(fitted(loose, "drift"), falling, "a", "2024-02-05").table["what"])


# --- the words ---


def shown_numbers(text: str, language: str) -> list[float]:
    """Numbers with decimals in a sentence; thousands and decimal marks as the language writes them."""
    thousands, decimal = (".", ",") if language == "pt-BR" else (",", ".")
    pattern = r"\d[\d" + re.escape(thousands) + r"]*" + re.escape(decimal) + r"\d+"
    return [float(one.replace(thousands, "").replace(decimal, ".")) for one in re.findall(pattern, text)]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("id", "step"), [("ets", 1), ("ets", 8), ("lightgbm", 3), ("theta", 5), ("seasonal_naive", 6)])
def test_the_words_name_the_greatest_part_first_and_their_numbers_add_up(id, step, language):
    panel = shops(promo=id == "lightgbm")
    found = explain_point(fitted(panel, id, **(STATED | TREES)[id]), panel, "a", AHEAD[step - 1])
    value, parts = found.sentences(language)[:2]
    forecast, gap, baseline = shown_numbers(value, language)
    assert forecast == pytest.approx(found.forecast, abs=0.051) and baseline == pytest.approx(found.baseline, abs=0.051)
    largest = found.table["contribution"].abs().idxmax()
    assert largest == 0 and parts.lower().startswith(part_labels(found, language)[0].lower())
    takes = {"en": "takes away", "pt-BR": "tira"}[language]
    signs = [-1 if word == takes else 1 for word in re.findall(r"takes away|tira|adds|acrescenta", parts)]
    numbers = shown_numbers(parts, language)
    assert len(signs) == len(numbers) >= 1
    assert sum(sign * one for sign, one in zip(signs, numbers, strict=True)) == pytest.approx(
        forecast - baseline, abs=1e-6
    )
    assert gap == pytest.approx(abs(forecast - baseline), abs=1e-6)


def test_rounded_parts_add_up_for_any_numbers():
    rng = np.random.default_rng(0)
    for _ in range(300):
        values, digits = rng.normal(0, 10 ** rng.uniform(-2, 4), rng.integers(1, 9)), int(rng.integers(0, 4))
        total = round(float(values.sum()), digits)
        rounded = rounded_parts(values, total, digits)
        assert rounded.sum() == pytest.approx(total, abs=1e-6)
        assert np.abs(rounded - values).max() < 1.01 * 10.0**-digits


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_flat_series_has_nothing_to_explain(language):
    flat = panel_of(np.full(40, 5.0), start="2024-01-01")
    found = explain_point(fitted(flat, "naive"), flat, "a", "2024-02-10")
    assert found.gap == 0 and found.shown(language).empty
    assert len(found.sentences(language)) >= 1 and all(found.sentences(language))
    assert len(waterfall_spec(found, language)["data"][0]["x"]) == 0


@pytest.mark.parametrize("language", LANGUAGES)
def test_table_figure_and_section_hold_the_same_numbers(language):
    panel = shops()
    found = explain_point(fitted(panel, "ets", **STATED["ets"]), panel, "a", AHEAD[5])
    bars = waterfall_spec(found, language)["data"][0]
    shown = found.shown(language)
    assert bars["x"] == pytest.approx(shown["contribution"].tolist()) and bars["base"][0] == pytest.approx(
        found.baseline
    )
    assert len(contribution_table(found, language)["rows"]) == len(shown) + 2
    section = part(Found((found,), None, DAILY, (VurError("insight.series", series="q", known="a"),)), language)
    assert "'q'" in section.sentences[0] and section.blocks[0].text == " ".join(found.sentences(language))


def test_parts_that_vanish_are_left_out_and_the_rest_still_adds_up():
    table = pd.DataFrame({"what": ["season", "level", "trend", "step"], "contribution": [25.04, 10.04, 0.04, -0.02]})
    found = Explanation("a", AHEAD[0], 1, "lightgbm", 135.1, 100.0, table, DAILY, 7, (("shares", "lightgbm"),))
    shown = found.shown()
    assert (
        shown["contribution"].sum() == pytest.approx(35.1)
        and set(shown["label"]) <= set(part_labels(found))
        and (shown["contribution"] != 0).all()
    )
    assert "the distance to the last observation" not in shown["label"].tolist()


# --- what cannot be explained ---


@pytest.mark.parametrize(
    ("series", "stamp", "named"),
    [("z", AHEAD[0], "'z'"), ("a", "2023-06-30", "2023-06-30"), ("a", "2023-07-02 09:00", "2023-07-02")],
)
def test_points_that_are_not_future_steps_are_named(series, stamp, named):
    panel = shops()
    with pytest.raises(VurError, match=named) as caught:
        explain_point(fitted(panel, "naive"), panel, series, stamp)
    assert caught.value.cause("pt-BR") != caught.value.cause("en")


def test_other_data_and_wrong_parts_are_refused(monkeypatch):
    panel = shops()
    pipeline = fitted(panel, "lightgbm", rounds=10)
    with pytest.raises(VurError, match="2023-05-31"):
        explain_point(pipeline, panel.with_frame(panel.frame[panel.frame["ds"] <= "2023-05-31"]), "a", AHEAD[0])
    from vur.forecasters.boosting import LightGBM

    monkeypatch.setattr(LightGBM, "contributions", lambda model, X, step: (np.zeros(len(X)), np.zeros(X.shape)))
    with pytest.raises(VurError, match="add up"):
        explain_point(pipeline, panel, "a", AHEAD[0])
