"""Section on the data: a summary of the panel and the findings of the audit."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from vur.demand import INTERMITTENT_CLASSES, MOST
from vur.report.context import ReportContext
from vur.report.sections import Part
from vur.report.tables import MAX_ROWS, speaker, table
from vur.text import translate
from vur.wording import listing, number, percent, stamp, steps, unit

SEVERITIES = ("error", "warning", "info")


def part(found: ReportContext, language: str) -> Part:
    """Summary of the panel and findings of the audit."""
    content = facts(found, language) | {"demand": demand(found, language), "findings": findings(found, language)}
    return Part(speaker(language)("nav.data"), content=content)


def facts(context: ReportContext, language: str) -> dict[str, Any]:
    """A summary of the data as label and value pairs."""
    t, data, freq = speaker(language), context.data, context.freq
    pairs = [
        (t("data.source"), str(context.run.get("source") or "–")),
        (t("data.target"), str(data.get("target", "y"))),
        (t("data.n_series"), number(data.get("n_series"), language, 0)),
        (t("data.rows"), number(data.get("rows"), language, 0)),
        (t("data.span"), f"{stamp(data.get('start'), freq, language)} – {stamp(data.get('end'), freq, language)}"),
        (t("data.frequency"), t("data.every", step=_every(freq, language), alias=freq.alias)),
        (t("data.season"), steps(freq.season, freq, language) if freq.season > 1 else t("data.no_season")),
    ]
    if data.get("missing"):
        share = data["missing"] / max(data["missing"] + data.get("rows", 0), 1)
        pairs.append((t("data.missing"), f"{number(data['missing'], language, 0)} ({percent(share, language)})"))
    if data.get("absent"):
        pairs.append((t("data.absent"), number(data["absent"], language, 0)))
    if data.get("ended"):
        pairs.append((t("data.ended"), listing(data["ended"], language, 12)))
    if data.get("tz"):
        pairs.append((t("data.tz"), str(data["tz"])))
    if context.upload.get("rejected"):
        pairs.append((t("data.rejected"), number(context.upload["rejected"], language, 0)))
    roles: dict[str, list[str]] = {}
    for column, role in (data.get("roles") or {}).items():
        roles.setdefault(role, []).append(str(column))
    pairs += [(t(f"role.{role}"), listing(columns, language, 12)) for role, columns in roles.items()]
    return {"pairs": pairs, "dialect": dialect(context.upload, language)}


def demand(context: ReportContext, language: str) -> dict[str, Any] | None:
    """The classes of demand: a sentence and a table; None where no series is intermittent or lumpy."""
    classes, t = context.data.get("demand") or [], speaker(language)
    rare = sum(one["series"] for one in classes if one["name"] in INTERMITTENT_CLASSES)
    if not rare:
        return None
    every = sum(one["series"] for one in classes)
    key = "most" if rare > MOST * every else "some"
    text = t(f"demand.{key}", count=number(rare, language, 0), all=number(every, language, 0))
    rows = [
        (
            t(f"demand.class.{one['name']}"),
            number(one["series"], language, 0),
            percent(one["series"] / every, language, 0),
            number(one["interval"], language, 1) if np.isfinite(one["interval"]) else "–",
            number(one["cv2"], language, 2) if np.isfinite(one["cv2"]) else "–",
        )
        for one in classes
    ]
    names = ("class", "series", "share", "interval", "cv2")
    columns = [(t(f"demand.column.{name}"), "text" if name == "class" else "number") for name in names]
    return {"text": text, "table": table(columns, rows)}


def _every(freq: Any, language: str) -> str:
    word, span = unit(freq)
    return translate(f"report.unit.{word}", language, count=1) if span == 1 else steps(1, freq, language)


def dialect(upload: Mapping[str, Any], language: str) -> str:
    """How the file was read, in one line."""
    found = upload.get("dialect") or {}
    found = found if isinstance(found, Mapping) else vars(found)
    t = speaker(language)
    return " · ".join(
        f"{t(f'dialect.{key}')} {_character(found[key])}"
        for key in ("kind", "encoding", "delimiter", "decimal", "thousands")
        if found.get(key)
    )


def _character(value: Any) -> str:
    return {"\t": "tab", " ": "␠"}.get(str(value), f"“{value}”" if len(str(value)) == 1 else str(value))


def findings(context: ReportContext, language: str) -> dict[str, Any]:
    """Findings of the audit, most severe first; findings of the same code on several series are one entry."""
    frame, t = context.findings, speaker(language)
    if frame is None or not len(frame):
        return {"known": frame is not None, "groups": [], "counts": []}
    groups = []
    for (severity, code), rows in frame.groupby(["severity", "code"], sort=False):
        names = [str(name) for name in rows["unique_id"].dropna().unique()]
        repairs = [code for code in rows["repair"].dropna().astype(str).unique() if code.strip()]
        messages = [str(m) for m in rows["message"]]
        count = pd.to_numeric(rows["count"], errors="coerce").sum()
        groups.append(
            {
                "severity": str(severity),
                "label": t(f"severity.one.{severity}") if severity in SEVERITIES else str(severity),
                "code": str(code),
                "message": messages[0],
                "more": messages[1:MAX_ROWS],
                "hidden": max(len(messages) - MAX_ROWS, 0),
                "count": t("findings.count", count=number(count, language, 0)) if count else "",
                "series": t("findings.series", count=number(len(names), language, 0)) if len(names) > 1 else "",
                "repair": repairs[0] if repairs else "",
                "repairs": len(repairs),
            }
        )
    groups.sort(key=lambda group: SEVERITIES.index(group["severity"]) if group["severity"] in SEVERITIES else 9)
    counts = [
        (severity, t(f"severity.{severity}"), number(n, language, 0))
        for severity in SEVERITIES
        if (n := sum(g["severity"] == severity for g in groups))
    ]
    return {"known": True, "groups": groups, "counts": counts}
