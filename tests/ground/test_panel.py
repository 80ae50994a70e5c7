"""The panel contract: frequency, roles, refusals, zones, the grid."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import DATA

from vur.errors import VurError
from vur.frequency import (
    Frequency,
    advance,
    default_horizon,
    describe_alias,
    frequency,
    infer_frequencies,
    infer_frequency,
    infer_roles,
    locate,
    seasons_of,
)
from vur.panel import Panel, complete, future_frame, make_panel

ALIASES = [
    "min",
    "5min",
    "15min",
    "30min",
    "h",
    "2h",
    "6h",
    "D",
    "B",
    *(f"W-{d}" for d in ("MON", "WED", "SAT", "SUN")),
    "2W-MON",
    "4W-WED",
    "MS",
    "ME",
    "BMS",
    "BME",
    "2MS",
    "6MS",
    "6ME",
    "QS",
    "QE",
    "QS-FEB",
    "QE-JAN",
    "YS",
    "YE",
    "YS-APR",
    "YE-JUN",
]
some = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def stamps(alias: str, n: int, days: int = 0) -> pd.DatetimeIndex:
    return pd.date_range(pd.Timestamp("1995-01-01") + pd.Timedelta(days=days), periods=n, freq=alias)


def long(**series) -> pd.DataFrame:
    return pd.concat(
        [pd.DataFrame({"unique_id": name, "ds": ds, "y": np.arange(1.0, len(ds) + 1)}) for name, ds in series.items()]
    )


# --- frequency -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("alias", ALIASES)
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**31), days=st.integers(0, 3000), drop=st.floats(0, 0.3))
def test_a_regular_range_with_random_holes_keeps_its_frequency(alias, seed, days, drop):
    rng = np.random.default_rng(seed)
    index = stamps(alias, 60, days)
    kept = pd.Series(index[rng.random(60) >= drop])
    assert infer_frequency(kept.sample(frac=1, random_state=seed)).alias == alias


@pytest.mark.parametrize("alias", ["h", "D", "MS", "W-WED", "15min"])
def test_a_stray_stamp_does_not_change_the_frequency(alias):
    index = stamps(alias, 80)
    stray = index[40] + (index[41] - index[40]) / 3
    assert infer_frequency(pd.Series([*index.delete(40), stray])).alias == alias


@some
@given(step=st.integers(1, 50), start=st.integers(-1000, 1000), seed=st.integers(0, 2**31))
def test_integers_with_a_step(step, start, seed):
    index = start + step * np.arange(40)
    kept = index[np.random.default_rng(seed).random(40) > 0.25]
    freq = infer_frequency(pd.Series(kept))
    assert (freq.alias, freq.is_integer, freq.season) == (str(step), True, 1)


def test_hard_calendars():
    sparse = pd.date_range("2023-01-01", periods=400).to_series().sample(60, random_state=1)
    mon_wed_fri = [day for day in pd.date_range("2024-01-01", periods=90) if day.dayofweek in (0, 2, 4)]
    mid_month = pd.to_datetime(["2024-01-15", "2024-02-14", "2024-03-15", "2024-04-12", "2024-05-15"])
    spring = pd.date_range("2024-03-30", periods=72, freq="h").drop(pd.Timestamp("2024-03-31 02:00"))
    midnight_in_utc = pd.date_range("2018-09-01", periods=120, tz="Europe/Lisbon").tz_convert("UTC").tz_localize(None)
    jitter = pd.date_range("2024-01-01", periods=90, freq="h") + pd.to_timedelta(np.arange(90) % 11 - 5, unit="s")
    cases = {"D": [sparse, midnight_in_utc], "B": [mon_wed_fri], "MS": [mid_month], "h": [spring, jitter]}
    assert [(a, infer_frequency(pd.Series(x)).alias) for a, xs in cases.items() for x in xs] == [
        (a, a) for a, xs in cases.items() for _ in xs
    ]


def test_evidence_and_share_are_about_the_data():
    freq = infer_frequency(pd.Series(stamps("D", 11)).drop([3, 4]))
    assert freq.share == pytest.approx(7 / 8)
    assert "7 of 8" in freq.evidence and "2 missing" in freq.evidence


def test_nothing_fits_says_so():
    events = pd.to_datetime("2020-01-01") + pd.to_timedelta(
        np.cumsum(np.random.default_rng(0).exponential(40_000_000, 50)), unit="ms"
    )
    with pytest.raises(VurError) as error:
        infer_frequency(pd.Series(events))
    assert error.value.code == "panel.frequency_irregular"
    with pytest.raises(VurError, match="1 stamp"):
        infer_frequency(pd.Series(stamps("D", 1)))


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        ("M", "MS"),
        ("mensal", "MS"),
        ("monthly", "MS"),
        ("H", "h"),
        ("60min", "h"),
        ("W", "W-MON"),
        ("7D", "W-MON"),
        ("Q", "QS"),
        ("A", "YS"),
        ("D", "D"),
        ("diária", "D"),
    ],
)
def test_hints_are_understood_in_any_spelling(hint, expected):
    assert infer_frequency(pd.Series(pd.date_range("2024-01-01", periods=400)), hint).alias == expected


@pytest.mark.parametrize("hint", ["fortnight", "SMS", "-1D", "0D", ""])
def test_unknown_hints_are_refused(hint):
    with pytest.raises(VurError):
        infer_frequency(pd.Series(stamps("D", 10)), hint)


def test_seasons_and_horizons():
    table = {
        "h": (24, 168),
        "D": (7, 365),
        "15min": (96, 672),
        "30min": (48, 336),
        "B": (5,),
        "W-THU": (52,),
        "4W-MON": (13,),
        "MS": (12,),
        "BME": (12,),
        "QS": (4,),
        "YS": (),
        "1": (),
    }
    assert {alias: seasons_of(alias) for alias in table} == table
    assert [default_horizon(frequency(a)) for a in ("MS", "QS", "YS", "W-SUN", "D", "B", "h")] == [
        12,
        8,
        6,
        13,
        28,
        20,
        48,
    ]
    assert all(default_horizon(frequency(a)) >= 1 for a in [*ALIASES, "s", "90min", "ms", "10D", "53W-MON", "7MS"])


@pytest.mark.parametrize("alias", [*ALIASES, "1", "7"])
def test_every_frequency_is_said_in_both_languages(alias):
    assert all(alias in describe_alias(alias, language) for language in ("en", "pt-BR"))


# --- the grid --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("alias", ALIASES)
@settings(max_examples=15, deadline=None)
@given(days=st.integers(0, 9000), n=st.integers(1, 40))
def test_walking_agrees_with_pandas_and_comes_back(alias, days, n):
    index = stamps(alias, n + 1, days)
    freq = frequency(alias)
    assert freq.after(index[0], n) == list(index[1:])
    assert list(pd.DatetimeIndex(advance(index[1:].to_numpy(), -np.arange(1, n + 1), alias))) == [index[0]] * n


@some
@given(alias=st.sampled_from(ALIASES), days=st.integers(0, 9000), seed=st.integers(0, 999))
def test_cells_count_steps(alias, days, seed):
    index = stamps(alias, 50, days)
    kept = np.sort(np.random.default_rng(seed).choice(50, 20, replace=False))
    cells = locate(index[kept].as_unit("ns").asi8, np.zeros(20, int), alias)
    assert (np.diff(cells.position) == np.diff(kept)).all()
    assert (cells.stamp == index[kept].as_unit("ns").asi8).all()


def test_daily_stamps_keep_their_hour():
    panel = make_panel(
        long(a=pd.date_range("2024-01-01 08:00", periods=5), b=pd.date_range("2024-01-01 09:30", periods=5))
    )
    assert "moved" not in panel.notes
    assert panel.frame["ds"].dt.strftime("%H:%M").unique().tolist() == ["08:00", "09:30"]


# --- make_panel ------------------------------------------------------------------------------------------------------
def test_flights_with_any_names():
    frame = pd.read_csv(DATA / "flights_daily.csv")
    panel = make_panel(frame, date="date", target="departures", series=["origin"])
    assert panel.ids == ["EWR", "JFK", "LGA"]
    assert (panel.freq.alias, panel.freq.seasons, len(panel.ids)) == ("D", (7, 365), 3)
    assert panel.integer == panel.nonnegative == {"EWR": True, "JFK": True, "LGA": True}
    assert set(panel.roles.values()) == {"past_only"}
    assert panel.names == {"date": "date", "target": "departures", "series": ["origin"]}
    assert panel.frame["y"].dtype == "float64" and panel.frame["ds"].dtype == "datetime64[ns]"


def test_real_weekly_series_with_missing_values():
    frame = pd.read_csv(DATA / "co2_weekly.csv")
    panel = make_panel(frame, date="week", target="co2")
    assert (panel.freq.alias, panel.ids, panel.integer) == ("W-SAT", ["co2"], {"co2": False})
    assert panel.frame["y"].isna().sum() == 59


def test_column_types_that_people_have():
    days = pd.date_range("2024-01-01", periods=6)
    base = make_panel(pd.DataFrame({"ds": days, "y": range(6)})).frame
    variants = [
        days.astype(str),
        days.date,
        days.to_period("D"),
        days.astype("datetime64[s]"),
        days.strftime("%Y-%m-%dT00:00:00"),
        days.strftime("%Y%m%d"),
    ]
    for variant in variants:
        assert make_panel(pd.DataFrame({"ds": variant, "y": [str(v) for v in range(6)]})).frame.equals(base)
    nullable = pd.DataFrame(
        {
            "unique_id": pd.Categorical(["a"] * 6),
            "ds": pd.array(range(6), dtype="Int64"),
            "y": pd.array(range(6), dtype="Int64"),
        }
    )
    assert make_panel(nullable).frame["ds"].dtype == "int64"
    assert make_panel(pd.DataFrame({"ds": days, "y": [True, False] * 3})).integer == {"y": True}


def test_several_series_columns_are_joined_and_kept():
    frame = pd.DataFrame(
        {
            "d": list(pd.date_range("2024-01-01", periods=3)) * 2,
            "loja": [1.0] * 3 + [2] * 3,
            "item": list("aaabbb"),
            "v": range(6),
        }
    )
    panel = make_panel(frame, date="d", target="v", series=["loja", "item"])
    assert panel.ids == ["1/a", "2/b"]
    assert panel.roles == {"loja": "static", "item": "static"}


def test_future_rows_are_split_off_and_prove_known_future():
    days = pd.date_range("2024-01-01", periods=10)
    frame = pd.DataFrame(
        {"ds": days, "y": [*range(8), None, None], "price": [1, 2] * 5, "visits": [*range(8), None, None]}
    )
    panel = make_panel(frame)
    assert panel.roles == {"price": "known_future", "visits": "past_only"}
    assert len(panel.frame) == 8
    assert panel.future.columns.tolist() == ["unique_id", "ds", "price"] and panel.future["ds"].tolist() == list(
        days[8:]
    )
    assert make_panel(frame[:8]).future is None
    assert make_panel(frame, roles={"price": "exclude"}).future is None


def test_a_gap_in_the_target_is_no_future():
    frame = pd.DataFrame(
        {"ds": pd.date_range("2024-01-01", periods=6), "y": [1, None, 3, 4, 5, 6], "x": [1, 2, 3, 4, 5, 7]}
    )
    panel = make_panel(frame)
    assert panel.roles == {"x": "past_only"} and panel.frame["y"].isna().sum() == 1


@pytest.mark.parametrize(("how", "expected"), [("sum", 5.0), ("mean", 2.5), ("first", 2.0), ("last", 3.0)])
def test_duplicates_are_refused_or_combined_as_asked(how, expected):
    frame = pd.DataFrame(
        {
            "loja": ["A"] * 4,
            "dia": pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-02", "2024-01-03"]),
            "v": [1, 2, 3, 4],
        }
    )
    names = {"date": "dia", "target": "v", "series": ["loja"]}
    with pytest.raises(VurError, match=r"'A'.*2024-01-02.*rows 2, 3"):
        make_panel(frame, **names)
    panel = make_panel(frame, **names, duplicates=how)
    assert panel.frame["y"].tolist() == [1.0, expected, 4.0]
    assert panel.notes["combined"]["row"].tolist() == [2, 3]


def test_a_coarser_frequency_needs_a_way_to_combine():
    frame = pd.DataFrame({"ds": pd.date_range("2024-01-01", periods=60), "y": 1.0})
    with pytest.raises(VurError) as error:
        make_panel(frame, freq="MS")
    assert error.value.code == "panel.same_cell"
    assert make_panel(frame, freq="MS", duplicates="sum").frame["y"].tolist() == [31.0, 29.0]
    assert make_panel(frame, freq="W-MON", duplicates="sum").frame["y"].tolist() == [7.0] * 8 + [4.0]


def test_strays_are_moved_and_noted():
    index = stamps("MS", 24)
    panel = make_panel(pd.DataFrame({"ds": [*index[:5], index[5] + pd.Timedelta(days=1), *index[6:]], "y": 1.0}))
    assert panel.frame["ds"].tolist() == list(index)
    assert panel.notes["moved"][["ds", "to", "row"]].values.tolist() == [
        [pd.Timestamp("1995-06-02"), pd.Timestamp("1995-06-01"), 6]
    ]


def test_refusals_name_the_place():
    good = pd.DataFrame({"data": ["2024-01-01", "2024-01-02", "2024-01-03"], "loja": ["a"] * 3, "v": [1.0, 2, 3]})
    names = {"date": "data", "target": "v", "series": ["loja"]}
    cases = [
        (
            good.assign(v=["1", "n/d", "x"]),
            "panel.target_not_numeric",
            {"row": 2, "value": "n/d", "count": 2, "column": "v"},
        ),
        (good.assign(v=[1.0, np.inf, 3]), "panel.target_infinite", {"row": 2}),
        (
            good.assign(data=["2024-01-01", "31/02/2024", "x"]),
            "panel.date_unreadable",
            {"row": 2, "value": "31/02/2024"},
        ),
        (good.assign(data=["2024-01-01", None, "2024-01-03"]), "panel.date_missing", {"row": 2, "count": 1}),
        (good.assign(loja=["a", "a", None]), "panel.series_missing", {"row": 3, "column": "loja"}),
        (good.assign(v=np.nan), "panel.target_empty", {"rows": 3}),
        (good[:0], "panel.empty", {}),
        (good.drop(columns="v"), "panel.column_missing", {"column": "v"}),
    ]
    for frame, code, data in cases:
        with pytest.raises(VurError) as error:
            make_panel(frame, **names)
        assert error.value.code == code
        assert error.value.data.items() >= data.items()
        assert error.value.text("pt-BR") and error.value.text("en")
    for options in ({"roles": {"x": "static"}}, {"tz": "Mars/Olympus"}, {"duplicates": "max"}, {"freq": "5"}):
        with pytest.raises(VurError):
            make_panel(good, **names, **options)


def test_series_without_values_and_leading_holes_are_noted():
    frame = long(a=stamps("D", 5), b=stamps("D", 5))
    frame["y"] = [None, 2, 3, 4, 5, *[None] * 5]
    panel = make_panel(frame)
    assert panel.ids == ["a"] and len(panel.frame) == 4
    assert panel.notes["empty"]["unique_id"].unique().tolist() == ["b"] and panel.notes["trimmed"]["row"].tolist() == [
        1
    ]


def test_covariates_may_be_called_anything():
    frame = pd.DataFrame(
        {
            "when": stamps("D", 4),
            "v": [1.0, 2, 3, 5],
            "y": [4, 3, 2, 1],
            "row": [1, 3, 2, 9],
            "open": [True, False, True, True],
        }
    )
    panel = make_panel(frame, date="when", target="v")
    assert panel.frame["y"].tolist() == [1.0, 2, 3, 5]
    assert panel.frame["y_"].tolist() == [4, 3, 2, 1] and panel.frame["row"].tolist() == [1, 3, 2, 9]
    assert panel.own_roles.keys() == {"y", "row", "open"} and panel.frame["open"].dtype == "float64"


# --- zones -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Sao_Paulo", "America/New_York", "Australia/Sydney"])
def test_a_local_clock_becomes_regular_with_its_zone(zone):
    utc = pd.date_range("2018-01-01", "2018-12-31 23:00", freq="h", tz="UTC")
    wall = utc.tz_convert(zone).tz_localize(None)
    frame = pd.DataFrame({"ds": wall, "y": np.arange(len(utc), dtype=float)})
    with pytest.raises(VurError) as error:
        make_panel(frame)
    assert error.value.code == "panel.clock_back"
    panel = make_panel(frame, tz=zone)
    assert panel.tz == zone and complete(panel) is panel
    assert panel.frame["ds"].tolist() == list(utc.tz_localize(None)) and (panel.frame["y"].diff().dropna() == 1).all()


def test_zoned_days_stay_local_days():
    days = pd.date_range("2018-09-01", periods=120).tz_localize(
        "America/Sao_Paulo", nonexistent="shift_forward"
    )  # no midnight on 4 November
    panel = make_panel(pd.DataFrame({"ds": days, "y": 1.0}))
    assert (panel.freq.alias, panel.tz) == ("D", "America/Sao_Paulo")
    assert panel.frame["ds"].tolist() == list(days.tz_localize(None).normalize())
    zoned = make_panel(pd.DataFrame({"ds": days.tz_convert("UTC"), "y": 1.0}), tz="America/Sao_Paulo")
    assert zoned.frame.equals(panel.frame)


# --- roles -----------------------------------------------------------------------------------------------------------
def test_roles_of_odd_columns():
    n = 60
    frame = long(a=stamps("D", n), b=stamps("D", n)).reset_index(drop=True)
    frame = frame.assign(
        nothing=np.nan,
        same="x",
        region=frame["unique_id"],
        note=[f"n{i}" for i in range(2 * n)],
        seen=frame["ds"],
        promo=np.arange(2 * n) % 2,
    )
    assert infer_roles(frame) == {
        "nothing": "exclude",
        "same": "exclude",
        "region": "static",
        "note": "exclude",
        "seen": "exclude",
        "promo": "past_only",
    }


# --- complete --------------------------------------------------------------------------------------------------------
@some
@given(alias=st.sampled_from(ALIASES), seed=st.integers(0, 9999), drop=st.floats(0, 0.5))
def test_complete_keeps_what_was_observed_and_is_regular(alias, seed, drop):
    rng = np.random.default_rng(seed)
    frame = long(a=stamps(alias, 40, 3), b=stamps(alias, 25, 700), c=stamps(alias, 1))
    frame["x"] = rng.normal(size=len(frame))
    kept = frame[rng.random(len(frame)) >= drop]
    kept = kept if len(kept) else frame[:1]
    panel = make_panel(kept, freq=alias)
    full = complete(panel)
    merged = panel.frame.merge(full.frame, on=["unique_id", "ds"], suffixes=("", "_full"))
    assert (
        len(merged) == len(panel.frame)
        and merged["y"].equals(merged["y_full"])
        and merged["x"].equals(merged["x_full"])
    )
    for _, series in full.frame.groupby("unique_id"):
        assert series["ds"].tolist() == list(pd.date_range(series["ds"].iloc[0], periods=len(series), freq=alias))
    assert full.frame["y"].notna().sum() == panel.frame["y"].notna().sum()
    assert complete(full) is full


def test_one_wrong_year_does_not_fill_the_memory():
    index = [*pd.date_range("2024-01-01", periods=500, freq="min"), pd.Timestamp("2204-01-01")]
    with pytest.raises(VurError, match="2204-01-01") as error:
        complete(make_panel(pd.DataFrame({"ds": index, "y": 1.0})))
    assert error.value.code == "panel.too_sparse"


def test_complete_carries_only_what_holds():
    frame = pd.DataFrame(
        {
            "unique_id": ["a"] * 3 + ["b"] * 2,
            "ds": [1, 2, 5, 1, 2],
            "y": range(1, 6),
            "price": [1, 2, 3, 4, 5],
            "visits": [1, 2, 3, 4, 5],
            "region": ["N"] * 3 + ["S"] * 2,
        }
    )
    full = complete(make_panel(frame, roles={"price": "known_future"})).frame
    inserted = full[full["y"].isna()]
    assert (
        inserted["ds"].tolist() == [3, 4]
        and inserted["price"].tolist() == [2, 2]
        and inserted["region"].tolist() == ["N", "N"]
    )
    assert inserted["visits"].isna().all()


def test_future_frame_follows_each_series():
    panel = make_panel(long(a=stamps("ME", 20), b=stamps("ME", 12)))
    ahead = future_frame(panel, 3)
    assert ahead.groupby("unique_id")["ds"].first().tolist() == [stamps("ME", 21)[-1], stamps("ME", 13)[-1]]
    assert ahead["step"].tolist() == [1, 2, 3] * 2


def test_a_thousand_series_with_gaps_make_a_regular_panel():
    n = 1000
    frame = pd.DataFrame(
        {
            "unique_id": np.repeat([f"s{i}" for i in range(n)], 150),
            "ds": np.tile(stamps("MS", 150), n),
            "y": 1.0 * np.arange(150 * n),
        }
    )
    gappy = frame.sample(frac=0.95, random_state=1)
    full = complete(make_panel(gappy))
    assert isinstance(full, Panel) and isinstance(full.freq, Frequency) and len(full.ids) == n
    assert full.frame["y"].notna().sum() == len(gappy)


def test_one_odd_series_does_not_change_the_panel():
    table = infer_frequencies(long(**{f"m{i}": stamps("MS", 30) for i in range(20)}, q=stamps("QS", 20)))
    assert table.set_index("unique_id")["alias"].value_counts().to_dict() == {"MS": 20, "QS": 1}
    assert make_panel(long(**{f"m{i}": stamps("MS", 30) for i in range(5)}, q=stamps("QS", 20))).freq.alias == "MS"
