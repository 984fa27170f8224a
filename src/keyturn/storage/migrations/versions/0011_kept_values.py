"""What a sign-in told besides its tokens, and the API it chose"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("grants", sa.Column("base_url", sa.Text(), nullable=True))
    op.add_column("grants", sa.Column("kept", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("grants", "kept")
    op.drop_column("grants", "base_url")
