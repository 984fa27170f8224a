from datetime import UTC, datetime

import pytest

from keyturn.cli import connect_links, words
from keyturn.model import connect_links as links
from keyturn.model.connections import STATUS_WORDS

NOW = datetime(2026, 11, 24, 14, 2, tzinfo=UTC)


def test_status_words_are_those_of_the_model():
    assert words.STATUS_WORDS == STATUS_WORDS
    assert connect_links.STATUS_WORDS == links.STATUS_WORDS
    assert connect_links.OUTCOME_WORDS == links.OUTCOME_WORDS


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (9_100_000, "9.1 MB"),
        (2_500_000_000, "2.5 GB"),
        (3e12, "3.0 TB"),
    ],
)
def test_sizes(number, said):
    assert words.size(number) == said


def test_counts():
    assert (words.count(1, "table"), words.count(1234, "table")) == ("1 table", "1,234 tables")


@pytest.mark.parametrize(
    ("days", "said"), [(0, r"\d\d:\d\d"), (1, "yesterday"), (3, "3 days ago"), (30, r"2026-10-\d\d")]
)
def test_times_are_short_and_local(days, said):
    import re
    from datetime import timedelta

    here = NOW.astimezone()
    at = (here - timedelta(days=days)).astimezone(UTC).isoformat()
    assert re.fullmatch(said, words.when(at, now=here))
    assert words.when(None) == "–"


def test_health_says_since_when_and_why():
    here = NOW.astimezone()
    connection = {"status": "reconnect_needed", "status_since": here.isoformat(), "status_detail": "access_revoked"}
    assert words.health(connection).startswith("Reconnect needed since ")
    assert words.health(connection).endswith("(access revoked)")
    assert words.health({"status": "healthy", "status_since": here.isoformat()}) == "Healthy"
    assert words.health({"status": "from_the_future"}) == "from_the_future"


def test_since_becomes_coarser():
    from datetime import timedelta

    here = NOW.astimezone()
    assert words.since((here - timedelta(days=2)).isoformat(), now=here) == f" since {here - timedelta(days=2):%a}"
    assert words.since((here - timedelta(days=60)).isoformat(), now=here) == " since 25 Sep"


def test_scopes_that_are_missing_are_named():
    connection = {"scopes_requested": ["a", "b"], "scopes_granted": ["a"]}
    assert words.scopes(connection) == "1 of 2 (missing b)"
    assert words.scopes(connection | {"scopes_granted": None}) == "2 of 2"


def test_works_until():
    connection = {
        "refresh_token_expires_at": None,
        "has_refresh_token": True,
        "access_token_expires_at": NOW.isoformat(),
    }
    assert words.works_until(connection) == "renewed"
    assert words.works_until(connection | {"has_refresh_token": False}).startswith("2026-11-24")
