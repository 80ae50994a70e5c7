"""`vur run`: from a file to a forecast, a notebook and a report."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vur.commands.forecast import read_levels
from vur.errors import VurError
from vur.text import LANGUAGES, translate

if TYPE_CHECKING:
    from vur.runs.result import RunResult

LEADERBOARD = (
    "rank",
    "algorithm",
    "mase",
    "mae",
    "rmse",
    "smape",
    "wape",
    "skill",
    "coverage-80",
    "coverage-95",
    "weight",
    "seconds",
    "note",
)


def add_run(run: argparse.ArgumentParser) -> None:
    """Options of `vur run`."""
    run.add_argument("source", nargs="?", help="CSV, TSV, gzip, zip, Parquet or Excel file")
    run.add_argument("--config", help="pipeline.yaml of an earlier run")
    run.add_argument("--resume", metavar="RUN", help="go on with a run that failed or was interrupted")
    run.add_argument("--date", help="column of dates")
    run.add_argument("--target", help="column to forecast")
    run.add_argument("--series", action="append", help="column that names the series (may be repeated)")
    run.add_argument("--horizon", type=int, help="steps to forecast")
    run.add_argument("--freq", help="pandas frequency such as D, W-MON, MS, h, 15min; inferred when left out")
    run.add_argument("--algorithms", help="auto, or ids separated by commas")
    run.add_argument("--preset", choices=["fast", "balanced", "best"], help="how far auto goes (default: balanced)")
    run.add_argument(
        "--optimize",
        type=int,
        metavar="N",
        help="try N combinations of parameters of the best algorithms, or of those named",
    )
    run.add_argument(
        "--optimize-method",
        choices=["bayesian", "random", "grid"],
        help="how combinations are chosen (default: bayesian)",
    )
    run.add_argument(
        "--network",
        action="append",
        default=[],
        metavar="FILE",
        help="JSON file with a neural network of your own (may be repeated)",
    )
    run.add_argument("--time-budget", type=float, metavar="SECONDS", help="end the training after this many seconds")
    run.add_argument("--folds", type=int, help="rolling-origin folds")
    run.add_argument("--country", help="country of the holidays, such as BR")
    run.add_argument("--state", help="state of the holidays, such as SP")
    run.add_argument(
        "--known-future", action="append", default=[], metavar="COLUMN", help="column whose future values are known"
    )
    run.add_argument(
        "--past-only",
        action="append",
        default=[],
        metavar="COLUMN",
        help="column whose values are known up to the last date only",
    )
    run.add_argument("--exclude", action="append", default=[], metavar="COLUMN", help="column to leave out")
    run.add_argument(
        "--duplicates", choices=["refuse", "sum", "mean", "first", "last"], help="what to do with repeated stamps"
    )
    run.add_argument(
        "--hierarchy",
        metavar="COLUMNS",
        help="totals that parts add up to: columns from the top down such as region,store, or all, auto, none",
    )
    run.add_argument(
        "--hierarchy-ends",
        choices=["refuse", "zero", "cut"],
        help="series that end early: refuse (default), zero from then on, cut all",
    )
    run.add_argument(
        "--hierarchy-missing",
        choices=["keep", "zero"],
        help="missing values: missing in their totals (default), or zero",
    )
    run.add_argument("--levels", help="interval levels, such as 80,95")
    run.add_argument("--seed", type=int)
    run.add_argument("--name", help="name of the saved model")
    run.add_argument("--language", choices=LANGUAGES)
    run.add_argument("--out", help="folder of the reports (default: settings)")
    run.add_argument("--no-notebook", action="store_true", help="run in this process, without papermill")
    run.add_argument("--fresh", action="store_true", help="ignore stage outputs of earlier runs")
    run.add_argument("--quiet", action="store_true", help="print no progress")


def run_command(options: argparse.Namespace, language: str) -> int:
    """`vur run`."""
    from vur.hierarchy import hierarchy_choice
    from vur.runs.api import resume, run
    from vur.runs.progress import ConsoleProgress

    watcher = None if options.quiet else ConsoleProgress(lambda line: print(line, flush=True), language)
    notebook = not options.no_notebook
    if options.resume:
        result = resume(options.resume, out=options.out, watcher=watcher, notebook=notebook)
    else:
        roles = (
            dict.fromkeys(options.known_future, "known_future")
            | dict.fromkeys(options.past_only, "past_only")
            | dict.fromkeys(options.exclude, "exclude")
        )
        result = run(
            options.source,
            date=options.date,
            target=options.target,
            series=options.series,
            horizon=options.horizon,
            freq=options.freq,
            algorithms=options.algorithms,
            time_budget=options.time_budget,
            country=options.country,
            state=options.state,
            folds=options.folds,
            levels=read_levels(options.levels),
            seed=options.seed,
            roles=roles or None,
            hierarchy=hierarchy_choice(options.hierarchy, options.hierarchy_ends, options.hierarchy_missing),
            duplicates=options.duplicates,
            preset=options.preset,
            optimize=options.optimize,
            optimize_method=options.optimize_method,
            networks=_networks(options.network),
            name=options.name,
            language=options.language,
            config=options.config,
            out=options.out,
            notebook=notebook,
            fresh=options.fresh,
            watcher=watcher,
        )
    print_summary(result, language)
    return 0


def _networks(files: list[str]) -> dict[str, dict[str, Any]] | None:
    """The networks of JSON files by the files' names."""
    import json

    found = {}
    for path in map(Path, files):
        if not path.is_file():
            raise VurError("runs.no_file", path=path)
        try:
            found[path.stem] = json.loads(path.read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise VurError("config.syntax", path=path, reason=str(error)) from None
    return found or None


def print_summary(result: "RunResult", language: str) -> None:
    """Audit, leaderboard, the verdict in a sentence, and where things are."""
    record, board, audit = result.record, result.leaderboard, result.audit
    severity = audit["severity"].value_counts()

    def tell(key: str, **values: Any) -> None:
        print(translate(f"cli.summary.{key}", language, **values))

    print()
    tell(
        "findings",
        errors=severity.get("error", 0),
        warnings=severity.get("warning", 0),
        infos=severity.get("info", 0),
        rejected=record["rejected"],
    )
    tell("head", folds=record["folds"], horizon=record["horizon"], series=record["n_series"])
    if record.get("sums"):
        print(
            translate(
                "hierarchy.scored",
                language,
                series=record["n_series"],
                sums=record["sums"],
                own=record["n_series"] - record["sums"],
            )
        )
    shown = board[[name for name in LEADERBOARD if name in board]].fillna({"note": ""} if "note" in board else {})
    print(shown.to_string(index=False, float_format="{:.3f}".format, na_rep="", max_colwidth=60))
    print()
    best = board.iloc[0]
    tell(
        "skill" if best["skill"] > 0 else "no_skill",
        algorithm=best["algorithm"],
        **({"percent": best["skill"]} if best["skill"] > 0 else {}),
    )
    if record["status"] == "stopped":
        tell("stopped")
    tell("report", path=short(result.report))
    if result.notebook.is_file():
        tell("notebook", path=short(result.notebook))
    tell("forecast", path=short(result.folder / "forecast.csv"))
    tell("model", tag=record["model"], name=record["model"].partition(":")[0], horizon=record["horizon"])
    tell("seconds", seconds=record["seconds"])


def short(path: Path) -> str:
    """`path` from here where that is shorter."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
