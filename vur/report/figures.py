"""Colours, axes and layout that all figures of the report share, as plain Plotly descriptions."""

import html
from typing import Any

import numpy as np
import pandas as pd

from vur.languages import LANGUAGES

LIGHT = {
    "text": "#1d2433",
    "muted": "#5a6376",
    "grid": "#e4e7ef",
    "history": "#566178",
    "forecast": "#4f46e5",
    "outer": "rgba(79,70,229,0.13)",
    "inner": "rgba(79,70,229,0.22)",
    "past": "#0d9488",
    "naive": "#9aa3b5",
    "good": "#0a7d57",
    "bad": "#c2570c",
    "surface": "#ffffff",
}
DARK = {
    "text": "#eceef6",
    "muted": "#a3abc0",
    "grid": "#2a2f45",
    "history": "#9fabc4",
    "forecast": "#8f8bff",
    "outer": "rgba(143,139,255,0.15)",
    "inner": "rgba(143,139,255,0.26)",
    "past": "#2fc4b2",
    "naive": "#656e86",
    "good": "#34c38f",
    "bad": "#f08a45",
    "surface": "#171a2b",
}
FONT = "Inter, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def label(text: object, length: int = 40) -> str:
    """`text` for Plotly to show literally: no tags or templates, shortened in the middle to `length` characters."""
    words = str(text)
    if len(words) > length:
        words = words[: length * 2 // 3] + "…" + words[-(length // 3 - 1) :]
    return html.escape(words, quote=False).replace("%", "&#37;").replace("$", "&#36;").replace("{", "&#123;")


def values_of(values: Any) -> list[float | None]:
    """Numbers for JSON: seven significant figures, None for missing ones."""
    return [float(f"{v:.7g}") if np.isfinite(v) else None for v in np.asarray(values, dtype=float)]


def stamps_of(ds: pd.Series) -> list[Any]:
    """Timestamps for Plotly: ISO text, without a time where all are at midnight, or integers."""
    if not pd.api.types.is_datetime64_any_dtype(ds):
        return [int(v) if isinstance(v, (int, np.integer)) else v for v in ds]
    whole = (ds == ds.dt.normalize()).all()
    return ds.dt.strftime("%Y-%m-%d" if whole else "%Y-%m-%d %H:%M:%S").tolist()


def value_axis(language: str, **given: Any) -> dict[str, Any]:
    axis = {
        "gridcolor": LIGHT["grid"],
        "zeroline": False,
        "linecolor": LIGHT["grid"],
        "tickcolor": LIGHT["grid"],
        "automargin": True,
        "tickfont": {"color": LIGHT["muted"], "size": 12},
        **given,
    }
    if isinstance(axis.get("title"), str):
        axis["title"] = {"text": axis["title"], "font": {"color": LIGHT["muted"], "size": 12}}
    return axis


def time_axis(language: str, is_date: bool) -> dict[str, Any]:
    if not is_date:
        return value_axis(language, showgrid=False)
    formats = LANGUAGES[language].axis
    day, month, year = 86_400_000, "M1", "M12"
    stops = [
        ([None, day - 1], formats[0]),
        ([day, month], formats[1]),
        ([month, year], formats[2]),
        ([year, None], "%Y"),
    ]
    return value_axis(
        language,
        type="date",
        showgrid=False,
        hoverformat=formats[1],
        tickformatstops=[{"dtickrange": span, "value": value} for span, value in stops],
    )


def layout_of(language: str, height: int, **given: Any) -> dict[str, Any]:
    return {
        "height": height,
        "paper_bgcolor": LIGHT["surface"],
        "plot_bgcolor": LIGHT["surface"],
        "autosize": True,
        "font": {"family": FONT, "size": 13, "color": LIGHT["text"]},
        "separators": LANGUAGES[language].decimal + LANGUAGES[language].thousands,
        "margin": {"l": 8, "r": 12, "t": 12, "b": 8},
        "showlegend": False,
        "hoverlabel": {
            "bgcolor": LIGHT["surface"],
            "bordercolor": LIGHT["grid"],
            "font": {"color": LIGHT["text"], "family": FONT},
        },
        **given,
    }


def legend() -> dict[str, Any]:
    return {
        "orientation": "h",
        "x": 0,
        "xanchor": "left",
        "y": 1.02,
        "yanchor": "bottom",
        "font": {"size": 12},
        "traceorder": "normal",
    }


# --- history and forecast ---


def band_traces(x: list, lower: list, upper: list, name: str, color: str, group: dict) -> list[dict]:
    edge = {"type": "scatter", "mode": "lines", "x": x, "line": {"width": 0}, "hoverinfo": "skip", **group}
    return [
        {**edge, "y": lower, "showlegend": False},
        {**edge, "y": upper, "fill": "tonexty", "fillcolor": color, "name": name},
    ]


def series_menu(names: list[str], per: int) -> dict[str, Any]:
    buttons = [
        {
            "label": label(name),
            "method": "restyle",
            "args": ["visible", [index // per == position for index in range(per * len(names))]],
        }
        for position, name in enumerate(names)
    ]
    return {"buttons": buttons, "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom", "active": 0}


def names_axis(language: str, names: list[str]) -> dict[str, Any]:
    """A vertical axis with names at 0, 1, 2…: as categories, two names shortened alike would share a bar."""
    return value_axis(
        language,
        showgrid=False,
        tickvals=list(range(len(names))),
        ticktext=[label(name, 44) for name in names],
        tickfont={"color": LIGHT["text"], "size": 13},
        range=[-0.6, len(names) - 0.4],
    )
