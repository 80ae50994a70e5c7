"""Compares new observations with the forecasts of a saved model and flags anomalies."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vur.columns import (
    ROW,
    core_columns,
    own_name,
    read_stamps,
    read_target,
    select_columns,
    utc_time,
    wall_time,
    with_index,
)
from vur.errors import VurError
from vur.explain.anomalies import anomalies, anomaly_sentences, conformal_p, score_bands
from vur.frequency import at_border, most_steps
from vur.models.future import (
    Coming,
    check_cells,
    column_of,
    coming_steps,
    grid_keys,
    read_table,
    stamp_text,
    used_columns,
)
from vur.models.saved import open_model
from vur.scoring.intervals import check_levels
from vur.text import DEFAULT_LANGUAGE, translate
from vur.timezones import is_sub_daily, to_zone
from vur.wording import listing, number

if TYPE_CHECKING:
    from vur.stages.model.pipeline import Pipeline

FURTHEST = 10_000  # steps after the model's origin
KNOWN = "\0known "  # begins the name of a covariate in a table of judged rows, which has columns of its own
NOTES = ("unknown_series", "before", "off_grid", "too_far", "no_value", "gap", "beyond")
COLUMNS = (
    "unique_id",
    "ds",
    "step",
    "y",
    "forecast",
    "lo",
    "hi",
    "score",
    "p_value",
    "direction",
    "event",
    "anomaly",
    "note",
)


def check_new(tag: str, data: pd.DataFrame | str | Path, level: float = 95) -> pd.DataFrame:
    """Every new observation with the forecast of the saved model `tag`, sorted by series and time.

    `data` is a frame or file with the column names of the training data. Columns: `unique_id, ds, step, y, forecast,
    lo, hi, score, p_value, direction, event, anomaly, note`. `anomaly` is True outside the `level` percent interval;
    `score` is the distance from the forecast as a multiple of the interval's half-width; `event` numbers runs of
    adjacent anomalies. `note` states why a row could not be judged: `unknown_series`, `before` (not after the origin),
    `off_grid` (not a step of the frequency), `too_far`, `no_value`, `gap` (a step missing from `data`); or `beyond`:
    judged, but beyond the horizon that the intervals were tested on.

    Known-future columns are read from `data`; an empty cell takes the last known value. `VurError` names a column or
    value that cannot be read.
    """
    (level,) = check_levels([level])
    model, head, metadata = open_model(tag)
    if model.calibration is None:
        raise VurError("forecasters.uncalibrated", algorithm=model.id)
    table = data if isinstance(data, pd.DataFrame) else read_table(Path(data), head["names"])
    rows = observed_rows(model, head, table)
    coming = future_steps(model, head, rows, int(metadata["horizon"]))
    rows = add_gaps(place_rows(model, rows, coming), coming)
    judged = judge_rows(model, rows, coming, level)
    judged.loc[judged["note"].eq("") & judged["step"].gt(int(metadata["horizon"])), "note"] = "beyond"
    judged = judged.reindex(columns=list(COLUMNS)).sort_values(["unique_id", "ds"], kind="stable", ignore_index=True)
    return to_zone(judged, head["tz"], model.head.freq)


def observed_rows(model: "Pipeline", head: dict[str, Any], table: pd.DataFrame) -> pd.DataFrame:
    """`unique_id, ds, y`, `ROW` and the covariates (`KNOWN` and their name in the panel), at the model's timestamps."""
    table = with_index(table)
    if table.empty:
        raise VurError("insight.no_rows")
    names = head["names"]
    date, target, series = core_columns(table, names)
    core = table[[name for name in (date, target, *series) if name in table.columns]]
    rows = select_columns(core, date, target, series)[["unique_id", "ds", "y", ROW]]
    for name in head["roles"]:
        if column := column_of(name, table, names):
            values = table[column]
            rows[KNOWN + name] = (values.astype(float) if pd.api.types.is_bool_dtype(values.dtype) else values).array
    if not series:
        rows["unique_id"] = model.ends.index[0]
    original = read_stamps(rows["ds"], date, model.head.freq.is_integer)
    stamps, zone = wall_time(original, head["tz"])
    freq = model.head.freq
    if zone is not None and is_sub_daily(freq):
        stamps = utc_time(stamps, original, rows["unique_id"], zone)
    if (stamps.dtype.kind == "M") == freq.is_integer:
        raise VurError(
            "insight.stamp_kind", column=date, value=stamp_text(stamps.iloc[0]), expected=stamp_text(model.ends.iloc[0])
        )
    if head.get("borders"):
        stamps = at_border(stamps, freq.alias)
    return rows.assign(ds=stamps, y=read_target(rows["y"], target))


def future_steps(model: "Pipeline", head: dict[str, Any], rows: pd.DataFrame, horizon: int) -> Coming:
    """The future steps of `model` up to the last of `rows`: at least `horizon`, at most `FURTHEST`."""
    last = rows.loc[rows["unique_id"].isin(model.ends.index), "ds"].max()
    end = model.ends.max()
    furthest = min(FURTHEST, most_steps(int(end if model.head.freq.is_integer else end.value), model.head.freq.alias))
    while True:
        coming = coming_steps(model, horizon, head["names"])
        covered = coming.rows.groupby("unique_id", sort=False)["ds"].max().min()
        if pd.isna(last) or covered >= last or horizon >= furthest:
            return coming
        horizon = min(2 * horizon, furthest)


def place_rows(model: "Pipeline", rows: pd.DataFrame, coming: Coming) -> pd.DataFrame:
    """`rows` with `step` (NaN if it is not one) and `note`; timestamps on the grid are those of the forecast."""
    rows = rows.assign(key=grid_keys(rows["ds"], coming), note="")
    ends = rows["unique_id"].map(model.ends)
    known = ends.notna()
    past = known & (rows["key"] <= grid_keys(ends.where(known, rows["ds"]).astype(rows["ds"].dtype), coming))
    grid = (
        coming.rows[["unique_id", "ds", "step"]]
        .assign(key=grid_keys(coming.rows["ds"], coming))
        .rename(columns={"ds": "due"})
    )
    rows = rows.merge(grid, on=["unique_id", "key"], how="left")
    later = rows["unique_id"].map(grid.groupby("unique_id")["key"].max())
    note = np.select([~known, past, rows["key"] > later, rows["step"].isna(), rows["y"].isna()], list(NOTES[:5]), "")
    twice = rows["step"].notna() & rows.duplicated(["unique_id", "key"], keep=False)
    if twice.any():
        same = rows[twice & (rows[["unique_id", "key"]] == rows.loc[twice.idxmax(), ["unique_id", "key"]]).all(axis=1)]
        raise VurError(
            "insight.twice",
            series=same["unique_id"].iloc[0],
            stamp=stamp_text(same["ds"].iloc[0]),
            rows=", ".join(map(str, same[ROW].head(5))),
        )
    return rows.assign(ds=rows["due"].fillna(rows["ds"]), note=note).drop(columns=["due", "key", ROW])


def add_gaps(rows: pd.DataFrame, coming: Coming) -> pd.DataFrame:
    """`rows` plus a row with the note `gap` for every missing step before the last one of its series."""
    last = rows.groupby("unique_id")["step"].max()
    due = coming.rows[coming.rows["step"] <= coming.rows["unique_id"].map(last)][["unique_id", "ds", "step"]]
    have = pd.MultiIndex.from_frame(rows.loc[rows["step"].notna(), ["unique_id", "ds"]])
    lacking = due[~pd.MultiIndex.from_frame(due[["unique_id", "ds"]]).isin(have)]
    return pd.concat([rows, lacking.assign(y=np.nan, note="gap")], ignore_index=True) if len(lacking) else rows


def judge_rows(model: "Pipeline", rows: pd.DataFrame, coming: Coming, level: float) -> pd.DataFrame:
    """`rows` with forecast, interval, score, p-value, direction, event and the anomaly flag."""
    assert model.calibration is not None, "`check_new` refuses a model without calibrated intervals"
    steps = rows["step"].dropna()
    if steps.empty:
        return rows.assign(anomaly=False, direction="", event=pd.Series(pd.NA, rows.index, dtype="Int64"))
    given = covariates(model, rows, coming, int(steps.max()))
    forecast = model.predict(int(steps.max()), given, levels=(level,))
    rows = rows.merge(forecast, on=["unique_id", "ds"], how="left")
    there = rows["y"].notna() & rows["step"].notna()
    rows = score_bands(rows, level)
    rows["p_value"] = np.nan
    rows.loc[there, "p_value"] = conformal_p(
        model.calibration, rows.loc[there, ["unique_id", "ds", "step", "y", "forecast"]], level
    )
    found = anomalies(rows[there], level, model.head.freq.alias)
    rows = rows.merge(
        found[["unique_id", "ds", "event"]].astype({"event": "Int64"}), on=["unique_id", "ds"], how="left"
    )
    return rows.assign(anomaly=rows["event"].notna())


def covariates(model: "Pipeline", rows: pd.DataFrame, coming: Coming, horizon: int) -> pd.DataFrame | None:
    """Known-future columns of the first `horizon` steps.

    Values come from `rows`, else from the model, else from the last known value.
    """
    if not coming.columns:
        return None
    steps = coming.rows[coming.rows["step"] <= horizon].reset_index(drop=True)
    there = [name for name in coming.columns if KNOWN + name in rows]
    for name in used_columns(model):
        if name not in there and steps[name].isna().any():
            given = [own_name(name, coming.names) for name in there]
            raise VurError("insight.column", column=own_name(name, coming.names), columns=", ".join(given) or "-")
    new = steps[["unique_id", "ds"]].merge(
        rows.loc[rows["step"].notna(), ["unique_id", "ds", *(KNOWN + name for name in there)]].rename(
            columns={KNOWN + name: name for name in there}
        ),
        on=["unique_id", "ds"],
        how="left",
    )
    before = model.head.frame[model.head.frame["ds"] <= model.head.frame["unique_id"].map(model.ends)].set_index(
        "unique_id"
    )
    for name in coming.columns:
        values = new[name].where(new[name].notna(), steps[name]) if name in there else steps[name]
        steps[name] = (
            values.groupby(steps["unique_id"], sort=False)
            .ffill()
            .where(lambda kept: kept.notna(), steps["unique_id"].map(before[name]))
        )
        if name not in coming.text:
            steps[name] = pd.to_numeric(steps[name], errors="coerce")
    check_cells(Coming(steps, coming.columns, coming.freq, coming.tz, coming.names), used_columns(model))
    return steps[["unique_id", "ds", *coming.columns]]


def check_sentences(table: pd.DataFrame, level: float = 95, language: str = DEFAULT_LANGUAGE) -> list[str]:
    """The result of `check_new` in words.

    Anomalies with the number to expect by chance, then each kind of row that could not be judged.
    """
    judged = table[table["score"].notna() & table["y"].notna()] if "score" in table else table.head(0)
    flagged = judged[judged["anomaly"].astype(bool)].sort_values("score", ascending=False)
    said = (
        anomaly_sentences(flagged, len(judged), level, language)
        if len(judged)
        else [translate("insight.check.nothing", language)]
    )
    for note in NOTES:
        rows = table[table["note"] == note]
        if len(rows):
            first = rows.sort_values(["ds", "unique_id"]).iloc[0] if note != "unknown_series" else rows.iloc[0]
            said.append(
                translate(
                    f"insight.check.{note}",
                    language,
                    count=number(len(rows), language, 0),
                    first=stamp_text(first["ds"]),
                    series=listing(_names(rows), language, 5),
                    step=number(rows["step"].min() - 1, language, 0),
                )
            )
    return said


def _names(rows: pd.DataFrame) -> Sequence[str]:
    return rows["unique_id"].drop_duplicates().astype(str).tolist()
