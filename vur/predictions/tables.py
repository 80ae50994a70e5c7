"""Predictions of rows: open models by version, the answer, and its place in the history."""

from time import perf_counter
from typing import TYPE_CHECKING, Any

from vur.errors import VurError
from vur.predictions.open_models import LruCache
from vur.store.accounts.access import Principal
from vur.store.catalog import TabularPrediction, TabularVersion, new_id
from vur.store.database import writing
from vur.store.home import folder

if TYPE_CHECKING:
    import pandas as pd

    from vur.runs.table import FittedTable

OPEN, KEPT, MOST = 16, 1_000, 100_000  # models in memory, rows of a request in the history, rows of a request
ANSWER = "predictions.parquet"
_models: "LruCache[FittedTable]" = LruCache(OPEN)


def open_version(version: TabularVersion) -> "FittedTable":
    """The model of a trained version, cached; `VurError` store.tampered if its files were changed."""
    tag, checksum = version.tag or "", version.checksum
    return _models.get((tag, checksum), lambda: _open(tag, checksum))


def _open(tag: str, checksum: str | None) -> "FittedTable":
    from vur.runs.table import FittedTable
    from vur.store.models.models import TABLES, model_folder
    from vur.store.models.registry import checksum as checksum_of

    path = model_folder(tag, TABLES)
    if checksum_of(path) != checksum:
        raise VurError("store.tampered", tag=tag)
    return FittedTable.load(path)


def predict(
    who: Principal,
    version: TabularVersion,
    rows: Any,
    levels: list[float] | None,
    *,
    kind: str = "rows",
    source: str = "",
    request_id: str | None = None,
) -> tuple[TabularPrediction, "pd.DataFrame"]:
    """Predict rows and enter the answer into the history; the entry, and all rows with `prediction` and bounds.

    `VurError` names a column, row or value that the model cannot take, or says that there are too many rows.
    """
    import pandas as pd

    started = perf_counter()
    if len(rows) > MOST:
        raise VurError("tables.too_many_rows", field="rows", rows=len(rows), most=MOST)
    model = open_version(version)
    frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame.from_records(rows)
    found = model.predict(frame, levels)
    whole = frame.reset_index(drop=True).drop(columns=list(found.columns), errors="ignore").join(found)
    whole.attrs = dict(found.attrs)
    prediction = found["prediction"]
    entry = TabularPrediction(
        id=new_id(),
        owner_id=who.user_id,
        table_id=version.table_id,
        number=version.number,
        kind=kind,
        source=source,
        request_id=request_id,
        n_rows=len(found),
        lowest=float(prediction.min()),
        mean=float(prediction.mean()),
        highest=float(prediction.max()),
        rows=plain_rows(frame.head(KEPT), found.head(KEPT)),
        notes=found.attrs["notes"],
        seconds=round(perf_counter() - started, 6),
    )
    if kind == "file":
        place = folder("results", entry.id)
        place.mkdir(parents=True)
        whole.to_parquet(place / ANSWER, index=False)
    with writing() as session:
        session.add(entry)
    return entry, whole


def plain_rows(frame: "pd.DataFrame", found: "pd.DataFrame") -> list[dict[str, Any]]:
    """Rows as `{"given": {...}, "answer": {...}}` of plain JSON values; missing values are None."""
    given = [{str(name): _plain(value) for name, value in row.items()} for row in frame.to_dict("records")]
    answers = [{str(name): float(value) for name, value in row.items()} for row in found.to_dict("records")]
    return [{"given": one, "answer": answer} for one, answer in zip(given, answers, strict=True)]


def _plain(value: Any) -> Any:
    import pandas as pd

    if value is None or value is pd.NaT or (isinstance(value, float) and value != value) or value is pd.NA:
        return None
    if hasattr(value, "item"):
        value = value.item()
    return value if isinstance(value, str | int | float | bool) else str(value)
