"""What a list of datasets says of each: owner, versions, bytes, who uses it, and what the reader may do."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, case, func, select
from sqlalchemy.orm import Session

from vur.store.accounts.access import Principal, visible
from vur.store.catalog import Dataset, DatasetVersion, Job, Model, Pipeline, Share, User
from vur.store.data.datasets import stored_bytes

OWNERS = ("all", "mine", "shared")


def version_count() -> ColumnElement[int]:
    """The number of a dataset's versions."""
    return _of(select(func.count()).select_from(DatasetVersion).where(DatasetVersion.dataset_id == Dataset.id))


def model_count() -> ColumnElement[int]:
    """The number of models that were made from a dataset."""
    return _of(select(func.count()).select_from(Model).where(Model.dataset_id == Dataset.id))


def owner_name() -> ColumnElement[str]:
    """The name of a dataset's owner: the full name, or the user name without one."""
    return _of(select(name_of(User)).where(User.id == Dataset.owner_id))


def last_use() -> ColumnElement[datetime]:
    """When a dataset was last used: its newest job or model; its creation where it never was."""
    job = _of(select(func.max(Job.created_at)).where(Job.dataset_id == Dataset.id))
    model = _of(select(func.max(Model.created_at)).where(Model.dataset_id == Dataset.id))
    return func.coalesce(case((job > model, job), else_=func.coalesce(model, job)), Dataset.created_at)


def _of(statement: Select[Any]) -> Any:
    return statement.correlate(Dataset).scalar_subquery()


def name_of(user: type[User]) -> ColumnElement[str]:
    """The full name of a user, or the user name without one."""
    return case((user.full_name != "", user.full_name), else_=user.username)


def owned(statement: Select[Any], who: Principal, whose: str) -> Select[Any]:
    """Limit a statement to the datasets of `who` (`mine`) or of others (`shared`); not with `all`."""
    own = Dataset.owner_id == who.user_id
    return statement if whose == "all" else statement.where(own if whose == "mine" else ~own)


def overview(session: Session, datasets: Sequence[Dataset], who: Principal) -> dict[str, dict[str, Any]]:
    """By id: `owner, right, versions, stored_bytes, models, pipelines, shares, last_used_at` of each dataset.

    `right` is `own`, `edit` or `view`; `shares` are the people who were given a right; `last_used_at` is None before
    the first job or model.
    """
    ids = [row.id for row in datasets]
    used = case((last_use() != Dataset.created_at, last_use()), else_=None)
    columns = select(Dataset.id, owner_name(), version_count(), stored_bytes(), model_count(), used)
    pipelines = _counts(session, select(Pipeline.dataset_id, func.count()).where(Pipeline.dataset_id.in_(ids)))
    shared = select(Share.object_id, func.count()).where(Share.kind == "dataset", Share.object_id.in_(ids))
    shares = _counts(session, shared)
    rights = rights_of(session, datasets, who)
    return {
        id: {
            "owner": owner,
            "right": rights[id],
            "versions": versions,
            "stored_bytes": size,
            "models": models,
            "pipelines": pipelines.get(id, 0),
            "shares": shares.get(id, 0) if rights[id] == "own" else None,
            "last_used_at": last,
        }
        for id, owner, versions, size, models, last in session.execute(columns.where(Dataset.id.in_(ids)))
    }


def _counts(session: Session, statement: Select[*tuple[Any, ...]]) -> dict[str, int]:
    return {id: count for id, count in session.execute(statement.group_by(*list(statement.selected_columns)[:1]))}


def rights_of(session: Session, rows: Sequence[Any], who: Principal, kind: str = "dataset") -> dict[Any, str]:
    """What `who`, who may see the rows, may do with each: `own` (all), `edit` or `view`; viewers only view."""
    given = select(Share.object_id, Share.right).where(Share.kind == kind, Share.user_id == who.user_id)
    shares = {id: right for id, right in session.execute(given)}
    if who.role == "viewer":
        return {row.id: "view" for row in rows}
    return {
        row.id: "own" if who.is_admin or row.owner_id == who.user_id else shares.get(str(row.id), "view")
        for row in rows
    }


def users_of(session: Session, dataset: Dataset, who: Principal, most: int = 100) -> dict[str, list[dict[str, Any]]]:
    """The `models` and `pipelines` that use a dataset, as far as `who` may see them, the newest first."""
    models = visible(select(Model).where(Model.dataset_id == dataset.id), Model, who)
    pipelines = visible(select(Pipeline).where(Pipeline.dataset_id == dataset.id), Pipeline, who)
    return {
        "used_by_models": [
            {
                "model_id": row.id,
                "dataset_version": row.dataset_number,
                **{name: getattr(row, name) for name in ("name", "algorithm", "status", "created_at")},
            }
            for row in session.scalars(models.order_by(Model.created_at.desc()).limit(most))
        ],
        "used_by_pipelines": [
            {"pipeline_id": row.id, **{name: getattr(row, name) for name in ("name", "status", "step", "updated_at")}}
            for row in session.scalars(pipelines.order_by(Pipeline.updated_at.desc()).limit(most))
        ],
    }
