"""Backups: the whole database as one sealed file, made while everything runs and restored into a fresh deployment.

Layout: a line that says what it is | length of the header (4 bytes) | header (JSON, nothing secret) | sealed stream
of gzipped JSON lines. Its data key is wrapped by the deployment's key; the header also carries the keyring as
wrapped for the recovery key, so that either of the two opens it. Imported files are not in it.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import os
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import orjson

from keyturn import redaction
from keyturn.encryption import (
    AssociatedData,
    CannotOpen,
    Keyring,
    SealedReader,
    SealedWriter,
    encode_key,
    new_key,
    unwrap_keyring,
)
from keyturn.errors import Conflict, Invalid, KeyturnError
from keyturn.model.audit import Who
from keyturn.model.ids import new_id
from keyturn.services import audit, keys, recovery, restores, wrapped_keys
from keyturn.services.context import Context
from keyturn.storage import accounts as deployment_rows
from keyturn.storage import backups as rows

if TYPE_CHECKING:
    from keyturn.storage.database import Database, Tx

MAGIC = b"KEYTURN BACKUP 1\n"
LAST = "last_backup"
_HEADER_MOST_BYTES = 1024 * 1024
_OPERATOR = Who(kind="system", name="Operator")
_COMPRESSION = 6


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup file: when it was made, of what, and which key opens it. `rows` is the number of all rows."""

    id: str
    path: str
    made_at: float
    version: str
    revision: str
    public_url: str
    fingerprint: str
    rows: int


async def make(scene: Context, path: Path) -> Backup:
    """Write a backup of this moment to a new file (mode 600). Raises `Conflict` when it exists or cannot be written."""
    made = await scene.database.read(_write_file, scene, path)

    def remember(tx: Tx) -> None:
        deployment_rows.set_deployment_value(tx, LAST, {"id": made.id, "at": made.made_at})
        audit.record_everywhere(
            tx, _OPERATOR, "deployment.backup_made", at=made.made_at, backup=made.id, rows=made.rows
        )

    await scene.database.run(remember)
    return made


async def last(scene: Context) -> float | None:
    """When the newest backup was made, in epoch seconds."""
    found = await scene.database.read(deployment_rows.deployment_value, LAST)
    return None if found is None else float(found["at"])


def look(path: Path) -> dict[str, Any]:
    """The header of a backup file. Raises `Invalid` when it is none."""
    with _opened(path) as source:
        return _header(path, source)


def keyring_of(header: dict[str, Any], keyring: Keyring | None, recovery_key: str | None) -> Keyring:
    """The keys that open it: those given, or those wrapped for the recovery key. Raises `Conflict`, `CannotOpen`."""
    if keyring is not None and header["fingerprint"] in keyring.fingerprints:
        return keyring
    if recovery_key is None:
        raise Conflict(
            f"This backup is sealed with key {header['fingerprint']}, which is not here. Put that key in place, or "
            "give the recovery key: --recovery-key-stdin"
        )
    if header["recovery"] is None:
        raise Conflict("There was no recovery key when this backup was made. It opens with its encryption key only.")
    redaction.remember(recovery_key)
    return unwrap_keyring(base64.b64decode(header["recovery"]["wrapped"]), recovery_key)


def check(path: Path, keyring: Keyring) -> dict[str, int]:
    """Read a backup to its end; answers rows by table. Raises `Invalid`, `CannotOpen`."""
    with _lines(path, keyring) as (_, lines):
        for line in lines:
            if "end" in line:
                return {name: int(count) for name, count in line["end"].items()}
    raise _not_whole(path)


def restore(
    database: Database, path: Path, keyring: Keyring, *, now: float, paused: bool
) -> tuple[dict[str, int], restores.Settled]:
    """Fill a fresh database and settle what was under way; answers rows by table. `paused`: the old one still runs.

    Raises `Conflict` where accounts exist, `Invalid` or `CannotOpen` for a bad file.
    """

    def write(tx: Tx) -> tuple[dict[str, int], restores.Settled]:
        if not rows.is_fresh(tx):
            raise Conflict("This deployment has accounts already. Restore into a fresh database and data folder.")
        with _lines(path, keyring) as (header, lines):
            try:
                counts = rows.load(tx, header["revision"], lines)
            except ValueError:
                raise _not_whole(path) from None
        deployment_rows.set_deployment_value(tx, keys.FINGERPRINT, keyring.fingerprint)
        settled = restores.settle(tx, made_at=str(header["made_at"]), now=now, paused=paused)
        told = asdict(settled)
        audit.record_everywhere(tx, _OPERATOR, "deployment.restored", at=now, backup=header["id"], **told)
        return counts, settled

    return database.run_now(write)


def _write_file(tx: Tx, scene: Context, path: Path) -> Backup:
    revision = rows.begin_snapshot(tx)
    part = path.with_name(f".part-{path.name}")
    if path.exists():
        raise Conflict(f"{path} exists already. Choose another name.")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            made = _write(tx, scene, path, file, revision)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise Conflict(f"The backup could not be written to {path} ({error.strerror}).") from None
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return made


def _write(tx: Tx, scene: Context, path: Path, file: BinaryIO, revision: str) -> Backup:
    backup_id, data_key = new_id("bk"), new_key()
    now = scene.clock()
    header = {
        "id": backup_id,
        "made_at": datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"),
        "version": scene.deployment.version,
        "revision": revision,
        "public_url": scene.deployment.public_url,
        "fingerprint": scene.keyring.fingerprint,
        "sealed_key": base64.b64encode(scene.keyring.seal(encode_key(data_key), ad=_ad(backup_id))).decode(),
        "recovery": recovery.stored(tx),
        "wrapped": wrapped_keys.stored(tx),
    }
    text = orjson.dumps(header)
    file.write(MAGIC + len(text).to_bytes(4, "big") + text)
    sealed = SealedWriter(file, data_key)
    with gzip.GzipFile(fileobj=cast("BinaryIO", sealed), mode="wb", compresslevel=_COMPRESSION, mtime=0) as lines:
        lines.write(orjson.dumps({"backup": backup_id, "revision": revision}) + b"\n")
        counts = rows.dump(tx, cast("BinaryIO", lines))
    sealed.close()
    fingerprint = scene.keyring.fingerprint
    version, url = scene.deployment.version, scene.deployment.public_url
    return Backup(backup_id, str(path), now, version, revision, url, fingerprint, sum(counts.values()))


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as source:
            yield source
    except OSError as error:
        raise Invalid(f"{path} cannot be read ({error.strerror}).", at="FILE") from None


def _header(path: Path, source: BinaryIO) -> dict[str, Any]:
    if source.read(len(MAGIC)) != MAGIC:
        raise Invalid(f"{path} is not a Keyturn backup.", at="FILE")
    length = int.from_bytes(source.read(4), "big")
    try:
        header = orjson.loads(source.read(min(length, _HEADER_MOST_BYTES)))
        missing = {"id", "made_at", "revision", "fingerprint", "sealed_key", "recovery", "public_url"} - set(header)
    except (orjson.JSONDecodeError, TypeError):
        raise _not_whole(path) from None
    if missing:
        raise _not_whole(path)
    found: dict[str, Any] = header
    return found


@contextlib.contextmanager
def _lines(path: Path, keyring: Keyring) -> Iterator[tuple[dict[str, Any], Iterator[dict[str, Any]]]]:
    """The header, and the lines of the body after the one that says whose they are."""
    with _opened(path) as source:
        header = _header(path, source)
        text = keyring.open(base64.b64decode(header["sealed_key"]), ad=_ad(header["id"]))
        sealed = SealedReader(source, base64.b64decode(text))

        def walk() -> Iterator[dict[str, Any]]:
            try:
                with gzip.GzipFile(fileobj=cast("BinaryIO", sealed), mode="rb") as body:
                    first = orjson.loads(body.readline())
                    if first != {"backup": header["id"], "revision": header["revision"]}:
                        raise _not_whole(path)
                    for line in body:
                        yield orjson.loads(line)
            except (EOFError, zlib.error, gzip.BadGzipFile, orjson.JSONDecodeError):
                raise _not_whole(path) from None

        yield header, walk()


def _ad(backup_id: str) -> AssociatedData:
    return AssociatedData("", "backup", backup_id, "key")


def _not_whole(path: Path) -> KeyturnError:
    return CannotOpen(f"{path} was changed or is not whole. Use another copy.", unknown_key=False)
