"""Tables from whose rows a number is predicted, in the catalog: their versions, predictions and deletion."""

from typing import Any

from sqlalchemy import Select, delete, func, select
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.store.accounts.access import Principal, fetch
from vur.store.catalog import Alert, Job, Share, Tabular, TabularPrediction, TabularVersion, now
from vur.store.events import publish, record_activity
from vur.store.webhooks import outbox

ACTIVE = ("queued", "training")
ALERT = "table_failed"


def create(session: Session, who: Principal, name: str, target: str, description: str = "") -> Tabular:
    """Add a table of `who`."""
    table = Tabular(owner_id=who.user_id, name=name, target=target, description=description)
    session.add(table)
    session.flush()
    return table


def find(session: Session, id: str, who: Principal, right: str = "view") -> Tabular:
    """The table `id`, if `who` has the `right` to it; `VurError` api.not_found, api.not_yours."""
    return fetch(session, Tabular, id, who, right)


def version_of(session: Session, table: Tabular, number: int) -> TabularVersion:
    """Version `number` of a table; `VurError` tables.no_version."""
    found = session.scalar(_of(table.id).where(TabularVersion.number == number))
    if found is None:
        raise VurError("tables.no_version", number=number, name=table.name, last=last_number(session, table.id))
    return found


def trained(session: Session, table: Tabular, number: int | None = None) -> TabularVersion:
    """The version that predicts, or version `number`; `VurError` tables.not_trained if it has no model."""
    if number is None and not table.number:
        newest = session.scalar(_of(table.id).limit(1))
        raise VurError("tables.not_trained", name=table.name, state=newest.state if newest else "–")
    found = version_of(session, table, table.number if number is None else number)
    if found.state != "trained":
        raise VurError("tables.not_trained", name=f"{table.name} {found.number}", state=found.state)
    return found


def last_number(session: Session, table_id: str) -> int:
    """The number of the newest version, 0 without any."""
    return session.scalar(select(func.max(TabularVersion.number)).where(TabularVersion.table_id == table_id)) or 0


def active(session: Session, table_id: str) -> TabularVersion | None:
    """The version of a table whose training is not over."""
    return session.scalar(_of(table_id).where(TabularVersion.state.in_(ACTIVE)).limit(1))


def by_job(session: Session, job_id: str) -> tuple[Tabular, TabularVersion] | None:
    """The table and the version that a job trains, locked; None if they were deleted."""
    version = session.scalar(select(TabularVersion).where(TabularVersion.job_id == job_id))
    table = session.get(Tabular, version.table_id, with_for_update=True) if version is not None else None
    return (table, version) if table is not None and version is not None else None


def add_version(session: Session, table_id: str, **values: Any) -> TabularVersion:
    """Add the next version of a table; `VurError` tables.busy while the training of another one is not over."""
    table = session.get(Tabular, table_id, with_for_update=True)
    if table is None:
        raise VurError("api.not_found", kind="table", id=table_id)
    if (busy := active(session, table_id)) is not None:
        raise VurError("tables.busy", name=table.name, number=busy.number)
    version = TabularVersion(table_id=table_id, number=last_number(session, table_id) + 1, **values)
    session.add(version)
    session.flush()
    return version


def move(session: Session, table: Tabular, version: TabularVersion, state: str, **values: Any) -> None:
    """Move a version to another state; a trained one predicts from now on. Live clients are told."""
    version.state = state
    for name, value in values.items():
        setattr(version, name, value)
    if state == "training":
        version.started_at = version.started_at or now()
    if state == "trained":
        version.trained_at, table.number = now(), version.number
    session.flush()
    data = {"table_id": table.id, "number": version.number, "state": state, "name": table.name}
    for user_id in {table.owner_id, version.user_id}:
        publish(session, "table_update", data, user_id)


def note(session: Session, table: Tabular, kind: str, user_id: str, status: str = "success", **values: Any) -> None:
    """Add an entry about a table to the activity history."""
    about = ("table", table.id)
    record_activity(
        session, table.owner_id, kind, status=status, user_id=user_id, about=about, name=table.name, **values
    )


def call(session: Session, table: Tabular, version: TabularVersion, event: str, **data: Any) -> None:
    """Queue an event about a training for webhooks: ids and figures, and where its report is."""
    told = {"run_id": version.run_id or "", "job_id": version.job_id or "", "version": version.number, **data}
    report = f"/tables/{table.id}/report?version={version.number}" if version.folder else None
    outbox.emit(session, event, table.owner_id, ("table", table.id), table.name, told, report)


def remove(session: Session, table: Tabular, who: Principal) -> tuple[list[str], list[str], list[str]]:
    """Delete a table with its versions and predictions.

    The tags of its models, the ids of its jobs and predicted files, the fingerprints of its data: the caller deletes
    their files after the transaction. `VurError` tables.busy while a training is not over.
    """
    if (busy := active(session, table.id)) is not None:
        raise VurError("tables.busy", name=table.name, number=busy.number)
    versions = session.scalars(_of(table.id)).all()
    of_files = select(TabularPrediction.id).where(TabularPrediction.table_id == table.id)
    files = list(session.scalars(of_files.where(TabularPrediction.kind == "file")))
    session.execute(delete(Share).where(Share.kind == "table", Share.object_id == table.id))
    session.execute(delete(Alert).where(Alert.object_kind == "table", Alert.object_id == table.id))
    note(session, table, "table_deleted", who.user_id)
    session.execute(delete(TabularPrediction).where(TabularPrediction.table_id == table.id))
    session.execute(delete(TabularVersion).where(TabularVersion.table_id == table.id))
    session.delete(table)
    session.flush()
    publish(session, "table_update", {"table_id": table.id, "deleted": True}, table.owner_id)
    results = [*(one.job_id for one in versions if one.job_id), *files]
    data = [one.fingerprint for one in versions if one.fingerprint]
    return [one.tag for one in versions if one.tag], results, data


def prediction_of(session: Session, table: Tabular, id: str, who: Principal) -> TabularPrediction:
    """A prediction of a table: any for the table's owner, else one's own; `VurError` api.not_found."""
    row = session.get(TabularPrediction, id)
    own = table.owner_id == who.user_id or who.is_admin
    if row is None or row.table_id != table.id or not (own or row.owner_id == who.user_id):
        raise VurError("api.not_found", kind="prediction", id=id)
    return row


def usage(session: Session, table: Tabular) -> list[dict[str, Any]]:
    """How each version was used: `number, requests, rows, seconds` (mean), `last_at`, the newest version first."""
    of = TabularPrediction
    statement = (
        select(of.number, func.count(), func.sum(of.n_rows), func.avg(of.seconds), func.max(of.created_at))
        .where(of.table_id == table.id)
        .group_by(of.number)
        .order_by(of.number.desc())
    )
    names = ("number", "requests", "rows", "seconds", "last_at")
    return [dict(zip(names, row, strict=True)) for row in session.execute(statement)]


def _of(table_id: str) -> Select[TabularVersion]:
    return select(TabularVersion).where(TabularVersion.table_id == table_id).order_by(TabularVersion.number.desc())


def job_of(session: Session, version: TabularVersion) -> Job | None:
    """The job that trains or trained a version."""
    return session.get(Job, version.job_id) if version.job_id else None
