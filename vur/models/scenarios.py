"""What-if scenarios: forecasts of a saved model with edited future values, stored by name."""

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vur.columns import own_name, read_stamps, wall_time
from vur.errors import VurError
from vur.models.future import (
    SHOWN,
    Coming,
    blind_share,
    check_cells,
    check_usable,
    column_error,
    fill_coming,
    level_sentence,
    stamp_text,
    strange_levels,
    used_columns,
)
from vur.models.horizon import asked_horizon
from vur.models.saved import coming_rows, open_model, predict_coming
from vur.store.cache import digest
from vur.store.home import home, new_folder, write_text
from vur.store.models.models import find_model
from vur.text import DEFAULT_LANGUAGE, translate

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from vur.models.future import Coming


CHANGE = re.compile(r"\s*([+\-*=])\s*(\d+(?:[.,]\d+)?|[.,]\d+)\s*(%?)\s*")
SET_NEGATIVE = re.compile(r"\s*=\s*-\s*(\d+(?:[.,]\d+)?)\s*")
LIMITS = ("change", "series", "start", "end")


def apply_edits(
    coming: Coming,
    edits: Mapping[str, Any] | pd.DataFrame | str | Path,
    used: Sequence[str],
    reasons: Mapping[str, str] = {},  # noqa: B006 (never changed)
) -> Coming:
    """`coming` with `edits` applied.

    A mapping gives a change for each column: a value, `"=3"`, `"+5"`, `"-5"`, `"*1.2"`, `"+10%"`, `"-10%"`, a list with
    one value per step, or a dict with `change` and any of `series` (one name or several), `start` and `end`
    (timestamps) to change only those rows. A frame or file gives new values for its rows and columns. `VurError` names
    a column that the model does not use, with the reason in `reasons` (`Effects.unclear`), and an edit that cannot be
    read or applied.
    """
    if not isinstance(edits, Mapping):
        return fill_coming(coming, edits, ())
    if not edits:
        raise VurError("scenarios.nothing")
    rows = coming.rows.copy()
    for name, change in edits.items():
        known = {own_name(column, coming.names): column for column in coming.columns}
        inner = known.get(name, name)
        if inner not in coming.columns:
            raise column_error(str(name), pd.DataFrame(columns=list(known)))
        if inner not in used:
            shown = ", ".join(own_name(column, coming.names) for column in used)
            raise VurError(f"scenarios.column_{reasons.get(str(inner), 'unused')}", column=name, used=shown)
        limits = dict(change) if isinstance(change, Mapping) else {"change": change}
        if set(limits) - set(LIMITS) or "change" not in limits:
            raise VurError("scenarios.edit", column=name, value=change)
        rows[inner] = apply_change(coming, rows[inner], inner, limits["change"], edited_rows(coming, limits))
    return replace(coming, rows=rows)


def edited_rows(coming: Coming, limits: Mapping[str, Any]) -> np.ndarray:
    """A mask of the rows that an edit is for; `VurError` if it names an unknown series or selects no row."""
    rows, chosen = coming.rows, np.ones(len(coming.rows), dtype=bool)
    if limits.get("series") is not None:
        given = limits["series"]
        wanted = [str(id) for id in ([given] if isinstance(given, (str, int)) else given)]
        known = set(rows["unique_id"])
        if unknown := [id for id in wanted if id not in known]:
            raise VurError(
                "scenarios.series",
                series=", ".join(unknown[:SHOWN]),
                known=", ".join(list(dict.fromkeys(rows["unique_id"]))[:SHOWN]),
            )
        chosen &= rows["unique_id"].isin(wanted).to_numpy()
    for key, compare in (("start", np.greater_equal), ("end", np.less_equal)):
        if limits.get(key) is not None:
            chosen &= compare(local_stamps(coming), _stamp(limits[key], coming))
    if not chosen.any():
        raise VurError("scenarios.no_rows", first=stamp_text(rows["ds"].min()), last=stamp_text(rows["ds"].max()))
    return chosen


def local_stamps(coming: Coming) -> np.ndarray:
    """The timestamps of the future rows in the user's local time."""
    from vur.timezones import to_zone

    return wall_time(to_zone(coming.rows[["ds"]], coming.tz, coming.freq)["ds"], coming.tz)[0].to_numpy()


def _stamp(value: Any, coming: Coming) -> Any:
    stamp = wall_time(read_stamps(pd.Series([value]), coming.date, coming.freq.is_integer), coming.tz)[0].to_numpy()[0]
    if stamp.dtype.kind != coming.rows["ds"].dtype.kind:
        raise VurError(
            "covariates.stamps", column=coming.date, value=str(value), expected=stamp_text(coming.rows["ds"].iloc[0])
        )
    return stamp


def apply_change(coming: Coming, column: pd.Series, name: str, change: Any, rows: np.ndarray) -> pd.Series:
    """`column` with `change` applied at `rows`; `VurError` if the change is not valid for it."""
    old = column.astype(object) if name in coming.text else column.astype(float)
    values: Any = old.to_numpy(copy=True)
    if isinstance(change, (list, tuple, np.ndarray, pd.Series)):
        given, steps = list(change), int(coming.rows["step"].max())
        if len(given) != steps:
            raise VurError("scenarios.length", column=name, count=len(given), steps=steps)
        new = [_single(coming, name, value) for value in given]
        values[rows] = np.array(new, dtype=values.dtype)[coming.rows["step"].to_numpy()[rows] - 1]
    else:
        values[rows] = _calculated(coming, name, change, values[rows])
    return pd.Series(values, index=column.index)


def _single(coming: Coming, name: str, value: Any) -> Any:
    if name in coming.text:
        return str(value)
    if isinstance(value, (bool, np.bool_, int, float, np.number)) and np.isfinite(value):
        return float(value)
    raise VurError("scenarios.edit", column=name, value=value)


def _calculated(coming: Coming, name: str, change: Any, old: np.ndarray) -> Any:
    """The new values of `old` under a value or an expression."""
    if name in coming.text:
        if not isinstance(change, str) or not change.strip().removeprefix("="):
            raise VurError("scenarios.edit_text", column=name, value=change)
        return change.strip().removeprefix("=").strip()
    if not isinstance(change, str):
        return _single(coming, name, change)
    if negative := SET_NEGATIVE.fullmatch(change):
        return -float(negative[1].replace(",", "."))
    found = CHANGE.fullmatch(change)
    if not found or (found[3] and found[1] in "*="):
        raise VurError("scenarios.edit", column=name, value=change)
    sign, amount = found[1], float(found[2].replace(",", "."))
    if sign == "=":
        return amount
    if sign == "*":
        return old * amount
    amount = amount if sign == "+" else -amount
    return old * (1 + amount / 100) if found[3] else old + amount


HEAD, LONGEST = "scenario.json", 120
BASELINE = "baseline"


@dataclass(frozen=True)
class Scenario:
    """A forecast with edited future values.

    `edits` are as given (a table as records), `future` the future values used (`unique_id, ds` and columns), `base` the
    values before the edits, `forecast` and `baseline` the forecasts with each (`unique_id, ds, forecast, lo-L, hi-L`).
    `outside` lists columns that the edits take beyond their training range: `column, low, high, value`; forecasts are
    unreliable there. `whole` are the series that add up to the total without double counting if some are sums of
    others; else empty. `notes` say why the change may be less or other than the true one: `key` and its data.
    """

    name: str
    model: str
    horizon: int
    created: str
    edits: Any
    future: pd.DataFrame
    base: pd.DataFrame
    forecast: pd.DataFrame
    baseline: pd.DataFrame
    freq: dict[str, Any]
    tz: str | None = None
    outside: list[dict[str, Any]] = field(default_factory=list)
    whole: list[str] = field(default_factory=list)
    notes: list[dict[str, Any]] = field(default_factory=list)


def scenario(
    tag: str,
    name: str,
    edits: Mapping[str, Any] | pd.DataFrame | str | Path,
    horizon: int | None = None,
    base: pd.DataFrame | str | Path | None = None,
) -> Scenario:
    """Forecast with model `tag` and edited future values, and store the result as `name`.

    `edits` as in `apply_edits`: `{"price": "-10%", "promotion": 1}`, or a table of new values. They apply to the future
    values of the training data, updated with `base` (a frame or file in the user's column names). A scenario of the
    same name and model is replaced. `VurError` covariates.unused if the model uses no known-future column.
    """
    label = clean_name(name)
    model, head, metadata = open_model(tag)
    wanted = list(edits) if isinstance(edits, Mapping) else used_columns(model) or model.head.columns("known_future")
    check_usable(model, wanted)
    steps = asked_horizon(horizon, metadata)
    before = coming_rows(model, head, steps, base)
    unclear = {} if model.effects is None else model.effects.unclear
    after = apply_edits(before, edits, used_columns(model), unclear)
    check_cells(after, used_columns(model))
    columns, levels = ["unique_id", "ds", *before.columns], tuple(metadata["levels"])
    found = Scenario(
        label,
        str(find_model(tag).tag),
        steps,
        datetime.now(UTC).isoformat(timespec="seconds"),
        plain_edits(edits, before, after),
        after.rows[columns],
        before.rows[columns],
        predict_coming(model, after, levels),
        predict_coming(model, before, levels),
        vars(before.freq),
        before.tz,
        outside_range(before, after, head.get("ranges") or {}),
        list(model.reconciler.hierarchy.whole) if model.reconciler is not None else [],
        doubts(model, head, before, after),
    )
    save_scenario(found)
    return found


def outside_range(before: "Coming", after: "Coming", ranges: Mapping[str, Sequence[float]]) -> list[dict[str, Any]]:
    """Columns whose edited values leave their training range, with the most extreme value.

    `ranges` has the minimum and maximum in training. Returns `column, low, high, value`.
    """
    found = []
    for name, (low, high) in ranges.items():
        if name not in after.columns or name in after.text:
            continue
        new = after.rows.loc[after.rows[name] != before.rows[name], name].astype(float)
        beyond = np.maximum(low - new, new - high)
        if len(new) and beyond.max() > 0:
            found.append({"column": name, "low": low, "high": high, "value": float(new[beyond.idxmax()])})
    return found


def doubts(model: Any, head: Mapping[str, Any], before: "Coming", after: "Coming") -> list[dict[str, Any]]:
    """Why the forecast may not move as the world would: `key` and its data, an entry for each column and reason.

    `constant`: the column never changed in training; `chance`: no effect of it beyond chance was found; `level`: a
    level that training did not hold; `blind`: a part of the forecast sees no column.
    """
    changed = [
        name
        for name in after.columns
        if (after.rows[name].astype(object) != before.rows[name].astype(object)).to_numpy().any()
    ]
    unclear = {} if model.effects is None else model.effects.unclear
    found: list[dict[str, Any]] = []
    for name in changed:
        low, high = (head.get("ranges") or {}).get(name, (0.0, 1.0))
        if low == high:
            found.append({"key": "constant", "column": own_name(name, after.names), "value": low})
        elif unclear.get(name) == "chance":
            found.append({"key": "chance", "column": own_name(name, after.names)})
    found += [{"key": "level", **one} for one in strange_levels(after, head, changed)]
    share, algorithms = blind_share(model)
    if changed and share > 0:
        found.append({"key": "blind", "percent": round(100 * share), "algorithms": ", ".join(algorithms)})
    return found


def doubt_sentence(one: Mapping[str, Any], language: str = DEFAULT_LANGUAGE) -> str:
    """An entry of `doubts` in words."""
    if one["key"] == "level":
        return level_sentence(one, language)
    return translate(f"scenarios.note.{one['key']}", language, **one)


def plain_edits(edits: Any, before: "Coming", after: "Coming") -> Any:
    """The edits as JSON values; for a table, the cells that it changed."""
    if isinstance(edits, Mapping):
        return json.loads(json.dumps(dict(edits), default=_json))
    cells = [
        (column, rows)
        for column in before.columns
        if (rows := (before.rows[column].astype(object) != after.rows[column].astype(object)).to_numpy()).any()
    ]
    return [
        {"series": str(id), "stamp": stamp_text(ds), "column": column, "value": _json(value)}
        for column, rows in cells
        for id, ds, value in after.rows.loc[rows, ["unique_id", "ds", column]].itertuples(index=False)
    ]


def _json(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value if isinstance(value, (str, int, float)) else str(value)


# --- keeping ---


def clean_name(name: str) -> str:
    """A scenario's name, stripped; `VurError` if it is empty, too long, or reserved for the baseline."""
    label = " ".join(str(name).split())
    if not label or len(label) > LONGEST or label == BASELINE:
        raise VurError("scenarios.name", name=label[:LONGEST], longest=LONGEST, taken=BASELINE)
    return label


def _folder(tag: str, name: str | None = None) -> Path:
    """The folder of the scenarios of an exact tag. Names are hashed, so that none can become a path."""
    path = home() / "scenarios" / digest("model", tag)[:32]
    return path if name is None else path / digest("scenario", name)[:32]


def save_scenario(found: Scenario) -> None:
    """Write a scenario (`scenario.json` and four Parquet tables), replacing one of the same name."""
    target = _folder(found.model, found.name)
    shutil.rmtree(target, ignore_errors=True)
    with new_folder(target) as draft:
        for table in ("future", "base", "forecast", "baseline"):
            getattr(found, table).to_parquet(draft / f"{table}.parquet", index=False)
        head = {
            "name": found.name,
            "model": found.model,
            "horizon": found.horizon,
            "created": found.created,
            "edits": found.edits,
            "freq": found.freq,
            "tz": found.tz,
            "outside": found.outside,
            "whole": found.whole,
            "notes": found.notes,
        }
        write_text(draft / HEAD, json.dumps(head, ensure_ascii=False, indent=1))


def load_scenario(tag: str, name: str) -> Scenario:
    """A stored scenario; `VurError` lists the known ones if the name is unknown."""
    exact = str(find_model(tag).tag)
    path = _folder(exact, clean_name(name))
    if not (path / HEAD).is_file():
        raise VurError("scenarios.unknown", name=name, model=exact, known=", ".join(scenarios(exact)["name"]) or "-")
    head = json.loads((path / HEAD).read_text(encoding="utf-8"))
    tables = {table: pd.read_parquet(path / f"{table}.parquet") for table in ("future", "base", "forecast", "baseline")}
    return Scenario(**head, **tables)


def scenarios(tag: str) -> pd.DataFrame:
    """The scenarios of a model, newest first: `name, model, horizon, created, edits, difference, percent`.

    `difference` and `percent` are those of the total.
    """
    exact = str(find_model(tag).tag)
    heads = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(_folder(exact).glob(f"*/{HEAD}"))]
    rows = [
        {key: head[key] for key in ("name", "model", "horizon", "created", "edits")} | _total(exact, head["name"])
        for head in heads
    ]
    columns = ["name", "model", "horizon", "created", "edits", "difference", "percent"]
    return pd.DataFrame(rows, columns=columns).sort_values(
        ["created", "name"], ascending=[False, True], ignore_index=True
    )


def _total(tag: str, name: str) -> dict[str, float]:
    row = effects(tag, [name], total=True).iloc[0]
    return {"difference": row["difference"], "percent": row["percent"]}


def delete_scenario(tag: str, name: str) -> None:
    """Delete a scenario permanently; `VurError` if the name is unknown."""
    found = load_scenario(tag, name)
    shutil.rmtree(_folder(found.model, found.name))


# --- comparing ---


def compare(tag: str, names: Sequence[str], series: str | Sequence[str] | None = None) -> pd.DataFrame:
    """`unique_id, ds, baseline` and one column per scenario: their forecasts at the steps that all of them have.

    `VurError` if two scenarios start from different future values, so that they share no baseline.
    """
    found = [load_scenario(tag, name) for name in ([names] if isinstance(names, str) else names)]
    if not found:
        raise VurError("scenarios.none")
    keys = ["unique_id", "ds"]
    table = _rows(found[0].baseline, series, found[0].model).rename(columns={"forecast": BASELINE})
    for one in found:
        own = one.baseline.rename(columns={"forecast": "own"})[[*keys, "own"]]
        merged = table.merge(one.forecast.rename(columns={"forecast": one.name})[[*keys, one.name]], on=keys).merge(
            own, on=keys
        )
        if (merged["own"] != merged[BASELINE]).any():
            raise VurError("scenarios.bases", first=found[0].name, second=one.name)
        table = merged.drop(columns="own")
    return table


def _rows(frame: pd.DataFrame, series: str | Sequence[str] | None, tag: str) -> pd.DataFrame:
    if series is None:
        return frame[["unique_id", "ds", "forecast"]]
    wanted = [series] if isinstance(series, str) else list(series)
    if unknown := [name for name in wanted if name not in set(frame["unique_id"])]:
        raise VurError(
            "scenarios.series",
            series=", ".join(map(str, unknown)),
            known=", ".join(list(dict.fromkeys(frame["unique_id"]))[:5]),
        )
    return frame.loc[frame["unique_id"].isin(wanted), ["unique_id", "ds", "forecast"]]


def effects(
    tag: str, names: Sequence[str], series: str | Sequence[str] | None = None, total: bool = False
) -> pd.DataFrame:
    """The effect of each scenario: `scenario, unique_id, baseline, total, difference, mean_difference, percent`.

    `baseline` and `total` are sums over the steps in the target's units, `difference` is total minus baseline,
    `mean_difference` is per step, `percent` is a share of the baseline (0.1 is 10%; NaN if that is 0). `total=True`
    gives one row per scenario over all series.
    """
    rows = []
    for name in [names] if isinstance(names, str) else names:
        table = compare(tag, [name], series).rename(columns={clean_name(name): "total"})
        whole = load_scenario(tag, name).whole if total and series is None else []
        table = table[table["unique_id"].isin(whole)] if whole else table
        keys = [] if total else ["unique_id"]
        groups = table.groupby("unique_id", sort=False)
        sums = (
            table[[BASELINE, "total"]].sum().to_frame().T if total else groups[[BASELINE, "total"]].sum().reset_index()
        )
        steps = len(table) if total else sums["unique_id"].map(groups.size())
        difference = sums["total"] - sums[BASELINE]
        rows.append(
            sums.assign(
                scenario=clean_name(name),
                difference=difference,
                mean_difference=difference / steps,
                percent=difference / sums[BASELINE].abs().where(sums[BASELINE] != 0),
            )[["scenario", *keys, BASELINE, "total", "difference", "mean_difference", "percent"]]
        )
    return pd.concat(rows, ignore_index=True)


def compare_figure(
    tag: str, names: Sequence[str], series: str | None = None, history: pd.DataFrame | None = None, language: str = "en"
) -> "Figure":
    """History, baseline and scenarios of one series as an interactive figure.

    `history` has `unique_id, ds, y`, as `vur.runs.result.model_history(tag)` returns it; None leaves it out. See
    `vur.models.scenario_plot` for the description of the figure.
    """
    import plotly.graph_objects as go

    from vur.models.scenario_plot import compare_spec

    return go.Figure(compare_spec(compare(tag, names, series), history, language, series))
