"""The series of a model with their errors, so that the worst are found first."""

from typing import Any

import numpy as np
import pandas as pd

from vur.models.saved import Saved
from vur.predictions.actuals import family_of
from vur.predictions.open_models import open_model
from vur.predictions.vintages import backtest
from vur.store.accounts.access import Principal
from vur.store.catalog import Model
from vur.store.database import reading
from vur.store.forecasts import overrides
from vur.store.forecasts.scoring import scored_points
from vur.store.models.champions import Served, find_served

OVER_FOLDS = ("n", "mae", "wape", "bias", "skill", "share", "level")
SORTABLE = ("series", *OVER_FOLDS, "live_n", "live_mae", "live_bias", "overrides")
WORST = "-share"


def series_errors(
    who: Principal, model: str, *, sort: str = WORST, search: str | None = None, page: int = 1, limit: int = 50
) -> dict[str, Any]:
    """One page of the series of a model with their errors over the folds and in the ledger, as JSON.

    `sort` is one of `SORTABLE`, `-` for descending. Series without the figure come last.
    """
    with reading() as session:
        served = find_served(session, who, model)
        family = [one.id for one in family_of(session, session.get_one(Model, served.id))]
        points = scored_points(session, who, model_ids=family)
        counts = pd.Series(
            [row.unique_id for row in overrides.in_force(session, served.owner_id, served.family)], dtype=object
        ).value_counts()
    saved = open_model(served).saved
    table = pd.DataFrame({"series": saved.pipeline.ends.index.astype(str)}).set_index("series")
    table = table.join(fold_errors(served, saved)).join(live_errors(points))
    table["overrides"] = counts.reindex(table.index).fillna(0).astype(int)
    table = table.reset_index()
    if search:
        table = table[table["series"].str.contains(search, case=False, regex=False)]
    table = table.sort_values(
        [sort.removeprefix("-"), "series"], ascending=[not sort.startswith("-"), True], na_position="last"
    )
    rows = table.iloc[(page - 1) * limit : page * limit]
    return {
        "model_id": served.id,
        "items": [_plain(row) for row in rows.to_dict("records")],
        "total": len(table),
        "page": page,
        "limit": limit,
        "pages": -(-len(table) // limit),
    }


def fold_errors(served: Served, saved: Saved) -> pd.DataFrame:
    """Errors over the folds by series: `n, mae, wape, bias, skill, share, level`.

    `wape` is in percent of the mean size of the actual values, `skill` against the naive reference of the run,
    `share` the percentage of all absolute errors of the model's own series, sums of others left out, and `level` the
    mean size of the actual values.
    """
    table, columns = backtest(served), list(OVER_FOLDS)
    rows = table[(table["algorithm"] == table.attrs["winner"]) & table["y"].notna()]
    if rows.empty:
        return pd.DataFrame(columns=columns, index=pd.Index([], name="series", dtype=object), dtype=float)
    rows = rows.astype({"y": float, "forecast": float})
    off = rows["forecast"] - rows["y"]
    groups = pd.DataFrame(
        {"series": rows["unique_id"].astype(str), "off": off, "size": off.abs(), "level": rows["y"].abs()}
    ).groupby("series", sort=False)
    found = pd.DataFrame({"n": groups.size(), "mae": groups["size"].mean(), "bias": groups["off"].mean()})
    found["level"] = groups["level"].mean()
    found["wape"] = 100 * found["mae"] / found["level"].where(lambda level: level > 0)
    found["skill"] = 1 - found["mae"] / _reference(table).reindex(found.index)
    reconciler = saved.pipeline.reconciler
    own = found.index if reconciler is None else found.index.intersection(list(reconciler.hierarchy.bottom))
    sums = groups["size"].sum().reindex(own)
    found["share"] = 100 * sums / sums.sum() if sums.sum() > 0 else np.nan
    return found[columns]


def _reference(table: pd.DataFrame) -> pd.Series:
    """The mean absolute error of the naive reference by series, NaN where it is zero."""
    rows = table[(table["algorithm"] == table.attrs["reference"]) & table["y"].notna()]
    sizes = (rows["forecast"].astype(float) - rows["y"].astype(float)).abs()
    found = sizes.groupby(rows["unique_id"].astype(str), sort=False).mean()
    return found.where(found > 0)


def live_errors(points: pd.DataFrame) -> pd.DataFrame:
    """Errors of answered forecasts by series: `live_n, live_mae, live_bias`."""
    off = points["forecast"].astype(float) - points["actual"].astype(float)
    groups = off.groupby(points["unique_id"].astype(str), sort=False)
    sizes = off.abs().groupby(points["unique_id"].astype(str), sort=False).mean()
    found = pd.DataFrame({"live_n": groups.size(), "live_mae": sizes, "live_bias": groups.mean()})
    return found.rename_axis("series")


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    whole = ("n", "live_n", "overrides")
    return {
        name: value
        if isinstance(value, str)
        else (0 if name in whole else None)
        if not np.isfinite(value)
        else int(value)
        if name in whole
        else round(float(value), 6)
        for name, value in row.items()
    }
