"""Answers in files while the database is away: sealed for their row as in the database, mode 600, synced to disk."""

from __future__ import annotations

import base64
import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import structlog

from keyturn.encryption import CannotOpen, Keyring, key_id_of

log = structlog.get_logger(__name__)

_FOLDER = "answers"
# Every sealed column, as in the database, so that a new one is written too.
_SEALED = "_sealed"


def put(data_dir: Path, attempt_id: str, fields: Mapping[str, Any]) -> bool:
    """Write an answer's fields to a file of its own; False if the disk does not take it."""
    folder = folder_of(data_dir)
    path = folder / f"{attempt_id}.json"
    part = path.with_suffix(".part")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(orjson.dumps(_encoded(fields)))
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        _sync_folder(folder)
    except OSError as error:
        log.warning("answer_not_spilled", attempt=attempt_id, error=type(error).__name__)
        return False
    log.warning("answer_spilled", attempt=attempt_id)
    return True


def remove(data_dir: Path, attempt_id: str) -> None:
    """The answer is in the database: its file goes."""
    (folder_of(data_dir) / f"{attempt_id}.json").unlink(missing_ok=True)


def read_all(data_dir: Path) -> list[dict[str, Any]]:
    """The fields of every answer in a file; what cannot be read is told and left where it is."""
    found = []
    for path in sorted(folder_of(data_dir).glob("*.json")):
        try:
            found.append(_decoded(orjson.loads(path.read_bytes())))
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("answer_unreadable", file=path.name, error=type(error).__name__)
    return found


def sealed_by(data_dir: Path, fingerprint: str) -> int:
    """How many answers in files a key still has to open."""
    return sum(
        any(key_id_of(found["values"][name]) == fingerprint for name in _sealed_names(found["values"]))
        for found in read_all(data_dir)
    )


def rewrap(data_dir: Path, keyring: Keyring) -> None:
    """Wrap anew what waits here for the database and was sealed with a key that was taken away meanwhile."""
    for found in read_all(data_dir):
        values = rewrapped(found["values"], keyring)
        if values != found["values"]:
            put(data_dir, str(found["attempt_id"]), {**found, "values": values})


def rewrapped(values: Mapping[str, Any], keyring: Keyring) -> dict[str, Any]:
    """An answer's values, those among them that need a retired key wrapped by the present one; damaged ones stay."""
    retired, found = keyring.retired, dict(values)
    for name in _sealed_names(found):
        if retired and key_id_of(found[name]) in retired:
            with contextlib.suppress(CannotOpen):
                found[name] = keyring.rewrap(found[name])
    return found


def folder_of(data_dir: Path) -> Path:
    """Where the files are."""
    return data_dir / _FOLDER


def _encoded(fields: Mapping[str, Any]) -> dict[str, Any]:
    values = dict(fields["values"])
    for name in _sealed_names(values):
        values[name] = base64.b64encode(values[name]).decode()
    return {**fields, "values": values}


def _decoded(fields: dict[str, Any]) -> dict[str, Any]:
    values = dict(fields["values"])
    for name in _sealed_names(values):
        values[name] = base64.b64decode(values[name], validate=True)
    return {**fields, "values": values}


def _sealed_names(values: Mapping[str, Any]) -> list[str]:
    return [name for name, value in values.items() if name.endswith(_SEALED) and value is not None]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
