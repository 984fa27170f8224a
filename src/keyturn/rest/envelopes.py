"""A JSON page cut in two without reading its rows: what is around them as values, and the rows as they came.

What cannot be cut soundly gives None, and the page is then read whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

_BOM = b"\xef\xbb\xbf"
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Envelope:
    """A page: `around` holds each piece beside the rows with its keys; `rows` is the JSON text of their list."""

    keys: tuple[str, ...]
    around: tuple[tuple[tuple[str, ...], bytes], ...]
    rows: bytes
    count: int

    def body(self, parse: Callable[[bytes], Any]) -> Any:
        """The body as values, an empty list where the rows were. `parse` reads the small pieces around them."""
        if not self.keys:
            return list[Any]()
        body: dict[str, Any] = {}
        for keys, piece in (*self.around, (self.keys, b"[]")):
            place = body
            for key in keys[:-1]:
                inner: dict[str, Any] = {}
                place = place.setdefault(key, inner)
            place[keys[-1]] = parse(piece)
        return body


def cut(body: bytes, rows_path: str | None) -> Envelope | None:
    """The envelope of a body whose rows are a list at a plain path (`$`, `$.data`, `$.a.b`), or None."""
    keys = plain_keys(rows_path or "$")
    if keys is None:
        return None
    around: list[tuple[tuple[str, ...], bytes]] = []
    raw = body.removeprefix(_BOM)
    try:
        for depth, key in enumerate(keys):
            fields = _OBJECT.decode(raw)
            if key not in fields:
                return None
            around += [((*keys[:depth], name), bytes(value)) for name, value in fields.items() if name != key]
            raw = bytes(fields[key])
        if raw.lstrip()[:1] != b"[":
            return None
        return Envelope(keys, tuple(around), raw, len(_LIST.decode(raw)))
    except (msgspec.MsgspecError, RecursionError):
        return None


def plain_keys(path: str) -> tuple[str, ...] | None:
    """The keys of a plain path, or None for any other."""
    root, *keys = path.split(".")
    return tuple(keys) if root == "$" and all(_KEY.fullmatch(key) for key in keys) else None
