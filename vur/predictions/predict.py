"""Prediction requests: resolves the model, forecasts, and writes the ledger entry before replying."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool

from vur.errors import VurError
from vur.models.forecast import check_request, forecasts
from vur.models.moving import series_of, unused_columns, unused_sentence
from vur.models.saved import Saved, shown_whole
from vur.predictions.answer import Answer, RenderedForecast, render, select_series
from vur.predictions.open_models import LruCache, OpenModel, open_if_cached, open_model
from vur.store.accounts.access import Principal, fetch, may
from vur.store.batching import Batcher
from vur.store.catalog import Dataset, Model
from vur.store.database import engine, reading
from vur.store.forecasts.ledger import CHUNK, Entry, Head, record, record_async, record_large, stored_errors
from vur.store.models.champions import Served, find_served
from vur.text import DEFAULT_LANGUAGE
from vur.timezones import zone

if TYPE_CHECKING:
    import pandas as pd

MOST_VALUES = 200_000  # forecasts and interval bounds of one response; a batch can have more
REAL_TIME = "real_time"
# Threads that forecast: more would only compete for the interpreter, with one a slow model would block all others.
THREADS = 2
_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="forecast")


@dataclass(frozen=True)
class PredictionRequest:
    """The parameters of a prediction request.

    `series` selects series by name, or contains new observations since the end of the training data: rows with the
    user's column names, or `{"series": {"timestamps": [...], "values": [...]}}`. Each request must contain all of them,
    because the service stores none, and gaps count as missing values. `future` are rows with the future values of
    known-future columns. `whole` asks for whole numbers instead of expected values; by default as trained.
    """

    horizon: int | None = None
    levels: Sequence[float] | None = None
    series: Sequence[Any] | Mapping[str, Any] | None = None
    future: Sequence[Mapping[str, Any]] | None = None
    kind: str = "predict"
    request_id: str | None = None
    whole: bool | None = None


class NothingForecast(VurError):
    """No series of a request could be forecast: the error of the first one, and `errors` by series."""

    def __init__(self, errors: Mapping[str, VurError]):
        first = next(iter(errors.values()))
        self.errors = dict(errors)
        super().__init__(first.code, stage=first.stage, **first.data)


def predict(who: Principal, model: str, request: PredictionRequest) -> Answer:
    """Forecast with the model `model` (see `champions.find_served`), and write the ledger entry before returning.

    Series that cannot be forecast are in the response's `errors`; `NothingForecast` if there is no other.
    """
    served = _finder.submit((who, model)).result()
    saved, rendered, seconds = _timed(served, request)
    entry, answer = _answer(who, served, request, saved, rendered, seconds)
    (record if rendered.points.values.size <= CHUNK else record_large)(entry)
    return answer


async def predict_async(who: Principal, model: str, request: PredictionRequest) -> Answer:
    """As `predict`, on an event loop: cached responses need no thread, and opening a model does not block forecasts."""
    served = await _finder.run((who, model))
    cached = _cached(served, request)
    if cached is not None:
        saved, rendered, seconds = *cached, 0.0
    else:
        if open_if_cached(served) is None:
            await run_in_threadpool(open_model, served)
        saved, rendered, seconds = await asyncio.get_running_loop().run_in_executor(_threads, _timed, served, request)
    entry, answer = _answer(who, served, request, saved, rendered, seconds)
    if rendered.points.values.size > CHUNK:
        await run_in_threadpool(record_large, entry)
    else:
        await record_async(entry)
    return answer


def _timed(served: Served, request: PredictionRequest) -> tuple[Saved, RenderedForecast, float]:
    """The model, its forecast and how long it took in seconds; `NothingForecast` if no series has one."""
    started = perf_counter()
    opened = open_model(served)
    rendered = _forecast(opened, request)
    if not rendered.parts:
        raise NothingForecast(rendered.errors)
    return opened.saved, rendered, perf_counter() - started


def without_entry(served: Served, request: PredictionRequest) -> tuple[Saved, RenderedForecast]:
    """The model and its forecast without an entry in the ledger: what a page shows, which nobody asked to be answered.

    Series that cannot be forecast are in its `errors`.
    """
    opened = open_model(served)
    return opened.saved, _forecast(opened, request)


def warm_up(served: Served) -> None:
    """Open a model and forecast its first series, so that the first request is fast; nothing is written to the ledger.

    `VurError` if it cannot be opened. Errors of the forecast, which may need future values, are ignored.
    """
    opened = open_model(served)
    with suppress(VurError):
        _forecast(opened, PredictionRequest(series=[str(opened.saved.pipeline.ends.index[0])]))


# --- resolving models: one query for all queued requests ---


def _find(batch: Sequence[tuple[tuple[Principal, str], "Future[Served]"]]) -> None:
    """Resolve each name once for all queued requests; the catalog is read after that, so promotions apply at once."""
    waiting: dict[tuple[str, bool, str], list[tuple[Principal, Future[Served]]]] = {}
    for (who, name), done in batch:
        waiting.setdefault((who.user_id, who.is_admin, name), []).append((who, done))
    with engine().execution_options(reading=True).begin() as connection:
        for (_, _, name), those in waiting.items():
            try:
                served = find_served(connection, those[0][0], name)
            except VurError as error:
                for _, done in those:
                    done.set_exception(error)
            else:
                for _, done in those:
                    done.set_result(served)


_finder: Batcher[tuple[Principal, str], Served] = Batcher("champions", _find)


# --- forecasting ---


def _forecast(opened: OpenModel, request: PredictionRequest) -> RenderedForecast:
    saved = opened.saved
    whole = shown_whole(request.whole, saved.metadata)
    horizon, levels = check_request(saved, request.horizon, request.levels)
    ids, observations, wrong = read_series(request.series)
    if observations is not None or request.future is not None:
        if observations is not None and observations.empty:
            raise NothingForecast(wrong) if wrong else VurError("insight.no_rows", field="series")
        check_size(saved, horizon, levels, ids if observations is None else set(series_of(saved, observations)))
        found = forecasts(
            saved,
            horizon,
            levels,
            ids=ids,
            observations=observations,
            future=None if request.future is None else _table(request.future),
            whole=whole,
        )
        return render(saved, found, horizon, levels, wrong)
    check_size(saved, horizon, levels, ids)
    if ids is None or len(saved.pipeline.ends) * horizon <= CHUNK:
        every = _cache_for(opened, horizon, None).get(
            (horizon, levels, None, whole),
            lambda: render(saved, forecasts(saved, horizon, levels, whole=whole), horizon, levels),
        )
        return (
            every
            if ids is None
            else opened.answers.get((horizon, levels, ids, whole), lambda: select_series(saved, every, ids))
        )
    return _cache_for(opened, horizon, ids).get(
        (horizon, levels, ids, whole),
        lambda: render(saved, forecasts(saved, horizon, levels, ids=ids, whole=whole), horizon, levels),
    )


def _cache_for(opened: OpenModel, horizon: int, ids: Sequence[str] | None) -> LruCache[RenderedForecast]:
    """The cache for responses of this size."""
    return opened.answers if len(saved_ids(opened.saved, ids)) * horizon <= CHUNK else opened.large


def saved_ids(saved: Saved, ids: Collection[str] | None) -> Collection[str]:
    """The requested series: all by default."""
    return saved.pipeline.ends.index if ids is None else ids


def _cached(served: Served, request: PredictionRequest) -> tuple[Saved, RenderedForecast] | None:
    """The model and the cached response of an equal request; None if it is not cached. Never waits."""
    opened = open_if_cached(served)
    names = (
        request.series is None
        or isinstance(request.series, list)
        and all(isinstance(one, str) for one in request.series)
    )
    if opened is None or not names or request.future is not None:
        return None
    horizon, levels = check_request(opened.saved, request.horizon, request.levels)
    rendered = opened.answers.peek(
        (
            horizon,
            levels,
            None if request.series is None else tuple(dict.fromkeys(request.series)),
            shown_whole(request.whole, opened.saved.metadata),
        )
    )
    return (opened.saved, rendered) if rendered is not None and rendered.parts else None


def check_size(saved: Saved, horizon: int, levels: Sequence[float], ids: Collection[str] | None) -> None:
    """`VurError` predictions.too_many if the response exceeds `MOST_VALUES`."""
    count = len(saved_ids(saved, ids)) * horizon * (1 + 2 * len(levels))
    if count > MOST_VALUES:
        raise VurError("predictions.too_many", count=count, limit=MOST_VALUES, field="series")


def read_series(
    series: Sequence[Any] | Mapping[str, Any] | None,
) -> tuple[tuple[str, ...] | None, "pd.DataFrame | None", dict[str, VurError]]:
    """The names of series, or a table of observations, with the errors of blocks whose lists differ in length."""
    if series is None:
        return None, None, {}
    if not series:
        raise VurError("api.invalid", field="series", reason="is empty")
    if isinstance(series, Mapping):
        return _blocks(series)
    if all(isinstance(one, str) for one in series):
        return tuple(dict.fromkeys(series)), None, {}
    return None, _table(series), {}


def _table(rows: Sequence[Mapping[str, Any]]) -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame.from_records(list(rows))


def _blocks(series: Mapping[str, Any]) -> tuple[None, "pd.DataFrame", dict[str, VurError]]:
    import pandas as pd

    tables: list[pd.DataFrame] = []
    wrong: dict[str, VurError] = {}
    for id, block in series.items():
        columns = {{"timestamps": "ds", "values": "y"}.get(name, name): values for name, values in block.items()}
        if len({len(values) for values in columns.values()}) > 1:
            wrong[id] = VurError(
                "predictions.lengths",
                series=id,
                lengths=", ".join(f"{name}: {len(values)}" for name, values in block.items()),
            )
        elif len(columns["ds"]):
            tables.append(pd.DataFrame({"unique_id": id, **columns}))
        else:
            wrong[id] = VurError("insight.no_rows")
    return None, pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(), wrong


# --- responding ---


def _answer(
    who: Principal, served: Served, request: PredictionRequest, saved: Saved, rendered: RenderedForecast, seconds: float
) -> tuple[Entry, Answer]:
    """The ledger entry, and the response."""
    freq, timezone = zone(saved.pipeline.head.freq, saved.head["tz"])
    head = Head(
        owner_id=who.user_id,
        kind=request.kind,
        tag=served.tag,
        freq=freq,
        timezone=timezone,
        horizon=rendered.steps,
        n_series=len(rendered.parts),
        model_id=served.id,
        run_id=served.run_id,
        data_version=served.data_version(saved.metadata),
        request_id=request.request_id,
        seconds=round(seconds, 6),
        errors=stored_errors(rendered.errors),
    )
    content = {
        "forecast_id": head.id,
        "kind": head.kind,
        "model_id": served.id,
        "model_name": served.name,
        "model_version": served.tag,
        "family": served.family,
        "run_id": served.run_id,
        "data_version": head.data_version,
        "freq": freq,
        "horizon": head.horizon,
        "levels": [float(level) for level in rendered.points.bounds],
        "point": saved.pipeline.point,
        "whole": shown_whole(request.whole, saved.metadata),
        "origin": rendered.origin,
        "created_at": head.created_at.isoformat(timespec="milliseconds"),
    }
    event = (
        {key: content[key] for key in ("forecast_id", "model_id", "model_version", "origin", "horizon")}
        if request.kind == REAL_TIME
        else None
    )
    return Entry(head, rendered.points, event), Answer(
        content,
        rendered.parts,
        rendered.errors,
        rendered.points.values.size,
        rendered.strange,
        unused_columns(saved, request.series, request.future),
    )


# --- actual values ---


def actuals(
    who: Principal,
    model: str,
    rows: Sequence[Mapping[str, Any]] | None,
    dataset_id: str | None = None,
    language: str = DEFAULT_LANGUAGE,
) -> dict[str, Any]:
    """Score `rows`, or the current data of a dataset, for the family of `model`; see `vur.predictions.actuals`."""
    import pandas as pd

    from vur.predictions.actuals import check_drift, family_of, observed_path, score_table

    with reading() as session:
        served = find_served(session, who, model)
        row = session.get_one(Model, served.id)
        family, own = family_of(session, row), may(session, row, who, "edit")
        path = observed_path(session, fetch(session, Dataset, dataset_id, who)) if dataset_id else None
    table = _table(rows or ()) if path is None else pd.read_parquet(path)
    saved = open_model(served).saved
    found = score_table(saved, family, table, owner_id=None if own else who.user_id, again=path is None)
    drifting = check_drift([one.id for one in family]) if own else []
    return {
        "points": found.points,
        "matched": found.matched,
        "unmatched": found.unmatched,
        "drifting": drifting,
        "warnings": [unused_sentence(one, language) for one in unused_columns(saved, rows)],
    }
