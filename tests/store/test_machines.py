"""Machines in the catalog: states, history, movement of the ranking, backups."""

from datetime import timedelta
from typing import Any

import pytest
from databases import both, kind  # noqa: F401 - fixtures
from service import new_database
from sqlalchemy import select, text

from vur.errors import VurError
from vur.settings import settings
from vur.store import database, machines
from vur.store.accounts.access import Principal, fetch, visible
from vur.store.accounts.users import add_user, people, share
from vur.store.catalog import Alert, Machine, MachineTraining, Share, User, now
from vur.store.database import reading, writing
from vur.store.operations.backup import backup, restore

PASSWORD = "correct horse 9"


@pytest.fixture
def who(catalog) -> Principal:
    with writing() as session:
        return Principal(add_user(session, "ana@x.br", PASSWORD).id)


def made(who: Principal, name: str = "Extrusora 3") -> int:
    with writing() as session:
        return machines.create(session, who, name).id


def step(id: int, *states: str, document: dict[str, Any] | None = None, **values: Any) -> str:
    """Add a training that goes through states; the status of its machine then."""
    with writing() as session:
        machine = machines.lock(session, id)
        values = {"user_id": machine.owner_id, "target": "producao"} | values
        training = machines.add_training(session, machine, **values)
        for state in states:
            if state == "finished":
                machines.finish(session, machine, training, document or {"ranking": []})
            elif state == "failed":
                error = {"code": "upload.empty", "stage": "upload", "data": {"file": "a.csv"}}
                machines.fail(session, machine, training, error, "vazio")
            elif state == "cancelled":
                machines.cancel(session, machine, training)
            else:
                machines.move(session, machine, training, state)
        return machine.status


def ranked(*names: str) -> dict[str, Any]:
    rows = [
        {"rank": k, "rank_low": k, "rank_high": k, "variable": name, "members": name.split(" + "), "importance": 1 / k}
        for k, name in enumerate(names, 1)
    ]
    return {"ranking": rows}


@both
def test_the_status_follows_the_trainings(who, kind):
    id = made(who)
    with reading() as session:
        assert session.get(Machine, id).status == "criada"
    assert step(id, "queued", "cancelled") == "criada"
    assert step(id, "queued", "training", "failed") == "erro"
    assert step(id, "queued", "training", "cancelled") == "erro", "as before"
    assert step(id, "queued", "training", "finished", document=ranked("temp")) == "pronta"
    assert step(id, "queued", "failed") == "erro"
    with reading() as session:
        assert machines.newest(session, id).number == 4, "the older ranking stays"
        assert session.get(Machine, id).error["code"] == "upload.empty"
        numbers = session.scalars(select(MachineTraining.number).order_by(MachineTraining.number)).all()
        assert list(numbers) == [1, 2, 3, 4, 5]
        assert session.scalar(select(Alert).where(Alert.resolved_at.is_(None))).object_id == str(id)
    assert step(id, "queued", "waiting") == "treinando"
    with pytest.raises(VurError) as refused:
        step(id, "queued")
    assert refused.value.code == "machines.busy" and "6" in refused.value.text("pt-BR")


@both
def test_only_one_training_at_a_time_even_if_two_ask_at_once(who, kind):
    import threading

    id, outcomes = made(who), []
    gate = threading.Barrier(4)

    def ask() -> None:
        gate.wait()
        try:
            outcomes.append(step(id, "queued"))
        except VurError as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(outcomes) == ["machines.busy"] * 3 + ["treinando"]


@both
def test_numbers_go_with_shares_and_with_what_others_own(who, kind):
    id = made(who)
    with writing() as session:
        bia = Principal(add_user(session, "bia@x.br", PASSWORD).id)
        made_by_bia = machines.create(session, bia, "Prensa").id
    with writing() as session:
        with pytest.raises(VurError, match="There is no machine"):
            fetch(session, Machine, id, bia)
        share(session, who, "machine", str(id), "bia@x.br", "view")
        assert [one.id for one in session.scalars(visible(select(Machine), Machine, bia))] == [id, made_by_bia]
        assert fetch(session, Machine, str(id), bia).id == fetch(session, Machine, id, bia).id == id
        with pytest.raises(VurError) as refused:
            machines.find(session, id, bia, "edit")
        assert refused.value.code == "api.not_yours"
        for wrong in ("abc", "1; DROP TABLE users", "", str(10**30)):
            with pytest.raises(VurError) as missing:
                fetch(session, Machine, wrong, bia)
            assert missing.value.code == "api.not_found"
        assert [one.email for one in people(session, who, "bia")] == ["bia@x.br"]
    with writing() as session:
        machines.remove(session, machines.lock(session, id), who)
        assert session.scalars(select(Share)).all() == []


@both
def test_the_number_of_a_deleted_machine_is_never_given_again(who, kind):
    id = made(who)
    with writing() as session:
        assert machines.remove(session, machines.lock(session, id), who) == ([], [])
    assert made(who) > id


@both
def test_who_waits_too_long(who, kind):
    id = made(who)
    step(id, "queued", "training", "waiting", origin="outside")
    with reading() as session:
        assert machines.overdue(session) == []
        late = machines.overdue(session, now() + timedelta(hours=25))
        assert [one.machine_id for one in late] == [id]


@both
def test_how_a_ranking_moved(who, kind):
    id = made(who)
    step(id, "finished", document=ranked("a", "b", "c"))
    step(id, "failed")
    step(id, "finished", document=ranked("b + d", "a"))
    with reading() as session:
        found = machines.movement(session, session.get(Machine, id))
    assert [one["training"] for one in found["trainings"]] == [1, 3]
    told = {one["variable"]: (one["change"], one["moved"], one["clear"]) for one in found["variables"]}
    assert told == {
        "b": ("up", 1, True),
        "d": ("new", None, False),
        "a": ("down", -1, True),
        "c": ("gone", None, False),
    }
    step(id, "finished", document={"ranking": []})
    with reading() as session:
        nothing = machines.movement(session, session.get(Machine, id), most=2)
    assert {one["change"] for one in nothing["variables"]} == {"gone"}


@both
def test_a_backup_keeps_machines_and_their_numbers(who, kind, tmp_path, request, monkeypatch):
    ids = [made(who) for _ in range(3)]
    step(ids[2], "finished", document=ranked("temp"))
    backup(tmp_path / "b.tar")
    monkeypatch.setenv("VUR_HOME", str(tmp_path / "other"))
    if kind == "postgresql":
        monkeypatch.setenv("VUR_DATABASE_URL", new_database(request.getfixturevalue("postgresql")))
    database.engine().dispose()
    settings.cache_clear()
    restore(tmp_path / "b.tar")
    with reading() as session:
        assert machines.newest(session, ids[2]).document == ranked("temp")
        assert session.scalars(select(User)).one().email == "ana@x.br"
    assert made(who) > ids[2]


@both
def test_a_downgrade_leaves_no_share_of_a_machine(who, kind):
    id = made(who)
    with writing() as session:
        session.add(Share(kind="machine", object_id=str(id), user_id=who.user_id))
    database.migrate("0006")
    with database.engine().connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM shares")) == 0
    database.migrate()
    assert made(who) == 1
