"""Keys that an object says twice: parsers keep the last value, so the earlier one is told with its row and path."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec

from keyturn.columns.build import Reject, to_json
from keyturn.columns.schema import Path, source_of

REASON = "the key is there twice, and the last value was kept"
_ROWS = msgspec.json.Decoder(list[msgspec.Raw])


class _Twice(Exception):
    """An object says a key twice."""


class _Pairs(list[tuple[str, Any]]):
    """An object as its pairs."""


def said_twice(raw: bytes) -> list[Reject]:
    """The values of a JSON list of rows that a later one of the same key hides. Empty for what is not JSON."""
    try:
        json.loads(raw, object_pairs_hook=_once)
    except _Twice:
        pass
    except (ValueError, RecursionError):
        return []
    else:
        return []
    found: list[Reject] = []
    for number, row in enumerate(_ROWS.decode(raw), 1):
        parsed = json.loads(bytes(row), object_pairs_hook=_Pairs, parse_float=Decimal)
        found += [Reject(number, ".".join(path), source_of(path), to_json(_plain(value)), REASON)
                  for path, value in _hidden(parsed, ())]  # fmt: skip
    return found


def _once(pairs: list[tuple[str, Any]]) -> None:
    if len({key for key, _ in pairs}) != len(pairs):
        raise _Twice


def _hidden(value: Any, path: Path) -> list[tuple[Path, Any]]:
    found: list[tuple[Path, Any]] = []
    if isinstance(value, _Pairs):
        last = {key: place for place, (key, _) in enumerate(value)}
        for place, (key, inner) in enumerate(value):
            if last[key] == place:
                found += _hidden(inner, (*path, key))
            else:
                found.append(((*path, key), inner))
    elif isinstance(value, list):
        for item in value:
            found += _hidden(item, path)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, _Pairs):
        return {key: _plain(inner) for key, inner in value}
    return [_plain(item) for item in value] if isinstance(value, list) else value
