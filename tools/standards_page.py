"""Write docs/reference/standards.md: the duties of tests/contracts/standards.yaml and the tests named after them."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests"
PAGE = ROOT / "docs" / "reference" / "standards.md"
# test_b1_c1_… proves B1 and C1.
_NAMED = re.compile(r"test_((?:[a-r]\d{1,2}_)+)")
HEAD = """# Standards, and the tests that hold us to them

Each duty of an OAuth 2.0 client, and of the application around it, with the tests that prove it: those named after its
id. Rows marked *offered* are optional in the standards and tested because we offer them. This page is made from
`tests/contracts/standards.yaml` and the names of the tests, by `tools/standards_page.py`.

| id | duty | source | proved by |
|---|---|---|---|
"""
NOT_OFFERED = """
## Not offered

Optional in the standards, and left out on purpose.

| id | what | source | why not |
|---|---|---|---|
"""


def rows() -> dict[str, dict[str, Any]]:
    """The rows by id."""
    return yaml.safe_load((TESTS / "contracts" / "standards.yaml").read_text("utf-8"))


def proofs() -> dict[str, list[str]]:
    """Which tests are named after which row."""
    found = defaultdict(list)
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (named := _NAMED.match(node.name)):
                for row_id in named[1].upper().strip("_").split("_"):
                    found[row_id].append(f"{path.relative_to(TESTS)}::{node.name}")
    return found


def as_markdown() -> str:
    """The page."""
    proved, left_out, by_row = [], [], proofs()
    for row_id, row in rows().items():
        if reason := row.get("not_offered"):
            left_out.append(f"| {row_id} | {row['duty']} | {row['source']} | {reason} |")
            continue
        names = "<br>".join(f"`{test}`" for test in by_row[row_id])
        mark = " *(offered)*" if row.get("level") == "offered" else ""
        proved.append(f"| {row_id} | {row['duty']}{mark} | {row['source']} | {names} |")
    return HEAD + "\n".join(proved) + "\n" + NOT_OFFERED + "\n".join(left_out) + "\n"


if __name__ == "__main__":
    PAGE.write_text(as_markdown(), "utf-8")
