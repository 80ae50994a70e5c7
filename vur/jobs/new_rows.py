"""New rows of a data source for a monitor: read as the model's observations, and joined with its forecasts of them."""

from collections.abc import Mapping
from datetime import UTC, date, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from vur.errors import VurError
from vur.store.catalog import DatabaseConnection, ForecastPoint
from vur.store.database import reading
from vur.store.feeds import connections
from vur.store.feeds.connections import Columns

if TYPE_CHECKING:
    import pandas as pd

    from vur.models.saved import Saved

SERIES_AT_ONCE = 500
DAY, MONTH = timedelta(days=1), timedelta(days=31)


def series_ends(ends: "pd.Series") -> dict[str, Any]:
    """The last stamp of each series for JSON: an ISO string or an integer."""
    import pandas as pd

    return {str(id): end.isoformat() if isinstance(end, pd.Timestamp) else int(end) for id, end in ends.items()}


def earliest(ends: Mapping[str, Any]) -> date | int | None:
    """The stamp from which to read rows of any series: the earliest end, less a day because of time zones."""
    import pandas as pd

    first = min(ends.values(), default=None)
    return pd.Timestamp(first).date() - DAY if isinstance(first, str) else first


def read_rows(source: DatabaseConnection, saved: "Saved", since: Mapping[str, Any]) -> "pd.DataFrame":
    """Read the rows of a source since the earliest end in `since`, with the column names of the training data."""
    names = names_for(saved, Columns.of(source))
    chosen = Columns.of(source)
    with connections.open_source(source) as reader:
        frame = reader.read(source.table, chosen.names, chosen.date, earliest(since))
    frame.attrs.clear()
    return frame[[chosen.date, chosen.target, *chosen.series, *chosen.covariates]].set_axis(names, axis="columns")


def names_for(saved: "Saved", chosen: Columns) -> list[str]:
    """The model's column names for a source's date, target, series and covariates.

    `VurError` monitors.series_columns if the number of series columns differs.
    """
    names = saved.head["names"]
    series = list(names.get("series") or [])
    if len(series) != len(chosen.series):
        raise VurError("monitors.series_columns", wanted=", ".join(series) or "-", have=", ".join(chosen.series) or "-")
    return [names.get("date") or "ds", names.get("target") or "y", *series, *chosen.covariates]


def in_source(error: VurError, source: DatabaseConnection, saved: "Saved") -> VurError:
    """The error with the source's name of the column it is about, instead of the model's."""
    chosen = Columns.of(source)
    own = [chosen.date, chosen.target, *chosen.series, *chosen.covariates]
    names = dict(zip(names_for(saved, chosen), own, strict=True))
    column = error.data.get("column")
    return (
        VurError(error.code, stage=error.stage, **error.data | {"column": names[column]}) if column in names else error
    )


def rows_after(frame: "pd.DataFrame", ends: Mapping[str, Any]) -> "pd.DataFrame | None":
    """The observed rows of a panel after the end of their series; None if there are none."""
    import pandas as pd

    known = frame["unique_id"].astype(str).map(dict(ends))
    if frame["ds"].dtype.kind == "M":
        known = pd.to_datetime(known, format="ISO8601").astype(frame["ds"].dtype)
    late = (known.isna() | (frame["ds"] > known)).to_numpy() & frame["y"].notna().to_numpy()
    return frame.loc[late, ["unique_id", "ds", "y"]].reset_index(drop=True) if late.any() else None


def rows_to_forecast(
    saved: "Saved", table: "pd.DataFrame", new: "pd.DataFrame", ends: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The rows from whose ends to forecast: those of series with new rows; all for a hierarchy."""
    from vur.models.moving import series_of

    if saved.pipeline.reconciler is None:
        table = table[[id in set(new["unique_id"]) for id in series_of(saved, table)]]
    return table.to_dict("records")


def with_forecasts(owner_id: str, tag: str, new: "pd.DataFrame", freq: str) -> "pd.DataFrame":
    """Join `new` (`unique_id, ds, y`) with the latest forecast of each value: `forecast, quantiles`."""
    import pandas as pd

    from vur.store.forecasts.cells import cells

    dated, point = new["ds"].dtype.kind == "M", ForecastPoint
    target = point.target_at if dated else point.target_step
    low, high = new["ds"].min(), new["ds"].max()
    low, high = (
        ((stamp + way).to_pydatetime().replace(tzinfo=UTC) for stamp, way in ((low, -MONTH), (high, MONTH)))
        if dated
        else (int(low), int(high))
    )
    columns = (point.unique_id, target, point.horizon, point.forecast, point.quantiles)
    rows: list[Any] = []
    ids = new["unique_id"].astype(str).unique().tolist()
    with reading() as session:
        for start in range(0, len(ids), SERIES_AT_ONCE):
            some = point.unique_id.in_(ids[start : start + SERIES_AT_ONCE])
            rows += session.execute(
                select(*columns)
                .where(point.owner_id == owner_id, point.tag == tag, some, target.between(low, high))
                .order_by(point.id.desc())
            ).all()
    found = pd.DataFrame(rows, columns=["unique_id", "target", "horizon", "forecast", "quantiles"])
    stamps = (
        pd.to_datetime(found["target"], utc=True).dt.tz_localize(None) if dated else found["target"].astype("int64")
    )
    found = (
        found.assign(cell=cells(stamps.to_numpy(), freq))
        .sort_values("horizon", kind="stable")
        .drop_duplicates(["unique_id", "cell"])
    )
    return new.assign(unique_id=new["unique_id"].astype(str), cell=cells(new["ds"].to_numpy(), freq)).merge(
        found, on=["unique_id", "cell"]
    )


def outside_intervals(rows: "pd.DataFrame") -> list[dict[str, Any]]:
    """The rows of `with_forecasts` whose value is outside its widest interval."""
    from vur.models.future import stamp_text

    found = []
    for row in rows.itertuples():
        level = max(row.quantiles, key=float, default=None)
        low, high = row.quantiles[level] if level else (None, None)
        if low is not None and high is not None and not low <= row.y <= high:
            numbers = {"value": row.y, "forecast": row.forecast, "low": low, "high": high, "level": level}
            found.append(
                {
                    "series": str(row.unique_id),
                    "stamp": stamp_text(row.ds),
                    **{name: float(f"{float(value):.6g}") for name, value in numbers.items()},
                }
            )
    return found
