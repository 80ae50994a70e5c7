"""Figures of the report as plain Plotly descriptions; `forecast_figure` builds the one that `r.plot()` shows.

Every `*_spec` function returns `{"data": [...], "layout": {...}}` of lists, strings and numbers, so that a report is
written without importing plotly. Colours are those of `LIGHT`; the page replaces them with `DARK` when the reader's
system uses a dark theme.
"""

import html
from typing import Any

import numpy as np
import pandas as pd

from vur.explain.attribution import Importance
from vur.explain.why import Explanation, part_label
from vur.forecasters.registry import algorithm_name
from vur.frequency import DAY, TICKS, Frequency, spacing
from vur.report.figures import (
    LIGHT,
    band_traces,
    label,
    layout_of,
    legend,
    names_axis,
    series_menu,
    stamps_of,
    time_axis,
    value_axis,
    values_of,
)
from vur.settings import tidy_levels
from vur.text import translate
from vur.wording import digits_for, level_text, number, percent, stamp

MAX_SERIES, MAX_POINTS = 20, 24_000


def levels_of(forecast: pd.DataFrame) -> list[float]:
    """Interval levels of a forecast frame in percent, widest first; whole ones are int."""
    return list(tidy_levels(float(name[3:]) for name in forecast.columns if name.startswith("lo-")))[::-1]


def shown_series(
    history: pd.DataFrame, forecast: pd.DataFrame, first: list[str] | tuple[str, ...] = (), most: int = MAX_SERIES
) -> list[str]:
    """The series that a figure contains: those in `first`, then the largest by sum of |y|, at most `most`."""
    from vur.explain.drivers import largest_series

    there = set(forecast["unique_id"].unique())
    names = [
        name
        for name in dict.fromkeys([*first, *largest_series(history, most + len(first) + len(there))])
        if name in there
    ]
    return names[:most]


def _forecast_traces(
    past: pd.DataFrame, ahead: pd.DataFrame, tested: pd.DataFrame, language: str, visible: bool, digits: int
) -> list[dict]:
    """Bands, past test forecasts, history and forecast of one series.

    The forecast line starts at the last observation.
    """
    group: dict[str, Any] = {"visible": visible}
    last = past.dropna(subset=["y"]).tail(1)
    start_x, start_y = (stamps_of(last["ds"]), values_of(last["y"])) if len(last) else ([], [])
    x, traces = start_x + stamps_of(ahead["ds"]), []
    levels = levels_of(ahead)
    for level in levels:
        color = LIGHT["inner"] if level == min(levels) and len(levels) > 1 else LIGHT["outer"]
        name = translate("report.plot.band", language, level=level_text(level, language))
        traces += band_traces(
            x, start_y + values_of(ahead[f"lo-{level}"]), start_y + values_of(ahead[f"hi-{level}"]), name, color, group
        )
    value = f"%{{y:,.{digits}f}}"
    traces.append(
        {
            "type": "scatter",
            "mode": "lines",
            "x": stamps_of(past["ds"]),
            "y": values_of(past["y"]),
            **group,
            "name": translate("report.plot.observed", language),
            "line": {"color": LIGHT["history"], "width": 1.6},
            "hovertemplate": f"{value}<extra>{translate('report.plot.observed', language)}</extra>",
        }
    )
    traces.append(
        {
            "type": "scatter",
            "mode": "lines",
            "x": stamps_of(tested["ds"]),
            "y": values_of(tested["forecast"]),
            **group,
            "name": translate("report.plot.tested", language),
            "line": {"color": LIGHT["past"], "width": 1.4, "dash": "dot"},
            "hovertemplate": f"{value}<extra>{translate('report.plot.tested', language)}</extra>",
        }
    )
    ranges = [""] * len(start_x) + [
        "".join(
            f"<br>{level_text(level, language)}%: {number(lo, language, digits)} – {number(hi, language, digits)}"
            for level, lo, hi in ((n, row[f"lo-{n}"], row[f"hi-{n}"]) for n in reversed(levels))
        )
        for row in ahead.to_dict("records")
    ]
    traces.append(
        {
            "type": "scatter",
            "mode": "lines+markers" if len(ahead) == 1 else "lines",
            "x": x,
            "customdata": ranges,
            "y": start_y + values_of(ahead["forecast"]),
            "name": translate("report.plot.forecast", language),
            **group,
            "line": {"color": LIGHT["forecast"], "width": 2.4},
            "marker": {"size": [0] * len(start_x) + [8] * len(ahead), "line": {"width": 0}},
            "hovertemplate": f"{value}%{{customdata}}<extra>{translate('report.plot.forecast', language)}</extra>",
        }
    )
    return traces


def _test_runs(residuals: pd.DataFrame | None, name: str) -> pd.DataFrame:
    """Past test forecasts of one series, with an empty row between folds."""
    if residuals is None or residuals.empty:
        return pd.DataFrame({"ds": pd.Series([], dtype="datetime64[ns]"), "forecast": []})
    rows = residuals[residuals["unique_id"] == name].sort_values("ds")
    if "fold" not in rows:
        return rows[["ds", "forecast"]]
    runs = [
        part
        for _, fold in rows.groupby("fold")
        for part in (fold[["ds", "forecast"]], fold[["ds", "forecast"]].tail(1).assign(forecast=np.nan))
    ]
    return pd.concat(runs, ignore_index=True) if runs else rows[["ds", "forecast"]]


PLOTLY_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def closed_times(freq: Frequency | None) -> list[dict[str, Any]]:
    """Days of the week and hours that have no stamp, as breaks of a Plotly axis; hours only if all days share them."""
    if freq is None or (found := spacing(freq.alias)).kind not in ("open", "business"):
        return []
    days = found.days if found.kind == "open" else {day: (0,) for day in range(5)}
    breaks: list[dict[str, Any]] = [
        {"bounds": [PLOTLY_DAYS[day], PLOTLY_DAYS[(day + 1) % 7]]} for day in range(7) if day not in days
    ]
    if found.kind == "open" and found.size < DAY:
        hours = found.size / TICKS["h"]
        first = hours * min(slots[0] for slots in days.values())
        last = hours * (max(slots[-1] for slots in days.values()) + 1)
        if last - first < 24:
            breaks.append({"bounds": [last % 24, first], "pattern": "hour"})
    return breaks


def forecast_spec(
    history: pd.DataFrame,
    forecast: pd.DataFrame,
    language: str = "en",
    series: str | list[str] | None = None,
    residuals: pd.DataFrame | None = None,
    height: int = 430,
    freq: Frequency | None = None,
) -> dict[str, Any]:
    """History, past test forecasts and forecast with interval bands; the first series is shown, a menu selects another.

    `series` names the series to include (default: the `MAX_SERIES` largest). History is shortened to keep the figure
    small. Days and hours that `freq` says are closed take no room on the axis. `layout.meta` holds `series` (names in
    order), `traces` (number of traces per series) and `recent` (number of observations in the zoomed view).
    """
    names = [series] if isinstance(series, str) else list(series or shown_series(history, forecast))
    keep = max(MAX_POINTS // max(len(names), 1), 60)
    pasts, aheads = (
        dict(tuple(history.groupby("unique_id", observed=True))),
        dict(tuple(forecast.groupby("unique_id", observed=True))),
    )
    empty = history.head(0)
    digits = digits_for(forecast["forecast"].head(1000))
    data: list[dict] = []
    for position, name in enumerate(names):
        past = pasts.get(name, empty).tail(keep)
        data += _forecast_traces(past, aheads[name], _test_runs(residuals, name), language, position == 0, digits)
    per = len(data) // max(len(names), 1)
    layout = layout_of(
        language,
        height,
        showlegend=True,
        legend=legend(),
        hovermode="x unified",
        xaxis=time_axis(language, pd.api.types.is_datetime64_any_dtype(forecast["ds"]))
        | ({"rangebreaks": breaks} if (breaks := closed_times(freq)) else {}),
        yaxis=value_axis(language, tickformat=",~r" if digits else ",d", rangemode="normal"),
        meta={
            "series": names,
            "traces": per,
            "recent": int(max(5 * forecast.groupby("unique_id", observed=True).size().max(), 60)),
        },
    )
    if len(names) > 1:
        layout["updatemenus"] = [series_menu(names, per)]
        layout["margin"]["t"] = 60
    return {"data": data, "layout": layout}


def forecast_figure(
    history: pd.DataFrame,
    forecast: pd.DataFrame,
    language: str = "en",
    series: str | list[str] | None = None,
    residuals: pd.DataFrame | None = None,
    freq: Frequency | None = None,
) -> Any:
    """The Plotly figure of a forecast: history, bands, and a menu when there are several series."""
    import plotly.graph_objects as go

    return go.Figure(forecast_spec(history, forecast, language, series, residuals, freq=freq))


# --- accuracy ---


def skill_spec(leaderboard: pd.DataFrame, language: str = "en", winner: str | None = None) -> dict[str, Any]:
    """One bar per algorithm: how much smaller its error is than that of the best naive forecast (the line at 0)."""
    table = leaderboard.dropna(subset=["skill"]).iloc[::-1]
    share = table["skill"].clip(lower=-1.0)
    best = winner if winner is not None else leaderboard["algorithm"].iloc[0]
    colors = [
        LIGHT["forecast"] if a == best else LIGHT["naive"] if s > -1e-9 else LIGHT["bad"]
        for a, s in zip(table["algorithm"], share, strict=True)
    ]
    texts = [percent(s, language) for s in table["skill"]]
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": values_of(100 * share),
        "y": list(range(len(table))),
        "marker": {"color": colors},
        "text": texts,
        "cliponaxis": False,
        "hoverinfo": "none",
        "textposition": ["inside" if s < -0.5 else "outside" for s in share],
        "insidetextanchor": "end",
        "outsidetextfont": {"color": LIGHT["text"]},
        "insidetextfont": {"color": LIGHT["surface"]},
    }
    low, high = min(100 * share.min(), 0.0) if len(share) else 0.0, max(100 * share.max(), 0.0) if len(share) else 0.0
    pad = max(high - low, 1.0) * 0.22
    layout = layout_of(
        language,
        70 + 30 * len(table),
        bargap=0.35,
        xaxis=value_axis(
            language,
            title=translate("report.plot.skill", language),
            ticksuffix="%",
            zeroline=True,
            zerolinecolor=LIGHT["history"],
            zerolinewidth=1.5,
            range=[low - (pad if low < 0 else 0), high + pad],
        ),
        yaxis=names_axis(language, [algorithm_name(a, language) for a in table["algorithm"]]),
    )
    return {"data": [bars], "layout": layout}


def step_spec(
    by_step: pd.DataFrame,
    language: str = "en",
    metric: str = "mae",
    algorithms: list[str] | None = None,
    reference: str = "seasonal_naive",
) -> dict[str, Any]:
    """Error at each step of the horizon, one line per algorithm: the winner first, the `reference` in grey."""
    names = algorithms or by_step["algorithm"].drop_duplicates().tolist()[:3]
    data = []
    for position, name in enumerate(names):
        rows = by_step[by_step["algorithm"] == name].sort_values("step")
        color = LIGHT["forecast"] if position == 0 else LIGHT["naive"] if name == reference else LIGHT["past"]
        title = label(algorithm_name(name, language))
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers" if len(rows) <= 40 else "lines",
                "name": title,
                "x": [int(s) for s in rows["step"]],
                "y": values_of(rows[metric]),
                "line": {"color": color, "width": 2.4 if position == 0 else 1.6},
                "marker": {"size": 5, "line": {"width": 0}},
                "hovertemplate": f"%{{y:,.4~r}}<extra>{title}</extra>",
            }
        )
    layout = layout_of(
        language,
        300,
        showlegend=True,
        legend=legend(),
        hovermode="x unified",
        xaxis=value_axis(
            language,
            title=translate("report.plot.step", language),
            showgrid=False,
            tickformat="d",
            range=[0.5, float(by_step["step"].max()) + 0.5],
        ),
        yaxis=value_axis(
            language, title=translate(f"report.metric.{metric}", language), rangemode="tozero", tickformat=",~r"
        ),
    )
    return {"data": data, "layout": layout}


# --- residuals and drivers ---


def acf_spec(acf: pd.DataFrame, language: str = "en") -> dict[str, Any]:
    """Autocorrelation of the errors as bars, with the band for independent errors."""
    outside = acf["acf"].abs() > acf["bound"]
    bars = {
        "type": "bar",
        "x": acf["lag"].tolist(),
        "y": values_of(acf["acf"]),
        "width": 0.45,
        "showlegend": False,
        "marker": {"color": [LIGHT["bad"] if out else LIGHT["forecast"] for out in outside]},
        "hovertemplate": "%{x}: %{y:.2f}<extra></extra>",
    }
    band = band_traces(acf["lag"].tolist(), values_of(-acf["bound"]), values_of(acf["bound"]), "", LIGHT["outer"], {})
    layout = layout_of(
        language,
        250,
        xaxis=value_axis(language, title=translate("report.plot.lag", language), showgrid=False, tickformat="d"),
        yaxis=value_axis(language, zeroline=True, zerolinecolor=LIGHT["history"], tickformat="~r", nticks=6),
    )
    return {"data": [*band, bars], "layout": layout}


def error_histogram_spec(scaled: np.ndarray, language: str = "en") -> dict[str, Any]:
    """Histogram of scaled errors, in multiples of the typical error; right of 0 the actual value was higher."""
    inside = np.clip(scaled, -5, 5)
    counts, edges = np.histogram(inside, bins=min(31, max(9, int(np.sqrt(len(inside))) | 1)))
    bars = {
        "type": "bar",
        "x": values_of((edges[:-1] + edges[1:]) / 2),
        "y": [int(c) for c in counts],
        "width": values_of(np.diff(edges) * 0.92),
        "marker": {"color": LIGHT["forecast"]},
        "hovertemplate": "%{x:.1f}: %{y}<extra></extra>",
    }
    layout = layout_of(
        language,
        250,
        xaxis=value_axis(
            language,
            title=translate("report.plot.scaled_error", language),
            showgrid=False,
            zeroline=True,
            zerolinecolor=LIGHT["history"],
        ),
        yaxis=value_axis(language, tickformat="d"),
    )
    return {"data": [bars], "layout": layout}


def decomposition_spec(parts: pd.DataFrame, language: str = "en") -> dict[str, Any]:
    """Observed values, trend, season and remainder, stacked as panels."""
    names = [
        name
        for name in ("observed", "trend", "seasonal", "remainder")
        if name == "observed" or parts[name].abs().sum() > 0
    ]
    x, data, height = stamps_of(parts["ds"]), [], 1 / len(names)
    layout = layout_of(
        language, 110 * len(names) + 50, xaxis=time_axis(language, pd.api.types.is_datetime64_any_dtype(parts["ds"]))
    )
    for position, name in enumerate(names):
        suffix = "" if position == 0 else str(position + 1)
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": x,
                "y": values_of(parts[name]),
                "yaxis": f"y{suffix}",
                "hovertemplate": "%{y:,.4~r}<extra></extra>",
                "line": {"color": LIGHT["history"] if name == "observed" else LIGHT["forecast"], "width": 1.4},
            }
        )
        top = 1 - position * height
        layout[f"yaxis{suffix}"] = value_axis(
            language,
            domain=[top - height * 0.8, top],
            tickformat=",~r",
            nticks=4,
            title=translate(f"report.plot.{name}", language),
        )
    layout["xaxis"]["anchor"] = f"y{len(names)}" if len(names) > 1 else "y"
    return {"data": data, "layout": layout}


def importance_spec(
    importance: pd.DataFrame, language: str = "en", top: int = 12, labels: list[str] | None = None
) -> dict[str, Any]:
    """The `top` features by share of importance, most important at the top."""
    table = importance.head(top).iloc[::-1]
    names = (labels or importance["feature"].tolist())[: len(table)][::-1]
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": values_of(100 * table["importance"]),
        "y": list(range(len(names))),
        "marker": {"color": LIGHT["forecast"]},
        "text": [percent(v, language, 0) for v in table["importance"]],
        "textposition": "outside",
        "cliponaxis": False,
        "hoverinfo": "none",
        "textfont": {"color": LIGHT["text"]},
    }
    layout = layout_of(
        language,
        60 + 28 * len(table),
        bargap=0.35,
        xaxis=value_axis(
            language, visible=False, range=[0, 115 * float(table["importance"].max() if len(table) else 1)]
        ),
        yaxis=names_axis(language, names),
    )
    return {"data": [bars], "layout": layout}


# --- small static drawings ---


def sparkline(
    past: pd.DataFrame, ahead: pd.DataFrame, freq: Frequency, language: str, width: int = 160, height: int = 34
) -> str:
    """A small inline SVG of the end of one series and its forecast with the narrowest band.

    Colours come from the page's CSS.
    """
    shown = max(2 * len(ahead), 24)
    y, f = past["y"].tail(shown).to_numpy(float), ahead["forecast"].to_numpy(float)
    level = min(levels_of(ahead), default=None)
    lo, hi = (ahead[f"lo-{level}"].to_numpy(float), ahead[f"hi-{level}"].to_numpy(float)) if level else (f, f)
    known = np.concatenate([y, lo, hi])
    known = known[np.isfinite(known)]
    if not len(known):
        return ""
    low, high = known.min(), known.max()
    xs = np.linspace(2, width - 2, len(y) + len(f))

    def points(values: np.ndarray, at: np.ndarray) -> str:
        ys = height - 3 - (values - low) / ((high - low) or 1.0) * (height - 6)
        return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(at, ys, strict=True) if np.isfinite(b))

    front = xs[len(y) :]
    band = points(np.concatenate([lo, hi[::-1]]), np.concatenate([front, front[::-1]]))
    words = translate(
        "report.plot.sparkline",
        language,
        last=stamp(past["ds"].iloc[-1], freq, language) if len(past) else "–",
        end=stamp(ahead["ds"].iloc[-1], freq, language),
    )
    return (
        f'<svg class="spark" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{html.escape(words)}">'
        f'<polygon class="spark-band" points="{band}"/>'
        f'<polyline class="spark-past" points="{points(y, xs[: len(y)])}"/>'
        f'<polyline class="spark-ahead" points="{points(f, front)}"/></svg>'
    )


MOST_MARKS = 60  # steps that are drawn as points; more become a band


def signed(value: float, language: str, digits: int) -> str:
    """A number with its sign: `+25.0`."""
    return ("+" if value > 0 else "") + number(value, language, digits)


def waterfall_spec(found: Explanation, language: str = "en") -> dict[str, Any]:
    """A waterfall from the usual level to the forecast: one bar per contribution, largest first.

    Negative contributions have another colour.
    """
    shown, digits = found.shown(language), found.digits
    parts = shown["contribution"].to_numpy(float)
    before = found.baseline + np.r_[0.0, np.cumsum(parts)[:-1]][: len(parts)]
    names = [translate("insight.plot.usual", language), *shown["label"], translate("insight.plot.forecast", language)]
    rows = list(range(len(names)))[::-1]
    bars = {
        "type": "bar",
        "orientation": "h",
        "y": rows[1:-1],
        "x": values_of(parts),
        "base": values_of(before),
        "hoverinfo": "none",
        "cliponaxis": False,
        "marker": {"color": [LIGHT["forecast"] if part > 0 else LIGHT["bad"] for part in parts]},
        "text": [signed(part, language, digits) for part in parts],
        "textposition": "outside",
        "outsidetextfont": {"color": LIGHT["text"]},
    }
    ends = {
        "type": "scatter",
        "mode": "markers+text",
        "x": values_of([found.baseline, found.forecast]),
        "y": [rows[0], rows[-1]],
        "hoverinfo": "none",
        "marker": {
            "color": [LIGHT["history"], LIGHT["forecast"]],
            "size": 12,
            "symbol": "diamond",
            "line": {"width": 0},
        },
        "cliponaxis": False,
        "text": [number(value, language, digits) for value in (found.baseline, found.forecast)],
        "textposition": "middle right",
    }
    steps = np.r_[before, found.forecast]
    lines = [
        {
            "type": "line",
            "x0": float(x),
            "x1": float(x),
            "y0": y,
            "y1": y - 1,
            "line": {"color": LIGHT["grid"], "width": 1},
            "layer": "below",
        }
        for x, y in zip(steps, rows[:-1], strict=True)
    ]
    low, high = float(steps.min()), float(steps.max())
    pad = max(high - low, 1e-9 * (1 + abs(high))) * 0.28
    layout = layout_of(
        language,
        70 + 32 * len(names),
        bargap=0.4,
        shapes=lines,
        xaxis=value_axis(language, range=[low - pad, high + pad], tickformat=",~r", nticks=6),
        yaxis=names_axis(language, names[::-1]),
    )
    return {"data": [bars, ends], "layout": layout}


def shuffled_spec(found: Importance, freq: Frequency, language: str = "en") -> dict[str, Any]:
    """One bar per group of features: how much larger the error is without it, with its interval."""
    table = found.table.iloc[::-1]
    color = [LIGHT["forecast"] if low > 0 else LIGHT["naive"] for low in table["low"]]
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": values_of(100 * table["increase"]),
        "y": list(range(len(table))),
        "marker": {"color": color},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": values_of(100 * (table["high"] - table["increase"])),
            "thickness": 1.5,
            "width": 4,
            "arrayminus": values_of(100 * (table["increase"] - table["low"])),
            "color": LIGHT["text"],
        },
        "hoverinfo": "none",
    }
    layout = layout_of(
        language,
        80 + 30 * len(table),
        bargap=0.4,
        yaxis=names_axis(language, [part_label(group, freq, language) for group in table["group"]]),
        xaxis=value_axis(
            language,
            title=translate("insight.plot.increase", language),
            ticksuffix="%",
            zeroline=True,
            zerolinecolor=LIGHT["history"],
            zerolinewidth=1.5,
        ),
    )
    return {"data": [bars], "layout": layout}


def coverage_spec(table: pd.DataFrame, language: str = "en") -> dict[str, Any]:
    """Realised coverage at each step with its sampling error, and the nominal level as a dotted line."""
    data, colors, levels = [], [LIGHT["forecast"], LIGHT["past"], LIGHT["history"]], table["level"].nunique()
    last = int(table["step"].max())
    for position, (level, rows) in enumerate(table.groupby("level", sort=True)):
        color = colors[position % len(colors)]
        data += coverage_traces(rows, float(level), color, 0.3 * (position - (levels - 1) / 2), language)
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": [0.5, last + 0.5],
                "y": [float(level)] * 2,
                "hoverinfo": "skip",
                "showlegend": False,
                "line": {"color": color, "width": 1.4, "dash": "dot"},
            }
        )
    layout = layout_of(
        language,
        320,
        showlegend=True,
        legend=legend(),
        hovermode="closest",
        xaxis=value_axis(
            language,
            title=translate("report.plot.step", language),
            showgrid=False,
            tickformat="d",
            range=[0.5, last + 0.5],
            **({"dtick": 1} if last <= 14 else {}),
        ),
        yaxis=value_axis(language, ticksuffix="%", range=[max(0.0, float(table["low"].min()) - 4), 103]),
    )
    return {"data": data, "layout": layout}


def coverage_traces(rows: pd.DataFrame, level: float, color: str, shift: float, language: str) -> list[dict[str, Any]]:
    """Realised coverage of one level: a point with an error bar at each step, a band when there are many steps."""
    few = len(rows) <= MOST_MARKS
    hover = translate(
        "insight.plot.coverage", language, step="%{customdata[1]}", share="%{y:.1f}%", count="%{customdata[0]}"
    )
    x = values_of(rows["step"] + shift) if few else rows["step"].tolist()
    trace = {
        "type": "scatter",
        "mode": "markers" if few else "lines",
        "x": x,
        "y": values_of(rows["realised"]),
        "name": translate("insight.plot.realised", language, level=level_text(level, language)),
        "line": {"color": color, "width": 2.2},
        "marker": {"color": color, "size": 7, "line": {"width": 0}},
        "customdata": [[number(n, language, 0), int(step)] for n, step in zip(rows["rows"], rows["step"], strict=True)],
        "hovertemplate": hover + f"<extra>{level:g}%</extra>",
    }
    if few:
        error = {
            "type": "data",
            "symmetric": False,
            "array": values_of(rows["high"] - rows["realised"]),
            "arrayminus": values_of(rows["realised"] - rows["low"]),
            "color": color,
            "thickness": 1.2,
            "width": 0,
        }
        return [trace | {"error_y": error}]
    edge, band = band_traces(x, values_of(rows["low"]), values_of(rows["high"]), "", LIGHT["outer"], {})
    return [edge, band | {"showlegend": False}, trace]


def anomaly_spec(bands: pd.DataFrame, found: pd.DataFrame, language: str = "en", level: float = 95) -> dict[str, Any]:
    """Observations of one series with held-out forecasts and intervals; those outside the interval are marked."""
    data, digits, first = [], digits_for(bands["y"]), True
    for _, run in bands.groupby("fold", sort=True) if "fold" in bands else [(0, bands)]:
        lower, upper = band_traces(
            stamps_of(run["ds"]),
            values_of(run[f"lo-{level:g}"]),
            values_of(run[f"hi-{level:g}"]),
            translate("report.plot.band", language, level=level_text(level, language)),
            LIGHT["outer"],
            {},
        )
        data += [lower, upper | {"showlegend": first}]
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": stamps_of(run["ds"]),
                "y": values_of(run["forecast"]),
                "hoverinfo": "skip",
                "showlegend": first,
                "name": translate("report.plot.tested", language),
                "line": {"color": LIGHT["past"], "width": 1.4, "dash": "dot"},
            }
        )
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": stamps_of(run["ds"]),
                "y": values_of(run["y"]),
                "showlegend": first,
                "name": translate("report.plot.observed", language),
                "line": {"color": LIGHT["history"], "width": 1.6},
                "hovertemplate": f"%{{y:,.{digits}f}}<extra></extra>",
            }
        )
        first = False
    data.append(
        {
            "type": "scatter",
            "mode": "markers",
            "x": stamps_of(found["ds"]),
            "y": values_of(found["y"]),
            "name": translate("insight.plot.odd", language),
            "marker": {"color": LIGHT["bad"], "size": 9, "line": {"width": 0}},
            "text": [
                translate("insight.plot.times", language, score=number(score, language, 1)) for score in found["score"]
            ],
            "hovertemplate": "%{text}<extra></extra>",
        }
    )
    layout = layout_of(
        language,
        360,
        showlegend=True,
        legend=legend(),
        xaxis=time_axis(language, pd.api.types.is_datetime64_any_dtype(bands["ds"])),
        yaxis=value_axis(language, tickformat=",~r"),
    )
    return {"data": data, "layout": layout}


def increase_text(row: Any, language: str) -> str:
    """The interval of an increase: `from 2% to 31%`."""
    return f"{percent(row.low, language, 0)} – {percent(row.high, language, 0)}"
