"""The page of the advanced object is made of the model; every quirk has one answer, and every setting takes effect."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from keyturn.oauth.quirks import Advanced

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import advanced_page  # noqa: E402 - it lies beside the tests, not in the package

ANSWERS = {"setting", "automatic", "not_supported"}
SETTINGS = [name for name, _, _ in advanced_page.settings()]
# Their names in Python, where `from` and `in` are words of the language.
ALIASES = {"from": "filled_by", "in": "values"}


def test_the_page_is_made_of_the_model():
    assert advanced_page.PAGE.read_text("utf-8") == advanced_page.as_markdown()


def test_no_quirk_is_left_out():
    assert list(advanced_page.quirks()) == [f"Q{number}" for number in range(1, 30)]


@pytest.mark.parametrize("quirk_id", advanced_page.quirks())
def test_a_quirk_has_a_setting_or_is_automatic_or_is_not_supported_because(quirk_id):
    row = advanced_page.quirks()[quirk_id]
    assert len(ANSWERS & set(row)) == 1
    assert set(row) <= ANSWERS | {"deviation", "note"}
    for name in row.get("setting", ()):
        assert any(known == name or known.startswith(f"{name}.") for known in SETTINGS), name


def test_every_setting_is_read_somewhere_else_than_in_its_model():
    read = set()
    for path in (ROOT / "src" / "keyturn").rglob("*.py"):
        if path.name != "quirks.py":
            tree = ast.parse(path.read_text("utf-8"))
            read |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    own = ast.parse((ROOT / "src/keyturn/oauth/quirks.py").read_text("utf-8"))
    # What the model itself reads: who fills in a variable decides whether its value must be there.
    read |= {node.attr for node in ast.walk(own) if isinstance(node, ast.Attribute)}
    names = {name.rpartition(".")[2] for name in SETTINGS} - {"version"}
    assert {name for name in names if ALIASES.get(name, name) not in read} == set()


def test_an_object_of_a_version_that_is_not_known_is_refused():
    assert Advanced.model_validate({"version": 1}) == Advanced()
    with pytest.raises(ValidationError):
        Advanced.model_validate({"version": 2})
