"""The official forecast as a table for people: CSV in the dialect of a language, or an Excel workbook."""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any

import numpy as np

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
from vur.store.data.excel import write_sheet
from vur.store.data.tables import ISO_DAY
from vur.store.database import reading
from vur.store.forecasts import overrides
from vur.store.models.champions import find_served
from vur.text import translate
from vur.wording import digits_for, level_text

STAMP = re.compile(r"\d{4}-\d\d-\d\d(T| |$)(\d\d:\d\d:\d\d)?")  # without an offset from UTC
MORE_DIGITS = 2  # than a reader sees, about six figures
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
        digits = digits_for(points.values[number]) + MORE_DIGITS
        for step, (stamp, place) in enumerate(zip(stamps, places, strict=True)):
            row = changed.get((id, place))
            value = round(float(points.values[number][step]), digits)
            cells.append(
                [
                    id,
                    stamp,
                    value,
                    *(round(float(end[step]), digits) if np.isfinite(end[step]) else None for end in ends),
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
    """The table as CSV: delimiter, decimal mark, byte-order mark and dates of `language`.

    Where no day is after the 12th, dates are in ISO format, of which only one order can be read.
    """
    form = LANGUAGES[language]
    day = form.csv_day if any(_after_the_12th(row[1]) for row in table.rows) else ISO_DAY
    yield form.csv_mark.encode()
    for start in range(-1, len(table.rows), 5_000):
        text = io.StringIO()
        rows = [table.header] if start < 0 else []
        some = table.rows[max(start, 0) : start + 5_000]
        rows += [[id, stamp_value(stamp), *others] for id, stamp, *others in some]
        writer = csv.writer(text, delimiter=form.csv_delimiter, lineterminator="\r\n")
        writer.writerows([_csv_cell(cell, form.decimal, day) for cell in row] for row in rows)
        yield text.getvalue().encode()


def _after_the_12th(stamp: Any) -> bool:
    """Whether a stamp shows in which order day and month are written."""
    found = stamp_value(stamp)
    return isinstance(found, datetime) and found.day > 12


def _csv_cell(cell: Any, decimal: str, day: str) -> Any:
    if isinstance(cell, float):
        return repr(cell).replace(".", decimal)
    if isinstance(cell, datetime):
        return cell.strftime(day if cell.time() == time() else f"{day} %H:%M:%S")
    return safe_text(cell) if isinstance(cell, str) else cell


def workbook(table: ForecastTable, sheet: str) -> bytes:
    """The table as an Excel workbook, with days and moments as dates that Excel can sort.

    `VurError` forecasts.sheet for more rows than a sheet has.
    """
    if len(table.rows) > SHEET_ROWS:
        raise VurError("forecasts.sheet", count=len(table.rows), limit=SHEET_ROWS)
    target = io.BytesIO()
    widths = (22, 22, *[14] * (len(table.header) - 4), 32, 22)
    rows = ([id, stamp_value(stamp), *others] for id, stamp, *others in table.rows)
    write_sheet(target, table.header, rows, sheet, frozen=2, widths=widths)
    return target.getvalue()


def stamp_value(stamp: Any) -> Any:
    """A stamp in ISO format as a date with its time; with an offset from UTC, or as a whole number, as it is."""
    if not isinstance(stamp, str) or STAMP.fullmatch(stamp) is None:
        return stamp
    return datetime.fromisoformat(stamp)
