"""The champion of a family of models: its alias, promotions and rollbacks, and the resolution of names in requests."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, bindparam, case, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.store.accounts.access import Principal, visible
from vur.store.catalog import Alias, Model, Promotion
from vur.store.events import record_activity

CHAMPION = "champion"


# --- moving the alias ---


def promote(session: Session, model: Model, user_id: str, reason: str = "") -> Alias:
    """Make `model` the champion of its family from the next request on; no change if it is already.

    `VurError` models.not_trained if it was not trained.
    """
    check_trained(model)
    alias = _alias(session, model)
    if alias.model_id == model.id and session.scalar(
        select(Promotion.id).where(Promotion.alias_id == alias.id).limit(1)
    ):
        return alias
    _move(session, alias, model, user_id, reason)
    record_activity(
        session, model.owner_id, "model_promoted", user_id=user_id, about=("model", model.id), name=model.name
    )
    return alias


def rollback(session: Session, owner_id: str, family: str, user_id: str) -> Model:
    """Make the previous champion the champion again, and return it.

    Repeated rollbacks go further back; deleted models are skipped. `VurError` champions.none if the family has no
    champion, champions.no_previous if it had none before.
    """
    alias = _locked(session, owner_id, family)
    if alias is None:
        raise VurError("champions.none", family=family)
    model = _previous(session, alias)
    if model is None:
        raise VurError("champions.no_previous", family=family)
    _move(session, alias, model, user_id, rollback=True)
    record_activity(
        session,
        owner_id,
        "model_rolled_back",
        status="warning",
        user_id=user_id,
        about=("model", model.id),
        name=model.name,
    )
    return model


def _move(session: Session, alias: Alias, model: Model, user_id: str, reason: str = "", rollback: bool = False) -> None:
    previous = alias.model_id if alias.model_id != model.id else None
    alias.model_id = model.id
    session.add(
        Promotion(
            alias_id=alias.id,
            model_id=model.id,
            previous_id=previous,
            user_id=user_id,
            reason=reason,
            rollback=rollback,
        )
    )
    session.flush()


def _locked(session: Session, owner_id: str, family: str) -> Alias | None:
    """The alias of a family, locked until the transaction ends."""
    mine = select(Alias).where(Alias.owner_id == owner_id, Alias.family == family, Alias.name == CHAMPION)
    return session.scalar(mine.with_for_update().execution_options(populate_existing=True))


def _alias(session: Session, model: Model) -> Alias:
    """The alias of the model's family; created if it does not exist, unless another transaction does so at once."""
    if (found := _locked(session, model.owner_id, model.family)) is not None:
        return found
    try:
        with session.begin_nested():
            alias = Alias(owner_id=model.owner_id, family=model.family, name=CHAMPION, model_id=model.id)
            session.add(alias)
        return alias
    except IntegrityError:
        found = _locked(session, model.owner_id, model.family)
        if found is None:
            raise
        return found


def _previous(session: Session, alias: Alias) -> Model | None:
    """The latest earlier champion that still exists, without those that were rolled back."""
    stood: list[str] = []
    for move in session.scalars(select(Promotion).where(Promotion.alias_id == alias.id).order_by(Promotion.created_at)):
        while move.rollback and stood and stood[-1] != move.model_id:
            stood.pop()
        if not (move.rollback and stood):
            stood.append(move.model_id)
    for id in reversed(stood):
        model = session.get(Model, id) if id != alias.model_id else None
        if model is not None and model.tag is not None:
            return model
    return None


def is_champion(session: Session, model: Model) -> bool:
    """Whether `model` is the champion of its owner's family; see also `registry.has_champion_alias`."""
    return (
        session.scalar(
            select(Alias.id).where(Alias.owner_id == model.owner_id, Alias.model_id == model.id, Alias.name == CHAMPION)
        )
        is not None
    )


def check_trained(model: Model) -> None:
    """`VurError` models.not_trained unless the model has files in the model store."""
    if model.tag is None:
        raise VurError("models.not_trained", id=model.id, status=model.status)


# --- names in requests ---


@dataclass(frozen=True, slots=True)
class Served:
    """The columns of a trained model's row that a prediction needs."""

    id: str
    owner_id: str
    name: str
    family: str
    status: str
    tag: str
    checksum: str | None
    run_id: str | None
    dataset_id: str | None
    dataset_number: int | None

    def data_version(self, metadata: Mapping[str, Any]) -> str | None:
        """The version of its training data: fingerprint and number of the dataset's version."""
        fingerprint = metadata.get("fingerprint")
        return fingerprint and f"{fingerprint}:{self.dataset_number or 1}"


COLUMNS = (
    Model.id,
    Model.owner_id,
    Model.name,
    Model.family,
    Model.status,
    Model.tag,
    Model.checksum,
    Model.run_id,
    Model.dataset_id,
    Model.dataset_number,
)
_USER: Any = bindparam("user")
_OWN_FIRST = case((Model.owner_id == _USER, 0), else_=1)


def _statements(admin: bool) -> dict[str, Select[*tuple[Any, ...]]]:
    """The three queries that find a model, built once, because building them takes longer than running them."""
    who = Principal(_USER, "admin" if admin else "analyst")
    name: Any = bindparam("name")
    plain = visible(select(*COLUMNS, _OWN_FIRST.label("distance")), Model, who)
    aliased = plain.join(Alias, Alias.model_id == Model.id).where(
        Alias.family == name, Alias.name == bindparam("alias")
    )
    return {
        "id": plain.where(Model.id == name),
        "tag": plain.where(Model.tag == name).order_by("distance", Model.created_at).limit(1),
        "alias": aliased.order_by("distance").limit(2),
    }


_FIND = {admin: _statements(admin) for admin in (False, True)}


def find_served(session: Session | Connection, who: Principal, name: str) -> Served:
    """Resolve `name` to a trained model: a model's id, an exact tag, a family, or `family@champion`.

    The user's own models take precedence. `VurError` api.not_found if `who` may see no such model, champions.none and
    models.not_trained if there is no trained model yet, champions.ambiguous if several owners share such a champion.
    """
    found, find = None, _FIND[who.is_admin]
    family, at, alias = name.rpartition("@")
    if not at and ":" in name:
        found = session.execute(find["tag"], {"user": who.user_id, "name": name}).first()
    elif not at:
        found = session.execute(find["id"], {"user": who.user_id, "name": name}).first()
    if found is None and ":" not in name:
        pair = {"name": family if at else name, "alias": alias if at else CHAMPION}
        rows = session.execute(find["alias"], {"user": who.user_id, **pair}).all()
        if len(rows) == 2 and rows[0].distance == rows[1].distance:
            raise VurError("champions.ambiguous", family=pair["name"], ids=", ".join(row.id for row in rows))
        found = rows[0] if rows else None
    if found is None:
        raise _not_found(session, who, family if at else name)
    if found.tag is None:
        raise VurError("models.not_trained", id=found.id, status=found.status)
    return Served(*found[:-1])


def _not_found(session: Session | Connection, who: Principal, name: str) -> VurError:
    known = session.scalar(visible(select(Model.id).where(Model.family == name), Model, who).limit(1))
    return (
        VurError("api.not_found", kind="model", id=name) if known is None else VurError("champions.none", family=name)
    )


def resolve(session: Session, who: Principal, name: str) -> Model:
    """The row of the model to which `name` resolves; see `find_served`."""
    return session.get_one(Model, find_served(session, who, name).id)


def champion_of(session: Session, who: Principal, served: Served) -> Served:
    """The champion of the same owner and family as `served`; `served` itself if there is none."""
    row = select(Alias.model_id).where(
        Alias.owner_id == served.owner_id, Alias.family == served.family, Alias.name == CHAMPION
    )
    present = session.scalar(row)
    return served if present is None or present == served.id else find_served(session, who, present)


def champion(session: Session, who: Principal, family: str) -> Model | None:
    """The champion of a family, or None if `who` may see none."""
    try:
        return resolve(session, who, f"{family}@{CHAMPION}")
    except VurError as error:
        if error.code in ("api.not_found", "champions.none"):
            return None
        raise
