"""The Standard Webhooks scheme: its own example, and what a webhook's settings may be."""

from __future__ import annotations

import base64

import pytest

from keyturn.errors import Invalid
from keyturn.model.notices import EVENTS, KINDS
from keyturn.model.validation import parse
from keyturn.model.webhooks import SECRET_PREFIX, WebhookSettings, new_secret, signature, signed_headers

GOOD = {"name": "Pager", "url": "https://hooks.example.com/keyturn"}


def test_the_signature_is_the_one_of_the_schemes_own_example():
    made = signature(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        at=1614265330,
        body=b'{"test": 2432232314}',
    )
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_two_secrets_sign_side_by_side():
    secrets = [new_secret(), new_secret()]
    headers = dict(signed_headers(secrets, message_id="msg_1", at=1, body=b"{}"))
    assert headers["webhook-signature"].split() == [signature(s, message_id="msg_1", at=1, body=b"{}") for s in secrets]
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("msg_1", "1")


def test_a_secret_is_32_random_bytes_behind_its_prefix():
    made = {new_secret() for _ in range(20)}
    assert len(made) == 20
    assert {len(base64.b64decode(secret.removeprefix(SECRET_PREFIX))) for secret in made} == {32}


def test_without_events_named_it_is_told_of_all():
    assert parse(WebhookSettings, GOOD).events == EVENTS


@pytest.mark.parametrize(
    ("wrong", "at"),
    [
        ({"url": "ftp://x.example"}, "url"),
        ({"name": ""}, "name"),
        ({"events": []}, "events"),
        ({"events": ["connection.exploded"]}, "events"),
        ({"secret": "whsec_mine"}, "secret"),
    ],
)
def test_what_cannot_be_is_refused_at_its_field(wrong, at):
    with pytest.raises(Invalid) as caught:
        parse(WebhookSettings, GOOD | wrong)
    assert [problem.at for problem in caught.value.problems] == [at]


def test_the_events_that_are_promised_are_there():
    promised = {"connection.connected", "connection.needs_attention", "connection.reconnect_needed",
                "connection.recovered", "import.finished"}  # fmt: skip
    assert promised <= set(EVENTS)
    assert {kind.noun for kind in KINDS.values()} == {"connection", "oauth_client", "table", "schedule"}
