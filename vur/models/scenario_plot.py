"""Baseline and scenarios in one plot, as a plain Plotly description in the style of `vur.report.plots`."""

from typing import Any

import pandas as pd

from vur.report.figures import LIGHT, label, layout_of, legend, series_menu, stamps_of, time_axis, value_axis, values_of
from vur.report.plots import MAX_POINTS, MAX_SERIES
from vur.text import translate
from vur.wording import digits_for

COLORS = ("past", "bad", "good", "naive")
DASHES = ("solid", "dash", "dot", "dashdot")


def compare_spec(
    table: pd.DataFrame,
    history: pd.DataFrame | None = None,
    language: str = "en",
    series: str | None = None,
    height: int = 430,
) -> dict[str, Any]:
    """History, baseline and scenarios of each series; the first is shown, a menu selects another.

    `table` is the result of `compare`, `history` has `unique_id, ds, y`. At most `MAX_SERIES` series are included,
    those that the scenarios change most, unless `series` names one.
    """
    names = [series] if series is not None else most_changed(table)
    pasts = {} if history is None else dict(tuple(history.groupby("unique_id", observed=True)))
    tables, data = dict(tuple(table.groupby("unique_id", observed=True))), []
    empty = pd.DataFrame({"ds": table["ds"].iloc[:0], "y": pd.Series([], dtype=float)})
    for position, name in enumerate(names):
        keep = max(5 * len(tables[name]), 60)
        past = pasts.get(name, empty).tail(min(keep, MAX_POINTS // max(len(names), 1)))
        data += _traces(past, tables[name], language, position == 0)
    per = len(data) // max(len(names), 1)
    layout = layout_of(
        language,
        height,
        showlegend=True,
        legend=legend(),
        hovermode="x unified",
        xaxis=time_axis(language, pd.api.types.is_datetime64_any_dtype(table["ds"])),
        yaxis=value_axis(language, tickformat=",~r"),
        meta={"series": names, "traces": per},
    )
    if len(names) > 1:
        layout["updatemenus"] = [series_menu(names, per)]
        layout["margin"]["t"] = 60
    return {"data": data, "layout": layout}


def most_changed(table: pd.DataFrame, most: int = MAX_SERIES) -> list[str]:
    """The series whose forecasts change most, in the target's units; ties in the order of the table."""
    columns = [name for name in table.columns if name not in ("unique_id", "ds", "baseline")]
    change = table[columns].sub(table["baseline"], axis=0).abs().sum(axis=1)
    return (
        change.groupby(table["unique_id"], sort=False)
        .sum()
        .sort_values(ascending=False, kind="stable")
        .head(most)
        .index.tolist()
    )


def _traces(past: pd.DataFrame, rows: pd.DataFrame, language: str, visible: bool) -> list[dict[str, Any]]:
    """History, baseline and each scenario of one series; future lines start at the last observation."""
    last = past.dropna(subset=["y"]).tail(1)
    start_x, start_y = (stamps_of(last["ds"]), values_of(last["y"])) if len(last) else ([], [])
    digits = digits_for(rows["baseline"])
    common = {"type": "scatter", "visible": visible}

    def line(x: list, y: list, name: str, color: str, width: float, dash: str = "solid") -> dict[str, Any]:
        return {
            **common,
            "mode": "lines+markers" if len(x) == 1 else "lines",
            "x": x,
            "y": y,
            "name": label(name),
            "line": {"color": LIGHT[color], "width": width, "dash": dash},
            "hovertemplate": f"%{{y:,.{digits}f}}<extra>{label(name)}</extra>",
        }

    ahead = start_x + stamps_of(rows["ds"])
    traces = [
        line(stamps_of(past["ds"]), values_of(past["y"]), translate("report.plot.observed", language), "history", 1.6),
        line(ahead, start_y + values_of(rows["baseline"]), translate("scenarios.baseline", language), "forecast", 3.2),
    ]
    columns = [name for name in rows.columns if name not in ("unique_id", "ds", "baseline")]
    return traces + [
        line(ahead, start_y + values_of(rows[name]), name, COLORS[k % 4], 2.0, DASHES[k // 4 % 4])
        for k, name in enumerate(columns)
    ]
