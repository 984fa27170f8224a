"""Connect links for people outside, and connections of the end users of programs that embed us"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("connections", sa.Column("end_user", sa.Text(), nullable=True))
    op.create_index(
        "uq_connections_end_user", "connections", ["workspace_id", "oauth_client_id", "end_user"], unique=True
    )
    op.create_table(
        "connect_links",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("connection_id", sa.Text(), nullable=False),
        sa.Column("oauth_client_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("end_user", sa.Text(), nullable=True),
        sa.Column("return_url", sa.Text(), nullable=True),
        sa.Column("hold", sa.Boolean(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=True),
        sa.Column("error", sa.JSON(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.Column("ends_at", sa.Double(), nullable=False),
        sa.Column("opened_at", sa.Double(), nullable=True),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["connection_id"], ["connections.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["workspace_id", "account_id"],
            ["members.workspace_id", "members.account_id"],
            name="fk_connect_links_member",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_connect_links_connection_id", "connect_links", ["connection_id"])
    op.create_index("ix_connect_links_newest", "connect_links", ["workspace_id", "created_at"])
    op.create_index("ix_connect_links_due", "connect_links", ["status", "ends_at"])
    op.add_column("authorizations", sa.Column("connect_link_id", sa.Text(), nullable=True))
    op.create_index("ix_authorizations_connect_link_id", "authorizations", ["connect_link_id"], unique=True)


def downgrade() -> None:
    op.drop_index("ix_authorizations_connect_link_id", "authorizations")
    op.drop_column("authorizations", "connect_link_id")
    op.drop_table("connect_links")
    op.drop_index("uq_connections_end_user", "connections")
    op.drop_column("connections", "end_user")
