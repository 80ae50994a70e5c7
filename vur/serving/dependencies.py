"""Dependencies of the endpoints: the caller, the language, the page of a list, the version of an object."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Query, Request, Response
from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.serving.errors import language_of
from vur.serving.validation import one_of
from vur.store.accounts.access import METRICS, Principal
from vur.store.database import reading
from vur.store.operations.switches import check_downloads
from vur.text import phrase

MAX_LIMIT = 1000


def principal(request: Request) -> Principal:
    """Return the caller that the guard authenticated. `VurError` 401 for an anonymous request."""
    found = request.scope.get("vur.principal")
    if found is None:
        raise VurError("api.unauthenticated")
    return found


def analyst(who: Annotated[Principal, Depends(principal)]) -> Principal:
    """Return the caller, who must have at least the role analyst."""
    who.require("analyst")
    return who


def admin(who: Annotated[Principal, Depends(principal)]) -> Principal:
    """Return the caller, who must be an administrator."""
    who.require("admin")
    return who


def operator(who: Annotated[Principal, Depends(principal)]) -> Principal:
    """Return the caller: an administrator, or a program with the key of the setting `metrics_key`."""
    if who.via != METRICS:
        who.require("admin")
    return who


def language(request: Request) -> str:
    """Return the language of the response."""
    found = request.scope.get("vur.principal")
    return language_of(request.headers, found.language if found else None)


def if_match(
    if_match: Annotated[str | None, Header(description="Version of the object that the change is based on")] = None,
) -> int | None:
    """Parse the version in `If-Match: "3"`; None without the header or with `*`."""
    if if_match is None or if_match.strip() == "*":
        return None
    text = if_match.strip().removeprefix("W/").strip('"')
    if not text.isascii() or not text.isdigit():
        raise VurError("api.invalid", field="If-Match", reason=phrase("api.reason.version", value=if_match))
    return int(text)


def set_etag(response: Response, row: Any) -> None:
    """Set `ETag` to the version of `row`, for `If-Match` of a later change."""
    response.headers["ETag"] = f'"{row.version}"'


@dataclass(frozen=True)
class Listing:
    """The page of a list: `page` from 1, `limit` rows, sorted by a column (`-` for descending), filtered by a text."""

    page: int = 1
    limit: int = 50
    sort: str | None = None
    search: str | None = None


def listing(
    page: Annotated[int, Query(ge=1, le=1_000_000, description="Page number, from 1")] = 1,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Rows per page")] = 50,
    sort: Annotated[
        str | None, Query(max_length=64, description="Column to sort by; `-created_at` is newest first")
    ] = None,
    search: Annotated[str | None, Query(max_length=200, description="Only rows that contain this text")] = None,
) -> Listing:
    """Return the query parameters of a list."""
    return Listing(page, limit, sort, search)


def downloader(who: Annotated[Principal, Depends(principal)]) -> Principal:
    """Return the caller, who may take data out of the installation; `VurError` api.downloads_off."""
    with reading() as session:
        check_downloads(session, who)
    return who


NO_DOWNLOADS: dict[int | str, dict[str, Any]] = {
    403: {"description": "An administrator has switched downloads off"},
}
Who = Annotated[Principal, Depends(principal)]
Downloader = Annotated[Principal, Depends(downloader)]
Analyst = Annotated[Principal, Depends(analyst)]
Admin = Annotated[Principal, Depends(admin)]
Operator = Annotated[Principal, Depends(operator)]
Language = Annotated[str, Depends(language)]
Version = Annotated[int | None, Depends(if_match)]
Listed = Annotated[Listing, Depends(listing)]


def list_rows(
    session: Session,
    statement: Select[Any],
    asked: Listing,
    *,
    sortable: dict[str, Any],
    searchable: tuple[Any, ...] = (),
    default: str = "-created_at",
) -> tuple[list[Any], dict[str, int]]:
    """Return the rows of one page, and `total, page, limit, pages`.

    `sortable` maps names to columns; `VurError` api.invalid lists them if `sort` is not one. `search` is matched
    literally and case-insensitively against every column in `searchable`.
    """
    if asked.search and searchable:
        text = asked.search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        statement = statement.where(or_(*(column.ilike(f"%{text}%", escape="\\") for column in searchable)))
    name = asked.sort or default
    column = sortable.get(name.removeprefix("-"))
    if column is None:
        raise VurError("api.invalid", field="sort", reason=one_of(name, sortable))
    total = session.scalar(select(func.count()).select_from(statement.order_by(None).subquery())) or 0
    id = next(iter(statement.selected_columns), column)
    ordered = statement.order_by(column.desc() if name.startswith("-") else column.asc(), id)
    rows = list(session.scalars(ordered.limit(asked.limit).offset((asked.page - 1) * asked.limit)))
    return rows, {"total": total, "page": asked.page, "limit": asked.limit, "pages": -(-total // asked.limit)}
