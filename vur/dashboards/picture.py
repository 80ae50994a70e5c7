"""Static pictures of panels, plain HTML and SVG drawn in Python: what stands where no kernel runs.

Everything that comes from data is escaped. The HTML takes the colours of the page it stands on and uses only what the
sanitizers of notebook viewers leave: no scripts, no inline SVG; a chart is an image with its own background, light or
dark as the reader's system, and a text alternative.
"""

import math
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from html import escape
from typing import Any

import pandas as pd

from vur.languages import LANGUAGES
from vur.wording import day_text, moment_text, number, percent

WIDTH, HEIGHT = 760, 300  # of a chart, in pixels
LEFT, RIGHT, TOP, BOTTOM = 62, 16, 34, 30  # around its plot
FONT = "Inter,Segoe UI,Roboto,Noto Sans,DejaVu Sans,sans-serif"
COLOURS = ("primary", "second", "third", "fourth", "fifth", "sixth")
NAMES = ("card", "ink", "muted", "line", *COLOURS, "good", "warn", "bad")
LIGHT_VALUES = """#ffffff #111827 #5b6474 #e3e6ec #4f46e5 #64748b #0d9488 #d97706 #be185d #0369a1
#047857 #b45309 #c81e1e"""
DARK_VALUES = """#181c2c #e8eaf2 #a3abbe #2d3349 #8b93f8 #94a3b8 #2dd4bf #fbbf24 #f472b6 #38bdf8
#34d399 #fbbf24 #f87171"""
LIGHT, DARK = (dict(zip(NAMES, values.split(), strict=True)) for values in (LIGHT_VALUES, DARK_VALUES))
MARKS = {"good": "✓", "warn": "!", "bad": "✕"}  # tones are told by more than colour
STEPS = ("1min", "5min", "15min", "1h", "3h", "6h", "12h", "1D", "2D", "7D", "14D")  # between ticks of time
MILLISECOND = pd.Timedelta("1ms")
MONTHS = (1, 2, 3, 6, 12, 24, 60, 120, 240, 600, 1200, 2400, 6000)
NUMBERS = ("number", "short", "percent", "bytes", "duration")
CELL = "padding:4px 10px;border-bottom:1px solid rgba(128,128,128,.35)"
Content = Mapping[str, Any]


def picture(kind: str, content: Content, language: str) -> str:
    """HTML of a panel of `kind` (cards, chart, list, table, text) that shows `content`; `KeyError` for other kinds."""
    inner = {"cards": _cards, "chart": _chart, "list": _list, "table": _table, "text": _text}[kind](content, language)
    head = f'<strong style="font-size:1.1em">{escape(content["title"])}</strong>' if content.get("title") else ""
    notes = "".join(f"<div>{escape(str(content[key]))}</div>" for key in ("note", "text") if content.get(key))
    return f'<div style="margin:.8em 0 .4em">{head}{notes}</div>\n{inner}'


def plain(kind: str, content: Content, language: str) -> str:
    """The same in plain text, for viewers without HTML."""
    lines = [str(content[key]) for key in ("title", "note", "text") if content.get(key)]
    if kind == "table":
        columns = content.get("columns", ())
        lines.append(" | ".join(str(column["label"]) for column in columns))
        lines += [" | ".join(shown(row.get(c["key"]), c, language) for c in columns) for row in content["rows"]]
    elif kind == "list":
        lines += [": ".join(str(one[key]) for key in ("text", "detail") if one.get(key)) for one in _items(content)]
    elif kind == "cards":
        lines += [f"{one['label']}: {shown(one.get('value'), one, language)}" for one in _items(content)]
    elif kind == "text":
        lines += [
            f"{label}: {shown(value, {'type': type or 'text'}, language)}" for label, value, type in _facts(content)
        ]
    elif content.get("label"):
        lines.append(content["label"])
    return "\n".join(dict.fromkeys(lines))


# --- values, as static/format.mjs writes them ---


def shown(value: Any, column: Content, language: str) -> str:
    """A cell as text: a value of the column's `type`, or `{text | value, type}`."""
    kind = column.get("type", "text")
    if isinstance(value, Mapping):
        kind, value = value.get("type", kind), value.get("value", value.get("text"))
    if value is None or value == "":
        return "–"
    digits = column.get("digits")
    if kind == "number":
        return number(value, language, _digits(value) if digits is None else digits)
    if kind == "percent":
        return percent(value, language, 1 if digits is None else digits)
    if kind in ("date", "moment"):
        return stamp_text(pd.Timestamp(value), language, kind == "moment")
    return number(value, language) if kind == "short" else str(value)


def _digits(value: float) -> int:
    size = abs(value)
    return 0 if size >= 1000 or float(value).is_integer() else 1 if size >= 100 else 2 if size >= 1 else 4


def stamp_text(value: pd.Timestamp, language: str, timed: bool = False) -> str:
    """A date, with its time if it has one or `timed`."""
    return moment_text(value, language) if timed or value != value.normalize() else day_text(value, language)


# --- panels of text ---


def _items(content: Content) -> list[dict[str, Any]]:
    return list(content.get("items", ()))


def _facts(content: Content) -> list[tuple[str, Any, str | None]]:
    return [(one[0], one[1], one[2] if len(one) > 2 else None) for one in content.get("facts", ())]


def _nothing(content: Content) -> str:
    return f"<p>{escape(str(content.get('empty', '–')))}</p>"


def _table(content: Content, language: str) -> str:
    columns, rows = content.get("columns", ()), content.get("rows", ())
    if not rows or not columns:
        return _nothing(content)
    head = "".join(f'<th scope="col" style="{_side(one)}">{escape(str(one["label"]))}</th>' for one in columns)
    lines = []
    for row in rows:
        cells = []
        for place, column in enumerate(columns):
            value = row.get(column["key"])
            tone = value.get("tone") if isinstance(value, Mapping) else None
            text = escape(shown(value, column, language))
            text = f"<strong>{text} {MARKS.get(tone, '')}</strong>" if tone else text
            name = "td" if place else 'th scope="row"'
            cells.append(f'<{name} style="{_side(column)}">{text}</{name[:2]}>')
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return (
        f'<table style="border-collapse:collapse;color:inherit"><thead><tr>{head}</tr></thead>'
        f"<tbody>{chr(10).join(lines)}</tbody></table>"
    )


def _side(column: Content) -> str:
    return f"{CELL};text-align:{'right' if column.get('type') in NUMBERS else 'left'}"


def _list(content: Content, language: str) -> str:
    if not _items(content):
        return _nothing(content)
    lines = []
    for one in _items(content):
        mark = f"<strong>{MARKS[one['tone']]}</strong> " if one.get("tone") in MARKS else ""
        detail = f"<br><code>{escape(str(one['detail']))}</code>" if one.get("detail") else ""
        lines.append(f"<li>{mark}{escape(str(one['text']))}{detail}</li>")
    return f"<ul>{chr(10).join(lines)}</ul>"


def _cards(content: Content, language: str) -> str:
    columns, row = [], {}
    for place, one in enumerate(_items(content)):
        digits = {"digits": one["digits"]} if "digits" in one else {}
        columns.append({"key": str(place), "label": one["label"], "type": one.get("type", "number")} | digits)
        row[str(place)] = one.get("value")
    return _table({"columns": columns, "rows": [row], "empty": content.get("empty", "–")}, language)


def _text(content: Content, language: str) -> str:
    lines = "".join(f"<li>{escape(str(line))}</li>" for line in content.get("lines", ()))
    facts = "".join(
        f"<dt>{escape(str(label))}</dt><dd>{escape(shown(value, {'type': type or 'text'}, language))}</dd>"
        for label, value, type in _facts(content)
    )
    return (f"<ul>{lines}</ul>" if lines else "") + (f"<dl>{facts}</dl>" if facts else "")


# --- charts ---


def _chart(content: Content, language: str) -> str:
    if not any(one.get("y") for one in content.get("series", ())) and not content.get("bands"):
        return _nothing(content)
    image = b64encode(chart_svg(content, language).encode()).decode()
    label = escape(str(content.get("label") or content.get("title") or ""))
    size = f'width="{WIDTH}" style="max-width:100%;height:auto"'
    return f'<img alt="{label}" src="data:image/svg+xml;base64,{image}" {size}>'


def chart_svg(content: Content, language: str) -> str:
    """The SVG image of a chart's content, in the shape that `static/panels/chart.mjs` describes."""
    kind = content.get("x", "time")
    at = _places(kind)
    series, bands = list(content.get("series", ())), list(content.get("bands", ()))
    xs = [x for one in (*series, *bands) for x in at(one["x"] if kind != "category" else range(len(one["y"])))]
    ys = [y for one in series for y in one["y"]] + [y for one in bands for y in (*one["low"], *one["high"])]
    y_from = (content.get("y") or {}).get("from")
    low, high = _range([*ys, *([y_from] if y_from is not None else [])], 0.05 if y_from is None else 0.0)
    left, right = _range(xs, 0.5 / max(len(xs), 1) if kind == "category" else 0.0)
    inner, tall = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x_of(value: float) -> float:
        return LEFT + (value - left) / (right - left) * inner

    def y_of(value: float) -> float:
        return TOP + (high - value) / (high - low) * tall

    parts = [
        *_spans(content, at, x_of, language),
        *_axes(content, kind, (left, right), (low, high), x_of, y_of, language),
    ]
    for band in bands:
        edge = [(x_of(x), y_of(v)) for x, v in zip(at(band["x"]), band["high"], strict=True) if v is not None]
        back = [(x_of(x), y_of(v)) for x, v in zip(at(band["x"]), band["low"], strict=True) if v is not None]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in [*edge, *reversed(back)])
        look = f'class="f-{_colour(band.get("color"), 0)}" opacity="{band.get("strength", 0.18)}"'
        parts.append(f'<polygon {look} points="{points}"/>')
    for place, one in enumerate(series):
        x = at(one["x"] if kind != "category" else range(len(one["y"])))
        line = [(x_of(a), None if b is None else y_of(b)) for a, b in zip(x, one["y"], strict=True)]
        parts += _line(one, line, _colour(one.get("color"), place), y_of(max(low, min(high, 0.0))))
    parts += _legend([*series, *bands], {id(band) for band in bands})
    label = escape(str(content.get("label") or content.get("title") or ""))
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    frame = f'x=".5" y=".5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="12"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="{FONT}" font-size="12">'
        f"<title>{label}</title><style>{_rules(LIGHT)}@media(prefers-color-scheme:dark){{{_rules(DARK)}}}</style>"
        f'<rect class="f-card s-line" {frame}/>{"".join(parts)}</svg>'
    )


def _rules(colours: Mapping[str, str]) -> str:
    return "".join(f".f-{name}{{fill:{value}}}.s-{name}{{stroke:{value}}}" for name, value in colours.items())


def _colour(name: str | None, place: int) -> str:
    return name if name in LIGHT else COLOURS[place % len(COLOURS)]


def _places(kind: str) -> Callable[[Iterable[Any]], list[float]]:
    """What turns x values into numbers: milliseconds of the data's own clock, or the numbers themselves."""
    if kind != "time":
        return lambda values: [float(value) for value in values]

    def moments(values: Iterable[Any]) -> list[float]:
        found = pd.to_datetime(pd.Series(list(values), dtype=object).map(_wall))
        return (found.astype("int64") / 10**6).tolist()

    return moments


def _wall(value: Any) -> pd.Timestamp:
    stamp = pd.Timestamp(value, unit="ms") if isinstance(value, int | float) else pd.Timestamp(value)
    return (stamp.tz_convert(None) if stamp.tzinfo else stamp).as_unit("ns")


def _range(values: Iterable[float | None], margin: float) -> tuple[float, float]:
    known = [value for value in values if value is not None and math.isfinite(value)]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    span = (high - low) or abs(high) or 1.0
    return (low - margin * span, high + margin * span) if high > low else (low - span / 2, high + span / 2)


def _spans(content: Content, at: Callable, x_of: Callable, language: str) -> list[str]:
    parts = []
    for one in content.get("spans", ()):
        start, end = (x_of(x) for x in at([one["from"], one["to"]]))
        tone = _colour(one.get("tone"), 0)
        parts.append(
            f'<rect class="f-{tone}" opacity="{one.get("strength", 0.08)}" x="{start:.1f}" y="{TOP}" '
            f'width="{max(end - start, 1):.1f}" height="{HEIGHT - TOP - BOTTOM}"/>'
        )
        if one.get("label"):
            parts.append(_words(str(one["label"]), (start + end) / 2, TOP + 12, "middle"))
    for one in content.get("marks", ()):
        x = x_of(at([one["x"]])[0])
        parts.append(f'<path class="s-muted" stroke-dasharray="4 4" d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
        parts.append(_words(str(one.get("label") or ""), x, TOP - 4, "middle"))
    return parts


def _words(text: str, x: float, y: float, anchor: str) -> str:
    return f'<text class="f-muted" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>' if text else ""


def _axes(
    content: Content,
    kind: str,
    across: tuple[float, float],
    up: tuple[float, float],
    x_of: Callable,
    y_of: Callable,
    language: str,
) -> list[str]:
    parts, share = [], bool((content.get("y") or {}).get("percent"))
    ticks, digits = nice_ticks(*up, 5)
    for value in ticks:
        y = y_of(value)
        text = percent(value, language, max(digits - 2, 0)) if share else number(value, language, digits)
        parts.append(
            f'<path class="s-line" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>{_words(text, LEFT - 8, y + 4, "end")}'
        )
    if kind == "category":
        names = list(content.get("categories", ()))
        every = max(1, math.ceil(len(names) / 8))
        places = [(float(place), str(name)) for place, name in enumerate(names) if place % every == 0]
    elif kind == "time":
        places = time_ticks(*across, language)
    else:
        values, decimals = nice_ticks(*across, 7)
        places = [(value, number(value, language, decimals)) for value in values]
    parts += [_words(text, x_of(value), HEIGHT - BOTTOM + 18, "middle") for value, text in places]
    return parts


def nice_ticks(low: float, high: float, most: int) -> tuple[list[float], int]:
    """Round values between `low` and `high`, at most about `most`, and the decimals they need."""
    rough = (high - low) / most
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * size for factor in (1, 2, 5, 10) if factor * size >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [place * step for place in range(first, last + 1)], max(0, -math.floor(math.log10(step) + 1e-9))


def time_ticks(low: float, high: float, language: str, most: int = 7) -> list[tuple[float, str]]:
    """Round moments between `low` and `high` (milliseconds) with their texts: years, months, days or times of day."""
    start, end = pd.Timestamp(low, unit="ms"), pd.Timestamp(high, unit="ms")
    short = next((step for step in STEPS if high - low <= most * pd.Timedelta(step) / MILLISECOND), None)
    if short is not None:
        found = list(pd.date_range(start.ceil(short), end, freq=short))
        return [(_millis(stamp), _tick_text(stamp, language)) for stamp in found]
    first, last = (12 * stamp.year + stamp.month - 1 for stamp in (start, end))
    months = next(count for count in MONTHS if (last - first) / count <= most)
    stamps = [
        pd.Timestamp(number // 12, number % 12 + 1, 1)
        for number in range(-(-first // months) * months, last + 1, months)
    ]
    return [
        (_millis(stamp), str(stamp.year) if months >= 12 else _month_text(stamp, language))
        for stamp in stamps
        if stamp >= start
    ]


def _millis(stamp: pd.Timestamp) -> float:
    return stamp.timestamp() * 1000


def _tick_text(stamp: pd.Timestamp, language: str) -> str:
    return f"{stamp:%H:%M}" if stamp != stamp.normalize() else day_text(stamp, language)


def _month_text(stamp: pd.Timestamp, language: str) -> str:
    return f"{LANGUAGES[language].short_months[stamp.month - 1]} {stamp.year}"


def _line(one: Content, points: list[tuple[float, float | None]], colour: str, zero: float) -> list[str]:
    known = [(x, y) for x, y in points if y is not None]
    if one.get("style") == "bar":
        width = min(28.0, 0.8 * (WIDTH - LEFT - RIGHT) / max(len(points), 1))
        bar = f'<rect class="f-{colour}" width="{width:.1f}"'
        return [
            f'{bar} x="{x - width / 2:.1f}" y="{min(y, zero):.1f}" height="{abs(y - zero):.1f}"/>' for x, y in known
        ]
    if one.get("style") == "dots" or len(known) == 1:
        return [f'<circle class="f-{colour}" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>' for x, y in known]
    path, pen, before = [], "M", 0.0
    for x, y in points:
        if y is None:
            pen = "M"
            continue
        step = f"L{x:.1f} {before:.1f}" if one.get("style") == "step" and pen == "L" else ""
        path.append(f"{step}{pen}{x:.1f} {y:.1f}")
        pen, before = "L", y
    dashes = ' stroke-dasharray="5 4"' if one.get("style") == "dashed" else ""
    return [
        f'<path class="s-{colour}" fill="none" stroke-width="1.7" stroke-linejoin="round"{dashes} d="{"".join(path)}"/>'
    ]


def _legend(entries: list[Content], bands: set[int]) -> list[str]:
    if len(entries) < 2:
        return []
    parts, x = [], float(LEFT)
    for place, one in enumerate(entries):
        band = id(one) in bands
        colour = _colour(one.get("color"), 0 if band else place)
        opacity = f' opacity="{max(one.get("strength", 0.18), 0.3)}"' if band else ""
        parts.append(f'<rect class="f-{colour}"{opacity} x="{x:.0f}" y="13" width="14" height="8" rx="2"/>')
        parts.append(_words(str(one["name"])[:40], x + 19, 21, "start"))
        x += 34 + 6.6 * min(len(str(one["name"])), 40)
    return parts
