"""`vur run`: from a file to a forecast, a notebook and a report."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vur.commands._arguments import add_language, add_reports_folder, add_whole, read_levels
from vur.commands._output import display_path
from vur.errors import VurError
from vur.text import translate

if TYPE_CHECKING:
    import pandas as pd

    from vur.runs.result import RunResult

PURPOSE = "audit a file, compare models, save the best, write notebook and report"
ORDER = 10
AFTER_METRICS = ("skill", "wql", "coverage-80", "coverage-95", "weight", "seconds", "note")


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the options of `vur run`."""
    command.add_argument("source", nargs="?", help="CSV, TSV, gzip, zip, Parquet or Excel file")
    command.add_argument("--config", help="pipeline.yaml of an earlier run")
    command.add_argument("--resume", metavar="RUN", help="resume a run that failed or was interrupted")
    command.add_argument("--date", help="date column")
    command.add_argument("--target", help="column to forecast")
    command.add_argument("--series", action="append", help="column that names the series (repeatable)")
    command.add_argument("--horizon", type=int, help="steps to forecast")
    command.add_argument("--freq", help="pandas frequency such as D, W-MON, MS, h, 15min; inferred by default")
    command.add_argument(
        "--date-order", choices=["dmy", "mdy", "ymd"], help="order of day, month and year where dates allow several"
    )
    command.add_argument(
        "--sentinels",
        choices=["missing", "keep"],
        help="values such as -9999 that stand for none: missing (default), or keep them as numbers",
    )
    command.add_argument(
        "--tz", metavar="ZONE", help="time zone of stamps that do not carry one, such as America/Sao_Paulo"
    )
    command.add_argument("--algorithms", help="auto, or ids separated by commas")
    command.add_argument(
        "--preset", choices=["fast", "balanced", "best"], help="how many models auto tries (default: balanced)"
    )
    command.add_argument(
        "--metric", help="metric that ranks the models: auto (default), mase, rmsse, mae, rmse, wape, smape, mape, r2"
    )
    command.add_argument(
        "--optimize",
        type=int,
        metavar="N",
        help="tune the best algorithms, or the ones in --algorithms, with N trials",
    )
    command.add_argument(
        "--optimize-method",
        choices=["bayesian", "random", "grid"],
        help="search method of --optimize (default: bayesian)",
    )
    command.add_argument(
        "--network",
        action="append",
        default=[],
        metavar="FILE",
        help="JSON file that describes a custom neural network (repeatable)",
    )
    command.add_argument("--time-budget", type=float, metavar="SECONDS", help="stop training after this many seconds")
    command.add_argument("--folds", type=int, help="rolling-origin folds")
    command.add_argument("--country", help="country for holidays, such as BR")
    command.add_argument("--state", help="state for holidays, such as SP")
    command.add_argument(
        "--known-future", action="append", default=[], metavar="COLUMN", help="column whose future values are known"
    )
    command.add_argument(
        "--past-only",
        action="append",
        default=[],
        metavar="COLUMN",
        help="column known only up to the last observed date",
    )
    command.add_argument("--exclude", action="append", default=[], metavar="COLUMN", help="column to leave out")
    command.add_argument(
        "--trust",
        action="append",
        metavar="COLUMN",
        help="known-future column to use although it looks like a copy of the target (repeatable)",
    )
    command.add_argument(
        "--effects",
        choices=["auto", "always", "never"],
        help="take the effects of known-future columns off before every model (default: auto, where errors fall)",
    )
    command.add_argument(
        "--duplicates", choices=["refuse", "sum", "mean", "first", "last"], help="how to handle duplicate timestamps"
    )
    command.add_argument(
        "--absent",
        choices=["auto", "zero", "missing"],
        help="rows that are absent: zero (nothing happened), missing (unknown), or by the evidence (auto, default)",
    )
    command.add_argument(
        "--ended",
        choices=["omit", "forecast"],
        help="series that ended long before the others: leave out (default) or forecast",
    )
    command.add_argument(
        "--hierarchy",
        metavar="COLUMNS",
        help="hierarchy of totals: columns from the top down such as region,store, or all, auto, none",
    )
    command.add_argument(
        "--hierarchy-ends",
        choices=["refuse", "zero", "cut"],
        help="series that end early: refuse (default), fill with zero, or cut every series there",
    )
    command.add_argument(
        "--hierarchy-missing",
        choices=["keep", "zero"],
        help="missing values: keep the total missing (default), or count as zero",
    )
    command.add_argument("--levels", help="interval levels in percent, such as 80,95 or 99.9")
    command.add_argument("--seed", type=int)
    add_whole(command)
    command.add_argument("--name", help="name of the saved model")
    add_language(command)
    add_reports_folder(command)
    command.add_argument(
        "--no-notebook", action="store_true", help="run in this process instead of a papermill notebook"
    )
    command.add_argument("--fresh", action="store_true", help="ignore cached stage outputs")
    command.add_argument("--quiet", action="store_true", help="do not print progress")


def run(options: argparse.Namespace, language: str) -> int:
    """Train on a file or resume a run, then print its summary."""
    from vur.hierarchy import hierarchy_choice
    from vur.runs import api
    from vur.runs.progress import ConsoleProgress

    watcher = None if options.quiet else ConsoleProgress(lambda line: print(line, flush=True), language)
    notebook = not options.no_notebook
    if options.resume:
        result = api.resume(options.resume, out=options.out, watcher=watcher, notebook=notebook)
    else:
        roles = (
            dict.fromkeys(options.known_future, "known_future")
            | dict.fromkeys(options.past_only, "past_only")
            | dict.fromkeys(options.exclude, "exclude")
        )
        result = api.run(
            options.source,
            date=options.date,
            target=options.target,
            series=options.series,
            horizon=options.horizon,
            freq=options.freq,
            tz=options.tz,
            date_order=options.date_order,
            sentinels=options.sentinels,
            algorithms=options.algorithms,
            time_budget=options.time_budget,
            country=options.country,
            state=options.state,
            folds=options.folds,
            levels=read_levels(options.levels),
            seed=options.seed,
            whole=options.whole,
            roles=roles or None,
            hierarchy=hierarchy_choice(options.hierarchy, options.hierarchy_ends, options.hierarchy_missing),
            duplicates=options.duplicates,
            absent=options.absent,
            ended=options.ended,
            trust=options.trust,
            effects=options.effects,
            preset=options.preset,
            metric=options.metric,
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
    """Read network descriptions from JSON files, keyed by file name."""
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


SAID = ("only_target", "absent_zero", "absent_maybe", "ended", "ended_zeros")
MOST_SAID = 3


def _decisions(audit: "pd.DataFrame") -> list[str]:
    """The findings on what the data mean that change every number: the first of each kind."""
    return [message for code in SAID for message in audit.loc[audit["code"] == code, "message"].head(MOST_SAID)]


def judgement(record: dict[str, Any], language: str) -> list[str]:
    """Which candidate is used and why, the error to expect of it, and what that is worth, in a sentence each."""
    from vur.report.tables import metric_text
    from vur.scoring.metrics import METRICS, UNLIKE
    from vur.stages.training.budget import Note
    from vur.stages.training.choice import Choice
    from vur.wording import listing, number, percent

    def tell(key: str, **values: Any) -> str:
        return translate(f"cli.summary.{key}", language, **values)

    choice = Choice.from_dict(record["choice"])
    note = choice.note
    why = Note.of(record["metric_note"]) if record["metric_note"] else ""
    lines = [one.say(language) for one in (why, note) if isinstance(one, Note)]
    scores, source = record["headline"], record["headline"]["source"]
    shown = [name for name in dict.fromkeys((record["metric"], "wape")) if name in scores]
    if shown:
        values = [f"{name.upper()} {metric_text(name, scores[name], language, METRICS[name].digits)}" for name in shown]
        lines.append(tell(f"error_{source}", scores=listing(values, language)))
    if record["size_ratio"] > UNLIKE:
        lines.append(translate("report.accuracy.unlike", language, ratio=number(record["size_ratio"], language, 0)))
    skill = percent(abs(scores.get("skill", 0.0)), language, 0)
    said = {"algorithm": record["winner"], "reference": record["reference"], "skill": skill}
    return [*lines, tell(f"verdict_{record['verdict']}", **said)]


def print_summary(result: "RunResult", language: str) -> None:
    """Print the audit, the leaderboard, what is used and how good it is, and the paths of the outputs."""
    from vur.scoring.metrics import shown_metrics
    from vur.stages.model.search_space import say_remark

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
    model = result.config.model
    for message in [
        *_decisions(audit),
        *(say_remark(one, language) for one in model.optimize.remarks(model.parameters)),
    ]:
        print(message)
    tell(
        "head",
        folds=record["folds"],
        horizon=record["horizon"],
        series=record["n_series"],
        metric=record["metric"].upper(),
        reference=record["reference"],
    )
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
    shown = shown_metrics("summary")
    ranked = () if record["metric"] in shown else (record["metric"],)
    columns = ("rank", "algorithm", "chosen", *ranked, *shown, *AFTER_METRICS)
    printed = board[[name for name in columns if name in board]].fillna({"note": ""} if "note" in board else {})
    printed = printed.assign(chosen=printed["chosen"].map({True: "*"}).fillna(""))
    print(printed.to_string(index=False, float_format="{:.3f}".format, na_rep="", max_colwidth=60))
    print()
    for line in judgement(record, language):
        print(line)
    for remark in record.get("remarks") or ():
        print(remark)
    if record["status"] == "stopped":
        tell("stopped")
    tell("report", path=display_path(result.report))
    if result.notebook.is_file():
        tell("notebook", path=display_path(result.notebook))
    tell("forecast", path=display_path(result.folder / "forecast.csv"))
    tell("model", tag=record["model"], name=record["model"].partition(":")[0], horizon=record["horizon"])
    tell("seconds", seconds=record["seconds"])
