"""Every row of what reading promises has tests over all surfaces, and the page of the docs says which."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

import reading_page

PROOFS = reading_page.proofs()


@pytest.mark.parametrize("row", reading_page.rows())
def test_a_row_has_tests_named_after_it(row):
    assert PROOFS.get(row)


def test_a_test_names_a_row_that_is_there():
    assert set(PROOFS) - set(reading_page.rows()) == set()


@pytest.mark.parametrize("fault", reading_page.faults(), ids=lambda item: item["fault"])
def test_a_fault_has_tests_over_all_surfaces(fault):
    assert fault["tests"]
    assert set(fault["tests"]) <= reading_page.over_surfaces()


def test_the_page_is_made_of_the_rows():
    assert reading_page.PAGE.read_text("utf-8") == reading_page.as_markdown()
