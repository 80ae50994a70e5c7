"""The job kind `test`, which does what its parameters say."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def work(job, tell):
    """`ticks` steps of 0.1 s; `start` starts a process in a session of its own, `die` and `eat` crash."""
    asked = job.params
    if log := asked.get("log"):
        with Path(log).open("a") as file:
            file.write(f"begin {job.id} {job.attempt} {os.getpid()} {time.time()}\n")
    if asked.get("start"):
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    ticks = asked.get("ticks", 3)
    for tick in range(ticks):
        tell(
            tick / ticks,
            "training",
            "networks.progress.epoch_only",
            epoch=tick + 1,
            epochs=ticks,
            loss=1 / (tick + 1),
            algorithm="lstm",
            best={"algorithm": "naive", "metric": "MASE", "value": 1.0},
        )
        time.sleep(0.1)
    if asked.get("die"):
        os.kill(os.getpid(), signal.SIGSEGV)
    if asked.get("eat"):
        eaten = b"x" * (asked["eat"] * 2**20)
        time.sleep(60)
        return {"size": len(eaten)}
    if asked.get("print"):
        for _ in range(asked["print"]):
            print("x" * 1023)
    if asked.get("refuse"):
        raise ValueError(asked["refuse"])
    if log:
        with Path(log).open("a") as file:
            file.write(f"end {job.id} {job.attempt} {os.getpid()} {time.time()}\n")
    return {"ticks": ticks, "nothing": float("nan")}
