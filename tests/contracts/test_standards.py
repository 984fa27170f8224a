"""Every duty of the standards has a test named after it, and the page of the docs says which."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS.parent / "tools"))

import standards_page  # noqa: E402 - it lies beside the tests, not in the package

ROWS = standards_page.rows()
PROOFS = standards_page.proofs()
# How far each section of duties of an OAuth 2.0 client goes, without a gap.
SECTIONS = {"A": 9, "B": 11, "C": 4, "D": 10, "E": 8, "F": 14, "G": 4, "H": 2, "I": 5, "J": 7, "K": 3, "L": 10, "N": 6}
# Of the application around it: what is promised so far.
APPLICATION = {*(f"P{n}" for n in (1, 2, 3, 4, 5, 7)), *(f"R{n}" for n in range(1, 13))}
# Good to have, and not owed yet: a refresh token that ends unused is used in time.
RECOMMENDED = {"F11"}
KEYS = {"duty", "source", "level", "not_offered"}


def test_no_duty_is_left_out():
    client = {f"{section}{number}" for section, last in SECTIONS.items() for number in range(1, last + 1)}
    assert client | APPLICATION <= set(ROWS) | RECOMMENDED


@pytest.mark.parametrize("row_id", ROWS)
def test_a_duty_has_a_test_named_after_it_or_a_reason_why_it_is_not_offered(row_id):
    row = ROWS[row_id]
    assert {"duty", "source"} <= set(row) <= KEYS
    assert bool(PROOFS.get(row_id)) != bool(row.get("not_offered")), row_id


def test_only_what_is_optional_is_not_offered():
    assert {row_id for row_id, row in ROWS.items() if row.get("not_offered")} == {"I5", "J3", "J6"}


def test_a_test_names_duties_that_are_there():
    assert set(PROOFS) - set(ROWS) == set()


def test_the_page_is_made_of_the_rows():
    assert standards_page.PAGE.read_text("utf-8") == standards_page.as_markdown()
