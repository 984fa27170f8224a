"""Settings that people send are strict; those that stand in the database may be a newer release's."""

from __future__ import annotations

import pytest

from keyturn.errors import Invalid
from keyturn.model.members import WorkspaceSettings
from keyturn.model.oauth_clients import OAuthClientSettings
from keyturn.model.validation import parse, stored

CLIENT = {
    "name": "Acme CRM", "client_id": "id", "authorization_url": "https://acme.example/authorize",
    "token_url": "https://acme.example/token", "advanced": {"token": {"auth": "post"}},
}  # fmt: skip


@pytest.mark.parametrize("more", [{"newer": 1}, {"advanced": {"newer": 1}}, {"advanced": {"token": {"newer": 1}}}])
def test_a_field_nobody_knows_is_refused_from_people_and_passed_over_in_the_database(more):
    with pytest.raises(Invalid, match="newer"):
        parse(OAuthClientSettings, CLIENT | more)
    assert stored(OAuthClientSettings, CLIENT | more).name == "Acme CRM"


def test_what_stands_in_the_database_is_still_checked():
    with pytest.raises(ValueError, match="client_id"):
        stored(OAuthClientSettings, CLIENT | {"client_id": ""})


@pytest.mark.parametrize("given", [{}, {"name": ""}, {"name": "  "}])
def test_an_empty_field_is_asked_for_like_one_that_is_not_there(given):
    with pytest.raises(Invalid) as refused:
        parse(WorkspaceSettings, given)
    assert [problem.message for problem in refused.value.problems] == ["Enter a name."]
