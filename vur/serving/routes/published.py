"""The page of a published forecast, for everybody who has its link."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from vur.errors import VurError
from vur.languages import LANGUAGES
from vur.serving.errors import language_of
from vur.serving.middleware.clients import address_of
from vur.serving.middleware.guard import PUBLISHED
from vur.serving.views import published
from vur.serving.views.throttle import attempt
from vur.store.database import reading, writing
from vur.store.forecasts import publications

router = APIRouter(tags=["forecasts"])
WINDOW = timedelta(minutes=5)
OPENED, MISSED = 300, 30  # requests of one address per window: of one page, and those with a token that is none
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
    "Cache-Control": "private, no-store",
}
HTML: dict[int | str, dict[str, Any]] = {
    404: {"description": "Expired, revoked or unknown", "content": {"text/html": {}}},
    429: {"description": "Too many requests", "content": {"text/html": {}}},
}


@router.get(f"{PUBLISHED}{{token}}", response_class=HTMLResponse, responses=HTML, summary="A published forecast")
def get_published(
    token: str,
    request: Request,
    language: Annotated[str | None, Query(max_length=8, description="Language of the page")] = None,
) -> HTMLResponse:
    """A forecast as it was when it was published: one page without scripts that needs nothing else, and no account."""
    with reading() as session:
        row = publications.find_published(session, token)
    chosen = row.language if row else language_of(request.headers)  # its author knows the readers
    reader = language if language in LANGUAGES else chosen
    if not _allowed(address_of(request.scope), row.id if row else None):
        return _page(published.message("throttled", reader), 429)
    if row is None:
        return _page(published.message("gone", reader), 404)
    return _page(published.page(row, reader), 200)


def _allowed(address: str, publication_id: str | None) -> bool:
    """Count a request of `address`, and the reading of a publication; False if there were too many."""
    try:
        with writing() as session:
            if publication_id is None:
                attempt(session, f"published:{address}", MISSED, WINDOW)
            else:
                attempt(session, f"published:{publication_id}:{address}", OPENED, WINDOW)
                publications.note_view(session, publication_id)
    except VurError as error:
        if error.code != "api.throttled":
            raise
        return False
    return True


def _page(content: str, status: int) -> HTMLResponse:
    return HTMLResponse(content, status, HEADERS)
