"""Tables as Excel workbooks: text is text and never a formula, dates are dates."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import IO, Any

from vur.errors import VurError
from vur.stages.upload.suggestions import ColumnInfo
from vur.store.data import sources, tables
from vur.store.home import folder

MOST_ROWS, MOST_COLUMNS = 2**20, 2**14  # of a sheet, with the line of names
MOST_TEXT = 2**15 - 1  # characters of a cell
FIRST_DAY = datetime(1900, 3, 1)  # before it Excel's days are wrong, or do not exist
LONGEST_TITLE = 31  # of a sheet
DAY, MOMENT = "yyyy-mm-dd", "yyyy-mm-dd hh:mm:ss"
BATCH = 10_000


def write_sheet(
    target: Path | IO[bytes],
    names: Sequence[str],
    rows: Iterable[Sequence[Any]],
    title: str = "VUR",
    frozen: int = 0,
    widths: Sequence[int] = (),
) -> None:
    """Write a workbook with one sheet: a line of `names`, then `rows` of text, numbers, dates and None.

    The first `frozen` columns stay in sight; `widths` are in characters, of as many columns as have one.
    `VurError` datasets.sheet for more rows or columns than a sheet can have.
    """
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.utils import get_column_letter

    if len(names) > MOST_COLUMNS:
        raise VurError("datasets.sheet", rows=MOST_ROWS - 1, columns=MOST_COLUMNS)
    book = Workbook(write_only=True)
    sheet = book.create_sheet(title[:LONGEST_TITLE])
    sheet.freeze_panes = f"{get_column_letter(frozen + 1)}2"
    for number, width in enumerate(widths, 1):
        sheet.column_dimensions[get_column_letter(number)].width = width

    def cell(value: Any) -> Any:
        value, kind = _plain(value)
        if kind is None:
            return value
        made = WriteOnlyCell(sheet, value)
        if kind == "s":
            made.data_type = "s"  # openpyxl takes a text that begins with = for a formula
        else:
            made.number_format = kind
        return made

    sheet.append([cell(name) for name in names])
    for number, row in enumerate(rows, 2):
        if number > MOST_ROWS:
            raise VurError("datasets.sheet", rows=MOST_ROWS - 1, columns=MOST_COLUMNS)
        sheet.append([cell(value) for value in row])
    book.save(target)


def _plain(value: Any) -> tuple[Any, str | None]:
    """A value as a cell holds it, and how: `s` for text, the format of a date, None for what needs none."""
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    if isinstance(value, datetime) and value >= FIRST_DAY:
        return value, DAY if value == datetime(value.year, value.month, value.day) else MOMENT
    if isinstance(value, date):
        value = value.isoformat(sep=" ") if isinstance(value, datetime) else value.isoformat()
    if isinstance(value, str):
        return ILLEGAL_CHARACTERS_RE.sub("", value)[:MOST_TEXT], "s"
    return tables.plain(value), None


def write_table(version_folder: str, target: str) -> None:
    """Write the table of a version as a workbook; stamps with a zone are those of its clock."""
    import duckdb

    path = folder("datasets", version_folder) / sources.TABLE
    found, _ = sources.read_head(folder("datasets", version_folder))
    if found.rows >= MOST_ROWS:
        raise VurError("datasets.sheet", rows=MOST_ROWS - 1, columns=MOST_COLUMNS)
    with duckdb.connect(config=tables.LIMITED) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        columns = ", ".join(_column(column) for column in found.columns)
        rows = "read_parquet(?, file_row_number = true)"
        query = f"SELECT {columns} FROM {rows} ORDER BY file_row_number"  # noqa: S608
        cursor = connection.execute(query, [str(path)])
        pieces = iter(lambda: cursor.fetchmany(BATCH), [])
        write_sheet(Path(target), [column.name for column in found.columns], (row for piece in pieces for row in piece))


def _column(column: ColumnInfo) -> str:
    name = tables.quoted(column.name)
    return tables.local(name, column.zone) if column.zone and column.type == "datetime" else name
