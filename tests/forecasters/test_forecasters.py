"""Forecasters: every algorithm on ordinary, short, broken and odd series; saving, updating, stopping, workers."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pandas as pd
import pytest
from builders import panel_of, seasonal, turnover
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vur.errors import VurError
from vur.forecasters.base import create, forecast_panel, load_forecaster
from vur.forecasters.parallel import Stopped, map_series
from vur.forecasters.registry import algorithm, algorithms
from vur.forecasters.statistical import describe_fallback
from vur.panel import Panel
from vur.stages.model import auto_algorithms
from vur.state import load_state, save_state
from vur.text import LANGUAGES, translate

BASELINES = ["naive", "seasonal_naive", "drift", "mean"]
SPARSE = ["croston", "sba", "tsb", "adida", "imapa"]
FAST = [*SPARSE, "log_theta", "recent_theta", "theta", "ces", "mstl", "holt_winters", "ets", "arima"]
LOCAL = [*BASELINES, *FAST, "auto_arima"]


@pytest.fixture(scope="module")
def equipment() -> Panel:
    return panel_of({"orders": turnover(120)}, "MS")


@pytest.fixture(scope="module")
def mixed() -> Panel:
    rng = np.random.default_rng(0)
    sales = seasonal(72, level=60, trend=0.3, swing=9, noise=2, seed=rng)
    return panel_of(
        {
            "all_zero": np.zeros(40),
            "constant": np.full(30, 7.0),
            "jump": np.r_[np.ones(30), np.full(30, 1e6)],
            "long": sales,
            "negative": -sales,
            "one": [3.0],
            "parts": np.where(rng.random(60) < 0.7, 0, rng.poisson(4, 60)),
            "short": sales[:15],
            "three": [1.0, 2.0, 4.0],
            "tiny": sales[:5] * 1e-9,
            "two": [5.0, 6.0],
        },
        "MS",
    )


@pytest.mark.parametrize(
    "id", [id for id in LOCAL if id != "auto_arima"] + [pytest.param("auto_arima", marks=pytest.mark.slow)]
)
def test_every_algorithm_survives_odd_series(id, mixed):
    model = create(id).fit(mixed)
    forecast = model.predict(14)
    assert list(forecast.columns) == ["unique_id", "ds", "forecast"]
    assert forecast.groupby("unique_id").size().to_dict() == dict.fromkeys(mixed.ids, 14)
    assert np.isfinite(forecast["forecast"]).all()
    last = mixed.frame.groupby("unique_id")["ds"].max()
    first = forecast.groupby("unique_id")["ds"].min()
    assert (first == last + pd.offsets.MonthBegin()).all()
    for id_, flat in (("constant", 7.0), ("all_zero", 0.0), ("one", 3.0)):
        assert np.allclose(forecast.loc[forecast["unique_id"] == id_, "forecast"], flat)


@pytest.mark.slow
@pytest.mark.parametrize("id", ["prophet", "sarimax"])
def test_odd_series_fall_back_and_are_listed(id):
    odd = {"constant": np.full(40, 7.0), "eight": turnover(8), "fine": turnover(60), "one": [3.0], "zero": np.zeros(30)}
    model = create(id).fit(panel_of(odd, "MS"))
    assert model.fallbacks.set_index("unique_id")["reason"].to_dict() == {
        "constant": "constant",
        "eight": "too_short",
        "one": "too_short",
        "zero": "constant",
    }
    forecast = model.predict(14)
    assert np.isfinite(forecast["forecast"]).all() and forecast.groupby("unique_id").size().eq(14).all()
    assert (forecast.loc[forecast["unique_id"] == "constant", "forecast"] == 7.0).all()
    assert all(
        describe_fallback(reason, language)
        for reason in [*model.fallbacks["reason"], "not_converged: 3 iterations"]
        for language in LANGUAGES
    )


@pytest.mark.parametrize("id", LOCAL)
def test_saved_model_forecasts_to_the_last_digit(id, equipment, tmp_path):
    parameters = {"max_p": 1, "max_q": 1, "max_P": 1, "max_Q": 1} if id == "auto_arima" else {}
    model = create(id, **parameters).fit(equipment)
    loaded = load_forecaster(model.save(tmp_path))
    for horizon in (1, 12, 37):
        pd.testing.assert_frame_equal(loaded.predict(horizon), model.predict(horizon), check_exact=True)
    assert loaded.update(equipment).predict(5).equals(model.update(equipment).predict(5))
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} <= {".json", ".npz"}


@pytest.mark.parametrize("id", [*BASELINES, *FAST])
def test_shortcut_agrees_with_fit_and_predict(id, mixed):
    model = create(id)
    pd.testing.assert_frame_equal(forecast_panel(model, mixed, 9), create(id).fit(mixed).predict(9), check_exact=True)
    assert model.fallbacks.equals(create(id).fit(mixed).fallbacks)


def test_fallbacks_are_listed_with_reason_in_both_languages(mixed):
    table = create("ets").fit(mixed).fallbacks.set_index("unique_id")
    assert table.loc["constant"].tolist() == ["constant", "seasonal_naive"]
    assert table.loc["three"].tolist() == ["too_short", "naive"]
    assert "long" not in table.index and "negative" not in table.index
    for reason in table["reason"]:
        assert describe_fallback(reason) and describe_fallback(reason, "pt-BR") != describe_fallback(reason)


def test_a_failing_library_call_makes_one_series_fall_back(mixed, monkeypatch):
    from statsforecast import models

    whole = models.AutoCES.fit

    def fragile(self, y, X=None):
        if len(y) == 72 and y[0] > 0:
            raise np.linalg.LinAlgError("singular")
        return whole(self, y, X)

    monkeypatch.setattr(models.AutoCES, "fit", fragile)
    model = create("ces").fit(mixed)
    row = model.fallbacks.set_index("unique_id").loc["long"]
    assert row["reason"] == "failed: LinAlgError: singular" and row["used"] == "seasonal_naive"
    y = mixed.frame.query("unique_id == 'long'")["y"].to_numpy()
    assert model.predict(12).query("unique_id == 'long'")["forecast"].tolist() == y[-12:].tolist()


@pytest.mark.slow
def test_workers_and_order_do_not_change_a_digit(equipment):
    rng = np.random.default_rng(1)
    base = equipment.frame["y"].to_numpy()
    series = {f"s{k:02d}": base[: rng.integers(30, 80)] * rng.uniform(0.5, 2) for k in range(40)}
    alone = forecast_panel(create("ets"), panel_of(series, "QS"), 12)
    shared = forecast_panel(create("ets", workers=3), panel_of(series, "QS"), 12)
    pd.testing.assert_frame_equal(alone, shared, check_exact=True)
    single = forecast_panel(create("ets"), panel_of({"s17": series["s17"]}, "QS"), 12)
    assert single["forecast"].tolist() == alone.query("unique_id == 's17'")["forecast"].tolist()


@pytest.mark.slow
def test_progress_and_stop(equipment):
    base = equipment.frame["y"].to_numpy()[:60]
    panel = panel_of({f"s{k:03d}": base + k for k in range(60)}, "QS")
    seen: list[tuple[int, int]] = []
    forecast_panel(create("ets", workers=2), panel, 3, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (60, 60) and [done for done, _ in seen] == sorted(done for done, _ in seen) and len(seen) > 3
    finished: list[int] = []
    with pytest.raises(Stopped):
        forecast_panel(
            create("ets", workers=2),
            panel,
            3,
            progress=lambda done, total: finished.append(done),
            stop=lambda: len(finished) >= 2,
        )
    deadline = time.monotonic() + 5
    while multiprocessing.active_children() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not multiprocessing.active_children()


def _sleep_or_die(seconds):
    if seconds < 0:
        os._exit(1)
    time.sleep(seconds)
    return seconds


def test_a_dead_worker_is_an_error_not_a_hang():
    with pytest.raises(VurError, match="worker"):
        map_series(_sleep_or_die, [0.1] * 20 + [-1.0], workers=2)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="process groups and /proc")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_interrupt_or_kill_leaves_no_worker_behind(how):
    code = textwrap.dedent("""
        import time
        from vur.forecasters.parallel import map_series
        map_series(time.sleep, [0.1] * 2000, workers=2, progress=lambda done, total: print(done, flush=True))
    """)
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    while int(parent.stdout.readline()) < 6:
        pass
    with open(f"/proc/{parent.pid}/task/{parent.pid}/children") as stream:
        children = [int(pid) for pid in stream.read().split()]
    assert children
    (os.killpg if how == signal.SIGINT else os.kill)(parent.pid, how)
    parent.wait(timeout=20)
    deadline = time.monotonic() + 10
    while any(map(_alive, children)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(_alive, children))


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stream:
            return stream.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("id", ["ets", "theta", "log_theta", "recent_theta", "ces", "mstl", "arima", "holt_winters"])
def test_update_keeps_parameters_and_moves_the_origin(id, equipment):
    rows = equipment.frame
    before = equipment.with_frame(rows.iloc[:108])
    model = create(id).fit(before).update(equipment)
    forecast = model.predict(12)
    assert forecast["ds"].min() == rows["ds"].max() + pd.offsets.MonthBegin()
    anew = create(id).fit(equipment).predict(12)["forecast"]
    assert np.abs(forecast["forecast"] - anew).mean() < 0.15 * rows["y"].mean()


def test_update_with_another_beginning_or_new_series_fits_anew(equipment):
    rows = equipment.frame
    later = equipment.with_frame(rows.iloc[7:])
    assert create("ets").fit(equipment).update(later).predict(6).equals(create("ets").fit(later).predict(6))
    both = panel_of({"new": rows["y"].to_numpy()[:50], "orders": rows["y"].to_numpy()}, "MS")
    model = create("theta").fit(equipment).update(both)
    assert model.predict(2)["unique_id"].tolist() == ["new"] * 2 + ["orders"] * 2


def test_given_arima_reaches_the_maximum_likelihood(equipment):
    """statsforecast 2.1.1 alone stops at its first step; statsmodels is the reference."""
    from statsmodels.tsa.statespace.sarimax import SARIMAX

    y = equipment.frame["y"].to_numpy()
    reference = SARIMAX(y, order=(0, 1, 1), seasonal_order=(0, 1, 1, 12), simple_differencing=True).fit(disp=0)
    model = create("arima", order=[0, 1, 1], seasonal_order=[0, 1, 1]).fit(equipment)
    coefficients = model.fitted[0].state["model"]["coef"]
    assert coefficients["ma1"] == pytest.approx(reference.params[0], abs=0.03)
    assert coefficients["sma1"] == pytest.approx(reference.params[1], abs=0.06)


def test_long_seasons_are_forecast_seasonally():
    week = np.arange(52 * 5)
    y = 100 + 20 * np.sin(2 * np.pi * week / 52)
    for id in ("ets", "mstl", "ces", "theta", "holt_winters"):
        forecast = create(id).fit(panel_of(y, "W-SUN")).predict(52)["forecast"].to_numpy()
        assert np.corrcoef(forecast, 20 * np.sin(2 * np.pi * (week[-1] + 1 + np.arange(52)) / 52))[0, 1] > 0.9, id


def test_integer_and_sub_daily_stamps():
    y = np.sin(np.arange(200)) + 3
    counted = create("theta").fit(panel_of(y, "1")).predict(3)
    assert counted["ds"].tolist() == [200, 201, 202]
    quarter = create("seasonal_naive").fit(panel_of(y, "15min")).predict(96)
    assert (quarter["ds"].diff().dropna() == pd.Timedelta("15min")).all()
    assert quarter["forecast"].tolist() == y[-96:].tolist()


def test_baselines_forecast_a_thousand_series():
    rng = np.random.default_rng(2)
    panel = panel_of({f"s{k:04d}": rng.random(120) for k in range(1000)}, "MS")
    for id in BASELINES:
        ahead = forecast_panel(create(id), panel, 12)
        assert len(ahead) == 12_000 and ahead["forecast"].notna().all()


def test_import_is_light():
    code = (
        "import sys; from vur.forecasters.base import create; from vur.forecasters.registry import algorithms; "
        "algorithms(); create('naive'); create('ets');"
        "print([m for m in ('statsforecast', 'lightgbm', 'sklearn', 'mlforecast', 'statsmodels') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_every_parameter_and_algorithm_is_described_in_both_languages():
    for one in algorithms().values():
        for parameter in one.parameters.values():
            assert translate(parameter.meaning) != translate(parameter.meaning, "pt-BR")
            assert parameter.default is None or parameter.accepts(parameter.default)
    for id in [*LOCAL, "ensemble"]:
        assert translate(f"forecasters.algorithm.{id}", "pt-BR")
        for parameter in algorithm(id).parameters.values():
            assert translate(f"{parameter.meaning}.name", "pt-BR")


@pytest.mark.parametrize(
    "id, parameters, named",
    [
        ("ets", {"model": "QQQ"}, "model"),
        ("ets", {"period": 3}, "period"),
        ("arima", {"order": [1, "x", 1]}, "order"),
        ("seasonal_naive", {"season": 0}, "season"),
        ("tsb", {"alpha_demand": 1.5}, "alpha_demand"),
        ("nobody", {}, "nobody"),
    ],
)
def test_wrong_parameters_are_refused_by_name(id, parameters, named):
    with pytest.raises(VurError) as caught:
        create(id, **parameters)
    assert named in str(caught.value) and named in caught.value.text("pt-BR")


@pytest.mark.parametrize("order, name", [([1, 1], "order"), ([0, 1, 1, 1], "seasonal_order")])
def test_arima_orders_have_three_numbers(order, name):
    with pytest.raises(VurError, match=name):
        create("arima", **{name: order})


def test_missing_target_and_bad_horizon_are_named(equipment):
    holes = equipment.with_frame(equipment.frame.assign(y=equipment.frame["y"].where(equipment.frame.index != 5)))
    with pytest.raises(VurError, match="2015-06-01"):
        create("ets").fit(holes)
    with pytest.raises(VurError, match="horizon"):
        create("naive").fit(equipment).predict(0)
    with pytest.raises(VurError, match="no rows"):
        forecast_panel(create("naive"), equipment.with_frame(equipment.frame.head(0)), 3)


def test_a_tampered_or_damaged_state_is_refused(equipment, tmp_path):
    folder = create("ces").fit(equipment).save(tmp_path)
    state = json.loads((folder / "state.json").read_text())
    np.savez(folder / "state.npz", v0=np.array([print], dtype=object))
    with pytest.raises(VurError, match="cannot be read"):
        load_forecaster(folder)
    state["tree"] = {"array": ["<f8", 0, [10**9]]}
    (folder / "state.json").write_text(json.dumps(state))
    with pytest.raises(VurError, match="cannot be read"):
        load_forecaster(folder)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.floats().map(np.float64)
    | st.lists(st.floats(), max_size=5).map(np.array)
    | st.integers(0, 3).map(lambda n: np.zeros((n, 2), dtype=np.int64)),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=4)
    ),
    max_leaves=15,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=plain)
def test_any_plain_tree_survives_the_disk(tree, tmp_path):
    save_state(tmp_path, tree)
    back = load_state(tmp_path)
    assert type(back) is type(tree)
    np.testing.assert_equal(back, tree)


@settings(max_examples=25, deadline=None)
@given(
    y=st.lists(st.floats(-1e9, 1e9) | st.sampled_from([0.0, 1.0]), min_size=1, max_size=40),
    id=st.sampled_from(["theta", "ces", "log_theta", *SPARSE, "holt_winters", "mstl", *BASELINES]),
)
def test_any_series_gets_finite_forecasts(y, id):
    forecast = forecast_panel(create(id), panel_of(y, "QS"), 7)
    assert len(forecast) == 7 and np.isfinite(forecast["forecast"]).all()


def test_auto_chooses_by_what_the_panel_looks_like(equipment, mixed):
    chosen = auto_algorithms(equipment)
    assert chosen[0] in BASELINES and {"ets", "theta", "ces", "log_theta", "seasonal_naive"} <= set(chosen)
    assert not {*SPARSE, "lightgbm_count"} & set(chosen)
    costs = [algorithm(id).cost for id in chosen]
    assert costs == sorted(costs)
    sparse = panel_of(np.tile([0, 0, 3, 0, 0], 20), "MS")
    assert {"sba", "tsb", "adida", "imapa", "mean"} <= set(auto_algorithms(sparse))
    assert not {"log_theta", "theta", "lightgbm", "ces", "mstl"} & set(auto_algorithms(sparse, "best"))
    assert "mstl" in auto_algorithms(panel_of(np.arange(500.0), "h"))
    assert "seasonal_naive" not in auto_algorithms(panel_of(np.arange(30.0), "YS"))
    assert auto_algorithms(panel_of([1.0, 2.0], "MS"))
