"""A JSON page cut in two without reading its rows: what is around them as values, and the rows as they came.

What cannot be cut soundly gives None, and the page is then read whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec
import orjson

from keyturn import core
from keyturn.rest.formats import lines_of

_BOM = b"\xef\xbb\xbf"
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Envelope:
    """A page: `around` is its JSON text with an empty list where the rows were; `rows` is the text of their list."""

    around: bytes
    rows: bytes
    count: int


def cut(body: bytes, rows_path: str | None) -> Envelope | None:
    """The envelope of a body whose rows are a list at a plain path (`$`, `$.data`, `$.a.b`), or None.

    Neither the rows nor what is around them is known to be JSON by then: whoever reads them sees.
    """
    keys = plain_keys(rows_path or "$")
    if keys is None:
        return None
    raw = body.removeprefix(_BOM)
    found = core.list_at(raw, keys)
    if found is None:
        return _decoded(raw, keys)
    start, end, count = found
    return Envelope(raw[:start] + b"[]" + raw[end:], raw[start:end], count)


def _decoded(raw: bytes, keys: tuple[str, ...]) -> Envelope | None:
    """The same in two passes and more, where the core is not there or not sure."""
    levels: list[list[bytes]] = []
    try:
        for key in keys:
            fields = _OBJECT.decode(raw)
            if key not in fields:
                return None
            levels.append([orjson.dumps(name) + b":" + bytes(value) for name, value in fields.items() if name != key])
            raw = bytes(fields[key])
        if raw.lstrip()[:1] != b"[":
            return None
        count = len(_LIST.decode(raw))
    except (msgspec.MsgspecError, RecursionError):
        return None
    around = b"[]"
    for key, others in zip(reversed(keys), reversed(levels), strict=True):
        around = b"{" + b",".join([*others, orjson.dumps(key) + b":" + around]) + b"}"
    return Envelope(around, raw, count)


def listed(body: bytes) -> Envelope:
    """The lines of NDJSON, each of which is known to be JSON, as one list."""
    lines = lines_of(body.removeprefix(_BOM))
    return Envelope(b"[]", b"[" + b",".join(lines) + b"]", len(lines))


def plain_keys(path: str) -> tuple[str, ...] | None:
    """The keys of a plain path, or None for any other."""
    root, *keys = path.split(".")
    return tuple(keys) if root == "$" and all(_KEY.fullmatch(key) for key in keys) else None
