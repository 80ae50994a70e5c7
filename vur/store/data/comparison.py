"""What changed between two versions of a dataset: rows by their key, columns, the range of time, and totals.

All arguments and results are plain JSON data, so that the work can run in a child process. DuckDB joins the two tables
within its memory limit and spills to disk beyond it.
"""

import tempfile
from typing import Any

from vur.store.data import sources, tables
from vur.store.home import folder

MOST_COLUMNS = 200  # columns whose cells are compared
MOST_CELLS = 50  # cells of a row that are shown
NUMBERS = ("numeric", "boolean")
OLD, NEW = 0, 1
Kinds = tuple[dict[str, str], dict[str, str]]


def compare(old: str, new: str, date: str | None, series: list[str], limit: int) -> dict[str, Any]:
    """Compare the versions in the folders `old` and `new`; rows with the same `date` and `series` are the same row.

    Several rows of one key are paired in their order in the file. Without a date column that both have, whole rows are
    compared, and none can change. `rows` are the first `limit` changed, added and removed ones, in the file's order.
    """
    kinds = _kinds(old), _kinds(new)
    common = [name for name in kinds[NEW] if name in kinds[OLD]]
    keyed = date in common
    keys = [name for name in (date, *series) if name in common] if keyed else common[: 2 * MOST_COLUMNS]
    cells = [name for name in common if name not in keys][:MOST_COLUMNS]
    with tempfile.TemporaryDirectory() as scratch, _connection(scratch) as connection:
        for name, place in (("old", old), ("new", new)):
            _number_rows(connection, name, place, keys, cells)
        _pair(connection, keys, cells, kinds)
        return {
            "keys": keys if keyed else [],
            "counts": _counts(connection),
            "columns_added": [name for name in kinds[NEW] if name not in kinds[OLD]],
            "columns_removed": [name for name in kinds[OLD] if name not in kinds[NEW]],
            "columns_not_compared": len(common) - len(keys) - len(cells),
            "columns": _columns(connection, keys if keyed else [], cells, kinds),
            "range": {side: _range(connection, side, keyed) for side in ("old", "new")},
            "rows": _examples(connection, keys, cells, limit),
        }


def _kinds(version_folder: str) -> dict[str, str]:
    return {one["name"]: one["type"] for one in tables.head(version_folder)["columns"]}


def _connection(scratch: str) -> Any:
    import duckdb

    connection = duckdb.connect(config=tables.LIMITED | {"temp_directory": f"{scratch}/spill"})
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def _number_rows(connection: Any, name: str, version_folder: str, keys: list[str], cells: list[str]) -> None:
    """Make the table `name`: the columns as k0, k1, … (keys) and c0, c1, … (cells), `line`, and `nth` of its key."""
    path = str(folder("datasets", version_folder) / sources.TABLE).replace("'", "''")
    columns = [f"{tables.quoted(column)} AS k{k}" for k, column in enumerate(keys)]
    columns += [f"{tables.quoted(column)} AS c{k}" for k, column in enumerate(cells)]
    key = ", ".join(tables.quoted(column) for column in keys) or "1"
    nth = f"row_number() OVER (PARTITION BY {key} ORDER BY file_row_number) AS nth"
    chosen = ", ".join([*columns, "file_row_number AS line", nth])
    rows = f"SELECT {chosen} FROM read_parquet('{path}', file_row_number = true)"  # noqa: S608
    connection.execute(f"CREATE TEMP TABLE {name} AS {rows}")


def _pair(connection: Any, keys: list[str], cells: list[str], kinds: Kinds) -> None:
    """Make the table `pairs`: `old_line` and `new_line` of each row (NULL for none), and d0, d1, …: what changed.

    Cells of a column that the two versions have in different types are compared as text.
    """

    def differ(letter: str, k: int, name: str) -> tuple[str, str]:
        one, other = f"old.{letter}{k}", f"new.{letter}{k}"
        same = kinds[OLD][name] == kinds[NEW][name]
        return (one, other) if same else (f"CAST({one} AS VARCHAR)", f"CAST({other} AS VARCHAR)")

    on = [" IS NOT DISTINCT FROM ".join(differ("k", k, name)) for k, name in enumerate(keys)]
    both = "old.line IS NOT NULL AND new.line IS NOT NULL"
    changes = [
        f"({both} AND {' IS DISTINCT FROM '.join(differ('c', k, name))}) AS d{k}" for k, name in enumerate(cells)
    ]
    chosen = ", ".join(["old.line AS old_line", "new.line AS new_line", *changes])
    joined = f"old FULL JOIN new ON {' AND '.join([*on, 'old.nth = new.nth'])}"
    connection.execute(f"CREATE TEMP TABLE pairs AS SELECT {chosen} FROM {joined}")  # noqa: S608
    any_change = " OR ".join(f"d{k}" for k in range(len(cells))) or "false"
    connection.execute("ALTER TABLE pairs ADD COLUMN changed BOOLEAN")
    connection.execute(f"UPDATE pairs SET changed = {any_change}")  # noqa: S608


def _counts(connection: Any) -> dict[str, int]:
    counted = connection.execute(
        "SELECT count(*) FILTER (old_line IS NULL), count(*) FILTER (new_line IS NULL), count(*) FILTER (changed), "
        "count(*) FILTER (old_line IS NOT NULL AND new_line IS NOT NULL AND NOT changed), "
        "count(old_line), count(new_line) FROM pairs"
    ).fetchall()[0]
    return dict(zip(("added", "removed", "changed", "unchanged", "rows_old", "rows_new"), counted, strict=True))


def _columns(connection: Any, keys: list[str], cells: list[str], kinds: Kinds) -> list[dict[str, Any]]:
    """Each common column: its types, how many rows changed in it, and its totals in either version."""
    sums = ", ".join(f"count(*) FILTER (d{k})" for k in range(len(cells))) or "0"
    changed = dict(zip(cells, connection.execute(f"SELECT {sums} FROM pairs").fetchall()[0], strict=False))  # noqa: S608
    places = [(name, f"k{k}") for k, name in enumerate(keys)] + [(name, f"c{k}") for k, name in enumerate(cells)]
    totals = [_totals(connection, side, places, kinds[number]) for number, side in enumerate(("old", "new"))]
    return [
        {
            "column": name,
            "old_type": kinds[OLD][name],
            "new_type": kinds[NEW][name],
            "changed": changed.get(name, 0),
            "old": totals[OLD][name],
            "new": totals[NEW][name],
        }
        for name, _ in places
    ]


def _totals(
    connection: Any, version: str, places: list[tuple[str, str]], kinds: dict[str, str]
) -> dict[str, dict[str, Any]]:
    """By column: the cells that are missing, and of numbers the sum and the mean."""
    if not places:
        return {}
    parts = []
    for name, place in places:
        number = f"{place}::DOUBLE" if kinds[name] in NUMBERS else "NULL"
        parts.append(f"count(*) - count({place}), sum({number}), avg({number})")
    found = connection.execute(f"SELECT {', '.join(parts)} FROM {version}").fetchall()[0]  # noqa: S608
    return {
        name: {"missing": found[3 * k], "sum": tables.plain(found[3 * k + 1]), "mean": tables.plain(found[3 * k + 2])}
        for k, (name, _) in enumerate(places)
    }


def _range(connection: Any, version: str, keyed: bool) -> dict[str, Any]:
    """The first and the last date of a version; None where no date column is in both."""
    if not keyed:
        return {"first": None, "last": None}
    first, last = connection.execute(f"SELECT min(k0), max(k0) FROM {version}").fetchall()[0]  # noqa: S608
    return {"first": tables.plain(first), "last": tables.plain(last)}


def _examples(connection: Any, keys: list[str], cells: list[str], limit: int) -> list[dict[str, Any]]:
    """The first rows of each kind of change: `change, key, old, new`; of a changed row only the cells that changed."""
    shown = cells[:MOST_CELLS]
    found: list[dict[str, Any]] = []
    for change, where, order in (
        ("changed", "changed", "new_line"),
        ("added", "old_line IS NULL", "new_line"),
        ("removed", "new_line IS NULL", "old_line"),
    ):
        picked = f"SELECT * FROM pairs WHERE {where} ORDER BY {order} LIMIT {int(limit)}"  # noqa: S608
        columns = [f"{'old' if change == 'removed' else 'new'}.k{k}" for k in range(len(keys))]
        columns += [f"{side}.c{k}" for side in ("old", "new") for k in range(len(shown))]
        columns += [f"d{k}" for k in range(len(shown))]
        joined = f"({picked}) LEFT JOIN old ON old.line = old_line LEFT JOIN new ON new.line = new_line"
        query = f"SELECT {', '.join(columns)} FROM {joined} ORDER BY {order}"  # noqa: S608
        found += [_example(change, keys, shown, row) for row in connection.execute(query).fetchall()]
    return found


def _example(change: str, keys: list[str], cells: list[str], row: tuple[Any, ...]) -> dict[str, Any]:
    values = [tables.plain(value) for value in row]
    key, rest = values[: len(keys)], values[len(keys) :]
    old, new, differs = (rest[k * len(cells) : (k + 1) * len(cells)] for k in range(3))
    wanted = [change != "changed" or bool(one) for one in differs]

    def cells_of(side: list[Any]) -> dict[str, Any]:
        return {name: value for name, value, chosen in zip(cells, side, wanted, strict=True) if chosen}

    return {
        "change": change,
        "key": dict(zip(keys[:MOST_CELLS], key[:MOST_CELLS], strict=True)),
        "old": None if change == "added" else cells_of(old),
        "new": None if change == "removed" else cells_of(new),
    }
