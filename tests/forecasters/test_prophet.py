"""Prophet: growth that stops at its cap, holidays, covariates, whole numbers, saving, workers, and what it refuses."""

import logging
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from builders import future_of, panel_of, turnover
from samples import DATA

from vur.errors import VurError
from vur.forecasters.base import create, forecast_panel, load_forecaster
from vur.forecasters.parallel import Stopped
from vur.forecasters.prophet import growth_limits, holiday_table
from vur.forecasters.registry import algorithm
from vur.frequency import Frequency
from vur.panel import Panel
from vur.stages.features import FeatureSpec
from vur.text import LANGUAGES, table

pytestmark = pytest.mark.slow


def assert_no_pickle(folder: Path) -> None:
    """No file of a saved model is a pickle or holds one: a model may come from someone else."""
    for path in folder.rglob("*"):
        if path.is_file():
            assert path.suffix in (".json", ".npz", ".npy", ".parquet"), path
            assert not path.read_bytes().startswith(b"\x80"), path
            if path.suffix in (".npz", ".npy"):
                arrays = np.load(path, allow_pickle=False)
                for name in getattr(arrays, "files", ()):
                    assert arrays[name].dtype != object


@pytest.fixture(scope="module")
def equipment() -> np.ndarray:
    return turnover()


@pytest.fixture(scope="module")
def flights() -> Panel:
    """Departures a day of JFK in 2013 with its wind; two days of the weather are missing."""
    frame = pd.read_csv(DATA / "flights_daily.csv", parse_dates=["date"]).query("origin == 'JFK'")
    return panel_of({"JFK": frame["departures"].to_numpy(float)}, "D", "2013-01-01", wind=frame["wind"].to_numpy())


@pytest.fixture(scope="module")
def airport(flights):
    return create("prophet", features=FeatureSpec(country="US")).fit(flights)


def test_registry_says_what_it_takes():
    about = algorithm("prophet")
    assert (about.family, about.scope, about.covariates) == ("classical", "local", ("known_future",))
    for parameter in about.parameters.values():
        for language in LANGUAGES:
            assert table()[parameter.meaning][language] and table()[f"{parameter.meaning}.name"][language]
        ends = [parameter.tune[name] for name in ("min", "max") if name in parameter.tune]
        assert all(parameter.accepts(value) for value in [*parameter.tune.get("choices", ()), *ends])


def test_logistic_growth_stops_at_its_cap_and_linear_growth_does_not():
    y = 90 / (1 + np.exp(-(np.arange(60) - 30) / 8)) + 5 + np.random.default_rng(0).normal(0, 0.5, 60)
    panel = panel_of(y, "MS")
    far = {
        growth: create("prophet", growth=growth, yearly="off", **({"cap": 100.0} if growth == "logistic" else {}))
        .fit(panel)
        .predict(120)["forecast"]
        .iloc[-1]
        for growth in ("linear", "logistic", "flat")
    }
    assert 85 < far["logistic"] <= 100
    assert far["linear"] > 130
    assert far["flat"] < 80


def test_logistic_growth_without_a_cap_is_refused():
    with pytest.raises(VurError, match="no cap was given") as caught:
        create("prophet", growth="logistic", floor=0.0)
    assert caught.value.code == "prophet.cap"
    assert "teto" in caught.value.text("pt-BR") and "cap=" in caught.value.text("pt-BR")


def test_floor_when_none_is_given():
    assert growth_limits(np.array([2.0, 50.0]), {"cap": 60.0, "floor": None}) == (60.0, 0.0)
    assert growth_limits(np.array([-10.0, 10.0]), {"cap": 60.0, "floor": None})[1] < -10
    model = create("prophet", growth="logistic", cap=70.0, yearly="off").fit(
        panel_of({"low": np.linspace(-5, 5, 60), "up": np.linspace(1, 50, 60)}, "MS")
    )
    forecast = model.predict(240).set_index("unique_id")["forecast"]
    assert model.fallbacks.empty and 50 < forecast["up"].max() < 71 and forecast["low"].max() < 71


def test_holiday_effect_falls_on_the_holiday_of_the_country(flights, airport):
    """Flights dip on Independence Day and Thanksgiving in 2013; so does the forecast, on the dates of 2014."""
    ahead = future_of(flights, 365, wind=15.0)
    plain = create("prophet").fit(flights).predict(365, ahead).set_index("ds")["forecast"]
    effect = airport.predict(365, ahead).set_index("ds")["forecast"]
    weekly = effect.groupby(effect.index.dayofweek).transform("median")
    assert (effect - weekly)["2014-07-04"] < -10
    assert (effect - weekly)["2014-11-27"] < -10 and abs((effect - weekly)["2014-11-28"]) < 25
    assert abs((plain - plain.groupby(plain.index.dayofweek).transform("median"))["2014-07-04"]) < 5


def test_holidays_of_a_state_come_from_the_features_or_the_parameters():
    days = pd.date_range("2021-01-01", periods=900)
    y = 100 - 50.0 * (days.strftime("%m-%d") == "07-09") + np.random.default_rng(0).normal(0, 1, 900)
    panel = panel_of(y, "D", "2021-01-01")
    models = {
        "state": create("prophet", country="BR", state="SP"),
        "features": create("prophet", features=FeatureSpec(country="BR", state="SP")),
        "country": create("prophet", country="BR"),
    }
    dips = {}
    for name, model in models.items():
        forecast = model.fit(panel).predict(60).set_index("ds")["forecast"]
        dips[name] = forecast["2023-07-09"] - forecast["2023-07-16"]
    assert dips["state"] < -30 and dips["features"] == pytest.approx(dips["state"]) and abs(dips["country"]) < 15


def test_months_count_their_holidays_as_a_covariate(equipment):
    model = create("prophet", country="DE").fit(panel_of(equipment[:120], "MS"))
    assert model.encoding.labels == ["holidays", "workdays"]
    assert np.isfinite(model.predict(24)["forecast"]).all()


def test_forecast_follows_the_edited_covariate(flights, airport):
    future = future_of(flights, 14, wind=10.0)
    storm = future.assign(wind=[10.0] * 5 + [70.0] + [10.0] * 8)
    change = airport.predict(14, storm)["forecast"] - airport.predict(14, future)["forecast"]
    assert change[5] < -10 and np.allclose(change.drop(5), 0)


def test_known_coefficients_of_number_flag_and_text():
    rng = np.random.default_rng(0)
    x, flag, sky = rng.normal(5, 2, 200), rng.random(200) < 0.3, rng.choice(["sun", "rain"], 200, p=[0.7, 0.3])
    y = 50 + 2.0 * x + 10.0 * flag - 7.0 * (sky == "rain") + rng.normal(0, 0.5, 200)
    panel = panel_of(y, x=x, flag=flag, sky=sky)
    model = create("prophet").fit(panel)
    base = {"x": 5.0, "flag": False, "sky": "sun"}
    value = {
        name: float(model.predict(1, future_of(panel, 1, **(base | change)))["forecast"].iloc[0])
        for name, change in {"base": {}, "x": {"x": 6.0}, "flag": {"flag": True}, "rain": {"sky": "rain"}}.items()
    }
    assert value["x"] - value["base"] == pytest.approx(2, abs=0.2)
    assert value["flag"] - value["base"] == pytest.approx(10, abs=0.5)
    assert value["rain"] - value["base"] == pytest.approx(-7, abs=0.5)


def test_missing_future_cell_is_refused_by_name(flights, airport):
    future = future_of(flights, 7, wind=10.0)
    future.loc[2, "wind"] = np.nan
    with pytest.raises(VurError, match="'wind' of series 'JFK' at 2014-01-03") as caught:
        airport.predict(7, future)
    assert caught.value.code == "regression.future_missing"


def test_beats_the_season_repeated_on_a_real_trend():
    """CO2 rises every year: the last year repeated is a rise behind, a trend is not."""
    co2 = pd.read_csv("data/co2_weekly.csv")["co2"].interpolate().to_numpy()[-368:]
    panel = panel_of(co2[:-52], "W-SAT")
    errors = {
        id: np.abs(create(id).fit(panel).predict(52)["forecast"] - co2[-52:]).mean()
        for id in ("prophet", "seasonal_naive")
    }
    assert errors["prophet"] < 0.5 * errors["seasonal_naive"]


def test_forecast_is_that_of_prophet_called_directly(equipment):
    from prophet import Prophet

    frame = panel_of(equipment[:96], "MS").frame[["ds", "y"]]
    ours = (
        create("prophet", changepoint_prior_scale=0.2, n_changepoints=15, seasonality_mode="multiplicative")
        .fit(panel_of(equipment[:96], "MS"))
        .predict(12)
    )
    peer = Prophet(
        changepoint_prior_scale=0.2,
        n_changepoints=15,
        seasonality_mode="multiplicative",
        yearly_seasonality=6,
        weekly_seasonality=False,
        daily_seasonality=False,
        uncertainty_samples=0,
    ).fit(frame, seed=0)
    assert np.allclose(ours["forecast"], peer.predict(ours[["ds"]])["yhat"], rtol=1e-6)


def test_same_seed_gives_the_same_model(flights, airport):
    again = create("prophet", features=FeatureSpec(country="US"), seed=0).fit(flights)
    assert again.fitted[0].state["json"] == airport.fitted[0].state["json"]
    future = future_of(flights, 7, wind=10.0)
    pd.testing.assert_frame_equal(again.predict(7, future), airport.predict(7, future), check_exact=True)


def test_whole_numbers_are_steps_without_a_calendar():
    y = 10 + 0.5 * np.arange(60) + np.tile([3.0, -3, 0, 0], 15)
    panel = panel_of(y, Frequency("1", 4, (4,)), start=100)
    model = create("prophet", features=FeatureSpec(country="BR")).fit(panel)
    forecast = model.predict(8)
    assert forecast["ds"].tolist() == list(range(160, 168))
    assert np.abs(forecast["forecast"] - (40 + 0.5 * np.arange(8) + np.tile([3.0, -3, 0, 0], 2))).max() < 1
    with pytest.raises(VurError, match="'weekly'"):
        create("prophet", weekly="on").fit(panel)
    with pytest.raises(VurError, match="stamps are integers"):
        create("prophet", country="BR").fit(panel)


def test_a_failure_inside_the_library_is_listed(equipment, monkeypatch):
    import prophet

    def broken(self, *arguments, **options):
        raise RuntimeError("no optimiser")

    monkeypatch.setattr(prophet.Prophet, "fit", broken)
    model = create("prophet").fit(panel_of(equipment[:60], "MS"))
    assert model.fallbacks["reason"].tolist() == ["failed: RuntimeError: no optimiser"]
    assert np.isfinite(model.predict(3)["forecast"]).all()


def test_saved_model_forecasts_the_same_in_another_process(flights, airport, tmp_path):
    future = future_of(flights, 30, wind=12.0)
    airport.save(tmp_path / "model")
    future.to_parquet(tmp_path / "future.parquet")
    code = """
        import pandas as pd, sys
        from vur.forecasters.base import load_forecaster
        model = load_forecaster(sys.argv[1] + "/model")
        model.predict(30, pd.read_parquet(sys.argv[1] + "/future.parquet")).to_parquet(sys.argv[1] + "/out.parquet")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "out.parquet"), airport.predict(30, future), check_exact=True
    )
    assert_no_pickle(tmp_path / "model")


def test_fit_needs_nothing_but_the_installed_package(tmp_path):
    """No compiler, no home, no CmdStan installation: the optimiser in the wheel is enough; no files are left."""
    code = """
        import numpy as np, pandas as pd, sys
        from vur.forecasters.base import create
        from vur.frequency import frequency
        from vur.panel import Panel
        months = pd.date_range("2020-01-01", periods=60, freq="MS")
        frame = pd.DataFrame({"unique_id": "a", "ds": months, "y": np.arange(60.0)})
        model = create("prophet").fit(Panel(frame, frequency("MS")))
        assert model.fallbacks.empty, model.fallbacks.to_dict()
        print(round(model.predict(1)["forecast"].iloc[0]))
    """
    environment = {
        "HOME": str(tmp_path / "nowhere"),
        "PATH": "/nonexistent",
        "TMPDIR": str(tmp_path),
        "PYTHONPATH": str(Path.cwd()),
        "MPLCONFIGDIR": str(tmp_path / "fonts"),
    }
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], env=environment, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout.strip()) == (0, "60"), done.stderr
    assert done.stderr == "", "Prophet and its optimiser keep quiet"
    assert {path.name for path in tmp_path.iterdir()} <= {"fonts"}, (
        "matplotlib, which Prophet imports, lists the fonts it found"
    )


def test_messages_of_others_are_left_alone(equipment):
    before = [logging.getLogger(name).disabled for name in ("cmdstanpy", "prophet")]
    create("prophet").fit(panel_of(equipment[:40], "MS"))
    assert [logging.getLogger(name).disabled for name in ("cmdstanpy", "prophet")] == before


def test_two_workers_give_what_one_gives_and_stop_is_polled(equipment):
    panel = panel_of({f"s{k:02d}": equipment[k : k + 60] for k in range(10)}, "MS")
    expected = forecast_panel(create("prophet"), panel, 6)
    pd.testing.assert_frame_equal(forecast_panel(create("prophet", workers=2), panel, 6), expected, check_exact=True)
    seen = []
    with pytest.raises(Stopped):
        forecast_panel(
            create("prophet"),
            panel,
            6,
            progress=lambda done, total: seen.append((done, total)),
            stop=lambda: len(seen) > 0,
        )
    assert seen and seen[0][1] == 10


def test_update_keeps_models_and_continues_the_trend(equipment, tmp_path):
    before, after = panel_of(equipment[:100], "MS"), panel_of({"a": equipment[:110], "new": equipment[20:130]}, "MS")
    model = create("prophet").fit(before)
    further = model.predict(16).tail(6)["forecast"].to_numpy()
    text = model.fitted[0].state["json"]
    loaded = load_forecaster(model.save(tmp_path)).update(after)
    assert loaded.fitted[0].state["json"] == text
    forecast = loaded.predict(6)
    assert np.array_equal(forecast.loc[forecast["unique_id"] == "a", "forecast"], further)
    alone = create("prophet").fit(panel_of({"new": equipment[20:130]}, "MS")).predict(6)["forecast"]
    assert np.array_equal(forecast.loc[forecast["unique_id"] == "new", "forecast"], alone)


def test_local_hours_of_a_zoned_panel():
    """A shop that opens at nine opens at nine in summer and in winter, though the hour in UTC changes."""
    utc = pd.date_range("2024-09-01", periods=24 * 75, freq="h", tz="UTC")
    local = utc.tz_convert("America/New_York")
    y = 100.0 * ((local.hour >= 9) & (local.hour < 18)) + np.random.default_rng(0).normal(0, 1, len(utc))
    keep = 24 * 60  # ends on 31 October: clocks go back on 3 November
    panel = replace(panel_of(np.asarray(y)[:keep], "h", "2024-09-01"), tz="America/New_York")
    forecast = create("prophet", weekly="off").fit(panel).predict(24 * 10)
    truth = np.asarray(y)[keep : keep + 240]
    assert np.corrcoef(forecast["forecast"], truth)[0, 1] > 0.9
    assert forecast["ds"].is_monotonic_increasing


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"growth": "quadratic"}, "'growth'"),
        ({"growth": "logistic"}, "no cap"),
        ({"cap": 5.0}, "only logistic"),
        ({"growth": "logistic", "cap": 1.0, "floor": 2.0}, "above the floor"),
        ({"state": "SP"}, "'SP'"),
        ({"yearly": True}, "'yearly'"),
        ({"changepoint_prior_scale": 0.0}, "'changepoint_prior_scale'"),
    ],
)
def test_wrong_parameters_are_refused_by_name(parameters, words):
    with pytest.raises(VurError, match=words):
        create("prophet", **parameters)


def test_unknown_country_state_and_impossible_season_are_refused(equipment):
    panel = panel_of(equipment[:60], "MS")
    with pytest.raises(VurError, match="'Narnia'"):
        create("prophet", country="Narnia").fit(panel)
    with pytest.raises(VurError, match="'XX'"):
        holiday_table("BR", "XX", pd.Timestamp("2024-01-01"), pd.Timestamp("2024-12-31"))
    with pytest.raises(VurError, match="'daily'"):
        create("prophet", daily="on").fit(panel)


def test_multiplicative_season_grows_with_the_level():
    month = np.arange(96)
    y = (10 + month) * (1 + 0.4 * np.sin(month * np.pi / 6))
    forecast = {
        mode: create("prophet", seasonality_mode=mode).fit(panel_of(y, "MS")).predict(24)["forecast"]
        for mode in ("additive", "multiplicative")
    }
    truth = (10 + np.arange(96, 120)) * (1 + 0.4 * np.sin(np.arange(96, 120) * np.pi / 6))
    assert np.abs(forecast["multiplicative"] - truth).mean() < 0.5 * np.abs(forecast["additive"] - truth).mean()
