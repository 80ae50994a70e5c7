"""Write tennessee_eastman.csv: 300 hours of the Tennessee Eastman process whose operators move set points at random.

Needs the package tep-studio (BSD-3), best in an environment of its own: `pip install tep-studio`, then
`python data/make_tennessee_eastman.py`. Takes about two minutes.
"""

import dataclasses
import sys
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

HOURS, EVERY, BLOCK = 300.0, 0.1, 0.25  # hours: the length, between rows, between possible changes
HOLD = 4.0  # hours for which a set point stays, on average
SPANS = {
    "reactor_level": (-4, 4),
    "reactor_pressure": (-40, 20),
    "reactor_temperature": (-1, 1),
    "separator_level": (-8, 8),
    "stripper_level": (-8, 8),
    "pct_g": (-4, 4),
    "production_rate": (-1.2, 1.2),
}
# Disturbances of Downs & Vogel (1993): temperatures of the D feed and of the cooling waters
DISTURBANCES = {"d_feed_temperature": 3, "reactor_water_temperature": 4, "condenser_water_temperature": 5}
OUTPUTS = {
    "product_flow": "stripper_underflow",
    "product_g": "stripper_underflow_G_concentration",
    "reactor_level_measured": "reactor_level",
    "reactor_water_valve": "reactor_cooling_water_valve",
}


def steps(rng: np.random.Generator, low: float, high: float) -> np.ndarray:
    """A value for each block, held for a random time."""
    out: list[float] = []
    while len(out) * BLOCK <= HOURS + BLOCK:
        out += [rng.uniform(low, high)] * max(int(rng.exponential(HOLD) / BLOCK), 2)
    return np.array(out)


def main() -> None:
    """Simulate and write the file beside this script."""
    import tep_studio as tep

    rng = np.random.default_rng(0)
    run = tep.ClosedLoopSimulation(horizon=HOURS)
    measured, _ = run.sim.reset(mode="mode1", seed=1)
    run.controller.reset(measured, time=0)
    base = run.controller.setpoints
    points = {name: getattr(base, name) + steps(rng, *span) for name, span in SPANS.items()}
    disturbed = {name: steps(rng, 0, 1) for name in DISTURBANCES}

    def setpoints(time: float) -> tep.ControllerSetpoints:
        return dataclasses.replace(base, **{name: float(one[int(time / BLOCK)]) for name, one in points.items()})

    def disturbances(time: float) -> np.ndarray:
        levels = np.zeros(28)
        for name, number in DISTURBANCES.items():
            levels[number - 1] = disturbed[name][int(time / BLOCK)]
        return levels

    done = run.run(seed=1, setpoint_schedule=setpoints, disturbance_schedule=disturbances, record_every=200)
    if done.terminated:
        sys.exit("the plant shut down: nothing written")
    names = [one[0] for one in tep.list_measurements()] + [one[0] for one in tep.list_manipulated_variables()]
    lines = [",".join(["time", *(f"set_{name}" for name in points), *disturbed, *OUTPUTS])]
    for number, step in enumerate(done.results):
        block = int(number * EVERY / BLOCK)
        values = dict(zip(names, [*step.measurements, *step.implemented_action], strict=True))
        inputs = [one[block] for one in (*points.values(), *disturbed.values())]
        stamp = datetime(2026, 1, 1) + timedelta(hours=number * EVERY)
        numbers = [f"{value:.6g}" for value in (*inputs, *(values[name] for name in OUTPUTS.values()))]
        lines.append(",".join([f"{stamp:%Y-%m-%d %H:%M}", *numbers]))
    Path(__file__).with_name("tennessee_eastman.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
