"""Forecast a table of dated measurements: audit it, compare models on the same folds, keep and explain the best.

What a user calls:

    r = vur.run("sales.csv", horizon=28)  # then r.leaderboard, r.forecast, r.audit, r.report; vur.widgets shows them
    vur.forecast("sales", horizon=14)     # from the saved model, without training; vur.future_template lists its inputs
    vur.scenario("sales", "cheaper", {"price": "-10%"})   # what-if; vur.scenarios lists and compares them
    vur.check_new("sales", "new.csv")     # anomalies in new data; vur.update_model advances the model to their end
    vur.fit_table("homes.csv", "price")   # a number from the other cells of its row; vur.load_table opens a saved one
    vur.rank("plant.csv", "output")       # which variables drive a target, and how sure that is; then .ranking, .report
    vur.resume(run_id)                    # after an interruption; vur.reproduce runs again and compares every digit
"""

import importlib

__version__ = "0.1.0"

# Loaded on first use: `import vur` costs milliseconds.
_LAZY = {
    "run": "vur.runs.api",
    "resume": "vur.runs.api",
    "reproduce": "vur.runs.api",
    "rank": "vur.runs.ranking",
    "forecast": "vur.models.saved",
    "fit_table": "vur.runs.table",
    "load_table": "vur.runs.table",
    "RunResult": "vur.runs.result",
    "Config": "vur.runs.config",
    "VurError": "vur.errors",
    "make_panel": "vur.panel",
    "Panel": "vur.panel",
    "open_run": "vur.runs.run",
    "future_template": "vur.models.saved",
    "scenario": "vur.models.scenarios",
    "scenarios": "vur.models.scenarios",
    "check_new": "vur.models.check",
    "update_model": "vur.models.update",
}
_MODULES = ("widgets",)
__all__ = [*_LAZY, *_MODULES, "__version__"]


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"vur.{name}")
    raise AttributeError(f"module 'vur' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
