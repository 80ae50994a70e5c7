"""The registry of trained models: catalog rows for the files of the model store, adoption, results, deletion."""

import hashlib
import json
from pathlib import Path
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.store.accounts.access import Principal
from vur.store.catalog import AlertThreshold, Alias, Job, Model, Run, Share, now
from vur.store.home import home
from vur.store.models.models import CHECKSUMS, list_models, model_folder

BUSY = ("queued", "running")
FACTS = ("series", "horizon", "freq", "levels", "fingerprint", "vur", "versions")


def checksum(folder: Path) -> str:
    """SHA-256 of a stored model's list of checksums, and so of all its files."""
    return hashlib.sha256((folder / CHECKSUMS).read_bytes()).hexdigest()


def run_folder(session: Session, model: Model) -> Path:
    """The folder with the results of the model's run; `VurError` models.no_results if it no longer exists."""
    row = (
        session.scalar(select(Run).where(Run.model_id == model.id, Run.run_id == model.run_id))
        if model.run_id
        else None
    )
    folder = home() / row.folder if row else None
    if folder is None or not folder.is_dir():
        raise VurError("models.no_results", id=model.id, status=model.status)
    return folder


def has_champion_alias(session: Session, model: Model) -> bool:
    """Whether any alias `champion` points to the model, whoever owns it; see also `champions.is_champion`."""
    return session.scalar(select(Alias.id).where(Alias.model_id == model.id, Alias.name == "champion")) is not None


def with_champion_alias(session: Session, ids: list[str]) -> set[str]:
    """Those of `ids` to which an alias `champion` points."""
    return set(session.scalars(select(Alias.model_id).where(Alias.model_id.in_(ids), Alias.name == "champion")))


def active_job(session: Session, model_id: str) -> Job | None:
    """The queued or running job of a model, or None."""
    return session.scalar(select(Job).where(Job.model_id == model_id, Job.state.in_(BUSY)))


def adopt(session: Session, tag: str, owner_id: str) -> Model:
    """Add a catalog row for a model that `vur run` saved in this data home without the service.

    The results of its run stay in the folder that the user chose. `VurError` store.no_model if there is no such model,
    store.tampered if its files were changed.
    """
    from vur.scoring.metrics import METRICS

    known = session.scalar(select(Model).where(Model.tag == tag))
    if known is not None:
        return known
    folder = model_folder(tag)
    table = list_models()
    entry = table[table["tag"] == tag].iloc[0]
    metadata = stored_metadata(tag)
    model = Model(
        owner_id=owner_id,
        name=entry["name"],
        algorithm=str(metadata.get("algorithm")),
        status="trained",
        family=entry["name"],
        tag=tag,
        checksum=checksum(folder),
        run_id=metadata.get("run"),
        trained_at=now(),
        saved=True,
        metrics={name: metadata[name] for name in (*METRICS, "skill", "wql") if metadata.get(name) is not None},
        facts={name: metadata[name] for name in FACTS if name in metadata},
    )
    session.add(model)
    session.flush()
    return model


def stored_metadata(tag: str) -> dict[str, Any]:
    """The metadata of a stored model as plain JSON values."""
    from vur.store.models.models import find_model

    content: dict[str, Any] = json.loads(json.dumps(dict(find_model(tag).info.metadata), default=str))
    return content


def unadopted(session: Session) -> list[str]:
    """Tags of the model store without a row in the catalog, newest first."""
    known = set(session.scalars(select(Model.tag).where(Model.tag.is_not(None))))
    return [tag for tag in list_models()["tag"] if tag not in known]


def remove(session: Session, model: Model, who: Principal) -> str | None:
    """Delete a model's row; returns the tag whose files the caller deletes after the transaction, or None.

    `VurError` api.running during its training, models.champion if an alias points to it and its family has other
    trained models: promote one of them first.
    """
    if active_job(session, model.id) is not None:
        raise VurError("api.running", kind="model", id=model.id)
    aliases = list(session.scalars(select(Alias).where(Alias.model_id == model.id)))
    others = session.scalar(
        select(Model.id).where(
            Model.family == model.family, Model.owner_id == model.owner_id, Model.id != model.id, Model.tag.is_not(None)
        )
    )
    if aliases and others is not None:
        raise VurError("models.champion", id=model.id, other=others)
    for alias in aliases:
        session.delete(alias)
    session.execute(delete(Share).where(Share.kind == "model", Share.object_id == model.id))
    session.execute(delete(AlertThreshold).where(AlertThreshold.model_id == model.id))
    tag = model.tag
    session.delete(model)
    session.flush()
    shared = tag and session.scalar(select(Model.id).where(Model.tag == tag))
    return None if shared else tag
