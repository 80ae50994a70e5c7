"""Columns known in the future must be given for every step of the horizon: checked before anything is trained."""

import pandas as pd

from vur.errors import VurError
from vur.panel import Panel, future_frame


def _coming(panel: Panel, horizon: int) -> pd.DataFrame:
    """The `horizon` stamps after each series' end with the known-future values that the data hold for them."""
    names = panel.columns("known_future")
    grid = future_frame(panel, horizon)
    given = panel.future if panel.future is not None else grid.iloc[:0][["unique_id", "ds"]]
    return grid.merge(given.reindex(columns=["unique_id", "ds", *names]), on=["unique_id", "ds"], how="left")


def known_steps(panel: Panel) -> int:
    """How many steps after its end every series has all known-future values for; 0 without such columns or values."""
    names = panel.columns("known_future")
    if not names or panel.future is None or panel.future.empty:
        return 0
    most = int(panel.future.groupby("unique_id", observed=True).size().max())
    rows = _coming(panel, most)
    lacking = rows.loc[rows[names].isna().any(axis=1), "step"]
    return most if lacking.empty else int(lacking.min()) - 1


def check_future(panel: Panel, horizon: int) -> None:
    """`VurError` naming the first series, stamp and column that the horizon needs and the data do not hold."""
    names = panel.columns("known_future")
    if not names:
        return
    rows = _coming(panel, horizon)
    empty = rows[names].isna()
    if empty.to_numpy().any():
        row = int(empty.any(axis=1).to_numpy().argmax())
        column = names[int(empty.iloc[row].to_numpy().argmax())]
        raise VurError("runs.future_missing", column=column, series=rows["unique_id"].iloc[row], stamp=rows["ds"].iloc[row],
                       count=int(empty.to_numpy().sum()), steps=known_steps(panel))
