"""About how much an import is: what is counted from totals, pages and limits, and what is said where nothing is known."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from keyturn.model.estimates import Known, LastRead, LastSample, about, calls_in_words, estimate
from keyturn.rest.pace import allowance
from keyturn.wire import Headers, Response

SAMPLE = LastSample(1.0, 100, 77_182, more=True)
ORDERS = Known("orders", SAMPLE, None)
ITEMS = Known("items", LastSample(1.0, 3, None, more=True), None)
counts = st.integers(1, 10**7)
sizes = st.integers(1, 10_000)
rates = st.floats(0.01, 1000)


def of(sample: LastSample | None = SAMPLE, read: LastRead | None = None, *, per_second=None, **more):
    return estimate([Known("orders", sample, read, **more)], per_second=per_second)


def test_the_sentence_of_the_dialog():
    limited = replace(SAMPLE, seconds=0.2, allowed=85, window_seconds=60.0)
    assert of(limited).sentence == "About 772 requests, 8 minutes at this API’s limit."
    assert (
        of(replace(SAMPLE, seconds=0.5)).sentence
        == "About 772 requests, 6 minutes 30 seconds at the pace of the sample."
    )
    told = of(replace(SAMPLE, seconds=0.2), per_second=2.0)
    assert told.sentence == "About 772 requests, 6 minutes 30 seconds at the limit of 2 a second that is set here."
    assert (told.requests, told.seconds, told.rows, told.limited_by) == (772, 386.0, 77_182, "own_limit")
    assert of(SAMPLE).sentence == "About 772 requests."
    assert of(None, LastRead(2.0, 1234, 13, None, True, 4.2), paged=False).sentence.startswith("About 1 request, ")


def test_what_cannot_be_known_is_said():
    assert of(replace(SAMPLE, total=None)).sentence == "The API does not say how many rows there are."
    whole = LastRead(2.0, 1234, 13, None, None, 4.2)
    assert of(replace(SAMPLE, total=None), whole).sentence == (
        "The API does not say how many rows there are. The last read took 13 requests, 4 seconds."
    )
    assert "open the table" in of(None).sentence
    assert "draft" in of(draft=True).sentence
    assert of(None).requests is of(None).seconds is None


def test_after_a_whole_run_only_new_rows_are_asked_for():
    assert of(incremental=True).sentence == (
        "About 772 requests. That is everything; once a run was whole, the next ones ask only for new rows."
    )


def test_the_newer_of_sample_and_read_says_how_many_there_are():
    read = LastRead(2.0, 200, 2, 200, True, 1.0)
    assert of(SAMPLE, read).requests == 2
    assert of(replace(SAMPLE, at=3.0), read).requests == 772


def test_once_per_row_of_a_parent():
    orders = replace(ORDERS, sample=LastSample(1.0, 100, 1234, more=True))
    told = estimate([ITEMS, orders])
    assert (told.calls, told.requests) == (1234, 1234 + 13)
    assert calls_in_words([ITEMS, orders]) == "About 1,234 calls."
    twice = replace(ITEMS, read=LastRead(1.0, 5000, 200, None, True, None, parent_rows=100))
    assert estimate([twice, orders]).calls == 2468
    short = replace(orders, read=LastRead(2.0, 600, 6, 1234, False))
    assert estimate([ITEMS, short]).sentence.endswith(" orders is Incomplete, so this will be too.")
    unsaid = replace(ORDERS, sample=replace(SAMPLE, total=None))
    assert "does not say how many rows orders has" in estimate([ITEMS, unsaid]).sentence
    assert "is not known" in calls_in_words([ITEMS, unsaid])


@given(total=counts, size=sizes)
def test_the_pages_hold_all_rows_and_none_is_too_many(total, size):
    requests = of(LastSample(1.0, size, total, more=True)).requests
    assert requests is not None
    assert (requests - 1) * size < total <= requests * size


@given(rows=counts, requests=sizes)
def test_a_table_that_did_not_change_takes_as_many_requests_as_it_took(rows, requests):
    assume(requests <= rows)
    assert of(None, LastRead(1.0, rows, requests, rows, True)).requests == requests


@given(total=counts, size=sizes, rate=rates, each=st.floats(0, 10), most=st.integers(1, 1000))
def test_no_limit_is_beaten_and_a_higher_one_is_never_slower(total, size, rate, each, most):
    sample = LastSample(1.0, size, total, more=True, seconds=each)
    slow, fast = of(sample, per_second=rate), of(sample, per_second=rate * 2)
    assert slow.seconds >= slow.requests / rate
    assert slow.seconds >= fast.seconds >= each * fast.requests
    assert of(sample, max_pages=most).requests <= most
    assert f"{slow.requests:,} request" in slow.sentence


@given(st.floats(0, 10**7))
@example(59.6)
@example(90.0)
@example(155.0)
@example(929.0)
@example(9299.0)
@example(55_799.0)
def test_a_length_of_time_is_told_within_a_thirtieth(seconds):
    words = about(seconds).replace(",", "").split()
    units = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
    if words[0] == "under":
        assert seconds < 1
        return
    told = sum(int(n) * units[w.removesuffix("s")] for n, w in zip(words[::2], words[1::2], strict=True))
    assert abs(told - seconds) <= max(0.5, seconds / 30)


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ({"RateLimit-Policy": '"burst";q=100;w=60, "day";q=1000;w=86400'}, (1000, 86_400.0)),
        ({"RateLimit-Policy": "100;w=60"}, (100, 60.0)),
        ({"RateLimit-Limit": "10, 10;w=1;burst=1000, 1000;w=3600"}, (1000, 3600.0)),
        ({"RateLimit-Limit": "100"}, None),
        ({"RateLimit-Policy": '"none";q=0;w=0'}, None),
        ({"X-RateLimit-Limit": "5000"}, None),
        ({}, None),
    ],
)
def test_what_the_api_says_of_its_limit(header, found):
    assert allowance(Response(200, Headers.of(header))) == found
