"""Answers of an outside service that ranks variables: their signature, their age, and what they change, once."""

import hashlib
import hmac
import re
from datetime import timedelta
from typing import Any

from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from starlette.datastructures import Headers

from vur.errors import VurError
from vur.jobs.ranking import reason
from vur.serving.schemas.machines import Delivery
from vur.serving.validation import read_body
from vur.settings import LEAST_KEY, settings
from vur.store import machines
from vur.store.catalog import Machine, MachineDelivery, MachineTraining, now
from vur.store.database import writing
from vur.store.webhooks.signing import DELIVERY, SIGNATURE, TIMESTAMP, signature
from vur.text import phrase

MOST_SECONDS = 300  # between the clocks, and on the way
KEPT = timedelta(days=30)
HELD = re.compile(r"[\x21-\x7e]{8,200}")
STAMP, SIGNED = re.compile(r"\d{1,12}"), re.compile(r"sha256=[0-9a-f]{64}")
EXPECTED = {
    TIMESTAMP: "the seconds since 1970, such as 1767225600",
    SIGNATURE: "sha256= and 64 hexadecimal digits in small letters",
    DELIVERY: "an id of 8 to 200 visible ASCII characters, such as a UUID",
}


def verify(headers: Headers, body: bytes) -> str:
    """Return the id of a delivery whose signature is right and new.

    `VurError` machines.no_secret, machines.header, machines.old or machines.signature.
    """
    secret = settings().relevance_service_secret
    if not secret:
        raise VurError("machines.no_secret", least=LEAST_KEY)
    stamp, given = _header(headers, TIMESTAMP, STAMP), _header(headers, SIGNATURE, SIGNED)
    delivery = _header(headers, DELIVERY, HELD)
    if not hmac.compare_digest(given, signature(secret, stamp, body)):
        raise VurError("machines.signature", field=SIGNATURE)
    away = round(abs(now().timestamp() - int(stamp)))
    if away > MOST_SECONDS:
        raise VurError("machines.old", field=TIMESTAMP, value=stamp, seconds=away, most=MOST_SECONDS)
    return delivery


def _header(headers: Headers, name: str, form: re.Pattern[str]) -> str:
    value = headers.get(name, "")
    if not form.fullmatch(value):
        raise VurError("machines.header", field=name, value=value[:100], expected=EXPECTED[name])
    return value


def receive(headers: Headers, body: bytes) -> dict[str, Any]:
    """Take a delivery, and return what became of it; the same one again changes nothing.

    `VurError` machines.delivery_reused if its id was used for another body, api.not_found for an unknown machine.
    """
    delivery = verify(headers, body)
    digest = hashlib.sha256(body).hexdigest()
    found = read_body(Delivery, headers.get("content-type", ""), body)
    with writing(durable=True) as session:
        session.execute(delete(MachineDelivery).where(MachineDelivery.created_at < now() - KEPT))
        machine = machine_of(session, found)
        row = MachineDelivery(id=delivery, body_hash=digest, machine_id=machine.id, answer={})
        try:
            with session.begin_nested():
                session.add(row)
        except IntegrityError:
            return _again(session, delivery, digest)
        training = take(session, machine, found)
        row.answer = {
            "machine_id": machine.id,
            "training": training.number,
            "status": machine.status,
            "delivery": delivery,
        }
        return row.answer


def _again(session: Session, delivery: str, digest: str) -> dict[str, Any]:
    row = session.get_one(MachineDelivery, delivery, populate_existing=True)
    if row.body_hash != digest:
        raise VurError("machines.delivery_reused", field=DELIVERY, delivery=delivery)
    return row.answer


def machine_of(session: Session, found: Delivery) -> Machine:
    """Return the machine of a delivery, locked."""
    if found.machine_id is not None and found.model_id not in (None, found.machine_id):  # they are the same number
        raise VurError("machines.mismatch", field="model_id", machine=found.machine_id, model=found.model_id)
    id = found.machine_id or found.model_id or 0
    machine = machines.lock(session, id)
    if machine is None:
        raise VurError("api.not_found", kind="machine", id=id)
    return machine


def take(session: Session, machine: Machine, found: Delivery) -> MachineTraining:
    """End the training that a delivery answers: the one it names, else the one that waits, else a new one.

    `VurError` machines.other_target for the ranking of another target than was asked for.
    """
    training = training_of(session, machine, found)
    if found.status == "erro":
        error = {"code": "machines.outside_error", "stage": "", "data": {"reason": found.error}}
        machines.fail(session, machine, training, error, reason(session, machine, error))
    else:
        if training.target and found.target not in (None, training.target):
            raise VurError("machines.other_target", field="target", value=found.target, target=training.target)
        target = found.target or training.target
        if not target:
            raise VurError("api.invalid", field="target", reason=phrase("api.reason.missing"))
        machines.finish(session, machine, training, document(found, target), target=target)
    return training


def training_of(session: Session, machine: Machine, found: Delivery) -> MachineTraining:
    """Return the training that a delivery answers. `VurError` machines.answered if that is over."""
    if found.training is not None:
        training = machines.training_of(session, machine, found.training)
        if training.state not in machines.ACTIVE or training.origin != machines.OUTSIDE:
            raise VurError(
                "machines.answered",
                field="training",
                machine=machine.id,
                training=training.number,
                state=training.state,
            )
        return training
    active = machines.active(session, machine.id)
    if active is not None and active.origin == machines.OUTSIDE:
        return active
    values = {"user_id": machine.owner_id, "origin": machines.OUTSIDE, "target": found.target or ""}
    return machines.add_training(session, machine, state="finished", started_at=now(), **values)


def document(found: Delivery, target: str) -> dict[str, Any]:
    """Return the ranking of a delivery as a document: by its ranks where all have one, else by importance.

    `VurError` machines.same_variable for a variable that stands there twice, machines.rank_twice for a rank that two
    have, machines.rank_set for one outside of its own confidence set.
    """
    rows = [row.model_dump(exclude_none=True) for row in found.ranking or ()]
    seen: dict[str, int] = {}
    for place, row in enumerate(rows, 1):
        if (first := seen.setdefault(row["variable"], place)) != place:
            field = f"ranking.{place - 1}.variable"
            name = row["variable"]
            raise VurError("machines.same_variable", field=field, variable=name, first=first, second=place)
    _check_ranks(rows)
    ranked = all("rank" in row for row in rows)
    rows.sort(key=lambda row: row["rank"] if ranked else -row["importance"])
    ranking = [row | {"rank": row["rank"] if ranked else place} for place, row in enumerate(rows, 1)]
    return {"target": target, "origin": machines.OUTSIDE, "ranking": ranking}


def _check_ranks(rows: list[dict[str, Any]]) -> None:
    taken: dict[int, str] = {}
    for place, row in enumerate(rows):
        rank, name = row.get("rank"), row["variable"]
        if rank is not None and (other := taken.setdefault(rank, name)) != name:
            raise VurError("machines.rank_twice", field=f"ranking.{place}.rank", rank=rank, first=other, second=name)
        ends = [row[key] for key in ("rank_low", "rank", "rank_high") if key in row]
        if ends != sorted(ends):
            raise VurError("machines.rank_set", field=f"ranking.{place}.rank_low", variable=name, ranks=ends)
