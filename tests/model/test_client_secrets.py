"""When a secret is spoken of, and the order in which several are tried."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.errors import Invalid
from keyturn.model.client_secrets import ClientSecret, NewSecret, in_order, reminder
from keyturn.model.validation import parse

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()


def secret(name: str, **known: object) -> ClientSecret:
    return ClientSecret(id=name, oauth_client_id="oc_1", saved_at=0.0, **known)


@pytest.mark.parametrize(
    ("day", "said"),
    [
        ("2026-12-24", "expires on 24 Dec 2026, in 30 days."),
        ("2026-11-25", "expires on 25 Nov 2026, tomorrow."),
        ("2026-11-24", "expires on 24 Nov 2026, today."),
    ],
)
def test_a_secret_is_spoken_of_before_it_ends(day, said):
    code, sentence = reminder((secret("cs_1", expires_on=day),), "Acme CRM", NOW, 3)
    assert code == ""
    assert said in sentence


def test_one_that_is_over_has_a_code_and_names_what_recovers():
    code, sentence = reminder((secret("cs_1", expires_on="2026-11-23"),), "Acme CRM", NOW, 12)
    assert code == "E-SECRETEXPIRED"
    assert sentence == (
        "The Client Secret expired on 23 Nov 2026. Create a new one in Acme CRM and paste it here; "
        "12 connections will recover by themselves."
    )


@pytest.mark.parametrize("days", [("2026-12-25",), (None,), ("2026-11-01", "2027-11-01"), ("2026-11-01", None), ()])
def test_nothing_is_said_while_one_lasts_or_might(days):
    known = tuple(secret(str(n), expires_on=day) for n, day in enumerate(days))
    assert reminder(known, "Acme CRM", NOW, 1) is None


def test_what_was_refused_or_is_over_is_tried_later_but_not_left_out():
    known = [
        secret("refused", last_refused_at=9.0, last_ok_at=8.0),
        secret("over", expires_on="2020-01-01"),
        secret("worked", last_refused_at=7.0, last_ok_at=8.0),
        secret("new"),
    ]
    assert [item.id for item in in_order(known, NOW)] == ["worked", "new", "over", "refused"]


@given(st.text(max_size=12))
def test_a_day_is_a_day_or_is_refused_in_words(text):
    try:
        found = parse(NewSecret, {"client_secret": "x", "expires_on": text}).expires_on
    except Invalid as error:
        found = "2000-01-01" if error.problems[0].at == "expires_on" else "elsewhere"
    assert found is None or datetime.fromisoformat(found)
