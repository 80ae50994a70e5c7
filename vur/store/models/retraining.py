"""Should a model be retrained: yes, no, or not enough evidence, from what happened since its training.

What counts, in this order: forecasts compared with what came (error, skill, coverage); an age that the user set; and,
only while too few forecasts can be compared, what suggests trouble: inputs that moved, or much new data.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from vur.store.accounts.access import Principal
from vur.store.catalog import Model, now
from vur.store.forecasts.scoring import BELOW, ENOUGH
from vur.store.models import inputs
from vur.store.models.thresholds import USUAL, Values

YES, NO, UNKNOWN = "yes", "no", "not_enough"
HARDER = 0.05  # skill that a model may lose before growing errors count as its own, not as a harder time
BEYOND = 1.25  # factor of the usual index of a column, above which it has moved
MANY_UNSEEN = 0.05  # share of new values with a text that the training never had
MUCH_NEW = 0.2  # new rows, as a share of those of the training
RECENT = timedelta(days=90)  # the forecasts that are compared
ANYBODY = Principal("", "admin")  # a model is judged by the forecasts of all its users, whoever asks


@dataclass(frozen=True)
class Reason:
    """A piece of evidence: its `code`, whether it speaks `for` or `against` retraining or is a `note`, its numbers."""

    code: str
    speaks: str
    values: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The reason as plain data."""
        return {"code": self.code, "speaks": self.speaks, "values": self.values}


@dataclass(frozen=True)
class Verdict:
    """Whether to retrain (`yes`, `no`, `not_enough`), and why, the weightiest reason first."""

    retrain: str
    reasons: tuple[Reason, ...]


def judge(evidence: Mapping[str, Any], thresholds: Values = USUAL) -> Verdict:
    """The verdict on `evidence`, which `collect` gives, by the thresholds that the user set."""
    compared = _comparisons(evidence, thresholds)
    age = _age(evidence, thresholds)
    suggests = [*_inputs(evidence, thresholds), *_new_data(evidence)]
    judged = enough(evidence)
    wanted = [reason for reason in (*compared, *age) if reason.speaks == "for"]
    if wanted:
        return Verdict(YES, (*wanted, *suggests))
    if judged:
        good = [_holds(evidence), *(reason for reason in compared if reason.speaks != "for")]
        return Verdict(NO, (*good, *(Reason(one.code, "note", one.values) for one in suggests)))
    few = Reason("few", "note", {"points": (evidence.get("live") or {}).get("n", 0), "needed": ENOUGH})
    if any(reason.speaks == "for" for reason in suggests):
        return Verdict(YES, (*suggests, few))
    return Verdict(UNKNOWN, (few, *suggests))


def enough(evidence: Mapping[str, Any]) -> bool:
    """Whether enough forecasts have been compared with what came."""
    return (evidence.get("live") or {}).get("n", 0) >= ENOUGH


def _comparisons(evidence: Mapping[str, Any], thresholds: Values) -> list[Reason]:
    """What the comparison of forecasts with actual values says; nothing while there are too few."""
    live, training = evidence.get("live") or {}, evidence.get("training") or {}
    if not enough(evidence):
        return []
    found = [*_skill(live, training, thresholds), *_error(live, training, thresholds), *_coverage(live, thresholds)]
    return sorted(found, key=lambda reason: reason.speaks != "for")


def _skill(live: Mapping[str, Any], training: Mapping[str, Any], thresholds: Values) -> list[Reason]:
    """Whether the model is still better than the naive forecast, if the naive one is known for enough values."""
    limit, present = thresholds.get("skill"), live.get("skill")
    if limit is None or present is None or live.get("naive_points", 0) < ENOUGH or present >= limit / 100:
        return []
    values = {"skill": present, "limit": limit, "points": live["naive_points"]}
    before = training.get("skill")
    if before is not None and before <= present:  # it never was better; training again gives the same
        return [Reason("never_skilled", "note", values | {"before": before})]
    return [Reason("skill", "for", values)]


def _error(live: Mapping[str, Any], training: Mapping[str, Any], thresholds: Values) -> list[Reason]:
    limit, promised, present = thresholds.get("error"), training.get("mae"), live.get("mae")
    if limit is None or not promised or present is None or present / promised < limit:
        return []
    values = {"ratio": round(present / promised, 3), "limit": limit, "points": live["n"]}
    skill, before = live.get("skill"), training.get("skill")
    if skill is not None and before is not None and live["naive_points"] >= ENOUGH and skill >= before - HARDER:
        return [Reason("harder", "against", values | {"skill": skill, "before": before})]  # so did the naive forecast
    return [Reason("error", "for", values)]


def _coverage(live: Mapping[str, Any], thresholds: Values) -> list[Reason]:
    """Intervals that miss too often: below their level by the threshold, and by more than chance allows."""
    limit = thresholds.get("coverage")
    if limit is None:
        return []
    short = [
        Reason("coverage", "for", {"level": level, "held": held, "limit": limit, "points": live["n"]})
        for level, held in (live.get("coverage") or {}).items()
        if held is not None and held < float(level) - limit and held / 100 < _by_chance(float(level) / 100, live)
    ]
    return sorted(short, key=lambda reason: reason.values["held"] - float(reason.values["level"]))[:1]


def _by_chance(share: float, live: Mapping[str, Any]) -> float:
    """The least coverage that chance explains; steps of one forecast count once, because their errors go together."""
    return float(share - BELOW * np.sqrt(share * (1 - share) / max(live.get("paths", 1), 1)))


def _holds(evidence: Mapping[str, Any]) -> Reason:
    """That the live accuracy holds what the training promised."""
    live, training = evidence["live"], evidence.get("training") or {}
    ratio = live["mae"] / training["mae"] if live.get("mae") is not None and training.get("mae") else None
    if live.get("skill") is not None and live.get("naive_points", 0) >= ENOUGH:
        return Reason("holds_skill", "against", {"skill": live["skill"], "points": live["n"]})
    if ratio is not None:
        return Reason("holds", "against", {"ratio": round(ratio, 3), "points": live["n"]})
    return Reason("holds_unknown", "note", {"points": live["n"]})


def _age(evidence: Mapping[str, Any], thresholds: Values) -> list[Reason]:
    limit, days = thresholds.get("age"), evidence.get("age_days")
    return (
        [] if limit is None or days is None or days < limit else [Reason("age", "for", {"days": days, "limit": limit})]
    )


def _inputs(evidence: Mapping[str, Any], thresholds: Values) -> list[Reason]:
    """Columns whose new values do not look like those of the training."""
    moved = moved_columns((evidence.get("inputs") or {}).get("columns") or (), thresholds.get("inputs"))
    if not moved:
        return []
    return [Reason("inputs", "for", {"columns": moved, "count": len(moved)})]


def moved_columns(columns: Collection[Mapping[str, Any]], limit: float | None) -> list[str]:
    """Names of the columns that have moved, the furthest first; none if the threshold is off."""
    if limit is None:
        return []
    index = {
        one["name"]: one["psi"] for one in columns if "psi" in one and one["psi"] >= max(limit, one["usual"] * BEYOND)
    }
    index |= {one["name"]: one["unseen"] for one in columns if one.get("unseen", 0) >= MANY_UNSEEN}
    return sorted(index, key=lambda name: -index[name])


def _new_data(evidence: Mapping[str, Any]) -> list[Reason]:
    """How much data came after the training."""
    found = evidence.get("inputs") or {}
    rows, trained = found.get("rows"), found.get("trained_rows")
    if not rows or not trained:
        used, newest = evidence.get("dataset_number"), evidence.get("newest_dataset_number")
        newer = used is not None and newest is not None and newest > used and rows != 0
        return [Reason("newer", "note", {"trained": used, "newest": newest})] if newer else []
    share = rows / trained
    values = {"rows": rows, "percent": round(100 * share, 1)}
    return [Reason("data", "for" if share >= MUCH_NEW else "note", values)]


# --- collecting the evidence ---


def collect(
    session: Session, model: Model, live: dict[str, Any] | None, newest: int | None, *, compute: bool = False
) -> dict[str, Any]:
    """The evidence about `model`: `live, training, inputs, age_days, dataset_number, newest_dataset_number`.

    `live` is its accuracy on recent forecasts of anybody, `newest` the number of its dataset's newest version.
    The drift of its inputs is read from an earlier comparison, and computed only with `compute`.
    """
    metrics = model.metrics or {}
    coverage = {
        name.removeprefix("coverage-"): value for name, value in metrics.items() if name.startswith("coverage-")
    }
    versions = inputs.versions_of(session, model)
    found = None
    if versions is not None:
        found = inputs.comparison(versions) if compute else inputs.known_comparison(versions)
    days = None if model.trained_at is None else round((now() - model.trained_at).total_seconds() / 86_400, 3)
    return {
        "live": live,
        "training": {name: metrics.get(name) for name in ("mae", "mase", "skill", "smape")} | {"coverage": coverage},
        "inputs": found,
        "age_days": days,
        "dataset_number": model.dataset_number,
        "newest_dataset_number": newest,
    }
