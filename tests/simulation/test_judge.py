"""The judge sees what is wrong: each invariant once whole, once broken."""

from __future__ import annotations

import pytest

from keyturn.simulation.issuer import Ledger, Post
from keyturn.simulation.judge import INVARIANTS, Evidence, GrantSeen, Harm, judge, unstored
from keyturn.simulation.plan import Plan

PLAN = Plan(deadline_seconds=2.0, lease_seconds=3.0)


def post(token: int, at: float, did: str = "rotated", *, by: str = "w0.1", answer: str = "ok", issued=None) -> Post:
    return Post(0, token, by, at, did, answer, issued)


def evidence(*posts: Post, grants=(GrantSeen(0, "active", None, 2, 2),), harms=(), calm_until=0.0, **more) -> Evidence:
    ledger = Ledger(posts=list(posts), revoked=more.pop("revoked", set()), doubled=more.pop("doubled", []))
    return Evidence(ledger, list(grants), list(harms), calm_until, 100.0, **more)


def broken(seen: Evidence, plan: Plan = PLAN) -> set[str]:
    return {name for name, found in judge(plan, seen).items() if found}


def test_a_run_without_trouble_is_whole():
    assert broken(evidence(post(1, 10.0, issued=2))) == set()


def test_a_token_sent_twice_breaks_i1():
    assert broken(evidence(post(1, 10.0, issued=2), post(1, 10.5, "repeated", issued=3))) == {"I1"}


def test_in_calm_weather_it_breaks_i3_too():
    seen = evidence(post(1, 10.0, issued=2), post(1, 10.5, "repeated", issued=3), calm_until=20.0)
    assert broken(seen) == {"I1", "I3"}


@pytest.mark.parametrize("answer", ["lost", "truncated", "late", "503", "429 date"])
def test_an_answer_that_was_lost_or_refused_excuses_the_next(answer):
    assert broken(evidence(post(1, 10.0, answer=answer), post(1, 10.5, issued=2))) == set()


@pytest.mark.parametrize("what", ["kill", "stopping", "cut"])
def test_harm_to_the_one_who_sent_it_excuses_the_next(what):
    twice = (post(1, 10.0, issued=2), post(1, 10.5, "repeated", by="w1.1", issued=3))
    assert broken(evidence(*twice, harms=[Harm("w0.1", what, "", 10.2)])) == set()
    assert broken(evidence(*twice, harms=[Harm("w1.1", what, "", 10.2)])) == {"I1"}
    assert broken(evidence(*twice, harms=[Harm("w0.1", what, "", 9.0)])) == {"I1"}


def test_an_answer_that_was_not_heard_excuses_the_next():
    twice = (post(1, 10.0, issued=3), post(1, 12.2, "repeated", issued=2))
    assert broken(evidence(*twice, harms=[Harm("w0.1", "unheard", "", 9.99)])) == set()


def test_a_lease_that_lapsed_excuses_the_next_unless_the_answer_was_stored():
    slow = (post(1, 10.0, issued=3), post(1, 13.5, "repeated", issued=2))
    assert broken(evidence(*slow)) == set()
    stored = (post(1, 10.0, issued=2), post(1, 13.5, "repeated", issued=3))
    assert broken(evidence(*stored)) == {"I1"}


def test_a_process_that_was_stopped_beyond_its_lease_and_sends_then_is_excused():
    twice = (post(1, 10.0, issued=2), post(1, 10.5, "repeated", by="w1.1", issued=3))
    assert broken(evidence(*twice, harms=[Harm("w1.1", "stopping", "after lease", 6.4)])) == set()
    assert broken(evidence(*twice, harms=[Harm("w1.1", "stopping", "after lease", 4.0)])) == {"I1"}
    assert broken(evidence(*twice, harms=[Harm("w1.1", "kill", "after lease", 6.6)])) == {"I1"}
    assert broken(evidence(*twice, harms=[Harm("w1.1", "stopping", "after lease", 10.2)])) == {"I1"}


def test_so_is_whoever_holds_the_lease_by_then_and_sends_after_it():
    twice = (post(1, 10.0, issued=2), post(1, 10.5, "repeated", by="w1.1", issued=3))
    assert broken(evidence(*twice, harms=[Harm("w0.1", "stopping", "after lease", 5.9)])) == set()
    assert broken(evidence(*twice, harms=[Harm("w0.1", "stopping", "after lease", 3.0)])) == {"I1"}


def test_without_rotation_the_same_token_is_sent_each_time():
    seen = evidence(post(1, 10.0, "kept"), post(1, 10.5, "kept"))
    assert broken(seen, Plan(rotates=False)) == set()


def test_a_lost_grant_breaks_i2_where_the_grace_is_long():
    lost = GrantSeen(0, "reconnect_needed", "rotation_lost", 1, 1)
    assert broken(evidence(post(1, 10.0, issued=2), grants=[lost])) == {"I2"}


def test_a_grant_whose_family_was_revoked_is_lost_whatever_its_row_says():
    assert broken(evidence(post(1, 10.0, issued=2), revoked={0})) == {"I2"}


def test_without_grace_a_loss_is_an_answer_nobody_stored():
    plan = Plan(grace_seconds=0.0)
    lost = GrantSeen(0, "reconnect_needed", "rotation_lost", 1, 1)
    assert broken(evidence(post(1, 10.0, issued=2), grants=[lost]), plan) == set()
    assert broken(evidence(grants=[lost]), plan) == {"I2"}


def test_without_grace_an_answer_in_a_process_that_stood_still_explains_a_loss_too():
    plan = Plan(grace_seconds=0.0, deadline_seconds=2.0, lease_seconds=3.0)
    lost = GrantSeen(0, "reconnect_needed", "rotation_lost", 2, 2)
    posts = (post(1, 10.0, issued=2), post(1, 13.5, "replayed", by="w1.1"), post(2, 14.5, "revoked"))
    stop = Harm("w0.1", "stopping", "after answer", 10.1)
    assert broken(evidence(*posts, grants=[lost], harms=[stop]), plan) == set()
    assert broken(evidence(*posts, grants=[lost]), plan) >= {"I2"}


def test_without_grace_a_loss_must_say_that_it_is_ours():
    lost = GrantSeen(0, "reconnect_needed", "revoked", 1, 1)
    assert broken(evidence(post(1, 10.0, issued=2), grants=[lost]), Plan(grace_seconds=0.0)) == {"I2"}


def test_without_grace_what_was_cut_off_is_lost():
    assert broken(evidence(post(1, 10.0, issued=9)), Plan(grace_seconds=0.0)) == {"I2"}


def test_two_tokens_of_one_generation_break_i4():
    assert broken(evidence(doubled=[(0, 2)])) == {"I4"}


def test_a_transaction_as_long_as_an_answer_breaks_i5():
    assert broken(evidence(longest_calm_transaction_seconds=0.9)) == {"I5"}


def test_a_token_in_the_open_breaks_i6():
    assert broken(evidence(leaks=["w0.1.log holds a token"])) == {"I6"}


def test_a_call_beyond_its_deadline_breaks_i7():
    assert broken(evidence(longest_call_seconds=PLAN.wait_seconds + PLAN.deadline_seconds + 0.1)) == {"I7"}


def test_what_broke_otherwise_and_grants_that_do_not_recover_are_told_too():
    assert broken(evidence(broke=["Traceback"])) == {"-"}
    assert broken(evidence(unsettled=[3])) == {"-"}


def test_every_invariant_is_judged():
    assert set(judge(PLAN, evidence())) == {*INVARIANTS, "-"}


def test_what_was_stored_or_used_is_not_cut_off():
    used = (post(1, 10.0, issued=2), post(2, 11.0, issued=3))
    assert unstored(evidence(*used, grants=[GrantSeen(0, "active", None, 3, 3)])) == {}
    assert list(unstored(evidence(*used, grants=[GrantSeen(0, "active", None, 2, 2)]))) == [0]
