"""Shared by the tests of background jobs: real worker processes, datasets without endpoints, waiting with a timeout."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import select

from vur.store import database
from vur.store.catalog import Dataset, Job, Model, new_id

HERE = Path(__file__).parent
DATA = HERE.parent / "data"


class WorkerProcess:
    """A `vur worker` process; with `kinds` it knows the job kind `test`."""

    def __init__(self, home: Path, kinds: bool = False, **settings: Any):
        environment = os.environ | {f"VUR_{key.upper()}": str(value) for key, value in settings.items()}
        if kinds:
            environment["PYTHONPATH"] = os.pathsep.join([str(HERE / "kinds"), environment.get("PYTHONPATH", "")])
        self.output = home.parent / f"worker-{new_id()[:8]}.log"
        with self.output.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "vur.cli", "worker"], env=environment, stdout=file, stderr=subprocess.STDOUT
            )

    def kill(self) -> None:
        """As a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def end(self, seconds: float = 12) -> float:
        """SIGTERM; the seconds that it took to end."""
        started = time.monotonic()
        self.process.terminate()
        self.process.wait(seconds)
        return time.monotonic() - started

    @property
    def log(self) -> str:
        """What it printed."""
        return self.output.read_text(encoding="utf-8", errors="replace")


@contextmanager
def worker(home: Path, kinds: bool = False, **settings: Any) -> Iterator[WorkerProcess]:
    """A worker that does not outlive the block."""
    found = WorkerProcess(home, kinds, **settings)
    try:
        yield found
    finally:
        found.process.send_signal(signal.SIGCONT)
        found.process.kill()
        found.process.wait(10)


def until(condition: Callable[[], Any], seconds: float = 60, every: float = 0.1) -> Any:
    """What `condition` says as soon as it says something; fails after `seconds`."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "this never came"
        time.sleep(every)
    return found


def job_of(id: str) -> Job:
    """The row of a job as it is now."""
    with database.reading() as session:
        return session.get(Job, id)


def ended(*ids: str, seconds: float = 90) -> list[Job]:
    """The rows of these jobs once all are over."""

    def over() -> list[Job] | None:
        with database.reading() as session:
            rows = {job.id: job for job in session.scalars(select(Job).where(Job.id.in_(ids)))}
        return (
            [rows[id] for id in ids] if all(job.state not in ("queued", "running") for job in rows.values()) else None
        )

    return until(over, seconds)


def dataset_of(owner_id: str, path: Path) -> str:
    """Id of a dataset made of the file at `path`, as an upload would."""
    from vur.stages.upload.files import UploadOptions
    from vur.store.data import datasets, sources
    from vur.store.runs import file_fingerprint

    digest = file_fingerprint(path)
    target = sources.read(path, digest, UploadOptions(), path.name)
    found = replace(sources.read_head(target)[0], fingerprint=digest)
    sources.keep(path, digest, found)
    with database.writing() as session:
        return datasets.add(
            session,
            owner_id,
            found,
            folder_name=target.name,
            filename=path.name,
            name=path.stem,
            description="",
            size=path.stat().st_size,
            options=UploadOptions(),
        ).id


def model_of(owner_id: str, dataset_id: str | None, **sections: Any) -> str:
    """Id of a configured model that takes seconds to train; `sections` go over its configuration.

    Without a dataset it gets one without files.
    """
    from vur.runs.config import default_config, replace_sections

    quick = {"algorithms": ["naive", "seasonal_naive"], "ensemble": False}
    config = replace_sections(default_config(), model=quick, split={"horizon": 7, "folds": 2})
    config = replace_sections(config, **sections)
    with database.writing() as session:
        if dataset_id is None:
            dataset_id = new_id()
            session.add(
                Dataset(
                    id=dataset_id,
                    owner_id=owner_id,
                    name="nothing",
                    filename="nothing.csv",
                    size_bytes=0,
                    fingerprint="0" * 64,
                    rows=0,
                    head={},
                )
            )
            session.flush()
        model = Model(
            id=new_id(),
            owner_id=owner_id,
            name="Partidas",
            algorithm="auto",
            dataset_id=dataset_id,
            family=new_id(),
            config=config.to_dict(),
        )
        session.add(model)
    return model.id
