"""Continuous predictions: new rows of a source are held against what was forecast for them, and the next steps are forecast from them."""

import hashlib
import logging
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from vur.errors import VurError
from vur.jobs.new_rows import (
    earliest,
    outside_intervals,
    read_rows,
    rows_after,
    rows_to_forecast,
    series_ends,
    with_forecasts,
)
from vur.store import events
from vur.store.accounts.access import Principal, fetch
from vur.store.catalog import DatabaseConnection, Forecast, Monitor, now
from vur.store.database import reading, writing
from vur.store.feeds import connections, monitors

if TYPE_CHECKING:
    import pandas as pd

    from vur.models.saved import Saved
    from vur.store.models.champions import Served

SLOTS, RENEW_SECONDS = 8, 5.0
KIND = "monitor"
SHOWN_SERIES, SHOWN_STEPS, SHOWN_OUTSIDE, SHOWN_PROBLEMS = (
    5,
    24,
    20,
    20,
)  # of a live message, and of a monitor's problems
CHECKED = 5_000  # new values of a round that are held against their intervals
log = logging.getLogger("vur.monitors")


# --- whose turn it is ---


class Rounds:
    """The rounds that go on in this process: each in a thread of its own, so that a source that hangs stops no other monitor."""

    def __init__(self) -> None:
        self.running: dict[str, tuple[str, threading.Thread]] = {}
        self.lock = threading.Lock()
        self.renewed = time.monotonic()

    def start_due(self, owner: str) -> None:
        """Take what is due, as far as there is room, and keep the leases of what still runs."""
        with self.lock:
            self.running = {id: (token, thread) for id, (token, thread) in self.running.items() if thread.is_alive()}
            free = SLOTS - len(self.running)
            with writing() as session:
                if self.running and time.monotonic() - self.renewed > RENEW_SECONDS:
                    monitors.renew(session, [token for token, _ in self.running.values()])
                    self.renewed = time.monotonic()
                taken = (
                    monitors.take_due(session, owner, free, self.running.keys(), failing=max(free - SLOTS // 2, 0))
                    if free
                    else []
                )
            for id, token in taken:
                # A daemon: a worker that ends does not wait for a source that hangs. The lease ends, and another one
                # takes over.
                thread = threading.Thread(target=run_round, args=(id, token), daemon=True, name=f"monitor {id[:8]}")
                self.running[id] = (token, thread)
                thread.start()

    @property
    def busy(self) -> bool:
        """Whether a round goes on."""
        return any(thread.is_alive() for _, thread in list(self.running.values()))

    def wait(self, seconds: float) -> None:
        """Until those that run now are over, or time is."""
        end = time.monotonic() + seconds
        for _, thread in list(self.running.values()):
            thread.join(max(end - time.monotonic(), 0))


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
    language: str
    before: dict[str, Any]
    position: dict[str, Any]
    problems: dict[str, VurError] = field(default_factory=dict)
    skipped: int = 0

    @classmethod
    def of(cls, id: str, token: str) -> "Turn | None":
        """The monitor as it stands; None where it was removed just now."""
        with reading() as session:
            monitor = session.get(Monitor, id)
            if monitor is None:
                return None
            name, language = monitors.name_of(session, monitor), monitors.language_of(session, monitor)
            return cls(monitor, token, name, language, dict(monitor.position), dict(monitor.position))

    def run(self) -> None:
        """Read what is new, score it, forecast from it, and move on."""
        from vur.predictions.open_models import open_model
        from vur.store.models.champions import champion_of, find_served

        with reading() as session:
            who = monitors.principal_of(session, self.monitor)
            source = fetch(session, DatabaseConnection, self.monitor.connection_id, who)
            served = find_served(session, who, self.monitor.model_id)
            served = champion_of(session, who, served) if self.monitor.follow else served
        saved = open_model(served).saved
        if self.position.get("model_version") != served.tag:
            self.position = {"model_version": served.tag, "ends": series_ends(saved.pipeline.ends)}
        table, new = self._news(source, saved)
        if new is None and "forecast_id" in self.position:
            return self._rest(source)
        outside = self._score(who, served, saved, new)
        answer = self._forecast(who, served, saved, source, table, new)
        self._moved(source, new, outside, answer)

    def _news(self, source: DatabaseConnection, saved: "Saved") -> tuple["pd.DataFrame | None", "pd.DataFrame | None"]:
        """The rows read, with the model's names, and those that are new as `unique_id, ds, y`; None where there are none."""
        from vur.models.moving import read_observations

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
        self.problems = {
            id: error for id, error in errors.items() if id not in unknown and error.code != "panel.target_empty"
        }
        if panel is None:
            if errors and self.problems:
                raise next(iter(self.problems.values()))
            if unknown:
                raise errors[next(iter(unknown))]
            return table, None
        return table, rows_after(panel.frame, self.position["ends"])

    def _score(
        self, who: Principal, served: "Served", saved: "Saved", new: "pd.DataFrame | None"
    ) -> list[dict[str, Any]]:
        """Hold new values against the forecasts made for them; those outside of their widest interval."""
        from vur.store.forecasts.scoring import score

        if new is None:
            return []
        freq = saved.pipeline.head.freq.alias
        score({served.id: served.tag}, new, freq, owner_id=who.user_id)
        return (
            outside_intervals(with_forecasts(who.user_id, served.tag, new.tail(CHECKED), freq))
            if "forecast_id" in self.position
            else []
        )

    def _forecast(
        self,
        who: Principal,
        served: "Served",
        saved: "Saved",
        source: DatabaseConnection,
        table: "pd.DataFrame | None",
        new: "pd.DataFrame | None",
    ) -> dict[str, Any] | None:
        """Forecast from the rows since the training data; None where this very forecast is in the ledger already, from a round that was cut off."""
        from vur.predictions.predict import PredictionRequest, predict

        rows = None
        if new is not None:
            since = series_ends(saved.pipeline.ends)
            table = table if earliest(since) == earliest(self.position["ends"]) else read_rows(source, saved, since)
            rows = rows_to_forecast(saved, table, new, since)
        request = self._request(served, new)
        with reading() as session:
            done = session.scalar(
                select(Forecast.id).where(
                    Forecast.owner_id == who.user_id, Forecast.model_id == served.id, Forecast.request_id == request
                )
            )
        if done is not None:
            self.position |= {"forecast_id": done}
            return None
        answer = predict(who, served.id, PredictionRequest(series=rows, kind=KIND, request_id=request)).to_dict()
        self.problems |= {
            id: VurError("monitors.series", series=id, reason=error["detail"])
            for id, error in answer["errors"].items()
            if error["code"] != "predictions.unknown_series"
        }
        return answer

    def _request(self, served: "Served", new: "pd.DataFrame | None") -> str:
        """A name for the forecast of this round, the same when it is made again."""
        last = sorted(series_ends(new.groupby("unique_id", sort=False)["ds"].max()).items()) if new is not None else []
        return f"m-{hashlib.sha256(repr((self.monitor.id, served.tag, last, sorted(self.position['ends'].items()))).encode()).hexdigest()[:40]}"

    # --- how it ends ---

    def _rest(self, source: DatabaseConnection) -> None:
        """Nothing is new."""
        with writing() as session:
            kept = monitors.move_on(
                session, self.monitor.id, self.token, self.monitor.interval_seconds, self._clean(), 0, self._problem()
            )
            if kept:
                self._recovered(session)
        self._source_is_fine(source)

    def _moved(
        self,
        source: DatabaseConnection,
        new: "pd.DataFrame | None",
        outside: list[dict[str, Any]],
        answer: dict[str, Any] | None,
    ) -> None:
        """Keep the new position, and tell clients; nothing of it when the monitor was stopped meanwhile."""
        if new is not None:
            self.position["ends"] = self.position["ends"] | series_ends(
                new.groupby("unique_id", sort=False)["ds"].max()
            )
        self.position |= {"observed": 0 if new is None else len(new), "outside": len(outside), "skipped": self.skipped}
        if answer is not None:
            self.position |= {key: answer[key] for key in ("forecast_id", "origin")}
        with writing(durable=True) as session:
            kept = monitors.move_on(
                session,
                self.monitor.id,
                self.token,
                self.monitor.interval_seconds,
                self._clean(),
                int(answer is not None),
                self._problem(),
            )
            if not kept:
                return
            self._recovered(session)
            events.publish(session, "prediction", self._event(outside, answer), self.monitor.owner_id)
            for one in outside[:1]:
                events.raise_alert(
                    session,
                    self.monitor.owner_id,
                    "interval_left",
                    about=("monitor", self.monitor.id),
                    monitor_id=self.monitor.id,
                    model_id=self.monitor.model_id,
                    **one,
                )
        self._source_is_fine(source)

    def _event(self, outside: list[dict[str, Any]], answer: dict[str, Any] | None) -> dict[str, Any]:
        told = {
            "monitor_id": self.monitor.id,
            "model_id": self.monitor.model_id,
            "pipeline_id": self.monitor.pipeline_id,
            "database_id": self.monitor.connection_id,
            "observed": self.position["observed"],
            "outside": outside[:SHOWN_OUTSIDE],
            "outside_count": len(outside),
            "forecast_id": self.position.get("forecast_id"),
            "model_version": self.position["model_version"],
            "origin": self.position.get("origin"),
        }
        if answer is None:
            return told
        series = answer["forecasts"]
        return told | {
            "horizon": answer["horizon"],
            "series": len(series),
            "forecasts": {id: _head(one) for id, one in list(series.items())[:SHOWN_SERIES]},
        }

    def failed(self, error: VurError) -> None:
        """Keep the reason, rest longer, raise an alert."""
        try:
            with writing() as session:
                if monitors.fail(
                    session, self.monitor.id, self.token, self.monitor.interval_seconds, self.before, problem_of(error)
                ):
                    events.raise_alert(
                        session,
                        self.monitor.owner_id,
                        monitors.FAILED,
                        severity="error",
                        about=("monitor", self.monitor.id),
                        name=self.name,
                        reason=error.text(self.language),
                    )
        except Exception:  # the catalog itself: the lease ends, and another round finds it again
            log.exception("monitor %s: the reason of its failure cannot be kept", self.monitor.id)

    def _recovered(self, session: Any) -> None:
        if self.monitor.state == "failing" and monitors.resolve(session, self.monitor.id):
            events.record_activity(
                session, self.monitor.owner_id, "monitor_recovered", about=("monitor", self.monitor.id), name=self.name
            )

    def _source_is_fine(self, source: DatabaseConnection) -> None:
        if source.status != "connected":
            connections.note(source.id, None)

    def _clean(self) -> dict[str, Any]:
        return {key: value for key, value in self.position.items() if key != "failures"}

    def _problem(self) -> dict[str, Any] | None:
        """What is wrong with some series while the others go on."""
        if not self.problems:
            return None
        return problem_of(next(iter(self.problems.values()))) | {
            "series": {id: problem_of(error) for id, error in list(self.problems.items())[:SHOWN_PROBLEMS]},
            "count": len(self.problems),
        }


def _head(forecast: dict[str, Any]) -> dict[str, Any]:
    """The first steps of a series' forecast: live messages are small, the ledger has it all."""
    bands = {
        level: {end: values[:SHOWN_STEPS] for end, values in band.items()}
        for level, band in forecast["intervals"].items()
    }
    return {
        "origin": forecast["origin"],
        "timestamps": forecast["timestamps"][:SHOWN_STEPS],
        "forecast": forecast["forecast"][:SHOWN_STEPS],
        "intervals": bands,
    }


def problem_of(error: VurError) -> dict[str, Any]:
    """An error as the catalog keeps it: its sentence is made when it is read."""
    plain = {
        key: value if isinstance(value, (str, int, float, bool, type(None))) else str(value)[:500]
        for key, value in error.data.items()
    }
    return {"code": error.code, "stage": error.stage, "data": plain, "detail": str(error)}
