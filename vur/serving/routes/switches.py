"""Switches of the installation: all may read them, administrators turn them."""

from typing import Any

from fastapi import APIRouter
from sqlalchemy.orm import Session

from vur.serving.dependencies import Admin, Who
from vur.serving.middleware.logs import log
from vur.serving.schemas.switches import SwitchesIn, SwitchesOut
from vur.store.accounts.access import Principal
from vur.store.database import reading, writing
from vur.store.operations import switches

router = APIRouter(prefix="/switches", tags=["switches"])


@router.get("", response_model=SwitchesOut, summary="Switches of the installation")
def get_switches(who: Who) -> dict[str, Any]:
    """What administrators have switched on or off for everybody."""
    with reading() as session:
        return _shown(session, who)


@router.put(
    "", response_model=SwitchesOut, summary="Turn switches", responses={403: {"description": "Only for administrators"}}
)
def turn_switches(body: SwitchesIn, who: Admin) -> dict[str, Any]:
    """Switch something on or off for everybody, at once and in every process.

    Without `downloads`, datasets, results of batches and notebooks of models cannot be downloaded, except by
    administrators; what the pages show stays visible.
    """
    changes = body.model_dump(exclude_none=True)
    with writing() as session:
        switches.turn(session, who, changes)
        shown = _shown(session, who)
    log.info("switches turned", user_id=who.user_id, **changes)
    return shown


def _shown(session: Session, who: Principal) -> dict[str, Any]:
    found = switches.switches(session)
    return {
        "downloads": found.downloads,
        "may_download": found.downloads or who.is_admin,
        "updated_at": switches.turned_at(session),
    }
