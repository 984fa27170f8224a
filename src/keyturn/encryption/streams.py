"""Sealed streams: a body of any length under one data key, in chunks that cannot be cut, swapped or repeated.

The STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár 2015): each chunk's nonce holds its number and
whether it is the last. AES-256-GCM; a data key is never used for two streams.
"""

from __future__ import annotations

import secrets
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keyturn.encryption.keyring import CannotOpen

CHUNK_BYTES = 256 * 1024
_PREFIX_BYTES = 7
_TAG_BYTES = 16


def _nonce(prefix: bytes, number: int, *, last: bool) -> bytes:
    return prefix + number.to_bytes(4, "big") + bytes([last])


class SealedWriter:
    """Writes a sealed stream; `close` ends it, and without its end a stream does not open."""

    def __init__(self, sink: BinaryIO, key: bytes) -> None:
        self._sink, self._cipher = sink, AESGCM(key)
        self._prefix = secrets.token_bytes(_PREFIX_BYTES)
        self._waiting = bytearray()
        self._number = 0
        sink.write(self._prefix)

    def write(self, data: bytes) -> int:
        """Take more of the body."""
        self._waiting += data
        # A full chunk stays until more comes, since the last one is sealed as the last.
        while len(self._waiting) > CHUNK_BYTES:
            self._seal(bytes(self._waiting[:CHUNK_BYTES]), last=False)
            del self._waiting[:CHUNK_BYTES]
        return len(data)

    def flush(self) -> None:
        """Nothing: chunks go out when they are full."""

    def close(self) -> None:
        """Seal the rest as the end."""
        self._seal(bytes(self._waiting), last=True)
        self._waiting.clear()

    def _seal(self, chunk: bytes, *, last: bool) -> None:
        self._sink.write(self._cipher.encrypt(_nonce(self._prefix, self._number, last=last), chunk, None))
        self._number += 1


class SealedReader:
    """Reads a sealed stream. Raises `CannotOpen` where it was changed, cut or continued."""

    def __init__(self, source: BinaryIO, key: bytes) -> None:
        self._source, self._cipher = source, AESGCM(key)
        self._prefix = source.read(_PREFIX_BYTES)
        self._next = source.read(CHUNK_BYTES + _TAG_BYTES)
        self._open = bytearray()
        self._number = 0
        self._ended = False

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes of the body, all of it when negative; empty at its end."""
        while not self._ended and (size < 0 or len(self._open) < size):
            self._more()
        taken = bytes(self._open if size < 0 else self._open[:size])
        del self._open[: len(taken)]
        return taken

    def _more(self) -> None:
        chunk, self._next = self._next, self._source.read(CHUNK_BYTES + _TAG_BYTES)
        self._ended = not self._next
        try:
            self._open += self._cipher.decrypt(_nonce(self._prefix, self._number, last=self._ended), chunk, None)
        except (InvalidTag, ValueError):
            raise CannotOpen("The file was changed or is not whole. Use another copy.", unknown_key=False) from None
        self._number += 1
