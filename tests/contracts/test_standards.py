"""Every duty of the standards has a test that is really there, and the page of the docs says which."""

from __future__ import annotations

import ast
import sys
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS.parent / "tools"))

import standards_page  # noqa: E402 - it lies beside the tests, not in the package

ROWS = standards_page.rows()
# The sections of duties and how far each goes; a number that is missing is not for the first release.
FIRST_RELEASE = [
    "A1",
    "A2",
    "A3",
    "A4",
    "A5",
    "A6",
    "A7",
    "A8",
    "A9",
    "B1",
    "B2",
    "B3",
    "B4",
    "B5",
    "B6",
    "B7",
    "B8",
    "B9",
    "B11",
    "C1",
    "C2",
    "C3",
    "C4",
    "D1",
    "D2",
    "D3",
    "D4",
    "D5",
    "D8",
    "D9",
    "D10",
    "E1",
    "E2",
    "E3",
    "E4",
    "E5",
    "E6",
    "E7",
    "F1",
    "F2",
    "F3",
    "F4",
    "F5",
    "F6",
    "F7",
    "F8",
    "F9",
    "F10",
    "F12",
    "F13",
    "F14",
    "G1",
    "G2",
    "G3",
    "G4",
    "H1",
    "H2",
    "I1",
    "I2",
    "K1",
    "K2",
    "K3",
    "L1",
    "L2",
    "L3",
    "L4",
    "L5",
    "L6",
    "L7",
    "L8",
    "L9",
    "L10",
    "N1",
    "N2",
    "N3",
    "N4",
    "N5",
    "P1",
    "P2",
    "P3",
    "P4",
    "P5",
    "P7",
    "R1",
    "R3",
    "R4",
    "R5",
    "R6",
    "R7",
    "R8",
    "R9",
    "R10",
]


@cache
def names_in(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text("utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("row_id", FIRST_RELEASE)
def test_a_duty_of_the_first_release_has_a_row(row_id):
    assert row_id in ROWS


@pytest.mark.parametrize("row_id", ROWS)
def test_a_row_names_tests_that_are_there(row_id):
    assert ROWS[row_id]["tests"]
    for test in ROWS[row_id]["tests"]:
        file, name = test.split("::")
        assert f"test_{name}" in names_in(TESTS / file), test


def test_the_page_is_made_of_the_rows():
    assert standards_page.PAGE.read_text("utf-8") == standards_page.as_markdown()
