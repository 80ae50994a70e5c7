"""What people's files say is what is forecast: series, dates, names and numbers as their authors meant them."""

import html
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import vur
from vur.errors import VurError
from vur.panel import Panel
from vur.runs.config import DataSpec
from vur.runs.dataset import Dataset, dataset_of
from vur.stages.upload import Upload, upload, upload_frame
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
    assert all(word in str(refused.value) for word in ("'prise'", role, "nearest name is 'price'", "unique_id"))
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
