"""Text that a spreadsheet would take for a formula, in the CSV files that people download and open.

A cell such as `=HYPERLINK(...)` is run by the program that opens the file, so it gets a `'` before it, as OWASP
advises ("CSV Injection"). Numbers stay as they are, and so do Parquet files and originals.
"""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

STARTS = "=+-@\t\r\n＝＋－＠"  # with the wide forms, which some programs take for the same
NUMBER = r"[-+]?(?:\d[\d.,]*|[.,]\d+)(?:[eE][-+]?\d+)?%?"


def safe_text(text: str) -> str:
    """`text` with a `'` before it if a spreadsheet would take it for a formula."""
    return f"'{text}" if text.startswith(tuple(STARTS)) and not re.fullmatch(NUMBER, text) else text


def safe_sql(column: str) -> str:
    """SQL (DuckDB) of the text of a column after `safe_text`."""
    starts = f"regexp_matches({column}, '^[{re.escape(STARTS)}]')"
    return f"CASE WHEN {starts} AND NOT regexp_full_match({column}, '{NUMBER}') THEN '''' || {column} ELSE {column} END"


def safe_frame(frame: "pd.DataFrame") -> "pd.DataFrame":
    """A table with `safe_text` of its names and of its columns of text; other columns are not copied."""
    import pandas as pd

    new: dict[str, pd.Series] = {}
    for name, column in frame.items():
        if isinstance(column.dtype, pd.CategoricalDtype) or pd.api.types.is_object_dtype(column.dtype):
            texts = [text for text in column.unique() if isinstance(text, str) and safe_text(text) != text]
        elif pd.api.types.is_string_dtype(column.dtype):
            texts = [text for text in column.dropna().unique() if safe_text(text) != text]
        else:
            continue
        if texts:
            new[str(name)] = column.astype(object).replace({text: safe_text(text) for text in texts})
    return frame.assign(**new).rename(columns=lambda name: safe_text(name) if isinstance(name, str) else name)
