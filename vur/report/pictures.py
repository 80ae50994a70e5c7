"""Small static pictures for executed notebooks, visible in every notebook viewer."""

from io import BytesIO
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from IPython.display import Image
    from matplotlib.figure import Figure

MOST_SERIES = 4
HISTORY_HORIZONS = 4


def _axes(count: int) -> "tuple[Figure, Any]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 1.9 * count), dpi=75, layout="constrained")
    return figure, figure.subplots(count, 1, squeeze=False)[:, 0]


def _image(figure: "Figure") -> "Image":
    from IPython.display import Image

    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return Image(buffer.getvalue())


def draw_history(frame: pd.DataFrame) -> "Image":
    """The history of at most four series, one line each."""
    shown = list(frame.groupby("unique_id", observed=True))[:MOST_SERIES]
    figure, axes = _axes(len(shown))
    for axis, (name, rows) in zip(axes, shown, strict=True):
        axis.plot(rows["ds"], rows["y"], linewidth=0.9)
        axis.set_title(str(name), loc="left", fontsize=9)
    return _image(figure)


def draw_forecast(frame: pd.DataFrame, forecast: pd.DataFrame, horizon: int) -> "Image":
    """The end of the history and the forecast with its intervals, for at most four series."""
    names = forecast["unique_id"].drop_duplicates().head(MOST_SERIES)
    levels = [name.removeprefix("lo-") for name in forecast if name.startswith("lo-")]
    figure, axes = _axes(len(names))
    for axis, name in zip(axes, names, strict=True):
        past = frame[frame["unique_id"] == name].tail(HISTORY_HORIZONS * horizon)
        ahead = forecast[forecast["unique_id"] == name]
        axis.plot(past["ds"], past["y"], linewidth=0.9, color="0.3")
        for level in levels:
            axis.fill_between(
                ahead["ds"], ahead[f"lo-{level}"], ahead[f"hi-{level}"], color="tab:blue", alpha=0.15, linewidth=0
            )
        axis.plot(ahead["ds"], ahead["forecast"], color="tab:blue", linewidth=1.2)
        axis.set_title(str(name), loc="left", fontsize=9)
    return _image(figure)
