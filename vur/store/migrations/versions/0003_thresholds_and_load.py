"""Scored forecasts hold the naive forecast, users set thresholds of alerts, and the machine's load is kept for a day."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("forecast_points", sa.Column("naive", sa.Float(), nullable=True))
    op.create_table(
        "alert_thresholds",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("owner_id", sa.String(length=36), nullable=False),
        sa.Column("model_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name=op.f("fk_alert_thresholds_owner_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_thresholds")),
        sa.UniqueConstraint("owner_id", "model_id", "kind", name=op.f("uq_alert_thresholds_owner_id_model_id_kind")),
    )
    op.create_index(op.f("ix_alert_thresholds_created_at"), "alert_thresholds", ["created_at"])
    op.create_index(op.f("ix_alert_thresholds_model_id"), "alert_thresholds", ["model_id"])
    op.create_index(op.f("ix_alert_thresholds_owner_id"), "alert_thresholds", ["owner_id"])
    op.create_table(
        "machine_samples",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        *(sa.Column(name, sa.Float(), nullable=False) for name in ("cpu", "memory", "disk", "sent", "received")),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("queued", "running")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_machine_samples")),
    )
    op.create_index(op.f("ix_machine_samples_at"), "machine_samples", ["at"])


def downgrade() -> None:
    op.drop_table("machine_samples")
    op.drop_table("alert_thresholds")
    with op.batch_alter_table("forecast_points") as table:
        table.drop_column("naive")
