"""Stamps are those of the user's calendar: local dates, open hours, one step, and no date that cannot be."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import vur
from vur.cli import main
from vur.errors import VurError
from vur.frequency import advance, frequency, is_open, locate, most_steps, open_alias, seasons_of, spacing
from vur.opening import closed_dates, open_calendar
from vur.panel import complete, future_frame, make_panel
from vur.stages.features.calendar import calendar_frame, holidays_frame, step_index
from vur.stages.preview.audit import audit
from vur.timezones import stamp_texts, zone
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
    assert stamp_texts(panel.frame["ds"].to_numpy()[:1], *zone(panel.freq, panel.tz)) == ["2024-02-01T10:00:00"]


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
    with pytest.raises(VurError, match="2262-01-01"):
        vur.forecast(run.record["model"], horizon=304)
    with pytest.raises(VurError, match="2262-01-01"):
        vur.run(frame, horizon=400, algorithms="naive", notebook=False, out=tmp_path)
    assert main(["forecast", "far", "--horizon", "400"]) == 1
