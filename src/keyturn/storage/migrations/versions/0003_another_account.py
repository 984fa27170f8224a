"""A sign-in as another account than before is held until somebody decides"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("authorizations", sa.Column("held_sealed", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    op.drop_column("authorizations", "held_sealed")
