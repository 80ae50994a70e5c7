"""What the results of a run show as panels: leaderboard, forecast, audit and folds, in one language."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vur.forecasters.registry import algorithm_name
from vur.frequency import advance
from vur.report.clock import on_clock
from vur.report.plots import levels_of, shown_series
from vur.report.sections.accuracy import board_notes
from vur.report.tables import speaker
from vur.scoring.metrics import METRICS, shown_metrics
from vur.stages.split import plan_split
from vur.store.data.thinning import short_numbers, thin
from vur.store.runs import fold_forecasts
from vur.text import translate
from vur.wording import digits_for, level_text, number, stamp, steps

if TYPE_CHECKING:
    from vur.runs.result import RunResult

Content = dict[str, Any]
POINTS = 2000  # of one line
MOST_SERIES = 500  # to pick from
RECENT = 8  # horizons of history that are shown first, at least `RECENT_ROWS`
RECENT_ROWS = 40
TONES = {"error": "bad", "warning": "warn", "info": "info"}
SPANS = ("recent", "all")


# --- leaderboard ---


def leaderboard_content(r: "RunResult", language: str, sort: str = "rank") -> Content:
    """The leaderboard as a table, sorted by a column's key, descending after a minus sign; missing values last."""
    t, board, metric = speaker(language), r.leaderboard, r.record.get("metric") or "mase"
    names = [name for name in dict.fromkeys(("skill", metric, *shown_metrics("summary"))) if _known(board, name)]
    covers = [name for name in board if str(name).startswith("coverage-") and board[name].notna().any()]
    digits = digits_for(board["mae"]) if "mae" in board else None
    columns: list[Content] = [
        {"key": "rank", "label": "#", "type": "number", "digits": 0},
        {"key": "algorithm", "label": t("column.algorithm")},
        *({"key": name, "label": t(f"metric.{name}.short")} | _metric_type(name, digits) for name in names),
        *(
            {"key": name, "label": translate("widgets.coverage", language, level=level_text(float(name[9:]), language))}
            | {"type": "percent", "digits": 0}
            for name in covers
        ),
        {"key": "seconds", "label": t("column.seconds"), "type": "number", "digits": 1},
    ]
    key = sort.removeprefix("-")
    order = board.assign(algorithm=[algorithm_name(a, language) for a in board["algorithm"]])
    place = order[key if key in {column["key"] for column in columns} else "rank"].sort_values(
        ascending=not sort.startswith("-"), na_position="last", kind="stable"
    )
    rows = [_board_row(board.loc[at], columns, language) for at in place.index]
    better = t("accuracy.smaller" if METRICS[metric].lower_is_better else "accuracy.larger")
    return {
        "title": translate("widgets.leaderboard", language),
        "note": " ".join(
            [
                t("accuracy.ranked", metric=t(f"metric.{metric}.short"), better=better),
                translate("widgets.chosen", language, model=_chosen(r, language)),
                *board_notes(board[board["chosen"] | board["rank"].isna()], language),
            ]
        ),
        "columns": [column | {"sort": True} for column in columns],
        "rows": rows,
        "sort": sort,
    }


def _known(board: pd.DataFrame, name: str) -> bool:
    return name in board and bool(board[name].notna().any())


def _chosen(r: "RunResult", language: str) -> str:
    return algorithm_name(r.record["winner"], language)


def _metric_type(name: str, digits: int | None) -> Content:
    if name == "skill" or METRICS[name].percent:
        return {"type": "percent", "digits": 1}
    own = METRICS[name].digits
    return {"type": "number", "digits": digits if own is None else own}


def _board_row(row: pd.Series, columns: Sequence[Content], language: str) -> Content:
    shown: Content = {"id": row["algorithm"]}
    for column in columns:
        key = column["key"]
        if key == "algorithm":
            shown[key] = {"text": algorithm_name(row[key], language)} | ({"tone": "good"} if row["chosen"] else {})
        else:
            in_percent = key.startswith("coverage-") or key in METRICS and METRICS[key].percent
            shown[key] = None if pd.isna(row[key]) else float(row[key]) / (100 if in_percent else 1)
    return shown


# --- forecast ---


def forecast_content(r: "RunResult", language: str, series: str | None = None, span: str = "recent") -> Content:
    """History and forecast of a series with its intervals; `span` is `recent` history or `all` of it."""
    history, ahead = _history(r), r.forecast.assign(ds=_wall(r.forecast["ds"]))
    names = [str(name) for name in shown_series(history, ahead, most=MOST_SERIES)]
    name = series if series in names else names[0]
    past, rows = _of(history, name), _of(ahead, name)
    if span == "recent":
        past = past.tail(max(RECENT * len(rows), RECENT_ROWS))
    last = past.dropna(subset=["y"]).tail(1)
    start = {"x": stamps(last["ds"]), "y": short_numbers(last["y"].to_numpy(float))}
    x = start["x"] + stamps(rows["ds"])
    levels = levels_of(rows)
    t = speaker(language)
    return {
        "title": t("nav.forecast"),
        "note": name if len(names) > 1 else None,
        "label": _sentence(name, rows, levels, r, language),
        "language": language,
        "x": "time" if pd.api.types.is_datetime64_any_dtype(rows["ds"]) else "value",
        "series": [
            {"name": t("plot.observed"), "color": "second", **_line(past)},
            {"name": t("plot.forecast"), "color": "primary", "x": x}
            | {"y": start["y"] + short_numbers(rows["forecast"].to_numpy(float))},
        ],
        "bands": [
            {
                "name": t("plot.band", level=level_text(level, language)),
                "x": x,
                "low": start["y"] + short_numbers(rows[f"lo-{level}"].to_numpy(float)),
                "high": start["y"] + short_numbers(rows[f"hi-{level}"].to_numpy(float)),
                "strength": 0.12 if level == max(levels) and len(levels) > 1 else 0.24,
            }
            for level in levels
        ],
        "zoom": True,
        "filters": _filters(names, name, span, language),
    }


def _sentence(name: str, rows: pd.DataFrame, levels: Sequence[float], r: "RunResult", language: str) -> str:
    digits, first = digits_for(rows["forecast"]), rows.iloc[0]
    values = {
        "series": name,
        "steps": steps(len(rows), r.panel.freq, language),
        "start": stamp(first["ds"], r.panel.freq, language),
        "end": stamp(rows["ds"].iloc[-1], r.panel.freq, language),
        "first": number(first["forecast"], language, digits),
        "last": number(rows["forecast"].iloc[-1], language, digits),
    }
    told = translate("widgets.forecast_sentence", language, **values)
    if levels:
        level = max(levels)
        values = {key: number(first[f"{key}-{level}"], language, digits) for key in ("lo", "hi")}
        told += " " + translate("widgets.interval_sentence", language, level=level_text(level, language), **values)
    return told


# --- audit ---


def audit_content(r: "RunResult", language: str) -> Content:
    """The findings of the audit with the code of their repairs, worst first as the run wrote them."""
    found = r.audit
    counts = found["severity"].value_counts()
    told = ", ".join(
        f"{translate(f'report.severity.{one}', language)}: {number(counts[one], language, 0)}"
        for one in TONES
        if one in counts
    )
    return {
        "title": translate("widgets.audit", language),
        "note": told or None,
        "empty": translate("widgets.no_findings", language),
        "items": [
            {
                "text": row["message"],
                "tone": TONES.get(row["severity"], "info"),
                "detail": None if pd.isna(row["repair"]) else "; ".join(str(row["repair"]).splitlines()),
            }
            for row in found.to_dict("records")
        ],
    }


# --- folds ---


def folds_content(r: "RunResult", language: str, series: str | None = None, span: str = "recent") -> Content:
    """A series with the periods that models were compared on and tested on, and the chosen model's forecasts there."""
    t, panel, record = speaker(language), r.panel, r.record
    plan = plan_split(panel, r.config.split)
    history = _history(r)
    names = [str(name) for name in shown_series(history, history, most=MOST_SERIES)]
    name = series if series in names else names[0]
    cut = [
        (fold, *_scored(fold, name, plan.gap, panel))
        for fold in (*plan.folds, *([plan.test] if plan.test else []))
        if name in set(fold.cutoffs.index.astype(str))
    ]
    past = _of(history, name)
    if span == "recent" and cut:
        first = past["ds"].searchsorted(min(start for _, start, _ in cut))
        past = past.iloc[max(0, first - max(len(past) - first, RECENT_ROWS)) :]
    lines = [{"name": t("plot.observed"), "color": "second", **_line(past)}]
    made = fold_forecasts(record)
    if made is not None and len(made := _of(made[made["algorithm"] == record["winner"]], name)):
        lines.append(
            {"name": translate("widgets.fold_forecast", language, model=_chosen(r, language))} | _tested(made, panel)
        )
    return {
        "title": translate("widgets.folds", language),
        "note": name if len(names) > 1 else None,
        "text": " ".join(plan.describe(language)),
        "label": translate(
            "widgets.folds_sentence",
            language,
            series=name,
            folds=number(len(plan.folds), language, 0),
            steps=steps(plan.horizon, panel.freq, language),
            start=stamp(cut[0][1], panel.freq, language) if cut else "–",
            end=stamp(cut[-1][2], panel.freq, language) if cut else "–",
        ),
        "language": language,
        "x": "time" if pd.api.types.is_datetime64_any_dtype(past["ds"]) else "value",
        "series": lines,
        "spans": [
            {
                "from": _stamp(start),
                "to": _stamp(end),
                "label": translate("widgets.test", language) if fold is plan.test else number(fold.number, language, 0),
                "tone": "fourth" if fold is plan.test else "primary",
                "strength": 0.1,
            }
            for fold, start, end in cut
        ],
        "zoom": True,
        "filters": _filters(names, name, span, language),
    }


def _scored(fold: Any, name: str, gap: int, panel: Any) -> tuple[Any, Any]:
    """The first and the last stamp that a fold scores of a series, on the reader's clock."""
    cutoff = np.repeat(fold.cutoffs[fold.cutoffs.index.astype(str) == name].to_numpy()[:1], 2)
    ends = advance(cutoff, np.asarray([gap + 1, gap + fold.steps]), panel.freq.alias)
    moved = on_clock(pd.DataFrame({"ds": ends}), panel.tz, panel.freq)["ds"]
    return moved.iloc[0], moved.iloc[1]


def _tested(made: pd.DataFrame, panel: Any) -> Content:
    """Forecasts over the folds as one line with a gap before each fold."""
    x: list[Any] = []
    y: list[Any] = []
    made = on_clock(made, panel.tz, panel.freq)
    for _, rows in made.sort_values("ds").groupby("fold", sort=False):
        x += [stamps(rows["ds"].head(1))[0], *stamps(rows["ds"])]
        y += [None, *short_numbers(rows["forecast"].to_numpy(float))]
    return {"color": "third", "style": "line", "x": x, "y": y}


# --- what they share ---


def _history(r: "RunResult") -> pd.DataFrame:
    panel = r.panel
    return on_clock(panel.frame[["unique_id", "ds", "y"]], panel.tz, panel.freq)


def _of(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    return frame[frame["unique_id"].astype(str) == name]


def _wall(ds: pd.Series) -> pd.Series:
    """Stamps on the reader's clock, without the zone that sub-daily ones carry."""
    return ds.dt.tz_localize(None) if isinstance(ds.dtype, pd.DatetimeTZDtype) else ds


def _line(rows: pd.DataFrame) -> Content:
    y = rows["y"].to_numpy(float)
    at = thin(y, POINTS)
    return {"x": stamps(rows["ds"].iloc[at]), "y": short_numbers(y[at])}


def stamps(values: pd.Series) -> list[Any]:
    """Stamps as ISO text, without the time where all are at midnight; integers as they are."""
    if not pd.api.types.is_datetime64_any_dtype(values.dtype):
        return [int(value) for value in values]
    days = bool((values == values.dt.normalize()).all())
    return values.dt.strftime("%Y-%m-%d" if days else "%Y-%m-%dT%H:%M:%S").tolist()


def _stamp(value: Any) -> Any:
    return stamps(pd.Series([value]))[0]


def _filters(names: Sequence[str], name: str, span: str, language: str) -> list[Content]:
    spans = [[one, translate(f"widgets.{one}", language)] for one in SPANS]
    found = [{"name": "span", "label": translate("widgets.history", language), "value": span, "options": spans}]
    if len(names) > 1:
        options = [[one, one] for one in names]
        label = translate("report.column.series", language)
        found.insert(0, {"name": "series", "label": label, "value": name, "options": options})
    return found
