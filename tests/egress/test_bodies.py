"""Unpacking: both encodings in all their forms, an end that is missing, and never more than the limit."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest

from keyturn.egress.bodies import CutOff, TooBig, unpacked

BODY = b'[{"id": 1}]' * 1000
RAW = zlib.compressobj(wbits=-15)
PACKED = {
    "gzip": gzip.compress(BODY),
    "x-gzip": gzip.compress(BODY),
    "GZIP": gzip.compress(BODY[:500]) + gzip.compress(BODY[500:]),
    "deflate": zlib.compress(BODY),
    "Deflate": RAW.compress(BODY) + RAW.flush(),
    "identity": BODY,
    "utf-8": BODY,
}


async def read(body: bytes, encoding: str | None, *, most: int = 1 << 20, size: int = 7) -> bytes:
    async def chunks():
        for start in range(0, len(body), size):
            yield body[start : start + size]

    return await unpacked(chunks(), encoding, most)


@pytest.mark.parametrize("encoding", list(PACKED))
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
async def test_every_form_is_unpacked_however_it_is_cut_into_chunks(encoding, size):
    assert await read(PACKED[encoding], encoding, size=size) == BODY


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "deflate", "Deflate"])
async def test_an_archive_without_its_end_is_no_whole_body(encoding):
    for left_out in (1, 9, 20):
        with pytest.raises(CutOff):
            await read(PACKED[encoding][:-left_out], encoding)


async def test_no_body_and_padding_behind_the_end_are_fine():
    assert await read(b"", "gzip") == b""
    assert await read(PACKED["gzip"] + b"\0" * 50, "gzip") == BODY


async def test_what_is_no_archive_is_refused():
    with pytest.raises(ValueError, match="not gzip"):
        await read(BODY, "gzip")


async def test_a_bomb_stops_at_the_limit_whatever_it_would_become():
    bomb = gzip.compress(b"0" * (128 << 20), compresslevel=1)
    tracemalloc.start()
    with pytest.raises(TooBig):
        await read(bomb, "gzip", most=4 << 20, size=1 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 << 20


async def test_exactly_the_limit_is_not_too_much():
    assert await read(BODY, None, most=len(BODY)) == BODY
    with pytest.raises(TooBig):
        await read(BODY, None, most=len(BODY) - 1)
