"""Figures on why a value is forecast, how far intervals hold and where observations are odd, in the style of `vur.runs.plots`."""

from typing import Any

import numpy as np
import pandas as pd

from vur.frequency import Frequency
from vur.insight.importance import Importance
from vur.insight.story import Explanation, part_label
from vur.runs.plots import LIGHT, _axis, _band, _layout, _legend, _names_axis, _stamps, _time_axis, _values
from vur.text import translate
from vur.wording import digits_for, number, percent

MOST_MARKS = 60  # steps up to which each has a mark of its own


def signed(value: float, language: str, digits: int) -> str:
    """A number with its sign: `+25.0`."""
    return ("+" if value > 0 else "") + number(value, language, digits)


def waterfall_spec(found: Explanation, language: str = "en") -> dict[str, Any]:
    """From the usual level to the forecast, a bar a part, the largest first; parts that push down are in another colour."""
    shown, digits = found.shown(language), found.digits
    parts = shown["contribution"].to_numpy(float)
    before = found.baseline + np.r_[0.0, np.cumsum(parts)[:-1]][:len(parts)]
    names = [translate("insight.plot.usual", language), *shown["label"], translate("insight.plot.forecast", language)]
    rows = list(range(len(names)))[::-1]
    bars = {"type": "bar", "orientation": "h", "y": rows[1:-1], "x": _values(parts), "base": _values(before), "hoverinfo": "none", "cliponaxis": False,
            "marker": {"color": [LIGHT["forecast"] if part > 0 else LIGHT["bad"] for part in parts]},
            "text": [signed(part, language, digits) for part in parts], "textposition": "outside", "outsidetextfont": {"color": LIGHT["text"]}}
    ends = {"type": "scatter", "mode": "markers+text", "x": _values([found.baseline, found.forecast]), "y": [rows[0], rows[-1]], "hoverinfo": "none",
            "marker": {"color": [LIGHT["history"], LIGHT["forecast"]], "size": 12, "symbol": "diamond", "line": {"width": 0}}, "cliponaxis": False,
            "text": [number(value, language, digits) for value in (found.baseline, found.forecast)], "textposition": "middle right"}
    steps = np.r_[before, found.forecast]
    lines = [{"type": "line", "x0": float(x), "x1": float(x), "y0": y, "y1": y - 1, "line": {"color": LIGHT["grid"], "width": 1}, "layer": "below"}
             for x, y in zip(steps, rows[:-1], strict=True)]
    low, high = float(steps.min()), float(steps.max())
    pad = max(high - low, 1e-9 * (1 + abs(high))) * 0.28
    layout = _layout(language, 70 + 32 * len(names), bargap=0.4, shapes=lines, xaxis=_axis(language, range=[low - pad, high + pad], tickformat=",~r", nticks=6),
                     yaxis=_names_axis(language, names[::-1]))
    return {"data": [bars, ends], "layout": layout}


def shuffled_spec(found: Importance, freq: Frequency, language: str = "en") -> dict[str, Any]:
    """A bar a group: how much larger the error is without it, with its interval."""
    table = found.table.iloc[::-1]
    color = [LIGHT["forecast"] if low > 0 else LIGHT["naive"] for low in table["low"]]
    bars = {"type": "bar", "orientation": "h", "x": _values(100 * table["increase"]), "y": list(range(len(table))), "marker": {"color": color},
            "error_x": {"type": "data", "symmetric": False, "array": _values(100 * (table["high"] - table["increase"])), "thickness": 1.5, "width": 4,
                        "arrayminus": _values(100 * (table["increase"] - table["low"])), "color": LIGHT["text"]},
            "hoverinfo": "none"}
    layout = _layout(language, 80 + 30 * len(table), bargap=0.4, yaxis=_names_axis(language, [part_label(group, freq, language) for group in table["group"]]),
                     xaxis=_axis(language, title=translate("insight.plot.increase", language), ticksuffix="%", zeroline=True,
                                 zerolinecolor=LIGHT["history"], zerolinewidth=1.5))
    return {"data": [bars], "layout": layout}


def coverage_spec(table: pd.DataFrame, language: str = "en") -> dict[str, Any]:
    """Realised coverage at each step with what chance allows, and the promise as a dotted line."""
    data, colors, levels = [], [LIGHT["forecast"], LIGHT["past"], LIGHT["history"]], table["level"].nunique()
    last = int(table["step"].max())
    for position, (level, rows) in enumerate(table.groupby("level", sort=True)):
        color = colors[position % len(colors)]
        data += coverage_traces(rows, float(level), color, 0.3 * (position - (levels - 1) / 2), language)
        data.append({"type": "scatter", "mode": "lines", "x": [0.5, last + 0.5], "y": [float(level)] * 2, "hoverinfo": "skip", "showlegend": False,
                     "line": {"color": color, "width": 1.4, "dash": "dot"}})
    layout = _layout(language, 320, showlegend=True, legend=_legend(), hovermode="closest",
                     xaxis=_axis(language, title=translate("report.plot.step", language), showgrid=False, tickformat="d", range=[0.5, last + 0.5],
                                 **({"dtick": 1} if last <= 14 else {})),
                     yaxis=_axis(language, ticksuffix="%", range=[max(0.0, float(table["low"].min()) - 4), 103]))
    return {"data": data, "layout": layout}


def coverage_traces(rows: pd.DataFrame, level: float, color: str, shift: float, language: str) -> list[dict[str, Any]]:
    """Realised coverage of one level: a mark with a line for its uncertainty at each step, a band where steps are many."""
    few = len(rows) <= MOST_MARKS
    hover = translate("insight.plot.coverage", language, step="%{customdata[1]}", share="%{y:.1f}%", count="%{customdata[0]}")
    x = _values(rows["step"] + shift) if few else rows["step"].tolist()
    trace = {"type": "scatter", "mode": "markers" if few else "lines", "x": x, "y": _values(rows["realised"]),
             "name": translate("insight.plot.realised", language, level=f"{level:g}"), "line": {"color": color, "width": 2.2},
             "marker": {"color": color, "size": 7, "line": {"width": 0}},
             "customdata": [[number(n, language, 0), int(step)] for n, step in zip(rows["rows"], rows["step"], strict=True)],
             "hovertemplate": hover + f"<extra>{level:g}%</extra>"}
    if few:
        error = {"type": "data", "symmetric": False, "array": _values(rows["high"] - rows["realised"]), "arrayminus": _values(rows["realised"] - rows["low"]),
                 "color": color, "thickness": 1.2, "width": 0}
        return [trace | {"error_y": error}]
    edge, band = _band(x, _values(rows["low"]), _values(rows["high"]), "", LIGHT["outer"], {})
    return [edge, band | {"showlegend": False}, trace]


def anomaly_spec(bands: pd.DataFrame, found: pd.DataFrame, language: str = "en", level: float = 95) -> dict[str, Any]:
    """Observations of one series with the forecasts and intervals that did not know them; those outside are marked."""
    data, digits, first = [], digits_for(bands["y"]), True
    for _, run in bands.groupby("fold", sort=True) if "fold" in bands else [(0, bands)]:
        lower, upper = _band(_stamps(run["ds"]), _values(run[f"lo-{level:g}"]), _values(run[f"hi-{level:g}"]),
                             translate("report.plot.band", language, level=f"{level:g}"), LIGHT["outer"], {})
        data += [lower, upper | {"showlegend": first}]
        data.append({"type": "scatter", "mode": "lines", "x": _stamps(run["ds"]), "y": _values(run["forecast"]), "hoverinfo": "skip", "showlegend": first,
                     "name": translate("report.plot.tested", language), "line": {"color": LIGHT["past"], "width": 1.4, "dash": "dot"}})
        data.append({"type": "scatter", "mode": "lines", "x": _stamps(run["ds"]), "y": _values(run["y"]), "showlegend": first,
                     "name": translate("report.plot.observed", language), "line": {"color": LIGHT["history"], "width": 1.6},
                     "hovertemplate": f"%{{y:,.{digits}f}}<extra></extra>"})
        first = False
    data.append({"type": "scatter", "mode": "markers", "x": _stamps(found["ds"]), "y": _values(found["y"]), "name": translate("insight.plot.odd", language),
                 "marker": {"color": LIGHT["bad"], "size": 9, "line": {"width": 0}},
                 "text": [translate("insight.plot.times", language, score=number(score, language, 1)) for score in found["score"]],
                 "hovertemplate": "%{text}<extra></extra>"})
    layout = _layout(language, 360, showlegend=True, legend=_legend(), xaxis=_time_axis(language, pd.api.types.is_datetime64_any_dtype(bands["ds"])),
                     yaxis=_axis(language, tickformat=",~r"))
    return {"data": data, "layout": layout}


def increase_text(row: Any, language: str) -> str:
    """The interval of an increase: `from 2% to 31%`."""
    return f"{percent(row.low, language, 0)} – {percent(row.high, language, 0)}"
