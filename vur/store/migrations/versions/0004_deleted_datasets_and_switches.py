"""Deleted datasets can be restored for a while, and administrators have switches for the whole installation."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

JSON = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.add_column("datasets", sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("datasets", sa.Column("unlinked", JSON, nullable=True))
    op.create_index(op.f("ix_datasets_deleted_at"), "datasets", ["deleted_at"], unique=False)
    op.create_table(
        "switches",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", JSON, nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_switches")),
    )


def downgrade() -> None:
    op.drop_table("switches")
    op.execute("DELETE FROM datasets WHERE deleted_at IS NOT NULL")
    op.drop_index(op.f("ix_datasets_deleted_at"), table_name="datasets")
    op.drop_column("datasets", "unlinked")
    op.drop_column("datasets", "deleted_at")
