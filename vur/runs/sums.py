"""A run's hierarchy: the panel with its sums, and a training whose forecasts add up."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from vur.panel import Panel
from vur.stages.hierarchy import HierarchySpec, hierarchy
from vur.stages.split import SplitPlan
from vur.stages.totals import add_totals
from vur.stages.training import Training


def hierarchy_choice(given: Any, ends: str | None = None, missing: str | None = None) -> dict[str, Any] | None:
    """What a user said of a hierarchy as keys of `HierarchySpec`: a spec, its keys, or its levels; None says nothing."""
    if isinstance(given, HierarchySpec):
        return asdict(given)
    keys = dict(given) if isinstance(given, dict) else {} if given is None else {"levels": given}
    keys |= {name: value for name, value in (("ends", ends), ("missing", missing)) if value is not None}
    return keys or None


def with_sums(panel: Panel, spec: HierarchySpec) -> Panel:
    """`panel` with a series for each sum that `spec` wants; as it is where none are wanted."""
    return add_totals(panel, hierarchy(panel, spec)) if spec.wanted else panel


def without_sums(panel: Panel, pipeline: Any) -> Panel:
    """The panel's own series; as it is where `pipeline` makes nothing add up."""
    reconciler = getattr(pipeline, "reconciler", None)
    return panel if reconciler is None else panel.with_frame(panel.frame[panel.frame["unique_id"].isin(reconciler.hierarchy.bottom)])


def reconciled(training: Training, own: Panel, panel: Panel, plan: SplitPlan, spec: HierarchySpec, levels: Sequence[float], seed: int) -> Training:
    """`training` with forecasts that add up, where `spec` wants sums; `own` is the panel without them."""
    if not spec.wanted:
        return training
    from vur.stages.reconcile import reconcile_training

    return reconcile_training(training, hierarchy(own, spec), panel, plan, levels=levels, seed=seed)


def counted_once(frame: pd.DataFrame | None, found: Any) -> pd.DataFrame | None:
    """The rows of `frame` that count everything once: the total where there is one. `found` is the hierarchy or None."""
    return frame if frame is None or found is None else frame[frame["unique_id"].isin(found.whole)]
