"""What is tried again, and after how long: pure decisions."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.errors import Forbidden, Unavailable, UpstreamError, UpstreamTimeout
from keyturn.rest.retries import (
    ATTEMPTS,
    LONGEST_SECONDS,
    RETRY_AFTER_MOST_SECONDS,
    retry_after_seconds,
    wait_after_error,
    wait_after_response,
)
from keyturn.wire import Headers, Response

NOW = 1_800_000_000.0


def waits(status: int, attempt: int = 1, chance: float = 0.5, **headers: str) -> float | None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return wait_after_response(Response(status, Headers.of(named)), attempt, now=NOW, chance=lambda: chance)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_passing_troubles_are_tried_again(status):
    assert waits(status) is not None


@pytest.mark.parametrize("status", [200, 204, 301, 400, 401, 403, 404, 409, 410, 422, 501])
def test_lasting_answers_are_not_tried_again(status):
    assert waits(status) is None


def test_the_last_attempt_is_the_last():
    assert waits(503, ATTEMPTS - 1) is not None
    assert waits(503, ATTEMPTS) is None


def test_retry_after_in_seconds_is_obeyed_exactly():
    assert waits(429, Retry_After="5") == 5.0


def test_retry_after_as_a_date_is_obeyed():
    assert waits(503, Retry_After=formatdate(NOW + 40, usegmt=True)) == pytest.approx(40)


def test_a_date_in_the_past_means_the_usual_pause_and_no_hammering():
    assert waits(503, Retry_After=formatdate(NOW - 40, usegmt=True)) > 0
    assert waits(429, Retry_After="0") > 0


def test_a_wait_beyond_the_bound_is_given_up():
    assert waits(429, Retry_After=str(RETRY_AFTER_MOST_SECONDS)) == RETRY_AFTER_MOST_SECONDS
    assert waits(429, Retry_After=str(RETRY_AFTER_MOST_SECONDS + 1)) is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"RateLimit_Reset": "43"}, 43.0),
        ({"X_RateLimit_Reset": "43"}, 43.0),
        ({"X_RateLimit_Reset": str(int(NOW) + 43)}, 43.0),
        ({"X_RateLimit_Reset": str((int(NOW) + 43) * 1000)}, 43.0),
        ({"RateLimit": '"default";r=0;t=43'}, 43.0),
        ({"RateLimit": "limit=10, remaining=0, reset=43"}, 43.0),
        ({"Retry_After": "7", "RateLimit_Reset": "43"}, 7.0),
        ({"Retry_After": "soon"}, None),
        ({"Retry_After": "nan"}, None),
        ({"Retry_After": "inf"}, None),
        ({"Retry_After": "-3"}, 0.0),
        ({"Retry_After": "1e300"}, LONGEST_SECONDS),
        ({"Retry_After": "9" * 40}, LONGEST_SECONDS),
        ({"Retry_After": "Fri, 31 Dec 9999 23:59:59 GMT"}, LONGEST_SECONDS),
        ({"RateLimit": '"default";r=0'}, None),
        ({}, None),
    ],
)
def test_every_way_of_saying_when_is_read(headers, seconds):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    assert retry_after_seconds(Response(429, Headers.of(named)), now=NOW) == seconds


def test_the_rate_limit_fields_count_on_a_429_alone():
    assert retry_after_seconds(Response(500, Headers.of({"RateLimit-Reset": "43"})), now=NOW) is None


@given(st.text(), st.floats(0, 1), st.integers(1, 20))
def test_whatever_a_header_says_the_wait_is_bounded(value, chance, attempt):
    found = waits(429, attempt, chance, Retry_After=value)
    assert found is None or 0 < found <= RETRY_AFTER_MOST_SECONDS


@given(st.integers(1, ATTEMPTS - 1))
def test_pauses_grow_with_full_jitter(attempt):
    least, most = waits(500, attempt, 0.0), waits(500, attempt, 1.0)
    assert 0 < least < most <= 61
    assert most >= waits(500, max(1, attempt - 1), 1.0)


def test_calls_without_an_answer_are_tried_again_within_reason():
    def after(error, attempt=1):
        return wait_after_error(error, attempt, chance=lambda: 0.5)

    assert after(UpstreamError("The answer was cut off.")) is not None
    assert after(UpstreamError("Blocked.", message_code="E-BLOCKED")) is None
    assert after(UpstreamTimeout("Too slow.")) is not None
    assert after(UpstreamTimeout("Too slow."), 3) is None
    assert after(Unavailable("Busy.", retry_after_seconds=7)) == 7
    assert after(Unavailable("Busy.", retry_after_seconds=0)) == 0.5
    assert after(Unavailable("Busy.", retry_after_seconds=1e9)) == 60
    assert after(Forbidden("No.")) is None
    assert after(UpstreamError("Cut off."), ATTEMPTS) is None
