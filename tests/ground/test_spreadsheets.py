"""Text that a spreadsheet would take for a formula."""

import duckdb
import pandas as pd
import pytest

from vur.spreadsheets import safe_frame, safe_sql, safe_text


@pytest.mark.parametrize(
    "text",
    [
        '=HYPERLINK("http://x")',
        "+1+cmd|' /C calc'!A0",
        "-2+3",
        "@SUM(1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "＝1",
        "-",
        "=",
        "+55 81",
    ],
)
def test_a_formula_gets_an_apostrophe(text):
    assert safe_text(text) == f"'{text}"
    assert duckdb.execute(f"SELECT {safe_sql('c')} FROM (SELECT ? AS c)", [text]).fetchone() == (f"'{text}",)  # noqa: S608


@pytest.mark.parametrize(
    "text", ["-3.5", "+7", "-1.234,50", "-1e-05", "-.5", "-12%", "", "loja 1", "'=1", "a=b", "2024-01-01", " =1"]
)
def test_numbers_and_other_text_stay(text):
    assert safe_text(text) == text
    assert duckdb.execute(f"SELECT {safe_sql('c')} FROM (SELECT ? AS c)", [text]).fetchone() == (text,)  # noqa: S608


def test_of_a_table_only_names_and_text_change():
    frame = pd.DataFrame(
        {"=x": [-1.5, 2.0], "id": ["=1", "loja"], "kind": pd.Categorical(["@a", "b"]), "gap": ["-x", None]}
    )
    safe = safe_frame(frame)
    assert list(safe) == ["'=x", "id", "kind", "gap"] and safe["'=x"].tolist() == [-1.5, 2.0]
    assert safe["id"].tolist() == ["'=1", "loja"] and safe["kind"].tolist() == ["'@a", "b"]
    assert safe["gap"].tolist()[0] == "'-x" and pd.isna(safe["gap"].tolist()[1])
    assert frame["id"].tolist() == ["=1", "loja"]
