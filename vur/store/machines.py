"""Machines and the rankings of their variables: states, history, and how a ranking moved between trainings."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.store.accounts.access import Principal, fetch
from vur.store.catalog import Alert, Machine, MachineTraining, Share, now
from vur.store.events import publish, raise_alert, record_activity
from vur.store.webhooks import outbox

CREATED, TRAINING, READY, FAILED = "criada", "treinando", "pronta", "erro"
ACTIVE = ("queued", "training", "waiting")
HERE, OUTSIDE = "vur", "outside"
ALERT = "ranking_failed"
PATIENCE = timedelta(hours=24)  # for the answer of an outside service
LARGEST = 2**63 - 1  # number that a database can look up
CALLED, CALLED_ROWS = ("rank", "variable", "importance", "significant"), 5  # of a ranking, in the call of a webhook
PLACE = ("rank", "rank_low", "rank_high", "importance", "significant")


# --- machines ---


def create(session: Session, who: Principal, name: str, description: str = "") -> Machine:
    """Add a machine of `who`."""
    machine = Machine(owner_id=who.user_id, machine_name=name, description=description, status=CREATED)
    session.add(machine)
    session.flush()
    _note(session, machine, "machine_created", who.user_id)
    return machine


def find(session: Session, id: int, who: Principal, right: str = "view") -> Machine:
    """The machine with this number, if `who` has the `right` to it; errors as in `fetch`."""
    if not 0 < id <= LARGEST:
        raise VurError("api.not_found", kind="machine", id=id)
    return fetch(session, Machine, id, who, right)


def lock(session: Session, id: int) -> Machine | None:
    """The machine with this number, locked until the end of the transaction."""
    return session.get(Machine, id, with_for_update=True, populate_existing=True) if 0 < id <= LARGEST else None


def remove(session: Session, machine: Machine, who: Principal) -> tuple[list[str], list[str]]:
    """Delete a machine with its trainings; the ids of their jobs and the fingerprints of their data.

    The files of both are to be deleted afterwards, those of the data if nothing else needs them.

    The caller has cancelled the job of a training that was queued or running.
    """
    rows = session.scalars(_of(machine.id)).all()
    jobs = [row.job_id for row in rows if row.job_id]
    data = [row.fingerprint for row in rows if row.fingerprint]
    about = str(machine.id)
    session.execute(delete(Share).where(Share.kind == "machine", Share.object_id == about))
    session.execute(delete(Alert).where(Alert.object_kind == "machine", Alert.object_id == about))
    _note(session, machine, "machine_deleted", who.user_id)
    session.execute(delete(MachineTraining).where(MachineTraining.machine_id == machine.id))
    session.delete(machine)
    session.flush()
    publish(session, "machine_update", {"machine_id": machine.id, "deleted": True}, machine.owner_id)
    return jobs, data


# --- trainings ---


def active(session: Session, machine_id: int) -> MachineTraining | None:
    """The training of a machine that is not over."""
    return session.scalar(_of(machine_id).where(MachineTraining.state.in_(ACTIVE)).limit(1))


def training_of(session: Session, machine: Machine, number: int) -> MachineTraining:
    """The `number`-th training of a machine; `VurError` machines.no_training."""
    found = session.scalar(_of(machine.id).where(MachineTraining.number == number))
    if found is None:
        last = session.scalar(select(func.max(MachineTraining.number)).where(MachineTraining.machine_id == machine.id))
        raise VurError("machines.no_training", machine=machine.id, training=number, last=last or 0)
    return found


def newest(session: Session, machine_id: int) -> MachineTraining | None:
    """The newest training of a machine that finished: its ranking is that of the machine."""
    return session.scalar(_of(machine_id).where(MachineTraining.state == "finished").limit(1))


def newest_of(session: Session, machine_ids: list[int]) -> dict[int, MachineTraining]:
    """The newest finished training of each machine that has one."""
    last = (
        select(func.max(MachineTraining.number))
        .where(MachineTraining.machine_id.in_(machine_ids), MachineTraining.state == "finished")
        .group_by(MachineTraining.machine_id)
        .add_columns(MachineTraining.machine_id)
        .subquery()
    )
    same = (MachineTraining.number == last.c[0]) & (MachineTraining.machine_id == last.c[1])
    return {row.machine_id: row for row in session.scalars(select(MachineTraining).join(last, same))}


def count(session: Session, machine_id: int) -> int:
    """How many trainings a machine has had."""
    rows = select(func.count()).select_from(MachineTraining).where(MachineTraining.machine_id == machine_id)
    return session.scalar(rows) or 0


def failed_jobs(session: Session, machine_id: int) -> list[str]:
    """The jobs of the trainings of a machine that failed or were cancelled."""
    over = MachineTraining.state.in_(("failed", "cancelled")) & MachineTraining.job_id.is_not(None)
    rows = select(MachineTraining.job_id).where(MachineTraining.machine_id == machine_id, over)
    return [id for id in session.scalars(rows) if id is not None]


def by_job(session: Session, job_id: str) -> MachineTraining | None:
    """The training that a job does."""
    return session.scalar(select(MachineTraining).where(MachineTraining.job_id == job_id))


def add_training(session: Session, machine: Machine, **values: Any) -> MachineTraining:
    """Add the next training of a locked machine. `VurError` machines.busy while another one is not over."""
    busy = active(session, machine.id)
    if busy is not None and values.get("state", "queued") in ACTIVE:
        raise VurError("machines.busy", machine=machine.id, name=machine.machine_name, training=busy.number)
    last = session.scalar(select(func.max(MachineTraining.number)).where(MachineTraining.machine_id == machine.id))
    training = MachineTraining(machine_id=machine.id, number=(last or 0) + 1, **values)
    session.add(training)
    session.flush()
    return training


def move(session: Session, machine: Machine, training: MachineTraining, state: str, **values: Any) -> None:
    """Move a training to another state, and its machine with it; live clients are told."""
    training.state = state
    for name, value in values.items():
        setattr(training, name, value)
    if state not in ACTIVE:
        training.finished_at = now()
    elif state == "training":
        training.started_at = training.started_at or now()
    session.flush()
    machine.status = status_of(session, machine)
    session.flush()
    tell(session, machine, training)


def status_of(session: Session, machine: Machine) -> str:
    """What the trainings of a machine make of it: the last one that was not cancelled counts."""
    if active(session, machine.id) is not None:
        return TRAINING
    states = select(MachineTraining.state).where(MachineTraining.machine_id == machine.id)
    last = session.scalar(
        states.where(MachineTraining.state != "cancelled").order_by(MachineTraining.number.desc()).limit(1)
    )
    return CREATED if last is None else READY if last == "finished" else FAILED


def finish(session: Session, machine: Machine, training: MachineTraining, document: dict[str, Any], **of: Any) -> None:
    """End a training with its ranking; the machine is ready, and the alert that a training failed is resolved."""
    machine.error = None
    ranking = document.get("ranking", [])
    move(session, machine, training, "finished", document=document, ranking=ranking, error=None, **of)
    first = ranking[0]["variable"] if ranking else "–"
    note = "ranking_finished" if ranking else "ranking_nothing"
    _note(session, machine, note, training.user_id, target=training.target, first=first)
    open = update(Alert).where(
        Alert.kind == ALERT,
        Alert.object_kind == "machine",
        Alert.object_id == str(machine.id),
        Alert.resolved_at.is_(None),
    )
    session.execute(open.values(resolved_at=now()))
    best = [{key: row.get(key) for key in CALLED} for row in ranking[:CALLED_ROWS]]
    _call(session, machine, training, "ranking.finished", variables=len(ranking), first=best)
    if training.folder:
        _call(session, machine, training, "report.ready", of="ranking")


def fail(session: Session, machine: Machine, training: MachineTraining, error: dict[str, Any], reason: str) -> None:
    """End a training with its error, whose words are `reason`; an older ranking stays."""
    machine.error = error
    move(session, machine, training, "failed", error=error)
    _note(session, machine, "ranking_failed", training.user_id, "error", target=training.target, reason=reason)
    about = ("machine", str(machine.id))
    raise_alert(
        session, machine.owner_id, ALERT, severity="error", about=about, name=machine.machine_name, reason=reason
    )
    _call(session, machine, training, "ranking.failed", code=error.get("code", ""), message=reason)


def _call(session: Session, machine: Machine, training: MachineTraining, event: str, **data: Any) -> None:
    """Queue an event about a training for webhooks: ids, names and figures, and where its report is."""
    ids = {"run_id": training.run_id or "", "job_id": training.job_id or "", "training": training.number}
    report = f"/machines/{machine.id}/trainings/{training.number}/report" if training.folder else None
    about = ("machine", str(machine.id))
    told = ids | {"target": training.target} | data
    outbox.emit(session, event, machine.owner_id, about, machine.machine_name, told, report)


def cancel(session: Session, machine: Machine, training: MachineTraining) -> None:
    """End a training that its user cancelled; the machine is what it was before."""
    move(session, machine, training, "cancelled")
    _note(session, machine, "ranking_cancelled", training.user_id, "warning", target=training.target)


def overdue(session: Session, moment: datetime | None = None) -> list[MachineTraining]:
    """The trainings whose outside service has not answered within `PATIENCE`."""
    before = (moment or now()) - PATIENCE
    waiting = select(MachineTraining).where(MachineTraining.state == "waiting")
    return list(session.scalars(waiting.where(MachineTraining.started_at < before)))


def tell(session: Session, machine: Machine, training: MachineTraining) -> None:
    """Publish the state of a machine and of a training to the machine's owner and to who asked for it."""
    data = {
        "machine_id": machine.id,
        "machine_name": machine.machine_name,
        "status": machine.status,
        "training": training.number,
        "state": training.state,
        "origin": training.origin,
        "target": training.target,
        "job_id": training.job_id,
    }
    for user_id in {machine.owner_id, training.user_id}:
        publish(session, "machine_update", data, user_id)


def _of(machine_id: int) -> Any:
    return (
        select(MachineTraining).where(MachineTraining.machine_id == machine_id).order_by(MachineTraining.number.desc())
    )


def _note(session: Session, machine: Machine, kind: str, user_id: str, status: str = "success", **values: Any) -> None:
    about = ("machine", str(machine.id))
    record_activity(
        session,
        machine.owner_id,
        kind,
        status=status,
        user_id=user_id,
        about=about,
        name=machine.machine_name,
        **values,
    )


# --- how the ranking moved ---


def movement(session: Session, machine: Machine, target: str | None = None, most: int = 20) -> dict[str, Any]:
    """The places of each variable over the last finished trainings with one target, the oldest first.

    The target is by default that of the newest one. A variable that was ranked within a group has the group's place.
    """
    finished = _of(machine.id).where(MachineTraining.state == "finished")
    if target is None:
        target = session.scalar(finished.with_only_columns(MachineTraining.target).limit(1))
    rows = list(reversed(session.scalars(finished.where(MachineTraining.target == target).limit(most)).all()))
    places = [_places(row.ranking or []) for row in rows]
    names = list(dict.fromkeys(name for found in reversed(places) for name in found))
    return {
        "machine_id": machine.id,
        "target": target,
        "trainings": [
            {"training": row.number, "finished_at": row.finished_at, "origin": row.origin, "source": row.source}
            for row in rows
        ],
        "variables": [_moves(name, [found.get(name) for found in places]) for name in names],
    }


def _places(ranking: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The place of each variable of a ranking; the members of a group share that of the group."""
    return {
        name: {key: row.get(key) for key in PLACE} | {"group": row["variable"] if len(members) > 1 else None}
        for row in ranking
        if (members := row.get("members") or [row["variable"]])
        for name in members
    }


def _moves(name: str, places: list[dict[str, Any] | None]) -> dict[str, Any]:
    """One variable's places, and how the last one differs from the one before.

    `clear` says that the two confidence sets of its rank do not overlap: less may be chance.
    """
    before, last = places[-2] if len(places) > 1 else None, places[-1]
    moved = before["rank"] - last["rank"] if before and last else None
    change = "first" if len(places) < 2 else "gone" if last is None else "new" if before is None else ""
    apart = bool(before and last) and (_above(before, last) or _above(last, before))
    return {
        "variable": name,
        "places": places,
        "moved": moved,
        "change": change or ("up" if (moved or 0) > 0 else "down" if (moved or 0) < 0 else "same"),
        "clear": apart,
    }


def _above(one: dict[str, Any] | None, other: dict[str, Any] | None) -> bool:
    """Whether the whole confidence set of one rank lies before that of another."""
    if one is None or other is None or one["rank_high"] is None or other["rank_low"] is None:
        return False
    return bool(one["rank_high"] < other["rank_low"])
