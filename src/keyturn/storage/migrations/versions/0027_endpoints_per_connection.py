"""How many tables a connection of a workspace may have"""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("workspaces", sa.Column("endpoints_per_connection", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("workspaces", "endpoints_per_connection")
