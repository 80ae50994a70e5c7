"""`vur lab`: JupyterLab on the notebooks."""

import argparse
import os
import sys
from pathlib import Path

from vur.settings import settings
from vur.text import translate


def add_lab(command: argparse.ArgumentParser) -> None:
    """Options of `vur lab`."""
    command.add_argument("--port", type=int)
    command.add_argument("--no-browser", action="store_true")


def lab_command(options: argparse.Namespace, language: str) -> int:
    """`vur lab`: JupyterLab on the notebooks of the checkout, or on the reports where VUR is installed as a package."""
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
