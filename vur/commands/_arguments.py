"""Arguments that several commands share."""

import argparse

from vur.errors import VurError
from vur.settings import tidy_levels
from vur.text import LANGUAGES


def add_model(command: argparse.ArgumentParser) -> None:
    """Add the positional `model`: a saved model by its name or tag."""
    command.add_argument("model", help="name (its newest version) or name:version")


def add_horizon(command: argparse.ArgumentParser) -> None:
    """Add `--horizon` of a saved model's forecast, in steps."""
    command.add_argument("--horizon", type=int, help="steps (default: as trained)")


def add_reports_folder(command: argparse.ArgumentParser) -> None:
    """Add `--out`: the folder that holds the runs' reports."""
    command.add_argument("--out", help="folder of the reports (default: settings)")


def add_language(command: argparse.ArgumentParser) -> None:
    """Add `--language`, which overrides the language of the settings."""
    command.add_argument("--language", choices=LANGUAGES)


def read_levels(text: str | None) -> list[float] | None:
    """Parse interval levels such as `80,97.5`, in percent; None for None, none for "". `VurError` for anything else."""
    if text is None:
        return None
    try:
        return list(tidy_levels(float(part) for part in text.split(",") if text.strip()))
    except (ValueError, OverflowError):
        raise VurError("config.value", key="--levels", value=text, expected="80,95,99.9") from None


def add_whole(command: argparse.ArgumentParser) -> None:
    """Add the option that shows whole numbers."""
    command.add_argument(
        "--whole",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="show whole numbers that keep the sum over the horizon of each series (default: expected values)",
    )


def add_reading(command: argparse.ArgumentParser) -> None:
    """Add the options that say how a file is read; what is not given is detected."""
    command.add_argument("--delimiter", help="character between columns, such as ;")
    command.add_argument("--decimal", choices=[".", ","], help="decimal mark")
    command.add_argument("--encoding", help="character encoding, such as latin-1")
    command.add_argument("--date-order", choices=["dmy", "mdy", "ymd"], help="order of day, month and year in dates")
    command.add_argument("--header", choices=["yes", "no"], help="whether the first row holds the names of the columns")
    command.add_argument("--sheet", help="sheet of an Excel file")
    command.add_argument("--member", help="file inside a zip")
    command.add_argument(
        "--sentinels", choices=["missing", "keep"], help="values such as -9999 that stand for none (default: missing)"
    )


READING = ("delimiter", "decimal", "encoding", "date_order", "header", "sheet", "member", "sentinels")


def reading_options(options: argparse.Namespace) -> dict[str, str]:
    """The reading options that were given, as `UploadOptions` takes them."""
    return {name: value for name in READING if (value := getattr(options, name)) is not None}
