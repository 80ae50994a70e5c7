"""The preview shows the contents of file and panel, whatever columns are called and however short series are."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from builders import flights, panel_of

from vur.errors import VurError
from vur.panel import Panel
from vur.stages.preview import (
    autocorrelation,
    decompose,
    describe_columns,
    describe_series,
    distribution,
    missing_map,
    page,
)

ODD = ["plain", 'with "quotes"', "it's; DROP TABLE x --", "ação %", "select", " "]


@pytest.fixture(scope="module")
def parquet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """250 rows under awkward names, in a folder with an awkward name."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            ODD[0]: np.arange(250),
            ODD[1]: rng.choice(["São Paulo", "Rio", None], 250),
            ODD[2]: rng.normal(size=250),
            ODD[3]: pd.date_range("2024-01-01", periods=250),
            ODD[4]: rng.random(250) < 0.5,
            ODD[5]: np.where(np.arange(250) % 5, 0.0, np.nan),
        }
    )
    path = tmp_path_factory.mktemp("it's a folder") / "data 'x'.parquet"
    frame.to_parquet(path, index=False)
    return path


@pytest.fixture(scope="module")
def airports() -> Panel:
    return flights()


def test_pages_together_are_the_file(parquet: Path) -> None:
    pages = [page(parquet, number, 100) for number in (1, 2, 3)]
    pd.testing.assert_frame_equal(
        pd.concat([p.frame for p in pages], ignore_index=True), pd.read_parquet(parquet), check_dtype=False
    )
    assert {(p.pages, p.rows) for p in pages} == {(3, 250)}


@pytest.mark.parametrize("name", ODD)
def test_any_column_name_can_be_requested(parquet: Path, name: str) -> None:
    assert list(page(parquet, 1, 5, [name]).frame.columns) == [name]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"page": 0}, "preview.page"),
        ({"page": 4}, "preview.page"),
        ({"limit": 0}, "preview.limit"),
        ({"limit": 10**6}, "preview.limit"),
        ({"columns": ['x" FROM y']}, "preview.column"),
    ],
)
def test_impossible_pages_are_refused(parquet: Path, options: dict, code: str) -> None:
    with pytest.raises(VurError) as caught:
        page(parquet, **options)
    assert caught.value.code == code and caught.value.text("pt-BR")


def test_an_empty_file_has_one_empty_page(tmp_path: Path) -> None:
    pd.DataFrame({"a": pd.Series([], dtype=float), "b": pd.Series([], dtype=object)}).to_parquet(
        tmp_path / "empty.parquet"
    )
    empty = page(tmp_path / "empty.parquet")
    assert (empty.rows, empty.pages, len(empty.frame)) == (0, 1, 0)
    assert describe_columns(tmp_path / "empty.parquet")["rows"].tolist() == [0, 0]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(VurError, match="nowhere.parquet"):
        describe_columns(tmp_path / "nowhere.parquet")


def test_column_statistics_are_those_of_pandas(parquet: Path) -> None:
    found, frame = describe_columns(parquet).set_index("column"), pd.read_parquet(parquet)
    assert found.index.tolist() == ODD
    assert found["missing"].tolist() == frame.isna().sum().tolist()
    numbers, values = found.loc[ODD[2]], frame[ODD[2]]
    for name, expected in {
        "mean": values.mean(),
        "std": values.std(ddof=0),
        "min": values.min(),
        "max": values.max(),
    }.items():
        assert numbers[name] == pytest.approx(expected)
    assert numbers["median"] == pytest.approx(values.median(), abs=0.1)
    assert found.loc[ODD[1], "top"] == frame[ODD[1]].mode()[0]
    assert found.loc[ODD[1], "top_count"] == frame[ODD[1]].value_counts().iloc[0]
    assert found.loc[ODD[3], "max"].startswith("2024-09-06")
    assert found.loc[ODD[5], "zeros"] == 200 and found.loc[ODD[5], "share_missing"] == 0.2


def test_infinite_values_do_not_spoil_the_statistics(tmp_path: Path) -> None:
    pd.DataFrame({"x": [1.0, 3.0, np.inf, -np.inf, np.nan]}).to_parquet(tmp_path / "x.parquet")
    row = describe_columns(tmp_path / "x.parquet").iloc[0]
    assert (row["min"], row["max"], row["mean"]) == (1, 3, 2)


def test_series_statistics(airports: Panel) -> None:
    table = describe_series(airports).set_index("unique_id")
    for name, rows in airports.frame.groupby("unique_id"):
        assert table.loc[name, "mean"] == pytest.approx(rows["y"].mean())
        assert table.loc[name, "q25"] == pytest.approx(rows["y"].quantile(0.25))
    assert table["rows"].tolist() == [365] * 3 and (table["seasonality"] > 0.3).all()


def test_the_missing_map_puts_the_worst_series_first(airports: Panel) -> None:
    hole = (airports.frame["unique_id"] == "LGA") & (airports.frame["ds"] < "2013-03-01")
    holed = airports.with_frame(airports.frame.assign(y=airports.frame["y"].mask(hole)))
    table = missing_map(holed, bins=12, most=2)
    assert table.shape == (2, 12) and table.index[0] == "LGA"
    assert table.loc["LGA"].iloc[0] == 1 and table.loc["LGA"].iloc[-1] == 0


def test_the_histogram_counts_every_observation_once(airports: Panel) -> None:
    for uid in (None, "EWR"):
        rows = airports.frame if uid is None else airports.frame[airports.frame["unique_id"] == uid]
        assert distribution(airports, uid)["count"].sum() == rows["y"].notna().sum()
    assert len(distribution(airports, bins=7)) == 7


@pytest.mark.parametrize(
    ("seasons", "names"), [((7,), ["season_7"]), ((7, 30), ["season_7", "season_30"]), ((400,), [])]
)
def test_the_parts_of_a_decomposition_add_up(airports: Panel, seasons: tuple[int, ...], names: list[str]) -> None:
    parts = decompose(airports, "JFK", seasons)
    assert list(parts.columns) == ["ds", "y", "trend", *names, "remainder"]
    assert parts.drop(columns=["ds", "y"]).sum(axis=1).to_numpy() == pytest.approx(parts["y"].to_numpy())


def test_a_weekly_rhythm_shows_in_season_and_autocorrelation(airports: Panel) -> None:
    parts = decompose(airports, "LGA", (7,))
    assert parts.groupby(parts["ds"].dt.dayofweek)["season_7"].mean().idxmin() == 5, "Saturdays are quiet"
    table = autocorrelation(airports, "LGA", 21)
    assert table.loc[:12, "acf"].idxmax() == 6 and (table["acf_high"] == -table["acf_low"]).all()
    assert table["pacf"][0] == pytest.approx(table["acf"][0], abs=0.01)


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 13])
def test_short_constant_and_unobserved_series_do_not_crash(length: int) -> None:
    panel = panel_of(np.full(length, 5.0), "MS")
    assert decompose(panel, "a")["remainder"].abs().max() == pytest.approx(0)
    assert len(describe_series(panel)) == 1 and distribution(panel)["count"].sum() == length
    assert missing_map(panel).iloc[0].dropna().eq(0).all()
    if length >= 4:
        assert (autocorrelation(panel, "a")["acf"] == 0).all()
    else:
        with pytest.raises(VurError, match="'a'"):
            autocorrelation(panel, "a")
    empty = panel.with_frame(panel.frame.assign(y=np.nan))
    assert describe_series(empty)["missing"][0] == length
    with pytest.raises(VurError, match="'a'"):
        decompose(empty, "a")


def test_integer_stamps() -> None:
    panel = panel_of(np.arange(30), "1")
    assert missing_map(panel, bins=10).shape == (1, 10)
    assert list(decompose(panel, "a").columns) == ["ds", "y", "trend", "remainder"]


def test_statistics_of_wide_tables_take_blocks_of_columns(tmp_path, monkeypatch):
    import vur.stages.preview as preview

    frame = pd.DataFrame({f"c{k}": [k, k + 1, None] if k % 2 else ["b", "a", None] for k in range(7)})
    frame['"odd", name'] = None
    frame.to_parquet(tmp_path / "wide.parquet")
    whole = describe_columns(tmp_path / "wide.parquet")
    monkeypatch.setattr(preview, "BLOCK", 3)
    pd.testing.assert_frame_equal(describe_columns(tmp_path / "wide.parquet"), whole)
    assert whole["column"].tolist() == list(frame.columns)
    assert whole.set_index("column").loc["c0", ["top", "top_count", "missing"]].tolist() == ["a", 1, 1]
