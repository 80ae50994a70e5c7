"""A download uploaded again is the same table, even with hostile cells; arbitrary bytes never cause a crash."""

import csv
import datetime
import hashlib
import io
from pathlib import Path

import pandas as pd
import pytest
from databases import kind  # noqa: F401 - a fixture
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from vur.errors import VurError
from vur.languages import LANGUAGES
from vur.predictions import export
from vur.spreadsheets import safe_frame
from vur.stages.upload.files import UploadOptions
from vur.stages.upload.suggestions import ColumnInfo
from vur.store.data import sources, tables

FEW = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    derandomize=True,
)
WORDS = st.text(
    st.characters(codec="utf-8", exclude_characters="\x00", exclude_categories=("Cs", "Cc")), max_size=20
) | st.sampled_from(
    [
        "=1+1",
        "a;b",
        'say "no"',
        "1,5",
        "-",
        "NA",
        "001",
        "sim",
        " x ",
        "a\nb",
        "2024-01-01",
        "@x",
        "+5",
        "1e5",
        "'",
        "\ufeff",
    ]
)
NUMBERS = (
    st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-(10**12), 10**12).map(float)
    | st.decimals(-1000, 1000, places=2).map(float)
)


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """A CSV of dates, numbers, whole numbers and words, with some cells missing."""
    rows = draw(st.integers(3, 12))
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["date", "y", "count", "word", draw(st.sampled_from(["note", "a;b", 'the "x"', "preço (R$)"]))])
    for day in range(rows):
        cells = [draw(NUMBERS), draw(st.integers(-(10**9), 10**9)), draw(WORDS), draw(WORDS)]
        writer.writerow(
            [
                datetime.date(2024, 1, 1) + datetime.timedelta(day),
                *("" if draw(st.integers(0, 5)) == 0 else cell for cell in cells),
            ]
        )
    return stream.getvalue().encode()


def stored(content: bytes, folder: Path) -> tuple[Path, list[ColumnInfo]]:
    """The folder of a file's table, and its columns."""
    path = folder / "file.csv"
    path.write_bytes(content)
    target = sources.read(path, hashlib.sha256(content).hexdigest(), UploadOptions(), "file.csv")
    return target / sources.TABLE, list(sources.read_head(target)[0].columns)


@pytest.mark.slow
@FEW
@given(files())
@example(b"date,y\n2024-01-01 10:30:00,1\n2024-01-02 11:00:00,2\n2024-01-03 00:00:00,\n")
@example(b"date,y\n2024-01-11,1.5\n2024-01-12,2\n2024-01-13,\n")
@example(b"date,y\n2024-01-11 10:30:00,1.5\n2024-02-12 10:30:30,2\n2024-03-13 00:00:00,\n")
@example(b"date,y\n2024-01-01T10:30:00-03:00,1\n2024-01-02T11:00:00-03:00,2\n2024-01-03T00:00:00-03:00,3\n")
@example(b"year,y,flag\n2001,1e300,true\n2002,-1e-300,false\n2003,,\n")
def test_a_download_uploaded_again_is_the_same_table(catalog, tmp_path, content):
    try:
        path, columns = stored(content, tmp_path)
    except VurError:  # a file that the strict reader rejects cannot be downloaded
        return
    for form in tables.FORMS.values():
        again, _ = stored(b"".join(tables.csv_pieces(path, columns, form)), tmp_path)
        pd.testing.assert_frame_equal(safe_frame(pd.read_parquet(path)), pd.read_parquet(again), check_exact=True)


@FEW
@given(st.binary(max_size=300) | st.binary(max_size=200).map(lambda tail: b"date,y\n2024-01-01,1\n" + tail))
@example(b"PK\x03\x04junk")
@example(b"\x1f\x8bjunk")
@example(b"PAR1junk")
def test_bytes_that_are_no_table_are_rejected_with_a_reason(catalog, tmp_path, content):
    try:
        stored(content, tmp_path)
    except VurError as error:
        assert error.text("pt-BR") and str(tmp_path) not in error.text() and str(catalog) not in error.text()


@pytest.mark.parametrize("language", list(LANGUAGES))
@pytest.mark.parametrize(
    "stamps",
    [
        ["2024-01-30", "2024-01-31", "2024-02-01"],
        ["2024-01-01", "2024-02-01", "2024-03-01"],
        ["2024-01-30 10:00:00", "2024-01-30 11:00:00", "2024-01-30 12:00:00"],
    ],
)
def test_a_downloaded_forecast_is_read_again(catalog, tmp_path, language, stamps):
    values = [520.316, -1234.5, 0.25]
    rows = [["sul", stamp, value, "é; x"] for stamp, value in zip(stamps, values, strict=True)]
    content = b"".join(export.csv_pieces(export.ForecastTable("x", ["loja", "dia", "y", "motivo"], rows), language))
    assert (b"30/01/2024" in content) == (language == "pt-BR" and "30" in stamps[0])
    found = pd.read_parquet(stored(content, tmp_path)[0])
    assert found["dia"].tolist() == [pd.Timestamp(stamp) for stamp in stamps]
    assert found["y"].tolist() == values and found["motivo"].tolist() == ["é; x"] * 3
