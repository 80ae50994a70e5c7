"""Local fits on a Dask cluster of real processes: the same numbers as here, and clear errors."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from builders import panel_of, seasonal
from samples import ROOT

from vur.errors import VurError
from vur.forecasters import parallel
from vur.forecasters.base import create
from vur.forecasters.parallel import Stopped, map_series

pytestmark = pytest.mark.slow
CLUSTER = """
import sys
from distributed import LocalCluster

if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a cluster of two workers in processes of their own."""
    script = tmp_path_factory.mktemp("cluster") / "cluster.py"
    script.write_text(CLUSTER)
    process = subprocess.Popen(
        [sys.executable, script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, [Path(__file__).parent, ROOT / "tests", ROOT]))},
    )
    address = process.stdout.readline().strip()
    yield address
    if (client := parallel._clients.pop((os.getpid(), address), None)) is not None:
        client.close(1)
    process.stdin.close()
    process.wait(30)


@pytest.fixture
def cluster(scheduler: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The same, chosen for this test."""
    monkeypatch.setenv("VUR_DASK", scheduler)
    return scheduler


def where(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def fall(number: int) -> int:
    time.sleep(0.05)
    if number == 60:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == -1:
        raise ValueError("minus one")
    return number


def test_forecasts_from_the_cluster_are_those_of_this_machine(cluster, monkeypatch):
    monkeypatch.setattr(parallel, "in_workers", lambda each, count, workers: workers > 1)
    rng, forecasts = np.random.default_rng(7), {}
    panel = panel_of({f"s{k}": seasonal(120, 7, level=50, swing=10, noise=3, seed=rng) for k in range(12)})
    for place in ("far", "here"):
        if place == "here":
            monkeypatch.delenv("VUR_DASK")
        seen = []
        model = create("theta")
        model.progress = lambda done, total, seen=seen: seen.append((done, total))
        forecasts[place] = model.fit(panel).predict(7)
        assert seen[-1] == (12, 12) and [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert (os.getpid(), cluster) in parallel._clients, "the cluster did the work"
    pd.testing.assert_frame_equal(forecasts["far"], forecasts["here"], check_exact=True)


def test_the_work_is_done_on_both_workers_and_can_be_stopped(cluster):
    seen = []
    pids = set(map_series(where, [0.03] * 150, workers=1, progress=lambda done, total: seen.append(done)))
    assert len(pids) == 3 and os.getpid() in pids and seen[-1] == 150, "the first tasks run here and are timed"
    started = time.monotonic()
    with pytest.raises(Stopped):
        map_series(where, [0.1] * 2000, stop=lambda: time.monotonic() - started > 2)
    assert time.monotonic() - started < 20
    assert map_series(where, [0.001] * 20) == [os.getpid()] * 20, "little work stays here"


def test_workers_with_other_libraries_get_no_work(cluster, monkeypatch):
    monkeypatch.setattr(parallel, "_checked", set())
    client, mine = parallel._client(cluster), parallel.what_computes()
    monkeypatch.setattr(parallel, "what_computes", lambda: mine | {"numpy": "0.9"})
    monkeypatch.setattr(
        client, "run", lambda function, workers: {worker: mine | {"numpy": "1.0"} for worker in workers}
    )
    with pytest.raises(VurError) as refused:
        map_series(where, [0.03] * 150)
    assert refused.value.code == "forecasters.cluster_versions" and "numpy 1.0 ≠ 0.9" in refused.value.text("pt-BR")


def test_an_unreachable_cluster_is_an_error(monkeypatch):
    monkeypatch.setenv("VUR_DASK", "tcp://127.0.0.1:9")
    monkeypatch.setattr(parallel, "CONNECT_SECONDS", 1)
    with pytest.raises(VurError) as away:
        map_series(where, [0.03] * 150)
    assert away.value.code == "forecasters.cluster_away"


def test_a_lost_worker_and_an_exception_raise_as_in_the_local_pool(cluster):
    with pytest.raises(VurError) as lost:
        map_series(fall, range(200))
    assert lost.value.code == "forecasters.worker_died"
    with pytest.raises(ValueError, match="minus one"):
        map_series(fall, [0] * 100 + [-1] + [0] * 100)
