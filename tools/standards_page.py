"""Write docs/reference/standards.md from tests/contracts/standards.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "standards.md"
HEAD = """# Standards, and the tests that hold us to them

Each duty of an OAuth 2.0 client, and of the application around it, with the test that proves it. Rows marked *offered*
are optional in the standards and tested because we offer them. This page is made from `tests/contracts/standards.yaml`.

| id | duty | source | proved by |
|---|---|---|---|
"""


def rows() -> dict[str, dict[str, Any]]:
    """The rows by id."""
    return yaml.safe_load((ROOT / "tests" / "contracts" / "standards.yaml").read_text("utf-8"))


def as_markdown() -> str:
    """The page."""
    lines = []
    for row_id, row in rows().items():
        proofs = "<br>".join(f"`{test}`" for test in row["tests"])
        mark = " *(offered)*" if row.get("level") == "offered" else ""
        lines.append(f"| {row_id} | {row['duty']}{mark} | {row['source']} | {proofs} |")
    return HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(as_markdown(), "utf-8")
