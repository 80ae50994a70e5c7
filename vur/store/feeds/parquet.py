"""Parquet files and folders as data sources."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vur.errors import VurError
from vur.store.feeds.reader import MOST_ROWS, Reader, Since, checked_path

if TYPE_CHECKING:
    import pandas as pd

FILES = 10_000  # the most files of a folder


class Parquet(Reader):
    """A Parquet file, or all Parquet files of a folder; it is one table, whose name does not matter."""

    reads_folders = True
    has_tables = False

    def __init__(self, address: str):
        import pyarrow.dataset as dataset

        path = Path(address)
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
            raise VurError("connections.no_file", path=f"{folder.name}/*.parquet", field="source")
        if len(inside) > FILES:
            raise VurError("connections.too_many", table=folder.name, limit=FILES)
        return [checked_path(str(path), shown=str(path.relative_to(folder.parent))) for path in inside]

    def tables(self) -> list[str]:
        """The one table, which has no name."""
        return [""]

    def columns(self, table: str) -> dict[str, str]:
        """See `Reader.columns`."""
        return {field.name: str(field.type) for field in self.data.schema}

    def try_out(self, table: str, names: Sequence[str]) -> None:
        """See `Reader.try_out`: looks into every file of a folder."""
        super().try_out(table, names)
        self.data.count_rows()

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
        """The filter on the column `by`; None if its type cannot be compared with `since`."""
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
