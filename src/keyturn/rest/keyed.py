"""Pages whose every row begins with the keys of the parent's row it was read for; in the JSON text, where that goes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec

from keyturn.rest.checkpoints import Checkpoint
from keyturn.rest.reader import Page
from keyturn.rest.rows import to_json

_ROWS = msgspec.json.Decoder(list[msgspec.Raw])
_OBJECTS = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_IN_A_THREAD_BYTES = 1 << 20


async def keyed(page: Page, keys: Mapping[str, Any], checkpoint: Checkpoint) -> Page:
    """The page with the keys first in each row. A field of the API's own of that name becomes `name_2`."""
    raw = page.raw
    if raw is not None:
        large = len(raw) >= _IN_A_THREAD_BYTES
        raw = await asyncio.to_thread(put_into, raw, keys) if large else put_into(raw, keys)
    rows = [with_keys(row, keys) for row in page.rows] if raw is None else None
    return Page(checkpoint.pages, page.response, checkpoint.reported_total, page.count, raw, checkpoint, rows)


def put_into(raw: bytes, keys: Mapping[str, Any]) -> bytes | None:
    """The JSON text of a list of rows with the keys in each; None where the rows have to be read for that."""
    try:
        if _may_name(raw, keys) and any(name in row for row in _OBJECTS.decode(raw) for name in keys):
            return None
        pieces = [bytes(piece).strip() for piece in _ROWS.decode(raw)]
    except msgspec.MsgspecError:
        return None
    head = to_json(dict(keys))[:-1]
    found = []
    for piece in pieces:
        if piece[:1] != b"{":
            return None
        rest = piece[1:].lstrip()
        found.append(head + rest if rest == b"}" else b"%s,%s" % (head, rest))
    return b"[%s]" % b",".join(found)


def with_keys(row: Any, keys: Mapping[str, Any]) -> dict[str, Any]:
    """A row with the keys first."""
    found = dict(keys)
    own = row if isinstance(row, Mapping) else {"value": row}
    for key, value in own.items():
        name, number = key, 2
        while name in found or (name != key and name in own):
            name, number = f"{key}_{number}", number + 1
        found[name] = value
    return found


def _may_name(raw: bytes, keys: Mapping[str, Any]) -> bool:
    """Whether a field may be called like a key: written plainly, or with escapes."""
    return b"\\" in raw or any(f'"{name}"'.encode() in raw for name in keys)
