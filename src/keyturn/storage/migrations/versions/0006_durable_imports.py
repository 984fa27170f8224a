"""Imports that go on: where they write, the pages that are safe, and when they are tried again"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

AT_WORK = sa.text("status IN ('running', 'waiting')")


def upgrade() -> None:
    op.add_column("imports", sa.Column("place", sa.Text(), nullable=True))
    op.add_column("imports", sa.Column("checkpoint", sa.JSON(), nullable=True))
    op.add_column("imports", sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("imports", sa.Column("next_attempt_at", sa.Double(), nullable=True))
    op.create_index(
        "uq_imports_place_at_work", "imports", ["place"], unique=True, sqlite_where=AT_WORK, postgresql_where=AT_WORK
    )


def downgrade() -> None:
    op.drop_index("uq_imports_place_at_work", "imports")
    for column in ("next_attempt_at", "attempts", "checkpoint", "place"):
        op.drop_column("imports", column)
