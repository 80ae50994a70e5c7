"""`vur lab`: JupyterLab on the notebooks."""

import argparse
import os
import sys
from pathlib import Path

from vur.settings import settings
from vur.text import translate

PURPOSE = "open JupyterLab on the notebooks"
ORDER = 100
EXTRA = "lab"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the options of `vur lab`."""
    command.add_argument("--port", type=int)
    command.add_argument("--no-browser", action="store_true")


def run(options: argparse.Namespace, language: str) -> int:
    """Open JupyterLab on the notebooks of a source checkout, or on the working directory of an installed package."""
    import subprocess

    root = Path(__file__).parents[2]
    folder = root if (root / "nbs").is_dir() else Path.cwd()
    chosen = settings()
    port = options.port or chosen.lab_port
    print(translate("cli.lab.open", language, folder=folder, host=chosen.host, port=port), flush=True)
    start = ["--LabApp.default_url=/lab/tree/nbs"] if folder == root else []
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        f"--ServerApp.ip={chosen.host}",
        f"--ServerApp.port={port}",
        f"--ServerApp.root_dir={folder}",
        *start,
        *(["--no-browser"] if options.no_browser else []),
    ]
    return subprocess.call(command + (["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []))
