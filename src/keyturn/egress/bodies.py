"""Bodies as they come off the wire, unpacked within a limit; an archive that breaks off is never taken as whole."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator

_STEP_BYTES = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"


class TooBig(Exception):
    """The body is larger than the caller takes."""


class CutOff(OSError):
    """An archive ended before its end."""


async def unpacked(chunks: AsyncIterator[bytes], encoding: str | None, most: int) -> bytes:
    """The body, at most `most` bytes after unpacking. Raises `TooBig`; `CutOff` or ValueError for a bad archive."""
    packing = _Packing(encoding)
    parts: list[bytes] = []
    size = 0
    async for chunk in chunks:
        left = chunk
        while left:
            part, left = packing.step(left)
            size += len(part)
            if size > most:
                raise TooBig
            parts.append(part)
    packing.check_end()
    return b"".join(parts)


class _Packing:
    """A Content-Encoding (RFC 9110 §8.4.1): gzip, of several members too, deflate in both its forms, or another."""

    def __init__(self, encoding: str | None) -> None:
        self._encoding = (encoding or "").strip().lower().removeprefix("x-")
        self._known = self._encoding in {"gzip", "deflate"}
        self._inflate: zlib._Decompress | None = None
        self._ended = False

    def step(self, data: bytes) -> tuple[bytes, bytes]:
        """At most a step of what `data` unpacks to, and the rest of `data`."""
        if not self._known:
            return data, b""
        if self._ended:
            if self._encoding == "deflate" or not _GZIP_MAGIC.startswith(data[:2]):
                return b"", b""  # padding behind the end
            self._inflate, self._ended = None, False
        if self._inflate is None:
            self._inflate = self._begun(data)
        try:
            part = self._inflate.decompress(data, _STEP_BYTES)
        except zlib.error as error:
            raise ValueError(f"The body is not {self._encoding}: {error}") from error
        self._ended = self._inflate.eof
        return part, self._inflate.unused_data if self._ended else self._inflate.unconsumed_tail

    def check_end(self) -> None:
        """Raise `CutOff` unless the archive came to its end, or never began."""
        if self._inflate is not None and not self._ended:
            raise CutOff

    def _begun(self, data: bytes) -> zlib._Decompress:
        if self._encoding == "gzip":
            return zlib.decompressobj(16 + zlib.MAX_WBITS)
        # Some servers leave out the zlib format around it (RFC 9110 §8.4.1.2).
        wrapped = data[0] & 0x0F == zlib.DEFLATED
        return zlib.decompressobj(zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)
