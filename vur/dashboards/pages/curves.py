"""Charts of forecasts: the values before, the forecast, its intervals, and where one ends and the other begins."""

from collections.abc import Sequence
from typing import Any

from vur.dashboards.page import Page
from vur.dashboards.pages.standing import level_name


def bands(page: Page, stamps: list[int], intervals: dict[str, dict[str, list[Any]]]) -> list[dict[str, Any]]:
    """The intervals as bands of a chart, the widest first and faintest."""
    levels = sorted(intervals, key=float, reverse=True)
    return [
        {
            "name": level_name(level, page.language),
            "x": stamps,
            "low": intervals[level]["lo"],
            "high": intervals[level]["hi"],
            "strength": round(0.14 + 0.1 * place, 2),
        }
        for place, level in enumerate(levels)
    ]


def forecast_chart(page: Page, item: dict[str, Any]) -> dict[str, Any]:
    """The chart of a champion, an item of `GET /dashboard/forecasts`."""
    forecast, actual = item["forecast"], item["actual"]
    series = [{"name": page.say("pages.chart.forecast"), "x": forecast["stamps"], "y": forecast["values"]}]
    if actual and actual["stamps"]:
        before = {"name": page.say("pages.chart.actual"), "x": actual["stamps"], "y": actual["values"]}
        series.insert(0, before | {"color": "second"})
    series[-1]["color"] = "primary"
    count = forecast["series_count"]
    of = page.say("pages.chart.largest", series=forecast["series"], count=count) if count > 1 else forecast["series"]
    return {
        "title": item["name"],
        "note": page.say(f"pages.chart.source.{forecast['source']}", series=of),
        "x": "time" if forecast["time"] == "datetime" else "value",
        "series": series,
        "bands": bands(page, forecast["stamps"], forecast["intervals"]),
        "marks": [{"x": forecast["stamps"][0], "label": ""}] if actual and actual["stamps"] else [],
        "height": 340,
        "label": page.say("pages.chart.label", name=item["name"], series=forecast["series"]),
        "actions": [{"label": page.say("pages.chart.open"), "href": f"forecasts?model={item['model_id']}"}],
    }


def stream_chart(page: Page, points: dict[str, Any]) -> dict[str, Any]:
    """The chart of continuous predictions, the answer of `GET /monitoring/predictions/{id}/points`."""
    stamps, actual = points["stamps"], points["actual"]
    return {
        "x": "time" if points["time"] == "datetime" else "value",
        "series": [
            {"name": page.say("pages.chart.actual"), "color": "second", **known(stamps, actual)},
            {"name": page.say("pages.chart.forecast"), "x": stamps, "y": points["values"], "color": "primary"},
        ],
        "bands": bands(page, stamps, points["intervals"]),
    }


def known(stamps: Sequence[int], values: Sequence[float | None]) -> dict[str, list[Any]]:
    """`x` and `y` up to the last value that is known."""
    last = max((place for place, value in enumerate(values) if value is not None), default=-1)
    return {"x": list(stamps[: last + 1]), "y": list(values[: last + 1])}
