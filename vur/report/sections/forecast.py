"""Section on the forecast: interactive plot, each series at a glance, and the values."""

from typing import Any

from markupsafe import Markup

from vur.explain.drivers import worst_series
from vur.report import plots
from vur.report.context import ReportContext
from vur.report.sections import Part
from vur.report.summary import aggregate_of, change_since, target_digits
from vur.report.tables import speaker, table
from vur.wording import level_text, number, percent, stamp, steps


def part(found: ReportContext, language: str) -> Part:
    """The interactive plot, the glance table of several series, and the values of the plot."""
    t, ids = speaker(language), found.forecast["unique_id"].nunique()
    first: list[str] = []
    if ids > 1 and found.by_series is not None and len(found.by_series):
        first = (
            worst_series(found.by_series, found.winner, top=5)["unique_id"].tolist() if ids > plots.MAX_SERIES else []
        )
    largest = plots.shown_series(found.history, found.forecast, most=plots.MAX_SERIES - len(first))
    shown = list(dict.fromkeys([*largest, *first]))
    spec = plots.forecast_spec(found.history, found.shown, language, shown, found.residuals, freq=found.freq)
    spec["layout"].pop("updatemenus", None)
    spec["layout"]["margin"]["t"] = 30
    names = [{"value": i, "name": name} for i, name in enumerate(shown)]
    note = (
        t("forecast.subset", shown=number(len(shown), language, 0), total=number(ids, language, 0))
        if ids > len(shown)
        else ""
    )
    if first:
        note += " " + t("forecast.subset_worst", count=number(len(first), language, 0))
    content = {
        "names": names,
        "note": note,
        "several": ids > 1,
        "glance": glance(found, shown, language) if ids > 1 else None,
        "numbers": values_table(found, shown[:1], language),
        "alt": t(
            "forecast.alt", first=str(shown[0]) if shown else "", period=steps(found.horizon, found.freq, language)
        ),
    }
    return Part(t("nav.forecast"), content=content, figures={"plot-forecast": spec})


def glance(context: ReportContext, names: list[str], language: str) -> dict[str, Any]:
    """One row per series, the largest first: a sparkline, the next value with its range, total or mean, and change."""
    t, how = speaker(language), aggregate_of(context.data)
    levels = plots.levels_of(context.forecast)
    level = levels[-1] if levels else None
    pasts, aheads, shown = (
        dict(tuple(f[f["unique_id"].isin(names)].groupby("unique_id", observed=True)))
        for f in (context.history, context.forecast, context.shown)
    )
    rows = []
    for name in sorted(names, key=lambda name: -float(getattr(aheads[name]["forecast"], how)())):
        past, ahead = pasts.get(name, context.history.head(0)), aheads[name]
        digits = target_digits(ahead["forecast"], context.data if how == "sum" else {})
        next_row, change = shown[name].iloc[0], change_since(past, ahead, context.freq, len(ahead))
        band = (
            f"{number(next_row[f'lo-{level}'], language, digits)} – {number(next_row[f'hi-{level}'], language, digits)}"
            if level
            else "–"
        )
        sign = "" if change is None else "+" if change["share"] >= 0 else "−"
        rows.append(
            [
                name,
                Markup(plots.sparkline(past, ahead, context.freq, language)),
                number(next_row["forecast"], language, digits),
                band,
                number(getattr(ahead["forecast"], how)(), language, digits),
                sign + percent(abs(change["share"]), language) if change else "–",
            ]
        )
    columns = [
        (t("column.series"), "text"),
        (t("column.shape"), "text"),
        (t("column.next"), "number"),
        (t("column.range", level=level_text(level or 80, language)), "number"),
        (t(f"column.{how}"), "number"),
        (t("column.change"), "number"),
    ]
    return table(columns, rows)


def values_table(context: ReportContext, names: list[str], language: str) -> dict[str, Any]:
    """The forecast in numbers, for the series drawn first."""
    t = speaker(language)
    frame = context.shown[context.shown["unique_id"].isin(names)].head(60)
    digits = target_digits(frame["forecast"], context.data)
    levels = plots.levels_of(frame)[::-1]
    columns = [
        (t("column.stamp"), "text"),
        (t("column.forecast"), "number"),
        *((t("column.range", level=level_text(level, language)), "number") for level in levels),
    ]
    rows = [
        [
            stamp(row["ds"], context.freq, language),
            number(row["forecast"], language, digits),
            *(
                f"{number(row[f'lo-{level}'], language, digits)} – {number(row[f'hi-{level}'], language, digits)}"
                for level in levels
            ),
        ]
        for row in frame.to_dict("records")
    ]
    return table(columns, rows)
