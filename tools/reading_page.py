"""Write docs/reference/reading.md: the rows of tests/contracts/reading.yaml, the faults, and the tests of both."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
CONTRACTS = ROOT / "tests" / "contracts"
PAGE = ROOT / "docs" / "reference" / "reading.md"
_NAMED = re.compile(r"test_row(\d+)_(\w+)")
HEAD = """# Reading, and the tests that hold us to it

What a table can do. Each test runs four times: over the HTTP API, the command line, the Python client and the web
pages, whose forms are filled in and whose buttons are pressed. This page is made from `tests/contracts/reading.yaml`
and the names of the tests, by `tools/reading_page.py`; how to use it all is in [Tables](../tables.md).

| # | what | and further | proved by |
|---|---|---|---|
"""

FAULTS = """
## What end systems do, and what comes of it

Each fault is put to a read over all four, too. The table is `tests/contracts/faults.yaml`.

| fault | then | proved by |
|---|---|---|
"""


def rows() -> dict[int, dict[str, Any]]:
    """The rows by number."""
    return yaml.safe_load((CONTRACTS / "reading.yaml").read_text("utf-8"))


def faults() -> list[dict[str, Any]]:
    """What end systems do, what must come of it, and the tests that say so."""
    return yaml.safe_load((CONTRACTS / "faults.yaml").read_text("utf-8"))


def over_surfaces() -> set[str]:
    """The tests that run over all four surfaces, whole names."""
    trees = [ast.parse(path.read_text("utf-8")) for path in CONTRACTS.glob("test_reading*.py")]
    tests = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return {node.name for node in tests if {each.arg for each in node.args.args} & {"surface", "surface_at"}}


def proofs() -> dict[int, list[str]]:
    """Which tests, over which surfaces, are named after which row."""
    found = defaultdict(list)
    for path in sorted(CONTRACTS.glob("test_reading*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef) and (named := _NAMED.fullmatch(node.name)):
                found[int(named[1])].append(named[2].replace("_", " "))
    return found


def as_markdown() -> str:
    """The page."""
    by_row = proofs()
    lines = [
        f"| {number} | {row['what']} | {row.get('further', '')} | {'<br>'.join(by_row[number])} |"
        for number, row in rows().items()
    ]
    told = [
        f"| {item['fault']} | {item['then']} | {'<br>'.join(_words(name) for name in item['tests'])} |"
        for item in faults()
    ]
    return HEAD + "\n".join(lines) + "\n" + FAULTS + "\n".join(told) + "\n"


def _words(test: str) -> str:
    return _NAMED.fullmatch(test)[2].replace("_", " ")


if __name__ == "__main__":
    PAGE.write_text(as_markdown(), "utf-8")
