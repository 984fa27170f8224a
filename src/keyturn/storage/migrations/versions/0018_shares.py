"""Connections are shared with single members, with or without their credentials"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "connection_shares",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("connection_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("rights", sa.Text(), nullable=False),
        sa.Column("with_credentials", sa.Boolean(), nullable=False),
        sa.Column("shared_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["connection_id"], ["connections.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["workspace_id", "account_id"],
            ["members.workspace_id", "members.account_id"],
            name="fk_connection_shares_member",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("connection_id", "account_id"),
    )
    op.create_index("ix_connection_shares_member", "connection_shares", ["workspace_id", "account_id"])


def downgrade() -> None:
    op.drop_table("connection_shares")
