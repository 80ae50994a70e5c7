"""Machines, the rankings of their variables, and the answers of an outside service."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

JSON = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "machines",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("machine_name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("error", JSON, nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("owner_id", sa.String(length=36), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_machines_owner_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_machines")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("machines", schema=None) as table:
        for column in ("created_at", "owner_id", "status"):
            table.create_index(table.f(f"ix_machines_{column}"), [column], unique=False)
    op.create_table(
        "machine_trainings",
        sa.Column("machine_id", SERIAL, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("job_id", sa.String(length=64), nullable=True),
        sa.Column("origin", sa.String(length=8), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("dataset_id", sa.String(length=36), nullable=True),
        sa.Column("dataset_number", sa.Integer(), nullable=True),
        sa.Column("fingerprint", sa.String(length=64), nullable=True),
        sa.Column("settings", JSON, nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=True),
        sa.Column("folder", sa.Text(), nullable=True),
        sa.Column("ranking", JSON, nullable=True),
        sa.Column("document", JSON, nullable=True),
        sa.Column("error", JSON, nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["machine_id"], ["machines.id"], name=op.f("fk_machine_trainings_machine_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_machine_trainings")),
        sa.UniqueConstraint("machine_id", "number", name=op.f("uq_machine_trainings_machine_id_number")),
    )
    with op.batch_alter_table("machine_trainings", schema=None) as table:
        for column in ("created_at", "job_id", "state"):
            table.create_index(table.f(f"ix_machine_trainings_{column}"), [column], unique=False)
    op.create_table(
        "machine_deliveries",
        sa.Column("id", sa.String(length=200), nullable=False),
        sa.Column("body_hash", sa.String(length=64), nullable=False),
        sa.Column("machine_id", sa.BigInteger(), nullable=False),
        sa.Column("answer", JSON, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_machine_deliveries")),
    )
    op.create_index(op.f("ix_machine_deliveries_created_at"), "machine_deliveries", ["created_at"], unique=False)


def downgrade() -> None:
    op.drop_table("machine_deliveries")
    op.drop_table("machine_trainings")
    op.drop_table("machines")
    op.execute("DELETE FROM shares WHERE kind = 'machine'")
