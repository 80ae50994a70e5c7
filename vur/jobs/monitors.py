"""Continuous predictions: new rows of a source are held against what was forecast for them, and the next steps are forecast from them."""

import hashlib
import logging
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, date, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from vur.errors import VurError
from vur.store import connections, journal, monitors
from vur.store.access import Principal, fetch
from vur.store.catalog import DatabaseConnection, Forecast, ForecastPoint, Monitor, now
from vur.store.connections import Columns
from vur.store.database import reading, writing

if TYPE_CHECKING:
    import pandas as pd

    from vur.runs.moving import Saved
    from vur.store.champions import Served

SLOTS, RENEW_SECONDS = 8, 5.0
KIND = "monitor"
SHOWN_SERIES, SHOWN_OUTSIDE, SHOWN_PROBLEMS = 10, 20, 20
CHECKED, SERIES_AT_ONCE = 5_000, 500  # new values of a round that are held against their intervals
DAY, MONTH = timedelta(days=1), timedelta(days=31)
log = logging.getLogger("vur.monitors")


# --- whose turn it is ---

class Rounds:
    """The rounds that go on in this process: each in a thread of its own, so that a source that hangs stops no other monitor."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(SLOTS, thread_name_prefix="monitor")
        self.running: dict[str, tuple[str, Any]] = {}
        self.lock = threading.Lock()
        self.renewed = time.monotonic()

    def start_due(self, owner: str) -> None:
        """Take what is due, as far as there is room, and keep the leases of what still runs."""
        with self.lock:
            self.running = {id: (token, done) for id, (token, done) in self.running.items() if not done.done()}
            free = SLOTS - len(self.running)
            with writing() as session:
                if self.running and time.monotonic() - self.renewed > RENEW_SECONDS:
                    monitors.renew(session, [token for token, _ in self.running.values()])
                    self.renewed = time.monotonic()
                taken = monitors.take_due(session, owner, free, self.running.keys(), failing=max(free - SLOTS // 2, 0)) if free else []
            for id, token in taken:
                self.running[id] = (token, self.pool.submit(run_round, id, token))

    @property
    def busy(self) -> bool:
        """Whether a round goes on."""
        return any(not done.done() for _, done in list(self.running.values()))

    def wait(self, seconds: float) -> None:
        """Until those that run now are over."""
        with self.lock:
            running = [done for _, done in self.running.values()]
        wait(running, seconds)


_rounds: list[Rounds] = []
_starting = threading.Lock()


def rounds() -> Rounds:
    """The rounds of this process."""
    with _starting:
        if not _rounds:
            _rounds.append(Rounds())
        return _rounds[0]


def run_due_monitors(lease_owner: str) -> None:
    """Start a round of each monitor that is due; returns at once. Call it every second from each worker."""
    if _any_due():
        rounds().start_due(lease_owner)


def _any_due() -> bool:
    """Whether there is anything to do, found out without holding up writers."""
    with reading() as session:
        due = select(Monitor.id).where(Monitor.state.in_(monitors.ACTIVE), Monitor.due_at <= now()).limit(1)
        return bool(_rounds and _rounds[0].busy) or session.scalar(due) is not None


def run_round(id: str, token: str) -> None:
    """One round of the monitor `id` under the lease `token`; whatever goes wrong is kept with the monitor."""
    try:
        turn = Turn.of(id, token)
    except Exception:
        log.exception("monitor %s cannot be read", id)
        return
    if turn is None:
        return
    try:
        turn.run()
    except VurError as error:
        turn.failed(error)
    except Exception as error:  # a driver, a library: the monitor says that much, the log says all
        log.exception("monitor %s failed", id)
        turn.failed(VurError("monitors.unexpected", reason=type(error).__name__))


# --- one round ---

@dataclass
class Turn:
    """A monitor, and what one round of it found out."""

    monitor: Monitor
    token: str
    name: str
    before: dict[str, Any]
    position: dict[str, Any]
    problems: dict[str, VurError] = field(default_factory=dict)
    skipped: int = 0

    @classmethod
    def of(cls, id: str, token: str) -> "Turn | None":
        """The monitor as it stands; None where it was removed just now."""
        with reading() as session:
            monitor = session.get(Monitor, id)
            return monitor and cls(monitor, token, monitors.name_of(session, monitor), dict(monitor.position), dict(monitor.position))

    def run(self) -> None:
        """Read what is new, score it, forecast from it, and move on."""
        from vur.serving.loaded import loaded
        from vur.store.champions import find_served

        with reading() as session:
            who = monitors.principal_of(session, self.monitor)
            source = fetch(session, DatabaseConnection, self.monitor.connection_id, who)
            served = find_served(session, who, self.monitor.model_id)
        saved = loaded(served).saved
        if self.position.get("model_version") != served.tag:
            self.position = {"model_version": served.tag, "ends": marks(saved.pipeline.ends)}
        table, new = self._news(source, saved)
        if new is None and "forecast_id" in self.position:
            return self._rest(source)
        outside = self._score(who, served, saved, new)
        answer = self._forecast(who, served, saved, source, table, new)
        self._moved(source, new, outside, answer)

    def _news(self, source: DatabaseConnection, saved: "Saved") -> tuple["pd.DataFrame | None", "pd.DataFrame | None"]:
        """The rows read, with the model's names, and those that are new as `unique_id, ds, y`; None where there are none."""
        from vur.runs.moving import read_observations

        try:
            table = read_rows(source, saved, self.position["ends"])
        except VurError as error:
            if error.code.startswith("connections."):
                connections.note(source.id, error)
            raise
        if table.empty:
            return None, None
        panel, errors = read_observations(saved, table)
        unknown = {id for id, error in errors.items() if error.code == "predictions.unknown_series"}
        self.skipped = len(unknown)
        self.problems = {id: error for id, error in errors.items() if id not in unknown and error.code != "panel.target_empty"}
        if panel is None:
            if errors and self.problems:
                raise next(iter(self.problems.values()))
            if unknown:
                raise errors[next(iter(unknown))]
            return table, None
        return table, after_marks(panel.frame, self.position["ends"])

    def _score(self, who: Principal, served: "Served", saved: "Saved", new: "pd.DataFrame | None") -> list[dict[str, Any]]:
        """Hold new values against the forecasts made for them; those outside of their widest interval."""
        from vur.store.scoring import score

        if new is None:
            return []
        freq = saved.pipeline.head.freq.alias
        score([served.tag], new, freq, owner_id=who.user_id)
        return outside_of(expected(who.user_id, served.tag, new.tail(CHECKED), freq)) if "forecast_id" in self.position else []

    def _forecast(self, who: Principal, served: "Served", saved: "Saved", source: DatabaseConnection, table: "pd.DataFrame | None",
                  new: "pd.DataFrame | None") -> dict[str, Any] | None:
        """Forecast from the rows since the training data; None where this very forecast is in the ledger already, from a round that was cut off."""
        from vur.serving.predicting import Asked, predict

        rows = None
        if new is not None:
            since = marks(saved.pipeline.ends)
            table = table if earliest(since) == earliest(self.position["ends"]) else read_rows(source, saved, since)
            rows = rows_for(saved, table, new, since)
        request = self._request(served, new)
        with reading() as session:
            done = session.scalar(select(Forecast.id).where(Forecast.owner_id == who.user_id, Forecast.model_id == served.id, Forecast.request_id == request))
        if done is not None:
            self.position |= {"forecast_id": done}
            return None
        answer = predict(who, served.id, Asked(series=rows, kind=KIND, request_id=request)).to_dict()
        self.problems |= {id: VurError("monitors.series", series=id, reason=error["detail"]) for id, error in answer["errors"].items() if error["code"] != "predictions.unknown_series"}
        return answer

    def _request(self, served: "Served", new: "pd.DataFrame | None") -> str:
        """A name for the forecast of this round, the same when it is made again."""
        last = sorted(marks(new.groupby("unique_id", sort=False)["ds"].max()).items()) if new is not None else []
        return f"m-{hashlib.sha256(repr((self.monitor.id, served.tag, last, sorted(self.position['ends'].items()))).encode()).hexdigest()[:40]}"

    # --- how it ends ---

    def _rest(self, source: DatabaseConnection) -> None:
        """Nothing is new."""
        with writing() as session:
            kept = monitors.move_on(session, self.monitor.id, self.token, self.monitor.interval_seconds, self._clean(), 0, self._problem())
            if kept:
                self._recovered(session)
        self._source_is_fine(source)

    def _moved(self, source: DatabaseConnection, new: "pd.DataFrame | None", outside: list[dict[str, Any]], answer: dict[str, Any] | None) -> None:
        """Keep the new position, and tell clients; nothing of it when the monitor was stopped meanwhile."""
        if new is not None:
            self.position["ends"] = self.position["ends"] | marks(new.groupby("unique_id", sort=False)["ds"].max())
        self.position |= {"observed": 0 if new is None else len(new), "outside": len(outside), "skipped": self.skipped}
        if answer is not None:
            self.position |= {key: answer[key] for key in ("forecast_id", "origin")}
        with writing(durable=True) as session:
            kept = monitors.move_on(session, self.monitor.id, self.token, self.monitor.interval_seconds, self._clean(), int(answer is not None), self._problem())
            if not kept:
                return
            self._recovered(session)
            journal.publish(session, "prediction", self._event(outside, answer), self.monitor.owner_id)
            for one in outside[:1]:
                journal.warn(session, self.monitor.owner_id, "interval_left", about=("monitor", self.monitor.id), monitor_id=self.monitor.id, model_id=self.monitor.model_id, **one)
        self._source_is_fine(source)

    def _event(self, outside: list[dict[str, Any]], answer: dict[str, Any] | None) -> dict[str, Any]:
        told = {"monitor_id": self.monitor.id, "model_id": self.monitor.model_id, "pipeline_id": self.monitor.pipeline_id, "database_id": self.monitor.connection_id,
                "observed": self.position["observed"], "outside": outside[:SHOWN_OUTSIDE], "outside_count": len(outside), "forecast_id": self.position.get("forecast_id"),
                "model_version": self.position["model_version"], "origin": self.position.get("origin")}
        if answer is None:
            return told
        series = answer["forecasts"]
        return told | {"horizon": answer["horizon"], "series": len(series), "forecasts": dict(list(series.items())[:SHOWN_SERIES])}

    def failed(self, error: VurError) -> None:
        """Keep the reason, rest longer, raise an alert."""
        try:
            with writing() as session:
                if monitors.fail(session, self.monitor.id, self.token, self.monitor.interval_seconds, self.before, problem_of(error)):
                    journal.warn(session, self.monitor.owner_id, monitors.FAILED, severity="error", about=("monitor", self.monitor.id), name=self.name, reason=str(error))
        except Exception:  # the catalog itself: the lease ends, and another round finds it again
            log.exception("monitor %s: the reason of its failure cannot be kept", self.monitor.id)

    def _recovered(self, session: Any) -> None:
        if self.monitor.state == "failing" and monitors.resolve(session, self.monitor.id):
            journal.tell(session, self.monitor.owner_id, "monitor_recovered", about=("monitor", self.monitor.id), name=self.name)

    def _source_is_fine(self, source: DatabaseConnection) -> None:
        if source.status != "connected":
            connections.note(source.id, None)

    def _clean(self) -> dict[str, Any]:
        return {key: value for key, value in self.position.items() if key != "failures"}

    def _problem(self) -> dict[str, Any] | None:
        """What is wrong with some series while the others go on."""
        if not self.problems:
            return None
        return problem_of(next(iter(self.problems.values()))) | {"series": {id: str(error) for id, error in list(self.problems.items())[:SHOWN_PROBLEMS]}, "count": len(self.problems)}


def problem_of(error: VurError) -> dict[str, Any]:
    """An error as the catalog keeps it: its sentence is made when it is read."""
    plain = {key: value if isinstance(value, (str, int, float, bool, type(None))) else str(value)[:500] for key, value in error.data.items()}
    return {"code": error.code, "stage": error.stage, "data": plain, "detail": str(error)}


# --- rows and positions ---

def marks(ends: "pd.Series") -> dict[str, Any]:
    """Where each series stands, as JSON: ISO text, or a whole number."""
    import pandas as pd

    return {str(id): end.isoformat() if isinstance(end, pd.Timestamp) else int(end) for id, end in ends.items()}


def earliest(ends: Mapping[str, Any]) -> date | int | None:
    """What rows of any series can be asked for by: the first of the positions, a day earlier because of time zones."""
    import pandas as pd

    first = min(ends.values(), default=None)
    return pd.Timestamp(first).date() - DAY if isinstance(first, str) else first


def read_rows(source: DatabaseConnection, saved: "Saved", since: Mapping[str, Any]) -> "pd.DataFrame":
    """The rows of a source since the first of the positions, under the names of the training data."""
    names = names_for(saved, Columns.of(source))
    chosen = Columns.of(source)
    with connections.open_source(source) as reader:
        frame = reader.read(source.table, chosen.names, chosen.date, earliest(since))
    frame.attrs.clear()
    return frame[[chosen.date, chosen.target, *chosen.series, *chosen.covariates]].set_axis(names, axis="columns")


def names_for(saved: "Saved", chosen: Columns) -> list[str]:
    """What the model calls the date, target, series and covariates of a source; `VurError` monitors.series_columns where they do not fit."""
    names = saved.head["names"]
    series = list(names.get("series") or [])
    if len(series) != len(chosen.series):
        raise VurError("monitors.series_columns", wanted=", ".join(series) or "-", have=", ".join(chosen.series) or "-")
    return [names.get("date") or "ds", names.get("target") or "y", *series, *chosen.covariates]


def after_marks(frame: "pd.DataFrame", ends: Mapping[str, Any]) -> "pd.DataFrame | None":
    """The observed rows of a panel that lie after the position of their series; None where there are none."""
    import pandas as pd

    known = frame["unique_id"].astype(str).map(dict(ends))
    if frame["ds"].dtype.kind == "M":
        known = pd.to_datetime(known, format="ISO8601").astype(frame["ds"].dtype)
    late = (known.isna() | (frame["ds"] > known)).to_numpy() & frame["y"].notna().to_numpy()
    return frame.loc[late, ["unique_id", "ds", "y"]].reset_index(drop=True) if late.any() else None


def rows_for(saved: "Saved", table: "pd.DataFrame", new: "pd.DataFrame", ends: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows that the forecasts begin after: those of series that have new ones; a hierarchy needs all."""
    from vur.runs.moving import series_of

    if saved.pipeline.reconciler is None:
        table = table[[id in set(new["unique_id"]) for id in series_of(saved, table)]]
    return table.to_dict("records")


def expected(owner_id: str, tag: str, new: "pd.DataFrame", freq: str) -> "pd.DataFrame":
    """`new` with what was forecast for each value the shortest time before: `forecast, quantiles` and `unique_id, ds, y`."""
    import pandas as pd

    from vur.store.scoring import cells

    dated, point = new["ds"].dtype.kind == "M", ForecastPoint
    target = point.target_at if dated else point.target_step
    low, high = new["ds"].min(), new["ds"].max()
    low, high = ((stamp + way).to_pydatetime().replace(tzinfo=UTC) for stamp, way in ((low, -MONTH), (high, MONTH))) if dated else (int(low), int(high))
    columns, rows, ids = (point.unique_id, target, point.horizon, point.forecast, point.quantiles), [], new["unique_id"].astype(str).unique().tolist()
    with reading() as session:
        for start in range(0, len(ids), SERIES_AT_ONCE):
            some = point.unique_id.in_(ids[start:start + SERIES_AT_ONCE])
            rows += session.execute(select(*columns).where(point.owner_id == owner_id, point.tag == tag, some, target.between(low, high)).order_by(point.id.desc())).all()
    found = pd.DataFrame(rows, columns=["unique_id", "target", "horizon", "forecast", "quantiles"])
    stamps = pd.to_datetime(found["target"], utc=True).dt.tz_localize(None) if dated else found["target"].astype("int64")
    found = found.assign(cell=cells(stamps.to_numpy(), freq)).sort_values("horizon", kind="stable").drop_duplicates(["unique_id", "cell"])
    return new.assign(unique_id=new["unique_id"].astype(str), cell=cells(new["ds"].to_numpy(), freq)).merge(found, on=["unique_id", "cell"])


def outside_of(rows: "pd.DataFrame") -> list[dict[str, Any]]:
    """Those of `expected` whose value left its widest interval."""
    from vur.runs.future import stamp_text

    found = []
    for row in rows.itertuples():
        level = max(row.quantiles, key=float, default=None)
        low, high = row.quantiles[level] if level else (None, None)
        if low is not None and high is not None and not low <= row.y <= high:
            numbers = {"value": row.y, "forecast": row.forecast, "low": low, "high": high, "level": level}
            found.append({"series": str(row.unique_id), "stamp": stamp_text(row.ds), **{name: float(f"{float(value):.6g}") for name, value in numbers.items()}})
    return found
