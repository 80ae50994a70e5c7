"""The dashboard: statistics, recent activity, recommended tasks and alerts, all computed from the catalog."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from sqlalchemy import CursorResult, select, update
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.serving.dependencies import Analyst, Language, Listed, Listing, Who, list_rows
from vur.serving.schemas import dashboard as bodies
from vur.serving.schemas.texts import Moment, ObjectId
from vur.serving.views import dashboard as views
from vur.serving.views.champions import champion_forecasts
from vur.store import dashboard, figures
from vur.store.accounts.access import Principal, fetch, visible
from vur.store.catalog import Activity, Alert, now
from vur.store.database import reading, writing
from vur.text import phrase

router = APIRouter(prefix="/dashboard", tags=["dashboard"])
Kind = Annotated[str | None, Query(max_length=32, pattern="^[a-z_]+$")]
OPEN = {
    "open": (Alert.resolved_at.is_(None), Alert.acknowledged_at.is_(None)),
    "acknowledged": (Alert.resolved_at.is_(None), Alert.acknowledged_at.is_not(None)),
    "resolved": (Alert.resolved_at.is_not(None),),
    "all": (),
}


@router.get("/stats", response_model=bodies.Stats, summary="Dashboard statistics")
def get_stats(who: Who) -> dict[str, Any]:
    """Models, accuracy, datasets and alerts, each compared with the previous period."""
    with reading() as session:
        return dashboard.stats(session, who)


@router.get("/figures", response_model=bodies.Figures, summary="Figures with their history")
def get_figures(who: Who) -> dict[str, Any]:
    """Models, skill against the seasonal naive forecast, datasets and open alerts, each over the last 30 days."""
    with reading() as session:
        return figures.figures(session, who)


@router.get("/forecasts", response_model=bodies.Champions, summary="Champions' forecasts")
def get_forecasts(
    who: Who,
    limit: Annotated[int, Query(ge=1, le=12, description="Most champions, the last trained first")] = 6,
    actuals: Annotated[int, Query(ge=2, le=500, description="Last values before each forecast")] = 60,
) -> dict[str, Any]:
    """The current forecast of each champion's largest series, with intervals and the values before it."""
    return {"items": champion_forecasts(who, limit, actuals)}


@router.get("/activity", response_model=bodies.Activities, summary="Recent activity")
def get_activity(
    who: Who,
    language: Language,
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    type: Kind = None,
    status: Kind = None,
    object_kind: Kind = None,
    object_id: Annotated[str | None, Query(max_length=64, pattern="^[A-Za-z0-9_-]+$")] = None,
    since: Annotated[Moment | None, Query(description="Only activities from this moment on; with a time zone")] = None,
) -> dict[str, Any]:
    """What you did and what happened to your objects, newest first."""
    if since is not None and since.tzinfo is None:
        raise VurError("api.invalid", field="since", reason=phrase("api.reason.no_zone"))
    query = dashboard.activities(
        who, kind=type, status=status, object_kind=object_kind, object_id=object_id, since=since
    )
    with reading() as session:
        rows, found = list_rows(session, query, Listing(page, limit), sortable={"created_at": Activity.created_at})
        return {"activities": [views.activity_shown(row, language) for row in rows]} | found


@router.get("/tasks", response_model=bodies.Tasks, summary="Recommended tasks")
def get_tasks(who: Who, language: Language) -> dict[str, Any]:
    """Tasks that the state of your data and models calls for, most urgent first, each with its reason."""
    with reading() as session:
        found = dashboard.tasks(session, who) + views.future_tasks(session, who)
    found.sort(key=lambda task: (dashboard.PRIORITY[task["priority"]], -task["since"].timestamp()))
    return {"tasks": [views.task_shown(task, language) for task in found], "total": len(found)}


@router.get("/alerts", response_model=bodies.AlertList, summary="Alerts")
def list_alerts(
    who: Who,
    asked: Listed,
    language: Language,
    state: Literal["open", "acknowledged", "resolved", "all"] = "open",
    severity: Literal["info", "warning", "error"] | None = None,
) -> dict[str, Any]:
    """Your alerts, newest first."""
    query = visible(select(Alert).where(*OPEN[state]), Alert, who)
    with reading() as session:
        rows, page = list_rows(
            session,
            query.where(Alert.severity == severity) if severity else query,
            asked,
            sortable={"created_at": Alert.created_at, "severity": Alert.severity, "type": Alert.kind},
        )
        return {"items": [views.alert_shown(row, language) for row in rows]} | page


@router.post(
    "/alerts/{alert_id}/acknowledge",
    response_model=bodies.AlertOut,
    summary="Acknowledge an alert",
    responses={404: {"description": "No such alert, or not yours"}},
)
def acknowledge(alert_id: ObjectId, who: Analyst, language: Language) -> dict[str, Any]:
    """Acknowledge an alert: it no longer counts as open, and is raised again if its cause recurs."""
    with writing() as session:
        alert = fetch(session, Alert, alert_id, who, "own")
        alert.acknowledged_at = alert.acknowledged_at or now()
        return views.alert_shown(alert, language)


@router.post("/alerts/acknowledge", response_model=bodies.Acknowledged, summary="Acknowledge all alerts")
def acknowledge_all(who: Analyst) -> dict[str, int]:
    """Acknowledge all open alerts."""
    with writing() as session:
        return {"acknowledged": _acknowledge_all(session, who)}


def _acknowledge_all(session: Session, who: Principal) -> int:
    mine = update(Alert).where(*OPEN["open"], Alert.owner_id == who.user_id).values(acknowledged_at=now())
    result = session.execute(mine)
    assert isinstance(result, CursorResult)  # as for every UPDATE
    return result.rowcount
