"""The frequency of a forecast may name the open hours of a week."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("forecasts") as table:
        table.alter_column("freq", existing_type=sa.String(32), type_=sa.String(128), existing_nullable=False)


def downgrade() -> None:
    with op.batch_alter_table("forecasts") as table:
        table.alter_column("freq", existing_type=sa.String(128), type_=sa.String(32), existing_nullable=False)
