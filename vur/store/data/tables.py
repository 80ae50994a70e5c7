"""The Parquet table of a dataset's version: its pages, cached facts about it, and its export as CSV."""

import csv
import io
import json
import logging
import math
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import accumulate, chain, islice
from pathlib import Path
from typing import Any

from vur.errors import VurError
from vur.languages import LANGUAGES
from vur.spreadsheets import safe_sql, safe_text
from vur.stages.preview import describe_columns
from vur.stages.upload.suggestions import ColumnInfo
from vur.store import child_process
from vur.store.cache import code_version, digest
from vur.store.data import sources
from vur.store.data.datasets import head_of
from vur.store.home import folder, lock, write_text
from vur.text import table

PIECE = 2**20
SHOWN = 1000  # characters of a text in an answer
MOST_CHARACTERS = 32 * 2**20  # of a page of rows
BUFFER = 2**15  # bytes of a column that are read at a time
BATCH_CELLS = 100_000  # of a page that are read at a time
BLOCK_BYTES = 16 * 2**20  # of texts that are written at a time
TEXTS = ("string", "large_string")
EXPORT_MEMORY = 500  # MB that a download, or a look at a table, may fill
LIMITED: dict[str, Any] = {"memory_limit": f"{EXPORT_MEMORY}MB", "threads": 2}
log = logging.getLogger("vur.datasets")
PLACEHOLDER = re.compile(r"\{(\w+)(![rs])?\}")


def plain(value: Any) -> Any:
    """Convert a cell for JSON: dates in ISO format, no NaN or infinity, text cut to `SHOWN` characters."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str):
        return cut(value)
    return value.isoformat() if isinstance(value, date) else value


def cut(text: str, most: int = SHOWN) -> str:
    """The first `most` characters of `text`, and an ellipsis where there are more."""
    return text if len(text) <= most else f"{text[:most]}…"


def rows(path: Path, page: int, limit: int, columns: Sequence[str] | None = None) -> tuple[list[dict[str, Any]], int]:
    """The rows of one page, with all or the given columns, and the number of all rows.

    Long texts are cut (`plain`). Only the row groups of the page are read, a batch at a time, with repeated texts once.
    `VurError` datasets.page for a page that is too large for an answer.
    """
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        kinds = {name: str(kind) for name, kind in zip(file.schema_arrow.names, file.schema_arrow.types, strict=True)}
        sizes = [file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups)]
    total, names, start = sum(sizes), list(columns or kinds), (page - 1) * limit
    groups, first = _groups_of(sizes, start, limit)
    if not groups:
        return [], total
    texts = [name for name in names if kinds[name] in TEXTS]
    items: list[dict[str, Any]] = []
    keys, left = sum(len(name) + 6 for name in names), MOST_CHARACTERS
    with pq.ParquetFile(path, read_dictionary=texts, buffer_size=BUFFER) as file:
        size = max(min(limit, BATCH_CELLS // len(names)), 1)
        for batch in file.iter_batches(size, groups, names):
            some = batch.slice(max(start - first, 0), limit - len(items))
            first += batch.num_rows
            for row in some.to_pylist() if not texts else _short(some).to_pylist():
                items.append({name: plain(row[name]) for name in names})
                left -= keys + sum(len(value) if isinstance(value, str) else 8 for value in items[-1].values())
                if left < 0 and len(items) > 1:
                    fits = max(len(items) * 9 // 10, 1)
                    raise VurError("datasets.page", field="limit", megabytes=MOST_CHARACTERS // 2**20, limit=fits)
            if len(items) >= limit:
                break
    return items, total


def _groups_of(sizes: Sequence[int], start: int, limit: int) -> tuple[list[int], int]:
    """The row groups with the rows `start ... start + limit`, and the first row of the first one."""
    stops = list(accumulate(sizes))
    groups = [k for k, stop in enumerate(stops) if stop > start and stop - sizes[k] < start + limit]
    return groups, stops[groups[0]] - sizes[groups[0]] if groups else 0


def _short(rows: Any) -> Any:
    """A batch whose texts are cut to one character more than are shown, before each row gets its own."""
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = [
        pa.DictionaryArray.from_arrays(c.indices, pc.utf8_slice_codeunits(c.dictionary, 0, SHOWN + 1))
        if isinstance(c, pa.DictionaryArray)
        else c
        for c in rows.columns
    ]
    return pa.RecordBatch.from_arrays(columns, names=rows.schema.names)


@lru_cache(maxsize=1000)
def text_bytes(version_folder: str) -> int:
    """The bytes of all texts of a version's table once each row has its own."""
    import duckdb
    import pyarrow.parquet as pq

    path = folder("datasets", version_folder) / sources.TABLE
    schema = pq.read_schema(path)
    texts = [name for name, kind in zip(schema.names, schema.types, strict=True) if str(kind) in TEXTS]
    if not texts:
        return 0
    with duckdb.connect(config=LIMITED) as connection:
        sums = ", ".join(f"sum(strlen({quoted(name)}))" for name in texts)
        found = connection.execute(f"SELECT {sums} FROM read_parquet(?)", [str(path)]).fetchall()[0]  # noqa: S608
    return int(sum(size or 0 for size in found))


def cached(version_folder: str, name: str, inputs: Any, compute: Callable[[], Any], heavy: bool = False) -> Any:
    """The result of `compute` for a version, cached as JSON beside its table by inputs and code.

    `VurError` api.busy if it is `heavy` and too many requests wait for such work already.
    """
    path = _place(version_folder, name, inputs)
    if not path.is_file():
        with child_process.limited(heavy), lock(f"facts-{path.stem[-2:]}"):
            if not path.is_file():
                write_text(path, json.dumps(compute(), ensure_ascii=False, default=str))
    return json.loads(path.read_text(encoding="utf-8"))


def find_cached(version_folder: str, name: str, inputs: Any) -> Any:
    """The cached result for the same inputs, or None."""
    path = _place(version_folder, name, inputs)
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _place(version_folder: str, name: str, inputs: Any) -> Path:
    key = digest(name, inputs, code_version("wizard"))[:16]
    return folder("datasets", version_folder) / f"{name}-{key}.json"


def column_facts(path: str) -> list[dict[str, Any]]:
    """Describe each column of the table at `path`: type, missing values, statistics."""
    return [
        {name: plain(_number(value)) for name, value in row.items()}
        for row in describe_columns(Path(path)).to_dict("records")
    ]


def _number(value: Any) -> Any:
    item = value.item() if hasattr(value, "item") else value
    return (
        int(item)
        if isinstance(item, float) and math.isfinite(item) and item.is_integer() and abs(item) < 2**53
        else item
    )


# --- export ---


ISO_DAY = "%Y-%m-%d"


@dataclass(frozen=True)
class CsvForm:
    """The dialect of a CSV file; `mark` is the byte order mark by which Excel recognizes UTF-8."""

    delimiter: str = ","
    decimal: str = "."
    mark: str = ""
    day: str = ISO_DAY


FORMS = {
    code: CsvForm(entry.csv_delimiter, entry.decimal, entry.csv_mark, entry.csv_day)
    for code, entry in LANGUAGES.items()
}


def csv_pieces(path: Path, columns: Sequence[ColumnInfo], form: CsvForm) -> Iterator[bytes]:
    """The table as CSV in chunks, in the dialect `form`; uploaded again, it gives the same table.

    Stamps of a time zone, with parts of a second, or of which several orders could be read are in ISO format.
    Only text that a spreadsheet would take for a formula changes: it gets a `'` before it.
    """
    import duckdb

    try:
        yield from _csv_pieces(path, columns, form)
    except duckdb.OutOfMemoryException as error:
        log.warning("%s", error)
        raise VurError("datasets.memory", megabytes=EXPORT_MEMORY) from None


def _csv_pieces(path: Path, columns: Sequence[ColumnInfo], form: CsvForm) -> Iterator[bytes]:
    import duckdb
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        sizes = [file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups)]
        kinds = {name: str(kind) for name, kind in zip(file.schema_arrow.names, file.schema_arrow.types, strict=True)}
    yield _header(list(kinds), form)
    zones = {column.name: column.zone or "UTC" for column in columns if column.zone or "(UTC" in column.format}
    with (
        tempfile.TemporaryDirectory() as scratch,
        duckdb.connect(config=LIMITED | {"temp_directory": f"{scratch}/spill"}) as connection,
    ):
        connection.execute("SET TimeZone = 'UTC'")
        wanted = ", ".join(
            _cell(name, kind, form, zones.get(name), _stamp_format(connection, path, name, kind, form))
            for name, kind in kinds.items()
        )
        target = Path(scratch) / "piece.csv"
        for start, stop in _blocks(connection, path, sizes, kinds):
            some = f"file_row_number >= {start} AND file_row_number < {stop}"
            rows = f"SELECT {wanted} FROM read_parquet(?, file_row_number = true) WHERE {some} ORDER BY file_row_number"  # noqa: S608
            written = f"FORMAT csv, HEADER false, DELIMITER '{form.delimiter}', QUOTE '\"', ESCAPE '\"'"
            connection.execute(f"COPY ({rows}) TO '{target}' ({written})", [str(path)])
            with target.open("rb") as stream:
                while piece := stream.read(PIECE):
                    yield piece


def _blocks(connection: Any, path: Path, sizes: Sequence[int], kinds: dict[str, str]) -> Iterator[tuple[int, int]]:
    """First row and end of blocks of rows: a row group, or parts of it where long texts would fill the memory."""
    texts = " + ".join(f"coalesce(strlen({quoted(name)}), 0)" for name, kind in kinds.items() if kind in TEXTS) or "0"
    rows = "read_parquet(?, file_row_number = true)"
    start = 0
    for size in sizes:
        some = f"file_row_number >= {start} AND file_row_number < {start + size}"
        query = f"SELECT max({texts}) FROM {rows} WHERE {some}"  # noqa: S608
        longest = int(connection.execute(query, [str(path)]).fetchone()[0] or 0)
        step = max(min(size, BLOCK_BYTES // max(longest, 1)), 1)
        yield from ((first, min(first + step, start + size)) for first in range(start, start + size, step))
        start += size


def begun(pieces: Iterator[bytes], count: int = 2) -> Iterator[bytes]:
    """`pieces` with the first ones made already, so that what fails at the start fails before anything is sent."""
    first = list(islice(pieces, count))
    return chain(first, pieces)


def _header(names: list[str], form: CsvForm) -> bytes:
    line = io.StringIO()
    csv.writer(line, delimiter=form.delimiter, lineterminator="\n").writerow(map(safe_text, names))
    return (form.mark + line.getvalue()).encode()


def _stamp_format(connection: Any, path: Path, name: str, kind: str, form: CsvForm) -> str | None:
    """How the stamps of a column are written, as for `strftime`; None for all of their digits, in ISO format.

    Days are in the dialect's order only where a day after the 12th shows which order that is.
    """
    if not kind.startswith("timestamp"):
        return None
    column = quoted(name)
    whole = (f"coalesce(bool_and({column} = date_trunc('{unit}', {column})), true)" for unit in ("day", "second"))
    query = f"SELECT {', '.join(whole)}, bool_or(day({column}) > 12) FROM read_parquet(?)"  # noqa: S608
    days, seconds, clear = connection.execute(query, [str(path)]).fetchone()
    day = form.day if clear else ISO_DAY
    return day if days else f"{day} %H:%M:%S" if seconds else None


def _cell(name: str, kind: str, form: CsvForm, zone: str | None, shape: str | None) -> str:
    """The SQL expression of a column's cells as text; stamps with a zone as local time with its offset from UTC."""
    column = quoted(name)
    if kind.startswith("timestamp"):
        if zone and zone != "UTC":
            clock, ahead = local(column, zone), f"datediff('minute', {column}, {local(column, zone)})"
            parts = f"if({ahead} < 0, '-', '+'), abs({ahead}) // 60, abs({ahead}) % 60"
            return f"{clock}::VARCHAR || printf('%s%02d:%02d', {parts})"
        if zone or shape is None:
            return f"CAST({column} AS VARCHAR) || 'Z'" if zone else f"CAST({column} AS VARCHAR)"
        return f"strftime({column}, '{shape}')"
    if kind in ("double", "float"):
        return f"replace(CAST({column} AS VARCHAR), '.', '{form.decimal}')"
    return safe_sql(column) if kind in ("string", "large_string") else column


def local(column: str, zone: str) -> str:
    """The SQL expression of UTC stamps on the clock of `zone`."""
    if zone.startswith(("UTC+", "UTC-")):
        hours, minutes = zone[4:6], zone[7:9]
        return f"({column} {zone[3]} INTERVAL {hours} HOUR {zone[3]} INTERVAL {minutes} MINUTE)"
    return f"timezone('{zone}', timezone('UTC', {column}))"


def quoted(name: str) -> str:
    """The name of a column for SQL."""
    return '"' + name.replace('"', '""') + '"'


# --- rejected rows ---


def reject_rows(
    version_folder: str, language: str, start: int = 0, limit: int | None = None
) -> tuple[list[dict[str, Any]], int]:
    """Rows that an upload rejected: `line, cause, text`, with the cause in `language`; and the number of all.

    With a `limit`, texts are cut so that the page fits into an answer.
    """
    path = folder("datasets", version_folder) / "rejects.csv"
    if not path.is_file():
        raise VurError("datasets.gone", id=version_folder, number=1)
    found: list[dict[str, Any]] = []
    total, most = 0, MOST_CHARACTERS // 2 // max(limit or 1, 1)
    csv.field_size_limit(2**24)
    with path.open(encoding="utf-8", newline="") as stream:
        for total, row in enumerate(csv.DictReader(stream), 1):
            if start < total and (limit is None or total <= start + limit):
                found.append(
                    {
                        "line": int(row["line"]),
                        "cause": cause_in(row["cause"], language),
                        "text": cut(row["text"], most),
                    }
                )
    return found, total


def cause_in(sentence: str, language: str) -> str:
    """Translate the cause of a reject, which was written in the language of the upload."""
    for key, texts in table().items():
        if key.startswith("upload.reject."):
            for template in texts.values():
                values = _values(template, sentence)
                if values is not None:
                    return _fill(texts[language], values)
    return sentence


def _fill(template: str, values: dict[str, str]) -> str:
    return PLACEHOLDER.sub(lambda part: values[part[1]], template)


def _values(template: str, sentence: str) -> dict[str, str] | None:
    """The values of the placeholders of `template` in `sentence`; None if the sentence does not match."""
    pattern, at = "", 0
    for part in PLACEHOLDER.finditer(template):
        pattern += re.escape(template[at : part.start()]) + f"(?P<{part[1]}>.*?)"
        at = part.end()
    found = re.fullmatch(pattern + re.escape(template[at:]), sentence, re.DOTALL)
    return found.groupdict() if found else None


def head(version_folder: str) -> dict[str, Any]:
    """The upload's result of a version as the catalog stores it."""
    return head_of(sources.read_head(folder("datasets", version_folder))[0])
