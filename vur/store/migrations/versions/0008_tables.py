"""Tables from whose rows a number is predicted: their versions and answered predictions."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

JSON = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.create_table(
        "tabular",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("owner_id", sa.String(length=36), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_tabular_owner_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tabular")),
    )
    with op.batch_alter_table("tabular", schema=None) as table:
        for column in ("created_at", "owner_id"):
            table.create_index(table.f(f"ix_tabular_{column}"), [column], unique=False)
    op.create_table(
        "tabular_versions",
        sa.Column("table_id", sa.String(length=36), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("job_id", sa.String(length=64), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("config", JSON, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("dataset_id", sa.String(length=36), nullable=True),
        sa.Column("dataset_number", sa.Integer(), nullable=True),
        sa.Column("fingerprint", sa.String(length=64), nullable=True),
        sa.Column("tag", sa.String(length=200), nullable=True),
        sa.Column("checksum", sa.String(length=64), nullable=True),
        sa.Column("run_id", sa.String(length=64), nullable=True),
        sa.Column("folder", sa.Text(), nullable=True),
        sa.Column("document", JSON, nullable=True),
        sa.Column("error", JSON, nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("trained_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["table_id"], ["tabular.id"], name=op.f("fk_tabular_versions_table_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tabular_versions")),
        sa.UniqueConstraint("table_id", "number", name=op.f("uq_tabular_versions_table_id_number")),
    )
    with op.batch_alter_table("tabular_versions", schema=None) as table:
        for column in ("created_at", "dataset_id", "job_id", "state"):
            table.create_index(table.f(f"ix_tabular_versions_{column}"), [column], unique=False)
    op.create_table(
        "tabular_predictions",
        sa.Column("table_id", sa.String(length=36), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=True),
        sa.Column("n_rows", sa.Integer(), nullable=False),
        sa.Column("lowest", sa.Float(), nullable=False),
        sa.Column("mean", sa.Float(), nullable=False),
        sa.Column("highest", sa.Float(), nullable=False),
        sa.Column("rows", JSON, nullable=False),
        sa.Column("notes", JSON, nullable=False),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.Column("owner_id", sa.String(length=36), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_tabular_predictions_owner_id")),
        sa.ForeignKeyConstraint(
            ["table_id"], ["tabular.id"], name=op.f("fk_tabular_predictions_table_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tabular_predictions")),
    )
    with op.batch_alter_table("tabular_predictions", schema=None) as table:
        for column in ("created_at", "kind", "owner_id", "table_id"):
            table.create_index(table.f(f"ix_tabular_predictions_{column}"), [column], unique=False)


def downgrade() -> None:
    op.drop_table("tabular_predictions")
    op.drop_table("tabular_versions")
    op.drop_table("tabular")
    op.execute("DELETE FROM shares WHERE kind = 'table'")
