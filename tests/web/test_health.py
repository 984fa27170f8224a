"""Ninety days of a connection as one state a day: what lasts is drawn on every day it lasted."""

from __future__ import annotations

from dataclasses import replace

from keyturn.model.connections import Connection, ConnectionSettings, NoAuth, forecast
from keyturn.services.events import KINDS, OF_CLIENT, SHOWN, TURNS, Event
from keyturn.web.pages.health import DAYS, days, key, spans

NOW = 1_800_000_000.0
DAY = 86400.0


def connection(**changes) -> Connection:
    settings = ConnectionSettings.model_validate(
        {"name": "acme", "base_url": "https://acme.example", "access": "only_me", "auth": {"type": "oauth2"}}
    )
    plain = Connection("cn_1", "ws_1", "ac_1", "Ana", settings, "oc_1", "Acme CRM", False, NOW - 200 * DAY, NOW)
    return replace(plain, **{"status": "healthy", **changes})


def event(kind: str, days_ago: float, **data) -> Event:
    word, state, template = KINDS[kind]
    return Event("ev", kind, word, state, template.format_map({"sentence": "", "error": "", "rotated": "yes", "again": "", **data}),
                 NOW - days_ago * DAY, None, data)  # fmt: skip


def statuses(turns: list[Event], **changes) -> list[str]:
    return [day.status for day in days(turns, connection(**changes), now=NOW)]


def test_a_trouble_is_drawn_on_every_day_until_it_ended():
    found = statuses([event("refresh_rejected", 10), event("reconnected", 7, account="jane")])
    assert found == ["healthy"] * 79 + ["reconnect_needed"] * 4 + ["healthy"] * 7


def test_the_worst_of_a_day_is_its_state():
    found = statuses([event("refresh_failed", 3.02), event("refreshed", 3.01), event("slowed_down", 1)])
    assert found[-4:] == ["retrying", "healthy", "retrying", "healthy"]


def test_an_end_by_time_alone_counts_from_when_it_came():
    found = statuses([], status="reconnect_needed", status_detail="no_refresh_token", status_since=NOW - 2 * DAY)
    assert found[-3:] == ["reconnect_needed"] * 3
    last = days([], connection(status="reconnect_needed", status_detail="no_refresh_token"), now=NOW)[-1]
    assert (last.mark, last.sentence) == ("x", "There is no refresh token, so it stops when the access token ends.")


def test_days_before_it_was_there_are_not_called_healthy():
    found = days(
        [event("created", 5), event("connected", 5, account="x")], connection(created_at=NOW - 5 * DAY), now=NOW
    )
    assert [day.status for day in found] == ["not_connected"] * (DAYS - 6) + ["healthy"] * 6
    assert found[0].mark == "p"


def test_a_connection_by_hand_is_healthy_from_its_first_day():
    settings = connection().settings.model_copy(update={"auth": NoAuth(type="none")})
    by_hand = connection(created_at=NOW - 2 * DAY, settings=settings, oauth_client_id=None)
    assert [day.status for day in days([event("created", 2)], by_hand, now=NOW)][-3:] == ["healthy"] * 3


def test_the_strip_is_told_in_words_and_in_spans():
    found = days([event("refresh_rejected", 10, error="invalid_grant"), event("reconnected", 7, account="x")],
                 connection(), now=NOW)  # fmt: skip
    assert key(found) == "86 days healthy · 4 days needed a reconnect"
    lines = spans(found)
    assert [(day.status, " to " in when) for when, day in lines] == [
        ("healthy", True), ("reconnect_needed", True), ("healthy", True)
    ]  # fmt: skip
    assert "invalid_grant" in lines[1][1].sentence


def test_whatever_turns_a_state_or_is_filtered_by_has_its_words():
    assert set(TURNS) - {"recovered", "client_accepted", "client_misconfigured"} <= set(KINDS)
    assert set(SHOWN["sign_ins"]) <= set(KINDS)
    assert "secret_replaced" in OF_CLIENT


def test_the_outlook_of_a_sign_in_is_one_sentence():
    signed_in = {"generation": 3, "has_refresh_token": True}
    ends = {"refresh_token_expires_at": NOW + 9 * DAY}
    assert forecast(connection()) == ""
    assert forecast(connection(status="reconnect_needed", **signed_in)) == ""
    assert forecast(connection(**signed_in)) == "The refresh token has no end that we know of."
    assert "by itself" in forecast(connection(generation=1, has_refresh_token=None))
    told = [forecast(connection(**signed_in, **ends, refresh_token_prolonged=known)) for known in (True, None, False)]
    assert [sentence.split(" 24 Jan")[0] for sentence in told] == [
        "Each renewal moves the end of the refresh token away; left alone, it ends on",
        "The refresh token ends on",
        "The sign-in ends on",
    ]
    without = connection(generation=1, has_refresh_token=False, access_token_expires_at=NOW)
    assert forecast(without) == "There is no refresh token, so it stops on 15 Jan 2027 08:00 UTC."
