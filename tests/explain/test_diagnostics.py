"""Diagnostics of SARIMAX and Prophet: the numbers of statsmodels and scipy, verdicts both ways, the report section."""

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from builders import panel_of, promoted_turnover, turnover
from samples import DATA
from statsmodels.stats.diagnostic import acorr_ljungbox
from statsmodels.tsa.statespace.sarimax import SARIMAX
from statsmodels.tsa.stattools import acf

import vur
from vur.errors import VurError
from vur.explain.diagnostics import (
    effect_sentences,
    ljung_box_lags,
    parameter_label,
    probability,
    prophet_components,
    residual_tests,
    sarimax_diagnostics,
    sarimax_sentences,
    verdicts,
)
from vur.forecasters.base import create
from vur.panel import Panel
from vur.report.page import section_view
from vur.report.sections import Facts, diagnostics
from vur.stages.features import FeatureSpec
from vur.stages.model import Candidate
from vur.stages.model.pipeline import Pipeline
from vur.text import LANGUAGES

pytestmark = pytest.mark.slow

AIRLINE = {"order": [0, 1, 1], "seasonal_order": [0, 1, 1], "trend": "n"}


def related(length: int, seed: int = 0) -> np.ndarray:
    """Errors each of which holds 0.7 of the one before."""
    noise, values = np.random.default_rng(seed).normal(size=length), np.zeros(length)
    for t in range(1, length):
        values[t] = 0.7 * values[t - 1] + noise[t]
    return values


@pytest.fixture(scope="module")
def promoted() -> Panel:
    """Real turnover plus 8 in every month with a promotion."""
    promotion, shop = promoted_turnover()
    return panel_of({"shop": shop, "kiosk": turnover(60) / 10}, "MS", promotion=promotion)


@pytest.fixture(scope="module")
def shop(promoted):
    return create("sarimax", **AIRLINE).fit(promoted)


@pytest.fixture(scope="module")
def found(promoted, shop):
    return sarimax_diagnostics(shop, promoted)


@pytest.fixture(scope="module")
def peer(promoted):
    """The same model estimated by statsmodels in the units of the data."""
    frame = promoted.frame[promoted.frame["unique_id"] == "shop"]
    model = SARIMAX(
        frame["y"].to_numpy(),
        exog=frame[["promotion"]].to_numpy(dtype=float),
        order=(0, 1, 1),
        seasonal_order=(0, 1, 1, 12),
        simple_differencing=True,
    )
    return model.fit(disp=0, maxiter=300)


def test_numbers_are_those_of_the_libraries_called_directly(found):
    from scipy.stats import jarque_bera

    errors, tests = found.residuals["residual"].to_numpy(), found.tests
    box = tests[tests["test"] == "ljung_box"]
    assert box["lags"].tolist() == [10, 21] and box["degrees"].tolist() == [8, 19], (
        "two ARMA coefficients take two degrees of freedom"
    )
    direct = acorr_ljungbox(errors, lags=box["lags"].tolist(), model_df=2)
    assert np.allclose(box[["statistic", "p_value"]], direct[["lb_stat", "lb_pvalue"]])
    normal = tests.set_index("test").loc["jarque_bera"]
    assert np.allclose([normal["statistic"], normal["p_value"]], tuple(jarque_bera(errors)))
    assert np.allclose(found.acf["acf"].head(20), acf(errors, nlags=20)[1:])
    assert np.allclose(found.acf["bound"], 1.96 / np.sqrt(len(errors)))


def test_ljung_box_by_its_formula():
    errors = related(90)
    row = residual_tests(errors, 1, 0).iloc[0]
    centred = errors - errors.mean()
    r = np.array([centred[k:] @ centred[:-k] for k in range(1, 11)]) / (centred @ centred)
    assert row["statistic"] == pytest.approx(90 * 92 * np.sum(r**2 / (90 - np.arange(1, 11))))


def test_model_is_that_of_statsmodels_in_units_of_the_data(found, peer):
    assert found.name == "SARIMAX(0,1,1)(0,1,1)[12]" and found.n == 107 == peer.nobs
    assert [found.aic, found.aicc, found.bic] == pytest.approx([peer.aic, peer.aicc, peer.bic], abs=0.1)
    table = found.parameters
    assert table["name"].tolist() == ["promotion", "ma.L1", "ma.S.L12", "sigma2"]
    assert np.allclose(table["estimate"], peer.params, rtol=0.02, atol=0.01)
    approximate = peer.model.filter(peer.params, cov_type="approx").bse
    assert np.allclose(table["error"], approximate, rtol=0.05)
    assert np.allclose(found.residuals["residual"], peer.filter_results.standardized_forecasts_error[0], atol=0.05)
    assert found.residuals["ds"].iloc[-1] == pd.Timestamp("2024-12-01") and len(found.residuals) == 107
    last = table.set_index("name").loc["sigma2"]
    assert np.isnan(last["z"]) and np.isnan(last["p_value"]), "nobody asks whether a variance is 0"


def test_constant_and_trend_are_in_units_of_the_data():
    y = 500 + 2.0 * np.arange(120) + 10 * related(120)
    panel = panel_of(y)
    model = create("sarimax", order=[1, 0, 0], season=1, trend="ct").fit(panel)
    table = sarimax_diagnostics(model, panel).parameters.set_index("name")
    assert table.loc["constant", "estimate"] == pytest.approx(500, abs=40)
    assert table.loc["time", "estimate"] == pytest.approx(2.0, abs=0.4)
    assert table.loc["ar.L1", "estimate"] == pytest.approx(0.7, abs=0.15)
    assert table.loc["sigma2", "estimate"] == pytest.approx(100, rel=0.4)


def test_white_noise_passes_and_autocorrelated_errors_are_flagged():
    noise = np.random.default_rng(0).normal(size=300)
    assert residual_tests(noise, 12, 0)["p_value"].min() > 0.05
    flagged = residual_tests(related(300), 12, 0)
    assert flagged.loc[flagged["test"] == "ljung_box", "p_value"].max() < 1e-6
    tails = residual_tests(np.random.default_rng(0).standard_t(2, 300), 1, 0).set_index("test")
    assert tails.loc["jarque_bera", "p_value"] < 1e-6
    louder = residual_tests(noise * np.linspace(1, 4, 300), 1, 0).set_index("test").loc["variance"]
    assert louder["p_value"] < 1e-6 and louder["statistic"] > 3


def test_false_alarms_on_white_noise_are_at_the_nominal_rate():
    rng = np.random.default_rng(1)
    alarms = [(residual_tests(rng.normal(size=120), 1, 0).set_index("test")["p_value"] < 0.05) for _ in range(100)]
    share = pd.DataFrame(alarms).mean()
    assert share["ljung_box"] < 0.11 and share["jarque_bera"] < 0.11 and share["variance"] < 0.11


@pytest.mark.parametrize(("order", "verdict"), [([0, 0, 0], "note"), ([1, 0, 0], "good")])
def test_a_misspecified_model_is_distinguished_from_the_right_one(order, verdict):
    panel = panel_of(50 + related(200))
    seen = sarimax_diagnostics(create("sarimax", order=order, season=1).fit(panel), panel)
    assert verdicts(seen)[0][0] == verdict
    said = {language: verdicts(seen, language)[0][1] for language in LANGUAGES}
    assert ("related to each other" in said["en"]) == (verdict == "note") == ("ainda se relacionam" in said["pt-BR"])
    assert (seen.acf["acf"].abs() > seen.acf["bound"]).head(1).item() == (verdict == "note")


def test_lags_leave_room_for_coefficients_and_short_series_have_no_test():
    assert ljung_box_lags(200, 12, 3) == [10, 24] and ljung_box_lags(200, 1, 3) == [10]
    assert ljung_box_lags(200, 1, 9) == [12], "more lags than coefficients"
    assert ljung_box_lags(9, 12, 3) == []
    assert residual_tests(np.random.default_rng(0).normal(size=9), 12, 3)["test"].tolist() == [
        "jarque_bera",
        "variance",
    ]


def test_sentences_on_covariates(found):
    sentence = effect_sentences(found)[0]
    assert re.match(r"One unit more of promotion goes with [678]\.\d+ more \(standard error", sentence), sentence
    assert effect_sentences(found, "pt-BR")[0].startswith("Uma unidade a mais de promotion acompanha ")
    renamed = replace(found, parameters=found.parameters.replace({"name": {"promotion": "holiday"}}))
    assert effect_sentences(renamed)[0].startswith("Holiday: ") and effect_sentences(renamed, "pt-BR")[0].startswith(
        "Feriado: "
    )
    useless = replace(found, parameters=found.parameters.assign(p_value=0.4))
    assert effect_sentences(useless) == ["The effect of promotion is not distinguishable from zero."]
    assert all("{" not in sentence for language in LANGUAGES for sentence in sarimax_sentences(found, language))
    assert (probability(0.00001, "pt-BR"), probability(0.034, "en"), parameter_label("ma.L1")) == (
        "p < 0,001",
        "p = 0.034",
        "ma.L1",
    )


def test_the_largest_series_unless_one_is_named(promoted, shop, found):
    assert found.series == "shop"
    assert sarimax_diagnostics(shop, promoted, "kiosk").series == "kiosk"
    with pytest.raises(VurError, match="'Congonhas'") as caught:
        sarimax_diagnostics(shop, promoted, "Congonhas")
    assert caught.value.code == "diagnostics.series" and "shop" in caught.value.text("pt-BR")


def test_a_series_with_a_fallback_is_skipped(promoted):
    panel = panel_of({"flat": np.full(40, 1e6), "live": related(40) + 10})
    model = create("sarimax", order=[1, 0, 0], season=1).fit(panel)
    assert sarimax_diagnostics(model, panel).series == "live"
    with pytest.raises(VurError, match="'flat'"):
        sarimax_diagnostics(model, panel, "flat")


def test_components_of_prophet_add_up_to_its_forecast(promoted):
    model = create("prophet", seasonality_mode="multiplicative").fit(promoted)
    ends = pd.date_range("2025-01-01", periods=6, freq="MS")
    future = pd.DataFrame({"unique_id": "shop", "ds": ends, "promotion": [True, False] * 3})
    parts = prophet_components(model, "shop", 6, promoted, future)
    assert list(parts) == ["ds", "past", "trend", "yearly", "promotion", "forecast"] and (~parts["past"]).sum() == 6
    assert np.allclose(parts[["trend", "yearly", "promotion"]].sum(axis=1), parts["forecast"])
    every = pd.concat([future, future.assign(unique_id="kiosk", ds=pd.date_range("2020-01-01", periods=6, freq="MS"))])
    whole = model.predict(6, every).query("unique_id == 'shop'")["forecast"]
    assert np.allclose(parts.loc[~parts["past"], "forecast"], whole)
    with pytest.raises(VurError, match="promotion"):
        prophet_components(model, "shop", 6, promoted, future.drop(columns="promotion"))


# --- the section of the report ---


def facts(panel: Panel, winner: str, board: list[str], tunings: tuple = (), **more) -> Facts:
    """Facts of a training that `winner` won, with the algorithms of `board` ranked."""
    pipeline = Pipeline(
        Candidate(winner, winner, more.pop("own", {})), features=more.pop("features", FeatureSpec())
    ).fit(panel)
    ranked = pd.DataFrame({"algorithm": board, "rank": np.arange(1.0, len(board) + 1)})
    training = SimpleNamespace(
        pipeline=pipeline,
        winner=winner,
        leaderboard=ranked,
        tunings=tunings,
        interrupted=more.pop("interrupted", False),
    )
    return Facts(panel, training, None, pipeline.predict(3), **more)


@pytest.fixture(scope="module")
def plain() -> Panel:
    return panel_of({"large": turnover(72), "small": turnover(72) / 9}, "MS")


def test_section_of_a_winner(plain):
    seen = diagnostics.collect(facts(plain, "sarimax", ["sarimax", "theta"], own=AIRLINE))
    assert seen.sarimax.series == "large" and not seen.rival and not seen.member
    part = diagnostics.part(seen, "pt-BR")
    assert part.title == "Diagnóstico do modelo" and part.sentences == []
    coefficients, memory, spread = part.blocks
    assert [row[0] for row in coefficients.table["rows"]] == ["ma.L1", "ma.S.L12", "variância dos erros"]
    assert coefficients.table["rows"][-1][3:] == ["–", "–"]
    assert memory.figure["data"][-1]["y"] == pytest.approx(seen.sarimax.acf["acf"].tolist(), rel=1e-5)
    assert len(spread.table["rows"]) == len(seen.sarimax.tests) and spread.folded
    assert all(not re.match("p [<=]", row[-1]) for row in spread.table["rows"]), "the column already says p-value"


def test_section_of_a_rival_is_an_own_estimate(plain):
    seen = diagnostics.collect(
        facts(plain, "seasonal_naive", ["seasonal_naive", "sarimax"], parameters={"sarimax": AIRLINE})
    )
    assert (seen.rival, seen.sarimax.name, seen.sarimax.series) == ("given", "SARIMAX(0,1,1)(0,1,1)[12]", "large")
    assert "parâmetros desta execução" in diagnostics.part(seen, "pt-BR").sentences[0]
    alone = sarimax_diagnostics(create("sarimax", **AIRLINE).fit(plain), plain)
    pd.testing.assert_frame_equal(seen.sarimax.parameters, alone.parameters)


def test_section_of_a_tuned_rival_uses_its_parameters(plain):
    tuning = SimpleNamespace(
        candidate="sarimax", algorithm="sarimax", parameters={"order": [1, 0, 0], "seasonal_order": [1, 0, 0]}
    )
    seen = diagnostics.collect(facts(plain, "drift", ["drift", "sarimax-tuned", "sarimax"], (tuning,)))
    assert (seen.rival, seen.sarimax.name) == ("tuned", "SARIMAX(1,0,0)(1,0,0)[12]")
    assert "tuned parameters" in diagnostics.part(seen, "en").sentences[0]


def test_no_section_without_a_model_to_diagnose(plain):
    assert diagnostics.collect(facts(plain, "drift", ["drift", "theta"])) is None
    assert diagnostics.collect(facts(plain, "drift", ["drift", "sarimax"], interrupted=True)) is None, (
        "after Ctrl-C nobody waits for another fit"
    )
    flat = panel_of(np.full(40, 3.0), "MS")
    assert diagnostics.collect(facts(flat, "drift", ["drift", "sarimax"])) is None
    assert diagnostics.collect(facts(flat, "sarimax", ["sarimax"])) is None
    assert diagnostics.collect(Facts(plain, SimpleNamespace(pipeline=None), None, pd.DataFrame())) is None


def test_members_of_an_ensemble_are_diagnosed(plain):
    own = {"members": ["sarimax", "prophet"], "parts": {"sarimax": {"algorithm": "sarimax", "parameters": AIRLINE}}}
    pipeline_facts = facts(plain, "ensemble", ["ensemble", "sarimax", "prophet"], own=own)
    seen = diagnostics.collect(pipeline_facts)
    assert seen.member and not seen.rival and seen.sarimax is not None and seen.prophet is not None
    for language in LANGUAGES:
        view = section_view("diagnostics", diagnostics.part(seen, language))
        json.dumps(view["figures"], allow_nan=False)
        assert len(view["figures"]) == 3 and len(view["blocks"]) == 4
    assert (~seen.prophet["past"]).sum() == 3
    assert "a tendência mais uma outra parte (ciclo anual)" in diagnostics.part(seen, "pt-BR").blocks[-1].text


def test_prophet_without_its_future_says_which_column_is_missing():
    panel = panel_of({"large": turnover(72)}, "MS", promo=np.arange(72.0) % 5)
    pipeline = Pipeline(Candidate("prophet", "prophet")).fit(panel)
    ahead = pd.DataFrame(
        {"unique_id": "large", "ds": pd.date_range("2021-01-01", periods=3, freq="MS"), "forecast": 1.0}
    )
    training = SimpleNamespace(
        pipeline=pipeline, winner="prophet", leaderboard=pd.DataFrame({"algorithm": ["prophet"], "rank": [1.0]})
    )
    seen = diagnostics.collect(Facts(panel, training, None, ahead))
    assert seen.missing == "promo" and seen.prophet["past"].all()
    assert "promo não é conhecida" in diagnostics.part(seen, "pt-BR").blocks[0].text


def test_a_failing_section_is_reported_and_the_report_is_complete(plain, monkeypatch):
    from vur.explain import diagnostics as insight

    given = facts(plain, "sarimax", ["sarimax"], own=AIRLINE)
    monkeypatch.setattr(insight, "sarimax_diagnostics", lambda *arguments: 1 / 0)
    seen = diagnostics.collect(given)
    assert "ZeroDivisionError" in diagnostics.part(seen, "en").sentences[0]


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> str:
    """The page of a real run in Portuguese, of a series with a hostile name."""
    frame = pd.read_csv(DATA / "electrical_equipment.csv", parse_dates=["month"]).head(84)
    frame["shop"] = "<b>Loja & Cia</b>"
    done = vur.run(
        frame[["month", "shop", "turnover"]],
        series="shop",
        algorithms=["sarimax"],
        folds=1,
        horizon=6,
        notebook=False,
        name="diagnóstico",
        language="pt-BR",
        out=tmp_path_factory.mktemp("report"),
    )
    return (Path(done.folder) / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_section_stands_in_the_page_of_a_real_run(report):
    section = re.search(r'<section id="diagnostics".*?</section>', report, re.S).group()
    words = " ".join(re.sub(r"<[^>]+>", " ", section).split())
    for said in (
        "Diagnóstico do modelo",
        "O modelo e seus coeficientes",
        "SARIMAX(",
        "observações depois de diferenciar",
        "Erro-padrão",
        "Valor-p",
        "Ljung–Box",
        "Jarque–Bera",
        "Autocorrelação dos erros",
        "variância dos erros",
    ):
        assert said in words, said
    assert "<b>Loja" not in section and "&lt;b&gt;Loja &amp; Cia" in section
    assert re.search(r"\d,\d", words) and not re.search(r"\{\w+\}|nan|diagnostics\.", words)
    assert '<a href="#diagnostics">Diagnóstico do modelo</a>' in report
    assert report.count('"plot-diagnostics-1"') >= 2 and report.count('"plot-diagnostics-2"') >= 2, (
        "both figures have their place and their data"
    )
