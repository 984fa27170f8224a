"""Upkeep of grants: what replicas do by themselves so that nobody has to wait and nothing is lost.

First what a crash left without an answer, then clients and token hosts that are looked at again, then everything
whose time has come. All replicas do it; row locks and leases divide the work.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from keyturn.encryption import CannotOpen
from keyturn.model.connections import Connection
from keyturn.model.grants import Grant
from keyturn.model.refreshes import Lease, Past, Purpose, pause_seconds
from keyturn.services import answers, incidents, orphans, refreshes
from keyturn.services.context import Context
from keyturn.storage import connections as connection_rows
from keyturn.storage import grants as grant_rows
from keyturn.storage import leases, refresh_attempts, token_generations, token_hosts

if TYPE_CHECKING:
    import asyncio

    from keyturn.storage.database import Tx

log = structlog.get_logger(__name__)

BATCH = 50
# So many processes may die of one refresh before it is not the processes'.
_CRASHES = 8
# A grant that cannot even be opened is looked at again after that long.
_UNOPENED_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Claim:
    """A grant whose lease is ours."""

    ctx: Context
    connection: Connection
    grant: Grant
    lease: Lease


async def come_back(scene: Context) -> None:
    """At the start: the leases this process held when it died are over, and answers it left in files are stored."""
    latest = await scene.database.read(grant_rows.latest_anywhere)
    scene.database.clock.not_before(latest)
    if ended := await scene.database.run(leases.release_own_anywhere, scene.deployment.owner):
        log.info("own_leases_ended", leases=ended)
    await answers.read_back(scene)


async def recover(scene: Context, most: int = BATCH) -> list[asyncio.Task[None]]:
    """Attempts past their lease without an answer: the same refresh token is sent once more at once.

    Not where every process dies of it: then its next attempt waits, longer each time.
    """

    def claim(tx: Tx) -> list[Claim]:
        found = [grant for grant in leases.past_anywhere(tx, most) if not _put_off(tx, scene, grant)]
        return _claimed(tx, scene, found, "recovery")

    return _started(await scene.database.run(claim))


async def renew_ahead(scene: Context, most: int = BATCH) -> tuple[list[asyncio.Task[None]], bool]:
    """Grants whose time has come, whether somebody reads through them or not; and whether more may be due.

    Where very many are due, those that are overdue take turns: whoever reads through one meanwhile renews it at once.
    """

    def claim(tx: Tx) -> tuple[list[Claim], bool]:
        found = leases.due_anywhere(tx, most)
        many = len(found) == most
        return _claimed(tx, scene, _in_turn(tx, scene, found) if many else found, "due"), many

    claims, many = await scene.database.run(claim)
    return _started(claims), many


def _in_turn(tx: Tx, scene: Context, found: list[Grant]) -> list[Grant]:
    left = []
    for grant in found:
        turn_at = grant.turn_at(scene.clock(), random.random())  # noqa: S311 - a turn is drawn, not a secret
        if turn_at is None:
            left.append(grant)
        else:
            # The trouble was the host's and is over.
            values = {
                "refresh_after": turn_at,
                "next_attempt_at": None,
                "last_error_class": None,
                "last_error_code": None,
            }
            grant_rows.update(tx, grant.workspace_id, grant.id, grant.generation, values)
    if len(left) < len(found):
        log.info("overdue_grants_take_turns", grants=len(found) - len(left))
    return left


async def probe(scene: Context) -> list[asyncio.Task[None]]:
    """One grant of each refused client and of each token host that was away, where it is time to look again."""
    await scene.database.run(grant_rows.resume_strays_anywhere, scene.clock())
    refused = await incidents.to_probe(scene)

    def claim(tx: Tx) -> list[Claim]:
        found = [grant_rows.one_of_client(tx, item.workspace_id, item.oauth_client_id) for item in refused]
        claims = _claimed(tx, scene, [grant for grant in found if grant is not None], "probe")
        for workspace_id, origin in token_hosts.to_probe_anywhere(tx):
            grant = leases.due_of_host(tx, workspace_id, origin)
            seconds = scene.deployment.refresh.lease_seconds
            if grant is not None and token_hosts.take_probe(tx, workspace_id, origin, seconds):
                claims += _claimed(tx, scene, [grant], "probe")
        return claims

    return _started(await scene.database.run(claim))


async def prune(scene: Context) -> None:
    """Forget attempts and generations that explain nothing any more."""
    before = scene.clock() - orphans.KEPT_SECONDS
    await scene.database.run(refresh_attempts.prune_anywhere, before)
    await scene.database.run(token_generations.prune_anywhere, before)


def _put_off(tx: Tx, scene: Context, grant: Grant) -> bool:
    past = Past.of(refresh_attempts.of_generation(tx, grant.workspace_id, grant.id, grant.generation))
    if past.crashes < _CRASHES or past.in_grace(scene.clock()):
        return False
    pause = pause_seconds(past.crashes, still_good=False)
    log.warning("grant_waits_after_crashes", grant=grant.id, crashes=past.crashes, seconds=pause)
    values = {"lease_owner": None, "lease_until": None, "next_attempt_at": scene.clock() + pause}
    return grant_rows.update(tx, grant.workspace_id, grant.id, grant.generation, values)


def _claimed(tx: Tx, scene: Context, found: list[Grant], purpose: Purpose) -> list[Claim]:
    claims = []
    for grant in found:
        ctx = replace(scene, workspace_id=grant.workspace_id)
        connection = connection_rows.get(tx, grant.workspace_id, grant.connection_id)
        if connection is None:
            continue
        try:
            lease = refreshes.take(tx, ctx, connection, grant, purpose)
        except CannotOpen:
            # Another grant's turn; the key may come back.
            log.warning("grant_does_not_open", grant=grant.id)
            values = {"next_attempt_at": ctx.clock() + _UNOPENED_SECONDS, "lease_owner": None, "lease_until": None}
            grant_rows.update(tx, grant.workspace_id, grant.id, grant.generation, values)
            continue
        if lease is not None:
            claims.append(Claim(ctx, connection, grant, lease))
    return claims


def _started(claims: list[Claim]) -> list[asyncio.Task[None]]:
    return [refreshes.start_under(claim.ctx, claim.connection, claim.grant, claim.lease) for claim in claims]
