"""Output that several commands share."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vur.text import translate

if TYPE_CHECKING:
    import pandas as pd


def display_path(path: Path) -> str:
    """Return `path` relative to the working directory if it lies below it, else as it is."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def write_frame(frame: "pd.DataFrame", out: str | None, model: str, language: str) -> None:
    """Write a table that belongs to `model` as CSV to the file `out`, or to standard output if `out` is None."""
    if not out:
        frame.to_csv(sys.stdout, index=False)
        return
    from vur.store.models.models import find_model

    frame.to_csv(out, index=False)
    print(translate("cli.forecast.written", language, rows=len(frame), path=out, tag=find_model(model).tag))
