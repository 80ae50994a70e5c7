"""The champion of a family: promotion, rollback, and the resolution of names."""

import threading

import pytest
from sqlalchemy import select

from vur.errors import VurError
from vur.store import database
from vur.store.accounts.access import Principal
from vur.store.accounts.users import add_user
from vur.store.catalog import Activity, Alias, Model, Promotion, Share, User
from vur.store.models import champions

FAMILY = "vendas"


@pytest.fixture
def people(catalog) -> dict[str, User]:
    with database.writing() as session:
        roles = {"ana": "analyst", "bia": "analyst", "root": "admin"}
        return {name: add_user(session, f"{name}@x.br", "correct horse 9", role=role) for name, role in roles.items()}


def add_models(owner: User, *tags: str | None, family: str = FAMILY) -> list[Model]:
    with database.writing() as session:
        made = [
            Model(
                owner_id=owner.id,
                name="Vendas",
                algorithm="ets",
                status="trained" if tag else "configured",
                family=family,
                tag=tag,
            )
            for tag in tags
        ]
        session.add_all(made)
    return made


def promote(model: Model) -> None:
    with database.writing() as session:
        champions.promote(session, session.get(Model, model.id), model.owner_id)


def rollback(owner: User) -> str:
    with database.writing() as session:
        return champions.rollback(session, owner.id, FAMILY, owner.id).tag


def answering(who: User, name: str = FAMILY) -> str:
    with database.reading() as session:
        return champions.find_served(session, Principal(who.id, who.role), name).tag


def refused(call) -> str:
    with pytest.raises(VurError) as error:
        call()
    return error.value.code


def test_a_promotion_moves_the_champion_and_is_recorded(people):
    ana = people["ana"]
    first, second = add_models(ana, "vendas:1", "vendas:2")
    promote(first)
    promote(second)
    promote(second)
    assert answering(ana) == answering(ana, f"{FAMILY}@champion") == "vendas:2"
    with database.reading() as session:
        assert [
            (move.model_id, move.previous_id)
            for move in session.scalars(select(Promotion).order_by(Promotion.created_at))
        ] == [(first.id, None), (second.id, first.id)]
        assert len(session.scalars(select(Activity).where(Activity.kind == "model_promoted")).all()) == 2


def test_rollbacks_go_further_back_each_time_and_stop_at_the_first(people):
    ana = people["ana"]
    first, second, third = add_models(ana, "vendas:1", "vendas:2", "vendas:3")
    for model in (first, second, first, third):
        promote(model)
    assert [rollback(ana) for _ in range(3)] == ["vendas:1", "vendas:2", "vendas:1"]
    assert refused(lambda: rollback(ana)) == "champions.no_previous"
    promote(third)
    assert rollback(ana) == "vendas:1"


def test_a_rollback_skips_a_deleted_model(people):
    ana = people["ana"]
    first, second, third = add_models(ana, "vendas:1", "vendas:2", "vendas:3")
    for model in (first, second, third):
        promote(model)
    with database.writing() as session:
        session.delete(session.get(Model, second.id))
    assert rollback(ana) == "vendas:1"


def test_only_a_trained_model_is_promoted(people):
    (model,) = add_models(people["ana"], None)
    assert refused(lambda: promote(model)) == "models.not_trained"
    assert refused(lambda: rollback(people["ana"])) == "champions.none"


def test_names_resolve_to_visible_models(people):
    ana, bia, root = people["ana"], people["bia"], people["root"]
    first, second = add_models(ana, "vendas:1", "vendas:2")
    for name in (first.id, "vendas:1"):
        assert answering(ana, name) == answering(root, name) == "vendas:1"
        assert refused(lambda name=name: answering(bia, name)) == "api.not_found"
    assert refused(lambda: answering(ana)) == "champions.none"
    promote(second)
    assert answering(ana) == answering(root) == "vendas:2"
    for name in (FAMILY, f"{FAMILY}@champion", f"{FAMILY}@other", "nothing", "vendas:9", "", "@", ":"):
        assert refused(lambda name=name: answering(bia, name)) == "api.not_found"
    with database.writing() as session:
        session.add(Share(kind="model", object_id=second.id, user_id=bia.id))
    assert answering(bia) == "vendas:2"
    assert refused(lambda: answering(bia, "vendas:1")) == "api.not_found"


def test_own_champions_take_precedence_and_ambiguous_names_are_rejected(people):
    ana, bia, root = people["ana"], people["bia"], people["root"]
    promote(add_models(ana, "vendas:1")[0])
    promote(add_models(bia, "vendas:1", "vendas:2")[1])
    assert answering(ana) == "vendas:1" and answering(bia) == "vendas:2"
    assert refused(lambda: answering(root)) == "champions.ambiguous"
    with database.reading() as session:
        assert champions.champion(session, Principal(bia.id), FAMILY).owner_id == bia.id
        assert champions.champion(session, Principal(bia.id), "nothing") is None
        assert champions.resolve(session, Principal(bia.id), "vendas:1").owner_id == bia.id


def test_concurrent_promotions_leave_one_alias_and_all_moves(people):
    ana = people["ana"]
    models = add_models(ana, *(f"vendas:{number}" for number in range(8)))
    threads = [threading.Thread(target=promote, args=(model,)) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with database.reading() as session:
        (alias,) = session.scalars(select(Alias))
        moves = session.scalars(select(Promotion).order_by(Promotion.created_at)).all()
        assert len(moves) == 8 and sum(move.previous_id is None for move in moves) == 1
        assert {move.model_id for move in moves} - {move.previous_id for move in moves} == {alias.model_id}
