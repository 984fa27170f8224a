"""A table's first request: where it looks back from, and in which words."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from keyturn.errors import Invalid
from keyturn.model.connections import Connection, ConnectionSettings
from keyturn.model.tables import TableSettings
from keyturn.services.endpoints import Asked, check_names, first_request

NOW = 1_772_668_800.0
CONNECTION = Connection(
    "cn_1", "ws_1", "ac_1", "Ana",
    ConnectionSettings.model_validate(
        {"name": "acme", "base_url": "https://a.example/v1", "auth": {"type": "none"}, "access": "only_me"}
    ),
    None, None, paused=False, created_at=0, updated_at=0,
)  # fmt: skip


def table(**settings):
    return TableSettings.model_validate({"connection_id": "cn_1", "name": "orders", "path": "/orders", **settings})


def query(settings, asked):
    return parse_qs(urlsplit(first_request(CONNECTION, settings, asked, now=NOW).url).query)


@pytest.mark.parametrize(
    ("only", "asked", "sent"),
    [
        ({}, Asked(), None),
        ({"start": "2020-01-01"}, Asked(), "2020-01-01"),
        ({}, Asked(since="2026-03-01"), "2026-03-01"),
        ({}, Asked(high_water="2026-03-01T12:00:00Z"), "2026-02-28T12:00:00Z"),
        ({"look_back_seconds": 90_000}, Asked(high_water="2026-03-01"), "2026-02-27"),
        ({"look_back_seconds": 10}, Asked(high_water=1000), "990"),
        ({"send_as": "epoch"}, Asked(since="2026-03-05"), "1772668800"),
        ({"send_as": "epoch_ms"}, Asked(since="2026-03-05T00:00:00Z"), "1772668800000"),
        ({"send_as": "date"}, Asked(high_water="2026-03-01T12:00:00Z"), "2026-02-28"),
    ],
)
def test_only_what_is_new_is_asked_for(only, asked, sent):
    found = query(table(incremental={"column": "at", "param": "after", **only}), asked)
    assert found == ({"after": [sent]} if sent else {})


def test_last_run_is_when_the_last_whole_run_began():
    settings = table(query={"after": "{{last_run}}"})
    assert query(settings, Asked(last_run_at=NOW)) == {"after": ["2026-03-05T00:00:00Z"]}
    assert query(settings, Asked(since="2026-01-01")) == {"after": ["2026-01-01"]}


@pytest.mark.parametrize(
    ("settings", "asked", "at"),
    [
        (table(), Asked(since="2026-01-01"), "since"),
        (table(incremental={"column": "at", "param": "a", "send_as": "epoch"}), Asked(since="soon"), "since"),
        (table(headers={"X-A": "{{x}}"}, parameters=[{"name": "x"}]), Asked({"x": "ü"}), None),
    ],
)
def test_what_cannot_be_sent_is_refused(settings, asked, at):
    if at is None:
        assert first_request(CONNECTION, settings, asked, now=NOW).headers.get("X-A") == "ü"
        return
    with pytest.raises(Invalid) as refused:
        first_request(CONNECTION, settings, asked, now=NOW)
    assert refused.value.problems[0].at == at


def test_a_parameter_that_nothing_uses_is_told():
    with pytest.raises(Invalid, match="Nothing uses x"):
        check_names(table(parameters=[{"name": "x"}]))
    check_names(table(path="/orders/{x}", parameters=[{"name": "x"}]))
