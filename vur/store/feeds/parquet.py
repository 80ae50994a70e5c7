"""Parquet files as a source of rows."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vur.errors import VurError
from vur.store.feeds.reader import MOST_ROWS, Reader, Since, checked_path

if TYPE_CHECKING:
    import pandas as pd


FILES = 10_000


class Parquet(Reader):
    """A Parquet file, or all those of a folder; there is one table, whatever its name."""

    def __init__(self, path: Path):
        import pyarrow.dataset as dataset

        files = [path] if path.is_file() else self._files(path)
        base = None if path.is_file() else str(path)
        self.data = dataset.dataset(
            [str(file) for file in files],
            format="parquet",
            partitioning="hive" if base else None,
            partition_base_dir=base,
        )

    @staticmethod
    def _files(folder: Path) -> list[Path]:
        inside = [
            path
            for path in sorted(folder.rglob("*.parquet"))
            if not any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
        ]
        if not inside:
            raise VurError("connections.no_file", path=f"{folder.name}/*.parquet")
        if len(inside) > FILES:
            raise VurError("connections.too_many", table=folder.name, limit=FILES)
        return [checked_path(str(path)) for path in inside]

    def tables(self) -> list[str]:
        """There is one."""
        return [""]

    def columns(self, table: str) -> dict[str, str]:
        """Names and types."""
        return {field.name: str(field.type) for field in self.data.schema}

    def read(
        self, table: str, names: Sequence[str], by: str, since: Since = None, limit: int | None = None
    ) -> "pd.DataFrame":
        """See `Reader.read`."""
        self.check(table, [*names, by])
        data = self.data.filter(condition) if (condition := self._since(by, since)) is not None else self.data
        if data.count_rows() > (10 * MOST_ROWS if limit else MOST_ROWS):
            raise VurError("connections.too_many", table=table or "parquet", limit=MOST_ROWS)
        found = data.to_table(columns=list(dict.fromkeys([*names, by]))).sort_by(by)
        return (found.slice(max(len(found) - limit, 0)) if limit else found).select(list(names)).to_pandas()

    def _since(self, by: str, since: Since) -> Any:
        """The condition on `by`, where its type can be compared."""
        import pyarrow as pa
        import pyarrow.dataset as dataset

        type = self.data.schema.field(by).type
        if since is None:
            return None
        if isinstance(since, int):
            return dataset.field(by) >= since if pa.types.is_integer(type) else None
        if pa.types.is_temporal(type):
            return dataset.field(by) >= pa.scalar(
                datetime.combine(since, datetime.min.time()), pa.timestamp("us")
            ).cast(type)
        return None

    def close(self) -> None:
        """Nothing is held open."""
