"""Private keys of ours beside the secrets: the public half of each, to be published"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("oauth_client_secrets", sa.Column("public_key", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.execute("DELETE FROM oauth_client_secrets WHERE public_key IS NOT NULL")
    op.drop_column("oauth_client_secrets", "public_key")
