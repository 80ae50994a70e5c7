"""What the forecasts page shows: answers of the service as contents of panels. No requests, no session."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from vur.dashboards.words import written
from vur.languages import LANGUAGES

Say = Callable[..., str]
OFFSET = re.compile(r"(Z|[+-]\d{2}:?\d{2})$")
ROWS, CHANGES = 10, 20  # of the tables of a forecast and of its overrides
MOST_CHOICES = 400  # dates, or series, that a list offers
HORIZONS, LEAST_SHOWN = 6, 40  # values before the forecast that are seen first: so many horizons, at least so many
NARROWER = 0.8  # of an earlier width, from which a later interval is said to be narrower
LEAST_REASON, MOST_FACTOR = 3, 1_000  # characters of an override's reason, and times the forecast
BANDS = (0.10, 0.20, 0.28)  # how strong intervals are drawn, from the widest


def clock(stamp: Any) -> Any:
    """A date as the data's own clock shows it: without its offset from UTC."""
    return OFFSET.sub("", stamp) if isinstance(stamp, str) and len(stamp) > 10 else stamp


def clocks(stamps: Sequence[Any]) -> list[Any]:
    """Dates without their offsets."""
    return [clock(stamp) for stamp in stamps]


def axis(stamps: Sequence[Any]) -> str:
    """The kind of a chart's axis for these dates."""
    return "value" if stamps and isinstance(stamps[0], int) else "time"


def seen(value: Any) -> Any:
    """The place on a time axis, in milliseconds, as the service reads it."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    try:
        return f"{datetime.fromtimestamp(value / 1000, UTC):%Y-%m-%dT%H:%M:%S}"
    except (OverflowError, OSError, ValueError):
        return None


# --- history and forecast ---


def merged(whole: Mapping[str, Any], part: Mapping[str, Any] | None) -> tuple[list[Any], list[Any]]:
    """Dates and values of a thinned curve, with the finer ones of a part of it in their place."""
    stamps, values = clocks(whole["timestamps"]), list(whole["values"])
    if not part or not part["timestamps"]:
        return stamps, values
    finer = clocks(part["timestamps"])
    first, last = finer[0], finer[-1]
    before = [(x, y) for x, y in zip(stamps, values, strict=True) if x < first]
    after = [(x, y) for x, y in zip(stamps, values, strict=True) if x > last]
    points = [*before, *zip(finer, part["values"], strict=True), *after]
    return [x for x, _ in points], [y for _, y in points]


def chart(data: Mapping[str, Any], say: Say, part: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """History, what came later, the forecast with its intervals, and what people put in its place."""
    x, y = merged(data["history"], part)
    later, found = data["later"], data["forecast"]
    series = [{"name": say("observed"), "x": x, "y": y, "style": "line", "color": "second"}]
    if later["timestamps"]:
        series.append(
            {"name": say("came"), "x": clocks(later["timestamps"]), "y": later["values"], "style": "dots"}
            | {"color": "third"}
        )
    bands: list[dict[str, Any]] = []
    marks: list[dict[str, Any]] = []
    if found:
        steps = clocks(found["timestamps"])
        overridden = any(value is not None for value in found["override"])
        official = say("official") if overridden else say("forecast")
        if overridden:
            series.append(
                {"name": say("models_value"), "x": steps, "y": found["forecast"], "style": "dashed", "color": "fourth"}
            )
        series.append({"name": official, "x": steps, "y": found["official"], "style": "line", "color": "primary"})
        levels = sorted(found["intervals"], key=float, reverse=True)
        for place, level in enumerate(levels):
            ends = found["intervals"][level]
            bands.append(
                {"name": say("interval", level=level_text(level)), "x": steps, "low": ends["lo"], "high": ends["hi"]}
                | {"strength": BANDS[min(place, len(BANDS) - 1)]}
            )
        if found["origin"] is not None:
            marks.append({"x": clock(found["origin"]), "label": say("starts")})
    return {"x": axis(x or (clocks(found["timestamps"]) if found else [])), "series": series, "bands": bands} | {
        "marks": marks,
    }


def level_text(level: str) -> str:
    """A level as it is written: `80`, `97.5`."""
    return f"{float(level):g}"


def counted(data: Mapping[str, Any], say: Say) -> str:
    """How many values were observed, and how many are missing; of a sum, on how many dates it lacks a series."""
    history = data["history"]
    steps, missing = history["count"], history["missing"]
    of_sum = data["series"] is None and data["n_series"] > 1
    key = ("counted_sum" if of_sum else "counted_missing") if missing else "counted"
    return say(key, count=steps - missing, steps=steps, missing=missing, target=data["target"])


def recent(data: Mapping[str, Any]) -> dict[str, Any] | None:
    """The part of a long history that is seen first: some horizons before the forecast. None where all is seen."""
    history, found = data["history"], data["forecast"]
    shown = max(HORIZONS * data["horizon"], 2 * data["season"], LEAST_SHOWN)
    if history["count"] <= 2 * shown or not found or not found["timestamps"]:
        return None
    first, last = clock(history["first"]), clock(history["last"])
    share = shown / max(history["count"] - 1, 1)
    if isinstance(first, int):
        start: Any = last - round((last - first) * share)
    else:
        start = datetime.fromisoformat(last) - (datetime.fromisoformat(last) - datetime.fromisoformat(first)) * share
        start = start.isoformat(timespec="seconds")
    return {"from": start, "to": clock(found["timestamps"][-1])}


def interval_text(found: Mapping[str, Any], level: str | None, place: int, language: str) -> str:
    """The two ends of the interval of one date: `502.3 – 695.3`; a dash without one."""
    ends = [] if level is None else [found["intervals"][level][end][place] for end in ("lo", "hi")]
    return "–" if None in ends or not ends else " – ".join(plain(end, language) for end in ends)


def table(found: Mapping[str, Any], page: int, say: Say, language: str) -> dict[str, Any]:
    """One page of the forecast as rows: date, official value, the model's own if it differs, the widest interval."""
    steps = found["timestamps"]
    overridden = any(value is not None for value in found["override"])
    level = max(found["intervals"], key=float, default=None)
    timed = any(isinstance(step, str) and step[11:19].strip("0:") for step in steps)
    columns: list[dict[str, Any]] = [{"key": "date", "label": say("date"), "type": "date", "time": timed}]
    columns.append({"key": "official", "label": say("official") if overridden else say("forecast"), "type": "number"})
    if overridden:
        columns.append({"key": "forecast", "label": say("models_value"), "type": "number"})
    if level is not None:
        shown = level_text(level)
        columns.append({"key": "interval", "label": say("interval", level=shown), "number": True})
    rows = []
    for place in range((page - 1) * ROWS, min(page * ROWS, len(steps))):
        changed = found["override"][place] is not None
        value = found["official"][place]
        rows.append(
            {
                "id": str(steps[place]),
                "date": clock(steps[place]),
                "official": {"value": value, "type": "number", "tone": "warn", "title": say("by_a_person")}
                if changed
                else value,
                "forecast": found["forecast"][place],
                "interval": interval_text(found, level, place, language),
            }
        )
    return {"columns": columns, "rows": rows, "page": page, "pages": max(1, -(-len(steps) // ROWS))}


def narrows(found: Mapping[str, Any]) -> bool:
    """Whether the widest interval is clearly narrower at a later date than at an earlier one."""
    level = max(found["intervals"], key=float, default=None)
    if level is None:
        return False
    ends = found["intervals"][level]
    widest = 0.0
    for low, high in zip(ends["lo"], ends["hi"], strict=True):
        if low is None or high is None:
            continue
        if high - low < NARROWER * widest:
            return True
        widest = max(widest, high - low)
    return False


def figures(data: Mapping[str, Any], errors: Mapping[str, Any] | None, say: Say, language: str) -> list[dict[str, Any]]:
    """The next value, the sum of the horizon, the error of the series over the folds and since."""
    items: list[dict[str, Any]] = []
    found = data["forecast"]
    if found and found["official"]:
        level = max(found["intervals"], key=float, default=None)
        ends = found["intervals"][level] if level is not None else None
        note = written(clock(found["timestamps"][0]), language)
        if ends and ends["lo"][0] is not None and ends["hi"][0] is not None:
            low, high = (plain(ends[end][0], language) for end in ("lo", "hi"))
            note = say("next_note", date=note, low=low, high=high, level=level_text(str(level)))
        items.append({"name": "next", "label": say("next"), "value": found["official"][0], "note": note})
        known = [value for value in found["official"] if value is not None]
        ahead = say("sum_note", steps=len(known))
        items.append({"name": "sum", "label": say("sum"), "value": sum(known), "note": ahead})
    if errors and errors["mae"] is not None:
        skill = errors["skill"]
        compared: str | None = None
        if skill is not None:
            compared = say("skill_note", percent=round(100 * skill)) if skill > 0 else say("no_skill_note")
        items.append(
            {"name": "error", "label": say("error"), "value": errors["mae"], "note": compared}
            | ({} if skill is None else {"good": skill > 0})
        )
    if errors and errors["live_n"]:
        note = say("live_note", count=errors["live_n"])
        items.append({"name": "live", "label": say("live"), "value": errors["live_mae"], "note": note})
    return items


def plain(value: float, language: str) -> str:
    """A number in the marks of a language, with about four figures."""
    size = abs(value)
    digits = 0 if size >= 1000 or value == round(value) else 1 if size >= 100 else 2 if size >= 1 else 4
    marks = {ord(","): LANGUAGES[language].thousands, ord("."): LANGUAGES[language].decimal}
    return f"{value:,.{digits}f}".replace("-", "−").translate(marks)


# --- why ---


def parts_chart(found: Mapping[str, Any], say: Say) -> dict[str, Any]:
    """The parts of a forecast, from the usual level to the forecast, as bars."""
    names = [part["label"] for part in found["parts"]]
    values = [part["contribution"] for part in found["parts"]]
    return {
        "x": "category",
        "categories": names,
        "series": [{"name": say("adds"), "y": values, "style": "bar", "color": "primary"}],
        "everyLabel": len(names) <= 6,
    }


def made_of(members: Sequence[Mapping[str, Any]], say: Say) -> list[str]:
    """The methods that a forecast comes from with their shares, the largest first; nothing for one method alone."""
    shares = sorted(((one["weight"], one["algorithm"]) for one in members), reverse=True)
    if not shares:
        return []
    if round(100 * shares[0][0]) >= 100:
        return [say("made_by", name=shares[0][1])]
    names = [say("member", name=name, percent=round(100 * weight)) for weight, name in shares if round(100 * weight)]
    return [say("made_of", names=", ".join(names))]


# --- vintages ---


def vintages_chart(found: Mapping[str, Any], say: Say, language: str) -> dict[str, Any]:
    """What came, and earlier forecasts of it: of each issue, or those made a fixed number of steps ahead."""
    lead = found["lead"]
    lines: list[dict[str, Any]] = []
    bands: list[dict[str, Any]] = []
    if lead is not None:
        if lead["timestamps"]:
            x = clocks(lead["timestamps"])
            made = {"name": say("ahead", lead=lead["lead"]), "x": x, "y": lead["forecast"]}
            lines = [made | {"style": "line", "color": "primary"}]
            if any(value is not None for value in lead["lo"]):
                bands = [{"name": say("interval", level=level_text(str(found["level"]))), "x": x}]
                bands[0] |= {"low": lead["lo"], "high": lead["hi"]}
            came = {"name": say("came"), "x": x, "y": lead["actual"], "style": "line", "color": "second"}
            lines.append(came)
        return {"x": axis(lead["timestamps"]), "series": lines, "bands": bands}
    issues = list(reversed(found["issues"]))
    if not issues:
        return {"x": "time", "series": [], "bands": []}
    came = {
        x: y for one in issues for x, y in zip(clocks(one["timestamps"]), one["actual"], strict=True) if y is not None
    }
    steps = sorted({x for one in issues for x in clocks(one["timestamps"])})
    lines = [{"name": say("came"), "x": steps, "y": [came.get(x) for x in steps], "color": "second"}]
    colours = ("primary", "third", "fourth", "fifth", "sixth")
    for place, one in enumerate(issues):
        name = say("issued", date=written(clock(one["origin"]), language))
        lines.append(
            {"name": name, "x": clocks(one["timestamps"]), "y": one["forecast"], "style": "dashed"}
            | {"color": colours[place % len(colours)]}
        )
    return {"x": axis(issues[0]["timestamps"]), "series": lines, "bands": []}


def issues_table(found: Mapping[str, Any], say: Say) -> dict[str, Any]:
    """The issues with their errors so far."""
    columns = [
        {"key": "origin", "label": say("origin"), "type": "date"},
        {"key": "source", "label": say("source")},
        {"key": "n", "label": say("known"), "type": "number"},
        {"key": "mae", "label": say("mae"), "type": "number"},
        {"key": "bias", "label": say("bias"), "type": "number"},
    ]
    if any(one["coverage"] is not None for one in found["issues"]):  # those of a back-test have no intervals
        columns.append({"key": "coverage", "label": say("inside"), "type": "percent"})
    rows = [
        {
            "id": str(number),
            "origin": clock(one["origin"]),
            "source": say(f"source_{one['source']}"),
            "n": one["n"],
            "mae": one["mae"],
            "bias": one["bias"],
            "coverage": None if one["coverage"] is None else one["coverage"] / 100,
        }
        for number, one in enumerate(found["issues"])
    ]
    return {"columns": columns, "rows": rows}


# --- worst series ---


def worst_table(found: Mapping[str, Any], say: Say) -> dict[str, Any]:
    """The series of a model with their errors."""
    columns = [
        {"key": "series", "label": say("series"), "sort": True},
        {"key": "mae", "label": say("mae"), "type": "number", "sort": True},
        {"key": "wape", "label": say("wape"), "type": "percent", "sort": True},
        {"key": "skill", "label": say("skill"), "type": "percent", "sort": True},
        {"key": "share", "label": say("share"), "type": "percent", "sort": True},
        {"key": "live_mae", "label": say("live"), "type": "number", "sort": True},
        {"key": "overrides", "label": say("overridden"), "type": "number", "sort": True},
    ]
    shares = ("wape", "share")
    rows = [
        {"id": one["series"], **one}
        | {name: None if one[name] is None else one[name] / 100 for name in shares}
        | {"skill": skill_cell(one["skill"])}
        for one in found["items"]
    ]
    return {"columns": columns, "rows": rows} | {key: found[key] for key in ("page", "pages", "total")}


def skill_cell(skill: float | None) -> Any:
    """The skill of a series, marked if it is no better than the naive forecast."""
    return None if skill is None else {"value": skill, "type": "percent", "tone": "good" if skill > 0 else "bad"}


# --- what if ---


def what_if_fields(columns: Sequence[Mapping[str, Any]], chosen: Mapping[str, Any], say: Say) -> list[dict[str, Any]]:
    """A slider for each number, and a choice for each flag or text, that the model uses."""
    fields: list[dict[str, Any]] = []
    for number, column in enumerate(columns):
        name = f"c{number}"
        if not column["used"]:
            text = say("column_unused", column=column["name"])
            fields.append({"name": name, "type": "note", "label": text})
        elif column["kind"] == "text" or is_flag(column):
            values = column["levels"] if column["kind"] == "text" else ["0", "1"]
            options = [["", say("as_planned")], *([value, say("always", value=value)] for value in values)]
            value = chosen.get(name, "")
            fields.append({"name": name, "label": column["name"], "type": "choice", "options": options, "value": value})
        else:
            value = chosen.get(name, 0)
            fields.append(
                {"name": name, "label": say("percent_of", column=column["name"]), "type": "range", "value": value}
                | {"min": -50, "max": 50, "step": 1}
            )
    return fields


def is_flag(column: Mapping[str, Any]) -> bool:
    """Whether a column holds only 0 and 1."""
    return column["low"] == 0 and column["high"] == 1 and {*column["values"]} <= {0, 1, None}


def changes_of(columns: Sequence[Mapping[str, Any]], values: Mapping[str, Any]) -> dict[str, Any]:
    """The changes that a form asks for, by column, as the service takes them; only known columns and sane values."""
    found: dict[str, Any] = {}
    for number, column in enumerate(columns):
        value = values.get(f"c{number}")
        if not column["used"] or value in (None, "", 0):
            continue
        if column["kind"] == "text":
            if value in column["levels"]:
                found[column["name"]] = f"={value}"
        elif is_flag(column):
            if str(value) in ("0", "1"):
                found[column["name"]] = float(str(value))
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and -100 <= value <= 100:
            found[column["name"]] = f"{value:+g}%"
    return found


def what_if_chart(found: Mapping[str, Any], say: Say) -> dict[str, Any]:
    """The forecast with the changes and without."""
    x = clocks(found["timestamps"])
    level = max(found["intervals"], key=float, default=None)
    bands = []
    if level is not None:
        ends = found["intervals"][level]
        bands = [{"name": say("interval", level=level_text(level)), "x": x, "low": ends["lo"], "high": ends["hi"]}]
    return {
        "x": axis(x),
        "series": [
            {"name": say("as_planned"), "x": x, "y": found["baseline"], "style": "dashed", "color": "second"},
            {"name": say("with_changes"), "x": x, "y": found["forecast"], "style": "line", "color": "primary"},
        ],
        "bands": bands,
    }


# --- overrides and links ---


def overrides_table(found: Mapping[str, Any], say: Say, language: str, may: bool) -> dict[str, Any]:
    """Changes by people, withdrawn ones too."""
    columns = [
        {"key": "when", "label": say("dates"), "type": "date"},
        {"key": "series", "label": say("series")},
        {"key": "change", "label": say("change")},
        {"key": "model", "label": say("models_value"), "type": "number"},
        {"key": "value", "label": say("override"), "type": "number"},
        {"key": "actual", "label": say("came"), "type": "number"},
        {"key": "reason", "label": say("reason")},
        {"key": "author", "label": say("author")},
        {"key": "made", "label": say("made"), "type": "moment"},
        {"key": "state", "label": say("state")},
    ]
    tones = {"active": "good", "withdrawn": "", "replaced": ""}
    rows = []
    for one in found["items"]:
        points = one["points"]
        first, last = (written(clock(points[place]["timestamp"]), language) for place in (0, -1))
        actual = [point["actual"] for point in points if point["actual"] is not None]
        factor = one["factor"]
        rows.append(
            {
                "id": one["override_id"],
                "when": first if first == last else f"{first} – {last}",
                "series": one["series"],
                "change": say("by_value") if factor is None else f"{100 * (factor - 1):+.3g}%".replace("-", "−"),
                "model": mean([point["forecast"] for point in points]),
                "value": mean([point["override"] for point in points]),
                "actual": mean(actual) if actual else None,
                "reason": {"text": one["reason"], "title": one["withdrawn_reason"] or ""},
                "author": one["author"],
                "made": one["created_at"],
                "state": {"text": say(f"state_{one['state']}"), "tone": tones[one["state"]] or None},
                "open": may and one["state"] != "withdrawn" and not actual,
            }
        )
    return {"columns": columns, "rows": rows, "page": found["page"], "pages": found["pages"]}


def mean(values: Sequence[float]) -> float:
    """The mean of some values."""
    return sum(values) / len(values)


def worth_lines(worth: Mapping[str, Any], say: Say, language: str) -> list[str]:
    """What overrides were worth, in words."""
    if not worth["n"]:
        return [say("worth_none")]
    key = "worth_better" if worth["value_added"] > 0 else "worth_worse" if worth["value_added"] < 0 else "worth_same"
    lines = [
        say(
            key,
            n=worth["n"],
            override=plain(worth["override_mae"], language),
            model=plain(worth["model_mae"], language),
            better=worth["better"],
            worse=worth["worse"],
        )
    ]
    lines += [] if worth["enough"] else [say("worth_few")]
    if len(worth["by_author"]) > 1:
        lines += [
            say(
                "worth_author",
                name=one["name"],
                n=one["n"],
                override=plain(one["override_mae"], language),
                model=plain(one["model_mae"], language),
            )
            for one in worth["by_author"]
        ]
    return lines


def override_fields(
    found: Mapping[str, Any],
    say: Say,
    language: str,
    given: Mapping[str, Any] | None = None,
    faults: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """The form of an override: dates, value or change in percent, reason; with what was `given`, and its `faults`."""
    steps = found["timestamps"]
    fields: list[dict[str, Any]] = []
    for name, place in (("start", 0), ("end", 0)):
        if len(steps) <= MOST_CHOICES:
            options = [[str(step), written(clock(step), language)] for step in steps]
            fields.append({"name": name, "label": say(name), "type": "choice", "options": options})
            fields[-1] |= {"value": str(steps[place])}
        else:
            kind = "number" if isinstance(steps[0], int) else "date"
            value = steps[place] if isinstance(steps[0], int) else steps[place][:10]
            fields.append({"name": name, "label": say(name), "type": kind, "value": value})
    ways = [["percent", say("way_percent")], ["value", say("way_value")]]
    fields += [
        {"name": "way", "label": say("way"), "type": "choice", "options": ways, "value": "percent"},
        {"name": "amount", "label": say("amount"), "type": "number", "help": say("amount_help")},
        {"name": "reason", "label": say("reason"), "type": "text", "help": say("reason_help"), "wide": True},
    ]
    for field in fields:
        name = field["name"]
        if given is not None and isinstance(given.get(name), str | int | float):
            field["value"] = given[name]
        field["error"] = (faults or {}).get(name)
    return fields


def override_faults(body: Mapping[str, Any], say: Say) -> dict[str, str]:
    """What an override, as the service takes it, lacks: words by field of its form."""
    faults = {}
    if body["value"] is None and body["factor"] is None:
        faults["amount"] = say("amount_needed")
    elif body["factor"] is not None and not 0 <= body["factor"] <= MOST_FACTOR:
        faults["amount"] = say("amount_range", most=100 * (MOST_FACTOR - 1))
    if len(body["reason"].strip()) < LEAST_REASON:
        faults["reason"] = say("reason_needed", least=LEAST_REASON)
    return faults


def override_body(values: Mapping[str, Any], series: str | None) -> dict[str, Any]:
    """An override as the service takes it."""
    amount = values.get("amount")
    number = float(amount) if isinstance(amount, (int, float)) and not isinstance(amount, bool) else None
    percent = values.get("way") != "value"
    end = values.get("end")
    return {
        "series": series,
        "start": str(values.get("start") or ""),
        "end": str(end) if end not in (None, "") else None,
        "value": None if percent else number,
        "factor": 1 + number / 100 if percent and number is not None else None,
        "reason": str(values.get("reason") or ""),
    }


def links_table(found: Mapping[str, Any], say: Say) -> dict[str, Any]:
    """The published links of a model, without their secrets."""
    columns = [
        {"key": "title", "label": say("link_title")},
        {"key": "series", "label": say("series")},
        {"key": "made", "label": say("made"), "type": "moment"},
        {"key": "expires", "label": say("expires"), "type": "moment"},
        {"key": "views", "label": say("views"), "type": "number"},
        {"key": "state", "label": say("state")},
    ]
    tones = {"active": "good", "expired": None, "revoked": "bad"}
    rows = [
        {
            "id": one["publication_id"],
            "title": one["title"],
            "series": ", ".join(say("total") if name is None else name for name in one["series"]),
            "made": one["created_at"],
            "expires": one["expires_at"],
            "views": one["views"],
            "state": {"text": say(f"link_{one['state']}"), "tone": tones[one["state"]]},
            "open": one["state"] == "active",
        }
        for one in found["items"]
    ]
    return {"columns": columns, "rows": rows}
