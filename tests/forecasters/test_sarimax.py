"""SARIMAX: known coefficients, edited futures, fallbacks, saving, moving forward, and what it refuses."""

import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import pytest
from builders import future_of, panel_of, promoted_turnover, turnover

from vur.errors import VurError
from vur.forecasters.arimax import (
    Item,
    Plan,
    choose_differences,
    difference,
    difference_weights,
    fit_item,
    forecast_state,
    integrate,
)
from vur.forecasters.base import create, forecast_panel, load_forecaster
from vur.forecasters.parallel import Stopped
from vur.forecasters.registry import algorithm, algorithms
from vur.panel import Panel
from vur.stages.features import FeatureSpec
from vur.text import LANGUAGES, table

pytestmark = pytest.mark.slow

AIRLINE = {"order": [0, 1, 1], "seasonal_order": [0, 1, 1]}


@pytest.fixture(scope="module")
def equipment() -> np.ndarray:
    return turnover(132)


@pytest.fixture(scope="module")
def promoted() -> Panel:
    """Real turnover plus 8 in every month with a promotion."""
    promotion, shop = promoted_turnover()
    return panel_of({"shop": shop}, "MS", promotion=promotion)


@pytest.fixture(scope="module")
def shop(promoted):
    return create("sarimax", **AIRLINE).fit(promoted)


def test_registry_says_what_it_takes():
    about = algorithm("sarimax")
    assert (about.family, about.scope, about.covariates) == ("classical", "local", ("known_future",))
    for name, parameter in about.parameters.items():
        for language in LANGUAGES:
            assert table()[parameter.meaning][language] and table()[f"{parameter.meaning}.name"][language]
        for choice in parameter.tune.get("choices", ()):
            assert parameter.accepts(choice), (name, choice)


def test_importing_the_registry_loads_no_estimator():
    heavy = ("statsmodels", "prophet", "statsforecast", "cmdstanpy", "holidays")
    code = f"import sys, vur.forecasters.registry as r; r.algorithms(); print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_known_coefficient_of_a_covariate_is_recovered():
    rng = np.random.default_rng(5)
    x, e = rng.normal(20, 4, 200), rng.normal(0, 1, 200)
    error = np.zeros(200)
    for t in range(1, 200):
        error[t] = 0.6 * error[t - 1] + e[t]
    panel = panel_of(100 + 2.5 * x + error, x=x)
    model = create("sarimax", order=[1, 0, 0], seasonal_order=[0, 0, 0], season=1).fit(panel)
    state = model.fitted[0].state
    plan = Plan(**state["plan"])
    assert state["params"][1] * plan.unit / plan.size[0] == pytest.approx(2.5, abs=0.1)
    assert state["params"][2] == pytest.approx(0.6, abs=0.15)


def test_coefficients_agree_with_statsmodels_own_fit(equipment):
    from statsmodels.tsa.statespace.sarimax import SARIMAX

    ours = create("sarimax", **AIRLINE, trend="n").fit(panel_of(equipment[:120], "MS")).fitted[0].state["params"]
    theirs = (
        SARIMAX(equipment[:120], order=(0, 1, 1), seasonal_order=(0, 1, 1, 12), simple_differencing=True)
        .fit(disp=0)
        .params[:2]
    )
    assert np.allclose(ours, theirs, atol=0.01)


@pytest.mark.parametrize(
    ("order", "seasonal"),
    [((0, 1, 1), (0, 1, 1)), ((2, 0, 1), (0, 1, 0)), ((1, 1, 0), (0, 0, 0)), ((1, 0, 0), (1, 0, 1))],
)
def test_likelihood_and_forecast_are_those_of_statsmodels(promoted, order, seasonal):
    """The same orders, column and trend, estimated by statsmodels on the raw values and by VUR in units of its own."""
    from statsmodels.tsa.statespace.sarimax import SARIMAX

    frame, future = promoted.frame, future_of(promoted, 12, promotion=[True, False, False] * 4)
    trend = "c" if not order[1] + seasonal[1] else "n"
    model = create("sarimax", order=list(order), seasonal_order=list(seasonal), trend=trend).fit(promoted)
    ours = model.predict(12, future)["forecast"]
    season = (*seasonal, 12 if any(seasonal) else 0)
    y, x = frame["y"].to_numpy(), frame["promotion"].to_numpy(dtype=float)
    exog, ahead = np.column_stack([x]), np.column_stack([future["promotion"].astype(float)])
    if trend == "c":  # a constant of statsmodels feeds the autoregression; one among the columns is the mean, as in VUR
        exog, ahead = np.column_stack([np.ones(120), exog]), np.column_stack([np.ones(12), ahead])
    peer = SARIMAX(y, exog=exog, order=order, seasonal_order=season, simple_differencing=True, trend="n")
    theirs = peer.fit(disp=0, maxiter=300)
    state = model.fitted[0].state
    n, unit, count = state["n"], Plan(**state["plan"]).unit, len(state["params"]) + 1
    likelihood = count * n / (n - count - 1) - state["aicc"] / 2 - n * np.log(unit)
    assert likelihood == pytest.approx(theirs.llf, abs=0.05), "of the same maximum, and in the same units"
    inside = SARIMAX(y, exog=exog, order=order, seasonal_order=season, trend="n").filter(theirs.params)
    expected = inside.forecast(12, exog=ahead)
    assert np.abs(ours - expected).max() < 0.02 * y.std()


def test_a_column_that_drives_the_target_makes_the_forecast_better():
    rng = np.random.default_rng(8)
    price = rng.normal(10, 2, 160)
    y = 80 + np.sin(np.arange(160) * np.pi / 6) * 3 - 4.0 * price + rng.normal(0, 1, 160)
    panel = panel_of(y, "MS", price=price)
    train = panel.with_frame(panel.frame.head(148))
    held, future = panel.frame["y"].tail(12).to_numpy(), panel.frame.tail(12)[["unique_id", "ds", "price"]]
    blind = create("sarimax", features=FeatureSpec(known_future=())).fit(train).predict(12)["forecast"]
    sighted = create("sarimax").fit(train).predict(12, future)["forecast"]
    errors = [np.abs(forecast.to_numpy() - held).mean() for forecast in (sighted, blind)]
    assert errors[0] < 0.35 * errors[1], errors


def test_forecast_follows_the_edited_future(promoted, shop):
    plain, edited = future_of(promoted, 12, promotion=False), future_of(promoted, 12, promotion=False)
    edited.loc[3, "promotion"] = True
    change = shop.predict(12, edited)["forecast"] - shop.predict(12, plain)["forecast"]
    assert change[3] == pytest.approx(8.0, abs=1.5)
    assert np.allclose(change.drop(3), 0)


def test_beats_the_season_repeated_on_the_real_year_held_out(equipment):
    panel = panel_of(equipment[:120], "MS")
    errors = {
        id: np.abs(create(id).fit(panel).predict(12)["forecast"] - equipment[120:132]).mean()
        for id in ("sarimax", "seasonal_naive")
    }
    assert errors["sarimax"] < 0.9 * errors["seasonal_naive"]


def test_missing_future_cell_is_refused_by_name(promoted, shop):
    future = future_of(promoted, 12, promotion=True).astype({"promotion": object})
    future.loc[5, "promotion"] = None
    with pytest.raises(VurError, match="'promotion' of series 'shop' at 2025-06-01") as caught:
        shop.predict(12, future)
    assert caught.value.code == "regression.future_missing"
    with pytest.raises(VurError, match="promotion"):
        shop.predict(12)


def test_text_is_compared_with_its_most_frequent_value_and_new_text_is_average():
    rng = np.random.default_rng(1)
    sky = rng.choice(["sun", "rain", "snow"], 150, p=[0.6, 0.3, 0.1])
    effect = {"sun": 0.0, "rain": -5.0, "snow": -20.0}
    panel = panel_of(50 + np.array([effect[s] for s in sky]) + rng.normal(0, 0.5, 150), sky=sky)
    model = create("sarimax", season=1).fit(panel)
    assert model.encoding.labels == ["sky = rain", "sky = snow"]
    one = {
        sky: float(model.predict(1, future_of(panel, 1, sky=sky))["forecast"].iloc[0])
        for sky in ("sun", "rain", "snow", "hail")
    }
    assert one["rain"] - one["sun"] == pytest.approx(-5, abs=0.5) and one["snow"] - one["sun"] == pytest.approx(
        -20, abs=0.7
    )
    assert one["snow"] < one["hail"] < one["sun"]


def test_constant_collinear_and_empty_columns_do_no_harm(equipment):
    rng = np.random.default_rng(2)
    x = rng.normal(size=120)
    columns = {
        "x": x,
        "twice": 2 * x,
        "same": np.full(120, 3.0),
        "nothing": np.full(120, np.nan),
        "line": np.arange(120.0),
    }
    panel = panel_of(equipment[:120] + 3 * x, "MS", **columns)
    model = create("sarimax", **AIRLINE).fit(panel)
    assert model.fallbacks.empty and len(model.fitted[0].state["plan"]["columns"]) == 1
    future = future_of(panel, 3, x=1.0, twice=2.0, same=3.0, nothing=0.0, line=[120.0, 121.0, 122.0])
    change = model.predict(3, future)["forecast"] - model.predict(3, future.assign(x=0.0, twice=0.0))["forecast"]
    assert np.allclose(change, 3, atol=0.6)


def test_gaps_in_past_covariates_are_filled(equipment):
    x = np.random.default_rng(2).normal(size=120)
    with_gap = x.copy()
    with_gap[[0, 50, 119]] = np.nan
    panel = panel_of(equipment[:120] + 3 * x, "MS", x=with_gap)
    model = create("sarimax", **AIRLINE).fit(panel)
    assert model.fallbacks.empty and np.isfinite(model.predict(6, future_of(panel, 6, x=0.0))["forecast"]).all()


def test_an_estimate_that_does_not_converge_is_listed(equipment, monkeypatch):
    from vur.forecasters import arimax

    def never(*arguments, **options):
        raise arimax.NotConverged("100 iterations")

    monkeypatch.setattr(arimax, "likelihood_fit", never)
    model = create("sarimax").fit(panel_of(equipment[:60], "MS"))
    assert model.fallbacks["reason"].tolist() == ["not_converged: 100 iterations"]
    assert model.fallbacks["used"].tolist() == ["seasonal_naive"]


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e12])
def test_units_do_not_matter(equipment, scale):
    panel = panel_of(equipment[:96], "MS")
    expected = create("sarimax", **AIRLINE).fit(panel).predict(12)["forecast"]
    scaled = (
        create("sarimax", **AIRLINE)
        .fit(panel.with_frame(panel.frame.assign(y=panel.frame["y"] * scale)))
        .predict(12)["forecast"]
    )
    assert np.allclose(scaled / scale, expected, rtol=1e-3)


def test_saved_model_forecasts_the_same_in_another_process(promoted, shop, tmp_path):
    future = future_of(promoted, 24, promotion=True)
    shop.save(tmp_path / "model")
    future.to_parquet(tmp_path / "future.parquet")
    code = """
        import pandas as pd, sys
        from vur.forecasters.base import load_forecaster
        model = load_forecaster(sys.argv[1] + "/model")
        model.predict(24, pd.read_parquet(sys.argv[1] + "/future.parquet")).to_parquet(sys.argv[1] + "/out.parquet")
        assert "statsmodels" not in sys.modules  # a forecast is plain arithmetic
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out.parquet"), shop.predict(24, future), check_exact=True)
    assert not list((tmp_path / "model").rglob("*.pkl"))


def test_saved_fallbacks_and_fourier_terms_survive(tmp_path):
    co2 = pd.read_csv("data/co2_weekly.csv")["co2"].interpolate().to_numpy()[-400:]
    model = create("sarimax", order=[1, 1, 1]).fit(panel_of({"co2": co2, "short": co2[:5]}, "W-SAT"))
    loaded = load_forecaster(model.save(tmp_path))
    pd.testing.assert_frame_equal(loaded.predict(60), model.predict(60), check_exact=True)
    assert loaded.fallbacks["unique_id"].tolist() == ["short"]
    assert model.fitted[0].state["plan"]["waves"][0][0] == pytest.approx(52.18, abs=0.01)


def test_update_keeps_coefficients_and_sees_new_data(equipment):
    before, after = panel_of(equipment[:108], "MS"), panel_of(equipment[:120], "MS")
    model = create("sarimax", **AIRLINE).fit(before)
    params, old = model.fitted[0].state["params"].copy(), model.predict(24)
    model.update(after)
    assert np.array_equal(model.fitted[0].state["params"], params)
    new = model.predict(12)
    assert new["ds"].min() == pd.Timestamp("2025-01-01")
    assert not np.allclose(new["forecast"], old["forecast"].tail(12))
    shocked = after.with_frame(after.frame.assign(y=after.frame["y"] + np.r_[np.zeros(114), np.full(6, 40.0)]))
    assert (model.update(shocked).predict(6)["forecast"].to_numpy() > new["forecast"].head(6).to_numpy() + 15).all()


def test_update_with_the_same_data_changes_nothing_and_fits_what_is_new(equipment):
    panel, more = panel_of(equipment[:60], "MS"), panel_of({"a": equipment[:60], "b": equipment[30:90]}, "MS")
    model = create("sarimax", **AIRLINE).fit(panel)
    expected = model.predict(12)
    pd.testing.assert_frame_equal(model.update(panel).predict(12), expected, check_exact=True)
    both = model.update(more).predict(12)
    assert both["unique_id"].unique().tolist() == ["a", "b"] and model.fallbacks.empty
    assert np.array_equal(both["forecast"].head(12), expected["forecast"])


def test_update_of_a_loaded_model_with_a_trend_in_time(equipment, tmp_path):
    y = equipment[:60] + 3.0 * np.arange(60)
    model = create("sarimax", order=[1, 0, 0], seasonal_order=[0, 0, 0], trend="ct").fit(panel_of(y[:50], "MS"))
    expected = model.predict(12)["forecast"].iloc[-1]
    loaded = load_forecaster(model.save(tmp_path)).update(panel_of(y, "MS"))
    assert loaded.predict(2)["forecast"].iloc[-1] == pytest.approx(expected, rel=0.1)
    moved = loaded.update(panel_of(y[20:], "MS", "2016-09-01")).predict(2)["forecast"].iloc[-1]
    assert moved == pytest.approx(expected, rel=0.1), (
        "time counts from where it was fitted, not from the first row given"
    )


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"order": [1, 3, 1]}, "with 3 differences"),
        ({"seasonal_order": [0, 2, 1]}, "with 2 differences"),
        ({"order": [1, 1]}, "'order'"),
        ({"order": [-1, 0, 0]}, "'order'"),
        ({"trend": "linear"}, "'trend'"),
        ({"history": 3}, "'history'"),
    ],
)
def test_wrong_parameters_are_refused_by_name(parameters, words):
    with pytest.raises(VurError, match=words):
        create("sarimax", **parameters)


def test_orders_that_the_season_cannot_take_are_refused(equipment):
    with pytest.raises(VurError, match="at most 24"):
        create("sarimax", seasonal_order=[0, 1, 1]).fit(panel_of(equipment[:60], "YS"))
    with pytest.raises(VurError, match="p = 4"):
        create("sarimax", order=[4, 0, 0], seasonal_order=[1, 0, 0], season=4).fit(panel_of(equipment[:60], "MS"))


def test_integer_stamps_and_given_season(tmp_path):
    y = 10 + 0.2 * np.arange(60) + np.tile([3.0, -3, 0, 0], 15) + np.random.default_rng(0).normal(0, 0.3, 60)
    model = create("sarimax", season=4, features=FeatureSpec(country="BR")).fit(panel_of(y, "1"))
    forecast = model.predict(8)
    assert forecast["ds"].tolist() == list(range(60, 68))
    assert np.abs(forecast["forecast"] - (22 + 0.2 * np.arange(8) + np.tile([3.0, -3, 0, 0], 2))).max() < 1.2


def test_holidays_of_the_country_are_covariates():
    days = pd.date_range("2022-01-01", periods=730)
    closed = days.strftime("%m-%d").isin(["12-25", "01-01", "05-01", "09-07", "11-15"])
    y = 100 - 60.0 * closed + np.random.default_rng(0).normal(0, 2, 730)
    model = create("sarimax", order=[0, 0, 0], season=1, features=FeatureSpec(country="BR")).fit(
        panel_of(y, "D", "2022-01-01")
    )
    change = model.predict(366).set_index("ds")["forecast"]
    assert change["2024-05-01"] < change["2024-05-02"] - 20
    assert model.encoding.labels == ["holiday", "holiday_before", "holiday_after"]


def test_two_workers_give_what_one_gives_and_stop_is_polled(equipment):
    panel = panel_of({f"s{k:02d}": equipment[k : k + 60] for k in range(12)}, "MS")
    expected = forecast_panel(create("sarimax", **AIRLINE), panel, 6)
    pd.testing.assert_frame_equal(
        forecast_panel(create("sarimax", workers=2, **AIRLINE), panel, 6), expected, check_exact=True
    )
    seen, many = [], panel_of({f"s{k:03d}": equipment[k % 60 : k % 60 + 60] for k in range(120)}, "MS")
    with pytest.raises(Stopped):
        forecast_panel(
            create("sarimax", **AIRLINE),
            many,
            6,
            progress=lambda done, total: seen.append((done, total)),
            stop=lambda: len(seen) > 0,
        )
    assert len(seen) == 1 and 0 < seen[0][0] < seen[0][1] == 120


def test_same_seed_same_forecast_and_only_the_last_rows_count(equipment):
    panel = panel_of(equipment[:120], "MS")
    one, two = (create("sarimax").fit(panel).predict(12) for _ in range(2))
    pd.testing.assert_frame_equal(one, two, check_exact=True)
    recent = create("sarimax", history=60, **AIRLINE).fit(panel).predict(12)
    alone = create("sarimax", **AIRLINE).fit(panel.with_frame(panel.frame.tail(60))).predict(12)
    pd.testing.assert_frame_equal(recent, alone, check_exact=True)


@pytest.mark.slow
def test_hours_of_a_day_and_days_of_a_week():
    hours = np.arange(24 * 23)
    y = (
        50
        + 10 * np.sin(hours * 2 * np.pi / 24)
        + 8 * np.sin(hours * 2 * np.pi / 168)
        + np.random.default_rng(0).normal(0, 1, len(hours))
    )
    model = create("sarimax").fit(panel_of(y[:-48], "h"))
    state = model.fitted[0].state
    assert model.fallbacks.empty and state["plan"]["season"] == 24 and state["plan"]["waves"]
    assert np.abs(model.predict(48)["forecast"].to_numpy() - y[-48:]).mean() < 2


def test_the_rule_for_differences_and_the_way_back():
    rng = np.random.default_rng(0)
    noise, none = rng.normal(size=150), np.empty((150, 0))
    assert choose_differences(noise, none, 1) == (0, 0)
    assert choose_differences(noise.cumsum(), none, 1) == (1, 0)
    assert choose_differences(np.tile([0.0, 5, -5, 2], 38)[:150] + noise / 4, none, 4)[1] == 1
    for d, D in ((1, 0), (0, 1), (2, 1)):
        assert np.allclose(
            integrate(difference(noise, d, D, 4)[-9:], noise[:-9], difference_weights(d, D, 4)), noise[-9:]
        )


def test_a_drift_is_found_and_continues():
    y = 5.0 * np.arange(80) + np.random.default_rng(0).normal(0, 3, 80).cumsum()
    options = {
        "order": None,
        "seasonal_order": None,
        "trend": None,
        "enforce_stationarity": True,
        "enforce_invertibility": True,
    }
    state = fit_item(Item(y, np.empty((80, 0)), np.arange(80.0)), 1, [], options).state
    ahead = forecast_state(state, np.empty((10, 0)), np.arange(80.0, 90))
    assert np.diff(ahead).mean() == pytest.approx(5.0, abs=1.2)


def test_it_is_listed_with_the_others():
    assert {"sarimax", "prophet"} <= set(algorithms())
