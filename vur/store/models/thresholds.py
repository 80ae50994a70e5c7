"""The thresholds of alerts about models: usual ones, those of a user for all models, and those of one model."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.store.catalog import AlertThreshold, Model


@dataclass(frozen=True)
class Kind:
    """A kind of threshold: its usual value (None is off), its unit, and the values that make sense."""

    usual: float | None
    unit: str
    low: float
    high: float


KINDS: dict[str, Kind] = {
    "error": Kind(1.5, "times", 1.01, 100.0),  # live error over that of the folds
    "skill": Kind(0.0, "percent", -1000.0, 99.0),  # live skill against the naive forecast
    "coverage": Kind(5.0, "points", 1.0, 99.0),  # an interval's coverage below its level
    "inputs": Kind(0.25, "psi", 0.05, 10.0),  # population stability index of a column
    "age": Kind(None, "days", 1.0, 10_000.0),  # since the training
    "silence": Kind(None, "hours", 0.02, 10_000.0),  # of a source that continuous predictions follow
}
Values = Mapping[str, float | None]
USUAL: Values = {name: kind.usual for name, kind in KINDS.items()}
ALL = ""  # in place of a model's id: the user's thresholds for all models


def of_user(session: Session, owner_id: str) -> dict[str, float | None]:
    """The thresholds that a user chose for all models; only the chosen ones."""
    return _chosen(session, owner_id, [ALL]).get(ALL, {})


def of_models(session: Session, models: Collection[Model]) -> dict[str, dict[str, float | None]]:
    """The thresholds that count for each model, by its id: its own, else its owner's, else the usual ones."""
    found: dict[str, dict[str, float | None]] = {}
    for owner in {model.owner_id for model in models}:
        ids = [model.id for model in models if model.owner_id == owner]
        chosen = _chosen(session, owner, [ALL, *ids])
        found |= {id: {**USUAL, **chosen.get(ALL, {}), **chosen.get(id, {})} for id in ids}
    return found


def of_model(session: Session, model: Model) -> dict[str, float | None]:
    """The thresholds that count for one model."""
    return of_models(session, [model])[model.id]


def sources(session: Session, owner_id: str, model_id: str = ALL) -> dict[str, str]:
    """Where the threshold of each kind comes from: `usual`, `user` or `model`."""
    chosen = _chosen(session, owner_id, [ALL, model_id])
    own, general = chosen.get(model_id, {}) if model_id else {}, chosen.get(ALL, {})
    return {kind: "model" if kind in own else "user" if kind in general else "usual" for kind in KINDS}


def _chosen(session: Session, owner_id: str, ids: Collection[str]) -> dict[str, dict[str, float | None]]:
    found: dict[str, dict[str, float | None]] = {}
    rows = select(AlertThreshold).where(AlertThreshold.owner_id == owner_id, AlertThreshold.model_id.in_(list(ids)))
    for row in session.scalars(rows):
        if row.kind in KINDS:
            found.setdefault(row.model_id, {})[row.kind] = row.value
    return found


def put(session: Session, owner_id: str, values: Values, model_id: str = ALL) -> None:
    """Set the thresholds in `values` (None turns a kind off) for all models of a user, or for one of them.

    `VurError` thresholds.unknown for another kind, thresholds.range for a value that makes no sense.
    """
    for kind, value in values.items():
        if kind not in KINDS:
            raise VurError("thresholds.unknown", field="values", name=kind, known=", ".join(KINDS))
        low, high = KINDS[kind].low, KINDS[kind].high
        if value is not None and not low <= value <= high:
            raise VurError("thresholds.range", field=kind, name=kind, value=value, low=low, high=high)
    mine = (AlertThreshold.owner_id == owner_id, AlertThreshold.model_id == model_id)
    rows = {row.kind: row for row in session.scalars(select(AlertThreshold).where(*mine))}
    for kind, value in values.items():
        if kind in rows:
            rows[kind].value = value
        else:
            session.add(AlertThreshold(owner_id=owner_id, model_id=model_id, kind=kind, value=value))
    session.flush()


def reset(session: Session, owner_id: str, kinds: Collection[str], model_id: str = ALL) -> None:
    """Forget the thresholds of `kinds`, so that those above them count again; `VurError` thresholds.unknown."""
    for kind in kinds:
        if kind not in KINDS:
            raise VurError("thresholds.unknown", field="kind", name=kind, known=", ".join(KINDS))
    mine = (AlertThreshold.owner_id == owner_id, AlertThreshold.model_id == model_id)
    session.execute(delete(AlertThreshold).where(*mine, AlertThreshold.kind.in_(list(kinds))))
