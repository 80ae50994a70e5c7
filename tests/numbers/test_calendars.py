"""Stamps are those of the user's calendar: local dates, open hours, one step, and no date that cannot be."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import pytz

import vur
from vur.absence import regular_panel
from vur.cli import main
from vur.columns import fixed_zone, known_zone, zone_of
from vur.errors import VurError
from vur.frequency import advance, frequency, is_open, locate, most_steps, open_alias, seasons_of, spacing
from vur.models.saved import open_model
from vur.models.update import history_panel
from vur.opening import closed_dates, is_flow, open_calendar, series_calendars
from vur.panel import coarse_series, complete, future_frame, make_panel
from vur.stages.features.calendar import calendar_frame, holidays_frame, step_index
from vur.stages.preview.audit import audit
from vur.stages.upload import fast_path, upload, upload_frame
from vur.store.data.tables import FORMS, csv_pieces
from vur.timezones import stamp_texts
from vur.timezones import zone as zone_arguments
from vur.wording import stamp, steps

# --- time zones as an argument ---


def clock(zone: str, start: str, hours: int, freq: str = "h", seed: int = 1) -> pd.DataFrame:
    """Local wall times without an offset, as a logger writes them; `moment` is the true stamp."""
    moment = pd.date_range(start, periods=hours, freq=freq, tz="UTC").tz_convert(zone)
    rng = np.random.default_rng(seed)
    load = 100 + 30 * np.sin((moment.hour - 6) * np.pi / 12) + rng.normal(0, 1, hours)
    return pd.DataFrame({"time": moment.strftime("%Y-%m-%d %H:%M"), "load": load.round(1), "moment": moment})


AUTUMN = [
    ("Europe/Berlin", "2024-10-14 22:00"),
    ("America/New_York", "2024-10-20 04:00"),
    ("Australia/Sydney", "2024-03-24"),
]


@pytest.mark.parametrize(("zone", "start"), AUTUMN)
def test_an_hour_that_comes_twice_asks_for_the_zone_in_both_ways(zone: str, start: str) -> None:
    frame = clock(zone, start, 600).drop(columns="moment")
    with pytest.raises(VurError) as refused:
        make_panel(frame, date="time", target="load")
    assert refused.value.code == "panel.clock_back"
    assert "--tz " in str(refused.value) and "vur.run(..., tz=" in str(refused.value)
    panel = make_panel(frame, date="time", target="load", tz=zone)
    assert panel.freq.alias == "h" and panel.tz == zone and panel.freq.share == 1
    assert panel.frame["ds"].diff().dropna().eq(pd.Timedelta(hours=1)).all()


def test_rows_that_are_twice_at_other_hours_are_duplicates() -> None:
    frame = clock("Europe/Berlin", "2024-10-14 22:00", 200).drop(columns="moment")
    with pytest.raises(VurError) as refused:
        make_panel(pd.concat([frame, frame.iloc[100:102]]), date="time", target="load")
    assert refused.value.code == "panel.duplicates"


@pytest.mark.parametrize(("zone", "start"), [("Europe/Berlin", "2024-03-20"), ("America/New_York", "2024-03-04")])
def test_an_hour_that_the_clock_skips_is_no_gap(zone: str, start: str) -> None:
    frame = clock(zone, start, 500)
    panel = make_panel(frame.drop(columns="moment"), date="time", target="load", tz=zone)
    assert panel.frame["ds"].tolist() == frame["moment"].dt.tz_convert("UTC").dt.tz_localize(None).tolist()


def test_stamps_that_the_zone_never_had_are_refused_by_name() -> None:
    frame = clock("UTC", "2024-03-20", 500).drop(columns="moment")
    with pytest.raises(VurError, match="2024-03-31 02:00:00.*Europe/Berlin skips"):
        make_panel(frame, date="time", target="load", tz="Europe/Berlin")
    assert make_panel(frame, date="time", target="load", tz="Etc/GMT-1").tz == "Etc/GMT-1"


def test_the_zone_reaches_a_run_through_every_door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    frame = clock("Europe/Berlin", "2024-10-14 22:00", 600)
    frame.drop(columns="moment").to_csv("clock.csv", index=False)
    quick: dict = {"horizon": 24, "algorithms": "seasonal_naive", "out": "out", "notebook": False}
    python = vur.run("clock.csv", tz="Europe/Berlin", **quick)
    first = (frame["moment"].iloc[-1] + pd.Timedelta(hours=1)).isoformat(sep=" ")
    text = (python.folder / "forecast.csv").read_text()
    assert text.splitlines()[1].split(",")[1] == first
    (tmp_path / "clock.yaml").write_text("data:\n  path: clock.csv\n  tz: Europe/Berlin\n")
    options = ["--horizon", "24", "--algorithms", "seasonal_naive", "--no-notebook", "--quiet"]
    for number, source in enumerate((["clock.csv", "--tz", "Europe/Berlin"], ["--config", "clock.yaml"])):
        assert main(["run", *source, *options, "--out", f"out{number}"]) == 0
        (other,) = Path(f"out{number}").glob("*/forecast.csv")
        assert other.read_text() == text
    for wrong in (
        lambda: vur.run("clock.csv", tz="Mars", **quick),
        lambda: vur.Config.from_dict({"data": {"tz": "Mars"}}),
    ):
        with pytest.raises(VurError, match="no time zone 'Mars'"):
            wrong()


# --- stamps with an offset from UTC ---

ZONES = [
    "Europe/Berlin",
    "America/Sao_Paulo",
    "America/New_York",
    "Asia/Tokyo",
    "Asia/Kolkata",
    "Australia/Adelaide",
    "America/St_Johns",
    "UTC",
]
GRIDS = {
    "D": ("2023-09-20", 250),
    "W-MON": ("2022-01-03", 110),
    "MS": ("2019-01-01", 60),
    "QE": ("2010-03-31", 48),
    "YS": ("1990-01-01", 30),
}


def written(stamps: pd.DatetimeIndex, zone: str) -> list[str]:
    """Local times with their offsets, as most systems write them."""
    return [moment.isoformat() for moment in stamps.tz_localize(zone, nonexistent="shift_forward", ambiguous=True)]


HALF_HOURS = ("Asia/Kolkata", "Australia/Adelaide", "America/St_Johns")
CHANGING = ("Europe/Berlin", "America/Sao_Paulo", "America/St_Johns")


@pytest.mark.parametrize(("zone", "step"), [(z, s) for s in GRIDS for z in (ZONES if s == "D" else CHANGING)])
def test_days_and_longer_steps_keep_their_local_dates(zone: str, step: str, tmp_path: Path) -> None:
    start, count = GRIDS[step]
    days = pd.date_range(start, periods=count, freq=step)
    frame = pd.DataFrame({"when": written(days, zone), "v": np.arange(count) * 1.0})
    aware = pd.DataFrame({"when": days.tz_localize(zone), "v": frame["v"]})
    frame.to_csv(tmp_path / "text.csv", index=False)
    sources = {
        "text": make_panel(frame, date="when", target="v"),
        "aware": make_panel(aware, date="when", target="v"),
        "csv": make_panel(upload(tmp_path / "text.csv", tmp_path / "a").frame(), date="when", target="v"),
    }
    if step == "D":
        aware.to_parquet(tmp_path / "typed.parquet", index=False)
        stored = upload(tmp_path / "typed.parquet", tmp_path / "b"), upload_frame(aware, tmp_path / "c")
        sources |= {
            name: make_panel(u.frame(), date="when", target="v")
            for name, u in zip(("parquet", "memory"), stored, strict=True)
        }
    for name, panel in sources.items():
        assert panel.freq.alias == step and panel.frame["ds"].tolist() == days.tolist(), name
        assert future_frame(panel, 2)["ds"].tolist() == pd.date_range(days[-1], periods=3, freq=step)[1:].tolist()
    assert sources["csv"].tz in (zone, fixed_zone(_ahead(days, zone))) or _same_clock(sources["csv"].tz, zone, days)


def _ahead(days: pd.DatetimeIndex, zone: str) -> int:
    return int(days[:1].tz_localize(zone)[0].utcoffset().total_seconds())


def _same_clock(one: str | None, other: str, days: pd.DatetimeIndex) -> bool:
    return days.tz_localize(one).equals(days.tz_localize(other).tz_convert(one))


@pytest.mark.parametrize(("zone", "step"), [(z, "30min" if z in HALF_HOURS else "h") for z in ZONES])
def test_shorter_steps_come_out_in_the_zone_that_they_came_in(zone: str, step: str, tmp_path: Path) -> None:
    moments = pd.date_range("2024-03-01", "2024-04-20 09:00", freq=step, tz="UTC").tz_convert(zone)
    frame = pd.DataFrame({"t": [m.isoformat() for m in moments], "load": 100.0 + moments.hour})
    frame.to_csv(tmp_path / "load.csv", index=False)
    for table in (frame, upload(tmp_path / "load.csv", tmp_path / "u").frame()):
        panel = make_panel(table, date="t", target="load")
        assert panel.freq.alias == step and panel.freq.share == 1 and panel.tz is not None
        assert panel.frame["ds"].tolist() == moments.tz_convert("UTC").tz_localize(None).tolist()
        ahead = stamp_texts(future_frame(panel, 3)["ds"].to_numpy(), *zone_arguments(panel.freq, panel.tz))
        following = pd.date_range(moments[-1], periods=4, freq=step)[1:]
        assert ahead == [m.isoformat() for m in following]


def test_shops_of_several_zones_keep_the_dates_that_are_written(tmp_path: Path) -> None:
    days = pd.date_range("2023-09-20", periods=200)
    parts = [pd.DataFrame({"shop": z, "day": written(days, z), "v": 1.0 * np.arange(200)}) for z in ZONES[:4]]
    pd.concat(parts).to_csv(tmp_path / "shops.csv", index=False)
    for table in (pd.concat(parts), upload(tmp_path / "shops.csv", tmp_path / "u").frame()):
        panel = make_panel(table, date="day", target="v", series=["shop"])
        assert panel.freq.alias == "D"
        assert all(rows["ds"].tolist() == days.tolist() for _, rows in panel.frame.groupby("unique_id"))


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
def test_local_midnights_written_in_utc_are_days_in_the_zone_that_is_given(zone: str) -> None:
    days = pd.date_range("2023-09-20", periods=250)
    text = [m.strftime("%Y-%m-%dT%H:%M:%SZ") for m in days.tz_localize(zone).tz_convert("UTC")]
    panel = make_panel(pd.DataFrame({"ds": text, "y": 1.0}), tz=zone)
    assert panel.freq.alias == "D" and panel.frame["ds"].tolist() == days.tolist()
    plain = pd.DataFrame({"ds": [f"{day:%Y-%m-%d}T00:00:00Z" for day in days], "y": 1.0})
    assert make_panel(plain, tz=zone).frame["ds"].tolist() == days.tolist(), "a date has no zone"


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "America/Sao_Paulo"])
@pytest.mark.parametrize("step", ["D", "W-MON", "MS"])
def test_local_midnights_written_in_utc_tell_their_zone_by_the_change_of_the_clock(zone: str, step: str) -> None:
    days = pd.date_range("2015-08-03" if step == "W-MON" else "2015-08-01", periods=150, freq=step)
    days = days[days < "2019-02-01"]  # Sao Paulo's last summer time
    moments = days.tz_localize(zone, nonexistent="shift_forward").tz_convert("UTC")
    fixed = moments.tz_convert("UTC+01:00")
    frames = {
        "Z": pd.DataFrame({"ds": [f"{m:%Y-%m-%dT%H:%M:%SZ}" for m in moments], "y": 1.0}),
        "aware": pd.DataFrame({"ds": moments, "y": 1.0}),
        "winter time all year": pd.DataFrame({"ds": [m.isoformat() for m in fixed], "y": 1.0}),
    }
    for name, frame in frames.items():
        panel = make_panel(frame)
        assert (panel.freq.alias, panel.tz) == (step, zone), name
        assert panel.frame["ds"].tolist() == days.tolist(), name


def test_one_hour_of_the_day_does_not_tell_a_zone() -> None:
    stamps = pd.date_range("2024-01-01 03:00", periods=200, tz="UTC")
    panel = make_panel(pd.DataFrame({"ds": stamps, "y": 1.0}))
    assert (panel.freq.alias, panel.tz) == ("D", "UTC") and panel.frame["ds"].iloc[0] == pd.Timestamp(
        "2024-01-01 03:00"
    )
    shifts = pd.DatetimeIndex([day + pd.Timedelta(hours=h) for day in stamps for h in (3, 19)])
    assert make_panel(pd.DataFrame({"ds": shifts, "y": 1.0})).tz == "UTC"


@pytest.mark.parametrize(
    ("zone", "step", "start"),
    [
        ("Europe/Berlin", "15min", "2024-10-24"),
        ("America/New_York", "5min", "2024-03-08"),
        ("Australia/Lord_Howe", "15min", "2024-04-04"),  # its clock changes by half an hour
        ("America/Sao_Paulo", "h", "2018-10-25"),
    ],
)
def test_short_steps_go_on_through_a_change_of_the_clock(zone: str, step: str, start: str) -> None:
    """As stamps with offsets, and as local times with `tz`."""
    moments = pd.date_range(start, periods=800 if step == "5min" else 500, freq=step, tz="UTC").tz_convert(zone)
    offsets = make_panel(pd.DataFrame({"t": [m.isoformat() for m in moments], "y": 1.0}), date="t")
    wall = make_panel(pd.DataFrame({"t": moments.strftime("%Y-%m-%d %H:%M"), "y": 1.0}), date="t", tz=zone)
    for panel in (offsets, wall):
        assert (panel.freq.alias, panel.freq.share, panel.tz) == (step, 1, zone) and complete(panel) is panel
        ahead = stamp_texts(future_frame(panel, 8)["ds"].to_numpy(), *zone_arguments(panel.freq, panel.tz))
        assert ahead == [m.isoformat() for m in pd.date_range(moments[-1], periods=9, freq=step)[1:]]


def test_the_zone_of_offsets_is_found_by_all_of_them() -> None:
    moments = pd.date_range("2022-01-01", "2024-01-01", freq="D", tz="UTC")
    for zone in ("Europe/Berlin", "America/Santiago", "Asia/Tehran", "Pacific/Chatham", "Africa/Casablanca"):
        local = moments.tz_convert(zone).tz_localize(None)
        found = zone_of(
            moments.tz_localize(None).to_numpy(), (local - moments.tz_localize(None)).total_seconds().to_numpy()
        )
        assert moments.tz_convert(found).tz_localize(None).equals(local)
    assert zone_of(moments[:2].tz_localize(None).to_numpy(), np.array([3600, 5000])) is None
    assert [known_zone(name) for name in ("UTC+05:30", "UTC-03:00", "Etc/GMT+3", None)] == [None] * 4
    frame = pd.DataFrame({"ds": pd.date_range("2024", periods=9, tz=pytz.FixedOffset(-150)), "y": 1.0})
    assert make_panel(frame).tz == "UTC-02:30"


def test_a_large_file_is_read_as_a_small_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fast path of large files sees the same zone, although its sample shows winter only."""
    monkeypatch.setattr(fast_path, "FAST_BYTES", 1 << 20)
    moments = pd.date_range("2024-03-20", periods=40_000, freq="min", tz="UTC").tz_convert("Europe/Berlin")
    text = moments.strftime("%Y-%m-%dT%H:%M:%S%z")
    pd.DataFrame({"t": text, "v": np.arange(len(text)) % 1440}).to_csv(tmp_path / "large.csv", index=False)
    assert (tmp_path / "large.csv").stat().st_size > 1 << 20
    found = upload(tmp_path / "large.csv", tmp_path / "u")
    assert {c.name: c.zone for c in found.columns} == {"t": "Europe/Berlin", "v": ""}
    assert found.frame(["t"])["t"].tolist() == list(moments)


def test_offsets_reach_a_run_its_model_and_its_files(tmp_path: Path) -> None:
    days = pd.date_range("2023-10-01", "2024-04-14")
    rng = np.random.default_rng(2)
    price = rng.uniform(8, 12, len(days) + 7).round(1)
    y = np.where(days.dayofweek == 6, 0, 50 - 2 * price[: len(days)] + rng.normal(0, 1, len(days))).round(1)
    frame = pd.DataFrame({"day": written(days, "Europe/Berlin"), "orders": y, "price": price[: len(days)]})
    frame.to_csv(tmp_path / "orders.csv", index=False)
    coming = pd.date_range("2024-04-15", periods=7)
    future = pd.DataFrame({"day": written(coming, "Europe/Berlin"), "orders": np.nan, "price": price[len(days) :]})
    pd.concat([frame, future]).to_csv(tmp_path / "all.csv", index=False)
    run = vur.run(
        tmp_path / "all.csv",
        target="orders",
        date="day",
        algorithms="ridge,seasonal_naive",
        country="DE",
        notebook=False,
        out=tmp_path / "out",
        name="offsets",
        folds=2,
    )
    assert run.forecast["ds"].tolist() == coming.tolist()
    assert run.forecast["forecast"].iloc[-1] < 10 < run.forecast["forecast"].iloc[:6].min(), "Sunday is a Sunday"
    future.drop(columns="orders").to_csv(tmp_path / "future.csv", index=False)
    again = vur.forecast(run.record["model"], horizon=7, future=tmp_path / "future.csv")
    assert again["ds"].tolist() == coming.tolist()
    utc = future.assign(day=[m.tz_convert("UTC").isoformat() for m in pd.to_datetime(future["day"])])
    pd.testing.assert_frame_equal(vur.forecast(run.record["model"], horizon=7, future=utc), again)
    judged = vur.check_new(run.record["model"], pd.concat([frame.tail(3), future.assign(orders=30.0)]))
    assert judged["ds"].tail(7).tolist() == coming.tolist() and judged["score"].notna().sum() == 7


def test_a_stored_table_is_written_with_its_offsets(tmp_path: Path) -> None:
    for name in ("America/St_Johns", "Europe/Berlin"):
        moments = pd.date_range("2024-02-01", "2024-05-01", freq="h", tz="UTC").tz_convert(name)
        frame = pd.DataFrame({"t": [m.isoformat() for m in moments], "v": 1.0 * moments.hour})
        frame.to_csv(tmp_path / "a.csv", index=False)
        found = upload(tmp_path / "a.csv", tmp_path / "a")
        text = b"".join(csv_pieces(found.parquet, found.columns, FORMS["en"])).decode()
        (tmp_path / "b.csv").write_text(text, encoding="utf-8")
        again = upload(tmp_path / "b.csv", tmp_path / "b").frame()
        assert again["t"].tolist() == list(moments) and str(again["t"].dt.tz) == str(found.frame()["t"].dt.tz)


# --- closed days and hours ---

HOURS = pd.date_range("2024-01-01", "2024-03-10 23:00", freq="h")
CALENDARS = {
    "D[SUN-THU]": pd.date_range("2023-01-01", periods=420),
    "D[TUE-SUN]": pd.date_range("2023-01-01", periods=90),
    "D[MON,THU]": pd.date_range("2023-01-01", periods=200),
    "h[MON-FRI 10-16]": HOURS,
    "h[MON-SUN 10-16]": HOURS,
    "h[MON-FRI 9-18; SAT 9-12]": HOURS,
    "h[MON-SUN 0-3,18-23]": HOURS,
    "h[TUE-SUN]": HOURS,
    "30min[MON-SAT 8:30-12:00,14:00-17:30]": pd.date_range("2024-01-01", "2024-02-20", freq="30min"),
    "15min[MON-FRI 6:00-21:45]": pd.date_range("2024-01-01", "2024-02-20", freq="15min"),
}


def opening(alias: str, seed: int = 0, keep: float = 1.0) -> pd.DataFrame:
    """Visits in the open steps of `alias`, each row kept with a chance of `keep`."""
    grid, rng = CALENDARS[alias], np.random.default_rng(seed)
    ds = grid[is_open(grid.to_numpy().astype("M8[ns]"), alias) & (rng.random(len(grid)) < keep)]
    y = 40 + 12 * np.sin(ds.hour * np.pi / 6) + 3 * ds.dayofweek + rng.normal(0, 2, len(ds))
    return pd.DataFrame({"ds": ds, "y": y.round(1)})


@pytest.mark.parametrize("alias", CALENDARS)
def test_closed_days_and_hours_are_neither_filled_nor_forecast(alias: str) -> None:
    frame = opening(alias)
    panel = make_panel(frame)
    assert panel.freq.alias == alias and complete(panel) is panel
    ahead = future_frame(panel, 3 * max(panel.freq.seasons))["ds"]
    grid = pd.date_range(frame["ds"].iloc[-1], ahead.iloc[-1], freq=alias.split("[")[0])[1:]
    assert ahead.tolist() == grid[is_open(grid.to_numpy().astype("M8[ns]"), alias)].tolist()
    found = {f.code: f for f in audit(panel, frame) if f.code != "level_shift"}
    assert found.keys() == {"open_calendar"}
    said = found["open_calendar"].message
    assert alias in said and f"give the frequency {alias.split('[')[0]}." in said


@pytest.mark.parametrize("alias", CALENDARS)
def test_gaps_in_open_hours_are_found_and_filled_as_gaps(alias: str) -> None:
    frame = opening(alias, seed=1, keep=0.93)
    panel = make_panel(frame)
    assert panel.freq.alias == alias
    full = complete(panel).frame
    assert len(full) == is_open(CALENDARS[alias].to_numpy().astype("M8[ns]"), alias).sum() - _outside(frame, alias)
    assert full["y"].isna().sum() == len(full) - len(frame)


def _outside(frame: pd.DataFrame, alias: str) -> int:
    """Open stamps before the first and after the last row."""
    grid = CALENDARS[alias][is_open(CALENDARS[alias].to_numpy().astype("M8[ns]"), alias)]
    return int(((grid < frame["ds"].iloc[0]) | (grid > frame["ds"].iloc[-1])).sum())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("share", [0.05, 0.3, 0.8, 0.97])
@pytest.mark.parametrize("step", ["h", "D"])
def test_rows_that_are_absent_at_random_close_nothing(step: str, share: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for weeks in (3, 8, 30):
        grid = pd.date_range("2023-03-01", periods=weeks * (168 if step == "h" else 7), freq=step)
        one = pd.DataFrame({"unique_id": "a", "ds": grid[rng.random(len(grid)) < share]})
        assert open_calendar(one, step) is None
        many = [one.assign(unique_id=f"s{k}", ds=one["ds"].sample(frac=1, random_state=k)) for k in range(3)]
        assert open_calendar(pd.concat(many), step) is None


def test_hours_that_are_used_rarely_are_not_closed() -> None:
    rng, grid = np.random.default_rng(4), pd.date_range("2024-01-01", periods=24 * 120, freq="h")
    busy = 0.02 + 0.95 * np.sin(np.clip((grid.hour - 3) / 20, 0, 1) * np.pi)
    stamps = grid[rng.random(len(grid)) < busy]
    assert open_calendar(pd.DataFrame({"unique_id": "a", "ds": stamps}), "h") is None


def test_a_given_frequency_keeps_every_step() -> None:
    for alias in ("D[SUN-THU]", "h[MON-FRI 10-16]"):
        step = alias.split("[")[0]
        panel = make_panel(opening(alias), freq=step)
        assert panel.freq.alias == step and complete(panel).frame["ds"].diff().nunique() == 1
        assert make_panel(opening(alias), freq=alias.lower().replace("d[", "D[")).freq.alias == alias


def test_business_days_stay_business_days() -> None:
    days = pd.bdate_range("2023-01-02", periods=300)
    frame = pd.DataFrame({"ds": days, "y": np.arange(300.0)})
    assert make_panel(frame).freq.alias == "B"
    sundays = pd.DataFrame({"ds": pd.to_datetime(["2023-12-10", "2023-12-17"]), "y": 9.0})
    panel = make_panel(pd.concat([frame, sundays]))
    assert panel.freq.alias == "B" and panel.notes["closed"]["row"].tolist() == [301, 302]
    (found,) = [f for f in audit(panel) if f.code == "closed_rows"]
    assert found.severity == "warning" and found.rows == sundays["ds"].tolist()
    shops = pd.concat(
        [
            frame.assign(unique_id="a"),
            pd.DataFrame({"unique_id": "b", "ds": pd.date_range("2023-01-02", periods=300), "y": 1.0 * np.arange(300)}),
        ]
    )
    assert make_panel(shops).freq.alias == "D", "one shop is open at weekends"


def test_open_on_four_sundays_a_year_is_an_exception_that_is_said() -> None:
    days = pd.date_range("2022-01-01", periods=730)
    frame = pd.DataFrame({"ds": days[days.dayofweek != 6], "y": 5.0})
    sundays = pd.DataFrame({"ds": days[days.dayofweek == 6][::13], "y": 50.0})
    panel = make_panel(pd.concat([frame, sundays]), duplicates="refuse")
    assert panel.freq.alias == "D[MON-SAT]" and len(panel.notes["closed"]) == len(sundays)
    assert panel.frame["y"].max() == 5.0


def test_one_series_that_is_open_opens_the_hour_for_all() -> None:
    both = pd.concat(
        [opening("h[MON-FRI 10-16]").assign(unique_id="a"), opening("h[MON-FRI 9-18; SAT 9-12]").assign(unique_id="b")]
    )
    assert make_panel(both).freq.alias == "h[MON-FRI 9-18; SAT 9-12]"


def shops(step: str = "D", seed: int = 0) -> pd.DataFrame:
    """Sales of shops with different opening days or hours, and a stock that is counted on weekdays only."""
    rng = np.random.default_rng(seed)
    grid = (
        pd.date_range("2023-01-02", periods=300)
        if step == "D"
        else pd.date_range("2024-01-01", periods=24 * 70, freq="h")
    )
    parts = []
    for name, alias in (("all", step), ("six", f"{step}[MON-SAT]"), ("week", "B"), ("stock", "B")):
        ds = grid[is_open(grid.to_numpy().astype("M8[ns]"), alias)]
        pattern = 100 + 10 * ds.dayofweek + (20 * np.sin(ds.hour * np.pi / 12) if step == "h" else 0)
        y = pattern + rng.normal(0, 6, len(ds)) if name != "stock" else 900 + np.cumsum(rng.normal(0, 2, len(ds)))
        parts.append(pd.DataFrame({"unique_id": name, "ds": ds, "y": y.round(1)}))
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("step", ["D", "h"])
def test_a_shop_that_is_closed_where_others_are_open_sells_nothing_there(step: str) -> None:
    frame = shops(step)
    panel = make_panel(frame)
    assert panel.freq.alias == step
    own = {"six": f"{step}[MON-SAT]", "week": "B" if step == "D" else "h[MON-FRI]"}
    assert series_calendars(panel.frame, step) == own
    whole = regular_panel(panel)
    filled = whole.notes["absent"]
    for name, alias in own.items():
        zeros = filled.loc[filled["unique_id"] == name, "ds"].to_numpy()
        assert len(zeros) and not is_open(zeros, alias).any()
        rows = whole.frame[whole.frame["unique_id"] == name]
        assert rows["y"].notna().all() and (rows["y"] == 0).sum() == len(zeros)
    stock = whole.frame[whole.frame["unique_id"] == "stock"]
    assert stock["y"].isna().any() and not (stock["y"] == 0).any(), "a stock goes on while nobody counts it"
    said = {(f.code, f.unique_id) for f in audit(whole, frame)}
    assert {("shut_series", "six"), ("shut_series", "week")} <= said and ("shut_series", "stock") not in said
    assert "shut" not in regular_panel(panel, "missing").notes


def test_what_is_closed_stays_closed_in_a_model_that_is_moved_on(tmp_path: Path) -> None:
    frame = shops()
    run = vur.run(frame, horizon=14, algorithms="seasonal_naive", folds=2, notebook=False, out=tmp_path, name="shops")
    later = frame.assign(ds=frame["ds"] + pd.Timedelta(days=14))
    moved = vur.update_model(run.record["model"], pd.concat([frame, later[later["ds"] > frame["ds"].max()]]))
    for forecast in (run.forecast, vur.forecast(moved.tag, horizon=14)):
        week = forecast.set_index("ds").groupby("unique_id")["forecast"]
        assert (week.get_group("week")[lambda y: y.index.dayofweek > 4] == 0).all()
        assert (week.get_group("week")[lambda y: y.index.dayofweek < 5] > 50).all()
        assert week.get_group("stock").min() > 500


@pytest.mark.parametrize("seed", range(5))
def test_levels_and_counts_are_told_apart(seed: int) -> None:
    rng, n = np.random.default_rng(seed), 200
    week = np.arange(n) % 6
    season = 30 * np.sin(np.arange(n) * 2 * np.pi / 365)
    counts = {
        "sales": 100 + 20 * week + rng.normal(0, 10, n),
        "growing": 50 + 0.5 * np.arange(n) + 5 * week + rng.normal(0, 8, n),
        "visits": rng.poisson(4, n) * 1.0,
        "rare": rng.poisson(0.3, n) * 1.0,
        "seasonal": 200 + 3 * season + rng.normal(0, 15, n),
    }
    levels = {
        "price": 100 * np.exp(np.cumsum(rng.normal(0, 0.01, n))),
        "stock": 900 + np.cumsum(rng.normal(0, 5, n)),
        "kelvin": 280 + season / 3 + pd.Series(rng.normal(0, 2, n)).ewm(alpha=0.2).mean().to_numpy() * 3,
        "balance": rng.normal(0, 100, n),
    }
    assert [name for name, y in counts.items() if not is_flow(y, week)] == []
    assert [name for name, y in levels.items() if is_flow(y, week)] == []


def test_holidays_are_closed_dates_and_no_gaps() -> None:
    frame = opening("h[MON-FRI 10-16]")
    days = frame["ds"].dt.normalize()
    holidays = pd.to_datetime(["2024-01-26", "2024-02-12", "2024-02-13"])
    lost = frame[~days.isin(holidays)].drop(index=[20, 21])
    panel = make_panel(lost)
    assert closed_dates(panel.frame, panel.freq.alias).tolist() == [d.value for d in holidays]
    found = {f.code: f for f in audit(panel, lost)}
    assert found["closed_dates"].rows == holidays.tolist() and found["closed_dates"].severity == "info"
    assert found["gaps"].count == 2 and found["gaps"].rows == frame["ds"].iloc[[20, 21]].tolist()
    week = lost[~lost["ds"].between("2024-02-19", "2024-02-24")]
    assert len(closed_dates(make_panel(week).frame, panel.freq.alias)) == 3, "a week without rows may be lost data"


def test_rows_without_a_value_do_not_open_an_hour() -> None:
    grid = pd.date_range("2024-01-01", "2024-03-10 23:00", freq="h")
    open_now = is_open(grid.to_numpy(), "h[MON-FRI 10-16]") & (grid < "2024-03-08")
    frame = pd.DataFrame({"ds": grid, "y": np.where(open_now, 5.0, np.nan), "warm": grid.hour * 1.0})
    panel = make_panel(frame, roles={"warm": "known_future"})
    assert panel.freq.alias == "h[MON-FRI 10-16]"
    assert panel.future["ds"].tolist() == list(pd.date_range("2024-03-08 10:00", periods=7, freq="h"))
    assert "idle_rows" in {f.code for f in audit(panel, frame)} and "closed" not in panel.notes


@pytest.mark.parametrize("zone_name", ["Europe/Berlin", "America/New_York", "Asia/Kolkata"])
def test_opening_hours_are_those_of_the_local_clock(zone_name: str) -> None:
    """A shop opens at ten in summer and in winter, whatever that is in UTC."""
    grid = pd.date_range("2024-02-01", "2024-12-05", freq="h")
    local = grid[is_open(grid.to_numpy(), "h[MON-FRI 10-16]")]
    zoned = pd.DataFrame({"ds": local.tz_localize(zone_name), "y": 1.0})
    for frame, tz in (
        (zoned, None),
        (zoned.assign(ds=zoned["ds"].dt.tz_convert("UTC")), zone_name),
        (zoned.assign(ds=local), zone_name),
    ):
        panel = make_panel(frame, tz=tz)
        assert (panel.freq.alias, panel.tz) == ("h[MON-FRI 10-16]", zone_name)
        assert panel.frame["ds"].tolist() == local.tolist()
    assert not panel.freq.is_moment
    assert stamp_texts(panel.frame["ds"].to_numpy()[:1], *zone_arguments(panel.freq, panel.tz)) == [
        "2024-02-01T10:00:00"
    ]


def test_open_in_the_hour_that_comes_twice_keeps_every_hour() -> None:
    moments = pd.date_range("2024-02-01", "2024-12-05", freq="h", tz="UTC").tz_convert("Europe/Berlin")
    frame = pd.DataFrame({"ds": moments[moments.dayofweek != 0], "y": 1.0})
    panel = make_panel(frame)
    assert panel.freq.alias == "h" and panel.frame["ds"].is_unique


@pytest.mark.parametrize("alias", CALENDARS)
def test_steps_are_counted_alike_in_every_direction(alias: str) -> None:
    grid = CALENDARS[alias].to_numpy().astype("M8[ns]")
    stamps = grid[is_open(grid, alias)]
    position = locate(stamps.astype(np.int64), np.zeros(len(stamps), int), alias).position
    assert (np.diff(position) == 1).all()
    for n in (0, 1, -1, 17, -17):
        assert (
            locate(advance(stamps, n, alias).astype(np.int64), np.zeros(len(stamps), int), alias).position
            == position + n
        ).all()
        assert (advance(advance(stamps, n, alias), -n, alias) == stamps).all()
    assert (np.diff(step_index(pd.DatetimeIndex(stamps), frequency(alias))) == 1).all()
    assert open_alias(alias.split("[")[0], spacing(alias).open) == alias
    assert all(len(set(position[: 2 * s] % s)) == s for s in seasons_of(alias) if 2 * s < len(position))


def test_open_steps_have_a_name_in_both_languages() -> None:
    freq = frequency("h[MON-FRI 10-16; SAT 10-12]")
    assert freq.describe() == "hourly, open Mon–Fri 10:00–16:00; Sat 10:00–12:00 (h[MON-FRI 10-16; SAT 10-12])"
    assert freq.describe("pt-BR").startswith("a cada hora, aberto seg–sex 10:00–16:00; sáb 10:00–12:00")
    assert (steps(24, freq, "en"), steps(1, frequency("D[SUN-THU]"), "pt-BR")) == ("24 open hours", "1 dia aberto")
    assert stamp(pd.Timestamp("2024-03-08 10:00"), freq, "en") == "8 Mar 2024, 10:00"


def test_the_day_before_a_holiday_is_the_open_day_before_it() -> None:
    days = pd.DatetimeIndex(["2024-03-27", "2024-03-28", "2024-04-02"])  # Good Friday and Easter Monday
    flags = holidays_frame(days, "DE", None, frequency("D[TUE-SAT]"))
    assert flags["holiday_before"].tolist() == [0, 1, 0] and flags["holiday"].tolist() == [0, 0, 0]
    stamps = pd.DatetimeIndex(["2024-03-28 10:00", "2024-03-28 16:00"])
    frame = calendar_frame(stamps, frequency("h[MON-FRI 10-16]"), parts=("hour",), country="DE", tz="Europe/Berlin")
    assert frame["hour"].tolist() == [10, 16] and frame["holiday_before"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("alias", "algorithms", "horizon", "week"),
    [("D[SUN-THU]", "ets,seasonal_naive", 14, 5), ("h[MON-FRI 10-16]", "theta,ridge", 24, 35)],
)
def test_a_run_on_open_steps_learns_their_pattern(
    alias: str, algorithms: str, horizon: int, week: int, tmp_path: Path
) -> None:
    frame = opening(alias)
    run = vur.run(frame, horizon=horizon, algorithms=algorithms, folds=3, notebook=False, out=tmp_path, name="open")
    ds = run.forecast["ds"]
    assert is_open(ds.to_numpy().astype("M8[ns]"), alias).all() and ds.iloc[0] > frame["ds"].iloc[-1]
    expected = 40 + 12 * np.sin(ds.dt.hour * np.pi / 6) + 3 * ds.dt.dayofweek
    assert (run.forecast["forecast"] - expected).abs().mean() < 2.5
    assert run.config.data.freq == alias and run.leaderboard["mase"].iloc[0] < 1
    later = vur.forecast(run.record["model"], horizon=2 * week)["ds"]
    assert is_open(later.to_numpy().astype("M8[ns]"), alias).all()


# --- the end of the calendar ---

FAR = {
    "YS": ("2262-01-01", "1900-01-01"),
    "MS": ("2262-04-01", "2023-12-01"),
    "ME": ("2262-03-31", "2023-12-31"),
    "QS": ("2262-04-01", "2023-10-01"),
    "W-MON": ("2262-04-07", "2024-01-01"),
    "D": ("2262-04-11", "2024-01-01"),
    "B": ("2262-04-11", "2024-01-01"),
    "h": ("2262-04-11 23:00", "2024-01-01"),
    "D[SUN-THU]": ("2262-04-10", "2024-01-01"),
    "h[MON-FRI 10-16]": ("2262-04-11 16:00", "2024-01-01 10:00"),
}


@pytest.mark.parametrize("alias", FAR)
def test_no_stamp_passes_the_end_of_the_calendar(alias: str) -> None:
    last, start = (np.datetime64(text, "ns") for text in FAR[alias])
    most, here = most_steps(int(start.astype(np.int64)), alias), np.array([start])
    assert advance(here, most, alias)[0] == last
    for wanted in (most + 1, most + 40, 10**9, 2**40):
        with pytest.raises(VurError, match=f"last possible stamp is .*Ask for at most {most} steps") as refused:
            advance(here, wanted, alias)
        assert refused.value.data["last"] == pd.Timestamp(last)
    back = most_steps(int(start.astype(np.int64)), alias, back=True)
    assert 1677 <= pd.Timestamp(advance(here, -back, alias)[0]).year < 1740
    with pytest.raises(VurError, match="end of the calendar"):
        advance(here, -back - 1, alias)


def test_a_horizon_beyond_the_calendar_is_refused_by_every_door(tmp_path: Path) -> None:
    year = pd.date_range("1900-01-01", periods=60, freq="YS").strftime("%Y-%m-%d")
    frame = pd.DataFrame({"year": year, "v": np.random.default_rng(0).normal(100, 5, 60).round(1)})
    run = vur.run(frame, horizon=3, algorithms="naive,drift", notebook=False, out=tmp_path, name="far")
    assert len(vur.forecast(run.record["model"], horizon=300)) == 300
    with pytest.raises(VurError, match="at most 303 steps"):
        vur.forecast(run.record["model"], horizon=304)
    with pytest.raises(VurError, match="at most 303 steps"):
        vur.run(frame, horizon=400, algorithms="naive", notebook=False, out=tmp_path)
    assert main(["forecast", "far", "--horizon", "400"]) == 1


# --- periods of weeks ---


def fiscal(pattern: tuple[int, ...], start: str, years: int, last_days: bool = False) -> pd.DatetimeIndex:
    """First or last days of periods of whole weeks; the third and the eighth year have 53 weeks."""
    weeks = [list(pattern) * (52 // sum(pattern)) for _ in range(years)]
    for year in (2, 7):
        if year < years:
            weeks[year][-1] += 1
    ends = 7 * np.cumsum(np.concatenate(weeks))
    return pd.Timestamp(start) + pd.to_timedelta(ends - 1 if last_days else np.r_[0, ends[:-1]], "D")


@pytest.mark.parametrize("pattern", [(4, 4, 5), (4, 5, 4), (5, 4, 4)])
@pytest.mark.parametrize("start", ["2012-01-01", "2011-12-29", "2012-01-29", "2012-02-05", "2012-10-01"])
def test_periods_of_four_and_five_weeks_have_a_month_each(pattern: tuple[int, ...], start: str) -> None:
    for last_days in (False, True):
        days = fiscal(pattern, start, 10, last_days)
        frame = pd.concat([pd.DataFrame({"unique_id": k, "ds": days[k:], "y": 1.0}) for k in (0, 90)])
        panel = make_panel(frame)
        assert panel.freq.alias == "MS" and not len(complete(panel).notes.get("inserted", []))
        short, long = (rows["ds"].tolist() for _, rows in panel.frame.groupby("unique_id"))
        assert set(long) <= set(short) or set(short) <= set(long), "one period, one month, in every series"
        away = (panel.frame["ds"].to_numpy()[:30] - frame["ds"].to_numpy()[:30]) / np.timedelta64(1, "D")
        assert np.abs(away).max() <= 15


def test_payments_on_the_25th_stay_in_their_month_and_days_add_up_to_theirs() -> None:
    days = pd.date_range("2020-01-25", "2023-12-25", freq="D")
    payday = pd.DataFrame({"ds": days[days.day == 25], "y": 1.0})
    assert make_panel(payday, freq="MS").frame["ds"].iloc[[0, -1]].dt.strftime("%m").tolist() == ["01", "12"]
    january = pd.DataFrame({"ds": pd.date_range("2024-01-01", "2024-02-29"), "y": 1.0})
    assert make_panel(january, freq="MS", duplicates="sum").frame["y"].tolist() == [31, 29]


def test_fiscal_years_and_quarters_of_whole_weeks_follow_each_other() -> None:
    for pattern, start, alias in (((52,), "1990-01-28", "YS"), ((13,), "2005-01-30", "QS")):
        days = fiscal(pattern, start, 20)
        panel = make_panel(pd.DataFrame({"ds": days, "y": 1.0}))
        assert panel.freq.alias == alias and panel.frame["ds"].is_unique
        assert not len(complete(panel).notes.get("inserted", []))


WEEKS = {
    "2020-W05": "{0}-W{1:02}",
    "2020W5": "{0}W{1}",
    "KW 5/2020": "KW {1}/{0}",
    "Semana 5/2020": "Semana {1}/{0}",
    "W05-2020": "W{1:02}-{0}",
    "W5 2020": "W{1} {0}",
    "Week 5 2020": "Week {1} {0}",
    "202005": "{0}{1:02}",
    "2020-05": "{0}-{1:02}",
}


@pytest.mark.parametrize("form", WEEKS)
def test_codes_of_weeks_are_mondays_also_in_years_of_53(form: str, tmp_path: Path) -> None:
    mondays = pd.date_range("2019-06-03", periods=150, freq="W-MON")
    codes = [WEEKS[form].format(day.isocalendar().year, day.isocalendar().week) for day in mondays]
    assert any("53" in code for code in codes)
    pd.DataFrame({"week": codes, "y": np.arange(150.0)}).to_csv(tmp_path / "weeks.csv", index=False)
    panel = make_panel(upload(tmp_path / "weeks.csv", tmp_path / "u").frame(), date="week", target="y")
    assert (panel.freq.alias, panel.freq.share) == ("W-MON", 1) and panel.frame["ds"].tolist() == mondays.tolist()


def test_codes_that_are_no_weeks_stay_what_they_are(tmp_path: Path) -> None:
    weeks = pd.date_range("2019-06-03", periods=80, freq="W-MON").isocalendar()
    numbers = (weeks["year"] * 100 + weeks["week"]).astype(int).tolist()
    with pytest.raises(VurError, match="'n' are codes of a year and a period: 202001 comes after 201952"):
        make_panel(pd.DataFrame({"n": numbers, "y": 1.0}), date="n")
    assert make_panel(pd.DataFrame({"n": range(201950, 202150), "y": 1.0}), date="n").freq.alias == "1"
    pd.DataFrame({"parte": numbers, "y": 1.0}).to_csv(tmp_path / "parts.csv", index=False)
    assert upload(tmp_path / "parts.csv", tmp_path / "a").columns[0].type != "datetime", "a part number"
    halves = [f"S{half}/{year}" for year in range(2000, 2020) for half in (1, 2)]
    pd.DataFrame({"semestre": halves, "y": 1.0}).to_csv(tmp_path / "halves.csv", index=False)
    assert upload(tmp_path / "halves.csv", tmp_path / "b").columns[0].type != "datetime"


def test_a_model_on_periods_of_weeks_moves_on(tmp_path: Path) -> None:
    days = fiscal((4, 4, 5), "2019-01-27", 5)
    weeks = np.append(np.diff(days).astype("m8[D]").astype(int) // 7, 5)
    frame = pd.DataFrame({"period": days, "sales": 100.0 * weeks})
    run = vur.run(
        frame.head(54), horizon=3, algorithms="seasonal_naive", notebook=False, out=tmp_path, name="periods", folds=2
    )
    assert run.forecast["forecast"].tolist() == [400, 400, 500]
    labels = pd.date_range(run.forecast["ds"].iloc[0], periods=6, freq="MS").tolist()
    model, head, _ = open_model(run.record["model"])
    for number in range(6):  # one new row at a time, as they come
        new = frame.iloc[[54 + number]]
        assert history_panel(model, head, new).frame["ds"].tolist() == [labels[number]]
        assert vur.check_new(run.record["model"], frame.iloc[54 : 55 + number])["ds"].iloc[-1] == labels[number]
    moved = vur.update_model(run.record["model"], frame)
    assert open_model(moved.tag)[1]["borders"]
    following = vur.forecast(moved.tag, horizon=3)
    assert following["ds"].tolist() == pd.date_range(moved.end, periods=4, freq="MS")[1:].tolist()
    assert len(pd.date_range(run.forecast["ds"].iloc[0], moved.end, freq="MS")) == 6


# --- one step for all ---

STEPS = {"YS": 30, "QS": 40, "MS": 72, "W-MON": 80, "D": 120, "h": 400}
FINER = [("MS", "D"), ("QS", "D"), ("YS", "MS"), ("QS", "MS"), ("W-MON", "D"), ("D", "h"), ("MS", "W-MON")]


def regular(alias: str, uid: str = "a", level: float = 300.0, seed: int = 0) -> pd.DataFrame:
    """A seasonal series on a regular grid."""
    count = STEPS[alias]
    y = level + 0.2 * level * np.sin(np.arange(count) * np.pi / 6) + np.random.default_rng(seed).normal(0, 3, count)
    return pd.DataFrame(
        {"unique_id": uid, "ds": pd.date_range("2018-01-01", periods=count, freq=alias), "y": y.round(1)}
    )


@pytest.mark.parametrize(("own", "wrong"), FINER)
def test_a_frequency_finer_than_the_rows_is_refused(own: str, wrong: str) -> None:
    frame = regular(own)
    panel = make_panel(frame, freq=wrong)
    if panel.freq.alias == own:  # months on a grid of weeks have no two rows seven days apart, and are not even weeks
        return
    for absent in ("auto", "missing"):
        with pytest.raises(VurError, match=f"the rows are {own}.*give {own}"):
            regular_panel(panel, absent)
    assert (regular_panel(panel, "zero").frame["y"] == 0).mean() > 0.5, "zeros that are asked for"


@pytest.mark.parametrize(("coarse", "fine"), [("MS", "D"), ("W-MON", "D"), ("QS", "MS"), ("MS", "W-MON"), ("D", "h")])
def test_two_steps_in_one_table_are_refused_by_series(coarse: str, fine: str) -> None:
    """Whatever step most series have, the other one is named."""
    both = [regular(fine, f"fine{k}", 10, k) for k in range(2)] + [regular(coarse, "coarse")]
    with pytest.raises(VurError, match=f"'coarse' is {coarse}, but the others make the panel {fine}"):
        regular_panel(make_panel(pd.concat(both)))
    both = [regular(fine, "fine", 10)] + [regular(coarse, f"coarse{k}", 300, k) for k in range(3)]
    with pytest.raises(VurError, match=f"'fine' is {fine}, but the others make the panel {coarse}"):
        make_panel(pd.concat(both))
    summed = make_panel(pd.concat(both), freq=coarse, duplicates="sum")
    assert regular_panel(summed).freq.alias == coarse


def test_rows_left_out_at_random_or_for_holidays_are_not_a_coarser_step() -> None:
    rng = np.random.default_rng(7)
    for share in (0.05, 0.3, 0.9):
        parts = [regular("D", f"p{k}")[rng.random(STEPS["D"]) < share] for k in range(6)]
        assert not len(coarse_series(make_panel(pd.concat(parts), freq="D")))
    assert not len(coarse_series(make_panel(opening("D[SUN-THU]"), freq="D")))
    assert not len(coarse_series(make_panel(opening("h[MON-FRI 10-16]"), freq="h")))
    assert not len(coarse_series(make_panel(regular("MS").drop(index=[3, 20, 21]))))


def test_a_run_on_the_wrong_step_stops_with_the_remedy(tmp_path: Path) -> None:
    quick: dict = {"horizon": 3, "algorithms": "seasonal_naive", "notebook": False, "out": tmp_path}
    with pytest.raises(VurError, match="the rows are MS. Leave the frequency out, or give MS"):
        vur.run(regular("MS"), freq="D", **quick)
    mixed = pd.concat([regular("D", "daily", 10), regular("MS", "monthly").head(5)])
    with pytest.raises(VurError, match="'monthly' is MS"):
        vur.run(mixed, **quick)
    run = vur.run(mixed[mixed["unique_id"] == "daily"], **quick)
    assert (run.forecast["hi-95"] > run.forecast["lo-95"]).all()
