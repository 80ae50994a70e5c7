"""Progress of a run: events that the running process appends to a file, and readers of that file."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from vur.text import translate

# Rough share of each stage in a run's time; training is scaled by its own fraction.
WEIGHTS = {
    "upload": 3,
    "panel": 2,
    "audit": 2,
    "preview": 1,
    "split": 1,
    "preprocess": 1,
    "features": 1,
    "model": 1,
    "training": 78,
    "forecast": 4,
    "save": 2,
    "report": 4,
}
# Completed share of the run from which the remaining time can be estimated.
KNOWN_FROM = 0.15


def overall(stage: str, fraction: float, weights: Mapping[str, float] = WEIGHTS) -> float:
    """Completed fraction of the whole run when `stage` is at `fraction`."""
    stages = tuple(weights)
    before = sum(weights[name] for name in stages[: stages.index(stage)])
    return (before + weights[stage] * min(max(fraction, 0.0), 1.0)) / sum(weights.values())


class ProgressLog:
    """Appends events to `path` as JSON lines and passes them to `watcher`; stages themselves never read a clock."""

    def __init__(
        self, path: Path, watcher: Callable[[dict], None] | None = None, weights: Mapping[str, float] = WEIGHTS
    ):
        self.path, self.watcher, self.weights, self.started = path, watcher, weights, time.monotonic()

    def emit(self, stage: str, fraction: float, message: str = "", **data: Any) -> None:
        """Record that `stage` is at `fraction` in [0, 1]; `message` is a translation key filled from `data`."""
        done = overall(stage, fraction, self.weights)
        elapsed = time.monotonic() - self.started
        event = {
            "stage": stage,
            "fraction": round(fraction, 4),
            "percent": round(100 * done, 1),
            "elapsed": round(elapsed, 2),
            "eta": round(elapsed * (1 - done) / done, 1) if done > KNOWN_FROM else None,
            "message": message,
            "data": data,
        }
        with self.path.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(event, default=str) + "\n")
        if self.watcher:
            self.watcher(event)


class Follower:
    """Reads the events that another process appends."""

    def __init__(self, path: Path):
        self.path, self.offset = path, 0

    def new_events(self) -> list[dict]:
        """Events since the last call; an incomplete last line is left for the next one."""
        if not self.path.is_file():
            return []
        with self.path.open("rb") as handle:
            handle.seek(self.offset)
            text = handle.read()
        whole = text[: text.rfind(b"\n") + 1]
        self.offset += len(whole)
        return [json.loads(line) for line in whole.splitlines()]


class ConsoleProgress:
    """Prints a line for each new stage and each new message, and never repeats a line."""

    def __init__(self, write: Callable[[str], None], language: str):
        self.write, self.language, self.last = write, language, ("", "")

    def __call__(self, event: dict) -> None:
        stage = translate(f"stage.{event['stage']}", self.language)
        text = translate(event["message"], self.language, **event["data"]) if event["message"] else ""
        best = event["data"].get("best")
        leader = translate("cli.best", self.language, **best) if best else ""
        eta = translate("cli.eta", self.language, seconds=f"{event['eta']:.0f}") if event["eta"] is not None else ""
        line = (stage, text)
        if line != self.last and (text or stage != self.last[0]):
            self.last = line
            extras = " · ".join(part for part in (text, leader, eta) if part)
            self.write(f"{event['percent']:5.1f}%  {stage:<12} {extras}".rstrip())
