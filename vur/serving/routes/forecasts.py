"""The forecasts of a model for people: history, vintages, worst series, reasons, what-if, overrides, publications."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Query, Request, Response
from fastapi.responses import StreamingResponse

from vur.errors import VurError
from vur.languages import LanguageChoice
from vur.predictions import export, outlook, reasons, snapshot, vintages, worst
from vur.predictions import what_if as scenarios
from vur.serving.dependencies import NO_DOWNLOADS, Analyst, Downloader, Language, Who
from vur.serving.downloads import EXCEL, attachment
from vur.serving.schemas import forecasts as bodies
from vur.serving.schemas.texts import ObjectId
from vur.serving.validation import one_of
from vur.serving.views import overriding
from vur.store.accounts.access import fetch
from vur.store.catalog import Model, Publication
from vur.store.database import reading, writing
from vur.store.forecasts import publications
from vur.store.models.champions import find_served
from vur.store.operations.switches import check_downloads
from vur.text import translate

router = APIRouter(prefix="/models", tags=["forecasts"])
MISSING: dict[int | str, dict[str, Any]] = {404: {"description": "No such model, or none that you may see"}}
UNTRAINED = MISSING | {409: {"description": "The model is not trained, or its files were modified"}}
CHANGERS = MISSING | {403: {"description": "For analysts who may change the model"}}
DAYS = 7  # that a link works by default
PUBLICATION = (
    "model_id",
    "title",
    "language",
    "series",
    "owner_id",
    "created_at",
    "expires_at",
    "revoked_at",
    "views",
    "viewed_at",
)
Series = Annotated[str | None, Query(max_length=500, description="One series; the sum of all by default")]
Steps = Annotated[int | None, Query(ge=1, le=10_000, description="Steps ahead; as trained by default")]


@router.get(
    "/{model_id}/history", response_model=bodies.History, responses=UNTRAINED, summary="Observed values and forecast"
)
def get_history(
    model_id: ObjectId,
    who: Who,
    language: Language,
    series: Series = None,
    start: Annotated[str | None, Query(alias="from", max_length=40, description="First date")] = None,
    end: Annotated[str | None, Query(alias="to", max_length=40, description="Last date")] = None,
    points: Annotated[int, Query(ge=4, le=20_000, description="Most points of a curve")] = outlook.POINTS,
    horizon: Steps = None,
) -> dict[str, Any]:
    """A series as a chart needs it: what was observed, what came after the training, and the forecast with overrides.

    Long histories are thinned so that every extreme stays; ask for a range to see finer points. Writes no ledger entry.
    """
    return outlook.history(
        who, model_id, series, start=start, end=end, points=points, horizon=horizon, language=language
    )


@router.get(
    "/{model_id}/vintages", response_model=bodies.Vintages, responses=UNTRAINED, summary="Past forecasts and what came"
)
def get_vintages(
    model_id: ObjectId,
    who: Who,
    series: Series = None,
    lead: Annotated[
        int | None, Query(ge=1, le=10_000, description="Also what was forecast so many steps ahead")
    ] = None,
    level: Annotated[float | None, Query(gt=0, lt=100, description="Level of the interval; the widest trained one")] = (
        None
    ),
    limit: Annotated[int, Query(ge=1, le=100, description="Most issues")] = 12,
) -> dict[str, Any]:
    """Earlier forecasts of a series, by issue and by lead, beside the actual values.

    They are answered forecasts of the whole family that you may see, and those of the folds of the training.
    """
    return vintages.vintages(who, model_id, series, lead=lead, level=level, limit=limit)


@router.get(
    "/{model_id}/series", response_model=bodies.SeriesList, responses=UNTRAINED, summary="Series and their errors"
)
def get_series(
    model_id: ObjectId,
    who: Who,
    sort: Annotated[str, Query(max_length=64, description="Column to sort by; `-share` is the worst first")] = (
        worst.WORST
    ),
    search: Annotated[str | None, Query(max_length=200, description="Only series that contain this text")] = None,
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 50,
) -> dict[str, Any]:
    """The series of a model with their errors over the folds and in the ledger, by default the worst first."""
    if sort.removeprefix("-") not in worst.SORTABLE:
        raise VurError("api.invalid", field="sort", reason=one_of(sort, worst.SORTABLE))
    return worst.series_errors(who, model_id, sort=sort, search=search, page=page, limit=limit)


@router.get("/{model_id}/why", response_model=bodies.Why, responses=UNTRAINED, summary="Why a forecast is what it is")
def get_why(
    model_id: ObjectId,
    who: Who,
    language: Language,
    series: Annotated[str | None, Query(max_length=500, description="Needed where the model has several")] = None,
    at: Annotated[str | None, Query(max_length=40, description="Date of the forecast; the next one by default")] = None,
) -> dict[str, Any]:
    """One forecast and the parts it is made of, in numbers and in words; the parts add up to it."""
    return reasons.why(who, model_id, series, at, language)


@router.get(
    "/{model_id}/future", response_model=bodies.FutureColumns, responses=UNTRAINED, summary="Known-future columns"
)
def get_future(
    model_id: ObjectId,
    who: Who,
    series: Series = None,
    horizon: Steps = None,
) -> dict[str, Any]:
    """The columns that a what-if may change: their values to come, and their range in training."""
    return scenarios.known_future(who, model_id, series, horizon)


@router.post(
    "/{model_id}/what-if", response_model=bodies.WhatIfOut, responses=UNTRAINED, summary="Forecast with changed columns"
)
def post_what_if(model_id: ObjectId, body: bodies.WhatIf, who: Who, language: Language) -> dict[str, Any]:
    """The forecast of a series, or of the sum, with changed known-future columns and without. Nothing is stored."""
    return scenarios.what_if(who, model_id, body.changes, body.series, body.horizon, language)


@router.get(
    "/{model_id}/forecast/download",
    response_class=Response,
    summary="Download the forecast",
    responses=UNTRAINED | NO_DOWNLOADS | {200: {"content": {"text/csv": {}, EXCEL: {}}}},
)
def download_forecast(
    model_id: ObjectId,
    who: Downloader,
    language: Language,
    format: Literal["csv", "xlsx"] = "csv",
    dialect: Annotated[
        LanguageChoice, Query(description="Headings, delimiter and decimal mark; `auto`: of the user's language")
    ] = "auto",
    series: Annotated[str | None, Query(max_length=500, description="One series; all by default")] = None,
    horizon: Steps = None,
) -> Response:
    """The official forecast with the model's values, intervals and overrides, as CSV or Excel.

    Text that a spreadsheet would take for a formula stays text.
    """
    chosen = language if dialect == "auto" else dialect
    table = export.forecast_table(who, model_id, series, horizon, chosen)
    if format == "csv":
        pieces = export.csv_pieces(table, chosen)
        headers = attachment(table.name, ".csv")
        return StreamingResponse(pieces, media_type="text/csv; charset=utf-8", headers=headers)
    content = export.workbook(table, translate("forecasts.sheet", chosen))
    return Response(content, media_type=EXCEL, headers=attachment(table.name, ".xlsx"))


# --- overrides ---


@router.get("/{model_id}/overrides", response_model=bodies.OverrideList, responses=MISSING, summary="List overrides")
def list_overrides(
    model_id: ObjectId,
    who: Who,
    series: Annotated[str | None, Query(max_length=500, description="Only of this series")] = None,
    state: Annotated[Literal["active", "withdrawn", "replaced"] | None, Query()] = None,
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 50,
) -> dict[str, Any]:
    """The changes that people made to forecasts of the model's family, withdrawn ones too, and what they were worth."""
    with reading() as session:
        return overriding.listed(session, fetch(session, Model, model_id, who), series, state, page, limit)


@router.post(
    "/{model_id}/overrides",
    status_code=201,
    response_model=bodies.OverrideOut,
    responses=UNTRAINED,
    summary="Override a forecast",
)
def add_override(model_id: ObjectId, body: bodies.OverrideIn, who: Analyst, language: Language) -> dict[str, Any]:
    """Put a value in place of the forecast of a series and date, or a factor on a range of dates, with the reason.

    It is kept for good: a newer one for the same date replaces it, and withdrawing leaves it in the history. When the
    actual values come, its error is compared with that of the model. Totals of a hierarchy do not follow.
    """
    return overriding.add(who, model_id, body.model_dump(), language)


@router.post(
    "/{model_id}/overrides/{override_id}/withdraw",
    response_model=bodies.OverrideOut,
    responses=MISSING | {409: {"description": "Withdrawn before, or actual values are known"}},
    summary="Withdraw an override",
)
def withdraw_override(
    model_id: ObjectId, override_id: ObjectId, who: Analyst, body: Annotated[bodies.Withdraw | None, Body()] = None
) -> dict[str, Any]:
    """Let the forecast of the model count again; the override stays in the history."""
    return overriding.withdraw(who, model_id, override_id, body.reason if body else "")


# --- publications ---


@router.get(
    "/{model_id}/publications", response_model=bodies.PublicationList, responses=CHANGERS, summary="List publications"
)
def list_publications(model_id: ObjectId, who: Analyst) -> dict[str, Any]:
    """The published forecasts of a model that you may change, expired and revoked ones too."""
    with reading() as session:
        model = fetch(session, Model, model_id, who, "edit")
        items = [_publication(row) for row in publications.of_model(session, model.id)]
    return {"items": items, "total": len(items)}


@router.post(
    "/{model_id}/publications",
    status_code=201,
    response_model=bodies.Published,
    responses=UNTRAINED,
    summary="Publish a forecast",
)
def publish(
    model_id: ObjectId,
    who: Analyst,
    language: Language,
    request: Request,
    body: Annotated[
        bodies.Publish | None, Body(openapi_examples={"week": {"value": {"days": 7, "title": "Next weeks"}}})
    ] = None,
) -> dict[str, Any]:
    """Make a read-only page of the forecast as it is now, which everybody with the link may open until it expires.

    The link holds a secret of which only a hash is stored: it is shown once. Where downloads are switched off, only
    administrators publish.
    """
    asked = body or bodies.Publish(days=DAYS, series=None, language=None, title=None)
    with reading() as session:
        check_downloads(session, who)
        name = fetch(session, Model, model_id, who, "edit").name
        served = find_served(session, who, model_id)
    content = snapshot.snapshot(who, served, asked.series, language)
    with writing(durable=True) as session:
        row, token = publications.publish(
            session,
            fetch(session, Model, model_id, who, "edit"),
            who.user_id,
            title=asked.title or name,
            language=asked.language or language,
            series=[part["series"] for part in content["series"]],
            days=asked.days,
            content=content,
        )
        path = f"/published/{token}"
        return _publication(row) | {"path": path, "url": f"{str(request.base_url).rstrip('/')}{path}"}


@router.delete(
    "/{model_id}/publications/{publication_id}",
    response_model=bodies.PublicationOut,
    responses=MISSING,
    summary="Revoke a publication",
)
def revoke(model_id: ObjectId, publication_id: ObjectId, who: Analyst) -> dict[str, Any]:
    """End a published link at once; revoking it again changes nothing."""
    with writing(durable=True) as session:
        model = fetch(session, Model, model_id, who, "edit")
        return _publication(publications.revoke(session, model, publication_id, who.user_id))


def _publication(row: Publication) -> dict[str, Any]:
    state = publications.state(row)
    return {"publication_id": row.id, "state": state} | {key: getattr(row, key) for key in PUBLICATION}
