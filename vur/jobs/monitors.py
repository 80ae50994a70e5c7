"""Continuous predictions: scores new rows of a source against their forecasts, and forecasts the next steps."""

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
    in_source,
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
SHOWN_SERIES, SHOWN_STEPS, SHOWN_OUTSIDE, SHOWN_PROBLEMS = 5, 24, 20, 20  # in a live message, and in a monitor's error
CHECKED = 5_000  # new values of a round that are compared with their intervals
log = logging.getLogger("vur.monitors")


# --- scheduling ---


class Rounds:
    """The running rounds of this process, each in its own thread, so that no source blocks other monitors."""

    def __init__(self) -> None:
        self.running: dict[str, tuple[str, threading.Thread]] = {}
        self.lock = threading.Lock()
        self.renewed = time.monotonic()

    def start_due(self, owner: str) -> None:
        """Start the due monitors, as far as there are free slots, and renew the leases of running rounds."""
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
                # A daemon thread: a stopping worker does not wait for a source that hangs. When the lease ends, another
                # worker takes over.
                thread = threading.Thread(target=run_round, args=(id, token), daemon=True, name=f"monitor {id[:8]}")
                self.running[id] = (token, thread)
                thread.start()

    @property
    def busy(self) -> bool:
        """Whether a round is running."""
        return any(thread.is_alive() for _, thread in list(self.running.values()))

    def wait(self, seconds: float) -> None:
        """Wait until the running rounds have ended, at most `seconds`."""
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
    """Start a round of each due monitor in the background; each worker calls it every second."""
    if _any_due():
        rounds().start_due(lease_owner)


def _any_due() -> bool:
    """Whether a monitor is due or running; does not block writers."""
    with reading() as session:
        due = select(Monitor.id).where(Monitor.state.in_(monitors.ACTIVE), Monitor.due_at <= now()).limit(1)
        return bool(_rounds and _rounds[0].busy) or session.scalar(due) is not None


def run_round(id: str, token: str) -> None:
    """Run one round of the monitor `id` under the lease `token`; its error is stored in the monitor."""
    try:
        round_ = Round.of(id, token)
    except Exception:
        log.exception("monitor %s cannot be read", id)
        return
    if round_ is None:
        return
    try:
        round_.run()
    except VurError as error:
        round_.failed(error)
    except Exception as error:  # of a driver or library: the monitor shows its type, the log everything
        log.exception("monitor %s failed", id)
        round_.failed(VurError("monitors.unexpected", reason=type(error).__name__))


# --- one round ---


@dataclass
class Round:
    """One round of a monitor, and its results."""

    monitor: Monitor
    token: str
    name: str
    language: str
    before: dict[str, Any]
    position: dict[str, Any]
    problems: dict[str, VurError] = field(default_factory=dict)
    skipped: int = 0

    @classmethod
    def of(cls, id: str, token: str) -> "Round | None":
        """The round of a monitor in its current state; None if it was just deleted."""
        with reading() as session:
            monitor = session.get(Monitor, id)
            if monitor is None:
                return None
            name, language = monitors.name_of(session, monitor), monitors.language_of(session, monitor)
            return cls(monitor, token, name, language, dict(monitor.position), dict(monitor.position))

    def run(self) -> None:
        """Read the new rows, score them, forecast from them, and store the new position."""
        from vur.predictions.open_models import open_model
        from vur.store.models.champions import champion_of, find_served

        with reading() as session:
            who = monitors.principal_of(session, self.monitor)
            source = fetch(session, DatabaseConnection, self.monitor.connection_id, who)
            served = find_served(session, who, self.monitor.model_id)
            served = champion_of(session, who, served) if self.monitor.follow else served
        saved = open_model(served).saved
        if self.position.get("model_version") != served.tag:
            kept = {key: self.position[key] for key in ("news_at",) if key in self.position}
            self.position = kept | {"model_version": served.tag, "ends": series_ends(saved.pipeline.ends)}
        table, new = self._news(source, saved)
        if new is None and "forecast_id" in self.position:
            return self._nothing_new(source)
        outside = self._score(who, served, saved, new)
        answer = self._forecast(who, served, saved, source, table, new)
        self._advanced(source, new, outside, answer)

    def _news(self, source: DatabaseConnection, saved: "Saved") -> tuple["pd.DataFrame | None", "pd.DataFrame | None"]:
        """The rows read, with the model's column names, and the new ones as `unique_id, ds, y`; None without rows."""
        from vur.models.moving import read_observations

        try:
            table = read_rows(source, saved, self.position["ends"])
        except VurError as error:
            if error.code.startswith("connections."):
                connections.note(source.id, error)
            raise
        if table.empty:
            return None, None
        try:
            panel, errors = read_observations(saved, table)
        except VurError as error:
            raise in_source(error, source, saved) from None
        errors = {id: in_source(error, source, saved) for id, error in errors.items()}
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
        """Score new values against their forecasts; returns those outside their widest interval."""
        from vur.predictions.actuals import observed_before
        from vur.store.forecasts.scoring import score

        if new is None:
            return []
        freq = saved.pipeline.head.freq.alias
        score({served.id: served.tag}, new, freq, owner_id=who.user_id, past=lambda: observed_before(saved))
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
        """Forecast from the rows since the training data.

        None if an interrupted round has already written this forecast to the ledger.
        """
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
        """The request id of this round's forecast, the same if the round is repeated."""
        last = sorted(series_ends(new.groupby("unique_id", sort=False)["ds"].max()).items()) if new is not None else []
        identity = (self.monitor.id, served.tag, last, sorted(self.position["ends"].items()))
        return f"m-{hashlib.sha256(repr(identity).encode()).hexdigest()[:40]}"

    # --- ending the round ---

    def _nothing_new(self, source: DatabaseConnection) -> None:
        """End a round without new rows."""
        with writing() as session:
            kept = monitors.move_on(
                session, self.monitor.id, self.token, self.monitor.interval_seconds, self._clean(), 0, self._problem()
            )
            if kept:
                self._recovered(session)
        self._source_is_fine(source)

    def _advanced(
        self,
        source: DatabaseConnection,
        new: "pd.DataFrame | None",
        outside: list[dict[str, Any]],
        answer: dict[str, Any] | None,
    ) -> None:
        """Store the new position and publish the forecast, unless the monitor was stopped meanwhile."""
        if new is not None:
            self.position["ends"] = self.position["ends"] | series_ends(
                new.groupby("unique_id", sort=False)["ds"].max()
            )
            self.position["news_at"] = now().isoformat()
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
                    model=self.name,
                    **one,
                )
        self._source_is_fine(source)

    def _event(self, outside: list[dict[str, Any]], answer: dict[str, Any] | None) -> dict[str, Any]:
        event: dict[str, Any] = {
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
            return event
        series = answer["forecasts"]
        return event | {
            "horizon": answer["horizon"],
            "series": len(series),
            "forecasts": {id: _head(one) for id, one in list(series.items())[:SHOWN_SERIES]},
        }

    def failed(self, error: VurError) -> None:
        """Store the error, delay the next round, and raise an alert."""
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
                        reason=monitors.sentence(error, self.language),
                    )
        except Exception:  # the catalog cannot be reached: the lease ends, and another round takes over
            log.exception("monitor %s: the error cannot be stored", self.monitor.id)

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
        """The errors of single series while the others continue."""
        if not self.problems:
            return None
        return problem_of(next(iter(self.problems.values()))) | {
            "series": {id: problem_of(error) for id, error in list(self.problems.items())[:SHOWN_PROBLEMS]},
            "count": len(self.problems),
        }


def _head(forecast: dict[str, Any]) -> dict[str, Any]:
    """The first steps of a series' forecast, to keep live messages small; the ledger has all steps."""
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
    """An error as the catalog stores it; its text is rendered when it is read."""
    plain = {
        key: value if isinstance(value, (str, int, float, bool, type(None))) else str(value)[:500]
        for key, value in error.data.items()
    }
    return {"code": error.code, "stage": error.stage, "data": plain, "detail": monitors.sentence(error)}
