"""Answers to prediction requests: the model that a name stands for, its forecast, and the ledger before the answer."""

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
from vur.models.moving import series_of
from vur.models.saved import Saved
from vur.predictions.answer import Answer, RenderedForecast, render, take
from vur.predictions.open_models import LruCache, OpenModel, open_if_cached, open_model
from vur.store.accounts.access import Principal, fetch, may
from vur.store.batching import Batcher
from vur.store.catalog import Dataset, Model
from vur.store.database import engine, reading
from vur.store.forecasts.ledger import CHUNK, Entry, Head, record, record_async, record_large, stored_errors
from vur.store.models.champions import Served, find_served
from vur.timezones import zone

if TYPE_CHECKING:
    import pandas as pd

MOST_VALUES = 200_000  # forecasts and ends of intervals in one answer; more is a batch
REAL_TIME = "real_time"
# forecasts made at once: more threads only take the interpreter from each other, fewer let a slow model hold up all
# others
MAKERS = 2
_makers = ThreadPoolExecutor(MAKERS, thread_name_prefix="forecast")


@dataclass(frozen=True)
class PredictionRequest:
    """What a request asks for.

    `series` chooses series by name, or holds new observations since the end of the training data: rows with the user's
    column names, or `{"series": {"timestamps": [...], "values": [...]}}`. All of them must be sent each time: the
    service keeps none, and what lacks in between counts as missing. `future` are rows with coming values of known-
    future columns.
    """

    horizon: int | None = None
    levels: Sequence[float] | None = None
    series: Sequence[Any] | Mapping[str, Any] | None = None
    future: Sequence[Mapping[str, Any]] | None = None
    kind: str = "predict"
    request_id: str | None = None


class NothingForecast(VurError):
    """No series of a request could be forecast: the reason of the first, and those of all by series as `errors`."""

    def __init__(self, errors: Mapping[str, VurError]):
        first = next(iter(errors.values()))
        self.errors = dict(errors)
        super().__init__(first.code, stage=first.stage, **first.data)


def predict(who: Principal, model: str, asked: PredictionRequest) -> Answer:
    """Forecast with the model that `model` stands for (see `champions.find_served`) and keep the answer in the ledger before returning it.

    A series that cannot be forecast is in the answer's `errors`; `NothingForecast` where none could be.
    """
    served = _finder.submit((who, model)).result()
    saved, made, seconds = _timed(served, asked)
    entry, answer = _answer(who, served, asked, saved, made, seconds)
    (record if made.points.values.size <= CHUNK else record_large)(entry)
    return answer


async def predict_async(who: Principal, model: str, asked: PredictionRequest) -> Answer:
    """The same on the event loop: what was answered before takes no thread, the rest one of a few, and opening a model none of these."""
    served = await _finder.run((who, model))
    saved, made = _made_before(served, asked)
    seconds = 0.0
    if saved is None or made is None:
        if open_if_cached(served) is None:
            await run_in_threadpool(open_model, served)
        saved, made, seconds = await asyncio.get_running_loop().run_in_executor(_makers, _timed, served, asked)
    entry, answer = _answer(who, served, asked, saved, made, seconds)
    if made.points.values.size > CHUNK:
        await run_in_threadpool(record_large, entry)
    else:
        await record_async(entry)
    return answer


def _timed(served: Served, asked: PredictionRequest) -> tuple[Saved, RenderedForecast, float]:
    """The model, its forecast and the seconds that it took; `NothingForecast` where no series has one."""
    started = perf_counter()
    opened = open_model(served)
    made = _make(opened, asked)
    if not made.parts:
        raise NothingForecast(made.errors)
    return opened.saved, made, perf_counter() - started


def warm_up(served: Served) -> None:
    """Open a model and forecast its first series, so that the first request need not wait for either; nothing is recorded.

    `VurError` where it cannot be opened. That a forecast needs more, such as coming values, is no fault of the model.
    """
    opened = open_model(served)
    with suppress(VurError):
        _make(opened, PredictionRequest(series=[str(opened.saved.pipeline.ends.index[0])]))


# --- which model: one question to the catalog for all requests that wait ---


def _find(batch: Sequence[tuple[tuple[Principal, str], "Future[Served]"]]) -> None:
    """Look each name up once for all who asked for it; the catalog is read after they asked, so that a promotion holds from its commit on."""
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


# --- making ---


def _make(opened: OpenModel, asked: PredictionRequest) -> RenderedForecast:
    saved = opened.saved
    horizon, levels = check_request(saved, asked.horizon, asked.levels)
    ids, observations, wrong = read_series(asked.series)
    if observations is not None or asked.future is not None:
        if observations is not None and observations.empty:
            raise NothingForecast(wrong) if wrong else VurError("insight.no_rows", field="series")
        check_size(saved, horizon, levels, ids if observations is None else set(series_of(saved, observations)))
        found = forecasts(
            saved,
            horizon,
            levels,
            ids=ids,
            observations=observations,
            future=None if asked.future is None else _table(asked.future),
        )
        return render(saved, found, horizon, levels, wrong)
    check_size(saved, horizon, levels, ids)
    if ids is None or len(saved.pipeline.ends) * horizon <= CHUNK:
        every = _kept(opened, horizon, None).get(
            (horizon, levels, None), lambda: render(saved, forecasts(saved, horizon, levels), horizon, levels)
        )
        return every if ids is None else opened.answers.get((horizon, levels, ids), lambda: take(saved, every, ids))
    return _kept(opened, horizon, ids).get(
        (horizon, levels, ids), lambda: render(saved, forecasts(saved, horizon, levels, ids=ids), horizon, levels)
    )


def _kept(opened: OpenModel, horizon: int, ids: Sequence[str] | None) -> LruCache[RenderedForecast]:
    """Where an answer of this size is kept: of large ones only a few are."""
    return opened.answers if len(saved_ids(opened.saved, ids)) * horizon <= CHUNK else opened.large


def saved_ids(saved: Saved, ids: Collection[str] | None) -> Collection[str]:
    """The series asked for: all by default."""
    return saved.pipeline.ends.index if ids is None else ids


def _made_before(served: Served, asked: PredictionRequest) -> tuple[Saved | None, RenderedForecast | None]:
    """What an equal request was answered, where it is at hand, and by which model; never waits."""
    opened = open_if_cached(served)
    names = asked.series is None or isinstance(asked.series, list) and all(isinstance(one, str) for one in asked.series)
    if opened is None or not names or asked.future is not None:
        return None, None
    horizon, levels = check_request(opened.saved, asked.horizon, asked.levels)
    made = opened.answers.peek((horizon, levels, None if asked.series is None else tuple(dict.fromkeys(asked.series))))
    return opened.saved, made if made is not None and made.parts else None


def check_size(saved: Saved, horizon: int, levels: Sequence[float], ids: Collection[str] | None) -> None:
    """`VurError` predictions.too_many for an answer that is too large to wait for."""
    count = len(saved_ids(saved, ids)) * horizon * (1 + 2 * len(levels))
    if count > MOST_VALUES:
        raise VurError("predictions.too_many", count=count, limit=MOST_VALUES, field="series")


def read_series(
    series: Sequence[Any] | Mapping[str, Any] | None,
) -> tuple[tuple[str, ...] | None, "pd.DataFrame | None", dict[str, VurError]]:
    """The names asked for, or a table of observations, and an error for each block whose lists do not fit each other."""
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

    tables, wrong = [], {}
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


# --- telling ---


def _answer(
    who: Principal, served: Served, asked: PredictionRequest, saved: Saved, made: RenderedForecast, seconds: float
) -> tuple[Entry, Answer]:
    """The answer, and what the ledger keeps of it."""
    freq, timezone = zone(saved.pipeline.head.freq, saved.head["tz"])
    head = Head(
        owner_id=who.user_id,
        kind=asked.kind,
        tag=served.tag,
        freq=freq,
        timezone=timezone,
        horizon=made.steps,
        n_series=len(made.parts),
        model_id=served.id,
        run_id=served.run_id,
        data_version=served.data_version(saved.metadata),
        request_id=asked.request_id,
        seconds=round(seconds, 6),
        errors=stored_errors(made.errors),
    )
    told = {
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
        "levels": [float(level) for level in made.points.bounds],
        "origin": made.origin,
        "created_at": head.created_at.isoformat(timespec="milliseconds"),
    }
    event = (
        {key: told[key] for key in ("forecast_id", "model_id", "model_version", "origin", "horizon")}
        if asked.kind == REAL_TIME
        else None
    )
    return Entry(head, made.points, event), Answer(told, made.parts, made.errors, made.points.values.size)


# --- what happened ---


def actuals(
    who: Principal, model: str, rows: Sequence[Mapping[str, Any]] | None, dataset_id: str | None = None
) -> dict[str, Any]:
    """Score `rows`, or the data that a dataset holds, for the family of `model`; see `vur.predictions.actuals`."""
    import pandas as pd

    from vur.predictions.actuals import check_drift, family_of, observed_path, score_table

    with reading() as session:
        served = find_served(session, who, model)
        row = session.get_one(Model, served.id)
        family, own = family_of(session, row), may(session, row, who, "edit")
        path = observed_path(session, fetch(session, Dataset, dataset_id, who)) if dataset_id else None
    table = _table(rows or ()) if path is None else pd.read_parquet(path)
    found = score_table(
        open_model(served).saved, family, table, owner_id=None if own else who.user_id, again=path is None
    )
    drifting = check_drift([one.id for one in family]) if own else []
    return {"points": found.points, "matched": found.matched, "unmatched": found.unmatched, "drifting": drifting}
