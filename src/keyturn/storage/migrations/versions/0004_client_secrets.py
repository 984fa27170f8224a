"""Several secrets for one OAuth client, in order, each with its last use and last day"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "oauth_client_secrets",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("oauth_client_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("secret_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("saved_at", sa.Double(), nullable=False),
        sa.Column("saved_by", sa.Text(), nullable=True),
        sa.Column("expires_on", sa.Text(), nullable=True),
        sa.Column("last_ok_at", sa.Double(), nullable=True),
        sa.Column("last_refused_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["oauth_client_id"], ["oauth_clients.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "ix_oauth_client_secrets_client", "oauth_client_secrets", ["workspace_id", "oauth_client_id", "position"]
    )
    # A secret is sealed for the id of its row; the first one of a client keeps the client's.
    op.execute(
        "INSERT INTO oauth_client_secrets "
        "(id, workspace_id, oauth_client_id, position, secret_sealed, saved_at, saved_by) "
        "SELECT id, workspace_id, id, 0, secret_sealed, COALESCE(secret_saved_at, updated_at), created_by "
        "FROM oauth_clients WHERE secret_sealed IS NOT NULL"
    )
    op.drop_column("oauth_clients", "secret_sealed")
    op.drop_column("oauth_clients", "secret_saved_at")


def downgrade() -> None:
    op.add_column("oauth_clients", sa.Column("secret_sealed", sa.LargeBinary(), nullable=True))
    op.add_column("oauth_clients", sa.Column("secret_saved_at", sa.Double(), nullable=True))
    # Only a secret that was there before has a client's id, for which it is sealed.
    op.execute(
        "UPDATE oauth_clients SET secret_sealed = "
        "(SELECT secret_sealed FROM oauth_client_secrets WHERE oauth_client_secrets.id = oauth_clients.id), "
        "secret_saved_at = (SELECT saved_at FROM oauth_client_secrets WHERE oauth_client_secrets.id = oauth_clients.id)"
    )
    op.drop_index("ix_oauth_client_secrets_client", "oauth_client_secrets")
    op.drop_table("oauth_client_secrets")
