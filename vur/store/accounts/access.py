"""Who may see and change what: every object has an owner, may be shared with other users, and is open to admins."""

from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.store.catalog import ROLES, Base, DatabaseConnection, Dataset, Model, Monitor, Pipeline, Share

Row = TypeVar("Row", bound=Base)
KINDS: dict[type[Base], str] = {
    Dataset: "dataset",
    Pipeline: "pipeline",
    Model: "model",
    DatabaseConnection: "connection",
    Monitor: "monitor",
}


@dataclass(frozen=True)
class Principal:
    """Who a request comes from: a user by access token (`via="token"`), personal key (`"key"`) or the local command line (`"local"`)."""

    user_id: str
    role: str = "analyst"
    language: str = "en"
    via: str = "token"
    session_id: str | None = None

    @property
    def is_admin(self) -> bool:
        """Whether everything is open to them."""
        return self.role == "admin"

    def require(self, role: str) -> None:
        """`VurError` api.forbidden unless their role is `role` or a higher one (viewer < analyst < admin)."""
        if ROLES.index(self.role) < ROLES.index(role):
            raise VurError("api.forbidden", role=role, have=self.role)


def visible(statement: Select[Any], table: type[Base], principal: Principal) -> Select[Any]:
    """`statement` limited to the rows of `table` that `principal` may see: their own, those shared with them; all for admins."""
    if principal.is_admin:
        return statement
    own = table.owner_id == principal.user_id
    kind = KINDS.get(table)
    if kind is None:
        return statement.where(own)
    shared = select(Share.object_id).where(Share.kind == kind, Share.user_id == principal.user_id)
    return statement.where(or_(own, table.id.in_(shared)))


def fetch(session: Session, table: type[Row], id: str, principal: Principal, right: str = "view") -> Row:
    """The row `id` of `table` if `principal` has `right` (`view, edit, own`) to it.

    `VurError` api.not_found where it does not exist or is hidden, so that nobody learns of another's ids; api.forbidden
    where it may be seen and not changed. Changing anything needs the role analyst.
    """
    row = session.scalar(visible(select(table).where(table.id == id), table, principal))
    if row is None:
        raise VurError("api.not_found", kind=KINDS.get(table, table.__tablename__.rstrip("s")), id=id)
    if right != "view":
        principal.require("analyst")
        if not may(session, row, principal, right):
            raise VurError("api.not_yours", kind=KINDS.get(table, "object"), id=id)
    return row


def may(session: Session, row: Base, principal: Principal, right: str) -> bool:
    """Whether `principal` may `edit` or `own` a row that they can see."""
    if principal.is_admin or row.owner_id == principal.user_id:
        return True
    found = session.scalar(
        select(Share.right).where(
            Share.kind == KINDS.get(type(row), ""), Share.object_id == row.id, Share.user_id == principal.user_id
        )
    )
    return right == "edit" and found == "edit"


def check_version(row: Any, expected: int | None) -> None:
    """`VurError` api.version when the caller's version (from If-Match or the body) is not the present one; None asks nothing."""
    if expected is not None and expected != row.version:
        raise VurError("api.version", expected=expected, version=row.version)
