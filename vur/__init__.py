"""Time series in notebooks: audit a CSV, compare forecasts honestly, keep, explain and serve the best one

Modules:

- `vur.jobs.kinds`: The kinds of jobs: one line a kind, which names the module that does the work.
- `vur.jobs.queue`: The job queue: a row in the catalog for each job, and a durable workflow with the same id that a worker runs.
- `vur.jobs.workflows`: The durable workflow of a job, run by a worker: claim the job, run it in a child process, watch it, end it once.
- `vur.report.plots`: The figures of the report as plain Plotly descriptions; `forecast_figure` gives the one that `r.plot()` shows.
- `vur.serving.middleware.guard`: What stands around the whole composed application: BentoML's own routes, the REST API and the WebSocket alike.
- `vur.serving.middleware.idempotency`: The header `Idempotency-Key`: a request that is sent again gets the answer that it got the first time.
- `vur.serving.middleware.logs`: Logs of the service: lines on standard error (text or JSON) and records in `logs/` of the data home, for people and for the API.
- `vur.serving.process.server`: One serving process of `vur serve`: the whole BentoML service under uvicorn, on a listening socket that the supervisor holds.
- `vur.serving.routes.live`: Live messages over a WebSocket: training progress, forecasts, alerts and measurements of the machine, as they come.
- `vur.store.accounts.sessions`: Logins, their rotating refresh tokens, personal keys, and whether a token still stands.
- `vur.store.catalog`: The tables of the catalog: who there is, what they uploaded and trained, what was forecast, and what runs in the background.
- `vur.store.data.sources`: Source files and what was read from them, by content: an original is kept once, its typed Parquet table once for each reading.
- `vur.store.data.uploads`: Converts complete uploads into datasets, and cleans up after broken connections and killed processes.
- `vur.store.database`: The catalog's database: SQLite inside the data home, or PostgreSQL by URL, behind two kinds of transaction.
- `vur.store.feeds.kinds`: The kinds of data sources: one line a kind, and the one way to open a source of any kind.
- `vur.store.feeds.reader`: The base classes of all data sources.
- `vur.store.operations.backup`: Backups: one tar file with the catalog, the data and the models, each with its checksum, written while the service runs.
- `vur.wizard.requests`: What a client asks to be done to a dataset, in the words of the documents, as sections of a run's configuration and work on rows."""

import importlib

__version__ = "0.1.0"

# Loaded on first use: `import vur` costs milliseconds.
_LAZY = {
    "run": "vur.runs.api",
    "resume": "vur.runs.api",
    "reproduce": "vur.runs.api",
    "forecast": "vur.models.saved",
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
__all__ = [*_LAZY, "__version__"]


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'vur' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
