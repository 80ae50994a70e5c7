"""Row operations on a stored dataset, and a preview of what the pipeline's own steps will do.

Both are described in words, with counts and a few sample rows.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vur.columns import series_names
from vur.errors import VurError
from vur.panel import Panel, series_codes
from vur.stages.features import FeatureSpec, features_frame, resolve_features
from vur.stages.preprocess import describe_preprocess, fit_preprocess
from vur.stages.preprocess.cleaning import Groups, OutlierSpec, fill, fixed_bands, treat_outliers
from vur.stages.preprocess.preprocessor import PreprocessSpec
from vur.stages.upload import in_zones
from vur.store.data import tables
from vur.text import translate
from vur.wizard.checks import open_version, panel_of
from vur.wording import listing

SHOWN = 10


# --- operations on rows ---


def change_rows(
    version_folder: str, data: dict[str, Any], operations: list[dict[str, Any]], target_file: str, language: str
) -> dict[str, Any]:
    """Apply `operations` to the rows of a version and write the result to `target_file` (Parquet).

    Returns sentences, counts, and changed rows before and after. The order of rows is kept. Columns are filled and
    measured series by series, in date order.
    """
    dataset, spec = open_version(version_folder, data)
    chosen = dataset.chosen(spec)
    frame = read_rows(dataset.upload.parquet)
    before, steps, counts = frame, [], {"rows_before": len(frame)}
    zones = {column.name: column.zone for column in dataset.upload.columns if column.zone}
    for item in operations:
        frame, sentence = OPERATIONS[item["do"]](frame, _in_utc(item, zones), chosen, language)
        steps.append(sentence)
    if frame.empty:
        raise VurError("prepare.nothing_left", rows=counts["rows_before"])
    in_zones(frame, dataset.upload.columns).to_parquet(target_file, index=False)
    return {"steps": steps, "counts": counts | {"rows_after": len(frame)}, **_compared(before, frame, chosen)}


def _in_utc(item: dict[str, Any], zones: dict[str, str]) -> dict[str, Any]:
    """The limits of a range of dates, which are local time, as the UTC in which stamps with a zone are stored."""
    zone = zones.get(item.get("column", ""))
    if item["do"] != "range" or not zone:
        return item
    limits = {name: pd.Series([item[name]]) for name in ("start", "end") if item.get(name) is not None}
    local = {name: pd.to_datetime(value, errors="coerce") for name, value in limits.items()}
    return item | {
        name: value.dt.tz_localize(zone, ambiguous=np.array([name == "start"]), nonexistent="shift_forward")
        .dt.tz_convert("UTC")
        .dt.tz_localize(None)
        .iloc[0]
        for name, value in local.items()
        if value.notna().all() and value.dt.tz is None
    }


def read_rows(path: Path) -> pd.DataFrame:
    """All rows of a table; integer columns stay integer where values are missing."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pq.read_table(path).to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)


def _numbers(column: pd.Series) -> np.ndarray:
    return column.to_numpy(dtype=float, na_value=np.nan)


def _order(frame: pd.DataFrame, chosen: dict[str, Any]) -> tuple[np.ndarray, Groups]:
    """Row positions sorted by series and date, and the groups of rows of one series."""
    names = list(chosen["series"])
    code = (
        frame.groupby(names, sort=False, dropna=False).ngroup().to_numpy() if names else np.zeros(len(frame), np.int64)
    )
    stamps = frame[chosen["date"]]
    order = np.lexsort((_numbers(stamps) if pd.api.types.is_numeric_dtype(stamps.dtype) else stamps.to_numpy(), code))
    return order, Groups(*series_codes(pd.Series(code[order])))


def _fill(frame: pd.DataFrame, item: dict[str, Any], chosen: dict[str, Any], language: str) -> tuple[pd.DataFrame, str]:
    order, groups = _order(frame, chosen)
    frame, filled = frame.copy(), {}
    for name in item["columns"]:
        column = frame[name].iloc[order]
        is_number = pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype)
        new = (
            _filled_numbers(column, groups, item["method"])
            if is_number and item["method"] != "mode"
            else _filled_texts(column, groups, item["method"])
        )
        filled[name] = int((column.isna() & new.notna()).sum())
        frame[name] = new.sort_index()
    text = _counts(filled, language)
    return frame, translate(
        "prepare.done.fill", language, method=translate(f"prepare.method.{item['method']}", language), columns=text
    )


def _filled_numbers(column: pd.Series, groups: Groups, method: str) -> pd.Series:
    new = fill(_numbers(column), groups, method)
    whole = (
        pd.api.types.is_integer_dtype(column.dtype)
        and method != "linear"
        and np.array_equal(new, np.round(new), equal_nan=True)
    )
    found = pd.Series(new, column.index)
    return column.fillna(found.astype("Int64")) if whole else found


def _filled_texts(column: pd.Series, groups: Groups, method: str) -> pd.Series:
    by = column.groupby(groups.codes)
    if method == "mode":
        most = by.agg(lambda values: values.mode().iloc[0] if values.notna().any() else None)
        return column.where(column.notna(), pd.Series(most.to_numpy()[groups.codes], column.index)).infer_objects()
    return by.ffill() if method == "forward" else by.bfill()


def _drop(frame: pd.DataFrame, item: dict[str, Any], chosen: dict[str, Any], language: str) -> tuple[pd.DataFrame, str]:
    kept = frame.dropna(subset=item["columns"]).reset_index(drop=True)
    return kept, translate(
        "prepare.done.drop", language, count=len(frame) - len(kept), columns=listing(item["columns"], language)
    )


def _outliers(
    frame: pd.DataFrame, item: dict[str, Any], chosen: dict[str, Any], language: str
) -> tuple[pd.DataFrame, str]:
    order, groups = _order(frame, chosen)
    spec = OutlierSpec(item["method"], item["treatment"], item.get("threshold"))
    frame, outliers = frame.copy(), {}
    for name in item["columns"]:
        values = _numbers(frame[name].iloc[order])
        low, high = (band[groups.codes] for band in fixed_bands(values, groups, spec))
        outliers[name] = int(((values < low) | (values > high)).sum())
        if outliers[name] and spec.treatment != "flag":
            frame[name] = pd.Series(treat_outliers(values, low, high, spec.treatment), frame.index[order]).sort_index()
    return frame, translate(
        "prepare.done.outliers",
        language,
        method=spec.method,
        threshold=f"{spec.limit:g}",
        columns=_counts(outliers, language),
        treatment=translate(f"preprocess.treatment.{spec.treatment}", language),
    )


def _duplicates(
    frame: pd.DataFrame, item: dict[str, Any], chosen: dict[str, Any], language: str
) -> tuple[pd.DataFrame, str]:
    kept = frame.drop_duplicates(ignore_index=True)
    return kept, translate("prepare.done.duplicates", language, count=len(frame) - len(kept))


def _range(
    frame: pd.DataFrame, item: dict[str, Any], chosen: dict[str, Any], language: str
) -> tuple[pd.DataFrame, str]:
    stamps, keep = frame[item["column"]], np.ones(len(frame), bool)
    for name, fits in (("start", lambda limit: stamps >= limit), ("end", lambda limit: stamps <= limit)):
        if item.get(name) is not None:
            keep &= fits(_stamp(stamps, item[name], f"date_range.{name}")).to_numpy()
    kept = frame[keep].reset_index(drop=True)
    return kept, translate(
        "prepare.done.range",
        language,
        count=len(frame) - len(kept),
        start=item.get("start") or "–",
        end=item.get("end") or "–",
    )


def _stamp(stamps: pd.Series, value: Any, field: str) -> Any:
    try:
        return float(value) if pd.api.types.is_numeric_dtype(stamps.dtype) else pd.Timestamp(value)
    except (ValueError, TypeError):
        raise VurError("prepare.choice", field=field, value=value, known="2024-01-31") from None


def _drop_columns(
    frame: pd.DataFrame, item: dict[str, Any], chosen: dict[str, Any], language: str
) -> tuple[pd.DataFrame, str]:
    return frame.drop(columns=item["columns"]), translate(
        "prepare.done.columns", language, columns=listing(item["columns"], language)
    )


# --- repairs of one series ---


def _of_series(frame: pd.DataFrame, item: dict[str, Any], chosen: dict[str, Any]) -> np.ndarray:
    """Which rows belong to the series of a repair."""
    named = list(chosen["series"])
    known = frame[named].notna().all(axis=1).to_numpy() if named else np.ones(len(frame), bool)
    ids = series_names(frame[known], named, chosen["target"]).to_numpy()
    found = np.zeros(len(frame), bool)
    found[known] = ids == item["series"]
    return found


def _repaired(frame: pd.DataFrame, changed: np.ndarray, item: dict[str, Any]) -> int:
    """The number of changed rows; `VurError` repairs.nothing if a repair finds none of its rows."""
    if not changed.any():
        raise VurError("repairs.nothing", series=item["series"])
    return int(changed.sum())


def _blank(
    frame: pd.DataFrame, item: dict[str, Any], chosen: dict[str, Any], language: str
) -> tuple[pd.DataFrame, str]:
    stamps = frame[chosen["date"]]
    wanted = pd.Series([_stamp(stamps, value, "stamps") for value in item["stamps"]]).astype(stamps.dtype)
    at = _of_series(frame, item, chosen) & stamps.isin(wanted).to_numpy()
    count = _repaired(frame, at, item)
    values = frame[chosen["target"]]
    kept = frame.assign(**{chosen["target"]: values.mask(at, pd.NA if values.dtype == "Int64" else np.nan)})
    return kept, translate("prepare.done.blank", language, series=item["series"], count=count)


def _cut(keeps: str) -> Any:
    def cut(
        frame: pd.DataFrame, item: dict[str, Any], chosen: dict[str, Any], language: str
    ) -> tuple[pd.DataFrame, str]:
        stamps = frame[chosen["date"]]
        limit = _stamp(stamps, item["stamps"][0], "stamps")
        beyond = (stamps < limit if keeps == "start" else stamps > limit).to_numpy()
        gone = _of_series(frame, item, chosen) & beyond
        count = _repaired(frame, gone, item)
        said = {"series": item["series"], "count": count, "stamp": str(item["stamps"][0])[:10]}
        return frame[~gone].reset_index(drop=True), translate(f"prepare.done.{keeps}_at", language, **said)

    return cut


def _without_series(
    frame: pd.DataFrame, item: dict[str, Any], chosen: dict[str, Any], language: str
) -> tuple[pd.DataFrame, str]:
    gone = _of_series(frame, item, chosen)
    count = _repaired(frame, gone, item)
    text = translate("prepare.done.drop_series", language, series=item["series"], count=count)
    return frame[~gone].reset_index(drop=True), text


OPERATIONS = {
    "blank": _blank,
    "start_at": _cut("start"),
    "end_at": _cut("end"),
    "drop_series": _without_series,
    "fill": _fill,
    "drop": _drop,
    "outliers": _outliers,
    "duplicates": _duplicates,
    "range": _range,
    "columns": _drop_columns,
}


def _counts(counts: dict[str, int], language: str) -> str:
    return listing([f"{name} ({count})" for name, count in counts.items()], language, most=20)


def _compared(before: pd.DataFrame, after: pd.DataFrame, chosen: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The first changed rows, with the columns that changed; the first rows of both tables if rows were removed."""
    if len(before) == len(after):
        changed = {
            name: ~(
                (before[name] == after[name]).fillna(False).astype(bool) | (before[name].isna() & after[name].isna())
            )
            for name in after.columns
        }
        names = [name for name, mask in changed.items() if mask.any()]
        masks = [changed[name].to_numpy() for name in names]
        rows = np.flatnonzero(np.logical_or.reduce(masks))[:SHOWN] if masks else np.empty(0, int)
        keys = list(dict.fromkeys([chosen["date"], *chosen["series"], chosen["target"], *names]))
        return {"before": _records(before[keys].iloc[rows]), "after": _records(after[keys].iloc[rows])}
    return {"before": _records(before.head(SHOWN)), "after": _records(after.head(SHOWN))}


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): _cell(value) for name, value in row.items()} for row in frame.to_dict("records")]


def _cell(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    return None if value is None or value is pd.NaT or value is pd.NA else tables.plain(value)


# --- what the pipeline will do ---


def preview_pipeline(
    version_folder: str,
    data: dict[str, Any],
    preprocess: dict[str, Any],
    features: dict[str, Any] | None,
    language: str,
) -> dict[str, Any]:
    """The effect of the pipeline's steps on the target of a version, as if fitted on all of its rows.

    Returns sentences, counts, and rows before and after.
    """
    panel = panel_of(version_folder, data)
    fitted = fit_preprocess(panel, PreprocessSpec.from_dict(preprocess))
    counts = {name: int(fitted.series[name].sum()) for name in ("filled", "outliers", "trimmed")}
    prepared = fitted.transform(panel)
    answer = {
        "steps": describe_preprocess(fitted, language),
        "counts": counts | {"series": len(fitted.series)},
        **_target_rows(panel, prepared),
    }
    return answer | {"features": _features(prepared, features) if features is not None else None}


def _target_rows(panel: Panel, prepared: Panel) -> dict[str, list[dict[str, Any]]]:
    both = panel.frame[["unique_id", "ds", "y"]].merge(
        prepared.frame[["unique_id", "ds", "y"]], on=["unique_id", "ds"], how="left", suffixes=("", "_new")
    )
    same = (both["y"] == both["y_new"]) | (both["y"].isna() & both["y_new"].isna())
    rows = both[~same].head(SHOWN)
    name = str(panel.names.get("target", "y"))
    return {
        "before": _records(rows[["unique_id", "ds", "y"]].rename(columns={"y": name})),
        "after": _records(rows[["unique_id", "ds", "y_new"]].rename(columns={"y_new": name})),
    }


def _features(panel: Panel, section: dict[str, Any]) -> dict[str, Any]:
    spec = resolve_features(FeatureSpec.from_dict(section), panel)
    last = panel.with_frame(panel.frame[panel.frame["unique_id"] == panel.ids[0]])
    table = features_frame(last, spec)
    return {
        "columns": [name for name in table.columns if name not in ("unique_id", "ds", "y")],
        "spec": spec.to_dict(),
        "rows": _records(table.tail(5)),
    }
