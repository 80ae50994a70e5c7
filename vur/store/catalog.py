"""The tables of the catalog: users, datasets, models, jobs, forecasts and monitors.

Ids are random UUIDs as text, timestamps are UTC. Objects that users edit have a `version`, which an update must match.
Data rows and model files are not in the catalog, but in the data home, under the ids and tags that it refers to.
"""

import uuid
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column

from vur.languages import DEFAULT_LANGUAGE

ROLES = ("viewer", "analyst", "admin")
SHARED = ("dataset", "pipeline", "model", "connection", "monitor", "machine", "table")
NAMES = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
}
Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
Serial = BigInteger().with_variant(Integer, "sqlite")  # SQLite generates keys only for INTEGER


def now() -> datetime:
    """The current time in UTC."""
    return datetime.now(UTC)


def new_id() -> str:
    """A random UUID as text."""
    return str(uuid.uuid4())


class Utc(TypeDecorator[datetime]):
    """A timestamp: stored in UTC, and read with its time zone even if the database has no time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        """Convert to UTC; `ValueError` for a timestamp without time zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        """Convert to UTC with time zone."""
        return None if value is None else value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """The base of all tables."""

    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {
        datetime: Utc,
        dict[str, Any]: Json,
        list[Any]: Json,
        str: Text,
        float: Float,
        bool: Boolean,
        int: Integer,
    }


class Created:
    """A row with an id and the time of its creation."""

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    created_at: Mapped[datetime] = mapped_column(default=now, index=True)


class Edited(Created):
    """A row that users edit: `version` counts its changes and prevents lost updates."""

    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)
    version: Mapped[int] = mapped_column(default=1)

    @declared_attr.directive
    def __mapper_args__(cls) -> dict[str, Any]:
        """Let every update check the version that was read."""
        return {"version_id_col": cls.version}


class User(Edited, Base):
    """A user: `role` is one of `ROLES`, `email` is in lower case; a higher `epoch` invalidates all access tokens."""

    __tablename__ = "users"
    email: Mapped[str] = mapped_column(String(254), unique=True)
    username: Mapped[str] = mapped_column(String(64), unique=True)
    full_name: Mapped[str] = mapped_column(default="")
    password_hash: Mapped[str]
    role: Mapped[str] = mapped_column(String(16), default="analyst")
    active: Mapped[bool] = mapped_column(default=True)
    language: Mapped[str] = mapped_column(String(8), default=DEFAULT_LANGUAGE)
    quota_bytes: Mapped[int | None] = mapped_column(BigInteger)
    epoch: Mapped[int] = mapped_column(default=0)
    last_login_at: Mapped[datetime | None]


class Session(Created, Base):
    """A login: a chain of rotating refresh tokens, which the reuse of an old token ends."""

    __tablename__ = "sessions"
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    refresh_hash: Mapped[str] = mapped_column(String(64), unique=True)
    previous_hash: Mapped[str | None] = mapped_column(String(64), index=True)
    agent: Mapped[str] = mapped_column(default="")
    refreshed_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class ApiKey(Created, Base):
    """An API key: only its hash is stored; `prefix` is shown to its owner."""

    __tablename__ = "api_keys"
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str]
    prefix: Mapped[str] = mapped_column(String(16))
    key_hash: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[str | None] = mapped_column(String(16))
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class Counter(Base):
    """A counter over a time window, shared by all processes, as the throttling of logins needs it."""

    __tablename__ = "counters"
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    window_start: Mapped[datetime]
    count: Mapped[int] = mapped_column(default=0)


class Share(Created, Base):
    """A user's right to an object of another user: `view` or `edit`."""

    __tablename__ = "shares"
    __table_args__ = (UniqueConstraint("kind", "object_id", "user_id"),)
    kind: Mapped[str] = mapped_column(String(16))
    object_id: Mapped[str] = mapped_column(String(36), index=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    right: Mapped[str] = mapped_column(String(8), default="view")


class Switch(Base):
    """A choice of the administrators for the whole installation (`vur.store.operations.switches`)."""

    __tablename__ = "switches"
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[dict[str, Any]]
    user_id: Mapped[str | None] = mapped_column(String(36))
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)


class Owned:
    """A row that belongs to a user."""

    owner_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)


class Dataset(Owned, Edited, Base):
    """An uploaded table: `head` is the upload's result, `config` the user's choices, `number` the current version.

    With `deleted_at` it waits for its files to be deleted, hidden from all; `unlinked` has the ids of the `models` and
    `pipelines` that lost their link to it then, and get it back when it is restored.
    """

    __tablename__ = "datasets"
    name: Mapped[str]
    description: Mapped[str] = mapped_column(default="")
    filename: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    fingerprint: Mapped[str] = mapped_column(String(64), index=True)
    rows: Mapped[int] = mapped_column(BigInteger)
    head: Mapped[dict[str, Any]]
    config: Mapped[dict[str, Any]] = mapped_column(default=dict)
    split: Mapped[dict[str, Any]] = mapped_column(default=dict)
    number: Mapped[int] = mapped_column(default=1)
    deleted_at: Mapped[datetime | None] = mapped_column(index=True)
    unlinked: Mapped[dict[str, Any] | None]


class DatasetVersion(Created, Base):
    """An immutable Parquet version of a dataset: the upload is number 1, later uploads and preparation add more."""

    __tablename__ = "dataset_versions"
    __table_args__ = (UniqueConstraint("dataset_id", "number"),)
    dataset_id: Mapped[str] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"))
    number: Mapped[int]
    kind: Mapped[str] = mapped_column(String(16))
    fingerprint: Mapped[str] = mapped_column(String(64))
    folder: Mapped[str]
    rows: Mapped[int] = mapped_column(BigInteger)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    recipe: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Upload(Owned, Created, Base):
    """An upload: the bytes up to `received` are in the data home under its id.

    `size_bytes` is None if the file comes in one request. `state` is `receiving, converting, done` or `failed`; the
    converting process updates `updated_at` every few seconds. `options` are those for reading the file.
    """

    __tablename__ = "uploads"
    filename: Mapped[str]
    name: Mapped[str] = mapped_column(default="")
    description: Mapped[str] = mapped_column(default="")
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    received: Mapped[int] = mapped_column(BigInteger, default=0)
    state: Mapped[str] = mapped_column(String(16), default="receiving", index=True)
    options: Mapped[dict[str, Any]] = mapped_column(default=dict)
    language: Mapped[str] = mapped_column(String(8), default=DEFAULT_LANGUAGE)
    progress: Mapped[float] = mapped_column(default=0.0)
    dataset_id: Mapped[str | None] = mapped_column(String(36))
    error: Mapped[dict[str, Any] | None]
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)


class Pipeline(Owned, Edited, Base):
    """The seven steps from a dataset to a model: the user's current step and choices, `config` as in pipeline.yaml."""

    __tablename__ = "pipelines"
    name: Mapped[str]
    description: Mapped[str] = mapped_column(default="")
    status: Mapped[str] = mapped_column(String(16), default="draft")
    dataset_id: Mapped[str | None] = mapped_column(ForeignKey("datasets.id", ondelete="SET NULL"), index=True)
    step: Mapped[str] = mapped_column(String(16), default="upload")
    completed: Mapped[list[Any]] = mapped_column(default=list)
    config: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Model(Owned, Edited, Base):
    """A model: configured, in training or trained; `tag` is its name in the model store, `run_id` its run.

    Models of a `family`, usually of one pipeline, can replace each other: an alias points to one of them.
    """

    __tablename__ = "models"
    name: Mapped[str]
    description: Mapped[str] = mapped_column(default="")
    algorithm: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16), default="configured", index=True)
    dataset_id: Mapped[str | None] = mapped_column(ForeignKey("datasets.id", ondelete="SET NULL"), index=True)
    dataset_number: Mapped[int | None]
    pipeline_id: Mapped[str | None] = mapped_column(ForeignKey("pipelines.id", ondelete="SET NULL"), index=True)
    family: Mapped[str] = mapped_column(String(64), index=True)
    config: Mapped[dict[str, Any]] = mapped_column(default=dict)
    options: Mapped[dict[str, Any]] = mapped_column(default=dict)
    tag: Mapped[str | None] = mapped_column(String(200), index=True)
    checksum: Mapped[str | None] = mapped_column(String(64))
    run_id: Mapped[str | None] = mapped_column(String(64), index=True)
    metrics: Mapped[dict[str, Any]] = mapped_column(default=dict)
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    saved: Mapped[bool] = mapped_column(default=False)
    trained_at: Mapped[datetime | None] = mapped_column(index=True)


class Tabular(Owned, Edited, Base):
    """A table from whose rows a number is predicted; `number` is the version that predicts, 0 while there is none."""

    __tablename__ = "tabular"
    name: Mapped[str]
    description: Mapped[str] = mapped_column(default="")
    target: Mapped[str]
    number: Mapped[int] = mapped_column(default=0)


class TabularVersion(Created, Base):
    """A training of a table: its `config` as the user chose, then the saved model and the facts of its fit.

    `state` is `queued, training, trained, failed` or `cancelled`. `source` is the name of the file that it learnt from,
    `tag` its name in the model store, `folder` that of its run in the data home.
    """

    __tablename__ = "tabular_versions"
    __table_args__ = (UniqueConstraint("table_id", "number"),)
    table_id: Mapped[str] = mapped_column(ForeignKey("tabular.id", ondelete="CASCADE"))
    number: Mapped[int]
    user_id: Mapped[str] = mapped_column(String(36))
    job_id: Mapped[str | None] = mapped_column(String(64), index=True)
    state: Mapped[str] = mapped_column(String(16), default="queued", index=True)
    config: Mapped[dict[str, Any]] = mapped_column(default=dict)
    source: Mapped[str] = mapped_column(default="")
    dataset_id: Mapped[str | None] = mapped_column(String(36), index=True)
    dataset_number: Mapped[int | None]
    fingerprint: Mapped[str | None] = mapped_column(String(64))
    tag: Mapped[str | None] = mapped_column(String(200))
    checksum: Mapped[str | None] = mapped_column(String(64))
    run_id: Mapped[str | None] = mapped_column(String(64))
    folder: Mapped[str | None]
    document: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    started_at: Mapped[datetime | None]
    trained_at: Mapped[datetime | None]


class TabularPrediction(Owned, Created, Base):
    """An answered prediction: who asked which version of a table, and the first rows with their answers.

    `kind` is `rows` (sent in the request) or `file`. `lowest, mean, highest` are of all `n_rows` predictions.
    """

    __tablename__ = "tabular_predictions"
    table_id: Mapped[str] = mapped_column(ForeignKey("tabular.id", ondelete="CASCADE"), index=True)
    number: Mapped[int]
    kind: Mapped[str] = mapped_column(String(8), index=True)
    source: Mapped[str] = mapped_column(default="")
    request_id: Mapped[str | None] = mapped_column(String(64))
    n_rows: Mapped[int]
    lowest: Mapped[float]
    mean: Mapped[float]
    highest: Mapped[float]
    rows: Mapped[list[Any]]
    notes: Mapped[list[Any]] = mapped_column(default=list)
    seconds: Mapped[float | None]


class Run(Owned, Created, Base):
    """A finished or failed run of the training notebook: the folder and checksum of its files."""

    __tablename__ = "runs"
    run_id: Mapped[str] = mapped_column(String(64), index=True)
    model_id: Mapped[str | None] = mapped_column(ForeignKey("models.id", ondelete="SET NULL"), index=True)
    job_id: Mapped[str | None] = mapped_column(String(64), unique=True)
    status: Mapped[str] = mapped_column(String(16))
    folder: Mapped[str]
    checksum: Mapped[str | None] = mapped_column(String(64))
    record: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Alias(Edited, Base):
    """A name that points to one model of a family, such as `champion`; a promotion moves it."""

    __tablename__ = "aliases"
    __table_args__ = (UniqueConstraint("owner_id", "family", "name"),)
    owner_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    family: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(64), default="champion")
    model_id: Mapped[str] = mapped_column(ForeignKey("models.id"))


class Promotion(Created, Base):
    """One move of an alias, by a promotion or a rollback; `previous_id` is the model before it."""

    __tablename__ = "promotions"
    alias_id: Mapped[str] = mapped_column(ForeignKey("aliases.id", ondelete="CASCADE"), index=True)
    model_id: Mapped[str] = mapped_column(String(36))
    previous_id: Mapped[str | None] = mapped_column(String(36))
    user_id: Mapped[str] = mapped_column(String(36))
    reason: Mapped[str] = mapped_column(default="")
    rollback: Mapped[bool] = mapped_column(default=False)


class Job(Owned, Base):
    """A background job; its id is also that of its durable workflow.

    `attempt` counts its starts, `crashes` the attempts that crashed, `losses` those whose worker died. `state` is
    `queued`, `running` and finally `succeeded, failed` or `cancelled`. Only the attempt that holds the row may end it.
    """

    __tablename__ = "jobs"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), index=True)
    model_id: Mapped[str | None] = mapped_column(String(36), index=True)
    dataset_id: Mapped[str | None] = mapped_column(String(36), index=True)
    params: Mapped[dict[str, Any]] = mapped_column(default=dict)
    state: Mapped[str] = mapped_column(String(16), default="queued", index=True)
    attempt: Mapped[int] = mapped_column(default=0)
    crashes: Mapped[int] = mapped_column(default=0)
    losses: Mapped[int] = mapped_column(default=0)
    lease_owner: Mapped[str | None] = mapped_column(String(100))
    heartbeat_at: Mapped[datetime | None]
    progress: Mapped[float] = mapped_column(default=0.0)
    eta_seconds: Mapped[float | None]
    stage: Mapped[str] = mapped_column(String(32), default="")
    best: Mapped[dict[str, Any] | None]
    epochs: Mapped[dict[str, Any] | None]
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    host: Mapped[str | None]
    pid: Mapped[int | None]
    process_group: Mapped[int | None]
    artifact: Mapped[str | None]
    checksum: Mapped[str | None] = mapped_column(String(64))
    result: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime] = mapped_column(default=now, index=True)
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


class JobLog(Base):
    """A line of a job's log: `text` in English, and the `key` of the translations, if any, which `values` fill."""

    __tablename__ = "job_logs"
    id: Mapped[int] = mapped_column(Serial, primary_key=True, autoincrement=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    attempt: Mapped[int]
    level: Mapped[str] = mapped_column(String(8), default="info")
    at: Mapped[datetime] = mapped_column(default=now)
    text: Mapped[str]
    key: Mapped[str | None] = mapped_column(String(100))
    values: Mapped[dict[str, Any]] = mapped_column("data", default=dict)


class Schedule(Owned, Edited, Base):
    """A scheduled retraining by cron expression; the transaction that adds the job also moves `next_at`."""

    __tablename__ = "schedules"
    model_id: Mapped[str] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"), index=True)
    cron: Mapped[str] = mapped_column(String(100))
    timezone: Mapped[str] = mapped_column(String(64), default="UTC")
    enabled: Mapped[bool] = mapped_column(default=True)
    promote: Mapped[bool] = mapped_column(default=False)
    next_at: Mapped[datetime | None] = mapped_column(index=True)
    last_job_id: Mapped[str | None] = mapped_column(String(64))


class Forecast(Owned, Created, Base):
    """The head of a forecast: who requested what from which model; its values are in `ForecastPoint`.

    `freq` and `timezone` (for steps shorter than a day) are those of the values' stamps.
    """

    __tablename__ = "forecasts"
    kind: Mapped[str] = mapped_column(String(16), index=True)
    model_id: Mapped[str | None] = mapped_column(String(36), index=True)
    tag: Mapped[str] = mapped_column(String(200), index=True)
    run_id: Mapped[str | None] = mapped_column(String(64))
    data_version: Mapped[str | None] = mapped_column(String(80))
    job_id: Mapped[str | None] = mapped_column(String(64), index=True)
    request_id: Mapped[str | None] = mapped_column(String(64))
    freq: Mapped[str] = mapped_column(String(128))
    timezone: Mapped[str | None] = mapped_column(String(64))
    horizon: Mapped[int]
    n_series: Mapped[int]
    errors: Mapped[dict[str, Any] | None]
    seconds: Mapped[float | None]


class ForecastPoint(Base):
    """A value of a forecast; its stamp is `target_at` (UTC), or `target_step` if stamps are integers.

    The actual value is added when it is known, and what the seasonal naive forecast from the same origin had said.
    """

    __tablename__ = "forecast_points"
    __table_args__ = (Index("ix_points_due", "tag", "unique_id", "target_at"),)
    id: Mapped[int] = mapped_column(Serial, primary_key=True, autoincrement=True)
    forecast_id: Mapped[str] = mapped_column(ForeignKey("forecasts.id", ondelete="CASCADE"), index=True)
    owner_id: Mapped[str] = mapped_column(String(36))
    tag: Mapped[str] = mapped_column(String(200))
    unique_id: Mapped[str]
    origin_at: Mapped[datetime | None]
    target_at: Mapped[datetime | None]
    target_step: Mapped[int | None] = mapped_column(BigInteger)
    horizon: Mapped[int]
    forecast: Mapped[float]
    quantiles: Mapped[dict[str, Any]]
    actual: Mapped[float | None]
    naive: Mapped[float | None]
    scored_at: Mapped[datetime | None]


class Override(Created, Base):
    """A value that a person put in place of the forecast of one series and date; never deleted, only withdrawn.

    The rows of one change share `change_id`. `forecast` is the model's value at that time, `factor` what it was
    multiplied by, if it was. Overrides hold for the family of the model, whose owner is `family_owner_id`.
    """

    __tablename__ = "overrides"
    __table_args__ = (Index("ix_overrides_family", "family_owner_id", "family", "unique_id"),)
    change_id: Mapped[str] = mapped_column(String(36), index=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    model_id: Mapped[str] = mapped_column(String(36), index=True)
    family_owner_id: Mapped[str] = mapped_column(String(36))
    family: Mapped[str] = mapped_column(String(64))
    unique_id: Mapped[str]
    target_at: Mapped[datetime | None]
    target_step: Mapped[int | None] = mapped_column(BigInteger)
    freq: Mapped[str] = mapped_column(String(128))
    timezone: Mapped[str | None] = mapped_column(String(64))
    forecast: Mapped[float]
    value: Mapped[float]
    factor: Mapped[float | None]
    reason: Mapped[str]
    withdrawn_at: Mapped[datetime | None]
    withdrawn_by: Mapped[str | None] = mapped_column(String(36))
    withdrawn_reason: Mapped[str | None]
    actual: Mapped[float | None]
    scored_at: Mapped[datetime | None]


class Publication(Owned, Created, Base):
    """A forecast as it was at one moment, readable by everybody with its link until it expires or is revoked.

    Only the hash of the link's token is stored.
    """

    __tablename__ = "publications"
    model_id: Mapped[str] = mapped_column(String(36), index=True)
    title: Mapped[str]
    language: Mapped[str] = mapped_column(String(8), default=DEFAULT_LANGUAGE)
    series: Mapped[list[Any]] = mapped_column(default=list)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    revoked_by: Mapped[str | None] = mapped_column(String(36))
    views: Mapped[int] = mapped_column(default=0)
    viewed_at: Mapped[datetime | None]
    content: Mapped[dict[str, Any]]


class DatabaseConnection(Owned, Edited, Base):
    """A registered data source; `secret` is its URL or path, encrypted with the key of the data home."""

    __tablename__ = "connections"
    name: Mapped[str]
    kind: Mapped[str] = mapped_column(String(16))
    secret: Mapped[str]
    shown: Mapped[str] = mapped_column(default="")
    table: Mapped[str] = mapped_column("table_name")
    columns: Mapped[dict[str, Any]] = mapped_column(default=dict)
    status: Mapped[str] = mapped_column(String(16), default="unknown")
    checked_at: Mapped[datetime | None]
    error: Mapped[str | None]


class Monitor(Owned, Edited, Base):
    """Continuous predictions: every `interval_seconds`, new rows of a source are read, scored and forecast from.

    With `follow`, the current champion of the model's family predicts.
    """

    __tablename__ = "monitors"
    pipeline_id: Mapped[str | None] = mapped_column(String(36), index=True)
    model_id: Mapped[str] = mapped_column(String(36), index=True)
    connection_id: Mapped[str] = mapped_column(ForeignKey("connections.id", ondelete="CASCADE"), index=True)
    interval_seconds: Mapped[float]
    follow: Mapped[bool] = mapped_column(default=False)
    state: Mapped[str] = mapped_column(String(16), default="running", index=True)
    position: Mapped[dict[str, Any]] = mapped_column(default=dict)
    lease_owner: Mapped[str | None] = mapped_column(String(100))
    due_at: Mapped[datetime | None] = mapped_column(index=True)
    last_run_at: Mapped[datetime | None]
    predictions: Mapped[int] = mapped_column(default=0)
    error: Mapped[dict[str, Any] | None]


class Webhook(Owned, Edited, Base):
    """An address that is called when something of the `events` happens; `secret`, encrypted, signs the calls.

    `scope` is `own` for events of the owner's objects, `all` for those of everything that the owner may see.
    `failures` counts the calls, and `given_up` the deliveries, that failed one after the other; `off_reason` says why
    it was switched off, if not by a user.
    """

    __tablename__ = "webhooks"
    name: Mapped[str]
    url: Mapped[str]
    secret: Mapped[str]
    events: Mapped[list[Any]] = mapped_column(default=list)
    scope: Mapped[str] = mapped_column(String(8), default="own")
    active: Mapped[bool] = mapped_column(default=True)
    off_reason: Mapped[str | None] = mapped_column(String(16))
    failures: Mapped[int] = mapped_column(default=0)
    given_up: Mapped[int] = mapped_column(default=0)
    last_at: Mapped[datetime | None]
    last_status: Mapped[int | None]


class Delivery(Created, Base):
    """An event on its way to a webhook: `payload` is the body that is sent, byte for byte the same at every attempt.

    `state` is `pending`, and finally `succeeded, failed` or `cancelled`. A worker that sends it holds it under
    `lease_owner` until `due_at`; `status, excerpt, error` and `seconds` are of the last attempt. The object that it is
    about belongs to `object_owner_id`.
    """

    __tablename__ = "deliveries"
    __table_args__ = (Index("ix_deliveries_due", "state", "due_at"),)
    webhook_id: Mapped[str] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"), index=True)
    event_id: Mapped[str] = mapped_column(String(36))
    event: Mapped[str] = mapped_column(String(32))
    object_kind: Mapped[str | None] = mapped_column(String(16))
    object_id: Mapped[str | None] = mapped_column(String(64))
    object_owner_id: Mapped[str] = mapped_column(String(36))
    payload: Mapped[str]
    state: Mapped[str] = mapped_column(String(16), default="pending")
    attempts: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime | None]
    lease_owner: Mapped[str | None] = mapped_column(String(100))
    status: Mapped[int | None]
    excerpt: Mapped[str | None]
    error: Mapped[dict[str, Any] | None]
    seconds: Mapped[float | None]
    ended_at: Mapped[datetime | None]


class Machine(Owned, Base):
    """A machine of a plant whose variables are ranked by what they add to the prediction of its production.

    `status` is `criada, treinando, pronta` or `erro`, in the words of the interface that it serves; `error` is that of
    the last training, if it failed.
    """

    __tablename__ = "machines"
    __table_args__ = {"sqlite_autoincrement": True}  # the number of a deleted machine is never given again
    id: Mapped[int] = mapped_column(Serial, primary_key=True, autoincrement=True)
    machine_name: Mapped[str]
    description: Mapped[str] = mapped_column(default="")
    status: Mapped[str] = mapped_column(String(16), default="criada", index=True)
    error: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime] = mapped_column(default=now, index=True)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)
    version: Mapped[int] = mapped_column(default=1)
    __mapper_args__ = {"version_id_col": version}

    @property
    def model_id(self) -> int:
        """The number of the machine's model: each machine has one, which it gets with its own number and keeps."""
        return self.id


class MachineTraining(Created, Base):
    """One ranking of a machine's variables, the `number`-th of the machine, here or by an outside service (`origin`).

    `state` is `queued, training, waiting` (for an outside service), `finished, failed` or `cancelled`. `ranking` holds
    the rows of the ranking and `document` everything that is known of it; `folder` is that of its report and notebook,
    relative to the data home. `source` is the name of the file, `settings` are the choices of the request.
    """

    __tablename__ = "machine_trainings"
    __table_args__ = (UniqueConstraint("machine_id", "number"),)
    machine_id: Mapped[int] = mapped_column(ForeignKey("machines.id", ondelete="CASCADE"))
    number: Mapped[int]
    user_id: Mapped[str] = mapped_column(String(36))
    job_id: Mapped[str | None] = mapped_column(String(64), index=True)
    origin: Mapped[str] = mapped_column(String(8), default="vur")
    state: Mapped[str] = mapped_column(String(16), default="queued", index=True)
    target: Mapped[str] = mapped_column(default="")
    source: Mapped[str] = mapped_column(default="")
    dataset_id: Mapped[str | None] = mapped_column(String(36))
    dataset_number: Mapped[int | None]
    fingerprint: Mapped[str | None] = mapped_column(String(64))
    settings: Mapped[dict[str, Any]] = mapped_column(default=dict)
    run_id: Mapped[str | None] = mapped_column(String(64))
    folder: Mapped[str | None]
    ranking: Mapped[list[Any] | None]
    document: Mapped[dict[str, Any] | None] = mapped_column(deferred=True)
    error: Mapped[dict[str, Any] | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class MachineDelivery(Base):
    """An answer of an outside service that was taken: the same one again gets the same reply, and changes nothing."""

    __tablename__ = "machine_deliveries"
    id: Mapped[str] = mapped_column(String(200), primary_key=True)
    body_hash: Mapped[str] = mapped_column(String(64))
    machine_id: Mapped[int] = mapped_column(BigInteger)
    answer: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=now, index=True)


class Activity(Created, Base):
    """An entry of the activity history; its text in the reader's language comes from `kind` and `values`."""

    __tablename__ = "activities"
    owner_id: Mapped[str] = mapped_column(String(36), index=True)
    user_id: Mapped[str | None] = mapped_column(String(36))
    kind: Mapped[str] = mapped_column(String(32), index=True)
    status: Mapped[str] = mapped_column(String(16), default="success")
    object_kind: Mapped[str | None] = mapped_column(String(16))
    object_id: Mapped[str | None] = mapped_column(String(64))
    values: Mapped[dict[str, Any]] = mapped_column("data", default=dict)


class Alert(Created, Base):
    """A condition that needs attention until it is acknowledged or resolved."""

    __tablename__ = "alerts"
    owner_id: Mapped[str] = mapped_column(String(36), index=True)
    kind: Mapped[str] = mapped_column(String(32))
    severity: Mapped[str] = mapped_column(String(8), default="warning")
    object_kind: Mapped[str | None] = mapped_column(String(16))
    object_id: Mapped[str | None] = mapped_column(String(64))
    values: Mapped[dict[str, Any]] = mapped_column("data", default=dict)
    acknowledged_at: Mapped[datetime | None]
    resolved_at: Mapped[datetime | None]


class AlertThreshold(Edited, Base):
    """From which value on a kind of alert is raised; a null `value` turns it off.

    `model_id` is empty for the thresholds of all models of `owner_id`; those of one model belong to its owner.
    """

    __tablename__ = "alert_thresholds"
    __table_args__ = (UniqueConstraint("owner_id", "model_id", "kind"),)
    owner_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    model_id: Mapped[str] = mapped_column(String(36), default="", index=True)
    kind: Mapped[str] = mapped_column(String(32))
    value: Mapped[float | None]


class MachineSample(Base):
    """The load of the machine at one moment: percent, bytes a second, and jobs; old ones are pruned."""

    __tablename__ = "machine_samples"
    id: Mapped[int] = mapped_column(Serial, primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(default=now, index=True)
    cpu: Mapped[float]
    memory: Mapped[float]
    disk: Mapped[float]
    sent: Mapped[float]
    received: Mapped[float]
    queued: Mapped[int]
    running: Mapped[int]


class Event(Base):
    """A live message, read by every process with live clients; old ones are pruned."""

    __tablename__ = "events"
    __table_args__ = {"sqlite_autoincrement": True}  # an id is never reused, not even after all rows were pruned
    id: Mapped[int] = mapped_column(Serial, primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(default=now, index=True)
    type: Mapped[str] = mapped_column(String(32))
    owner_id: Mapped[str | None] = mapped_column(String(36))
    data: Mapped[dict[str, Any]]


class Idempotency(Base):
    """The response to a request with an idempotency key, which is repeated for the same request."""

    __tablename__ = "idempotency"
    user_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    request_hash: Mapped[str] = mapped_column(String(64))
    status: Mapped[int | None]
    body: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime] = mapped_column(default=now, index=True)
