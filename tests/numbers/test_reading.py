"""What people's files say is what is forecast: series, dates, names and numbers as their authors meant them."""

import gzip
import html
import io
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import vur
from vur.cli import main
from vur.errors import VurError
from vur.panel import Panel
from vur.runs.config import DataSpec
from vur.runs.dataset import Dataset, dataset_of
from vur.stages.upload import Upload, fast_path, upload, upload_frame
from vur.stages.upload.files import UploadOptions
from vur.store.cache import StageCache

NULLS = ("NA", "null", "None", "nan", "N/A", "NULL", "<NA>", "#N/A", "n/a", "nil", "-")


def write(folder: Path, text: str | bytes, name: str = "f.csv") -> Path:
    """A file with this text."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def csv_of(frame: pd.DataFrame) -> str:
    """The text of a frame as CSV."""
    return frame.to_csv(index=False)


def dataset(folder: Path, source: str | bytes | pd.DataFrame, **spec: object) -> tuple[Dataset, DataSpec]:
    """The stored dataset of a text or a frame (as CSV), and the specification that a run would have."""
    text = csv_of(source) if isinstance(source, pd.DataFrame) else source
    chosen = DataSpec(path=str(write(folder, text)), **spec)  # type: ignore[arg-type]
    return dataset_of(chosen, StageCache())[0], chosen


def panel(folder: Path, source: str | bytes | pd.DataFrame, **spec: object) -> Panel:
    """The panel that a run on this file would have."""
    found, chosen = dataset(folder, source, **spec)
    return found.panel(chosen)


def sent(folder: Path, text: str | bytes, name: str = "f.csv", **options: object) -> Upload:
    """The upload of a text."""
    return upload(write(folder, text, name), folder / "out", UploadOptions(**options))  # type: ignore[arg-type]


def months(count: int, start: str = "2021-01-01") -> pd.DatetimeIndex:
    """First days of months."""
    return pd.date_range(start, periods=count, freq="MS")


def many(names: Sequence[object], count: int = 24, column: str = "unique_id") -> pd.DataFrame:
    """Monthly series of these names, around 10, 20, 30 ..."""
    return pd.concat(
        pd.DataFrame(
            {column: pd.Series([name] * count, dtype=object), "ds": months(count), "y": 10.0 * k + np.arange(count) % 5}
        )
        for k, name in enumerate(names, 1)
    )


# --- one column, one role ---


@pytest.mark.parametrize("date", ["step", "sales", "value", "total", "idx"])
def test_the_named_date_is_no_candidate_for_the_target(tmp_path: Path, date: str) -> None:
    rows = pd.DataFrame({date: range(1, 61), "v": 30 + np.arange(60) % 20})
    found, spec = dataset(tmp_path, rows, date=date)
    assert found.chosen(spec) == {"date": date, "target": "v", "series": ()}
    assert found.panel(spec).frame["y"].between(30, 50).all()


def test_no_column_is_suggested_for_a_role_when_the_user_gave_it_another(tmp_path: Path) -> None:
    rows = many(["a", "b"]).assign(sales=np.arange(48) % 7, price=np.arange(48.0))
    assert dataset(tmp_path, rows)[0].upload.suggestions.target == "y"
    for spec, target in (
        ({"roles": {"y": "exclude"}}, "sales"),
        ({"roles": {"y": "exclude", "sales": "past_only"}}, "price"),
        ({"target": "price"}, "price"),
    ):
        found, chosen = dataset(tmp_path, rows, **spec)
        assert found.chosen(chosen) == {"date": "ds", "target": target, "series": ("unique_id",)}
    numbered = rows.assign(unique_id=rows["unique_id"].map({"a": 1, "b": 2}))[["unique_id", "ds"]]
    with pytest.raises(VurError) as refused:  # the only number names the series
        panel(tmp_path, numbered, series=("unique_id",))
    assert refused.value.code == "runs.no_target"


def test_series_are_found_beside_the_date_that_the_user_names(tmp_path: Path) -> None:
    rows = pd.DataFrame({"loja": np.repeat(["a", "b"], 20), "n": [*range(20)] * 2, "v": 1.5})
    found, spec = dataset(tmp_path, rows, date="n")
    assert found.chosen(spec) == {"date": "n", "target": "v", "series": ("loja",)}


@pytest.mark.parametrize(
    ("spec", "column"),
    [
        ({"date": "step", "target": "step"}, "step"),
        ({"date": "step", "series": ("step",)}, "step"),
        ({"date": "step", "target": "v", "series": ("v",)}, "v"),
        ({"target": "v", "series": ("k", "v")}, "v"),
        ({"series": ("k", "k")}, "k"),
    ],
)
def test_one_column_for_two_purposes_is_refused_by_name(tmp_path: Path, spec: dict, column: str) -> None:
    rows = pd.DataFrame({"step": range(1, 61), "k": ["a", "b"] * 30, "v": 30 + np.arange(60) % 20})
    with pytest.raises(VurError) as refused:
        panel(tmp_path, rows, **spec)
    assert (refused.value.code, refused.value.data["column"]) == ("runs.column_twice", column)
    with pytest.raises(VurError, match=f"'{column}'"):
        vur.run(write(tmp_path, csv_of(rows)), out=tmp_path, notebook=False, **spec)


@pytest.mark.parametrize("role", ["static", "known_future", "past_only", "exclude"])
def test_a_role_for_a_column_that_does_not_exist_is_refused_with_the_known_ones(tmp_path: Path, role: str) -> None:
    rows = many(["a"]).assign(price=1.5)
    with pytest.raises(VurError) as refused:
        panel(tmp_path, rows, roles={"prise": role})
    assert refused.value.data["column"] == "prise"
    assert all(word in str(refused.value) for word in ("'prise'", role, "nearest first: price", "unique_id"))
    with pytest.raises(VurError, match="'prise'"):
        vur.run(rows, roles={"prise": role}, out=tmp_path, notebook=False)


def test_roles_that_cannot_be_are_refused(tmp_path: Path) -> None:
    rows = many(["a", "b"]).assign(price=1.5)
    for roles, code in (
        ({"price": "future"}, "panel.role_unknown"),
        ({"y": "past_only"}, "runs.role_taken"),
        ({"ds": "exclude"}, "runs.role_taken"),
        ({"unique_id": "known_future"}, "runs.role_taken"),
    ):
        with pytest.raises(VurError) as refused:
            panel(tmp_path, rows, date="ds", target="y", series=("unique_id",), roles=roles)
        assert refused.value.code == code
    assert panel(tmp_path, rows, roles={"unique_id": "static", "price": "past_only"}).ids == ["a", "b"]


# --- names ---


def test_names_that_look_like_null_stay_text(tmp_path: Path) -> None:
    found = panel(tmp_path, many(["BR", *NULLS]))
    assert sorted(found.ids) == sorted(["BR", *NULLS])
    assert found.frame.groupby("unique_id").size().eq(24).all()


@pytest.mark.parametrize(
    "names", [("NA", "1", "2"), ("null", "10", "20", "30"), NULLS, ("001", "1", "01"), ("007", "008")]
)
@pytest.mark.parametrize("column", ["store", "unique_id", "sku"])
def test_names_beside_numbers_stay_as_they_are_written(tmp_path: Path, names: tuple[str, ...], column: str) -> None:
    assert sorted(panel(tmp_path, many(names, column=column)).ids) == sorted(names)


@pytest.mark.parametrize(
    "names",
    [
        ("1E5", "2E5", "3E7"),
        ("1e5", "12", "2e3"),
        ("N", "S"),
        ("T", "F"),
        ("2E3", "7E9", "0E1"),
        ("1.10", "1.1"),
        ("2024-01", "2024-02"),
    ],
)
def test_a_column_that_the_user_names_as_series_keeps_every_name(tmp_path: Path, names: tuple[str, ...]) -> None:
    rows = many(names, column="where").assign(part="x")
    assert sorted(panel(tmp_path, rows, series=("where",)).ids) == sorted(names)
    assert sorted(panel(tmp_path, rows, series=("where", "part")).ids) == sorted(f"{name}/x" for name in names)


def test_letters_in_two_columns_that_nest_stay_letters(tmp_path: Path) -> None:
    rows = pd.concat(many([f"{r}{k}"], column="store").assign(region=r) for r in "NS" for k in (1, 2))
    assert sorted(panel(tmp_path, rows, series=("region", "store")).ids) == ["N/N1", "N/N2", "S/S1", "S/S2"]
    assert set(panel(tmp_path, rows).frame["region"]) == {"N", "S"}


def test_numbers_in_exponent_form_stay_numbers(tmp_path: Path) -> None:
    days = pd.date_range("2024-01-01", periods=40).strftime("%Y-%m-%d")
    for name, values in (("sales", ["1E5", "2E5"]), ("x", ["1.5E5", "2E5"]), ("x", ["1e+05", "2e+05"])):
        text = f"day,{name}\n" + "".join(f"{d},{values[k % 2]}\n" for k, d in enumerate(days))
        assert sent(tmp_path, text).columns[1].type == "numeric", (name, values)


@pytest.mark.parametrize("kind", ["object", "category", "int", "str"])
def test_a_frame_in_memory_keeps_its_names(tmp_path: Path, kind: str) -> None:
    names = [3, 1, 20] if kind == "int" else ["NA", "null", "001", "1", "1E5", "N"]
    rows = many(names)
    rows["unique_id"] = rows["unique_id"].astype({"str": "string"}.get(kind, kind))
    result = vur.run(rows, horizon=2, folds=1, algorithms="naive", out=tmp_path, notebook=False)
    assert sorted(result.panel.ids) == sorted(map(str, names))
    assert sorted(result.forecast["unique_id"].unique()) == sorted(map(str, names))


def test_every_table_of_a_run_has_every_name(tmp_path: Path) -> None:
    names = ["BR", "NA", "null", "None", "nan", "N/A", "<NA>", "001", "1", "1E5"]
    path = write(tmp_path, csv_of(many(names)), "nulls.csv")
    result = vur.run(path, horizon=2, folds=2, algorithms="naive", out=tmp_path, notebook=False)
    assert sorted(result.forecast["unique_id"]) == sorted([*names, *names])
    assert result.forecast.groupby("unique_id").size().to_dict() == dict.fromkeys(names, 2)
    assert sorted(result.panel.ids) == sorted(result.model.head.ids) == sorted(names)
    again = vur.forecast(result.model_tag, horizon=2)
    assert sorted(again["unique_id"].unique()) == sorted(names)
    page = result.report.read_text(encoding="utf-8")
    assert [
        name for name in names if name not in html.unescape(page).replace("\\u003c", "<").replace("\\u003e", ">")
    ] == []


# --- series that share no stamp ---


def stretch(
    name: str, level: float, start: str, count: int, freq: str = "MS", seed: int = 0, noise: float = 0.02
) -> pd.DataFrame:
    """One series around a level."""
    rng = np.random.default_rng([seed, round(level)])
    days = pd.date_range(start, periods=count, freq=freq)
    return pd.DataFrame({"name": name, "ds": days, "y": (level * (1 + noise * rng.normal(size=count))).round(2)})


SUCCESSION = pd.concat([stretch("old", 100, "2021-01-01", 30), stretch("new", 5000, "2023-07-01", 24)])
SHOPS = pd.concat(
    stretch(n, v, s, 16) for n, v, s in (("b", 900, "2021-01-01"), ("a", 300, "2022-05-01"), ("c", 450, "2023-09-01"))
)
WEEKDAYS = pd.concat([stretch("north", 900, "2023-01-02", 60, "7D"), stretch("south", 100, "2023-01-06", 60, "7D")])
EDGES = pd.concat([stretch("opening", 80, "2021-01-01", 30), stretch("closing", 400, "2021-01-31", 30, "ME")])
MACHINES = pd.concat(
    stretch(n, v, s, 40, "3D")
    for n, v, s in (("m1", 20, "2024-01-01"), ("m2", 90, "2024-01-02"), ("m3", 50, "2024-01-03"))
)
TWICE_A_WEEK = pd.concat(
    stretch(n, v, s, 25, "7D")
    for n, v, s in (("p", 70, "2024-01-01"), ("q", 20, "2024-01-02"), ("p", 70, "2024-01-04"), ("q", 20, "2024-01-05"))
)


@pytest.mark.parametrize("column", ["unique_id", "sku", "product", "loja", "store", "SKU code", "maquina"])
@pytest.mark.parametrize(
    "rows", [SUCCESSION, SHOPS, WEEKDAYS, EDGES, MACHINES, TWICE_A_WEEK], ids=lambda rows: str(rows["name"].unique())
)
def test_series_that_share_no_stamp_are_those_of_the_data_frame(
    tmp_path: Path, rows: pd.DataFrame, column: str
) -> None:
    table = rows.rename(columns={"name": column}).sort_values("ds", kind="stable")
    read = panel(tmp_path, table)
    assert sorted(read.ids) == sorted(rows["name"].unique())
    levels = read.frame.groupby("unique_id")["y"].median()
    assert levels.to_dict() == pytest.approx(rows.groupby("name")["y"].median().to_dict())


@pytest.mark.parametrize("rows", [SUCCESSION, WEEKDAYS, EDGES, MACHINES], ids=lambda rows: str(rows["name"].unique()))
def test_a_column_without_such_a_name_that_splits_the_file_is_taken_and_said(
    tmp_path: Path, rows: pd.DataFrame
) -> None:
    table = rows.rename(columns={"name": "x"}).sort_values("ds", kind="stable")
    found, spec = dataset(tmp_path, table)
    assert sorted(found.panel(spec).ids) == sorted(rows["name"].unique())
    (why,) = found.remarks(spec)
    assert why["data"]["column"] == "x" and why["key"] in ("upload.note.disjoint_stamps", "upload.note.disjoint_values")
    one, chosen = dataset(tmp_path, table, roles={"x": "exclude"})
    assert one.chosen(chosen)["series"] == () and one.remarks(chosen) == ()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("freq", ["D", "W-MON", "MS", "h"])
def test_covariates_do_not_name_series(tmp_path: Path, freq: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = stretch("one", 500, "2021-01-01", 120, freq, seed, noise=0.1).drop(columns="name")
    ds = rows["ds"]
    rows["weather"] = np.where(rng.random(120) < 0.3, "rain", "sun")
    rows["weekday"] = ds.dt.day_name()
    rows["season"] = ds.dt.month.map(lambda month: "summer" if month in (12, 1, 2) else "other")
    rows["contract"] = np.repeat(["A", "B", "C"], 40)
    rows["regime"] = np.repeat(["before", "after"], 60)
    rows["estado"] = np.where(rng.random(120) < 0.1, "parada", "normal")
    rows["offer"] = np.where(rng.random(120) < 0.2, "deal", "none")
    rows["y"] *= np.where(rows["offer"] == "deal", 3, 1) * np.where(rows["season"] == "summer", 1.5, 1) + np.where(
        rows["regime"] == "after", 0.3, 0
    )
    assert sent(tmp_path, csv_of(rows)).suggestions.series == ()


def test_two_columns_together_name_series_that_share_no_stamp(tmp_path: Path) -> None:
    parts = [
        ("n", "p", 10, "2021-01-01"),
        ("n", "q", 90, "2022-01-01"),
        ("s", "p", 300, "2023-01-01"),
        ("s", "q", 40, "2024-01-01"),
    ]
    rows = pd.concat(stretch("", v, s, 12).drop(columns="name").assign(store=a, sku=b) for a, b, v, s in parts)
    assert panel(tmp_path, rows).ids in (["n/p", "n/q", "s/p", "s/q"], ["p/n", "p/s", "q/n", "q/s"])


def test_stores_with_a_weekday_of_their_own_are_forecast_on_it(tmp_path: Path) -> None:
    path = write(
        tmp_path, csv_of(WEEKDAYS.rename(columns={"name": "store", "y": "sales"}).sort_values("ds")), "weekdays.csv"
    )
    result = vur.run(path, horizon=4, algorithms="naive", out=tmp_path, notebook=False)
    forecast = result.forecast.groupby("unique_id")
    assert forecast["ds"].agg(lambda ds: set(ds.dt.day_name())).to_dict() == {"north": {"Monday"}, "south": {"Friday"}}
    assert forecast["forecast"].median().to_dict() == pytest.approx({"north": 900, "south": 100}, rel=0.1)
    assert result.config.data.freq == "7D" and "mixed_frequency" not in set(result.audit["code"])
    again = vur.run(config=result.config, out=tmp_path, notebook=False)
    pd.testing.assert_frame_equal(again.forecast, result.forecast)


def test_a_successor_is_not_the_product_before_it(tmp_path: Path) -> None:
    path = write(tmp_path, csv_of(SUCCESSION.rename(columns={"name": "unique_id"})), "successor.csv")
    result = vur.run(path, horizon=3, algorithms="naive", out=tmp_path, notebook=False)
    levels = result.forecast.groupby("unique_id")["forecast"].median()
    assert levels["new"] == pytest.approx(5000, rel=0.2)
    assert set(levels.index) <= {"new", "old"} and levels.get("old", 100) == pytest.approx(100, rel=0.3)
    assert "reading" in set(result.audit["code"])


# --- dates with two digits for the year, and codes of periods ---

ORDERS = {"ymd": "%y{0}%m{0}%d", "dmy": "%d{0}%m{0}%y", "mdy": "%m{0}%d{0}%y"}


def notes_of(found: Upload) -> dict[str, dict]:
    """The notes of an upload by their keys."""
    return {note["key"].removeprefix("upload.note."): note["data"] for note in found.notes}


def possible(texts: Sequence[str], mark: str) -> dict[str, pd.Series]:
    """The dates that each order gives, NaT where it gives none."""
    return {
        order: pd.to_datetime(pd.Series(texts), format=form.format(mark), errors="coerce")
        for order, form in ORDERS.items()
    }


@pytest.mark.parametrize("mark", ["-", "/", "."])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("freq", "start", "count"),
    [
        ("D", "2024-01-01", 60),
        ("D", "2021-11-20", 500),
        ("W-MON", "2022-01-03", 110),
        ("MS", "2022-01-01", 36),
        ("ME", "2019-01-31", 40),
        ("YS", "2005-01-01", 20),
        ("QS", "2010-01-01", 48),
        ("D", "2024-03-01", 31),
    ],
)
def test_two_digit_years_are_read_in_their_order(
    tmp_path: Path, mark: str, order: str, freq: str, start: str, count: int
) -> None:
    days = pd.date_range(start, periods=count, freq=freq)
    texts = days.strftime(ORDERS[order].format(mark)).tolist()
    for names in ([""], ["a", "b", "c"]):
        text = "dia,loja,vendas\n" + "".join(f"{t},{name},{k}\n" for name in names for k, t in enumerate(texts))
        found = sent(tmp_path, text)
        assert pd.to_datetime(pd.read_parquet(found.parquet)["dia"]).unique().tolist() == days.tolist()
        notes = notes_of(found)
        readings = {name: dates for name, dates in possible(texts, mark).items() if dates.notna().mean() >= 0.95}
        if "date_order_decided" in notes:
            assert list(readings) == [order]
            others = [dates.isna() for name, dates in possible(texts, mark).items() if name != order]
            assert notes["date_order_decided"]["count"] == int((others[0] & others[1]).sum()) * len(names)
        else:
            (told,) = (data for key, data in notes.items() if key.startswith("date_order"))
            rest = {name for name, dates in readings.items() if not dates.equals(readings[order])}
            assert all(name in told["others"] for name in rest)


@pytest.mark.parametrize("order", ["dmy", "mdy", "ymd"])
def test_the_order_that_the_user_gives_is_taken(tmp_path: Path, order: str) -> None:
    text = "d,y\n" + "".join(f"{k:02d}-{k:02d}-{k:02d},1\n{k:02d}-03-04,2\n" for k in range(1, 12))
    assert notes_of(sent(tmp_path, text)).keys() & {"date_order_assumed", "date_order_regular", "date_order_close"}
    found = sent(tmp_path, text, date_order=order)
    read = pd.read_parquet(found.parquet)["d"]
    assert read.tolist() == possible([line.split(",")[0] for line in text.split()[1:]], "-")[order].tolist()
    assert not [key for key in notes_of(found) if key.startswith("date_order")]


def test_one_mistyped_date_does_not_turn_the_order(tmp_path: Path) -> None:
    days = pd.date_range("2022-01-01", periods=400).strftime("%d/%m/%y").tolist()
    days[200] = "31/02/22"  # no day of February, but a day of 2031 where the year comes first
    found = sent(tmp_path, "dia,v\n" + "".join(f"{d},{k}\n" for k, d in enumerate(days)))
    assert found.rejected == 1 and found.columns[0].format == "dd/mm/yy"
    assert "202,column dia: '31/02/22' is not a date" in found.rejects.read_text()


@pytest.mark.parametrize(
    ("name", "count", "years", "freq"),
    [
        ("Trimestre (Código)", 4, 10, "QS"),
        ("Período (Código)", 4, 5, "QS"),
        ("Quarter", 4, 2, "QS"),
        ("mês", 12, 4, "MS"),
        ("period", 12, 3, "MS"),
        ("Semestre", 2, 6, "6MS"),
        ("date", 2, 9, "6MS"),
    ],
)
def test_codes_of_periods_are_what_their_years_say(
    tmp_path: Path, name: str, count: int, years: int, freq: str
) -> None:
    codes = [100 * year + k for year in range(2015, 2015 + years) for k in range(1, count + 1)]
    expected = pd.date_range("2015-01-01", periods=len(codes), freq=freq)
    rows = pd.DataFrame({name: codes, "valor": np.arange(len(codes)) % 7 + 0.5})
    for read in (panel(tmp_path, rows), panel(tmp_path, rows.sample(frac=1, random_state=0))):
        assert read.frame["ds"].tolist() == expected.tolist() and read.freq.alias in (freq, "2QS", "MS")
    said = notes_of(sent(tmp_path, csv_of(rows)))
    assert {key for key in said if key.startswith("period_")} == {4: {"period_quarter"}, 2: {"period_half"}}.get(
        count, set()
    )


def test_rolling_quarters_and_first_months_stay_months(tmp_path: Path) -> None:
    rolling = [100 * y + m for y in (2015, 2016, 2017) for m in range(1, 13)]
    harvest = [100 * y + m for y in range(2015, 2020) for m in (1, 2, 3, 4)]
    for name, codes in (("Trimestre Móvel (Código)", rolling), ("mes", harvest), ("mes", rolling[:4])):
        read = panel(tmp_path, pd.DataFrame({name: codes, "valor": np.arange(len(codes)) % 7 + 0.5}))
        assert read.frame["ds"].tolist() == pd.to_datetime(pd.Series(codes).astype(str), format="%Y%m").tolist()


@pytest.mark.parametrize("form", ["{0}Q{1}", "{0}T{1}", "{0}-Q{1}", "{0}q{1}", "Q{1} {0}", "Q{1}/{0}", "T{1}/{0}"])
def test_quarters_with_a_letter(tmp_path: Path, form: str) -> None:
    texts = [form.format(year, k) for year in range(2015, 2020) for k in range(1, 5)]
    read = panel(tmp_path, pd.DataFrame({"periodo": texts, "valor": range(len(texts))}))
    assert read.frame["ds"].tolist() == pd.date_range("2015-01-01", periods=20, freq="QS").tolist()
    assert read.freq.alias == "QS"


@pytest.mark.parametrize("kind", ["frame", "parquet", "xlsx"])
def test_codes_of_periods_in_typed_tables(tmp_path: Path, kind: str) -> None:
    quarters = [100 * year + k for year in range(2015, 2021) for k in range(1, 5)]
    months = [100 * year + k for year in range(2020, 2022) for k in range(1, 13)]
    days = [int(day) for day in pd.date_range("2023-12-20", periods=24).strftime("%Y%m%d")]
    cases = ((quarters, "trimestre", "QS"), (months, "mes", "MS"), (days, "data", "D"), (months, "load", None))
    for codes, name, freq in cases:
        rows = pd.DataFrame({name: codes, "valor": np.arange(24) % 7 + 0.5})
        if kind == "frame":
            found = upload_frame(rows, tmp_path / "out")
        else:
            path = tmp_path / f"f.{kind}"
            rows.to_excel(path, index=False) if kind == "xlsx" else rows.to_parquet(path)
            found = upload(path, tmp_path / "out")
        read = pd.read_parquet(found.parquet)[name]
        if freq is None:
            assert read.tolist() == codes
        else:
            assert read.tolist() == pd.date_range(read[0], periods=24, freq=freq).tolist() and found.rejected == 0


# --- the short way for large files gives what the strict way gives ---

NUMBERS = {
    "whole": lambda k: f"{k * 7 % 900}",
    "point": lambda k: f"{k * 7 % 900}.{k % 10}5",
    "comma": lambda k: f"{k * 7 % 900},{k % 10}5",
    "grouped": lambda k: f"{k % 9 + 1}.{k % 1000:03d},50",
    "exponent": lambda k: f"{k % 9 + 1}.5e{k % 4}",
    "words": lambda k: f"item {k % 7}",
    "names": lambda k: "NS"[k % 2],
    "flags": lambda k: ("sim", "não")[k % 2],
    "code": lambda k: f"{k % 40:04d}",
    "compact": lambda k: f"{20240100 + k % 28 + 1}",
    "nothing": lambda k: "",
}
DAYS = {
    "iso": "%Y-%m-%d",
    "stamp": "%Y-%m-%d %H:%M:%S",
    "brazil": "%d/%m/%Y",
    "usa": "%m/%d/%Y",
    "short": "%d/%m/%y",
    "zone": "%Y-%m-%dT%H:%M:%S-03:00",
    "words": "%d %b %Y",
}
ODD = (
    *("", " ", "  ", '""', '" "', "NA", "nan", "NULL", "n/d", "-", "--", "?", "#N/A", "none"),
    *(
        "1.000",
        "1,000",
        "1.5",
        "1,5",
        "1_000",
        "1 000",
        "1'000",
        "1.234.567",
        "1,234.5",
        "1.234,5",
        ".5",
        "5.",
        "1..5",
        "0.1.2",
    ),
    *(
        "+5",
        "-5",
        "−5",
        "- 5",
        "5-",
        "(5)",
        "007",
        "-0",
        "00",
        " 7",
        "7 ",
        "\t7",
        "7\t",
        "0x1F",
        "0b1",
        "1e5",
        "1E5",
        "1e+05",
        "1e400",
        "1e-400",
    ),
    *(
        "inf",
        "-inf",
        "Infinity",
        "R$ 5",
        "$5",
        "5 €",
        "12%",
        "1234567890123456789",
        "12345678901234567890.5",
        "9007199254740993",
        "5\xa0",
        "\xa05",
        "１２",
    ),
    *(
        "true",
        "Sim",
        "NÃO",
        "S",
        "n",
        "x",
        "é",
        "a b",
        "a\tb",
        '"a""b"',
        '"a\nb"',
        "a'b",
        '"x" ',
        ' "x"',
        'a"b',
        "'5'",
        "201501",
        "20240131",
        "20241331",
    ),
    *(
        "2024-01-05",
        "2024-1-5",
        " 2024-01-05",
        "2024-01-05 10:00",
        "2024-01-05T10:00:00Z",
        "2024-01-05 10:00:00-03:00",
        "24-01-05",
        "05/06/2024",
    ),
    *(
        "13/06/2024",
        "06/13/2024",
        "31/02/2024",
        "0024-01-05",
        "9999-12-31",
        "1500-01-01",
        "5 jan 2024",
        "2024-W05",
        "2024Q1",
        "12:30",
        "a" * 140_000,
    ),
)


def both_ways(folder: Path, data: bytes) -> tuple[Upload, Upload, bool]:
    """A file read the strict way and the short way, and whether the short way took it."""
    strict = sent(folder / "strict", data)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("FAST_BYTES", 0), ("HEAD", 4000), ("PIECE", 500)):
            patch.setattr(fast_path, name, value)
        taken: list[bool] = []
        original = fast_path.convert_fast
        patch.setattr(
            "vur.stages.upload.convert_fast",
            lambda *given: taken.append((found := original(*given)) is not None) or found,
        )
        return strict, sent(folder / "short", data), taken[0]


@st.composite
def odd_files(draw: st.DrawFn) -> bytes:
    """Files of 260 lines: a date, one to three columns, and at most three odd cells."""
    day = draw(st.sampled_from(list(DAYS.values())))
    kinds = draw(st.lists(st.sampled_from(list(NUMBERS)), min_size=1, max_size=3))
    start = pd.Timestamp("2024-01-01") + pd.Timedelta(days=draw(st.integers(0, 60)))
    rows = [[(start + pd.Timedelta(days=k)).strftime(day), *(NUMBERS[kind](k) for kind in kinds)] for k in range(260)]
    for cell in draw(st.lists(st.sampled_from(ODD), max_size=3)):
        rows[draw(st.integers(0, 259))][draw(st.integers(0, len(kinds)))] = cell
    names = draw(
        st.lists(
            st.sampled_from(["v", "store", "sales", "code", "data", "w", "promo"]),
            min_size=len(kinds),
            max_size=len(kinds),
            unique=True,
        )
    )
    lines = [";".join(["when", *names]), *(";".join(row) for row in rows)]
    return (
        draw(st.sampled_from(["\n", "\r\n"])).join([*lines, ""]).encode(draw(st.sampled_from(["utf-8", "utf-8-sig"])))
    )


@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(odd_files())
def test_the_short_way_reads_every_cell_like_the_strict_way(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    strict, short, _ = both_ways(tmp_path_factory.mktemp("odd"), data)
    pd.testing.assert_frame_equal(pd.read_parquet(short.parquet), pd.read_parquet(strict.parquet))
    assert (short.columns, short.suggestions, short.rejected, short.notes) == (
        strict.columns,
        strict.suggestions,
        strict.rejected,
        strict.notes,
    )
    assert short.rejects.read_bytes() == strict.rejects.read_bytes()


@pytest.mark.parametrize("odd", ["1.000", "1,000", "007", "+5", "\t7", "1e5", "1.5", "R$ 5", "5 "])
def test_one_odd_cell_far_from_the_sample_is_read_as_in_a_small_file(tmp_path: Path, odd: str) -> None:
    for name, value in (("qtd", lambda k: f"{k % 900}"), ("peso", lambda k: f"{k % 900}.5")):
        rows = [f"{day:%Y-%m-%d};{value(k)}" for k, day in enumerate(pd.date_range("2000-01-01", periods=2000))]
        rows[700] = rows[700].rsplit(";", 1)[0] + f";{odd}"
        strict, short, _ = both_ways(tmp_path / name, ("\n".join([f"data;{name}", *rows]) + "\n").encode())
        pd.testing.assert_frame_equal(pd.read_parquet(short.parquet), pd.read_parquet(strict.parquet))


def test_clean_files_take_the_short_way(tmp_path: Path) -> None:
    days = pd.date_range("2000-01-01", periods=2000)
    for k, form in enumerate(("%Y-%m-%d", "%d/%m/%Y", "%Y-%m-%d %H:%M:%S")):
        rows = [f"{day.strftime(form)};{k % 900},5;{k % 900};L{k % 9};0{k % 7}" for k, day in enumerate(days)]
        strict, short, taken = both_ways(tmp_path / str(k), ("\n".join(["data;a;b;loja;code", *rows]) + "\n").encode())
        assert taken and short.columns == strict.columns


# --- values that stand for none ---


def with_value(
    low: float, high: float, value: float, count: int, seed: int = 0, rows: int = 120, whole: bool = False
) -> pd.DataFrame:
    """A daily series between two values, with another value now and then."""
    rng = np.random.default_rng(seed)
    y = rng.uniform(low, high, rows).round(0 if whole else 1)
    y[rng.choice(np.arange(5, rows), count, replace=False)] = value
    return pd.DataFrame({"day": pd.date_range("2024-01-01", periods=rows), "v": y})


@pytest.mark.parametrize("kind", ["csv", "frame", "parquet", "float32", "xlsx"])
@pytest.mark.parametrize(
    ("low", "high", "value"),
    [
        (0, 30, -9999),
        (1, 6.8, -200),
        (-5, 35, 999.9),
        (-5, 35, 9999.9),
        (-10, 35, -99.9),
        (0, 100, 999),
        (1, 5, 99),
        (0, 1e6, -999),
        (0, 5, -32768),
        (0, 1, 1e20),
    ],
)
def test_values_that_stand_for_none_are_missing_and_said(
    tmp_path: Path, low: float, high: float, value: float, kind: str
) -> None:
    rows = with_value(low, high, value, 7)
    if kind == "frame":
        found = upload_frame(rows, tmp_path / "out")
    elif kind == "csv":
        found = sent(tmp_path, csv_of(rows))
    else:
        path = tmp_path / f"f.{'parquet' if kind == 'float32' else kind}"
        rows = rows.astype({"v": kind}) if kind == "float32" else rows
        rows.to_excel(path, index=False) if kind == "xlsx" else rows.to_parquet(path)
        found = upload(path, tmp_path / "out")
    read = pd.read_parquet(found.parquet)["v"]
    assert read.isna().sum() == 7 and read.dropna().between(low - 0.1, high + 0.1).all()
    told = notes_of(found)["sentinel"]
    assert told["column"] == "v" and told["count"] == 7 and float(told["values"]) == pytest.approx(value)
    assert found.columns[1].missing == 7


@pytest.mark.parametrize(
    ("low", "high", "value", "count"),
    [
        (990, 1010, 999, 5),
        (0, 30, -9999, 1),
        (0, 8000, 9999, 5),
        (-300, 500, -999, 3),
        (80, 120, 99, 9),
        (-5, 35, 99.9, 3),
        (0, 100, -1, 5),
        (0, 100, 123.4, 9),
        (-1e4, 1e4, -9999, 2),
    ],
)
def test_ordinary_values_stay(tmp_path: Path, low: float, high: float, value: float, count: int) -> None:
    rows = with_value(low, high, value, count)
    found = sent(tmp_path, csv_of(rows))
    assert pd.read_parquet(found.parquet)["v"].tolist() == pytest.approx(
        rows["v"].tolist()
    ) and "sentinel" not in notes_of(found)


def test_sentinels_can_be_kept_at_every_door(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = with_value(0, 30, -9999, 7, whole=True)
    path = write(tmp_path, csv_of(rows))
    assert panel(tmp_path, rows, upload=UploadOptions(sentinels="keep")).frame["y"].min() == -9999
    known = {"horizon": 2, "folds": 1, "algorithms": "naive", "out": tmp_path, "notebook": False}
    kept = vur.run(path, sentinels="keep", **known)
    assert kept.panel.frame["y"].min() == -9999 and kept.config.data.upload.sentinels == "keep"
    cleared = vur.run(rows, **known)
    assert cleared.panel.frame["y"].min() >= 0
    (told,) = cleared.audit[cleared.audit["code"] == "reading"]["message"]
    assert all(word in told for word in ("Column v", "-9999", "7 times", "--sentinels keep"))
    arguments = [
        "run",
        str(path),
        "--horizon",
        "2",
        "--folds",
        "1",
        "--algorithms",
        "naive",
        "--no-notebook",
        "--quiet",
        "--out",
        str(tmp_path),
        "--sentinels",
        "keep",
    ]
    assert main(arguments) == 0 and kept.folder.name.split("-")[0] in capsys.readouterr().out


def test_two_refunds_are_no_sentinels(tmp_path: Path) -> None:
    rows = with_value(0, 5000, -200, 2)
    assert pd.read_parquet(sent(tmp_path, csv_of(rows)).parquet)["v"].min() == -200


def test_names_of_series_are_no_sentinels(tmp_path: Path) -> None:
    rows = many([1, 2, 3, 999], column="store")
    assert panel(tmp_path, rows).ids == ["1", "2", "3", "999"]


def test_several_sentinels_in_one_column(tmp_path: Path) -> None:
    rows = with_value(0, 30, -9999, 7)
    rows.loc[[1, 2], "v"] = -8888
    rows.loc[[3], "v"] = 99.9
    found = sent(tmp_path, csv_of(rows))
    assert notes_of(found)["sentinel"]["values"] == "-9999, -8888" and found.columns[1].missing == 9


@pytest.mark.parametrize("value", ["9999-12-31", "0001-01-01", "9999-12-31 00:00:00", "1900-01-01"])
@pytest.mark.parametrize("kind", ["csv", "frame"])
def test_dates_that_are_none_are_missing_and_said(tmp_path: Path, value: str, kind: str) -> None:
    days = pd.date_range("2024-01-01", periods=60).astype("datetime64[us]")
    until = (days + pd.Timedelta(days=9)).to_numpy().astype("datetime64[us]")
    until[[5, 17, 33]] = np.datetime64(value.replace(" ", "T"), "us")
    rows = pd.DataFrame({"day": days, "until": until, "v": np.arange(60) % 7})
    text = "day,until,v\n" + "".join(f"{d:%Y-%m-%d},{str(u)[:10]},{v}\n" for d, u, v in rows.itertuples(index=False))
    found = upload_frame(rows, tmp_path / "out") if kind == "frame" else sent(tmp_path, text)
    assert (found.rows, found.rejected, found.columns[1].missing) == (60, 0, 3)
    told = notes_of(found)["sentinel_date"]
    assert told["column"] == "until" and told["count"] == 3 and told["values"].startswith(value[:10])


@pytest.mark.parametrize("sentinels", ["missing", "keep"])
def test_a_row_dated_9999_is_refused_in_words(tmp_path: Path, sentinels: str) -> None:
    days = pd.date_range("2024-01-01", periods=60).astype("datetime64[us]").to_numpy().copy()
    days[30] = np.datetime64("9999-12-31", "us")
    rows = pd.DataFrame({"day": days, "v": np.arange(60) % 7})
    with pytest.raises(VurError) as refused:
        vur.run(rows, sentinels=sentinels, horizon=3, algorithms="naive", out=tmp_path, notebook=False)
    assert "day" in str(refused.value) and ("31" in str(refused.value) or "9999" in str(refused.value))


def test_the_order_of_dates_is_an_option_at_every_door(tmp_path: Path) -> None:
    text = "day,v\n" + "".join(f"{k:02d}/03/2024,{k}\n" for k in range(1, 13))
    path = write(tmp_path, text)
    known = {"horizon": 1, "folds": 1, "algorithms": "naive", "out": tmp_path, "notebook": False}
    for order, stamp in (("dmy", "2024-03-13"), ("mdy", "2025-01-01")):
        result = vur.run(path, date_order=order, **known)
        assert result.config.data.upload.date_order == order and str(result.forecast["ds"][0])[:10] == stamp


# --- no file takes long, takes much memory, or ends in a traceback ---

CHILD = """
import sys, time
from pathlib import Path
from vur.errors import VurError
from vur.stages.upload import upload
try:
    found = upload(sys.argv[1], sys.argv[2])
    said = f"rows {found.rows} rejected {found.rejected} columns {len(found.columns)}"
except VurError as error:
    said = f"{error.code} {error}"
print(said[:1000])
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))  # of this program alone
print(time.process_time(), int(peak.split()[1]) / 1024)
"""


def in_a_child(path: Path) -> tuple[str, float, float]:
    """What an upload in a process of its own says, its processor time in seconds and its peak memory in MB."""
    out = path.parent / "out"
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(path), str(out)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    *said, numbers = done.stdout.strip().splitlines()
    seconds, megabytes = map(float, numbers.split())
    return "\n".join(said), seconds, megabytes


def workbook(*cells: tuple[str, object], rows: int = 58) -> bytes:
    """A workbook with a table of two columns and some cells elsewhere."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Dados"
    for k, day in enumerate([None, *pd.date_range("2024-01-01", periods=rows)], 1):
        sheet[f"A{k}"], sheet[f"B{k}"] = ("data", "valor") if day is None else (day.to_pydatetime(), k * 1.5)
    for address, value in cells:
        sheet[address] = value
    book.save(target := io.BytesIO())
    return target.getvalue()


def opendocument(body: str) -> bytes:
    """An .ods file of one sheet with these rows."""
    uri = "urn:oasis:names:tc:opendocument:xmlns:"
    spaces = " ".join(f'xmlns:{name}="{uri}{name}:1.0"' for name in ("office", "table", "text"))
    text = (
        f'<?xml version="1.0"?><office:document-content {spaces}><office:body><office:spreadsheet>'
        f'<table:table table:name="S">{body}</table:table></office:spreadsheet></office:body></office:document-content>'
    )
    manifest = f'<?xml version="1.0"?><manifest:manifest xmlns:manifest="{uri}manifest:1.0"/>'
    with zipfile.ZipFile(target := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("META-INF/manifest.xml", manifest)
        archive.writestr("content.xml", text)
    return target.getvalue()


ROW = (
    "<table:table-row{2}><table:table-cell{3}><text:p>{0}</text:p></table:table-cell>"
    '<table:table-cell office:value-type="float" office:value="{1}"/></table:table-row>'
)
ROWS = ROW.format("data", 0, "", "") + "".join(ROW.format(f"2024-01-{k:02d}", k, "", "") for k in range(1, 29))
EMPTY = (
    '<table:table-row table:number-rows-repeated="1048000">'
    '<table:table-cell table:number-columns-repeated="16000"/></table:table-row>'
)
LINES = [f"{day:%Y-%m-%d}" for day in pd.date_range("2020-01-01", periods=600)]
HEAVY: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "a cell at XFD60000": ("xlsx", lambda: workbook(("XFD60000", 1)), "upload.sheet_stray Sheet 'Dados' .* XFD60000"),
    "a cell at Z1048576": ("xlsx", lambda: workbook(("Z1048576", 1)), "upload.sheet_stray .* Z1048576"),
    "a cell at A900000": ("xlsx", lambda: workbook(("A900000", 1)), "rows 58 rejected 1 columns 2"),
    "a format to the last row": ("xlsx", lambda: workbook(("Z1048576", None)), "rows 58 rejected 0 columns 2"),
    "a repeated row": ("ods", lambda: opendocument(ROWS + EMPTY + ROW.format("x", 1, "", "")), "upload.sheet_stray"),
    "a row repeated with its cells": (
        "ods",
        lambda: opendocument(
            ROWS + ROW.format("x", 1, ' table:number-rows-repeated="1048000"', ' table:number-columns-repeated="16000"')
        ),
        "upload.sheet_large",
    ),
    "empty rows to the end": ("ods", lambda: opendocument(ROWS + EMPTY), "rows 28|upload.no_header"),
    "a shared text of 300 MB": ("xlsx", lambda: long_text(300_000_000, shared=True), "upload.bomb"),
    "a text of 300 MB": ("xlsx", lambda: long_text(300_000_000), "upload.bomb"),
    "2,000 columns": ("csv", lambda: wide(2000, 40), "rows 40 rejected 0 columns 2001"),
    "60,000 columns": ("csv", lambda: wide(60_000, 2), "upload.too_wide"),
    "blanks in the header": (
        "csv",
        lambda: f"1{' ' * 500_000}x;data;v\n".encode() + b"".join(f"a;{d};1\n".encode() for d in LINES),
        "upload.first_row .* 131,?072",
    ),
    "some blanks in the header": (
        "csv",
        lambda: f"1{' ' * 100_000}x;data;v\n".encode() + b"".join(f"a;{d};1\n".encode() for d in LINES),
        "rows 600 rejected 0 columns 3",
    ),
    "a run of blanks between rows": (
        "csv",
        lambda: b"data;v\n" + f"{LINES[0]};1\n".encode() + b" " * 50_000_000 + f"\n{LINES[1]};2\n".encode(),
        "rows 2 rejected 1 columns 2",
    ),
    "a run of blank lines": (
        "csv",
        lambda: b"data;v\n" + f"{LINES[0]};1\n".encode() + b"\n" * 4_000_000 + f"{LINES[1]};2\n".encode(),
        "rows 2 rejected 0 columns 2",
    ),
    "rows of empty cells": (
        "csv",
        lambda: b"data;v\n" + f"{LINES[0]};1\n".encode() + b";\n" * 4_000_000 + f"{LINES[1]};2\n".encode(),
        "rows 2 rejected 4000000 columns 2",
    ),
    "blanks in cells": (
        "csv",
        lambda: b"o;data;v\n" + b"".join(f"{' ' * 100_000}y;{d};1\n".encode() for d in LINES[:60]),
        "rows 60",
    ),
    "tabs in cells": (
        "csv",
        lambda: b"o;data;v\n" + b"".join(f"{chr(9) * 100_000}7;{d};1\n".encode() for d in LINES[:60]),
        "rows 60",
    ),
    "log texts": (
        "csv",
        lambda: b"o;data;v\n" + b"".join(f"{'visita 12:30 ' * 8000};{d};1\n".encode() for d in LINES[:100]),
        "rows 100",
    ),
    "very long numbers": (
        "csv",
        lambda: b"o;data;v\n" + b"".join(f"{'1234567890' * 9000};{d};1\n".encode() for d in LINES[:100]),
        "rows 100",
    ),
    "a cell of 100 MB": ("csv", lambda: b"a,b\n1," + b"x" * 100_000_000 + b"\n2,3\n", "rows 1 rejected 1"),
    "a line of 30 million cells": ("csv", lambda: b"a,b\n" + b"1," * 30_000_000 + b"\n2,3\n", "rows 1 rejected 1"),
    "one line below the header": (
        "csv",
        lambda: b"data;v\n" + b"2020-01-01;1;" * 1_600_000,
        "upload.long_rows 1 of 1 .* line 2",
    ),
    "one line": ("csv", lambda: b"1," * 30_000_000, "upload.too_wide"),
    "an open quote": ("csv", lambda: b'a,b\n"' + b"1,2\n" * 300_000, "upload.quotes|rows"),
    "blanks only": ("csv", lambda: b" " * 50_000_000, "upload.empty"),
    "a program": ("csv", lambda: Path(sys.executable).resolve().read_bytes()[:8_000_000], "upload.not_data"),
    "random bytes": ("csv", lambda: np.random.default_rng(0).bytes(20_000_000), "upload.nul"),
    "random bytes without NUL": (
        "csv",
        lambda: np.random.default_rng(0).bytes(20_000_000).replace(b"\0", b"\1"),
        "upload",
    ),
    "zeros in a gzip": ("csv.gz", lambda: gzip.compress(b"0" * 300_000_000, 1), "upload.bomb"),
}


def wide(columns: int, rows: int) -> bytes:
    """A date and numbers in many columns."""
    lines = [",".join(["day", *(f"m{c}" for c in range(columns))])]
    lines += [",".join([LINES[k], *(f"{(k * c) % 97}.5" for c in range(columns))]) for k in range(rows)]
    return "\n".join([*lines, ""]).encode()


def long_text(size: int, shared: bool = False) -> bytes:
    """A workbook with a long text: in its cell, or among the texts that cells share."""
    source, target = zipfile.ZipFile(io.BytesIO(workbook(("C1", "texto")))), io.BytesIO()
    long = b"<t>" + b"x" * size + b"</t>"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in source.namelist():
            data = source.read(name)
            if name == "xl/worksheets/sheet1.xml" and not shared:
                assert b"<t>texto</t>" in data
                data = data.replace(b"<t>texto</t>", long)
            archive.writestr(name, data)
        if shared:
            archive.writestr("xl/sharedStrings.xml", b"<sst><si>" + long + b"</si></sst>")
    return target.getvalue()


SLOW = {
    *("a cell at XFD60000", "a cell at A900000", "a repeated row", "a text of 300 MB", "some blanks in the header"),
    *("a run of blank lines", "tabs in cells", "log texts", "a line of 30 million cells", "one line below the header"),
    *("an open quote", "random bytes", "random bytes without NUL"),
    *(
        "very long numbers",
        "blanks only",
        "zeros in a gzip",
        "blanks in cells",
        "empty rows to the end",
        "60,000 columns",
    ),
}


@pytest.mark.parametrize("case", [pytest.param(c, marks=pytest.mark.slow if c in SLOW else ()) for c in HEAVY])
def test_heavy_files_end_in_seconds_and_within_the_memory(tmp_path: Path, case: str) -> None:
    suffix, make, expected = HEAVY[case]
    said, seconds, megabytes = in_a_child(write(tmp_path, make(), f"f.{suffix}"))
    assert re.search(f"^(?:{expected})", said), said
    assert seconds < 25 and megabytes < 1500, (said, seconds, megabytes)


@pytest.mark.slow
def test_a_run_on_two_thousand_columns_ends(tmp_path: Path) -> None:
    began = time.process_time()
    result = vur.run(
        write(tmp_path, wide(2000, 60)),
        target="m3",
        horizon=2,
        folds=1,
        algorithms="naive",
        out=tmp_path,
        notebook=False,
    )
    assert len(result.forecast) == 2 and time.process_time() - began < 60


def test_rows_of_empty_cells_are_listed_and_counted(tmp_path: Path) -> None:
    text = "data;v\n" + "".join(f"{day};{k}\n{';' * (1 + k % 2)}\n\n" for k, day in enumerate(LINES)) + ";\n" * 900
    found = sent(tmp_path, text)
    listed = pd.read_csv(found.rejects)
    assert (found.rows, found.rejected) == (600, 1500)
    assert listed["line"].tolist() == [*range(3, 1802, 3), *range(1802, 2202), 2701]
    assert "500" in listed["cause"].iloc[-1] and (listed["cause"].iloc[:-1] == "every cell is empty").all()


def test_a_quote_in_the_header_costs_no_row(tmp_path: Path) -> None:
    text = 'da"ta;"va"lor\n' + "".join(f"{day};{k}\n" for k, day in enumerate(LINES[:60]))
    found = sent(tmp_path, text)
    assert (found.rows, found.rejected) == (60, 0)


def test_rows_of_a_workbook_keep_their_numbers(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for k in range(30):
        book.active[f"C{5 + k}"], book.active[f"E{5 + k}"] = (
            ("day", "v") if not k else (f"2024-01-{k:02d}", "x" if k == 20 else k)
        )
    book.save(tmp_path / "f.xlsx")
    found = upload(tmp_path / "f.xlsx", tmp_path / "out")
    assert found.rows == 28 and found.rejects.read_text().splitlines()[1].startswith("25,")


def mutated(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes with some of them changed, lost, doubled or put in."""
    changed = bytearray(data)
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(changed)))
        how = draw(st.sampled_from(["flip", "insert", "delete", "double"]))
        if how == "flip" and at < len(changed):
            changed[at] ^= 1 << draw(st.integers(0, 7))
        elif how == "insert":
            changed[at:at] = draw(
                st.one_of(
                    st.binary(max_size=12), st.sampled_from([b'"', b"\0", b"\xff\xfe", b"9" * 40, b"\r", b"sep=;\n"])
                )
            )
        else:
            piece = changed[at : at + draw(st.integers(0, 60))]
            changed[at : at + (len(piece) if how == "delete" else 0)] = b"" if how == "delete" else piece
    return bytes(changed)


@cache
def sources_of_bytes() -> dict[str, bytes]:
    """Small files of every kind."""
    rows = many(["a", "b"]).assign(note="x é")
    text = csv_of(rows).encode()
    rows.to_parquet(target := io.BytesIO(), compression=None)
    with zipfile.ZipFile(packed := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", text)
    return {
        "csv": text,
        "txt": csv_of(rows).encode("utf-16"),
        "parquet": target.getvalue(),
        "xlsx": workbook(("C3", "x")),
        "ods": opendocument(ROWS),
        "csv.gz": gzip.compress(text),
        "zip": packed.getvalue(),
        "tsv": b"",
    }


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_no_bytes_end_in_a_traceback(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    suffix, content = data.draw(st.sampled_from(list(sources_of_bytes().items())))
    if suffix in ("xlsx", "ods", "zip") and data.draw(
        st.booleans()
    ):  # damage that the archive's own checks do not find
        with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(target := io.BytesIO(), "w") as new:
            for name in old.namelist():
                new.writestr(name, data.draw(st.composite(mutated)(old.read(name))))
        content = target.getvalue()
    else:
        content = data.draw(st.composite(mutated)(content or data.draw(st.binary(max_size=200))))
    folder = tmp_path_factory.mktemp("bytes")
    try:
        found = upload(write(folder, content, f"f.{suffix}"), folder / "out")
        assert found.rows == len(pd.read_parquet(found.parquet, columns=[found.columns[0].name]))
    except VurError as error:
        assert error.text("pt-BR")
