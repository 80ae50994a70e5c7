"""`vur.run` and related functions: start, resume, reproduce a run, and render its report again."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from vur.columns import with_index
from vur.errors import VurError
from vur.hierarchy import HierarchySpec, hierarchy_choice
from vur.runs.config import Config, default_config, replace_sections
from vur.runs.dataset import keep_frame
from vur.runs.execute import execute_in_process, execute_notebook
from vur.runs.folder import RECORD
from vur.runs.result import RunResult
from vur.runs.run import CONFIG
from vur.settings import settings
from vur.stages.model import require_libraries
from vur.store.cache import library_versions
from vur.store.home import write_text
from vur.store.runs import file_fingerprint, find_run, next_attempt, run_hash

PANEL_COLUMNS = {"unique_id", "ds", "y"}


def run(
    source: pd.DataFrame | pd.Series | str | Path | None = None,
    *,
    date: str | None = None,
    target: str | None = None,
    series: str | Sequence[str] | None = None,
    horizon: int | None = None,
    freq: str | None = None,
    tz: str | None = None,
    date_order: str | None = None,
    sentinels: str | None = None,
    algorithms: str | Sequence[str] | None = None,
    time_budget: float | None = None,
    country: str | None = None,
    state: str | None = None,
    folds: int | None = None,
    levels: Sequence[float] | None = None,
    seed: int | None = None,
    whole: bool | None = None,
    preset: str | None = None,
    metric: str | None = None,
    optimize: int | None = None,
    optimize_method: str | None = None,
    networks: dict[str, dict[str, Any]] | None = None,
    roles: dict[str, str] | None = None,
    duplicates: str | None = None,
    absent: str | None = None,
    ended: str | None = None,
    trust: str | Sequence[str] | None = None,
    effects: str | None = None,
    hierarchy: str | Sequence[Any] | dict[str, Any] | HierarchySpec | None = None,
    name: str | None = None,
    language: str | None = None,
    config: Config | str | Path | None = None,
    out: str | Path | None = None,
    notebook: bool = True,
    fresh: bool = False,
    watcher: Callable[[dict], None] | None = None,
) -> RunResult:
    """Audit the data, compare forecasters on the same folds, keep the best, write notebook, report and forecast.

    `source` is a file (CSV, TSV, gzip, zip, Parquet, Excel), a data frame, or a series whose index are its dates;
    everything not given is inferred. `tz` is the time zone of stamps that do not carry one, such as
    `"America/Sao_Paulo"`. `date_order` (`dmy, mdy, ymd`) is the order of day, month and year where dates allow several,
    and `sentinels` (`missing, keep`) what becomes of
    values such as -9999 that stand for none. `preset` sets how many
    candidates `algorithms="auto"` tries (`fast, balanced, best`), `metric` ranks them (`auto`: RMSSE where most
    series are intermittent, else MASE; or a name of `vur.scoring.metrics.METRICS`), `optimize` the number of
    hyperparameter combinations to try, and `networks` defines custom neural networks by name, in JSON form.
    `absent` says what rows that are absent mean (`auto, zero, missing`), `ended` whether series that ended before
    the others are left out (`omit`) or forecast (`forecast`). `hierarchy` adds
    reconciled totals: `all`, `auto`, columns from the top down such as `"region,store"`, or what `HierarchySpec` takes.
    The forecast is an expected value (a mean), so that its sums are; `whole` writes it in whole numbers whose sum over
    the horizon keeps within a half, series by series, while totals still add the expected values.
    `trust` names known-future columns to use although they look like copies of the target. `effects` is whether models
    forecast what known-future columns leave (`auto, always, never`).
    `config` (a `Config` or a pipeline.yaml) is the base that the other arguments override. `notebook=False` runs in
    this process, without papermill. `fresh=True` ignores cached stage outputs. `watcher` receives progress events.
    Raises `VurError` with cause and remedy.
    """
    base = default_config() if config is None else config if isinstance(config, Config) else _config_file(Path(config))
    if isinstance(source, pd.Series):
        source = source.to_frame("y" if source.name is None else source.name)
    if isinstance(source, pd.DataFrame) and PANEL_COLUMNS <= set(with_index(source).columns):
        if date in (None, "ds") and target in (None, "y") and _many(series) in (None, ["unique_id"]):
            date, target, series = "ds", "y", "unique_id"
    path = _source_path(source)
    chosen = replace_sections(
        base,
        name=name,
        language=language,
        hierarchy=hierarchy_choice(hierarchy),
        data={
            "path": path,
            "date": date,
            "target": target,
            "series": _many(series),
            "freq": freq,
            "tz": tz,
            "upload": _reading(base, date_order=date_order, sentinels=sentinels),
            "roles": roles,
            "duplicates": duplicates,
            "absent": absent,
            "ended": ended,
            "trust": _many(trust),
        },
        split={"horizon": horizon, "folds": folds},
        features={"country": country, "state": state},
        model={
            "algorithms": _algorithms(algorithms),
            "preset": preset,
            "metric": metric,
            "networks": networks,
            "effects": effects,
            "optimize": _optimize(base, optimize, optimize_method),
        },
        training={"time_budget": time_budget, "levels": levels, "seed": seed, "whole": whole},
    )
    if path is not None:
        chosen = replace_sections(chosen, data=chosen.to_dict()["data"] | {"fingerprint": None})
        chosen = Config.from_dict(chosen.to_dict() | {"data": chosen.to_dict()["data"] | {"fingerprint": None}})
    folder = prepare(chosen, Path(out) if out else settings().reports)
    (execute_notebook if notebook else execute_in_process)(folder, watcher, fresh=fresh)
    return RunResult(folder)


def _source_path(source: pd.DataFrame | pd.Series | str | Path | None) -> str | None:
    if source is None:
        return None
    if isinstance(source, pd.DataFrame):
        return str(keep_frame(source))
    if not isinstance(source, str | Path):
        raise VurError("runs.source_type", type=type(source).__name__)
    return str(Path(source).expanduser().absolute())


def _reading(base: Config, **given: str | None) -> dict[str, Any] | None:
    """How the source is read, changed by what is given; None where nothing is."""
    chosen = {key: value for key, value in given.items() if value is not None}
    return base.to_dict()["data"]["upload"] | chosen if chosen else None


def _many(names: str | Sequence[str] | None) -> list[str] | None:
    return [names] if isinstance(names, str) else None if names is None else list(names)


def _algorithms(given: str | Sequence[str] | None) -> str | list[str] | None:
    if given is None:
        return None
    names = given.split(",") if isinstance(given, str) else list(given)
    names = [name.strip() for name in names if name.strip()]
    return "auto" if names == ["auto"] else names


def _optimize(base: Config, iterations: int | None, method: str | None) -> dict[str, Any] | None:
    given = {"iterations": iterations, "method": method}
    given = {key: value for key, value in given.items() if value is not None}
    return base.to_dict()["model"]["optimize"] | given if given else None


def _config_file(path: Path) -> Config:
    """A configuration whose relative data path is resolved against the file's folder, or against the working folder."""
    config = Config.from_yaml(path)
    data = config.data.path
    if data and not Path(data).is_absolute() and not Path(data).is_file():
        return replace_sections(config, data={"path": str(path.absolute().parent / data)})
    return config


def prepare(config: Config, reports: Path) -> Path:
    """Create the folder of a new run with its configuration; `VurError` if data or a library is missing."""
    fingerprint = config.data.fingerprint
    if not fingerprint:
        if not config.data.path:
            raise VurError("runs.no_source")
        path = Path(config.data.path)
        if not path.is_file():
            raise VurError("runs.is_folder" if path.is_dir() else "runs.no_file", path=path)
        fingerprint = file_fingerprint(path)
    require_libraries(config.model)
    reports = reports.expanduser().absolute()
    try:
        folder = reports / next_attempt(reports, run_hash(fingerprint, config.hash()))
        write_text(folder / CONFIG, config.to_yaml())
    except OSError as error:
        raise VurError("runs.output", path=reports, reason=error.strerror or str(error)) from error
    return folder


def resume(
    run_id: str | Path,
    *,
    out: str | Path | None = None,
    watcher: Callable[[dict], None] | None = None,
    notebook: bool = True,
) -> RunResult:
    """Resume a run that failed or was interrupted: a new attempt that reuses all cached stages."""
    old = find_run(run_id, Path(out) if out else settings().reports)
    folder = prepare(Config.from_yaml(old / CONFIG), old.parent)
    (execute_notebook if notebook else execute_in_process)(folder, watcher)
    return RunResult(folder)


def reproduce(
    run_id: str | Path, *, out: str | Path | None = None, watcher: Callable[[dict], None] | None = None
) -> dict[str, Any]:
    """Run again from the stored data without any cache, and compare the forecasts digit by digit.

    The algorithms are those that the run completed, without a time budget, so that a slower machine compares the same.
    Returns `equal, rows, first (row, column, old, new) or None, versions {library: [then, now]}, folder`.
    """
    import tempfile

    from vur.runs.run import Run

    old = RunResult(find_run(run_id, Path(out) if out else settings().reports))
    if old.record.get("status") not in ("finished", "stopped"):
        raise VurError("runs.unfinished", run=old.id, status=old.record.get("status"), what="forecast.csv")
    content = old.config.to_dict()
    content["training"]["time_budget"] = None
    content["data"]["fingerprint"] = old.record["fingerprint"]
    with tempfile.TemporaryDirectory(prefix="vur-reproduce-") as scratch:
        folder = prepare(Config.from_dict(content), Path(scratch))
        again = Run(folder, watcher=watcher, fresh=True, only=old.record["completed"])
        assert len(again.forecast), "a finished run has a forecast"  # saves no model
        comparison = compare_tables(old.folder / "forecast.csv", folder / "forecast.csv")
        new = library_versions()
    then = old.record["versions"]
    versions = {
        name: [then.get(name), new.get(name)] for name in sorted(then.keys() | new) if then.get(name) != new.get(name)
    }
    return comparison | {"versions": versions, "run": old.id}


def compare_tables(old: Path, new: Path) -> dict[str, Any]:
    """Compare two CSV files cell by cell as text: `equal, rows, first difference`."""
    before, after = (pd.read_csv(path, dtype=str, keep_default_na=False) for path in (old, new))
    if before.shape != after.shape or list(before.columns) != list(after.columns):
        return {"equal": False, "rows": len(after), "first": {"rows": [len(before), len(after)]}}
    different = before.to_numpy() != after.to_numpy()
    if not different.any():
        return {"equal": True, "rows": len(after), "first": None}
    row, column = (int(place) for place in zip(*different.nonzero(), strict=True).__next__())
    return {
        "equal": False,
        "rows": len(after),
        "first": {
            "row": row + 1,
            "column": before.columns[column],
            "old": before.iat[row, column],
            "new": after.iat[row, column],
        },
    }


def render_again(run_id: str | Path, language: str, *, out: str | Path | None = None) -> Path:
    """Render the report of a finished run again, in `language`, from cached stage outputs.

    The saved model and `run.json` stay as the run left them.
    """
    from vur.runs.run import Run

    folder = find_run(run_id, Path(out) if out else settings().reports)
    before = (folder / RECORD).read_text(encoding="utf-8")
    config = Config.from_yaml(folder / CONFIG)
    write_text(folder / CONFIG, replace_sections(config, language=language).to_yaml())
    again = Run(folder)
    if tag := again.record.get("model"):
        again.model = tag
    path = again.report
    if tag:
        write_text(folder / RECORD, before)
    else:
        again.finish()
    return path
