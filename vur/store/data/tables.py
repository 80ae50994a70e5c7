"""The typed table of a dataset's version: pages of it, facts that were computed once, and the way out as CSV."""

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
    """A cell as JSON has it: stamps in ISO format, no NaN and no infinity."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.isoformat() if isinstance(value, date) else value


def rows(path: Path, page: int, limit: int, columns: Sequence[str] | None = None) -> tuple[list[dict[str, Any]], int]:
    """The rows of one page, all columns or the given ones, and how many rows there are.

    Reads the row groups of the page only.
    """
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        start, at, groups, first = (page - 1) * limit, 0, [], 0
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


def remembered(version_folder: str, name: str, inputs: Any, compute: Callable[[], Any], heavy: bool = False) -> Any:
    """What `compute` says of a version, as JSON: kept beside its table, computed once for the same inputs and code.

    `VurError` api.busy when it is `heavy` and too many wait for such work already.
    """
    path = _place(version_folder, name, inputs)
    if not path.is_file():
        with child_process.limited(heavy), lock(f"facts-{path.stem[-2:]}"):
            if not path.is_file():
                write_text(path, json.dumps(compute(), ensure_ascii=False, default=str))
    return json.loads(path.read_text(encoding="utf-8"))


def recall(version_folder: str, name: str, inputs: Any) -> Any:
    """What was remembered for the same inputs, or None."""
    path = _place(version_folder, name, inputs)
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _place(version_folder: str, name: str, inputs: Any) -> Path:
    key = digest(name, inputs, code_version("wizard"))[:16]
    return folder("datasets", version_folder) / f"{name}-{key}.json"


def column_facts(path: str) -> list[dict[str, Any]]:
    """Descriptive statistics of each column of a table."""
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


# --- the way out ---


@dataclass(frozen=True)
class CsvForm:
    """How a CSV is written: `,` and `.`, or `;` and a decimal comma with the mark by which Excel knows UTF-8."""

    delimiter: str = ","
    decimal: str = "."
    mark: str = ""


FORMS = {"en": CsvForm(), "pt-BR": CsvForm(";", ",", "\ufeff")}


def csv_pieces(path: Path, columns: Sequence[ColumnInfo], form: CsvForm) -> Iterator[bytes]:
    """The table as CSV, piece by piece; what is read back from it is the same table.

    Dates are written as ISO has them.
    """
    import duckdb
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        sizes = [file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups)]
        kinds = {name: str(kind) for name, kind in zip(file.schema_arrow.names, file.schema_arrow.types, strict=True)}
    yield _header(list(kinds), form)
    zoned = {column.name for column in columns if "UTC" in column.format}
    with (
        duckdb.connect(config={"memory_limit": "500MB", "threads": 2}) as connection,
        tempfile.TemporaryDirectory() as scratch,
    ):
        connection.execute("SET TimeZone = 'UTC'")
        wanted = ", ".join(
            _cell(name, kind, form, name in zoned, _days_only(connection, path, name, kind))
            for name, kind in kinds.items()
        )
        target, start = Path(scratch) / "piece.csv", 0
        for size in sizes:
            connection.execute(
                f"COPY (SELECT {wanted} FROM read_parquet(?, file_row_number = true) WHERE file_row_number >= {start} AND file_row_number < {start + size} "  # noqa: S608
                f"ORDER BY file_row_number) TO '{target}' (FORMAT csv, HEADER false, DELIMITER '{form.delimiter}', QUOTE '\"', ESCAPE '\"')",
                [str(path)],
            )
            with target.open("rb") as stream:
                while piece := stream.read(PIECE):
                    yield piece
            start += size


def _header(names: list[str], form: CsvForm) -> bytes:
    line = io.StringIO()
    csv.writer(line, delimiter=form.delimiter, lineterminator="\n").writerow(names)
    return (form.mark + line.getvalue()).encode()


def _days_only(connection: Any, path: Path, name: str, kind: str) -> bool:
    if not kind.startswith("timestamp"):
        return False
    column = _quoted(name)
    return bool(
        connection.execute(
            f"SELECT coalesce(bool_and({column} = date_trunc('day', {column})), true) FROM read_parquet(?)", [str(path)]
        ).fetchone()[0]
    )  # noqa: S608


def _cell(name: str, kind: str, form: CsvForm, zoned: bool, days: bool) -> str:
    """SQL of a column as the text of a cell."""
    column = _quoted(name)
    if kind.startswith("timestamp"):
        text = f"CAST(CAST({column} AS DATE) AS VARCHAR)" if days and not zoned else f"CAST({column} AS VARCHAR)"
        return f"{text} || 'Z'" if zoned else text
    if kind in ("double", "float"):
        return f"replace(CAST({column} AS VARCHAR), '.', '{form.decimal}')"
    return column


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


# --- rejected rows ---


def reject_rows(
    version_folder: str, language: str, start: int = 0, limit: int | None = None
) -> tuple[list[dict[str, Any]], int]:
    """Rows that the upload left out, by line: `line, cause, text` with the cause in the reader's language; and how many there are."""
    path = folder("datasets", version_folder) / "rejects.csv"
    if not path.is_file():
        raise VurError("datasets.gone", id=version_folder, number=1)
    found, total = [], 0
    csv.field_size_limit(2**24)
    with path.open(encoding="utf-8", newline="") as stream:
        for total, row in enumerate(csv.DictReader(stream), 1):
            if start < total and (limit is None or total <= start + limit):
                found.append({"line": int(row["line"]), "cause": cause_in(row["cause"], language), "text": row["text"]})
    return found, total


def cause_in(sentence: str, language: str) -> str:
    """The cause of a reject in another language: its sentence was written in that of the upload."""
    for key, texts in table().items():
        if key.startswith("upload.reject."):
            for template in texts.values():
                found = _values(template, sentence)
                if found is not None:
                    return PLACEHOLDER.sub(lambda part, found=found: found[part[1]], texts[language])
    return sentence


def _values(template: str, sentence: str) -> dict[str, str] | None:
    """What fills the placeholders of `template` in `sentence`, or None where it is no sentence of it."""
    pattern, at = "", 0
    for part in PLACEHOLDER.finditer(template):
        pattern += re.escape(template[at : part.start()]) + f"(?P<{part[1]}>.*?)"
        at = part.end()
    found = re.fullmatch(pattern + re.escape(template[at:]), sentence, re.DOTALL)
    return found.groupdict() if found else None


def head(version_folder: str) -> dict[str, Any]:
    """What the upload of a version found, as the catalog keeps it."""
    return head_of(sources.read_head(folder("datasets", version_folder))[0])
