"""Datasets in the catalog: their versions and files, their owners' quotas, and their deletion."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Select, func, or_, select, update
from sqlalchemy import delete as sql_delete
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.settings import settings
from vur.stages.upload import Upload as UploadResult
from vur.stages.upload.files import UploadOptions
from vur.store import database
from vur.store.accounts.access import Principal, fetch
from vur.store.catalog import (
    Alert,
    Dataset,
    DatasetVersion,
    Job,
    MachineTraining,
    Model,
    Pipeline,
    Share,
    Upload,
    User,
    new_id,
    now,
)
from vur.store.data import sources
from vur.store.events import raise_alert, record_activity
from vur.store.home import folder

BUSY = ("queued", "running")
RECEIVING = ("receiving", "converting")
COLUMN_KEYS = ("date", "target", "series", "features", "exclude", "roles", "trust")
LINKED: dict[str, type[Model] | type[Pipeline]] = {"models": Model, "pipelines": Pipeline}
MANY_REJECTS = 0.01  # the share of rejected rows that raises an alert
UNNEEDED_AFTER = timedelta(hours=1)


# --- reading ---


def version_of(session: Session, dataset: Dataset, number: int | None = None) -> DatasetVersion:
    """Version `number` of a dataset, by default the current one; `VurError` datasets.no_version if there is none."""
    number = dataset.number if number is None else number
    found = session.scalar(
        select(DatasetVersion).where(DatasetVersion.dataset_id == dataset.id, DatasetVersion.number == number)
    )
    if found is None:
        known = session.scalars(
            select(DatasetVersion.number).where(DatasetVersion.dataset_id == dataset.id).order_by(DatasetVersion.number)
        )
        raise VurError("datasets.no_version", number=number, known=", ".join(map(str, known)) or "-")
    return found


def source_path(session: Session, dataset: Dataset, number: int | None = None) -> Path:
    """The original file of a version, which a run reads: for version 1 as it was uploaded, for prepared ones Parquet.

    `VurError` datasets.gone if it is missing.
    """
    version = version_of(session, dataset, number)
    path = sources.original(version.fingerprint)
    if path is None:
        raise VurError("datasets.gone", id=dataset.id, number=version.number)
    return path


def parquet_path(session: Session, dataset: Dataset, number: int | None = None) -> Path:
    """The Parquet table of a version; `VurError` datasets.gone if it is missing."""
    version = version_of(session, dataset, number)
    path = folder("datasets", version.folder) / sources.TABLE
    if not path.is_file():
        raise VurError("datasets.gone", id=dataset.id, number=version.number)
    return path


def data_spec(session: Session, dataset: Dataset, number: int | None = None) -> dict[str, Any]:
    """The `data` section of a run's `Config` for the columns that the user chose, without the path."""
    version = version_of(session, dataset, number)
    chosen = chosen_columns(dataset)
    return {
        "fingerprint": version.fingerprint,
        "date": chosen.get("date"),
        "target": chosen.get("target"),
        "series": chosen.get("series"),
        "freq": chosen.get("freq"),
        "tz": chosen.get("tz"),
        "duplicates": chosen.get("duplicates") or "refuse",
        "absent": chosen.get("absent") or "auto",
        "ended": chosen.get("ended") or "auto",
        "trust": chosen.get("trust") or [],
        "roles": roles_of(dataset),
        "upload": dict(version.recipe.get("options", {})),
    }


def chosen_columns(dataset: Dataset) -> dict[str, Any]:
    """The user's choices without columns that the current version lacks; they return with a version that has them."""
    names = set(column_names(dataset))
    stored = dataset.config.get("columns", {})
    return {key: _existing(value, names) if key in COLUMN_KEYS else value for key, value in stored.items()}


def roles_of(dataset: Dataset) -> dict[str, str]:
    """The column roles that the user chose; columns that are not among the chosen features get `exclude`."""
    chosen = chosen_columns(dataset)
    roles = dict.fromkeys(chosen.get("exclude") or (), "exclude")
    if chosen.get("features") is not None:
        suggested = dataset.head["suggestions"]
        series = suggested["series"] if chosen.get("series") is None else chosen["series"]
        kept = {
            chosen.get("date") or suggested["date"],
            chosen.get("target") or suggested["target"],
            *series,
            *chosen["features"],
        }
        roles |= {column["name"]: "exclude" for column in dataset.head["columns"] if column["name"] not in kept}
    return roles | (chosen.get("roles") or {})


def sections(dataset: Dataset) -> dict[str, dict[str, Any]]:
    """The user's choices as sections of a run's `Config`: `split, preprocess, features`; empty without a choice."""
    return {
        "split": dict(dataset.split),
        **{name: dict(dataset.config.get(name) or {}) for name in ("preprocess", "features")},
    }


def column_names(dataset: Dataset) -> list[str]:
    """The column names of the current version."""
    return [column["name"] for column in dataset.head["columns"]]


# --- quotas ---


@dataclass(frozen=True)
class Usage:
    """A user's storage: `total_bytes` includes tables, unfinished uploads and `deleted_bytes` of deleted datasets.

    `quota_bytes` is None without a limit.
    """

    datasets: int
    rows: int
    total_bytes: int
    quota_bytes: int | None
    uploads: int
    last_upload_at: datetime | None
    updates_this_week: int
    deleted: int = 0
    deleted_bytes: int = 0

    @property
    def left(self) -> int | None:
        """The bytes left in the quota; None without a limit."""
        return None if self.quota_bytes is None else max(self.quota_bytes - self.total_bytes, 0)


def usage(session: Session, user_id: str, but: str | None = None) -> Usage:
    """A user's storage without the upload with id `but`."""
    own, there = Dataset.owner_id == user_id, Dataset.deleted_at.is_(None)
    rows, last = session.execute(
        select(func.coalesce(func.sum(Dataset.rows), 0), func.max(Dataset.created_at)).where(own, there)
    ).one()
    sizes = {gone: (count, int(size)) for gone, count, size in session.execute(_sizes().where(own))}
    (count, kept), (deleted, waiting) = sizes.get(False, (0, 0)), sizes.get(True, (0, 0))
    coming = session.execute(
        select(Upload.size_bytes, Upload.received).where(
            Upload.owner_id == user_id, Upload.state.in_(RECEIVING), Upload.id != (but or "")
        )
    ).all()
    recent = session.scalar(
        select(func.count(DatasetVersion.dataset_id.distinct()))
        .select_from(DatasetVersion)
        .join(Dataset, Dataset.id == DatasetVersion.dataset_id)
        .where(own, there, DatasetVersion.created_at >= now() - timedelta(days=7))
    )
    return Usage(
        count,
        int(rows),
        kept + waiting + sum(max(size or 0, got) for size, got in coming),
        quota_of(session, user_id),
        len(coming),
        last,
        recent or 0,
        deleted,
        waiting,
    )


def _sizes() -> Select[bool, int, int]:
    """The number and the bytes of datasets, by whether they are deleted."""
    gone = Dataset.deleted_at.is_not(None)
    return select(gone, func.count(), func.coalesce(func.sum(stored_bytes()), 0)).group_by(gone)


def stored_bytes() -> ColumnElement[int]:
    """The bytes of a dataset as its owner's quota counts them: the uploaded file and the tables of all versions."""
    tables = select(func.coalesce(func.sum(DatasetVersion.size_bytes), 0)).where(
        DatasetVersion.dataset_id == Dataset.id
    )
    return Dataset.size_bytes + tables.correlate(Dataset).scalar_subquery()


def quota_of(session: Session, user_id: str) -> int | None:
    """A user's quota in bytes: their own, else that of the settings; None without a limit."""
    own = session.scalar(select(User.quota_bytes).where(User.id == user_id))
    return (settings().quota_bytes if own is None else own) or None


def check_quota(session: Session, user_id: str, more: int, but: str | None = None) -> Usage:
    """A user's storage; `VurError` api.quota if `more` bytes exceed the quota.

    The user's row is locked until the transaction ends, so that two uploads cannot both use the last free bytes.
    """
    session.scalar(select(User.id).where(User.id == user_id).with_for_update())
    used = usage(session, user_id, but)
    if used.left is not None and more > used.left:
        raise VurError("api.quota", needed=more, used=used.total_bytes, quota=used.quota_bytes)
    return used


# --- creating, changing, deleting ---


def head_of(found: UploadResult) -> dict[str, Any]:
    """The content of an upload's result that the catalog stores: all but the paths of its files."""
    content = found.to_dict()
    return {name: content[name] for name in ("columns", "suggestions", "rejected", "dialect", "notes")}


def changed_options(options: UploadOptions) -> dict[str, Any]:
    """The options that differ from the defaults: what a run needs to read the file in the same way."""
    usual = asdict(UploadOptions())
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(options).items()
        if value != usual[name] and name != "language"
    }


def add(
    session: Session,
    owner_id: str,
    found: UploadResult,
    *,
    folder_name: str,
    filename: str,
    name: str,
    description: str,
    size: int,
    options: UploadOptions,
    upload_id: str | None = None,
) -> Dataset:
    """Add the catalog rows of a new dataset whose files exist; `VurError` api.quota if they exceed the owner's quota.

    `upload_id` is the upload that became the dataset; its bytes are not counted twice.
    """
    table = sources.size_of(folder("datasets", folder_name))
    check_quota(session, owner_id, size + table, upload_id)
    dataset = Dataset(
        id=new_id(),
        owner_id=owner_id,
        name=name,
        description=description,
        filename=filename,
        size_bytes=size,
        fingerprint=found.fingerprint,
        rows=found.rows,
        head=head_of(found),
        config={},
        split={},
        number=1,
    )
    session.add(dataset)
    session.flush()
    session.add(
        DatasetVersion(
            dataset_id=dataset.id,
            number=1,
            kind="upload",
            fingerprint=found.fingerprint,
            folder=folder_name,
            rows=found.rows,
            size_bytes=table,
            recipe={"options": changed_options(options), "filename": filename},
        )
    )
    about = ("dataset", dataset.id)
    record_activity(session, owner_id, "dataset_uploaded", about=about, name=name, rows=found.rows)
    if found.rejected > MANY_REJECTS * (found.rows + found.rejected):
        raise_alert(session, owner_id, "many_rejects", about=about, name=name, rejected=found.rejected, rows=found.rows)
    return dataset


def grow(
    session: Session,
    dataset_id: str,
    found: UploadResult,
    *,
    folder_name: str,
    filename: str,
    size: int,
    options: UploadOptions,
    user_id: str,
    upload_id: str | None = None,
) -> Dataset:
    """Make an uploaded file the next version of a dataset; the user's choices are kept.

    `VurError` datasets.columns_gone if the file lacks the date, target or a series column.
    """
    dataset = fetch(session, Dataset, dataset_id, Principal(user_id), "edit")
    chosen, suggested = dict(dataset.config.get("columns", {})), dataset.head["suggestions"]
    kept: dict[str, Any] = {
        role: chosen.get(role) if chosen.get(role) is not None else suggested[role]
        for role in ("date", "target", "series")
    }
    names = [column.name for column in found.columns]
    gone = [name for name in (kept["date"], kept["target"], *kept["series"]) if name is not None and name not in names]
    if gone:
        raise VurError("datasets.columns_gone", file=filename, columns=", ".join(gone), known=", ".join(names))
    dataset.config = dataset.config | {"columns": chosen | kept}
    dataset.filename = filename
    version = add_version(
        session,
        dataset,
        found,
        folder_name=folder_name,
        size=size,
        kind="upload",
        recipe={"options": changed_options(options), "filename": filename},
        upload_id=upload_id,
    )
    about = ("dataset", dataset.id)
    record_activity(
        session,
        dataset.owner_id,
        "dataset_grown",
        user_id=user_id,
        about=about,
        name=dataset.name,
        rows=found.rows,
        version=version.number,
    )
    if found.rejected > MANY_REJECTS * (found.rows + found.rejected):
        raise_alert(
            session,
            dataset.owner_id,
            "many_rejects",
            about=about,
            name=dataset.name,
            rejected=found.rejected,
            rows=found.rows,
        )
    return dataset


def last_options(session: Session, dataset_id: str | None) -> dict[str, Any]:
    """The options with which a dataset's uploaded file was read: the current version's, else the newest."""
    uploads = select(DatasetVersion.recipe).where(
        DatasetVersion.dataset_id == dataset_id, DatasetVersion.kind == "upload"
    )
    current = select(Dataset.number).where(Dataset.id == dataset_id).scalar_subquery()
    newest = uploads.order_by((DatasetVersion.number == current).desc(), DatasetVersion.number.desc()).limit(1)
    recipe = session.scalar(newest) if dataset_id else None
    return dict((recipe or {}).get("options", {}))


def add_version(
    session: Session,
    dataset: Dataset,
    found: UploadResult,
    *,
    folder_name: str,
    size: int,
    kind: str,
    recipe: dict[str, Any],
    upload_id: str | None = None,
) -> DatasetVersion:
    """Add a version whose files exist, and make it the current one; `VurError` api.quota as for `add`."""
    size += sources.size_of(folder("datasets", folder_name))
    check_quota(session, dataset.owner_id, size, upload_id)
    last = session.scalar(select(func.max(DatasetVersion.number)).where(DatasetVersion.dataset_id == dataset.id))
    version = DatasetVersion(
        dataset_id=dataset.id,
        number=(last or 0) + 1,
        kind=kind,
        fingerprint=found.fingerprint,
        folder=folder_name,
        rows=found.rows,
        size_bytes=size,
        recipe=recipe,
    )
    session.add(version)
    set_current(dataset, version, head_of(found))
    return version


def set_current(dataset: Dataset, version: DatasetVersion, head: dict[str, Any]) -> None:
    """Make `version` the current one; `head` is the content of its upload's result, see `head_of`."""
    dataset.number, dataset.rows, dataset.fingerprint, dataset.head = (
        version.number,
        version.rows,
        version.fingerprint,
        head,
    )


def _existing(value: Any, names: set[str]) -> Any:
    """A choice of columns without those that are not in `names`."""
    if isinstance(value, dict):
        return {name: role for name, role in value.items() if name in names}
    if isinstance(value, list):
        return [name for name in value if name in names]
    return value if value in names else None


def versions(session: Session, dataset: Dataset) -> list[DatasetVersion]:
    """All versions, the newest first."""
    return list(
        session.scalars(
            select(DatasetVersion).where(DatasetVersion.dataset_id == dataset.id).order_by(DatasetVersion.number.desc())
        )
    )


def active_job(session: Session, dataset_id: str) -> str | None:
    """The id of a queued or running job of the dataset or of one of its models, or None."""
    models = select(Model.id).where(Model.dataset_id == dataset_id)
    return session.scalar(
        select(Job.id).where(or_(Job.dataset_id == dataset_id, Job.model_id.in_(models)), Job.state.in_(BUSY))
    )


def delete(session: Session, dataset: Dataset, who: Principal) -> None:
    """Hide a dataset until it is restored or purged; models and pipelines lose their link to it.

    `VurError` datasets.in_use while a job needs it.
    """
    if (job := active_job(session, dataset.id)) is not None:
        raise VurError("datasets.in_use", id=dataset.id, job=job)
    links = {name: list(session.scalars(select(t.id).where(t.dataset_id == dataset.id))) for name, t in LINKED.items()}
    _link(session, links, dataset.id, None)
    session.execute(sql_delete(Alert).where(Alert.object_kind == "dataset", Alert.object_id == dataset.id))
    dataset.deleted_at, dataset.unlinked = now(), links
    _note(session, dataset, who, "dataset_deleted")


def restore(session: Session, dataset: Dataset, who: Principal) -> None:
    """Show a deleted dataset again, with its shares, and with the links that models and pipelines have not replaced."""
    _link(session, dataset.unlinked or {}, None, dataset.id)
    dataset.deleted_at = dataset.unlinked = None
    _note(session, dataset, who, "dataset_restored")


def purge(session: Session, dataset: Dataset) -> list[str]:
    """Delete the rows of a deleted dataset; returns the fingerprints to `collect` after the transaction."""
    fingerprints = [version.fingerprint for version in versions(session, dataset)]
    session.execute(sql_delete(Share).where(Share.kind == "dataset", Share.object_id == dataset.id))
    session.delete(dataset)
    return fingerprints


def find_deleted(session: Session, id: str, who: Principal) -> Dataset:
    """A deleted dataset of `who`, any one for admins; `VurError` api.not_found for anything else."""
    row = session.scalar(deleted_of(who).where(Dataset.id == id))
    if row is None:
        raise VurError("api.not_found", kind="dataset", id=id)
    return row


def deleted_of(who: Principal) -> Select[Dataset]:
    """The deleted datasets that `who` may restore: their own, all for admins."""
    gone = select(Dataset).where(Dataset.deleted_at.is_not(None))
    return gone if who.is_admin else gone.where(Dataset.owner_id == who.user_id)


def _link(session: Session, links: dict[str, list[str]], old: str | None, new: str | None) -> None:
    """Link the models and pipelines with these ids to the dataset `new`, if they are linked to `old` now."""
    for name, table in LINKED.items():
        same = table.dataset_id.is_(None) if old is None else table.dataset_id == old
        change = update(table).where(table.id.in_(links.get(name, ())), same)
        session.execute(change.values(dataset_id=new, updated_at=table.updated_at))


def _note(session: Session, dataset: Dataset, who: Principal, kind: str) -> None:
    about = ("dataset", dataset.id)
    record_activity(session, dataset.owner_id, kind, user_id=who.user_id, about=about, name=dataset.name)


def collect(fingerprints: Iterable[str]) -> int:
    """Delete the files of those `fingerprints` that no dataset, machine and stored model needs; how many.

    Do not call it inside a transaction.
    """
    deleted = 0
    for fingerprint in set(fingerprints):
        with sources.locked(fingerprint):
            if not is_needed(fingerprint):
                sources.discard(fingerprint)
                deleted += 1
    return deleted


def is_needed(fingerprint: str) -> bool:
    """Whether a version of a dataset, the ranking of a machine or a stored model was created from this file."""
    with database.reading() as session:
        for table in (DatasetVersion, MachineTraining):
            if session.scalar(select(table.id).where(table.fingerprint == fingerprint).limit(1)) is not None:
                return True
    return any(
        fingerprint in path.read_text(encoding="utf-8") for path in folder("bentoml").glob("models/*/*/model.yaml")
    )


def sweep() -> int:
    """Delete originals older than an hour that nothing needs, as a killed process leaves them; how many."""
    before = (now() - UNNEEDED_AFTER).timestamp()
    old = [
        path.name.removeprefix("file-") for path in folder("datasets").glob("file-*") if path.stat().st_mtime < before
    ]
    return collect(old)
