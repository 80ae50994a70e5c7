"""Whether models are still good, as rows and words that the dashboard and the monitoring page show."""

from typing import Any

from vur.dashboards.page import Page
from vur.text import translate
from vur.wording import number

TONES = {"yes": "bad", "no": "good", "not_enough": "muted"}
ORDER = {"yes": 0, "not_enough": 1, "no": 2}
MOST = 200  # models of a table


def verdict_columns(page: Page) -> list[dict[str, Any]]:
    """The columns of the table of models."""
    return [
        {"key": "name", "label": page.say("pages.models.name"), "sort": "name"},
        {"key": "verdict", "label": page.say("pages.models.verdict"), "sort": "verdict"},
        {"key": "reason", "label": page.say("pages.models.reason"), "wide": True},
        {"key": "skill", "label": page.say("pages.models.live_skill"), "type": "percent", "digits": 0, "sort": "skill"},
        {"key": "ratio", "label": page.say("pages.models.ratio"), "type": "number", "digits": 2, "sort": "ratio"},
        {"key": "coverage", "label": page.say("pages.models.coverage")},
        {"key": "trained", "label": page.say("pages.models.trained"), "type": "ago", "sort": "trained"},
    ]


def verdict_rows(page: Page, models: list[dict[str, Any]], sort: str = "verdict") -> list[dict[str, Any]]:
    """The rows of models of `GET /monitoring/models`, in the order of the column `sort` (`-` for descending)."""
    rows = [verdict_row(page, model) for model in models]
    key, descending = sort.removeprefix("-"), sort.startswith("-")
    known = [row for row in rows if row["order"].get(key) is not None]
    known.sort(key=lambda row: (row["order"][key], row["order"]["name"]), reverse=descending)
    found = known + [row for row in rows if row["order"].get(key) is None]
    return [{name: value for name, value in row.items() if name != "order"} for row in found]


def verdict_row(page: Page, model: dict[str, Any]) -> dict[str, Any]:
    """One model: its verdict with the weightiest reason, and its live accuracy beside that of its training."""
    verdict, reasons = model["verdict"], model["verdict"]["reasons"]
    return {
        "id": model["model_id"],
        "name": model["name"],
        "champion": model["champion"],
        "verdict": {"text": page.say(f"pages.models.retrain.{verdict['retrain']}"), "tone": TONES[verdict["retrain"]]},
        "reason": reasons[0]["text"] if reasons else "",
        "skill": verdict["skill"],
        "ratio": verdict["error_ratio"],
        "coverage": coverage_text(verdict["coverage"], page.language),
        "trained": model["trained_at"],
        "order": {
            "name": model["name"].casefold(),
            "verdict": ORDER[verdict["retrain"]],
            "skill": verdict["skill"],
            "ratio": verdict["error_ratio"],
            "trained": model["trained_at"],
        },
    }


def coverage_text(coverage: dict[str, float | None], language: str) -> str:
    """How many of the actual values each interval held: `80%: 76% · 95%: 93%`."""
    known = {level: held for level, held in coverage.items() if held is not None}
    parts = [f"{level}%: {number(known[level], language, 0)}%" for level in sorted(known, key=float)]
    return " · ".join(parts) or "–"


def signed(value: float, language: str, digits: int = 0) -> str:
    """A change with its sign: `+2`, `−1,5`."""
    return ("+" if value > 0 else "") + number(value, language, digits)


def level_name(level: str, language: str) -> str:
    """The name of an interval in a legend."""
    return translate("pages.chart.interval", language, level=level)
