"""Uneven rows are refused, codes of quarters are periods, numbers since 1970 are moments, other targets are said."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import vur
import vur.cli
from vur.absence import regular_panel
from vur.errors import VurError
from vur.panel import make_panel
from vur.stages.preview.audit import audit_frame
from vur.stages.upload import upload, upload_frame

DAYS = pd.date_range("2020-01-01", "2023-12-31")


def amounts(days: pd.DatetimeIndex, name: str = "a", level: float = 100.0) -> pd.DataFrame:
    return pd.DataFrame(
        {"unique_id": name, "ds": days, "y": np.random.default_rng(len(days)).normal(level, 5, len(days))}
    )


# --- rows that follow no even step ---

UNEVEN = {
    "1st and 15th": pd.date_range("2020-01-01", "2023-12-31", freq="SMS"),
    "15th and last": pd.date_range("2020-01-01", "2023-12-31", freq="SME"),
    "three days a month": DAYS[np.isin(DAYS.day, [1, 5, 20])],
    "first five days of a month": DAYS[DAYS.day <= 5],
    "a short file": pd.date_range("2020-01-01", periods=8, freq="SMS"),
}


@pytest.mark.parametrize("pattern", UNEVEN)
def test_uneven_rows_are_refused_with_the_step_that_has_rows(pattern: str) -> None:
    rows = amounts(UNEVEN[pattern])
    for freq in (None, "D"):
        for absent in ("auto", "missing"):
            with pytest.raises(VurError, match="no even step.*--freq MS --duplicates sum") as error:
                regular_panel(make_panel(rows, freq=freq), absent)
            assert error.value.code == "panel.mostly_empty"
    assert (regular_panel(make_panel(rows), "zero").frame["y"] == 0).mean() > 0.8
    months = regular_panel(make_panel(rows, freq="MS", duplicates="sum"))
    expected = rows.groupby(rows["ds"].dt.to_period("M"))["y"].sum()
    assert months.frame["y"].to_numpy() == pytest.approx(expected.to_numpy()), "each row in its own month"


def test_a_step_of_weeks_is_too_fine_for_two_rows_a_month() -> None:
    with pytest.raises(VurError, match="--freq MS"):
        regular_panel(make_panel(amounts(UNEVEN["1st and 15th"]), freq="W-MON"))


def test_one_uneven_series_among_days_is_named() -> None:
    daily = [amounts(DAYS[:400], name, 10.0) for name in "bcd"]
    with pytest.raises(VurError, match="series 'a' have no row"):
        regular_panel(make_panel(pd.concat([amounts(UNEVEN["1st and 15th"]), *daily])))


def test_outages_and_gaps_by_chance_are_no_pattern() -> None:
    rng = np.random.default_rng(3)
    lost = DAYS[(np.arange(len(DAYS)) < 60) | (np.arange(len(DAYS)) > 1300)]
    few = [amounts(DAYS[rng.random(len(DAYS)) < 0.1], f"few{k}") for k in range(2)]
    sparse = [amounts(DAYS[:500], f"full{k}") for k in range(3)] + few
    for table in ([amounts(lost)], [amounts(DAYS[rng.random(len(DAYS)) < 0.4])], sparse):
        assert regular_panel(make_panel(pd.concat(table), freq="D")).freq.alias == "D"


def test_a_run_on_uneven_rows_stops_with_the_remedy_and_runs_with_it(tmp_path: Path) -> None:
    rows = amounts(UNEVEN["1st and 15th"]).drop(columns="unique_id")
    quick: dict = {"horizon": 3, "algorithms": "seasonal_naive", "notebook": False, "out": tmp_path}
    with pytest.raises(VurError, match="--freq MS"):
        vur.run(rows, **quick)
    run = vur.run(rows, freq="MS", duplicates="sum", **quick)
    assert run.forecast["forecast"].between(150, 250).all()


# --- codes of quarters and half-years ---

QUARTERS = [(year, k) for year in range(1998, 2006) for k in range(1, 5)]
HALVES = [(year, k) for year in range(1998, 2010) for k in (1, 2)]


def read(tmp_path: Path, name: str, values: list, frame: bool = False) -> pd.Series:
    rows = pd.DataFrame({name: values, "valor": np.arange(len(values)) % 7 + 0.5})
    if frame:
        return upload_frame(rows, tmp_path / "u").frame()[name]
    rows.to_csv(tmp_path / "f.csv", index=False)
    found = upload(tmp_path / "f.csv", tmp_path / "u")
    assert found.rejected == 0
    return found.frame()[name]


@pytest.mark.parametrize("frame", [False, True])
@pytest.mark.parametrize("name", ["quarter", "trimestre", "period", "Período"])
def test_a_year_and_a_digit_is_a_quarter_where_the_name_says_so(tmp_path: Path, name: str, frame: bool) -> None:
    codes = [10 * year + k for year, k in QUARTERS]
    assert read(tmp_path, name, codes, frame).tolist() == pd.date_range("1998-01-01", periods=32, freq="QS").tolist()


@pytest.mark.parametrize("name", ["semestre", "half-year", "period"])
def test_a_year_and_a_digit_is_a_half_year(tmp_path: Path, name: str) -> None:
    codes = [10 * year + k for year, k in HALVES]
    assert read(tmp_path, name, codes).tolist() == pd.date_range("1998-01-01", periods=24, freq="6MS").tolist()


@pytest.mark.parametrize(
    "form",
    ["{k}T/{y}", "{k}T{y}", "{k}º trim {y}", "{k}o trim. {y}", "{k}º trimestre de {y}", "{k}Q {y}", "{k}. Quarter {y}",
     "Q{k} {s:02}", "Q{k}/{s:02}", "Q{k}'{s:02}", "{k}T{s:02}", "{k}T/{s:02}"],
)  # fmt: skip
def test_quarters_in_words(tmp_path: Path, form: str) -> None:
    texts = [form.format(k=k, y=year, s=year % 100) for year, k in QUARTERS]
    assert read(tmp_path, "trimestre", texts).tolist() == pd.date_range("1998-01-01", periods=32, freq="QS").tolist()


@pytest.mark.parametrize("periods", [QUARTERS, HALVES])
def test_codes_without_such_a_name_are_refused(periods: list, tmp_path: Path) -> None:
    codes = [10 * year + k for year, k in periods]
    assert read(tmp_path, "n", codes).tolist() == codes
    with pytest.raises(VurError, match="codes of a year and a period: 19991 comes after 1998"):
        make_panel(pd.DataFrame({"n": codes, "y": 1.0}), date="n")
    assert make_panel(pd.DataFrame({"n": range(20121, 20151), "y": 1.0}), date="n").freq.alias == "1"
    assert make_panel(pd.DataFrame({"n": range(20001, 20601, 20), "y": 1.0}), date="n").freq.alias == "20"
    assert read(tmp_path, "quarter", list(range(20121, 20151))).tolist() == list(range(20121, 20151)), "counts on"


# --- numbers since 1970 ---

UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("step", ["h", "D", "15min", "MS"])
def test_numbers_since_1970_are_moments(unit: str, step: str) -> None:
    stamps = pd.date_range("2021-01-01", periods=72, freq=step)
    numbers = stamps.as_unit("s").asi8 * UNITS[unit]
    for values in (numbers, numbers.astype(str), numbers.astype(float)):
        panel = make_panel(pd.DataFrame({"ts": values, "y": 1.0}), date="ts")
        assert (panel.freq.alias, panel.tz) == (step, "UTC") and panel.frame["ds"].tolist() == stamps.tolist()
    local = make_panel(pd.DataFrame({"ts": numbers, "y": 1.0}), date="ts", tz="America/Sao_Paulo")
    assert local.tz == "America/Sao_Paulo"
    counted = make_panel(pd.DataFrame({"ts": numbers, "y": 1.0}), date="ts", freq=str(np.gcd.reduce(np.diff(numbers))))
    assert counted.freq.is_integer, "a model that counted goes on"


@pytest.mark.parametrize("first", [1, 45_000, 738_000, 2_460_000, 20_240_101])
def test_numbers_that_count_rows_stay_numbers(first: int) -> None:
    assert make_panel(pd.DataFrame({"t": np.arange(first, first + 20), "y": 1.0}), date="t").freq.alias == "1"


def test_a_run_on_milliseconds_forecasts_moments(tmp_path: Path) -> None:
    hours = pd.date_range("2021-01-01", periods=24 * 8, freq="h")
    rows = pd.DataFrame({"ts": hours.as_unit("ms").asi8, "v": 50 + 10 * np.sin(np.arange(192) * np.pi / 12)})
    run = vur.run(
        rows, date="ts", horizon=24, algorithms="seasonal_naive", notebook=False, out=tmp_path, name="ms", folds=2
    )
    stamps = pd.to_datetime(run.forecast["ds"], utc=True)
    assert stamps.iloc[0] == pd.Timestamp("2021-01-09", tz="UTC") and stamps.diff().iloc[1] == pd.Timedelta("1h")
    new = pd.DataFrame({"ts": [rows["ts"].iloc[-1] + 3_600_000], "v": [50.0]})
    assert pd.Timestamp(vur.check_new(run.record["model"], new)["ds"].iloc[0]) == pd.Timestamp("2021-01-09", tz="UTC")
    found = audit_frame(rows, date="ts", target="v", series=())
    assert not [one for one in found if one.severity == "error"]


# --- other targets ---


def wide(**columns: float) -> pd.DataFrame:
    rng, days = np.random.default_rng(1), pd.date_range("2019-01-01", periods=48, freq="MS")
    return pd.DataFrame({"date": days} | {name: rng.normal(level, 5, 48).round(1) for name, level in columns.items()})


def said(tmp_path: Path, rows: pd.DataFrame, **options: object) -> list[str]:
    run = vur.run(rows, horizon=3, algorithms="naive", notebook=False, out=tmp_path, folds=2, **options)
    return run.audit.loc[run.audit["code"] == "only_target", "message"].tolist()


def test_columns_that_are_not_forecast_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = wide(A=100, B=90, C=120)
    (message,) = said(tmp_path, rows)
    assert "Only column A" in message and "B, C (2)" in message and "--target" in message and "melt('date'" in message
    rows.to_csv(tmp_path / "wide.csv", index=False)
    words = [
        "--horizon",
        "3",
        "--algorithms",
        "naive",
        "--no-notebook",
        "--quiet",
        "--folds",
        "2",
        "--out",
        str(tmp_path),
    ]
    assert vur.cli.main(["run", str(tmp_path / "wide.csv"), *words]) == 0
    assert "B, C (2)" in capsys.readouterr().out
    molten = rows.melt("date", var_name="series", value_name="value")
    assert said(tmp_path, molten) == []


def test_covariates_and_a_chosen_target_are_not(tmp_path: Path) -> None:
    assert said(tmp_path, wide(A=100, B=90), target="B") == []
    assert said(tmp_path, wide(A=100, B=90), roles={"B": "past_only"}) == []
    assert said(tmp_path, wide(sales=100, price=9, temperature=20, other=3)) == []
