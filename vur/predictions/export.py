"""The official forecast as a table for people: CSV in the dialect of a language, or an Excel workbook."""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from vur.errors import VurError
from vur.languages import LANGUAGES
from vur.models.forecast import check_request
from vur.models.saved import Saved
from vur.predictions.observed import find_series
from vur.predictions.open_models import open_model
from vur.predictions.predict import PredictionRequest, without_entry
from vur.predictions.stamps import shown_stamps
from vur.spreadsheets import safe_text
from vur.store.accounts.access import Principal
from vur.store.database import reading
from vur.store.forecasts import overrides
from vur.store.models.champions import find_served
from vur.text import translate
from vur.wording import level_text

SHEET_ROWS = 1_048_575  # of an Excel sheet below its header


@dataclass(frozen=True)
class ForecastTable:
    """The official forecast of several series: `header` in the reader's language, and `rows` of cells."""

    name: str
    header: list[str]
    rows: list[list[Any]]


def forecast_table(who: Principal, model: str, series: str | None, horizon: int | None, language: str) -> ForecastTable:
    """The current forecast of one or all series: date, series, forecast, intervals, override, official, reason, author.

    `VurError` if no series can be forecast, or there are too many.
    """
    with reading() as session:
        served = find_served(session, who, model)
    saved = open_model(served).saved
    name = None if series is None else find_series(saved, series)
    steps, levels = check_request(saved, horizon, None)
    wanted = PredictionRequest(steps, series=None if name is None else [name])
    _, rendered = without_entry(served, wanted)
    if not rendered.parts:
        raise next(iter(rendered.errors.values()))
    points, freq = rendered.points, saved.pipeline.head.freq.alias
    with reading() as session:
        rows = overrides.in_force(session, served.owner_id, served.family, None if name is None else [name])
        names = overrides.authors(session, rows)
    changed = {(row.unique_id, overrides.cell_of(row, freq)): row for row in rows}
    cells: list[list[Any]] = []
    for number, id in enumerate(points.ids):
        stamps = shown_stamps(saved, points.targets[number])
        places = overrides.cells_of(points.targets[number], freq)
        ends = [end[number] for pair in points.bounds.values() for end in pair]
        for step, (stamp, place) in enumerate(zip(stamps, places, strict=True)):
            row = changed.get((id, place))
            value = float(points.values[number][step])
            cells.append(
                [
                    id,
                    stamp,
                    value,
                    *(float(end[step]) if np.isfinite(end[step]) else None for end in ends),
                    None if row is None else row.value,
                    value if row is None else row.value,
                    "" if row is None else row.reason,
                    "" if row is None else names.get(row.owner_id, ""),
                ]
            )
    return ForecastTable(served.name, header(saved, levels, language), cells)


def header(saved: Saved, levels: Iterable[float], language: str) -> list[str]:
    """The names of the columns: those of the data for date and series, the others in `language`."""

    def t(key: str, **values: Any) -> str:
        return translate(f"forecasts.column.{key}", language, **values)

    given = saved.head["names"].get("series") or []
    own = [given] if isinstance(given, str) else list(given)
    ends = [t(end, level=level_text(level, language)) for level in levels for end in ("lo", "hi")]
    names = ["/".join(map(str, own)) or t("series"), str(saved.head["names"].get("date") or "ds")]
    return [*names, t("forecast"), *ends, t("override"), t("official"), t("reason"), t("author")]


def csv_pieces(table: ForecastTable, language: str) -> Iterator[bytes]:
    """The table as CSV: delimiter, decimal mark and byte-order mark of `language`, dates in ISO format."""
    form = LANGUAGES[language]
    yield form.csv_mark.encode()
    for start in range(-1, len(table.rows), 5_000):
        text = io.StringIO()
        rows = [table.header] if start < 0 else []
        rows += table.rows[max(start, 0) : start + 5_000]
        writer = csv.writer(text, delimiter=form.csv_delimiter, lineterminator="\r\n")
        writer.writerows([_csv_cell(cell, form.decimal) for cell in row] for row in rows)
        yield text.getvalue().encode()


def _csv_cell(cell: Any, decimal: str) -> Any:
    if isinstance(cell, float):
        return repr(cell).replace(".", decimal)
    return safe_text(cell) if isinstance(cell, str) else cell


def workbook(table: ForecastTable, sheet: str) -> bytes:
    """The table as an Excel workbook; text that looks like a formula stays text."""
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Font

    if len(table.rows) > SHEET_ROWS:
        raise VurError("forecasts.sheet", count=len(table.rows), limit=SHEET_ROWS)
    book = Workbook(write_only=True)
    page = book.create_sheet(sheet[:31])
    page.freeze_panes = "C2"
    for number, width in enumerate((22, 22, *[14] * (len(table.header) - 4), 32, 22)):
        page.column_dimensions[chr(ord("A") + number)].width = width

    def cell(value: Any, bold: bool = False) -> Any:
        made = WriteOnlyCell(page, value=_sheet_value(value))
        if isinstance(value, str) and made.data_type == "f":
            made.data_type = "s"
        if bold:
            made.font = Font(bold=True)
        return made

    page.append([cell(name, bold=True) for name in table.header])
    for row in table.rows:
        page.append([cell(value) for value in row])
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def _sheet_value(value: Any) -> Any:
    """A cell's value: days as dates that Excel can sort, moments with an offset as text."""
    if isinstance(value, str):
        from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

        text = ILLEGAL_CHARACTERS_RE.sub("", value)
        if len(text) in (10, 19) and text[4:5] == text[7:8] == "-" and text[:4].isdigit():
            found = pd.to_datetime(text, errors="coerce")
            if not pd.isna(found) and found.year >= 1900:
                return found.date() if len(text) == 10 else found.to_pydatetime()
        return text
    return value
