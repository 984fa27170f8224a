"""Clients that their server registered by itself: what manages the registration, sealed"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("oauth_clients", sa.Column("registration_sealed", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    op.drop_column("oauth_clients", "registration_sealed")
