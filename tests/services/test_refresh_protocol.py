"""The lease and commit protocol as a state machine, on both databases: many actors, each of whom may die or be late.

An actor takes the lease, sends, loses the answer or stores it, in any order with the others and with time.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from keyturn.model.refreshes import Lease
from keyturn.oauth.errors import Verdict
from keyturn.oauth.tokens import TokenSet
from keyturn.services import answers, grants, oauth_clients, refresh_outcomes, refreshes
from keyturn.services.refresh_outcomes import Refused
from keyturn.services.token_requests import Answered
from keyturn.storage import refresh_attempts, token_generations

# With the deadlines of `acme`: an answer takes at most 1 s of a lease of 2 s.
SPARE_SECONDS = 1.0


@dataclass
class Actor:
    """One process on its way through a refresh."""

    ctx: object
    grant: object
    lease: Lease
    taken_at: float
    found: TokenSet | Verdict | None = None


@dataclass
class Server:
    """Rotates; a used token is taken again if there is a grace, else the family is revoked."""

    grace: bool
    live: set[str] = field(default_factory=set)
    used: set[str] = field(default_factory=set)
    issued: int = 0

    def issue(self) -> str:
        self.issued += 1
        token = f"rt-{self.issued}"
        self.live.add(token)
        return token

    def post(self, token: str) -> TokenSet | Verdict:
        if token in self.used and not self.grace:
            self.live.clear()
        if token not in self.live and not (self.grace and token in self.used):
            return Verdict("grant_dead", "invalid_grant")
        self.live.discard(token)
        self.used.add(token)
        refresh = self.issue()
        return TokenSet(f"at-{self.issued}", "Bearer", 3600.0, refresh)


class Protocol(RuleBasedStateMachine):
    """`acme` and `connection` stay; each example has a grant of its own."""

    acme = connection = registration = None
    grace = True
    actors = Bundle("actors")

    def __init__(self) -> None:
        super().__init__()
        self.server, self.now, self.faults, self.sent = Server(self.grace), 0.0, 0, {}
        tokens = TokenSet("at-0", "Bearer", 3600.0, self.server.issue())

        def write(tx):
            grants.store_new(tx, self.acme.ctx, self.registration, tokens, connection=self.connection, account_id=None,
                             requested_at=self.acme.ctx.clock(), scopes_requested=["read"], account=None)  # fmt: skip

        self.run(write)
        self.pass_time(4000.0)
        self.generation = self.grant().generation

    def run(self, fn, *arguments, **named):
        return self.acme.ctx.database.run_now(fn, *arguments, **named)

    def grant(self):
        return self.acme.grant(self.connection)

    def pass_time(self, seconds: float) -> None:
        self.acme.later(seconds)
        self.now += seconds

    @rule(target=actors, name=st.sampled_from(["a", "b", "c"]), recovery=st.booleans())
    def take(self, name, recovery):
        ctx, grant = self.acme.replica(name), self.grant()
        lease = self.run(refreshes.take, ctx, self.connection, grant, "recovery" if recovery else "due")
        if lease is None:
            return Actor(ctx, grant, Lease("", 0, None, "due", 0.0), self.now, Verdict("not_sent"))
        return Actor(ctx, grant, lease, self.now)

    @rule(actor=actors)
    def send(self, actor):
        if actor.found is not None:
            return
        if self.now - actor.taken_at > SPARE_SECONDS:
            actor.found = Verdict("not_sent", "lease_too_short")
            return
        token = grants.refresh_token(actor.ctx, actor.grant)
        for earlier in self.sent.get(token, ()):
            # I1: a token is sent again only when what came of it is unknown, or to ask once more about a refusal.
            stage = self.run(refresh_attempts.stage_of, "ws_1", earlier)
            assert stage in {"unknown", "answered", "failed"}, stage
        self.sent.setdefault(token, []).append(actor.lease.attempt_id)
        actor.found = self.server.post(token)

    @rule(actor=actors)
    def store(self, actor):
        if actor.found is None or not actor.lease.attempt_id:
            return
        if isinstance(actor.found, Verdict):
            refused = Refused(self.connection, self.registration.client, actor.grant, actor.lease, actor.found)
            self.run(refresh_outcomes.write, actor.ctx, refused)
        else:
            answered = Answered(actor.found, self.registration.ways()[0])
            answer = refreshes._answer(
                actor.ctx, self.registration, self.connection, actor.grant, actor.lease, answered, actor.ctx.clock()
            )
            self.run(answers.write, actor.ctx, answer)
        actor.lease = Lease("", 0, None, "due", 0.0)

    @rule(actor=actors)
    def die(self, actor):
        self.faults += actor.lease.attempt_id != ""
        actor.lease = Lease("", 0, None, "due", 0.0)
        actor.found = Verdict("not_sent")

    @rule(actor=actors)
    def lose_the_answer_and_ask_again_at_once(self, actor):
        if not isinstance(actor.found, TokenSet) or not actor.lease.attempt_id:
            return
        self.faults += 1
        again = self.run(refreshes.take, actor.ctx, self.connection, actor.grant, "due", actor.lease)
        actor.lease, actor.found, actor.taken_at = again or Lease("", 0, None, "due", 0.0), None, self.now
        if again is None:
            actor.found = Verdict("not_sent")

    @rule(seconds=st.sampled_from([0.5, 1.5, 3.0, 100.0, 4000.0]))
    def time_passes(self, seconds):
        # Whoever is under way while a lease ends counts as stopped (SIGSTOP): what it does next is late.
        self.faults += seconds > 0.5
        self.pass_time(seconds)

    @precondition(lambda self: self.grace)
    @invariant()
    def with_a_grace_nothing_is_ever_lost(self):
        assert self.grant().state == "active"

    @precondition(lambda self: not self.grace)
    @invariant()
    def without_one_a_loss_has_a_cause_and_is_called_by_its_name(self):
        grant = self.grant()
        if grant.state == "reconnect_needed":
            assert self.faults
            assert grant.reason == "rotation_lost"

    @invariant()
    def there_is_one_present_generation_and_it_only_grows(self):
        grant = self.grant()
        assert grant.generation >= self.generation
        self.generation = grant.generation
        orphan = self.run(token_generations.newest_orphan, "ws_1", grant.id)
        assert orphan is None or orphan.refresh_sealed != grant.refresh_sealed
        sent = [row for row in self.acme.rows("refresh_attempts") if row["stage"] == "sent"]
        assert len(sent) <= 1


@pytest.mark.parametrize("grace", [True, False], ids=["grace", "no grace"])
async def test_whatever_actors_do_in_whatever_order_the_invariants_hold(acme, grace):
    connection = await acme.signed_in()
    registration = await oauth_clients.registration(acme.ctx, acme.client.id)
    here = {"acme": acme, "connection": connection, "registration": registration, "grace": grace}
    machine = type("Machine", (Protocol,), here)
    examples = max(15, settings().max_examples // 5)
    how = settings(max_examples=examples, stateful_step_count=20, deadline=None)
    await asyncio.to_thread(run_state_machine_as_test, machine, settings=how)
