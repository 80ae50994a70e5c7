"""Small static pictures for executed notebooks, visible in every notebook viewer."""

from collections.abc import Mapping
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


MOST_BARS, MOST_EFFECTS, ACROSS = 15, 8, 4


def draw_importance(document: Mapping[str, Any]) -> "Image | None":
    """The importance of the first variables of a ranking with one standard error; None where nothing is ranked."""
    rows = document["ranking"][:MOST_BARS][::-1]
    if not rows:
        return None
    figure, axes = _axes(1)
    figure.set_figheight(0.6 + 0.26 * len(rows))
    for place, one in enumerate(rows):
        error = one["importance"] / one["z"] if one["z"] else 0.0
        axes[0].barh(place, one["importance"], xerr=error, color="tab:blue" if one["significant"] else "0.7")
    axes[0].set_yticks(range(len(rows)), [str(one["variable"])[:40] for one in rows], fontsize=8)
    return _image(figure)


def draw_effects(document: Mapping[str, Any]) -> "Image | None":
    """The effects of the first variables of a ranking with twice the spread of the models; None without any."""
    from matplotlib.figure import Figure

    names = [name for one in document["ranking"] if one["significant"] for name in one["members"]][:MOST_EFFECTS]
    if not names:
        return None
    down = -(-len(names) // ACROSS)
    figure = Figure(figsize=(9, 1.9 * down), dpi=75, layout="constrained")
    axes = figure.subplots(down, ACROSS, squeeze=False).ravel()
    for axis in axes[len(names) :]:
        axis.set_visible(False)
    for axis, name in zip(axes, names, strict=False):
        curve = {key: document["curves"][name][key] for key in ("x", "y", "error")}
        y, error = pd.Series(curve["y"]), 2 * pd.Series(curve["error"])
        if document["curves"][name]["category"]:
            axis.bar(range(len(y)), y, yerr=error, tick_label=[str(word)[:8] for word in curve["x"]])
        else:
            axis.plot(curve["x"], y)
            axis.fill_between(curve["x"], y - error, y + error, alpha=0.25, linewidth=0)
        axis.set_title(str(name)[:30], loc="left", fontsize=9)
    return _image(figure)


def draw_fit(cv: pd.DataFrame, document: Mapping[str, Any]) -> "Image":
    """Predictions of a table's rows out of fold against the actual values, and the errors."""
    from matplotlib.figure import Figure

    chosen, ends = cv[document["chosen"]], [cv["y"].min(), cv["y"].max()]
    figure = Figure(figsize=(9, 3.2), dpi=75, layout="constrained")
    left, right = figure.subplots(1, 2)
    left.scatter(cv["y"], chosen, s=6, alpha=0.5)
    left.plot(ends, ends, color="0.6", linewidth=0.9)
    left.set_title(str(document["target"])[:40], loc="left", fontsize=9)
    right.hist(chosen - cv["y"], bins=30)
    return _image(figure)
