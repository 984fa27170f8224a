"""Bodies as values that keep every digit, and the list of rows in them."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NoReturn

import jsonpath_rfc9535
import orjson
from jsonpath_rfc9535.exceptions import JSONPathError

from keyturn.errors import Invalid, UpstreamError
from keyturn.wire import Response

# Only long runs of digits, or large exponents, can be more than a double or 64 bits hold.
_LONG_NUMBER = re.compile(rb"[0-9][0-9.]{15,}|[0-9][eE][+-]?[0-9]{3}")
_SIMPLE_PATH = re.compile(r"\$(\.[A-Za-z_][A-Za-z0-9_-]*)*")


def parse_body(response: Response) -> Any:
    """The body as JSON values: whole numbers of any size, and Decimal where a double would lose digits.

    Raises `UpstreamError`: a web page (E-NOTDATA), nothing at all, or something that is no JSON.
    """
    body = response.body
    text = body.lstrip()[:200].lower()
    if not text:
        raise UpstreamError(f"The API answered {response.status} with an empty body.", status=response.status)
    if response.content_type == "text/html" or text.startswith((b"<!doctype html", b"<html")):
        raise UpstreamError(
            "This is a web page, not data. Wrong path, or a sign-in page?",
            message_code="E-NOTDATA",
            status=response.status,
        )
    try:
        if _LONG_NUMBER.search(body):
            return json.loads(body, parse_float=_exact_float, parse_constant=_refuse_constant)
        return orjson.loads(body)
    except (ValueError, RecursionError):
        raise UpstreamError(
            f"The answer is not JSON ({response.content_type or 'no content type'}).",
            message_code="E-NOTDATA",
            status=response.status,
        ) from None


def _exact_float(literal: str) -> float | Decimal:
    number, exact = float(literal), Decimal(literal)
    if number in {float("inf"), float("-inf")}:
        return exact
    return number if Decimal(repr(number)) == exact else exact


def _refuse_constant(literal: str) -> NoReturn:
    raise ValueError(literal)


def at_path(body: Any, path: str) -> Any:
    """The one value at a JSONPath (RFC 9535); None if there is none. Raises `Invalid` for a path that is none."""
    if _SIMPLE_PATH.fullmatch(path):
        value = body
        for key in path.split(".")[1:]:
            if not isinstance(value, Mapping) or key not in value:
                return None
            value = value[key]
        return value
    nodes = _compiled(path).find(body)
    return nodes[0].value if nodes else None


def check_path(path: str) -> str:
    """A JSONPath that can be read. Raises `Invalid`."""
    if not _SIMPLE_PATH.fullmatch(path):
        _compiled(path)
    return path


@functools.lru_cache(maxsize=256)
def _compiled(path: str) -> Any:
    try:
        return jsonpath_rfc9535.compile(path)
    except (JSONPathError, RecursionError):
        raise Invalid(f"{path[:100]} is not a JSONPath (RFC 9535), for example $.data", at="rows_path") from None


def rows_at(body: Any, path: str | None) -> list[Any]:
    """The rows of a body: the list at `path`, a single object as one row, scalars as `{"value": …}`.

    Raises `UpstreamError` where there is nothing that could be rows.
    """
    where = path or "$"
    wildcard = "*" in where or ".." in where
    if wildcard:
        found: Any = [node.value for node in _compiled(where).find(body)]
    else:
        found = at_path(body, where)
    if isinstance(found, list):
        return [row if isinstance(row, Mapping) else {"value": row} for row in found]
    if isinstance(found, Mapping):
        return [found]
    if found is None:
        raise UpstreamError(
            f"There is no list at {where}. Click the part of the response that repeats.", message_code="E-NOTDATA"
        )
    raise UpstreamError(
        f"At {where} is a single {_kind(found)}, not a list of rows. Choose the part of the response that repeats.",
        message_code="E-NOTDATA",
    )


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    return "text" if isinstance(value, str) else "number"


def to_json(value: Any) -> bytes:
    """Values of `parse_body` as JSON again."""
    try:
        return orjson.dumps(value)
    except (TypeError, orjson.JSONEncodeError):
        return json.dumps(value, default=str).encode()
