"""The commands that work on a saved model: forecast, the table of coming values, and what-if scenarios."""

import argparse
import re
import sys
from pathlib import Path
from typing import Any

from vur.errors import VurError
from vur.text import LANGUAGES, translate


def add_forecast(command: argparse.ArgumentParser) -> None:
    """Options of `vur forecast`."""
    _add_model(command)
    command.add_argument("--future", help="file with the known-future columns of every step (vur future writes it)")
    command.add_argument("--levels", help="interval levels, such as 80,95")
    command.add_argument("--out", help="CSV file (default: standard output)")


def add_future(command: argparse.ArgumentParser) -> None:
    """Options of `vur future`."""
    _add_model(command)
    command.add_argument("--out", help="CSV file (default: standard output)")


def add_what_if(command: argparse.ArgumentParser) -> None:
    """Options of `vur what-if`."""
    _add_model(command)
    command.add_argument("--name", help="what the scenario is called; without one, the kept scenarios are listed")
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="COLUMN=CHANGE",
        help="such as price=-10%%, price=*1.2, promotion=1",
    )
    command.add_argument("--only", action="append", metavar="SERIES", help="change only this series (may be repeated)")
    command.add_argument("--start", help="first date that is changed")
    command.add_argument("--end", help="last date that is changed")
    command.add_argument("--edits", metavar="FILE", help="table of new values, in place of --set")
    command.add_argument("--future", help="file with the known-future columns before the changes")
    command.add_argument(
        "--compare", action="append", default=[], metavar="NAME", help="kept scenario to show beside (may be repeated)"
    )
    command.add_argument("--plot", metavar="FILE", help="HTML page with history, forecast and scenarios")
    command.add_argument("--out", metavar="FILE", help="CSV file with the forecasts side by side")
    command.add_argument("--delete", metavar="NAME", help="remove a kept scenario")
    command.add_argument("--language", choices=LANGUAGES)


def _add_model(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", help="name (its newest version) or name:version")
    command.add_argument("--horizon", type=int, help="steps (default: as trained)")


def read_levels(text: str | None) -> list[int] | None:
    """The levels of `80,95`; None for None. `VurError` for anything else."""
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise VurError("config.value", key="--levels", value=text, expected="80,95") from None


def forecast_command(options: argparse.Namespace, language: str) -> int:
    """`vur forecast`."""
    from vur.models.saved import forecast

    levels = read_levels(options.levels)
    frame = forecast(options.model, options.horizon, future=options.future, levels=tuple(levels) if levels else None)
    return _write(frame, options, language)


def future_command(options: argparse.Namespace, language: str) -> int:
    """`vur future`: the table of coming values, to be filled in."""
    from vur.models.future import missing_cells
    from vur.models.saved import future_template

    frame = future_template(options.model, options.horizon)
    code = _write(frame, options, language)
    if options.out:
        print(
            translate(
                "cli.future.empty", language, count=len(missing_cells(frame)), model=options.model, path=options.out
            )
        )
    return code


def _write(frame: Any, options: argparse.Namespace, language: str) -> int:
    from vur.store.models.models import find_model

    if not options.out:
        frame.to_csv(sys.stdout, index=False)
        return 0
    frame.to_csv(options.out, index=False)
    print(
        translate(
            "cli.forecast.written", language, rows=len(frame), path=options.out, tag=find_model(options.model).tag
        )
    )
    return 0


def what_if_command(options: argparse.Namespace, language: str) -> int:
    """`vur what-if`: forecast under edited coming values, beside the forecast as it stands and kept scenarios."""
    from vur.models.scenarios import compare, compare_figure, delete_scenario, scenario, scenarios
    from vur.runs.result import model_history

    if options.delete:
        delete_scenario(options.model, options.delete)
    names = list(options.compare)
    if options.name:
        found = scenario(options.model, options.name, _edits(options, language), options.horizon, options.future)
        names.insert(0, found.name)
        for one in found.outside:
            print(translate("scenarios.outside", language, **one), file=sys.stderr)
    if not names:
        table = scenarios(options.model)
        print(translate("cli.what_if.none", language) if table.empty else _table(table.drop(columns="model"), language))
        return 0
    _tell_effects(options.model, names, language)
    if options.plot:
        only = options.only[0] if options.only else None
        compare_figure(options.model, names, only, model_history(options.model), language).write_html(
            options.plot, include_plotlyjs=True
        )
        print(translate("cli.what_if.plot", language, path=options.plot))
    if options.out:
        compare(options.model, names).to_csv(options.out, index=False)
        print(translate("cli.what_if.table", language, path=options.out))
    return 0


def _edits(options: argparse.Namespace, language: str) -> dict[str, Any] | Path:
    """The changes of a scenario, as `vur.models.scenarios.apply_edits` takes them."""
    if options.edits:
        return Path(options.edits)
    limits = {
        "series": options.only,
        "start": _day(options.start, "--start", language),
        "end": _day(options.end, "--end", language),
    }
    given = {key: value for key, value in limits.items() if value is not None}
    edits = {}
    for text in options.set:
        column, sign, change = text.partition("=")
        if not sign or not column or not change:
            raise VurError("config.value", key="--set", value=text, expected="price=-10%")
        edits[column] = {"change": _number(change), **given}
    return edits


def _day(text: str | None, option: str, language: str) -> str | None:
    """A date in ISO form; in Portuguese `05/02/2025` is 5 February, elsewhere it may be either and is refused."""
    found = re.fullmatch(r"(\d{1,2})/(\d{1,2})/(\d{4})", text or "")
    if found and language != "pt-BR":
        raise VurError("config.value", key=option, value=text, expected="2025-02-28")
    return f"{found[3]}-{int(found[2]):02d}-{int(found[1]):02d}" if found else text


def _number(change: str) -> Any:
    """A bare number as number, so that `promotion=1` sets; `-5` and `+5` stay changes, as in `vur.models.scenarios`."""
    return float(change.replace(",", ".")) if change.replace(",", "", 1).replace(".", "", 1).isdecimal() else change


def _tell_effects(model: str, names: list[str], language: str) -> None:
    from vur.models.scenarios import effects
    from vur.wording import number, percent

    total, each = effects(model, names, total=True), effects(model, names)
    for row in total.itertuples(index=False):
        print(
            translate(
                "scenarios.effect",
                language,
                name=row.scenario,
                difference=number(row.difference, language),
                percent=percent(row.percent, language),
            )
        )
    if each["unique_id"].nunique() > 1:
        print(_table(each.sort_values("difference", key=abs, ascending=False).head(20), language))


def _table(frame: Any, language: str) -> str:
    from vur.wording import number, percent

    shown = {
        column: [
            percent(value, language)
            if column == "percent"
            else number(value, language)
            if isinstance(value, float)
            else str(value)
            for value in frame[column]
        ]
        for column in frame
    }
    names = {column: translate(f"cli.what_if.column.{column}", language) for column in frame}
    return type(frame)(shown).rename(columns=names).to_string(index=False, max_colwidth=60)
