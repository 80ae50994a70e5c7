"""Features: the table holds what was asked for, no value comes from the future of its row, mistakes are named."""

import numpy as np
import pandas as pd
import pytest
from builders import flights, panel_of
from hypothesis import given, settings
from hypothesis import strategies as st

from vur.errors import VurError
from vur.frequency import frequency
from vur.stages.features import FeatureSpec, features_frame, history_needed, lag_kernels, resolve_features
from vur.stages.features.calendar import calendar_frame, fourier_terms, holidays_frame, step_days

NOTHING = FeatureSpec(lags=(), rolling=(), differences=(), calendar=(), fourier=(), known_future=(), static=())


def with_(**fields) -> FeatureSpec:
    return FeatureSpec(**{**NOTHING.to_dict(), **fields})


def test_every_window_function_agrees_with_pandas():
    panel = flights(temp="known_future")
    spec = with_(
        rolling=[(f, 2, 5) for f in ("mean", "std", "min", "max", "median")],
        expanding=[("mean", 1), ("max", 1)],
        ewm=[(1, 0.3)],
        differences=[1, 7],
    )
    table = features_frame(panel, spec)
    for _, part in table.groupby("unique_id"):
        y = part["y"]
        window = y.shift(2).rolling(5)
        for name, expected in {
            "mean": window.mean(),
            "std": window.std(),
            "min": window.min(),
            "max": window.max(),
        }.items():
            np.testing.assert_allclose(part[f"rolling_{name}_lag2_window_size5"], expected, rtol=1e-9, atol=1e-6)
        np.testing.assert_allclose(part["rolling_quantile_lag2_window_size5_p0.5"], window.median())
        np.testing.assert_allclose(part["expanding_mean_lag1"], y.shift(1).expanding().mean())
        np.testing.assert_allclose(part["expanding_max_lag1"], y.shift(1).expanding().max())
        np.testing.assert_allclose(
            part["exponentially_weighted_mean_lag1_alpha0.3"], y.shift(1).ewm(alpha=0.3, adjust=False).mean()
        )
        np.testing.assert_allclose(part["difference7"], y.shift(1) - y.shift(8))


def test_features_of_a_series_do_not_depend_on_its_neighbours():
    panel = flights(temp="known_future")
    spec = resolve_features(FeatureSpec(), panel)
    together = features_frame(panel, spec).query("unique_id == 'LGA'").reset_index(drop=True)
    alone = features_frame(panel.with_frame(panel.frame.query("unique_id == 'LGA'")), spec)
    pd.testing.assert_frame_equal(together, alone, check_exact=False, rtol=1e-9)


@settings(max_examples=40, deadline=None)
@given(row=st.integers(0, 364), value=st.floats(-1e6, 1e6))
def test_no_feature_of_a_row_depends_on_its_own_target_or_a_later_one(row, value):
    panel = flights(temp="known_future")
    one = panel.with_frame(panel.frame.query("unique_id == 'JFK'"))
    spec = resolve_features(FeatureSpec(expanding=(("std", 1),), ewm=((1, 0.5),)), one)
    changed = one.with_frame(one.frame.assign(y=np.where(np.arange(365) >= row, value, one.frame["y"])))
    before, after = (features_frame(p, spec).drop(columns="y").iloc[: row + 1] for p in (one, changed))
    pd.testing.assert_frame_equal(before, after)


def test_past_only_columns_never_become_features():
    table = features_frame(flights(temp="known_future"))
    assert "temp" in table and not {"wind", "rain", "visibility", "cancelled"} & set(table)


@pytest.mark.parametrize(
    ("alias", "length", "expected"),
    [
        ("MS", 60, {"calendar": ("month",), "fourier": ()}),
        ("MS", 20, {"calendar": ()}),
        ("QS", 40, {"calendar": ("quarter",)}),
        ("D", 60, {"calendar": ("dayofweek",)}),
        ("h", 24 * 30, {"calendar": ("hour", "dayofweek")}),
        ("YS", 30, {"calendar": ()}),
        ("B", 60, {"calendar": ("dayofweek",)}),
        ("D", 800, {"calendar": ("dayofweek", "day", "month")}),
        ("W-MON", 200, {"fourier": ((52.18, 3),)}),
    ],
)
def test_auto_uses_the_calendar_only_where_two_cycles_were_seen(alias, length, expected):
    spec = resolve_features(FeatureSpec(), panel_of(np.arange(length), alias))
    assert {name: getattr(spec, name) for name in expected} == expected
    assert spec.lags and max(spec.lags) <= max(1, length // 2)


@pytest.mark.parametrize("length", [1, 2, 3, 5, 8, 13])
def test_a_very_short_series_still_has_a_specification_and_a_table(length):
    panel = panel_of(np.arange(length), "MS")
    assert len(features_frame(panel)) == length and resolve_features(FeatureSpec(), panel).lags


def test_integer_stamps_get_lags_and_refuse_dates():
    panel = panel_of(np.arange(40), "1")
    assert "lag1" in features_frame(panel)
    with pytest.raises(VurError, match="dayofweek"):
        features_frame(panel, FeatureSpec(calendar=("dayofweek",)))


def test_a_specification_survives_json_and_yaml():
    import json

    import yaml

    spec = FeatureSpec(
        lags=(1, 7),
        rolling=(("seasonal_mean", 7, 4),),
        ewm=((1, 0.5),),
        fourier=((365.25, 2),),
        country="BR",
        state="CE",
    )
    assert FeatureSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    assert FeatureSpec.from_dict(yaml.safe_load(yaml.safe_dump(spec.to_dict()))) == spec


def test_pydantic_reads_a_specification():
    from pydantic import TypeAdapter

    read = TypeAdapter(FeatureSpec).validate_python(
        {"lags": [1, 7], "calendar": "auto", "rolling": [["mean", 1, 7]], "fourier": [[7, 2]]}
    )
    assert read == FeatureSpec(lags=(1, 7), rolling=(("mean", 1, 7),), fourier=((7, 2),))


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"lags": (-1,)}, "-1"),
        ({"lags": 3}, "lags"),
        ({"lags": "all"}, "lags"),
        ({"rolling": (("mean", 1),)}, "mean"),
        ({"rolling": (("mode", 1, 2),)}, "mode"),
        ({"ewm": ((1, 1.5),)}, "1.5"),
        ({"calendar": ("weekdays",)}, "weekdays"),
        ({"fourier": ((1, 1),)}, "fourier"),
        ({"expanding": (("mean", 0),)}, "expanding"),
        ({"differences": (0,)}, "differences"),
        ({"static": (3,)}, "static"),
        ({"state": "CE"}, "CE"),
        ({"lags": (True,)}, "True"),
    ],
)
def test_a_wrong_setting_is_named(fields, named):
    with pytest.raises(VurError) as caught:
        FeatureSpec(**fields)
    assert named in str(caught.value) and named in caught.value.text("pt-BR")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"known_future": ("wind",)}, "past_only"),
        ({"known_future": ("price",)}, "price"),
        ({"static": ("temp",)}, "known_future"),
        ({"country": "Brazil"}, "BR"),
        ({"country": "BR", "state": "XX"}, "CE"),
    ],
)
def test_unknown_columns_countries_and_states_are_named(fields, named):
    with pytest.raises(VurError) as caught:
        resolve_features(FeatureSpec(**fields), flights(temp="known_future"))
    assert named in str(caught.value) and named in caught.value.text("pt-BR")


def test_brazilian_holidays_of_a_state_and_their_neighbours():
    days = pd.date_range("2024-03-17", "2024-03-21")
    ceara, brazil = holidays_frame(days, "BR", "CE"), holidays_frame(days, "BR")
    assert ceara["holiday"].tolist() == [0, 0, 1, 0, 0] and brazil["holiday"].sum() == 0
    assert ceara["holiday_before"].tolist() == [0, 1, 0, 0, 0] and ceara["holiday_after"].tolist() == [0, 0, 0, 1, 0]


def test_hourly_holidays_and_hours_follow_the_local_clock():
    stamps = pd.date_range("2024-12-25 00:00", periods=24, freq="h")  # UTC
    table = calendar_frame(stamps, frequency("h"), parts=("hour",), country="BR", tz="America/Sao_Paulo")
    assert table["hour"].iloc[0] == 21 and table["holiday"].tolist() == [0] * 3 + [1] * 21


@pytest.mark.parametrize(
    "alias", ["MS", "ME", "QS", "QE", "W-MON", "W-SUN", "YS", "2MS", "2W-MON", "BMS", "B", "15min", "2D"]
)
def test_calendar_works_for_every_frequency(alias):
    stamps = pd.date_range("2022-01-01", periods=12, freq=alias)
    table = calendar_frame(stamps, frequency(alias), fourier=((7, 1),), country="US")
    assert len(table) == 12 and table.notna().all(axis=None) and step_days(frequency(alias)) > 0
    if alias in ("MS", "ME"):
        assert table["holidays"].sum() >= 10 and (table["workdays"] + table["holidays"]).between(20, 23).all()


def test_fourier_terms_have_the_same_phase_in_every_part_of_a_series():
    days = pd.date_range("2020-01-01", periods=800)
    whole = fourier_terms(days, ((365.25, 2),), frequency("D")).iloc[300:].reset_index(drop=True)
    pd.testing.assert_frame_equal(whole, fourier_terms(days[300:], ((365.25, 2),), frequency("D")))


@settings(max_examples=30, deadline=None)
@given(
    spec=st.builds(
        with_,
        lags=st.lists(st.integers(1, 20), min_size=1, max_size=4),
        rolling=st.lists(
            st.tuples(
                st.sampled_from(["mean", "min", "seasonal_mean", "median"]), st.integers(1, 7), st.integers(2, 6)
            ),
            max_size=3,
        ),
        differences=st.lists(st.integers(1, 10), max_size=2),
    )
)
def test_the_tail_of_a_series_is_enough_for_its_next_features(spec):
    from vur.stages.features import grouped_values

    y = np.random.default_rng(0).normal(size=100)
    tail = y[-history_needed(spec) :]
    for kernel in lag_kernels(spec).values():
        whole, last = (kernel.update(grouped_values(v, np.array([0, len(v)], dtype="int32")))[0] for v in (y, tail))
        assert whole == pytest.approx(last) and np.isfinite(last)
