"""Stamps are those of the user's calendar: local dates, open hours, one step, and no date that cannot be."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import vur
from vur.cli import main
from vur.errors import VurError
from vur.panel import make_panel

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
