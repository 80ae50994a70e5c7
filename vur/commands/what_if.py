"""`vur what-if`: scenarios, which are forecasts under edited future covariates."""

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vur.commands._arguments import add_horizon, add_language, add_model
from vur.errors import VurError
from vur.languages import LANGUAGES
from vur.text import translate

if TYPE_CHECKING:
    import pandas as pd

PURPOSE = "forecast under edited future covariates and compare scenarios"
ORDER = 40


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the options of `vur what-if`."""
    add_model(command)
    add_horizon(command)
    command.add_argument("--name", help="name of the scenario; without one, the saved scenarios are listed")
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="COLUMN=CHANGE",
        help="such as price=-10%%, price=*1.2, promotion=1",
    )
    command.add_argument("--only", action="append", metavar="SERIES", help="change only this series (repeatable)")
    command.add_argument("--start", help="first date to change")
    command.add_argument("--end", help="last date to change")
    command.add_argument("--edits", metavar="FILE", help="table of new values, instead of --set")
    command.add_argument("--future", help="file with the known-future columns before the changes")
    command.add_argument(
        "--compare", action="append", default=[], metavar="NAME", help="saved scenario to compare with (repeatable)"
    )
    command.add_argument("--plot", metavar="FILE", help="HTML page with history, forecast and scenarios")
    command.add_argument("--out", metavar="FILE", help="CSV file with the forecasts side by side")
    command.add_argument("--delete", metavar="NAME", help="delete a saved scenario")
    add_language(command)


def run(options: argparse.Namespace, language: str) -> int:
    """Save a scenario if it has a name, then compare it and other saved scenarios with the baseline forecast."""
    from vur.models.scenarios import (
        compare,
        compare_figure,
        delete_scenario,
        doubt_sentence,
        scenario,
        scenarios,
    )
    from vur.runs.result import model_history

    if options.delete:
        delete_scenario(options.model, options.delete)
    names = list(options.compare)
    if options.name:
        found = scenario(options.model, options.name, _edits(options, language), options.horizon, options.future)
        names.insert(0, found.name)
        for one in found.outside:
            print(translate("scenarios.outside", language, **one), file=sys.stderr)
        for one in found.notes:
            print(doubt_sentence(one, language), file=sys.stderr)
    if not names:
        table = scenarios(options.model)
        print(translate("cli.what_if.none", language) if table.empty else _table(table.drop(columns="model"), language))
        return 0
    _print_effects(options.model, names, language)
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
    """Return the changes of a scenario in the form `vur.models.scenarios.apply_edits` takes."""
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
    """Return a date in ISO form. `05/02/2025` is 5 February in Portuguese; in English it is ambiguous and refused."""
    found = re.fullmatch(r"(\d{1,2})/(\d{1,2})/(\d{4})", text or "")
    if not found:
        return text
    order = LANGUAGES[language].date_order
    if order is None:
        raise VurError("config.value", key=option, value=text, expected="2025-02-28")
    parts = dict(zip(order, found.groups(), strict=True))
    return f"{parts['y']}-{int(parts['m']):02d}-{int(parts['d']):02d}"


def _number(change: str) -> Any:
    """Parse a bare number, so that `promotion=1` sets the value; `-5` and `+5` stay relative changes."""
    return float(change.replace(",", ".")) if change.replace(",", "", 1).replace(".", "", 1).isdecimal() else change


def _print_effects(model: str, names: list[str], language: str) -> None:
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


def _table(frame: "pd.DataFrame", language: str) -> str:
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
