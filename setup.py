"""Notebooks of runs, pages and tutorials go into the wheel as vur/notebooks; all else stands in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithNotebooks(build_py):
    """`build_py` that copies them; an editable install reads them where they are."""

    def run(self) -> None:
        """Build the package, then copy the notebooks beside it."""
        super().run()
        if not self.editable_mode:
            for source, name in (("runs", ""), ("dashboards", "dashboards"), ("tutorials", "tutorials")):
                target = Path(self.build_lib) / "vur" / "notebooks" / name
                target.mkdir(parents=True, exist_ok=True)
                for notebook in Path("nbs", source).glob("*.ipynb"):
                    shutil.copy(notebook, target)


setup(cmdclass={"build_py": BuildWithNotebooks})
