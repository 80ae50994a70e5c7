"""Logs of the service: lines on standard error (text or JSON) and JSON records in `logs/` of the data home.

All processes of a data home share one file, which is rotated at 10 MB. Secrets are redacted in every record; bodies,
query strings and raw paths are never logged.
"""

import fcntl
import json
import logging
import os
import re
import sys
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import structlog
from structlog.typing import EventDict, Processor

from vur.settings import settings

FILE, FILES, FILE_BYTES = "service.jsonl", 5, 10 * 2**20
IN_MEMORY = 1000
SCANNED = 64 * 2**20  # most bytes of the files that one query may read
BLOCK = 256 * 1024
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
HIDDEN = "***"
SECRET_NAME = re.compile(r"password|token|secret|authorization|api_?key|cookie", re.IGNORECASE)
SECRET = re.compile(
    r"vur_[\w-]{16,}"  # a personal key
    r"|[\w-]{8,}\.[\w-]{8,}\.[\w-]{20,}"  # a signed token
    r"|(?<=://)[^/\s@]+:[^@\s]+(?=@)"  # name and password inside a URL
    r"|(?<=\bBearer )\S+"
    r"|(?:password|passwd|token|secret|api_?key)['\"]?\s*[=:]\s*['\"]?[^\s'\",&}]+"
    r"|\[parameters: [^\n]*",
    re.IGNORECASE,
)  # values of a failed SQL statement

memory: deque[dict[str, Any]] = deque(maxlen=IN_MEMORY)
log = structlog.get_logger("vur.service")


def redact(logger: Any, method: str, record: EventDict) -> EventDict:
    """Redact the secrets of a record."""
    return {key: _redacted(key, value) for key, value in record.items()}


def _redacted(key: str, value: Any) -> Any:
    if isinstance(value, str):
        return HIDDEN if SECRET_NAME.search(key) else SECRET.sub(HIDDEN, value)
    if isinstance(value, dict):
        return {inner: _redacted(f"{key} {inner}", one) for inner, one in value.items()}
    return [_redacted(key, one) for one in value] if isinstance(value, (list, tuple)) else value


SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
    redact,
]


@cache
def configure() -> None:
    """Configure logging, once per process: `vur.*` from info, everything else from warning."""
    structlog.configure(
        processors=[*SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    kept, shown = Kept(), logging.StreamHandler(sys.stderr)
    kept.setFormatter(_formatter(_as_json))
    shown.setFormatter(_formatter(_as_json if settings().log_format == "json" else _as_text))
    ours, others = logging.getLogger("vur"), logging.getLogger()
    ours.setLevel(logging.INFO)
    ours.propagate = False
    ours.handlers = [kept, shown]
    foreign = Kept(level=logging.WARNING)
    foreign.setFormatter(_formatter(_as_json))
    others.addHandler(foreign)


def _formatter(renderer: Any) -> logging.Formatter:
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    return structlog.stdlib.ProcessorFormatter(foreign_pre_chain=SHARED, processors=[remove, renderer])


def _as_json(logger: Any, method: str, record: EventDict) -> str:
    first = {key: record.pop(key, None) for key in ("timestamp", "level", "event")}
    return json.dumps(first | dict(record), default=str, ensure_ascii=False)


def _as_text(logger: Any, method: str, record: dict[str, Any]) -> str:
    exception = record.pop("exception", None)
    record.pop("logger", None)
    head = f"{record.pop('timestamp', '')} {record.pop('level', ''):<7} {record.pop('event', '')}"
    tail = " ".join(f"{key}={value}" for key, value in record.items() if value is not None)
    return f"{head} {tail}".replace("\n", "\\n").rstrip() + (f"\n{exception}" if exception else "")


def folder() -> Path:
    """Return the folder of the log files."""
    return _path(settings().home).parent


@cache
def _path(home: Path) -> Path:
    return home.expanduser().absolute() / "logs" / FILE


class SharedFile:
    """A log file that several processes append to.

    A line is one write in append mode, so lines of different processes never mix. The process that finds the file too
    long rotates it under a lock; the others notice by its inode.
    """

    def __init__(self) -> None:
        self.handle, self.path, self.inode = -1, Path(), -1
        self.lock = Lock()

    def append(self, line: str) -> None:
        """Append a line."""
        with self.lock:
            self._open()
            os.write(self.handle, line.encode(errors="replace") + b"\n")
            if os.fstat(self.handle).st_size > FILE_BYTES:
                self._turn_over()

    def _open(self) -> None:
        path = _path(settings().home)
        try:
            if self.path == path and os.stat(path).st_ino == self.inode:
                return
        except FileNotFoundError:
            pass  # being rotated, or not created yet
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.handle >= 0:
            os.close(self.handle)
        self.handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self.path, self.inode = path, os.fstat(self.handle).st_ino

    def _turn_over(self) -> None:
        with (self.path.parent / ".lock").open("w") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            if os.stat(self.path).st_size <= FILE_BYTES:
                return
            for number in range(FILES - 1, 0, -1):
                older = self.path.with_name(f"{FILE}.{number}")
                newer = self.path.with_name(f"{FILE}.{number - 1}") if number > 1 else self.path
                if newer.exists():
                    os.replace(newer, older)


file = SharedFile()


class Kept(logging.Handler):
    """Log handler that stores records in memory and in the shared file."""

    def emit(self, record: logging.LogRecord) -> None:
        """Store a record; errors with the file go to standard error and stop nothing."""
        try:
            line = self.format(record)
            memory.append(json.loads(line))
            file.append(line)
        except OSError as error:
            print(f"the log file cannot be written: {error.strerror}", file=sys.stderr)
        except Exception:
            self.handleError(record)


def note_request(level: str, **values: Any) -> None:
    """Log a request like `log.info("request", ...)`, in a tenth of the time.

    Only for values without secrets.
    """
    stamp = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    record = {"timestamp": stamp, "level": level, "event": "request", **values}
    line = json.dumps(record)
    memory.append(record)
    try:
        file.append(line)
        print(line if settings().log_format == "json" else _as_text(None, level, dict(record)), file=sys.stderr)
    except OSError as error:
        log.error("a request cannot be logged", reason=error.strerror)


def recent(
    level: str | None = None,
    limit: int = 100,
    request_id: str | None = None,
    search: str | None = None,
    reads: bool = True,
) -> list[dict[str, Any]]:
    """Return the latest records of all processes of this data home, newest first.

    A record has `timestamp` (ISO, UTC), `level`, `event` and more. `level` is the lowest one returned (`debug, info,
    warning, error, critical`); `search` is a text that some value of a record contains, in any case; without
    `reads` requests that only read, and did, are left out: open pages send one every few seconds.
    Without a file, the records come from this process's memory.
    """
    least = LEVELS.get((level or "debug").lower(), 0)
    found: list[dict[str, Any]] = []
    text = (search or "").casefold()
    for record in _from_files() if (folder() / FILE).is_file() else reversed(list(memory)):
        if LEVELS.get(record.get("level", ""), 0) >= least and (
            (request_id is None or record.get("request_id") == request_id)
            and (reads or not _is_read(record))
            and (not text or any(text in str(value).casefold() for value in record.values()))
        ):
            found.append(record)
            if len(found) >= limit:
                break
    return found


def _is_read(record: dict[str, Any]) -> bool:
    """Whether a record is of a request that read something without an error."""
    return record.get("event") == "request" and record.get("method") in ("GET", "HEAD") and record["status"] < 400


def _from_files() -> Iterator[dict[str, Any]]:
    left = SCANNED
    for name in (FILE, *(f"{FILE}.{number}" for number in range(1, FILES))):
        path = folder() / name
        if left <= 0 or not path.is_file():
            return
        for line in _backwards(path):
            left -= len(line)
            try:
                yield json.loads(line)
            except ValueError:
                continue  # a line truncated by a full disk
            if left <= 0:
                return


def _backwards(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file from its end, read in blocks."""
    with path.open("rb") as file:
        position, rest = file.seek(0, os.SEEK_END), b""
        while position > 0:
            size = min(BLOCK, position)
            position -= size
            file.seek(position)
            lines = (file.read(size) + rest).split(b"\n")
            rest = lines[0]
            yield from (line for line in reversed(lines[1:]) if line)
        if rest:
            yield rest
