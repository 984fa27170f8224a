"""Signing in on another device: the sealed code, and when its server is asked next"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("authorizations", sa.Column("device_sealed", sa.LargeBinary(), nullable=True))
    op.add_column("authorizations", sa.Column("poll_seconds", sa.Double(), nullable=True))
    op.add_column("authorizations", sa.Column("next_poll_at", sa.Double(), nullable=True))


def downgrade() -> None:
    for column in ("next_poll_at", "poll_seconds", "device_sealed"):
        op.drop_column("authorizations", column)
