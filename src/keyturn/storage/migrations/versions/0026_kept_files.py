"""Files of imports on the server: which there are, how long they stay, how large they may be"""

from pathlib import PurePosixPath

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("workspaces", sa.Column("file_limits", sa.JSON(), nullable=True))
    op.add_column("imports", sa.Column("bytes", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("imports", sa.Column("files_removed_at", sa.Double(), nullable=True))
    made = op.create_table(
        "kept_files",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("import_id", sa.Text(), nullable=False),
        sa.Column("table_id", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("whole", sa.Boolean(), nullable=False),
        sa.Column("asked_at", sa.Double(), nullable=False),
        sa.Column("finished_at", sa.Double(), nullable=False),
        sa.Column("removed_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("workspace_id", "path"),
    )
    if (rows := list(_there().values())) and made is not None:
        op.bulk_insert(made, rows)


def _there() -> dict[tuple[str, str], dict[str, object]]:
    """What the imports before left; the one that ended last at a path is what lies there."""
    names = ("id", "workspace_id", "table_id", "created_by", "status", "created_at", "finished_at")
    imports = sa.table("imports", *map(sa.column, names), sa.column("settings", sa.JSON), sa.column("files", sa.JSON))
    ended = sa.select(imports).where(imports.c.status.in_(("complete", "incomplete")))
    found: dict[tuple[str, str], dict[str, object]] = {}
    for row in op.get_bind().execute(ended.order_by(imports.c.finished_at)):
        wanted = row.settings["destination"]
        url = PurePosixPath(wanted.get("url") or "/")
        if wanted.get("destination_id") or url.is_absolute():
            continue
        for file in row.files or ():
            path = str(url.parent / file["name"])
            found[row.workspace_id, path] = {
                "workspace_id": row.workspace_id,
                "path": path,
                "import_id": row.id,
                "table_id": row.table_id,
                "created_by": row.created_by,
                "bytes": file["bytes"],
                "whole": row.status == "complete",
                "asked_at": row.created_at,
                "finished_at": row.finished_at,
                "removed_at": None,
            }
    return found


def downgrade() -> None:
    op.drop_table("kept_files")
    op.drop_column("imports", "files_removed_at")
    op.drop_column("imports", "bytes")
    op.drop_column("workspaces", "file_limits")
