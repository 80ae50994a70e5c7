"""Keeps `from vur.runs.pipeline import open_run` working in notebooks that earlier versions executed."""

from vur.runs.run import open_run

__all__ = ["open_run"]
