"""Keys of the deployment: which ones are in use, rotating to a new one while everything runs, removing an old one.

Rotation wraps each value's data key anew; what a value says is not touched, nothing is locked for longer than a
batch, and a value that somebody else wrote meanwhile stays theirs. Killed midway it is simply run again: what is
still to do is what still needs another key.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from keyturn.encryption import CannotOpen, Keyring, KeySource, fingerprint_of, key_mismatch, new_key
from keyturn.errors import Conflict, NotFound
from keyturn.model.audit import Who
from keyturn.services import audit, recovery, spills
from keyturn.services.context import Context
from keyturn.storage import accounts as deployment_rows
from keyturn.storage import replicas as replica_rows
from keyturn.storage import sealed
from keyturn.storage.replicas import Replica
from keyturn.storage.sealed import Place, SealedRow

if TYPE_CHECKING:
    from keyturn.storage.database import Database, Tx

log = structlog.get_logger(__name__)

Say = Callable[[str], None]
FINGERPRINT = "key_fingerprint"
ALIVE_SECONDS = 20.0
_WAIT_SECONDS = 60.0
_BATCH = 100
_PASSES = 50
_Rows = set[tuple[Place, tuple[object, ...]]]
_OPERATOR = Who(kind="system", name="Operator")


@dataclass(frozen=True, slots=True)
class KeyUse:
    """One key: how many values it opens, whether we hold it, whether it seals."""

    fingerprint: str
    values: int
    held: bool
    seals: bool


@dataclass(frozen=True, slots=True)
class Rotated:
    """What a rotation did. `damaged`: values that open with no key we hold, left as they are."""

    fingerprint: str
    values: int
    damaged: int
    unused: tuple[str, ...]
    recovery_key: bool


async def check_at_start(database: Database, keyring: Keyring, *, place: str) -> None:
    """Refuse to start without a key that stored values need. Raises `E-KEY` naming both fingerprints."""
    stored = await database.read(deployment_rows.deployment_value, FINGERPRINT)
    if stored is None:
        await database.run(deployment_rows.set_deployment_value, FINGERPRINT, keyring.fingerprint)
        return
    missing = await missing_keys(database, keyring)
    if missing:
        raise key_mismatch(stored=missing[0], given=keyring.fingerprint, place=place)
    if stored != keyring.fingerprint:
        # The old key is still there beside a new first one: both open, the new one seals from now on.
        log.info("key_added", fingerprint=keyring.fingerprint)


async def missing_keys(database: Database, keyring: Keyring) -> list[str]:
    """Fingerprints of keys that stored values need and the keyring does not hold."""
    stored = await database.read(deployment_rows.deployment_value, FINGERPRINT)
    needed = set(await database.read(sealed.usage_anywhere)) | ({stored} if stored else set())
    return sorted(needed - set(keyring.fingerprints))


async def uses(scene: Context) -> list[KeyUse]:
    """Every key that is held or needed."""
    counts = await scene.database.read(sealed.usage_anywhere)
    held = scene.keyring.fingerprints
    names = [*held, *sorted(set(counts) - set(held))]
    return [KeyUse(name, counts.get(name, 0), name in held, name == held[0]) for name in names]


async def beat(scene: Context, *, version: str) -> None:
    """Say to the other replicas that this process is here, and which keys it holds."""
    owner, fingerprints = scene.deployment.owner, scene.keyring.fingerprints
    await scene.database.run(replica_rows.beat, owner, version, fingerprints)


async def leave(scene: Context) -> None:
    """The process ends."""
    await scene.database.run(replica_rows.leave, scene.deployment.owner)


async def replicas(database: Database) -> list[Replica]:
    """The processes that serve now."""
    return await database.read(replica_rows.alive, ALIVE_SECONDS)


async def rotate(scene: Context, source: KeySource, say: Say) -> Rotated:
    """Make a new key where we may (or take the operator's first one) and wrap everything by it; run again to go on.

    Raises `Conflict` when there is no new key, or a replica does not have it.
    """
    await asyncio.to_thread(scene.keyring.look_again)
    before = [use for use in await uses(scene) if use.values and not use.seals]
    if before:
        say(f"Going on to key {scene.keyring.fingerprint}: {sum(use.values for use in before)} values still need "
            "another one.")  # fmt: skip
    else:
        await _new_key(scene, source, say)
    await _wait_for_replicas(scene, say)
    values, damaged = await _sweep(scene, say)
    unused = tuple(use.fingerprint for use in await uses(scene) if use.held and not use.seals and not use.values)

    def write(tx: Tx) -> bool:
        before = deployment_rows.deployment_value(tx, FINGERPRINT)
        deployment_rows.set_deployment_value(tx, FINGERPRINT, scene.keyring.fingerprint)
        audit.record_everywhere(
            tx,
            _OPERATOR,
            "deployment.keys_rotated",
            at=scene.clock(),
            before=before,
            now=scene.keyring.fingerprint,
            values=values,
        )
        return recovery.wrap_again(tx, scene.keyring)

    return Rotated(scene.keyring.fingerprint, values, damaged, unused, await scene.database.run(write))


async def remove(scene: Context, source: KeySource, fingerprint: str) -> None:
    """Take an old key away for good. Raises `Conflict` while a value or a replica needs it, `NotFound`."""
    await asyncio.to_thread(scene.keyring.look_again)
    held = scene.keyring.fingerprints
    if fingerprint not in held:
        raise NotFound(f"There is no key {fingerprint} here. Keys are {', '.join(held)}.")
    if fingerprint == held[0]:
        raise Conflict(f"Key {fingerprint} is the one that seals. Rotate to another one first: keyturn keys rotate")
    counts = await scene.database.read(sealed.usage_anywhere)
    if counts.get(fingerprint):
        raise Conflict(f"Key {fingerprint} still opens {counts[fingerprint]} values. First run: keyturn keys rotate")
    spilled = spills.sealed_by(scene.deployment.data_dir, fingerprint)
    if spilled:
        raise Conflict(
            f"Key {fingerprint} still opens {spilled} answers that wait for the database in "
            f"{spills.folder_of(scene.deployment.data_dir)}. Start Keyturn there once: then they are stored."
        )
    behind = [r.owner for r in await replicas(scene.database) if r.fingerprints[:1] == (fingerprint,)]
    if behind:
        raise Conflict(f"{behind[0]} still seals with key {fingerprint}. Give it the new key, then remove the old one.")
    if not source.writable:
        raise Conflict(f"Nothing needs key {fingerprint} any more. Take it out of {source.place} yourself.")
    kept = [key for key in await asyncio.to_thread(source.read) if fingerprint_of(key) != fingerprint]
    await asyncio.to_thread(source.write, kept)
    await asyncio.to_thread(scene.keyring.look_again)

    def write(tx: Tx) -> None:
        audit.record_everywhere(tx, _OPERATOR, "deployment.key_removed", at=scene.clock(), fingerprint=fingerprint)
        recovery.wrap_again(tx, scene.keyring)

    await scene.database.run(write)


async def _new_key(scene: Context, source: KeySource, say: Say) -> None:
    spare = len(scene.keyring.fingerprints) > 1 and scene.keyring.fingerprint != await _stored(scene)
    if spare:
        return
    if not source.writable:
        raise Conflict(
            f"There is no new key in {source.place}. Put one before the old one on every replica (make it with: "
            "openssl rand -base64 32), then run this again."
        )
    made = new_key()
    await asyncio.to_thread(lambda: source.write([made, *source.read()]))
    await asyncio.to_thread(scene.keyring.look_again)
    say(f"Key {fingerprint_of(made)} was made in {source.place}; the old one stays beside it.")


async def _stored(scene: Context) -> str | None:
    found: str | None = await scene.database.read(deployment_rows.deployment_value, FINGERPRINT)
    return found


async def _wait_for_replicas(scene: Context, say: Say) -> None:
    """Until every living process seals with the new key: what one sealed with the old one would be left behind."""
    deadline = time.monotonic() + _WAIT_SECONDS
    told = False
    while True:
        new = scene.keyring.fingerprint
        behind = [r for r in await replicas(scene.database) if r.fingerprints[:1] != (new,)]
        behind = [replica for replica in behind if replica.owner != scene.deployment.owner]
        if not behind:
            return
        if time.monotonic() > deadline:
            raise Conflict(
                f"{behind[0].owner} does not seal with key {new} yet. Put the new key first there too, then run "
                "this again."
            )
        if not told:
            say(f"Waiting for {len(behind)} replicas to read the new key.")
            told = True
        await asyncio.sleep(0.25)


async def wrap_stragglers(scene: Context) -> int:
    """Wrap anew what this process sealed with a key that was taken away meanwhile; answers how many values.

    A process that was stalled or cut off for so long that nobody waited for it any more is the only one who has it.
    """
    retired = set(scene.keyring.retired)
    await asyncio.to_thread(spills.rewrap, scene.deployment.data_dir, scene.keyring)
    if not retired or not retired & set(await scene.database.read(sealed.usage_anywhere)):
        return 0
    done = await _pass(scene, set(), lambda _: None)
    log.warning("stragglers_wrapped", values=done, fingerprints=sorted(retired))
    return done


async def _sweep(scene: Context, say: Say) -> tuple[int, int]:
    done, damaged = 0, _Rows()
    told_at = [time.monotonic()]

    def tell(count: int) -> None:
        if time.monotonic() - told_at[0] > 1.0:
            say(f"{done + count} values done.")
            told_at[0] = time.monotonic()

    for _ in range(_PASSES):
        changed = await _pass(scene, damaged, tell)
        done += changed
        counts = await scene.database.read(sealed.usage_anywhere)
        left = sum(count for name, count in counts.items() if name != scene.keyring.fingerprint)
        if left <= len(damaged):
            return done, len(damaged)
        await asyncio.sleep(0 if changed else 0.2)
    raise Conflict(f"Something still seals with another key than {scene.keyring.fingerprint}. Stop it, then run again.")


async def _pass(scene: Context, damaged: _Rows, tell: Callable[[int], None]) -> int:
    """Everything that needs another key than the first, once; what opens with none is put into `damaged`."""
    changed = 0
    for place in sealed.places():
        after: tuple[object, ...] | None = None
        while batch := await scene.database.read(
            sealed.others_anywhere, place, scene.keyring.fingerprint, after=after, limit=_BATCH
        ):
            after = batch[-1].row
            pairs = await asyncio.to_thread(_rewrap, scene.keyring, place, batch, damaged)
            changed += await scene.database.run(sealed.replace_anywhere, place, pairs)
            tell(changed)
            # Others want the database too.
            await asyncio.sleep(0)
    return changed


def _rewrap(keyring: Keyring, place: Place, batch: list[SealedRow], damaged: _Rows) -> list[tuple[SealedRow, bytes]]:
    pairs = []
    for row in batch:
        try:
            pairs.append((row, keyring.rewrap(row.value)))
        except CannotOpen:
            damaged.add((place, row.row))
    return pairs
