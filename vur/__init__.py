"""Time series in notebooks: audit a CSV, compare forecasts honestly, keep, explain and serve the best one

Modules:

- `vur.runs.plots`: The figures of the report as plain Plotly descriptions; `forecast_figure` gives the one that `r.plot()` shows."""

import importlib

__version__ = "0.1.0"

# Loaded on first use: `import vur` costs milliseconds.
_LAZY = {"run": "vur.runs.api", "resume": "vur.runs.api", "reproduce": "vur.runs.api", "forecast": "vur.runs.predict",
         "RunResult": "vur.runs.result", "Config": "vur.runs.config", "VurError": "vur.errors", "make_panel": "vur.panel",
         "Panel": "vur.panel",
         "open_run": "vur.runs.pipeline", "future_template": "vur.runs.predict", "scenario": "vur.runs.scenarios",
         "scenarios": "vur.runs.scenarios", "check_new": "vur.runs.anomalies", "update_model": "vur.runs.update"}
__all__ = [*_LAZY, "__version__"]


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'vur' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
