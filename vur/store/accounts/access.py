"""Access rights: every object has an owner, can be shared with other users, and is open to admins."""

from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Select, String, cast, or_, select
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.store.catalog import (
    ROLES,
    Base,
    DatabaseConnection,
    Dataset,
    Machine,
    Model,
    Monitor,
    Pipeline,
    Share,
    Tabular,
)

Row = TypeVar("Row", bound=Base)
Statement = TypeVar("Statement", bound=Select[*tuple[Any, ...]])
KINDS: dict[type[Base], str] = {
    Dataset: "dataset",
    Pipeline: "pipeline",
    Model: "model",
    DatabaseConnection: "connection",
    Monitor: "monitor",
    Machine: "machine",
    Tabular: "table",
}


METRICS = "metrics"  # how the operator's programs come in: with a key of their own, as nobody's


@dataclass(frozen=True)
class Principal:
    """The user who makes a request.

    By access token (`via="token"`), API key (`"key"`) or command line (`"local"`); `METRICS` is nobody's program.
    """

    user_id: str
    role: str = "analyst"
    language: str = "en"
    via: str = "token"
    session_id: str | None = None

    @property
    def is_admin(self) -> bool:
        """Whether the user is an admin, who may see and change everything."""
        return self.role == "admin"

    def require(self, role: str) -> None:
        """`VurError` api.forbidden unless the user's role is at least `role` (viewer < analyst < admin)."""
        if ROLES.index(self.role) < ROLES.index(role):
            raise VurError("api.forbidden", role=role, have=self.role)


def visible(statement: Statement, table: type[Base], principal: Principal) -> Statement:
    """Limit `statement` to the rows of `table` that `principal` may see: their own and shared ones, all for admins.

    Nobody sees a deleted dataset.
    """
    statement = undeleted(statement, table)
    if principal.is_admin:
        return statement
    columns: Any = table  # `Base` does not declare `id` and `owner_id`, which all objects have
    own = columns.owner_id == principal.user_id
    kind = KINDS.get(table)
    if kind is None:
        return statement.where(own)
    shared = select(Share.object_id).where(Share.kind == kind, Share.user_id == principal.user_id)
    return statement.where(or_(own, as_text(table).in_(shared)))


def as_text(table: type[Base]) -> Any:
    """The id of the rows of `table` as shares, alerts and activities hold it: as text, also if it is a number."""
    columns: Any = table
    return cast(columns.id, String) if _counted(table) else columns.id


def _counted(table: type[Base]) -> bool:
    """Whether the rows of `table` are numbered, as machines are; other ids are random texts."""
    return table.__table__.columns["id"].type.python_type is int


def undeleted(statement: Statement, table: type[Base]) -> Statement:
    """Limit `statement` to the rows of `table` that are not deleted; only datasets can be deleted and restored."""
    return statement.where(Dataset.deleted_at.is_(None)) if table is Dataset else statement


def fetch(session: Session, table: type[Row], id: str | int, principal: Principal, right: str = "view") -> Row:
    """Fetch the row `id` of `table`, if `principal` has the `right` (`view, edit, own`) to it.

    `VurError` api.not_found if it does not exist or is hidden, so that ids of others cannot be guessed; api.not_yours
    if it may be viewed but not changed. Changes need the role analyst (api.forbidden).
    """
    columns: Any = table
    key = as_text(table) if isinstance(id, str) else columns.id
    row = session.scalar(visible(select(table).where(key == id), table, principal))
    if row is None:
        raise VurError("api.not_found", kind=KINDS.get(table, table.__tablename__.rstrip("s")), id=id)
    if right != "view":
        principal.require("analyst")
        if not may(session, row, principal, right):
            raise VurError("api.not_yours", kind=KINDS.get(table, "object"), id=id)
    return row


def may(session: Session, row: Any, principal: Principal, right: str) -> bool:
    """Whether `principal` has the `right` (`edit` or `own`) to a row that they can view."""
    if principal.is_admin or row.owner_id == principal.user_id:
        return True
    found = session.scalar(
        select(Share.right).where(
            Share.kind == KINDS.get(type(row), ""), Share.object_id == str(row.id), Share.user_id == principal.user_id
        )
    )
    return right == "edit" and found == "edit"


def check_version(row: Any, expected: int | None) -> None:
    """`VurError` api.version unless `expected` (from If-Match or the body) is the row's version or None."""
    if expected is not None and expected != row.version:
        raise VurError("api.version", expected=expected, version=row.version)
