"""`vur package`: trained models as a Bento that serves forecasts on any machine."""

import argparse
from pathlib import Path

from vur.text import translate

PURPOSE = "build a Bento of trained models that serves forecasts anywhere"
ORDER = 150


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the options of `vur package`."""
    command.add_argument(
        "tags", nargs="+", metavar="TAG", help="name or name:version of a trained model (`vur models` lists them)"
    )
    command.add_argument("--name", help="name of the Bento (default: FIRST-MODEL-forecasts)")
    command.add_argument("--out", default=".", help="file.bento, or a folder (default: here)")


def run(options: argparse.Namespace, language: str) -> int:
    """Build the Bento and print its path and size."""
    from vur.serving.packaging.package import package, readme_of

    path = package(options.tags, Path(options.out), options.name)
    size = path.stat().st_size / 1e6
    print(
        translate(
            "package.done", language, count=len(options.tags), path=path, megabytes=size, readme=readme_of(path).name
        )
    )
    return 0
