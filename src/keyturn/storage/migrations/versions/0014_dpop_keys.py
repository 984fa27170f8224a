"""The key that a sign-in's tokens are bound to, sealed beside them"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("grants", sa.Column("dpop_key_sealed", sa.LargeBinary(), nullable=True))
    op.add_column("authorizations", sa.Column("dpop_key_sealed", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    op.drop_column("grants", "dpop_key_sealed")
    op.drop_column("authorizations", "dpop_key_sealed")
