"""Values that did not fit, what columns were and became, and the pace that readers of a connection share"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def _of(table: str) -> sa.ForeignKey:
    return sa.ForeignKey(f"{table}.id", ondelete="CASCADE")


def upgrade() -> None:
    op.create_table(
        "rejects",
        sa.Column("owner_id", sa.Text(), primary_key=True),
        sa.Column("rows_before", sa.BigInteger(), primary_key=True),
        sa.Column("workspace_id", sa.Text(), _of("workspaces"), nullable=False),
        sa.Column("table_id", sa.Text(), _of("tables"), nullable=False),
        sa.Column("values", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
    )
    op.create_index("ix_rejects_table_id", "rejects", ["table_id"])
    op.create_index("ix_rejects_created_at", "rejects", ["created_at"])
    op.create_table(
        "schema_changes",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("workspace_id", sa.Text(), _of("workspaces"), nullable=False),
        sa.Column("table_id", sa.Text(), _of("tables"), nullable=False),
        sa.Column("seen_at", sa.Double(), nullable=False),
        sa.Column("changes", sa.JSON(), nullable=False),
    )
    op.create_index("ix_schema_changes_table_id", "schema_changes", ["table_id"])
    op.create_table(
        "paces",
        sa.Column("connection_id", sa.Text(), _of("connections"), primary_key=True),
        sa.Column("workspace_id", sa.Text(), _of("workspaces"), nullable=False),
        sa.Column("open_at", sa.Double(), nullable=False),
        sa.Column("turn_at", sa.Double(), nullable=False),
    )


def downgrade() -> None:
    for table in ("paces", "schema_changes", "rejects"):
        op.drop_table(table)
