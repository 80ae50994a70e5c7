"""Tables: a number, such as a price, predicted from the other cells of its row."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse, PlainTextResponse
from sqlalchemy import select
from starlette.concurrency import run_in_threadpool

from vur.jobs.tables import NOTEBOOK, REPORT
from vur.predictions import tables as predicting
from vur.serving.dependencies import (
    NO_DOWNLOADS,
    Analyst,
    Downloader,
    Language,
    Listed,
    Version,
    Who,
    list_rows,
    set_etag,
)
from vur.serving.downloads import attachment
from vur.serving.routes.predictions import utc
from vur.serving.routes.training import HTML, PAGE
from vur.serving.routes.training import NOTEBOOK as NOTEBOOKS
from vur.serving.schemas import tables as bodies
from vur.serving.schemas.texts import Moment, Number, ObjectId
from vur.serving.views import tables as views
from vur.store import tables
from vur.store.accounts.access import check_version, visible
from vur.store.catalog import Tabular, TabularPrediction, TabularVersion
from vur.store.data.upload_stream import CHOICES
from vur.store.database import reading, writing
from vur.store.home import folder

router = APIRouter(prefix="/tables", tags=["tables"])
SORTABLE = {
    "created_at": Tabular.created_at,
    "updated_at": Tabular.updated_at,
    "name": Tabular.name,
    "target": Tabular.target,
}
VERSIONS = {
    "number": TabularVersion.number,
    "created_at": TabularVersion.created_at,
    "trained_at": TabularVersion.trained_at,
    "state": TabularVersion.state,
}
PREDICTIONS = {
    "created_at": TabularPrediction.created_at,
    "n_rows": TabularPrediction.n_rows,
    "mean": TabularPrediction.mean,
    "seconds": TabularPrediction.seconds,
    "number": TabularPrediction.number,
}
MISSING: dict[int | str, dict[str, Any]] = {404: {"description": "No such table, or none that you may see"}}
CHANGING = MISSING | {403: {"description": "You may view it, not change it"}}
BUSY: dict[int | str, dict[str, Any]] = {409: {"description": "Another training of the table is not over"}}
UNTRAINED: dict[int | str, dict[str, Any]] = {409: {"description": "The table, or this version of it, is not trained"}}
ROWS = UNTRAINED | {422: {"description": "A column or value that the model cannot take, named with its row"}}
Asked = Annotated[
    int | None, Query(alias="version", ge=1, le=2**31 - 1, description="Default: the version that predicts")
]
FILE = {"type": "string", "format": "binary", "description": "CSV, TSV, Excel or Parquet, plain or in gzip or zip"}
READING = {name: {"type": "string", "description": "Only if detection fails"} for name in CHOICES}
FIT: dict[str, Any] = {
    "algorithms": {"type": "string", "description": "`auto` (default), or ids separated by commas"},
    "hyperparameters": {"type": "string", "examples": ['{"boosting": {"rounds": 400}}']},
    "folds": {"type": "integer", "minimum": 2, "maximum": 20},
    "group": {"type": "string", "description": "Column whose rows stay in one fold"},
    "time": {"type": "string", "description": "Column by which later rows are predicted from earlier ones"},
    "features": {"type": "string", "description": "Columns to predict from, as JSON or separated by commas"},
    "trust": {"type": "string", "description": "Columns to use although they look like copies of the target"},
    "metric": {"type": "string", "enum": ["rmse", "mae"]},
    "levels": {"type": "string", "examples": ["80,95"]},
    "seed": {"type": "integer"},
}


def form(required: list[str], **properties: Any) -> dict[str, Any]:
    """The description of a form with a file."""
    schema = {"type": "object", "required": ["file", *required], "properties": {"file": FILE, **properties, **READING}}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


NEW = form(["target"], target={"type": "string"}, name={"type": "string"}, description={"type": "string"}, **FIT)


# --- tables ---


@router.get("/algorithms", response_model=bodies.TableAlgorithms, summary="Algorithms for tables")
def get_algorithms(who: Who, language: Language) -> dict[str, Any]:
    """All algorithms, simplest first, with their hyperparameters, ranges and defaults."""
    import math

    from vur.tabular.algorithms import TABLE_ALGORITHMS
    from vur.tabular.words import candidate_name
    from vur.text import translate

    items = []
    for one in sorted(TABLE_ALGORITHMS.values(), key=lambda entry: entry.complexity):
        parameters = {
            name: {
                "type": parameter.type,
                "default": parameter.default,
                "min": parameter.min,
                "max": parameter.max,
                "choices": list(parameter.choices) or None,
                "description": translate(parameter.meaning, language),
            }
            for name, parameter in one.parameters.items()
        }
        most = int(one.most) if math.isfinite(one.most) else None
        items.append(
            {"id": one.id, "name": candidate_name(one.id, language), "baseline": one.baseline, "most_rows": most}
            | {"parameters": parameters}
        )
    return {"items": items}


@router.get("", response_model=bodies.TableList, summary="List tables")
def list_tables(who: Who, asked: Listed, language: Language) -> dict[str, Any]:
    """Your tables and those shared with you, each with its newest version; `search` matches names and targets."""
    with reading() as session:
        rows, page = list_rows(
            session,
            visible(select(Tabular), Tabular, who),
            asked,
            sortable=SORTABLE,
            searchable=(Tabular.name, Tabular.description, Tabular.target),
        )
        return {"items": views.shown(session, rows, language)} | page


@router.post("", status_code=202, response_model=bodies.VersionOut, summary="Train a table on a dataset")
def create(body: bodies.TableNew, who: Analyst, language: Language, response: Response) -> dict[str, Any]:
    """Create a table and queue its first training, on a stored dataset."""
    return _started(views.start_dataset(who, language, body), language, response)


@router.post(
    "/upload", status_code=202, response_model=bodies.VersionOut, summary="Train a table on a file", openapi_extra=NEW
)
async def create_from_file(request: Request, who: Analyst, language: Language, response: Response) -> dict[str, Any]:
    """Create a table and queue its first training, on a file that is read as strictly as a dataset's."""
    job = await views.start_form(request, who, language)
    return await run_in_threadpool(_started, job, language, response)


def _started(job: Any, language: str, response: Response) -> dict[str, Any]:
    table, version = views.queued(job)
    response.headers["Location"] = f"{views.AT}/{table.id}"
    with reading() as session:
        return views.version_shown(session, table, version, language)


@router.get("/{table_id}", response_model=bodies.TableOut, summary="One table", responses=MISSING)
def get_table(table_id: ObjectId, who: Who, language: Language, response: Response) -> dict[str, Any]:
    """A table, which version predicts, and its newest version."""
    with reading() as session:
        table = tables.find(session, table_id, who)
        set_etag(response, table)
        return views.shown(session, [table], language)[0]


@router.patch(
    "/{table_id}",
    response_model=bodies.TableOut,
    summary="Change a table",
    responses=CHANGING | UNTRAINED | {412: {"description": "Changed since the version in `If-Match`"}},
)
def change(
    table_id: ObjectId,
    body: bodies.TableChange,
    who: Analyst,
    language: Language,
    expected: Version,
    response: Response,
) -> dict[str, Any]:
    """Change a table's name or description, or let another trained version predict."""
    with writing() as session:
        table = tables.find(session, table_id, who, "edit")
        check_version(table, expected)
        if body.number is not None:
            tables.trained(session, table, body.number)
        for name, value in body.model_dump(exclude_none=True).items():
            setattr(table, name, value)
        session.flush()
        set_etag(response, table)
        return views.shown(session, [table], language)[0]


@router.delete("/{table_id}", status_code=204, summary="Delete a table", responses=CHANGING | BUSY)
def delete(table_id: ObjectId, who: Analyst) -> None:
    """Delete a table with its versions, models, reports and predictions."""
    views.delete(who, table_id)


# --- versions ---


@router.post(
    "/{table_id}/versions",
    status_code=202,
    response_model=bodies.VersionOut,
    summary="Train the next version on a dataset",
    responses=CHANGING | BUSY,
)
def train(
    table_id: ObjectId, body: bodies.VersionNew, who: Analyst, language: Language, response: Response
) -> dict[str, Any]:
    """Queue the training of the next version; what is left out is as in the newest one. Older versions stay."""
    views.check(who, table_id)
    return _started(views.start_dataset(who, language, body, table_id), language, response)


@router.post(
    "/{table_id}/versions/upload",
    status_code=202,
    response_model=bodies.VersionOut,
    summary="Train the next version on a file",
    responses=CHANGING | BUSY,
    openapi_extra=form([], target={"type": "string"}, **FIT),
)
async def train_on_file(
    table_id: ObjectId, request: Request, who: Analyst, language: Language, response: Response
) -> dict[str, Any]:
    """Queue the training of the next version on a file; what is left out is as in the newest one."""
    job = await views.start_form(request, who, language, table_id)
    return await run_in_threadpool(_started, job, language, response)


@router.get("/{table_id}/versions", response_model=bodies.VersionList, summary="The versions", responses=MISSING)
def list_versions(
    table_id: ObjectId, who: Who, asked: Listed, language: Language, state: str | None = None
) -> dict[str, Any]:
    """All versions of a table with their states, the newest first; `search` matches file names."""
    with reading() as session:
        table = tables.find(session, table_id, who)
        statement = select(TabularVersion).where(TabularVersion.table_id == table.id)
        if state is not None:
            statement = statement.where(TabularVersion.state == state)
        rows, page = list_rows(
            session, statement, asked, sortable=VERSIONS, searchable=(TabularVersion.source,), default="-number"
        )
        return {"items": [views.version_shown(session, table, row, language) for row in rows]} | page


@router.get(
    "/{table_id}/versions/{number}", response_model=bodies.VersionDetail, summary="One version", responses=MISSING
)
def get_version(table_id: ObjectId, number: Number, who: Who, language: Language) -> dict[str, Any]:
    """A version: the progress of its training, then what its fit says, its columns, and what was set aside."""
    with reading() as session:
        table = tables.find(session, table_id, who)
        return views.version_detail(session, table, tables.version_of(session, table, number), language)


@router.post(
    "/{table_id}/versions/{number}/cancel",
    status_code=202,
    response_model=bodies.VersionOut,
    summary="Cancel a training of a table",
    responses=CHANGING | {409: {"description": "It is over"}},
)
def cancel(table_id: ObjectId, number: Number, who: Analyst, language: Language) -> dict[str, Any]:
    """Cancel a training: at once if it is queued, within seconds if it runs."""
    views.cancel(who, table_id, number)
    with reading() as session:
        table = tables.find(session, table_id, who)
        return views.version_shown(session, table, tables.version_of(session, table, number), language)


def _trained(table_id: str, who: Any, number: int | None) -> TabularVersion:
    with reading() as session:
        return tables.trained(session, tables.find(session, table_id, who), number)


@router.get(
    "/{table_id}/metrics",
    response_model=bodies.TableMetrics,
    summary="How good a table's model is",
    responses=MISSING | UNTRAINED,
)
def get_metrics(table_id: ObjectId, who: Who, language: Language, version: Asked = None) -> dict[str, Any]:
    """Errors out of fold with skill against the baseline, coverage of the intervals, leaderboard and importances."""
    return views.metrics_shown(_trained(table_id, who, version), language)


@router.get(
    "/{table_id}/cross-validation",
    response_model=bodies.CrossValidation,
    summary="The cross-validation",
    responses=MISSING | UNTRAINED,
)
def get_cross_validation(
    table_id: ObjectId,
    who: Who,
    version: Asked = None,
    fold: Annotated[int | None, Query(ge=1, le=20, description="Only rows of this fold")] = None,
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 50,
) -> dict[str, Any]:
    """The error of each candidate on each fold, and the training rows as predicted by models that had not seen them."""
    return views.cross_validation(_trained(table_id, who, version), page, limit, fold)


@router.get(
    "/{table_id}/figures/{kind}",
    response_model=bodies.TableFigure,
    summary="A figure of a table",
    responses=MISSING | UNTRAINED,
)
def get_figure(
    table_id: ObjectId,
    kind: Literal["predictions", "residuals", "importances"],
    who: Who,
    language: Language,
    version: Asked = None,
) -> dict[str, Any]:
    """Predictions against actual values, errors, or importances, as Plotly draws them."""
    from vur.report.tabular import spec_of

    found = _trained(table_id, who, version)
    spec = spec_of(predicting.open_version(found), kind, language)
    return {"table_id": table_id, "number": found.number, "kind": kind} | spec


@router.get(
    "/{table_id}/report",
    response_class=FileResponse,
    summary="The report of a table",
    responses=MISSING | HTML | UNTRAINED,
)
def get_report(table_id: ObjectId, who: Who, version: Asked = None) -> FileResponse:
    """The report as one self-contained page, for people who do not open notebooks."""
    path = views.file_of(_trained(table_id, who, version), REPORT)
    return FileResponse(path, media_type="text/html; charset=utf-8", headers=PAGE)


@router.get(
    "/{table_id}/notebook",
    response_class=FileResponse,
    summary="The notebook of a table",
    responses=MISSING | NOTEBOOKS | UNTRAINED | NO_DOWNLOADS,
)
def get_notebook(table_id: ObjectId, who: Downloader, version: Asked = None) -> FileResponse:
    """The executed notebook in which the model was made."""
    found = _trained(table_id, who, version)
    headers = attachment(f"table {found.number}", ".ipynb") | {"X-Content-Type-Options": "nosniff"}
    path = views.file_of(found, NOTEBOOK)
    return FileResponse(path, media_type="application/x-ipynb+json", headers=headers)


# --- predictions ---


@router.post("/{table_id}/predict", response_model=bodies.Answered, summary="Predict rows", responses=MISSING | ROWS)
def predict(
    table_id: ObjectId, body: bodies.PredictRows, who: Who, language: Language, request: Request
) -> dict[str, Any]:
    """Predict rows with intervals; the answer enters the history before it is sent.

    What the model has not seen, such as a new level or a value outside its range, is in `notes`.
    """
    version = _trained(table_id, who, body.number)
    asked = request.scope.get("vur.request_id")
    entry, _ = predicting.predict(who, version, body.rows, body.levels, request_id=asked)
    answer = views.answer(entry, version.config["target"], language)
    if len(body.rows) > predicting.KEPT:
        answer["predictions"] = _.loc[:, [name for name in _.columns if _is_answer(name)]].to_dict("records")
    return answer


def _is_answer(name: str) -> bool:
    return name == "prediction" or name.startswith(("lo-", "hi-"))


@router.post(
    "/{table_id}/predict/upload",
    response_model=bodies.Answered,
    summary="Predict the rows of a file",
    responses=MISSING | ROWS,
    openapi_extra=form([], levels={"type": "string", "examples": ["80,95"]}),
)
async def predict_file(
    table_id: ObjectId, request: Request, who: Who, language: Language, version: Asked = None
) -> dict[str, Any]:
    """Predict the rows of a file; the answer has the first 1,000, and a link to the file with all of them."""
    await run_in_threadpool(_trained, table_id, who, version)
    return await views.predict_form(request, who, language, table_id, version)


@router.get(
    "/{table_id}/predictions",
    response_model=bodies.PredictionList,
    summary="The history of predictions",
    responses=MISSING,
)
def list_predictions(
    table_id: ObjectId,
    who: Who,
    asked: Listed,
    version: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    kind: Literal["rows", "file"] | None = None,
    since: Annotated[Moment | None, Query(description="Answered at this moment or later; UTC without offset")] = None,
    until: Annotated[Moment | None, Query(description="Answered before this moment")] = None,
    least: Annotated[float | None, Query(description="Only those with a mean prediction of at least this")] = None,
    most: Annotated[float | None, Query(description="Only those with a mean prediction of at most this")] = None,
) -> dict[str, Any]:
    """Answered predictions of a table, newest first: those of all for its owner, else your own.

    `search` matches names of files.
    """
    of = TabularPrediction
    with reading() as session:
        table = tables.find(session, table_id, who)
        statement = select(of).where(of.table_id == table.id)
        if table.owner_id != who.user_id and not who.is_admin:
            statement = statement.where(of.owner_id == who.user_id)
        wanted = (
            (version, of.number.__eq__),
            (kind, of.kind.__eq__),
            (utc(since), of.created_at.__ge__),
            (utc(until), of.created_at.__lt__),
            (least, of.mean.__ge__),
            (most, of.mean.__le__),
        )
        for value, condition in wanted:
            if value is not None:
                statement = statement.where(condition(value))
        rows, page = list_rows(session, statement, asked, sortable=PREDICTIONS, searchable=(of.source,))
        return {"items": [views.prediction_shown(row) for row in rows]} | page


@router.get("/{table_id}/usage", response_model=bodies.Usage, summary="How a table was used", responses=MISSING)
def get_usage(table_id: ObjectId, who: Who) -> dict[str, Any]:
    """Requests, rows and mean time of the answers, by version."""
    with reading() as session:
        table = tables.find(session, table_id, who)
        items = tables.usage(session, table)
    totals = {name: sum(one[name] for one in items) for name in ("requests", "rows")}
    return {"table_id": table_id, "items": items} | totals


@router.get(
    "/{table_id}/predictions/{prediction_id}",
    response_model=bodies.PredictionDetail,
    summary="One prediction",
    responses=MISSING,
)
def get_prediction(table_id: ObjectId, prediction_id: ObjectId, who: Who, language: Language) -> dict[str, Any]:
    """A prediction of the history with the first rows that were given, and their answers."""
    with reading() as session:
        row = tables.prediction_of(session, tables.find(session, table_id, who), prediction_id, who)
    return views.prediction_shown(row) | {"rows": row.rows, "notes": views.notes_shown(row.notes, language)}


@router.get(
    "/{table_id}/predictions/{prediction_id}/download",
    response_class=PlainTextResponse,
    summary="Download a predicted file",
    responses=MISSING | NO_DOWNLOADS | {200: {"content": {"text/csv": {}}}, 409: {"description": "It was no file"}},
)
def download(table_id: ObjectId, prediction_id: ObjectId, who: Downloader) -> Response:
    """All rows of a predicted file with their predictions and intervals, as CSV."""
    import pandas as pd

    from vur.errors import VurError
    from vur.spreadsheets import safe_frame

    with reading() as session:
        row = tables.prediction_of(session, tables.find(session, table_id, who), prediction_id, who)
    path = folder("results", row.id) / predicting.ANSWER
    if row.kind != "file" or not path.is_file():
        raise VurError("tables.no_file", id=prediction_id)
    content = safe_frame(pd.read_parquet(path)).to_csv(index=False)
    headers = attachment(f"predictions-{row.id[:8]}", ".csv") | {"X-Content-Type-Options": "nosniff"}
    return Response(content, media_type="text/csv; charset=utf-8", headers=headers)
