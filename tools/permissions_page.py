"""Write docs/reference/permissions.md from the permission table."""

from __future__ import annotations

from pathlib import Path

from keyturn.model.permissions import as_markdown

HEAD = """# Permissions

Made from `src/keyturn/model/permissions.py` by `python tools/permissions_page.py`; the same table is asked by the API
and by the pages. An API token never exceeds its owner's role, and holds only what it was given. Whatever depends on a
thing is asked besides: a connection that is for its owner alone is read by nobody else, Workspace Admins included, and
things of another workspace answer 404 like things that are not there.

"""


def main() -> None:
    """Write the page."""
    path = Path(__file__).parents[1] / "docs" / "reference" / "permissions.md"
    path.write_text(HEAD + as_markdown(), "utf-8")


if __name__ == "__main__":
    main()
