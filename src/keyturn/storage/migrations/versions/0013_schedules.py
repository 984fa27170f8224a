"""Schedules, and which of them asked for an import at what time"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "schedules",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("table_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.Column("next_at", sa.Double(), nullable=True),
        sa.Column("last", sa.JSON(), nullable=True),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["created_by"], ["accounts.id"], name="fk_schedules_created_by"),
        sa.ForeignKeyConstraint(["table_id"], ["tables.id"], name="fk_schedules_table_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name="fk_schedules_workspace_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_schedules"),
        sa.UniqueConstraint("workspace_id", "name", name="uq_schedules_workspace_id"),
    )
    op.create_index("ix_schedules_next_at", "schedules", ["next_at"])
    op.add_column("imports", sa.Column("schedule_id", sa.Text(), nullable=True))
    op.add_column("imports", sa.Column("due_at", sa.Double(), nullable=True))
    op.create_index("uq_imports_schedule_due", "imports", ["schedule_id", "due_at"], unique=True)


def downgrade() -> None:
    op.drop_index("uq_imports_schedule_due", "imports")
    op.drop_column("imports", "due_at")
    op.drop_column("imports", "schedule_id")
    op.drop_table("schedules")
