"""Refreshes leave evidence: attempts, earlier and orphaned generations, token hosts, and incidents of OAuth clients"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "refresh_attempts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("grant_id", sa.Text(), nullable=False),
        sa.Column("from_generation", sa.Integer(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("deadline", sa.Double(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["grant_id"], ["grants.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_refresh_attempts_grant", "refresh_attempts", ["grant_id", "from_generation"])
    op.create_index("ix_refresh_attempts_ended", "refresh_attempts", ["ended_at"])
    op.create_table(
        "token_generations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("grant_id", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("access_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("refresh_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("token_type", sa.Text(), nullable=False),
        sa.Column("access_expires_at", sa.Double(), nullable=True),
        sa.Column("refresh_expires_at", sa.Double(), nullable=True),
        sa.Column("at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["grant_id"], ["grants.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_token_generations_grant", "token_generations", ["grant_id", "state"])
    op.create_table(
        "token_hosts",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_code", sa.Text(), nullable=True),
        sa.Column("open_until", sa.Double(), nullable=True),
        sa.Column("probe_until", sa.Double(), nullable=True),
        sa.Column("clock_ahead_seconds", sa.Double(), nullable=True),
        sa.Column("changed_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("workspace_id", "origin"),
    )
    op.create_table(
        "incidents",
        sa.Column("oauth_client_id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("connections", sa.JSON(), nullable=False),
        sa.Column("began_at", sa.Double(), nullable=False),
        sa.Column("next_probe_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["oauth_client_id"], ["oauth_clients.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("oauth_client_id"),
    )
    op.create_index("ix_incidents_next_probe", "incidents", ["next_probe_at"])
    op.create_index("ix_grants_refresh_after", "grants", ["refresh_after"])
    op.create_index("ix_grants_lease_until", "grants", ["lease_until"])


def downgrade() -> None:
    op.drop_index("ix_grants_lease_until", "grants")
    op.drop_index("ix_grants_refresh_after", "grants")
    for table in ("incidents", "token_hosts", "token_generations", "refresh_attempts"):
        op.drop_table(table)
