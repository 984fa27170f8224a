"""Grants without a person: how a grant's tokens are obtained"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("grants", sa.Column("grant_type", sa.Text(), nullable=False, server_default="authorization_code"))


def downgrade() -> None:
    op.drop_column("grants", "grant_type")
