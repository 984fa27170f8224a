"""TOML written from plain values, in their order; the standard library only reads it. JSON's null has no TOML, so
what holds one is written as JSON in a string of its own: `{"$json" = "…"}`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_JSON = "$json"


def dumps(document: Mapping[str, Any]) -> str:
    """The document: values first, then a section for each mapping, two levels deep, inline below."""
    lines: list[str] = []
    for name, value in document.items():
        if not isinstance(value, Mapping):
            lines.append(f"{_key(name)} = {_value(value)}")
    for name, section in document.items():
        if not isinstance(section, Mapping):
            continue
        for thing, fields in section.items():
            lines += ["", f"[{_key(name)}.{_key(thing)}]"]
            lines += [f"{_key(field)} = {_value(value)}" for field, value in fields.items() if value is not None]
    return "\n".join(lines) + "\n"


def plain(value: Any) -> Any:
    """A value that was read, with its JSON strings opened again. Raises `ValueError`."""
    if isinstance(value, Mapping):
        if set(value) == {_JSON}:
            return json.loads(str(value[_JSON]))
        return {name: plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _text(value: str) -> str:
    # JSON's escapes are TOML's too; DEL may not stand bare in TOML.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return _text(value)
    if _holds_null(value):
        return f"{{{_text(_JSON)} = {_text(json.dumps(value, ensure_ascii=False))}}}"
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_key(name)} = {_value(item)}" for name, item in value.items())
        return f"{{{inside}}}" if inside else "{}"
    return f"[{', '.join(_value(item) for item in value)}]"


def _holds_null(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_holds_null(item) for item in value.values()) or set(value) == {_JSON}
    return any(_holds_null(item) for item in value) if isinstance(value, list | tuple) else value is None
