"""Upload: data come back equal, and what cannot be read is reported with its line."""

import csv
import gzip
import io
import json
import zipfile
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import DATA

from vur.errors import VurError
from vur.stages.upload import Upload, connect, fast_path, inspect, upload, upload_frame
from vur.stages.upload.files import UploadOptions


def write(folder: Path, data: str | bytes, name: str = "f.csv") -> Path:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def send(folder: Path, data: str | bytes, name: str = "f.csv", **options) -> Upload:
    return upload(write(folder, data, name), folder / "out", UploadOptions(**options))


def frame(result: Upload) -> pd.DataFrame:
    return pd.read_parquet(result.parquet)


def rejects(result: Upload) -> list[list[str]]:
    with result.rejects.open(encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream))[1:]


def types(result: Upload) -> dict[str, str]:
    return {c.name: c.type for c in result.columns}


def note_keys(result: Upload) -> set[str]:
    return {n["key"].removeprefix("upload.note.") for n in result.notes}


def days(count: int = 20, form: str = "%Y-%m-%d") -> list[str]:
    return [(date(2024, 1, 1) + timedelta(k)).strftime(form) for k in range(count)]


GOOD = "date,y\n" + "".join(f"{d},{k * 1.5}\n" for k, d in enumerate(days(), 1))


# --- wide tables


class Counting:
    """A connection that counts its queries."""

    def __init__(self, connection: duckdb.DuckDBPyConnection):
        self.connection, self.queries = connection, 0

    def __getattr__(self, name: str):
        return getattr(self.connection, name)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.connection.close()

    def execute(self, *query):
        self.queries += 1
        return self.connection.execute(*query)


@pytest.mark.parametrize("cell", ["", "text 1", "n/a", "-9999"])
def test_the_number_of_queries_does_not_grow_with_the_columns(tmp_path, monkeypatch, cell):
    counters = []
    monkeypatch.setattr(
        "vur.stages.upload.connect", lambda *given: counters.append(Counting(connect(*given))) or counters[-1]
    )
    numbers = [[cell if day % 4 == 0 else str(day) for day in range(12)] if cell == "-9999" else [cell] * 12] * 400
    rows = [",".join([f"2024-01-{k + 1:02d}", *(column[k] for column in numbers)]) for k in range(12)]
    send(tmp_path, "\n".join([",".join(["date", *(f"c{k}" for k in range(400))]), *rows]))
    assert len(counters) == 1 and counters[0].queries < 100


@pytest.mark.parametrize("rows", [1, 30])
def test_a_wide_table_is_read_like_its_columns_one_by_one(tmp_path, rows):
    kinds = [
        "-9999",
        "",
        "5 mar 2024",
        "9999-12-31",
        "S",
        "text",
        "2024-W05",
        "n/a",
        "R$ 1,50",
        "2024-01-01 10:00-03:00",
    ]
    others = ["7", "", "6 abr 2024", "2024-05-01", "N", "word", "2024-W06", "8", "R$ 2,50", "2024-07-01 11:00-03:00"]
    columns = {f"c{k}": [kinds[k % 10] if i % 3 == 0 else others[k % 10] for i in range(rows)] for k in range(120)}
    dates = days(rows)
    wide = send(tmp_path, _csv({"date": dates} | columns), name="wide.csv", delimiter=";")
    for k in range(10):
        one = send(
            tmp_path, _csv({"date": dates, f"c{k}": columns[f"c{k}"]}), name="one.csv", delimiter=";", decimal=","
        )
        assert one.columns[1].type == wide.columns[k + 1].type and one.columns[1].format == wide.columns[k + 1].format
        assert one.columns[1].missing == wide.columns[k + 1].missing


def _csv(columns: dict[str, list[str]]) -> str:
    return "\n".join([";".join(columns), *(";".join(row) for row in zip(*columns.values(), strict=True))])


# --- real files


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("flights_daily.csv", ("date", "departures", ("origin",))),
        ("partidas_diarias.csv", ("Data", "Partidas", ("Aeroporto",))),
        ("electrical_equipment.csv", ("month", "turnover", ())),
        ("co2_weekly.csv", ("week", "co2", ())),
    ],
)
def test_sample_files(tmp_path, name, expected):
    result = upload(DATA / name, tmp_path)
    assert (result.suggestions.date, result.suggestions.target, result.suggestions.series) == expected
    encoding = inspect(DATA / name).encoding
    with (DATA / name).open(encoding=encoding, newline="") as stream:
        assert result.rows == sum(1 for _ in stream) - 1 and result.rejected == 0
    assert set(result.suggestions.reasons) == {c.name for c in result.columns}


def test_the_brazilian_file_equals_the_american_one(tmp_path):
    ours, theirs = (
        upload(DATA / "partidas_diarias.csv", tmp_path / "a"),
        upload(DATA / "flights_daily.csv", tmp_path / "b"),
    )
    pd.testing.assert_series_equal(frame(ours)["Partidas"], frame(theirs)["departures"], check_names=False)
    pd.testing.assert_series_equal(frame(ours)["Data"], frame(theirs)["date"], check_names=False)
    assert ours.dialect.decimal == "," and ours.dialect.delimiter == ";" and ours.dialect.encoding == "cp1252"


# --- round trip

DELIMITERS, ENCODINGS = (",", ";", "\t", "|"), ("utf-8", "utf-8-sig", "cp1252", "utf-16")
ORDERS = {"%Y-%m-%d": "ymd", "%d/%m/%Y": "dmy", "%m/%d/%Y": "mdy", "%d.%m.%Y": "dmy"}
WORDS = st.text(st.sampled_from("abçãÉ xyz;,|'\"\n-_"), min_size=1, max_size=8).map(lambda t: f"w{t}")
ROW = st.tuples(
    st.dates(date(1990, 1, 1), date(2035, 12, 31)),
    st.one_of(st.none(), st.integers(-(10**9), 10**9).map(lambda v: v / 100)),
    st.integers(-(10**12), 10**12),
    WORDS,
    st.booleans(),
)


@pytest.mark.slow
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(ROW, min_size=2, max_size=12),
    delimiter=st.sampled_from(DELIMITERS),
    encoding=st.sampled_from(ENCODINGS),
    decimal=st.sampled_from(".,"),
    day=st.sampled_from(list(ORDERS)),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    ending=st.sampled_from(["\n", "\r\n"]),
)
def test_any_table_in_any_dialect_reads_back_equal(tmp_path, rows, delimiter, encoding, decimal, day, quoting, ending):
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=delimiter, quoting=quoting, lineterminator=ending)
    writer.writerow(["data", "preço", "count", "nome", "promo"])
    for when, price, count, name, promo in rows:
        writer.writerow(
            [
                when.strftime(day),
                "" if price is None else f"{price:.2f}".replace(".", decimal),
                str(count),
                name,
                "sim" if promo else "não",
            ]
        )
    result = send(tmp_path, stream.getvalue().encode(encoding), date_order=ORDERS[day])
    found = frame(result)
    assert (result.rows, result.rejected) == (len(rows), 0)
    assert list(found["data"].dt.date) == [r[0] for r in rows]
    assert [None if pd.isna(v) else v for v in found["preço"].astype(object)] == [
        None if r[1] is None else pytest.approx(r[1], rel=0, abs=0) for r in rows
    ] or all(r[1] is None for r in rows)
    assert list(found["count"]) == [r[2] for r in rows]
    assert list(found["nome"]) == [r[3] for r in rows]
    if {r[4] for r in rows} == {True, False}:
        assert list(found["promo"]) == [r[4] for r in rows]


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.sampled_from(
            ["2024-01-05,7.5", "2024-02-31,1", "x", "a,b,c", "2024-01-06,abc", '"2024-01-07,1', "2024-01-08,", ",", ""]
        ),
        max_size=30,
    )
)
def test_rows_in_are_rows_out_and_rejects(tmp_path, odd):
    text = GOOD * 8
    text = text.replace("date,y\n", "")
    lines = ["date,y", *text.splitlines(), *odd]
    result = send(tmp_path, "\n".join(lines) + "\n")
    assert result.rows + result.rejected == sum(1 for line in lines[1:] if line)
    for line, cause, content in rejects(result):
        assert lines[int(line) - 1] == content and cause
    assert result.rejected == len(rejects(result))


# --- numbers


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["1.234,56", "0,5"], [1234.56, 0.5]),
        (["1,234.56", "0.5"], [1234.56, 0.5]),
        (["R$ 1.234,56", "R$ 2,00"], [1234.56, 2.0]),
        (["12,5%", "3%"], [12.5, 3.0]),
        (["1.234.567", "1.000"], [1234567, 1000]),
        (["(1,234.50)", "2.25"], [-1234.5, 2.25]),
        (["1e5", "2.5e-3"], [1e5, 2.5e-3]),
        (["1 234,5", "12,0"], [1234.5, 12.0]),
        (["NA", "1.5"], [None, 1.5]),
        (["0.1", "0.2"], [0.1, 0.2]),
        (["9007199254740993", "1"], [9007199254740993, 1]),
        (["1.234", "950", "12.500"], [1234, 950, 12500]),
        (["1.234", "1500"], [1.234, 1500.0]),
        (["−5", "3"], [-5, 3]),
    ],
)
def test_numbers_are_exact(tmp_path, texts, values):
    result = send(tmp_path, "day;v\n" + "".join(f"2024-01-{k + 1:02d};{t}\n" for k, t in enumerate(texts)))
    assert types(result)["v"] == "numeric" and result.rejected == 0
    assert [None if pd.isna(v) else v for v in frame(result)["v"].astype(object)] == values


def test_ambiguous_grouping_is_reported(tmp_path):
    result = send(tmp_path, "day,v\n2024-01-01,1.234\n2024-01-02,2.500\n")
    assert "decimal_assumed" in note_keys(result)
    assert list(frame(send(tmp_path, "day,v\n2024-01-01,1.234\n2024-01-02,2.500\n", decimal=","))["v"]) == [1234, 2500]


def test_codes_keep_their_zeros_and_zero_one_stays_a_number(tmp_path):
    result = send(tmp_path, "cep,flag,y,big\n01310,0,5,12345678901234567890\n20040,1,6,1\n")
    assert types(result) == {"cep": "id", "flag": "numeric", "y": "numeric", "big": "id"}
    assert list(frame(result)["cep"]) == ["01310", "20040"] and list(frame(result)["flag"]) == [0, 1]


@pytest.mark.parametrize("pair", [("sim", "não"), ("True", "False"), ("yes", "no"), ("S", "N")])
def test_booleans(tmp_path, pair):
    result = send(tmp_path, f"a,b\n1,{pair[0]}\n2,{pair[1]}\n3,\n")
    assert types(result)["b"] == "boolean" and list(
        frame(result)["b"].astype(object).where(frame(result)["b"].notna(), None)
    ) == [True, False, None]


@pytest.mark.parametrize("large", [False, True])
def test_letters_that_name_series_stay_letters(tmp_path, monkeypatch, large):
    monkeypatch.setattr(fast_path, "FAST_BYTES", 0 if large else fast_path.FAST_BYTES)
    rows = [f"{day};{region};{10 + number},5" for region in "NS" for number, day in enumerate(days(150, "%d/%m/%Y"))]
    result = send(tmp_path, "data;regiao;vendas\n" + "\n".join(rows) + "\n")
    assert types(result)["regiao"] != "boolean" and set(frame(result)["regiao"]) == {"N", "S"}
    assert list(result.suggestions.series) == ["regiao"]
    flags = [f"{day};{'S' if number % 7 else 'N'};{10 + number},5" for number, day in enumerate(days(150, "%d/%m/%Y"))]
    assert types(send(tmp_path, "data;promo;vendas\n" + "\n".join(flags) + "\n", "flag.csv"))["promo"] == "boolean"


# --- dates


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("05 de março de 2024", "2024-03-05"),
        ("mar/2024", "2024-03-01"),
        ("Mar 5, 2024", "2024-03-05"),
        ("2024-03", "2024-03-01"),
        ("03/2024", "2024-03-01"),
        ("5 de dezembro de 2024", "2024-12-05"),
        ("dez-24", "2024-12-01"),
        ("2024/03/05", "2024-03-05"),
        ("25.03.2024", "2024-03-25"),
        ("March 5, 2024", "2024-03-05"),
        ("2024-03-05T10:30:00", "2024-03-05 10:30"),
        ("2024-03-05 10:30:00.250", "2024-03-05 10:30:00.250"),
        ("25/03/2024 14:30", "2024-03-25 14:30"),
        ("3/25/2024 2:30 PM", "2024-03-25 14:30"),
        ("2024-03-05T10:30:00Z", "2024-03-05 10:30"),
        ("2024-03-05 10:30:00-03:00", "2024-03-05 13:30"),
        ("2024-03-05 10:30 America/Sao_Paulo", "2024-03-05 13:30"),
        ("Segunda-feira, 5 de fevereiro de 2024", "2024-02-05"),
        ("20240305", "2024-03-05"),
        ("25/03/24", "2024-03-25"),
    ],
)
def test_date_formats(tmp_path, text, iso):
    result = send(tmp_path, f"data;y\n{text};1\n{text};2\n")
    assert types(result)["data"] == "datetime"
    assert frame(result)["data"][0] == pd.Timestamp(iso) and frame(result)["data"].dt.tz is None


def test_zone_is_noted(tmp_path):
    result = send(tmp_path, "ts,y\n2024-02-17T23:00:00-02:00,1\n2024-02-18T00:00:00-03:00,2\n")
    assert "UTC" in result.columns[0].format and "-03:00" in result.columns[0].format


def test_the_last_row_decides_the_order_of_dates(tmp_path):
    rows = "".join(f"0{1 + k % 9}/0{1 + k // 9 % 9}/2024,{k}\n" for k in range(5000))
    day_first, month_first = (
        send(tmp_path / "..", f"date,y\n{rows}13/01/2024,1\n"),
        send(tmp_path, f"date,y\n{rows}01/13/2024,1\n"),
    )
    assert (day_first.columns[0].format, month_first.columns[0].format) == ("dd/mm/yyyy", "mm/dd/yyyy")
    assert "date_order_decided" in note_keys(day_first) and day_first.rejected == 0


def test_dates_that_stay_ambiguous_are_reported_and_can_be_overridden(tmp_path):
    text = "date,y\n03/04/2024,1\n05/06/2024,2\n07/01/2024,9\n"
    result = send(tmp_path, text)
    assert "date_order_assumed" in note_keys(result) and "date_order='mdy'" in " ".join(result.sentences())
    assert frame(send(tmp_path, text, date_order="mdy"))["date"][0] == pd.Timestamp("2024-03-04")


def test_evenly_spaced_reading_wins(tmp_path):
    text = "date,y\n" + "".join(f"{m:02d}/01/{y},1\n" for y in (2022, 2023, 2024) for m in range(1, 13))
    result = send(tmp_path, text)
    assert result.columns[0].format == "mm/dd/yyyy" and "date_order_regular" in note_keys(result)


# --- files


def zipped(**files: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("_dot_", "."), text)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("f.tsv", GOOD.replace(",", "\t").encode()),
        ("f.csv.gz", gzip.compress(GOOD.encode(), mtime=0)),
        ("f.zip", zipped(a_dot_csv=GOOD)),
        ("utf16.csv", GOOD.encode("utf-16")),
        ("bom.csv", GOOD.encode("utf-8-sig")),
        ("mac.csv", GOOD.replace("\n", "\r").encode()),
        ("mixed.csv", GOOD.replace("\n", "\r\n", 5).encode()),
        ("a[1]*.csv", GOOD.encode()),
        ("title.csv", b"Report\n\n" + GOOD.encode()),
        ("sep.csv", b"sep=,\n" + GOOD.encode()),
    ],
)
def test_compressed_files_read_the_same(tmp_path, name, data):
    expected = frame(send(tmp_path / "..", GOOD))
    pd.testing.assert_frame_equal(frame(send(tmp_path, data, name)), expected)


def test_excel_and_parquet(tmp_path):
    table = pd.DataFrame(
        {
            "data": pd.date_range("2024-01-01", periods=5),
            "vendas": [1.5, 2, 3, 4, None],
            "n": range(5),
            "loja": list("ABABA"),
        }
    )
    with pd.ExcelWriter(tmp_path / "f.xlsx") as writer:
        pd.DataFrame([["other"], ["x"]]).to_excel(writer, sheet_name="Outra", index=False, header=False)
        table.to_excel(writer, sheet_name="Dados", index=False)
    table.to_parquet(tmp_path / "f.parquet")
    for found in (
        upload(tmp_path / "f.xlsx", tmp_path / "x", UploadOptions(sheet="Dados")),
        upload(tmp_path / "f.parquet", tmp_path / "p"),
        upload_frame(table, tmp_path / "d"),
    ):
        pd.testing.assert_frame_equal(frame(found), table, check_dtype=False)
        assert types(found) == {"data": "datetime", "vendas": "numeric", "n": "numeric", "loja": "categorical"}
    with pytest.raises(VurError, match="Outra, Dados"):
        upload(tmp_path / "f.xlsx", tmp_path / "x", UploadOptions(sheet="Nada"))


def test_frame_with_zone_and_index(tmp_path):
    table = pd.DataFrame(
        {"y": [1.0, 2.0]}, index=pd.DatetimeIndex(["2024-01-01", "2024-01-02"], tz="America/Sao_Paulo", name="ds")
    )
    result = upload_frame(table, tmp_path)
    assert result.columns[0].format == "UTC, from America/Sao_Paulo" and frame(result)["ds"][0] == pd.Timestamp(
        "2024-01-01 03:00"
    )
    assert (
        upload_frame(table, tmp_path).fingerprint == result.fingerprint != upload_frame(table * 2, tmp_path).fingerprint
    )


@pytest.mark.parametrize(
    ("name", "data", "code", "words"),
    [
        ("f.csv", b"", "empty", "f.csv"),
        ("f.csv", b" \n\n", "empty", ""),
        ("f.csv", b"date,y\n", "header_only", "date, y"),
        ("f.csv", GOOD.removeprefix("date,y\n").encode(), "no_header", "line 1"),
        ("f.csv", b"y,x,y\n1,2,3\n", "duplicate_header", "1, 3"),
        ("f.csv", GOOD.replace("2024-01-05", "2024-\0001-05").encode(), "nul", "line 6"),
        ("f.csv", GOOD.replace(".", ",").encode(), "ragged", "line 2"),
        ("f.csv", ("a,b\n" + 'x"y","z" w\n' * 9).encode(), "quotes", "line 2"),
        ("f.pdf", b"%PDF-1.7", "not_data", "PDF"),
        ("f.png", b"\x89PNG\r\n", "not_data", "PNG"),
        ("f.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99), "not_data", ".xls"),
        ("f.csv", b"<html><body>", "not_data", "HTML"),
        ("f.json", b'[{"a": 1}]', "not_data", "JSON"),
        ("f.gz", gzip.compress(GOOD.encode(), mtime=0)[:60], "damaged", "gzip"),
        ("f.xlsx", b"PK\x03\x04" + bytes(99), "damaged", "Excel"),
        ("f.parquet", b"PAR1" + bytes(99), "damaged", "Parquet"),
        ("f.zip", zipped(jan_dot_csv=GOOD, fev_dot_csv=GOOD), "zip_several", "jan.csv, fev.csv"),
        ("f.zip", zipped(), "zip_empty", ""),
        ("f.csv", ("a,b\n" + "São,1\n" * 3).encode() + "São,1\n".encode("latin-1"), "mixed_encoding", "line 5"),
        ("f.csv", GOOD.encode("utf-16")[:-1], "encoding", "utf-16"),
    ],
)
def test_bad_files_are_named(tmp_path, name, data, code, words):
    with pytest.raises(VurError) as caught:
        send(tmp_path, data, name)
    assert caught.value.code == f"upload.{code}" and name in str(caught.value) and words in str(caught.value)
    assert caught.value.text("pt-BR") != caught.value.text("en")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_zip_bomb_is_stopped_before_it_fills_the_disk(tmp_path):
    packed = gzip.compress(b"a,b\n" + b"1,2\n" * 30_000_000, 1)
    with pytest.raises(VurError, match="unpacks"):
        send(tmp_path, packed, "bomb.gz")
    with pytest.raises(VurError, match="unpacks"):
        send(tmp_path, gzip.compress(GOOD.encode()), "f.gz", max_unpacked_bytes=100)


def test_rejects_name_line_and_cause(tmp_path):
    text = (
        'date,y,note\n2024-01-01,1,"two\nlines"\n2024-01-02,2\n2024-01-03,abc,x\n2024-02-30,4,x\n"2024-01-04,5,x\n'
        + "".join(f"{d},1,x\n" for d in days(90))
    )
    result = send(tmp_path, text, language="pt-BR")
    assert [(line, content) for line, _, content in rejects(result)] == [
        ("4", "2024-01-02,2"),
        ("5", "2024-01-03,abc,x"),
        ("6", "2024-02-30,4,x"),
        ("7", '"2024-01-04,5,x'),
    ]
    assert "não é um número" in rejects(result)[1][1] and "y" in rejects(result)[1][1]
    assert frame(result)["note"][0] == "two\nlines" and result.rows == 91


# --- the short way gives what the strict way gives


@pytest.mark.parametrize(
    "twist",
    [
        "",
        "2024-01-05,1_000,a,1\n",
        "2024-01-05,inf,a,1\n",
        "2024-01-05,1.5,a,1.5\n",
        "2024-01-05,1.5,a,007\n",
        "2024-01-05 10:00:00-03:00,1,a,1\n",
        "24-01-05,1.5,a,1\n",
        "2024-01-05,nan,a,1\n",
        ",,,\n",
        "2024-01-05,1\n",
        '2024-01-05,1,"a,1\n',
        "05/06/2024,1,a,1\n",
        "2024-01-05,1,a,\r\n",
    ],
)
def test_the_fast_path_equals_the_strict_path(tmp_path, monkeypatch, twist):
    rows = [f"{d},{k}.25,item {k % 7},{k}\n" for k, d in enumerate(days(6000))]
    text = "date,price,item,count\n" + "".join(rows[:4000]) + twist + "".join(rows[4000:])
    strict = send(tmp_path / "..", text)
    monkeypatch.setattr(fast_path, "FAST_BYTES", 0)
    monkeypatch.setattr(fast_path, "HEAD", 4000)
    monkeypatch.setattr(fast_path, "PIECE", 500)
    short = send(tmp_path, text)
    pd.testing.assert_frame_equal(frame(short), frame(strict))
    assert (short.rows, short.rejected, short.columns, short.suggestions, short.notes) == (
        strict.rows,
        strict.rejected,
        strict.columns,
        strict.suggestions,
        strict.notes,
    )
    assert rejects(short) == rejects(strict)


def test_the_fast_path_reads_brazilian_files(tmp_path, monkeypatch):
    rows = "".join(f"{d};São {k % 3};1.{k:03d},50;{k},25\n" for k, d in enumerate(days(900, "%d/%m/%Y")))
    strict = send(tmp_path / "..", ("data;loja;valor;peso\n" + rows).encode("cp1252"))
    monkeypatch.setattr(fast_path, "FAST_BYTES", 0)
    monkeypatch.setattr("vur.stages.upload.staging.stage_csv", None)
    short = send(tmp_path, ("data;loja;valor;peso\n" + rows).encode("cp1252"))
    pd.testing.assert_frame_equal(frame(short), frame(strict))
    assert (short.columns, short.notes, short.dialect, short.fingerprint) == (
        strict.columns,
        strict.notes,
        strict.dialect,
        strict.fingerprint,
    )


def test_the_fast_path_is_used(tmp_path, monkeypatch):
    monkeypatch.setattr(fast_path, "FAST_BYTES", 0)
    monkeypatch.setattr("vur.stages.upload.staging.stage_csv", None)
    assert send(tmp_path, "date,y\n" + "".join(f"{d},{k}\n" for k, d in enumerate(days(500)))).rows == 500


# --- the answer


def test_the_result_is_json_and_the_same_input_gives_the_same_bytes(tmp_path):
    first, second = send(tmp_path / "..", GOOD), send(tmp_path, GOOD)
    assert Upload.from_dict(json.loads(json.dumps(first.to_dict()))) == first
    assert first.fingerprint == second.fingerprint and first.parquet.read_bytes() == second.parquet.read_bytes()


def test_order_of_rows_is_that_of_the_file(tmp_path):
    result = send(tmp_path, "k,v\n" + "".join(f"{(k * 7919) % 100003},x\n" for k in range(100_000)))
    assert list(frame(result)["k"]) == [(k * 7919) % 100003 for k in range(100_000)]


def test_series_by_content_two_columns_and_portuguese_names(tmp_path):
    rows = "".join(
        f"{d};{s};{i};{k}\n"
        for k, (d, s, i) in enumerate((d, s, i) for d in days(10) for s in ("A", "B") for i in ("p1", "p2", "p3"))
    )
    found = send(tmp_path, "dia;xx;zz;quantidade\n" + rows).suggestions
    assert (found.date, found.target, set(found.series)) == ("dia", "quantidade", {"xx", "zz"})


def test_identifiers_cannot_escape_into_sql(tmp_path):
    result = send(
        tmp_path, "d\"; DROP TABLE x; --,y'\n2024-01-01,1\n2024-01-02,2\n".replace('d"', '"d""').replace("--,", '--",')
    )
    assert [c.name for c in result.columns] == ['d"; DROP TABLE x; --', "y'"] and result.rows == 2


def test_parquet_is_readable_by_duckdb_with_plain_types(tmp_path):
    result = send(tmp_path, GOOD)
    described = duckdb.execute(f"DESCRIBE FROM read_parquet('{result.parquet}')").fetchall()
    assert [row[1] for row in described] == ["TIMESTAMP", "DOUBLE"]


# --- types that the user gives ---

TYPED = "day,shop,code,flag,sales\n" + "".join(
    f"2024-01-{day + 1:02},{'AB'[day % 2]},{day:03},{day % 2},{ {3: 'none', 5: 'x'}.get(day, day + 0.5) }\n"
    for day in range(28)
)


def kinds(result: Upload) -> dict[str, str]:
    return {column.name: column.type for column in result.columns}


def test_a_column_is_read_as_the_type_that_its_user_gives(tmp_path):
    detected = send(tmp_path, TYPED)
    assert kinds(detected) == {
        "day": "datetime", "shop": "categorical", "code": "id", "flag": "numeric", "sales": "numeric",
    }  # fmt: skip
    found = send(tmp_path, TYPED, types={"code": "numeric", "flag": "boolean", "day": "text"})
    assert kinds(found) == kinds(detected) | {"code": "numeric", "flag": "boolean", "day": "text"}
    rows = frame(found)
    assert rows["code"].tolist()[:2] == [0, 1] and rows["flag"].tolist()[:2] == [False, True]
    assert rows["day"][0] == "2024-01-01"
    given = [column.name for column in found.columns if column.reason["key"] == "upload.note.type_given"]
    assert given == ["day", "code", "flag"]
    kept = frame(send(tmp_path, TYPED, types={"sales": "text"}))
    assert kept["sales"].tolist()[3:6] == ["none", "4.5", "x"]


def test_values_that_are_not_of_a_given_type_are_rejected_row_by_row_up_to_half(tmp_path):
    text = "day,mark\n" + "".join(f"2024-01-{day + 1:02},{day if day % 3 else 'gone'}\n" for day in range(27))
    assert kinds(send(tmp_path, text))["mark"] != "numeric"
    found = send(tmp_path, text, types={"mark": "numeric"})
    assert (found.rows, found.rejected) == (18, 9) and [row[0] for row in rejects(found)][:2] == ["2", "5"]
    with pytest.raises(VurError) as refused:
        send(tmp_path, text, types={"mark": "datetime"})
    assert refused.value.code == "upload.type_datetime" and refused.value.data["column"] == "mark"
    assert "mark cannot be read as dates" in refused.value.text("en")
    with pytest.raises(VurError) as refused:
        send(tmp_path, TYPED, types={"shop": "numeric"})
    assert "'A'" in refused.value.text("en")
    with pytest.raises(VurError, match="numeric"):
        UploadOptions(types={"shop": "money"})


@pytest.mark.parametrize("kind", ["xlsx", "parquet"])
def test_types_are_given_to_columns_that_their_source_types_too(tmp_path, kind):
    given = pd.DataFrame({"day": pd.date_range("2024-01-01", periods=6), "n": range(6), "x": [1.0, 2, 3, 4, 5, 6.5]})
    given["flag"] = [0, 1] * 3
    path = tmp_path / f"f.{kind}"
    given.to_excel(path, index=False) if kind == "xlsx" else given.to_parquet(path)
    found = upload(path, tmp_path / "out", UploadOptions(types={"n": "text", "x": "text", "flag": "boolean"}))
    rows = frame(found)
    assert rows["n"].tolist()[:2] == ["0", "1"] and rows["x"].tolist()[4:] == ["5", "6.5"]
    assert rows["flag"].tolist()[:2] == [False, True] and found.rejected == 0
