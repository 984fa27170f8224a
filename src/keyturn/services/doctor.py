"""The doctor: whether this deployment stands as it should. One list, for the page, the API and `keyturn doctor`."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from urllib.parse import urlsplit

from keyturn import core, redaction
from keyturn.encryption import WrappedKeys
from keyturn.errors import Invalid, KeyturnError, Unavailable
from keyturn.model.checks import Check
from keyturn.model.permissions import ROLE_LABELS
from keyturn.services import backups, export_dirs, keys, recovery
from keyturn.services.context import Context
from keyturn.storage import health, token_hosts
from keyturn.storage.health import DatabaseHealth
from keyturn.storage.token_hosts import TokenHost

CLOCK_SECONDS = 5.0
# A Date header has whole seconds and was on its way.
_HOST_CLOCK_SECONDS = 30.0
_BACKUP_DAYS = 7
_GIGABYTE = 1 << 30
_LOW_BYTES, _FULL_BYTES = 2 * _GIGABYTE, _GIGABYTE // 4
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


async def examine(ctx: Context, *, reached_at: str | None = None, their_clock: float | None = None) -> list[Check]:
    """Every check. `reached_at` is the address the caller typed, `their_clock` theirs in epoch seconds."""
    ctx.require("workspace:admin")
    found = [_version(ctx), _public_url(ctx, reached_at)]
    try:
        database = await ctx.database.read(health.look)
        hosts = await ctx.database.read(token_hosts.all_of, ctx.workspace_id)
    except Unavailable as error:
        fix = "Start the database, or set KEYTURN_DATABASE_URL to where it is."
        return [*found, Check("database", "fail", redaction.text(error.message, limit=200), fix)]
    return [
        *found,
        _clock(ctx, database, their_clock, hosts),
        await _key(ctx),
        *await _key_service(ctx),
        _database(database),
        _reader(),
        _private_hosts(ctx),
        await asyncio.to_thread(_authorities, ctx),
        await asyncio.to_thread(_disk, ctx.deployment.data_dir),
        *await _export_dirs(ctx),
        await _backup(ctx),
        await _recovery_key(ctx),
    ]


def _version(ctx: Context) -> Check:
    here, who = ctx.deployment, ctx.actor
    role = ROLE_LABELS[who.role]
    return Check("version", "ok", f"Keyturn {here.version} at {here.public_url} (you are {who.name}, {role}).")


def _public_url(ctx: Context, reached_at: str | None) -> Check:
    told = ctx.deployment.public_url
    parts = urlsplit(told)
    try:
        reached = None if reached_at is None else urlsplit(reached_at)
    except ValueError:
        raise Invalid("Send the address you typed, for example https://data.example.com.", at="reached_at") from None
    if reached is not None and (reached.scheme, reached.netloc.lower()) != (parts.scheme, parts.netloc):
        here = redaction.text(f"{reached.scheme}://{reached.netloc}", limit=200)
        return Check(
            "public_url",
            "fail",
            f"Public URL is {told} but you reached it at {here}. Redirect URIs would fail.",
            f"Start with KEYTURN_PUBLIC_URL={here}, or use {told}.",
        )
    if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        fix = "Put a reverse proxy with a certificate in front and set KEYTURN_PUBLIC_URL to its https address."
        return Check("public_url", "warn", f"Public URL is {told}. Most end systems refuse http.", fix)
    same = ", which is how you reached it" if reached is not None else ""
    return Check("public_url", "ok", f"Public URL is {told}{same}.")


def _clock(ctx: Context, database: DatabaseHealth, their_clock: float | None, hosts: list[TokenHost]) -> Check:
    others = [("the database’s", database.now)]
    if their_clock is not None:
        others.append(("yours", their_clock))
    # Who signs for a moment is the first to notice (RFC 7523 §3).
    ahead = [(host.origin, host.clock_ahead_seconds or 0.0) for host in hosts]
    others += [(f"{name}’s", ctx.clock() + off) for name, off in ahead if abs(off) > _HOST_CLOCK_SECONDS]
    # What verbs go by is the database's clock; asked about is this machine's.
    now = ctx.clock() - ctx.database.clock.ahead_seconds
    whose, theirs = max(others, key=lambda other: abs(other[1] - now))
    off = abs(theirs - now)
    if off <= CLOCK_SECONDS:
        return Check("clock", "ok", f"Clock within {max(off, 0.1):.1f} s.")
    fix = "Turn on time sync (NTP) on the server, the database and your own machine."
    return Check("clock", "fail" if off > 60 else "warn", f"The server’s clock is {off:.0f} s off from {whose}.", fix)


async def _key(ctx: Context) -> Check:
    missing = await keys.missing_keys(ctx.database, ctx.keyring)
    if missing:
        fix = "Put the old key back beside the new one, or run keyturn keys recover with your recovery key."
        return Check("key", "fail", f"Stored data needs encryption key {missing[0]}, which is not here.", fix)
    return Check("key", "ok", f"Encryption key {ctx.keyring.fingerprint} matches stored data.")


async def _key_service(ctx: Context) -> list[Check]:
    source = ctx.keyring.source
    if not isinstance(source, WrappedKeys):
        return []
    name = source.services[0].name
    try:
        await asyncio.to_thread(source.check)
    except KeyturnError as error:
        fix = "All goes on until the next start, which needs it. Mend the key service or this server’s way to it."
        return [Check("key_service", "fail", redaction.text(error.message, limit=400), fix)]
    return [Check("key_service", "ok", f"The keys are wrapped by {name}, which unwraps them.")]


def _database(found: DatabaseHealth) -> Check:
    name = f"{found.kind} {found.version}"
    if found.revision != found.newest:
        fix = "Run keyturn migrate of the newest version you use, then start the server again."
        sentence = f"{name} has schema {found.revision or 'none'}, and this version wants {found.newest}."
        return Check("database", "fail", sentence, fix)
    if found.broken_rules:
        fix = "Keep the file on a local disk: network folders do not honour SQLite’s rules. Or use PostgreSQL."
        return Check("database", "fail", f"{name}: {', '.join(found.broken_rules)}.", fix)
    kept = ", write-ahead log and foreign keys on" if found.kind == "SQLite" else ""
    return Check("database", "ok", f"{name} answers, schema {found.revision}{kept}.")


def _reader() -> Check:
    if core.is_there():
        return Check("reader", "ok", "Pages are read by the compiled core.")
    fix = "Install a C compiler (cc), then Keyturn again. Nothing else changes."
    return Check("reader", "warn", "The compiled core was not built here, so pages are read more slowly.", fix)


def _private_hosts(ctx: Context) -> Check:
    listed = ctx.egress.allowed.names()
    if not listed:
        return Check("private_hosts", "ok", "No private hosts are allowed; end systems are reached by https alone.")
    wide = [name for name in listed if name.endswith(("/0", "/8"))]
    if wide:
        fix = "Name hosts or small networks in KEYTURN_ALLOWED_PRIVATE_HOSTS."
        return Check("private_hosts", "warn", f"Whole networks may be called: {', '.join(wide)}.", fix)
    return Check("private_hosts", "ok", f"Private hosts that may be called: {', '.join(listed)}.")


def _authorities(ctx: Context) -> Check:
    own = ctx.egress.settings.ca_file
    try:
        count = ctx.egress.authorities()
    except OSError as error:
        fix = "Set KEYTURN_CA_FILE to a PEM file that the server may read."
        return Check("egress", "fail", f"{own} cannot be used ({error.strerror or 'no certificate in it'}).", fix)
    if count == 0:
        fix = "Install the system’s certificate authorities (Debian: ca-certificates), or set KEYTURN_CA_FILE."
        return Check("egress", "fail", "No certificate authority is known, so no end system can be verified.", fix)
    besides = f", those of {own} among them" if own else ""
    return Check("egress", "ok", f"Calls go out directly, verified by {count} certificate authorities{besides}.")


def _disk(folder: Path) -> Check:
    if not os.access(folder, os.W_OK):
        fix = f"Give the server’s user write access to {folder}."
        return Check("disk", "fail", f"The data folder {folder} cannot be written.", fix)
    free = shutil.disk_usage(folder).free
    sentence = f"{free / _GIGABYTE:,.1f} GB are free in the data folder."
    if free >= _LOW_BYTES:
        return Check("disk", "ok", sentence)
    fix = f"Free space on the disk of {folder}, or move KEYTURN_DATA_DIR."
    return Check("disk", "fail" if free < _FULL_BYTES else "warn", sentence, fix)


async def _export_dirs(ctx: Context) -> list[Check]:
    """Only where there are any."""
    if away := ", ".join(map(str, await export_dirs.away(ctx.deployment))):
        fix = "Mount it, or give the server’s user write access. Imports into it wait, and go on by themselves."
        return [Check("export_dirs", "fail", f"Of KEYTURN_EXPORT_DIRS not there, or not writable: {away}.", fix)]
    fine = Check("export_dirs", "ok", "The folders of KEYTURN_EXPORT_DIRS can be written.")
    return [fine] if ctx.deployment.export_dirs else []


async def _backup(ctx: Context) -> Check:
    made = await backups.last(ctx)
    fix = "Run keyturn backup on the server, best every night, and keep the file elsewhere."
    if made is None:
        return Check("backup", "warn", "No backup was ever made.", fix)
    days = int((ctx.clock() - made) // 86400)
    if days > _BACKUP_DAYS:
        return Check("backup", "warn", f"Backup is {days} days old.", fix)
    age = f"{days} days old" if days > 1 else "of the last two days"
    return Check("backup", "ok", f"Backup is {age}.")


async def _recovery_key(ctx: Context) -> Check:
    if await recovery.made_at(ctx) is None:
        fix = f"Make one at {ctx.deployment.public_url}/setup/recovery-key and keep it elsewhere."
        return Check("recovery_key", "warn", "There is no recovery key. If the encryption key is lost, all is.", fix)
    return Check("recovery_key", "ok", "There is a recovery key.")
