"""The `vur` command."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vur import __version__
from vur.commands.new_data import add_check, add_update, check_command, update_command
from vur.commands.saved_model import (
    add_forecast,
    add_future,
    add_what_if,
    forecast_command,
    future_command,
    read_levels,
    what_if_command,
)
from vur.errors import VurError
from vur.settings import settings
from vur.text import LANGUAGES, translate

if TYPE_CHECKING:
    from vur.runs.result import RunResult

LEADERBOARD = ("rank", "algorithm", "mase", "mae", "rmse", "smape", "wape", "skill", "coverage-80", "coverage-95", "weight", "seconds", "note")
INTERRUPTED = 130


def parser() -> argparse.ArgumentParser:
    """Commands and their options."""
    main = argparse.ArgumentParser(prog="vur", description="Time series in notebooks: a CSV becomes a trusted forecast.")
    main.add_argument("--version", action="version", version=f"vur {__version__}")
    commands = main.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_run(commands.add_parser("run", help="audit a file, compare models, keep the best, write notebook and report"))
    add_forecast(commands.add_parser("forecast", help="forecast from a saved model, without retraining"))
    add_future(commands.add_parser("future", help="write the table of coming values that a saved model takes, to be filled in"))
    add_what_if(commands.add_parser("what-if", help="forecast under edited coming values and compare"))
    add_check(commands.add_parser("check", help="flag new observations that a saved model did not hold possible"))
    add_update(commands.add_parser("update", help="move a saved model to the end of new data, without retraining; its intervals adapt"))
    reproduce = commands.add_parser("reproduce", help="run again without any cache and compare digit by digit")
    reproduce.add_argument("run", help="run id, or its folder")
    reproduce.add_argument("--out", help="folder of the reports (default: settings)")
    models = commands.add_parser("models", help="list the saved models, or show one")
    models.add_argument("action", nargs="?", choices=["show"], help="show one model's card")
    models.add_argument("tag", nargs="?", help="name or name:version")
    report = commands.add_parser("report", help="write the report of a run again, for instance in the other language")
    report.add_argument("run")
    report.add_argument("--language", choices=LANGUAGES)
    report.add_argument("--out", help="folder of the reports (default: settings)")
    lab = commands.add_parser("lab", help="open JupyterLab on the notebooks")
    lab.add_argument("--port", type=int)
    lab.add_argument("--no-browser", action="store_true")
    return main


def _add_run(run: argparse.ArgumentParser) -> None:
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
    run.add_argument("--optimize", type=int, metavar="N", help="try N combinations of parameters of the best algorithms, or of those named")
    run.add_argument("--optimize-method", choices=["bayesian", "random", "grid"], help="how combinations are chosen (default: bayesian)")
    run.add_argument("--network", action="append", default=[], metavar="FILE", help="JSON file with a neural network of your own (may be repeated)")
    run.add_argument("--time-budget", type=float, metavar="SECONDS", help="end the training after this many seconds")
    run.add_argument("--folds", type=int, help="rolling-origin folds")
    run.add_argument("--country", help="country of the holidays, such as BR")
    run.add_argument("--state", help="state of the holidays, such as SP")
    run.add_argument("--known-future", action="append", default=[], metavar="COLUMN", help="column whose future values are known")
    run.add_argument("--past-only", action="append", default=[], metavar="COLUMN", help="column whose values are known up to the last date only")
    run.add_argument("--exclude", action="append", default=[], metavar="COLUMN", help="column to leave out")
    run.add_argument("--duplicates", choices=["refuse", "sum", "mean", "first", "last"], help="what to do with repeated stamps")
    run.add_argument("--hierarchy", metavar="COLUMNS", help="totals that parts add up to: columns from the top down such as region,store, or all, auto, none")
    run.add_argument("--hierarchy-ends", choices=["refuse", "zero", "cut"], help="series that end early: refuse (default), zero from then on, cut all")
    run.add_argument("--hierarchy-missing", choices=["keep", "zero"], help="missing values: missing in their totals (default), or zero")
    run.add_argument("--levels", help="interval levels, such as 80,95")
    run.add_argument("--seed", type=int)
    run.add_argument("--name", help="name of the saved model")
    run.add_argument("--language", choices=LANGUAGES)
    run.add_argument("--out", help="folder of the reports (default: settings)")
    run.add_argument("--no-notebook", action="store_true", help="run in this process, without papermill")
    run.add_argument("--fresh", action="store_true", help="ignore stage outputs of earlier runs")
    run.add_argument("--quiet", action="store_true", help="print no progress")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 when it did what was asked, 1 on a problem told in three lines, 130 after Ctrl-C."""
    options = parser().parse_args(arguments)
    language = getattr(options, "language", None) or "en"
    try:
        language = getattr(options, "language", None) or settings().language
        return COMMANDS[options.command](options, language)
    except VurError as error:
        print_failure(error, language)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


def print_failure(error: VurError, language: str) -> None:
    """Stage, cause and remedy, a line each, on standard error."""
    stage = translate(f"stage.{error.stage}", language) if _is_stage(error.stage) else error.stage
    for part, values in (("stage", {"stage": stage}), ("cause", {"text": error.cause(language)}), ("remedy", {"text": error.remedy(language)})):
        print(" ".join(translate(f"cli.failed.{part}", language, **values).splitlines()), file=sys.stderr)


def _is_stage(name: str) -> bool:
    from vur.text import table

    return f"stage.{name}" in table()


def run_command(options: argparse.Namespace, language: str) -> int:
    """`vur run`."""
    from vur.runs.api import resume, run
    from vur.runs.progress import ConsoleProgress
    from vur.runs.sums import hierarchy_choice

    watcher = None if options.quiet else ConsoleProgress(lambda line: print(line, flush=True), language)
    notebook = not options.no_notebook
    if options.resume:
        result = resume(options.resume, out=options.out, watcher=watcher, notebook=notebook)
    else:
        roles = dict.fromkeys(options.known_future, "known_future") | dict.fromkeys(options.past_only, "past_only") \
            | dict.fromkeys(options.exclude, "exclude")
        result = run(
            options.source, date=options.date, target=options.target, series=options.series, horizon=options.horizon,
            freq=options.freq, algorithms=options.algorithms, time_budget=options.time_budget, country=options.country,
            state=options.state, folds=options.folds, levels=read_levels(options.levels), seed=options.seed, roles=roles or None,
            hierarchy=hierarchy_choice(options.hierarchy, options.hierarchy_ends, options.hierarchy_missing),
            duplicates=options.duplicates, preset=options.preset, optimize=options.optimize, optimize_method=options.optimize_method,
            networks=_networks(options.network), name=options.name, language=options.language, config=options.config,
            out=options.out, notebook=notebook, fresh=options.fresh, watcher=watcher)
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
    tell("findings", errors=severity.get("error", 0), warnings=severity.get("warning", 0), infos=severity.get("info", 0),
         rejected=record["rejected"])
    tell("head", folds=record["folds"], horizon=record["horizon"], series=record["n_series"])
    if record.get("sums"):
        print(translate("hierarchy.scored", language, series=record["n_series"], sums=record["sums"], own=record["n_series"] - record["sums"]))
    shown = board[[name for name in LEADERBOARD if name in board]].fillna({"note": ""} if "note" in board else {})
    print(shown.to_string(index=False, float_format="{:.3f}".format, na_rep="", max_colwidth=60))
    print()
    best = board.iloc[0]
    tell("skill" if best["skill"] > 0 else "no_skill", algorithm=best["algorithm"], **({"percent": best["skill"]} if best["skill"] > 0 else {}))
    if record["status"] == "stopped":
        tell("stopped")
    tell("report", path=_short(result.report))
    if result.notebook.is_file():
        tell("notebook", path=_short(result.notebook))
    tell("forecast", path=_short(result.folder / "forecast.csv"))
    tell("model", tag=record["model"], name=record["model"].partition(":")[0], horizon=record["horizon"])
    tell("seconds", seconds=record["seconds"])


def _short(path: Path) -> str:
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def reproduce_command(options: argparse.Namespace, language: str) -> int:
    """`vur reproduce`: exit code 0 when equal, 1 when not."""
    from vur.runs.api import reproduce
    from vur.runs.progress import ConsoleProgress

    answer = reproduce(options.run, out=options.out, watcher=ConsoleProgress(lambda line: print(line, flush=True), language))
    if answer["equal"]:
        print(translate("cli.reproduce.equal", language, run=answer["run"], rows=answer["rows"]))
        return 0
    first = answer["first"]
    if "rows" in first:
        print(translate("cli.reproduce.rows", language, old=first["rows"][0], new=first["rows"][1]))
    else:
        print(translate("cli.reproduce.differs", language, **first))
    changes = ", ".join(f"{name} {then} → {now}" for name, (then, now) in answer["versions"].items())
    print(translate("cli.reproduce.versions", language, changes=changes or "-"))
    return 1


def models_command(options: argparse.Namespace, language: str) -> int:
    """`vur models` and `vur models show TAG`."""
    from vur.store.models import list_models, model_folder

    if options.action == "show":
        if not options.tag:
            raise VurError("store.no_model", tag="", known=", ".join(list_models()["tag"].head(10)) or "-")
        print((model_folder(options.tag) / "README.md").read_text(encoding="utf-8"))
        return 0
    table = list_models()
    if table.empty:
        print(translate("cli.models.none", language))
        return 0
    table["created"] = table["created"].astype(str).str[:16]
    print(table.drop(columns=["name", "version"]).to_string(index=False, float_format="{:.3f}".format))
    return 0


def report_command(options: argparse.Namespace, language: str) -> int:
    """`vur report`: the page again, from what is cached, without training."""
    from vur.runs.api import render_again

    print(translate("cli.summary.report", language, path=_short(render_again(options.run, language, out=options.out))))
    return 0


def lab_command(options: argparse.Namespace, language: str) -> int:
    """`vur lab`: JupyterLab on the notebooks of the checkout, or on the reports where VUR is installed as a package."""
    import subprocess

    root = Path(__file__).parents[1]
    folder = root if (root / "nbs").is_dir() else Path.cwd()
    chosen = settings()
    port = options.port or chosen.lab_port
    print(translate("cli.lab.open", language, folder=folder, host=chosen.host, port=port), flush=True)
    start = ["--LabApp.default_url=/lab/tree/nbs"] if folder == root else []
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.ip={chosen.host}", f"--ServerApp.port={port}",
               f"--ServerApp.root_dir={folder}", *start, *(["--no-browser"] if options.no_browser else [])]
    return subprocess.call(command + (["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []))


COMMANDS = {"run": run_command, "forecast": forecast_command, "future": future_command, "what-if": what_if_command,
            "check": check_command, "update": update_command, "reproduce": reproduce_command, "models": models_command,
            "report": report_command, "lab": lab_command}

if __name__ == "__main__":
    sys.exit(main())
