"""Columns keep their names, whatever they are called, and a frame may have any index."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import vur
from vur.columns import inner_names, with_index
from vur.errors import VurError
from vur.panel import complete, future_frame, make_panel
from vur.runs.dataset import keep_frame

# Names that tables of VUR have used, or might.
NAMES = (
    "original row index level_0 ds y unique_id step fold forecast cutoff key note due event direction score anomaly "
    "p_value lo hi lo-80 place shown position code baseline algorithm season trend value time weight"
).split()


def table(names: list[str], days: int = 150, horizon: int = 7, seed: int = 3) -> pd.DataFrame:
    """Two stores whose sales follow known columns; the last `horizon` days hold only what is known of the future."""
    rng, parts = np.random.default_rng(seed), []
    for store in ("north", "south"):
        known = {name: rng.normal(0, 1, days).round(3) for name in names}
        y = 50 + 5 * np.sin(np.arange(days) * 2 * np.pi / 7) + sum(known.values()) + rng.normal(0, 0.5, days)
        ahead = np.where(np.arange(days) < days - horizon, y.round(2), np.nan)
        day = pd.date_range("2024-01-01", periods=days).strftime("%Y-%m-%d")
        parts.append(pd.DataFrame({"day": day, "store": store, "sold": ahead, **known}))
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("role", ["known_future", "past_only", "static"])
def test_a_covariate_of_any_name_keeps_its_name_and_values(role: str) -> None:
    frame = table(NAMES)
    if role == "static":
        frame[NAMES] = frame[NAMES].where(frame["store"] == "north", 1.0).where(frame["store"] == "south", 2.0)
    panel = complete(make_panel(frame, date="day", target="sold", series=["store"], roles=dict.fromkeys(NAMES, role)))
    assert panel.own_roles == dict.fromkeys(NAMES, role)
    for inner, own in zip(panel.roles, NAMES, strict=True):
        observed = panel.frame[inner].to_numpy()
        assert (observed == frame.loc[frame["sold"].notna(), own].to_numpy()).all(), own
    assert list(future_frame(panel, 3)) == ["unique_id", "ds", "step"]


def test_a_name_that_is_taken_yields_to_a_column_that_has_it() -> None:
    assert inner_names(["y", "y_", "ds", "row"]) == {"y": "y__", "y_": "y_", "ds": "ds_", "row": "row"}
    frame = pd.DataFrame({"day": pd.date_range("2024-01-01", periods=9), "v": 1.0, "y": range(9), "y_": range(9, 18)})
    panel = make_panel(frame, date="day", target="v", roles={"y": "past_only"})
    assert panel.own_roles == {"y": "past_only", "y_": "past_only"}
    assert panel.frame["y__"].tolist() == list(range(9))
    with pytest.raises(VurError, match="'z'.*has y, y_"):
        make_panel(frame, date="day", target="v", roles={"z": "past_only"})


def test_notes_name_rows_beside_a_column_called_row() -> None:
    frame = pd.DataFrame({"day": ["2024-01-01", "2024-02-01", "2024-03-02", "2024-04-01"], "v": [1.0, 2, 3, 4]})
    panel = make_panel(frame.assign(row=[9, 8, 7, 6], original=[5, 4, 3, 2]), date="day", target="v", freq="MS")
    assert panel.notes["moved"]["row"].tolist() == [3]
    assert panel.frame["row"].tolist() == [9, 8, 7, 6] and panel.frame["original"].tolist() == [5, 4, 3, 2]
    twice = pd.concat([frame, frame.iloc[:1]]).assign(original=[1, 2, 3, 4, 9])
    with pytest.raises(VurError, match=r"more than one row at 2024-01-01 00:00:00 \(rows 1, 5\)"):
        make_panel(twice, date="day", target="v")


@pytest.mark.parametrize(
    ("date", "target", "series"),
    [("y", "ds", "row"), ("step", "unique_id", "fold"), ("index", "original", "level_0"), ("ds", "forecast", "y")],
)
def test_core_columns_of_any_name(date: str, target: str, series: str) -> None:
    plain = table([], days=60, horizon=0)
    named = plain.rename(columns={"day": date, "sold": target, "store": series})
    expected = make_panel(plain, date="day", target="sold", series=["store"]).frame
    pd.testing.assert_frame_equal(make_panel(named, date=date, target=target, series=[series]).frame, expected)


# --- whole runs ---


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, vur.RunResult]:
    """The same data under names of VUR's own and under plain ones."""
    found = {}
    for label in ("own", "plain"):
        names = NAMES if label == "own" else [f"x{k:02d}" for k in range(len(NAMES))]
        frame = table(NAMES).rename(columns=dict(zip(NAMES, names, strict=True)))
        found[label] = vur.run(
            frame,
            date="day",
            target="sold",
            series="store",
            horizon=7,
            folds=2,
            algorithms="ridge,seasonal_naive",
            roles=dict.fromkeys(names, "known_future"),
            name=f"columns-{label}",
            out=tmp_path_factory.mktemp("reports"),
            notebook=False,
        )
    return found


def test_names_change_no_digit(runs: dict[str, vur.RunResult]) -> None:
    own, plain = runs["own"], runs["plain"]
    pd.testing.assert_frame_equal(own.forecast, plain.forecast)
    assert own.config.data.roles == dict.fromkeys(NAMES, "known_future")
    pd.testing.assert_series_equal(own.leaderboard["mase"], plain.leaderboard["mase"])


def test_future_values_are_asked_for_and_given_by_their_own_names(runs: dict[str, vur.RunResult]) -> None:
    tags = {label: run.record["model"] for label, run in runs.items()}
    future = vur.future_template(tags["own"])
    assert list(future) == ["day", "store", *NAMES]
    changed = {
        label: vur.forecast(tag, future=_raised(vur.future_template(tag), "step" if label == "own" else "x07"))
        for label, tag in tags.items()
    }
    pd.testing.assert_frame_equal(changed["own"], changed["plain"])
    assert (changed["own"]["forecast"] - runs["own"].forecast["forecast"]).mean() > 1, "the values were used"
    with pytest.raises(VurError, match="Column 'y' must hold numbers"):
        vur.forecast(tags["own"], future=future.assign(y="x"))


def _raised(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    return frame.assign(**{column: frame[column] + 3})


@pytest.mark.parametrize("name", ["step", "ds", "event", "row", "y"])
def test_what_if_changes_a_column_by_its_own_name(runs: dict[str, vur.RunResult], name: str) -> None:
    found = vur.scenario(runs["own"].record["model"], f"with-{name}", {name: "+2"})
    other = vur.scenario(runs["plain"].record["model"], f"with-{name}", {f"x{NAMES.index(name):02d}": "+2"})
    pd.testing.assert_frame_equal(found.forecast, other.forecast)
    with pytest.raises(VurError, match="unique_id, step"):
        vur.scenario(runs["own"].record["model"], "none", {"zzzz": "+2"})


def test_new_data_are_judged_and_taken_up_by_their_own_names(runs: dict[str, vur.RunResult]) -> None:
    later = table(NAMES, days=164, horizon=7)
    plain = later.rename(columns={name: f"x{k:02d}" for k, name in enumerate(NAMES)})
    judged = [vur.check_new(runs[label].record["model"], frame) for label, frame in (("own", later), ("plain", plain))]
    pd.testing.assert_frame_equal(*judged)
    assert judged[0]["score"].notna().sum() == 2 * 14
    moved = [
        vur.update_model(runs[label].record["model"], frame) for label, frame in (("own", later), ("plain", plain))
    ]
    pd.testing.assert_frame_equal(moved[0].compared, moved[1].compared)


# --- the index of a frame ---


def shuffled(frame: pd.DataFrame, kind: str) -> pd.DataFrame:
    """The same rows behind another index."""
    if kind == "reversed":
        return frame.iloc[::-1]
    if kind == "sparse":
        return frame.set_axis(range(3, 3 + 7 * len(frame), 7))
    if kind == "joined":
        return pd.concat([frame.iloc[:50], frame.iloc[50:].reset_index(drop=True)])
    if kind == "strings":
        return frame.set_axis([f"r{k}" for k in range(len(frame))])
    if kind == "levels":
        return frame.set_index(pd.MultiIndex.from_arrays([np.arange(len(frame)) % 5, np.arange(len(frame))]))
    if kind == "grouped":
        return frame.groupby("store", group_keys=True)[list(frame)].apply(lambda part: part)
    raise AssertionError(kind)


INDEXES = ("reversed", "sparse", "joined", "strings", "levels", "grouped")


@pytest.mark.parametrize("kind", INDEXES)
def test_an_unnamed_index_is_no_data(kind: str) -> None:
    plain = table(["price"])
    frame = shuffled(plain, kind)
    assert list(with_index(frame)) == list(plain)
    panel = make_panel(frame, date="day", target="sold", series=["store"])
    expected = make_panel(plain, date="day", target="sold", series=["store"])
    pd.testing.assert_frame_equal(panel.frame, expected.frame)
    if kind != "reversed":  # the order of the rows is part of the content
        assert keep_frame(frame) == keep_frame(plain)


def test_a_run_of_a_joined_frame_has_no_column_for_its_index(tmp_path: Path) -> None:
    frame = shuffled(table(["price"], days=80), "joined")
    run = vur.run(frame, horizon=2, algorithms="naive", out=tmp_path, notebook=False)
    assert run.config.data.roles == {"price": "known_future"}


def test_a_named_index_and_one_of_dates_are_columns(tmp_path: Path) -> None:
    plain = table(["price"])
    assert list(with_index(plain.set_index("day"))) == list(plain)
    nested = plain.set_index(["store", "day"])
    panel = make_panel(nested, date="day", target="sold", series=["store"])
    pd.testing.assert_frame_equal(panel.frame, make_panel(plain, date="day", target="sold", series=["store"]).frame)
    dates = pd.DataFrame({"v": [1.0, 2, 3]}, index=pd.date_range("2024-01-01", periods=3))
    assert list(with_index(dates)) == ["index", "v"]
    assert list(with_index(dates.assign(index=1))) == ["date", "v", "index"]
    assert list(with_index(dates.set_axis(["2024-01-01", "2024-01-02", "2024-01-03"]))) == ["index", "v"]
    assert list(with_index(dates.to_period("D"))) == ["index", "v"]


def test_two_columns_of_one_name_are_refused() -> None:
    frame = table(["price"])
    with pytest.raises(VurError, match="Two columns are called 'price'"):
        vur.run(pd.concat([frame, frame[["price"]]], axis=1), horizon=2, notebook=False)
    with pytest.raises(VurError, match="Two columns are called '1'"):
        make_panel(pd.DataFrame({"ds": pd.date_range("2024", periods=3), "y": 1.0, 1: 2, "1": 3}))
