"""What the last sample and the last read of a table came to, which an estimate is made of"""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tables", sa.Column("last_sample", sa.JSON(), nullable=True))
    op.add_column("tables", sa.Column("last_read", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("tables", "last_read")
    op.drop_column("tables", "last_sample")
