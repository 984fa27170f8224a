from __future__ import annotations

from pathlib import Path

from keyturn.model import permissions
from keyturn.web.auth import verb_of
from keyturn.web.routes import API

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "permissions.md"


def test_every_route_of_the_api_has_a_rule_and_every_rule_a_route():
    verbs = {verb_of(route.endpoint) for router in API for route in router.routes}
    assert verbs == set(permissions.VERBS)


def test_rules_name_permissions_that_exist():
    for needed in permissions.VERBS.values():
        assert set(needed) <= set(permissions.PERMISSIONS)
    assert set(permissions.ROLES) == set(permissions.ROLE_LABELS) == set(permissions.ROLE_WORDS)


def test_each_role_has_what_the_one_below_has():
    roles = permissions.ROLES
    assert roles["viewer"] < roles["editor"] < roles["admin"] == set(permissions.PERMISSIONS)
    assert permissions.permissions_of("stranger") == permissions.grantable_to("stranger") == frozenset()


def test_reading_a_token_is_never_implied():
    for role in permissions.ROLES:
        assert "tokens:reveal" not in permissions.permissions_of(role)
    assert "tokens:reveal" in permissions.grantable_to("admin")
    assert "tokens:reveal" not in permissions.grantable_to("editor")


def test_the_page_of_the_docs_is_made_from_the_table():
    assert PAGE.read_text("utf-8").endswith(permissions.as_markdown())
