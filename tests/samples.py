"""Where the repository and its sample files lie."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
DATA = ROOT / "data"
