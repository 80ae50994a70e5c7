"""The Parquet table of a dataset's version: its pages, cached facts about it, and its export as CSV."""

import csv
import io
import json
import math
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
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
PLACEHOLDER = re.compile(r"\{(\w+)(![rs])?\}")


def plain(value: Any) -> Any:
    """Convert a cell for JSON: dates in ISO format, no NaN or infinity."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.isoformat() if isinstance(value, date) else value


def rows(path: Path, page: int, limit: int, columns: Sequence[str] | None = None) -> tuple[list[dict[str, Any]], int]:
    """The rows of one page, with all or the given columns, and the number of all rows.

    Only the row groups of the page are read.
    """
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        start, at, first = (page - 1) * limit, 0, 0
        groups: list[int] = []
        for number in range(file.metadata.num_row_groups):
            size = file.metadata.row_group(number).num_rows
            if at < start + limit and at + size > start:
                first = first if groups else at
                groups.append(number)
            at += size
        if not groups:
            return [], at
        found = file.read_row_groups(groups, columns=list(columns) if columns else None).slice(start - first, limit)
    names = columns or found.column_names
    return [{name: plain(row[name]) for name in names} for row in found.to_pylist()], at


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


@dataclass(frozen=True)
class CsvForm:
    """The dialect of a CSV file; `mark` is the byte order mark by which Excel recognizes UTF-8."""

    delimiter: str = ","
    decimal: str = "."
    mark: str = ""


FORMS = {code: CsvForm(entry.csv_delimiter, entry.decimal, entry.csv_mark) for code, entry in LANGUAGES.items()}


def csv_pieces(path: Path, columns: Sequence[ColumnInfo], form: CsvForm) -> Iterator[bytes]:
    """The table as CSV in chunks, with dates in ISO format; uploaded again, it gives the same table.

    Only text that a spreadsheet would take for a formula changes: it gets a `'` before it.
    """
    import duckdb
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        sizes = [file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups)]
        kinds = {name: str(kind) for name, kind in zip(file.schema_arrow.names, file.schema_arrow.types, strict=True)}
    yield _header(list(kinds), form)
    zones = {column.name: column.zone or "UTC" for column in columns if column.zone or "(UTC" in column.format}
    with (
        duckdb.connect(config={"memory_limit": "500MB", "threads": 2}) as connection,
        tempfile.TemporaryDirectory() as scratch,
    ):
        connection.execute("SET TimeZone = 'UTC'")
        wanted = ", ".join(
            _cell(name, kind, form, zones.get(name), _days_only(connection, path, name, kind))
            for name, kind in kinds.items()
        )
        target, start = Path(scratch) / "piece.csv", 0
        for size in sizes:
            some = f"file_row_number >= {start} AND file_row_number < {start + size}"
            rows = f"SELECT {wanted} FROM read_parquet(?, file_row_number = true) WHERE {some} ORDER BY file_row_number"  # noqa: S608
            written = f"FORMAT csv, HEADER false, DELIMITER '{form.delimiter}', QUOTE '\"', ESCAPE '\"'"
            connection.execute(f"COPY ({rows}) TO '{target}' ({written})", [str(path)])
            with target.open("rb") as stream:
                while piece := stream.read(PIECE):
                    yield piece
            start += size


def _header(names: list[str], form: CsvForm) -> bytes:
    line = io.StringIO()
    csv.writer(line, delimiter=form.delimiter, lineterminator="\n").writerow(map(safe_text, names))
    return (form.mark + line.getvalue()).encode()


def _days_only(connection: Any, path: Path, name: str, kind: str) -> bool:
    if not kind.startswith("timestamp"):
        return False
    column = _quoted(name)
    query = f"SELECT coalesce(bool_and({column} = date_trunc('day', {column})), true) FROM read_parquet(?)"  # noqa: S608
    return bool(connection.execute(query, [str(path)]).fetchone()[0])


def _cell(name: str, kind: str, form: CsvForm, zone: str | None, days: bool) -> str:
    """The SQL expression of a column's cells as text; stamps with a zone as local time with its offset from UTC."""
    column = _quoted(name)
    if kind.startswith("timestamp"):
        if zone and zone != "UTC":
            local, ahead = _local(column, zone), f"datediff('minute', {column}, {_local(column, zone)})"
            parts = f"if({ahead} < 0, '-', '+'), abs({ahead}) // 60, abs({ahead}) % 60"
            return f"{local}::VARCHAR || printf('%s%02d:%02d', {parts})"
        text = f"CAST(CAST({column} AS DATE) AS VARCHAR)" if days and not zone else f"CAST({column} AS VARCHAR)"
        return f"{text} || 'Z'" if zone else text
    if kind in ("double", "float"):
        return f"replace(CAST({column} AS VARCHAR), '.', '{form.decimal}')"
    return safe_sql(column) if kind in ("string", "large_string") else column


def _local(column: str, zone: str) -> str:
    """The SQL expression of UTC stamps on the clock of `zone`."""
    if zone.startswith(("UTC+", "UTC-")):
        hours, minutes = zone[4:6], zone[7:9]
        return f"({column} {zone[3]} INTERVAL {hours} HOUR {zone[3]} INTERVAL {minutes} MINUTE)"
    return f"timezone('{zone}', timezone('UTC', {column}))"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


# --- rejected rows ---


def reject_rows(
    version_folder: str, language: str, start: int = 0, limit: int | None = None
) -> tuple[list[dict[str, Any]], int]:
    """Rows that an upload rejected: `line, cause, text`, with the cause in `language`; and the number of all."""
    path = folder("datasets", version_folder) / "rejects.csv"
    if not path.is_file():
        raise VurError("datasets.gone", id=version_folder, number=1)
    found: list[dict[str, Any]] = []
    total = 0
    csv.field_size_limit(2**24)
    with path.open(encoding="utf-8", newline="") as stream:
        for total, row in enumerate(csv.DictReader(stream), 1):
            if start < total and (limit is None or total <= start + limit):
                found.append({"line": int(row["line"]), "cause": cause_in(row["cause"], language), "text": row["text"]})
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
