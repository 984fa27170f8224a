"""Operator commands reach the running server of a SQLite deployment: a unix socket in the data folder, for its owner.

One JSON line asks; JSON lines come back: `say` while it works, then `result` or `error`. Without a running server,
and on PostgreSQL, the command does the work itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import structlog

from keyturn import errors
from keyturn.errors import Conflict, KeyturnError
from keyturn.server import operations
from keyturn.server.config import Config
from keyturn.server.ground import Ground, stand

log = structlog.get_logger(__name__)

SOCKET = "control"
_LINE_MOST_BYTES = 4 * 1024 * 1024


async def listen(ground: Ground) -> asyncio.Server:
    """Answer operator commands until it is closed."""
    path = ground.config.data_dir / SOCKET

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _answer(ground, reader, writer)
        except (OSError, ValueError) as error:
            log.info("operator_left", error=type(error).__name__)
        finally:
            writer.close()

    path.unlink(missing_ok=True)
    with _short(path) as address:
        before = os.umask(0o177)
        try:
            return await asyncio.start_unix_server(answer, address, limit=_LINE_MOST_BYTES)
        finally:
            os.umask(before)


async def perform(
    config: Config, verb: str, arguments: Mapping[str, Any], say: Callable[[str], None]
) -> dict[str, Any]:
    """Do an operation of `operations.VERBS`: in the running server if there is one, else here."""
    if config.is_sqlite:
        try:
            with _short(config.data_dir / SOCKET) as address:
                streams = await asyncio.open_unix_connection(address, limit=_LINE_MOST_BYTES)
        except OSError:
            pass  # nobody listens: the lock decides whether we may do it ourselves
        else:
            return await _ask(*streams, verb, arguments, say)
    async with stand(config) as ground:
        return await operations.VERBS[verb](ground, arguments, say)


async def _ask(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    verb: str,
    arguments: Mapping[str, Any],
    say: Callable[[str], None],
) -> dict[str, Any]:
    try:
        writer.write(json.dumps({"verb": verb, "arguments": dict(arguments)}).encode() + b"\n")
        await writer.drain()
        while line := await reader.readline():
            told = json.loads(line)
            if "say" in told:
                say(told["say"])
            elif "error" in told:
                raise _error_of(told["error"])
            else:
                result: dict[str, Any] = told["result"]
                return result
    except OSError:
        pass  # it was killed, and the socket with it
    finally:
        writer.close()
    raise Conflict("The server ended in the middle of it. Start it, then run this again.")


async def _answer(ground: Ground, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    asked = json.loads(await reader.readline())

    def tell(**line: Any) -> None:
        writer.write(json.dumps(line).encode() + b"\n")

    work = operations.VERBS.get(asked["verb"])
    if work is None:
        tell(error={"code": "invalid", "message": "The running server is of another version. Restart it first."})
        return
    log.info("operator_asks", verb=asked["verb"])
    try:
        tell(result=await work(ground, asked["arguments"], lambda text: tell(say=text)))
    except KeyturnError as error:
        tell(error={"code": error.code, "message": error.message, "message_code": error.message_code})
    except Exception:
        log.exception("operation_failed", verb=asked["verb"])
        tell(error={"code": "internal", "message": "Something of ours failed; the server's log has more."})
    await writer.drain()


def _error_of(told: Mapping[str, Any]) -> KeyturnError:
    kind = errors.by_code().get(told["code"], KeyturnError) if told["code"] != KeyturnError.code else KeyturnError
    message, code = str(told["message"]), told.get("message_code")
    if issubclass(kind, errors.LimitReached | errors.Unavailable):
        return kind(message, retry_after_seconds=1.0, message_code=code)
    return kind(message, message_code=code)


@contextlib.contextmanager
def _short(path: Path):  # noqa: ANN202 - a context manager of str
    """The socket's address by way of its folder: a unix socket's own path may not be longer than 107 bytes."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}" if Path("/proc/self/fd").is_dir() else str(path)
    finally:
        os.close(folder)
