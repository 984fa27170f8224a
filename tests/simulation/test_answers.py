"""Answers as they leave: each kind is one that our client must read, wait for, or know to be lost."""

from __future__ import annotations

import random

import pytest

from keyturn.oauth.errors import OAuthError, classify
from keyturn.oauth.tokens import process_token_response
from keyturn.simulation import answers
from keyturn.simulation.answers import KINDS, LOSES, REFUSES, Draw
from keyturn.simulation.plan import Plan
from keyturn.wire import Headers, Response

NOW = 1_800_000_000.0


def read(raw: bytes) -> Response:
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = Headers(tuple((name, value.strip()) for name, _, value in (line.partition(":") for line in lines)))
    return Response(int(first.split(" ")[1]), headers, body, "http://127.0.0.1/token", 0.0)


def drawn(plan: Plan, weather: str, count: int = 3000) -> list[Draw]:
    chance = random.Random(1)
    return [answers.draw(plan, weather, chance) for _ in range(count)]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("kind", ["ok", "odd"])
def test_whole_answers_are_understood(kind, seed):
    raw = answers.granted(Draw(kind), random.Random(seed), access="a-token", refresh="r-token", life=6.0)
    found = process_token_response(read(raw), now=NOW)
    assert (found.access_token, found.refresh_token, found.expires_in_seconds) == ("a-token", "r-token", 6.0)


@pytest.mark.parametrize(("kind", "seconds"), [("429 seconds", 1.0), ("429 date", 2.0), ("503", None)])
def test_refusals_are_transient_and_say_when_to_come_again(kind, seconds):
    with pytest.raises(OAuthError) as caught:
        process_token_response(read(answers.refused(kind, NOW)), now=NOW)
    verdict = classify(caught.value, now=NOW)
    assert (verdict.outcome, verdict.retry_after_seconds) == ("transient", seconds)


def test_a_failed_answer_is_an_oauth_error():
    with pytest.raises(OAuthError, match="invalid_grant"):
        process_token_response(read(answers.failed("invalid_grant")), now=NOW)


def test_a_storm_has_every_kind():
    assert {draw.kind for draw in drawn(Plan(), "storm", 20_000)} == set(KINDS)


def test_where_nothing_could_save_a_grant_no_answer_is_lost():
    assert not {draw.kind for draw in drawn(Plan(grace_seconds=0), "storm")} & LOSES


def test_calm_answers_are_slow_and_come_within_the_deadline():
    plan = Plan()
    found = drawn(plan, "calm")
    assert {draw.kind for draw in found} == {"slow"}
    assert all(0.4 <= draw.wait_seconds / plan.deadline_seconds <= 0.7 for draw in found)


def test_late_answers_come_after_the_deadline():
    plan = Plan()
    late = [draw for draw in drawn(plan, "storm", 20_000) if draw.kind == "late"]
    assert late
    assert all(draw.wait_seconds > plan.deadline_seconds for draw in late)


def test_kinds_that_lose_or_refuse_are_kinds():
    assert set(KINDS) >= LOSES | REFUSES
    assert not LOSES & REFUSES
