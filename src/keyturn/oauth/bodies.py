"""Reading what a server put into a body: JSON, whatever it is called, or a form. It knows no field's meaning."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import parse_qsl

from keyturn.wire import Response

_MAX_FIELDS = 1000


def object_of(response: Response, *, form_fields: Collection[str] = ()) -> dict[str, Any] | None:
    """The body as an object: JSON if it parses as one, else a form that has one of `form_fields`; else None.

    The media type is not asked: servers send JSON as text/html and forms as text/plain.
    """
    try:
        found = json.loads(response.body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return _form(response.body, form_fields)
    return found if isinstance(found, dict) else None


def is_page(response: Response) -> bool:
    """Whether the body is a web page."""
    return response.content_type in {"text/html", "application/xhtml+xml"} or response.body.lstrip()[:1] == b"<"


def at(value: Any, path: str) -> Any:
    """What stands in `value` at a dotted path of keys and indexes (`data.0.id`), or None."""
    if isinstance(value, Mapping) and path in value:
        # A key that holds a dot, as a URL does.
        return value[path]
    for part in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and part.isascii() and part.isdigit() and int(part[:9]) < len(value):
            value = value[int(part[:9])]
        else:
            return None
    return value


def text_of(value: Any) -> str | None:
    """A non-empty string or a whole number as text, else None."""
    if isinstance(value, str):
        return value or None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _form(body: bytes, form_fields: Collection[str]) -> dict[str, Any] | None:
    try:
        pairs = parse_qsl(body.decode("utf-8").strip(), max_num_fields=_MAX_FIELDS)
    except ValueError:
        return None
    found: dict[str, Any] = dict(reversed(pairs))
    return found if any(name in found for name in form_fields) else None
