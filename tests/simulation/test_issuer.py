"""The authorization server's mind: what it does with a refresh token, and that it writes everything down."""

from __future__ import annotations

import pytest

from keyturn.simulation.issuer import Issuer


def issuer(**changes) -> Issuer:
    return Issuer(**{"life": 10.0, "grace": 6.0, **changes})


def test_a_refresh_token_is_rotated_once():
    server = issuer()
    _, first = server.sign_in(0, 0.0)
    post, access, second = server.redeem(first, "w0.1", 1.0)
    assert (post.did, post.by, post.at) == ("rotated", "w0.1", 1.0)
    assert access
    assert second != first
    assert server.redeem(second, "w0.1", 2.0)[0].did == "rotated"


def test_within_the_grace_a_used_token_is_taken_again():
    server = issuer()
    _, first = server.sign_in(0, 0.0)
    server.redeem(first, "w0.1", 1.0)
    post, access, refresh = server.redeem(first, "w0.2", 6.9)
    assert post.did == "repeated"
    assert access
    assert refresh


def test_after_the_grace_it_revokes_the_family():
    server = issuer()
    _, first = server.sign_in(0, 0.0)
    _, _, second = server.redeem(first, "w0.1", 1.0)
    post, access, _ = server.redeem(first, "w0.2", 7.1)
    assert (post.did, access) == ("replayed", None)
    assert server.redeem(second, "w0.1", 8.0)[0].did == "revoked"
    assert server.ledger.revoked == {0}


def test_without_reuse_detection_the_family_lives_on():
    server = issuer(detects_reuse=False)
    _, first = server.sign_in(0, 0.0)
    _, _, second = server.redeem(first, "w0.1", 1.0)
    assert server.redeem(first, "w0.2", 99.0)[0].did == "replayed"
    assert server.redeem(second, "w0.1", 100.0)[0].did == "rotated"


def test_without_rotation_the_token_stays():
    server = issuer(rotates=False)
    _, first = server.sign_in(0, 0.0)
    post, access, refresh = server.redeem(first, "w0.1", 1.0)
    assert (post.did, refresh) == ("kept", None)
    assert access
    assert server.redeem(first, "w0.1", 99.0)[0].did == "kept"


def test_a_token_nobody_issued_is_unknown():
    assert issuer().redeem("nonsense", "w0.1", 1.0)[0].did == "unknown"


def test_a_request_that_is_turned_away_spends_nothing():
    server = issuer(grace=0.0)
    _, first = server.sign_in(0, 0.0)
    assert server.refuse(first, "w0.1", 1.0).did == "refused"
    assert server.redeem(first, "w0.1", 9.0)[0].did == "rotated"


def test_the_same_access_token_comes_again_while_it_lives():
    server = issuer()
    access, first = server.sign_in(0, 0.0)
    _, again, left = server.same_again(first, "w0.1", 4.0)
    assert (again, left) == (access, 6.0)
    assert server.same_again(first, "w0.1", 9.5) is None


def test_calls_are_good_until_the_token_ends_or_the_family_is_revoked():
    server = issuer(grace=0.0)
    access, first = server.sign_in(3, 0.0)
    assert server.call(access, 3, 1, 9.0)
    assert not server.call(access, 3, 1, 10.0)
    _, new, _ = server.redeem(first, "w0.1", 10.0)
    assert server.call(new, 3, 2, 11.0)
    server.redeem(first, "w0.2", 12.0)
    assert not server.call(new, 3, 2, 12.0)
    assert (server.ledger.calls, server.ledger.rejected) == (4, 2)


def test_two_tokens_of_one_generation_are_noticed():
    server = issuer()
    access, first = server.sign_in(3, 0.0)
    _, other, _ = server.redeem(first, "w0.1", 1.0)
    server.call(access, 3, 1, 2.0)
    assert server.ledger.doubled == []
    server.call(other, 3, 1, 2.0)
    assert server.ledger.doubled == [(3, 1)]


@pytest.mark.parametrize("value", [None, "", "nonsense"])
def test_what_is_no_token_has_no_number(value):
    assert issuer().number_of(value) is None
