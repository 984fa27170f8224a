"""When a grant is renewed: ahead, or in its turn where an outage has piled up very many."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.model.grants import Grant, margins

ASKED = 1_800_000_000.0
WINDOWS = margins(grant_id="gr_1", generation=1, requested_at=ASKED, life_seconds=3600.0)
GRANT = Grant(
    **{
        **dict.fromkeys(field.name for field in fields(Grant)),
        "refresh_after": WINDOWS.refresh_after,
        "hard_at": WINDOWS.hard_at,
        "access_expires_at": WINDOWS.expires_at,
        "last_ok_at": ASKED,
        "attempts": 0,
    }
)
AFTER_AN_HOUR = ASKED + 7200.0


@given(st.floats(0, 1))
def test_its_turn_is_within_the_time_between_its_renewals(chance):
    turn_at = GRANT.turn_at(AFTER_AN_HOUR, chance)
    assert AFTER_AN_HOUR <= turn_at <= AFTER_AN_HOUR + (GRANT.refresh_after - ASKED)
    # Then it is renewed, and not put off again.
    assert replace(GRANT, refresh_after=turn_at).turn_at(turn_at + 600, chance) is None


def test_a_token_that_is_over_is_renewed_for_whoever_needs_it_before_its_turn():
    later = replace(GRANT, refresh_after=GRANT.turn_at(AFTER_AN_HOUR, 0.9))
    assert later.window(AFTER_AN_HOUR) == "over"


@pytest.mark.parametrize(
    ("now", "changes"),
    [
        (GRANT.refresh_after + 30.0, {}),
        (AFTER_AN_HOUR, {"attempts": 1}),
        (AFTER_AN_HOUR, {"refresh_expires_at": AFTER_AN_HOUR + 3600.0}),
        (AFTER_AN_HOUR, {"refresh_after": None}),
        (AFTER_AN_HOUR, {"hard_at": None}),
        (AFTER_AN_HOUR, {"last_ok_at": None}),
    ],
    ids=[
        "just due",
        "trouble of its own",
        "its sign-in would end",
        "never due",
        "a life nobody knows",
        "never renewed",
    ],
)
def test_it_is_renewed_now_where_it_cannot_or_need_not_wait(now, changes):
    assert replace(GRANT, **changes).turn_at(now, 0.5) is None
