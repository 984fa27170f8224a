"""Bodies as values that keep every digit, and the list of rows in them."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn, Self

import orjson
from jsonpath_rfc9535 import JSONPathEnvironment, JSONPathQuery
from jsonpath_rfc9535.exceptions import JSONPathError
from jsonpath_rfc9535.selectors import NameSelector

from keyturn import redaction
from keyturn.errors import Invalid, UpstreamError
from keyturn.rest.formats import MEDIA_TYPES, csv_rows, in_utf8, lines_of, xml_value
from keyturn.wire import Response

# Only long runs of digits, or large exponents, can be more than a double or 64 bits hold.
_LONG_NUMBER = re.compile(rb"[0-9][0-9.]{15,}|[0-9][eE][+-]?[0-9]{3}")
_SIMPLE_PATH = re.compile(r"\$(\.[A-Za-z_][A-Za-z0-9_-]*)*")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_NO_NUMBER = re.compile(rb"[:,\[]\s*-?(?:NaN|Infinity)\s*[,}\]]")
_BOM = b"\xef\xbb\xbf"
# Python reads no longer whole number than this as an int.
_LONGEST_INTEGER = 4300
_ENVIRONMENT = JSONPathEnvironment()
# What takes exponential time: patterns on a stranger's texts, and descents into descents.
for _name in ("match", "search"):
    del _ENVIRONMENT.function_extensions[_name]
_PATTERN = re.compile(r"\b(?:match|search)\(")
_DESCENTS_MOST = 2


class ExactNumber(Decimal):
    """A number that neither a double nor an int holds; `str` gives its digits as they were written."""

    __slots__ = ("literal",)
    literal: str

    def __new__(cls, literal: str) -> Self:
        """From a JSON literal. Raises ValueError beyond Decimal's range (exponents of 18 digits)."""
        try:
            number = super().__new__(cls, literal)
        except InvalidOperation:
            raise ValueError(literal[:50]) from None
        number.literal = literal
        return number

    def __str__(self) -> str:
        return self.literal


def parse_body(response: Response, format: str = "json") -> Any:
    """The body as JSON values: whole numbers of any size, and Decimal where a double would lose digits.

    NDJSON, CSV and XML give what JSON would have said. Raises `UpstreamError`: a web page (E-NOTDATA), nothing at
    all, or something of another format.
    """
    return parse_readable(readable(response, format), format)


def parse_readable(response: Response, format: str) -> Any:
    """As `parse_body`, of what `readable` gave: to make that readable again would read its UTF-8 as another charset."""
    body = response.body.removeprefix(_BOM)
    start = body.lstrip()[:200].lower()
    if not start and format in {"ndjson", "csv"}:
        return list[Any]()
    if not start:
        raise UpstreamError(f"The API answered {response.status} with an empty body.", status=response.status)
    page = response.content_type == "text/html" and not start.startswith((b"{", b"["))
    if page or start.startswith((b"<!doctype html", b"<html")):
        raise UpstreamError(
            "This is a web page, not data. Wrong path, or a sign-in page?",
            message_code="E-NOTDATA",
            status=response.status,
        )
    try:
        return _PARSERS[format](body)
    except (ValueError, RecursionError) as error:
        raise _not_of(format, response, body, error) from None


def readable(response: Response, format: str) -> Response:
    """The response with its text in UTF-8. Raises `UpstreamError` for text that is not what it says."""
    kind = response.headers.get("content-type") or ""
    if "charset" not in kind and response.body[:1] not in {b"\xff", b"\xfe", b"\x00"}:
        return response
    try:
        return replace(response, body=in_utf8(response.body, kind, format))
    except ValueError as error:
        raise _not_of(format, response, b"", error) from None


def _not_of(format: str, response: Response, body: bytes, error: Exception) -> UpstreamError:
    """What the answer is not, and why; or which format to choose."""
    other = MEDIA_TYPES.get(response.content_type)
    packed = (response.headers.get("content-encoding") or "identity").strip().lower()
    if packed in {"br", "zstd", "compress"} or "," in packed:
        told = (
            f" It is packed as {packed[:40]}, which was not asked for: let the API send gzip, or nothing of the kind."
        )
    elif other is not None and other != format:
        told = f" It says that it is {_FORMATS[other]}: choose that format."
    elif format in {"csv", "xml"} or not body:
        told = f" {redaction.text(error, limit=120)}"
    elif _NO_NUMBER.search(body):
        told = " It has NaN or Infinity, which JSON has no words for; the API should send null."
    else:
        told = _not_utf8(body)
    return UpstreamError(
        f"The answer is not {_FORMATS[format]} ({response.content_type or 'no content type'}).{told}",
        message_code="E-NOTDATA",
        status=response.status,
    )


def _not_utf8(body: bytes) -> str:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return f" Byte {error.start + 1:,} is not UTF-8, and no charset is told in Content-Type."
    return ""


def parse_json(body: bytes) -> Any:
    """JSON text as values that keep every digit. Raises ValueError, RecursionError."""
    return _exact(body) if _LONG_NUMBER.search(body) else orjson.loads(body)


def parse_rows(raw: bytes, response: Response) -> list[Any]:
    """The rows of a list that was cut out of a response. Raises `UpstreamError` if it is no JSON."""
    return rows_at(parse_readable(replace(response, body=raw), "json"), "$")


def _exact(body: bytes) -> Any:
    """As strict as orjson, and exact where it is not: its long integers become doubles."""
    value = json.loads(
        body.decode(), parse_float=_exact_float, parse_int=_exact_integer, parse_constant=_refuse_constant
    )
    if _SURROGATE.search(body):
        json.dumps(value, ensure_ascii=False, default=str).encode()  # a lone half of a character is a ValueError
    return value


def _exact_integer(literal: str) -> int | Decimal:
    return int(literal) if len(literal) < _LONGEST_INTEGER else ExactNumber(literal)


def _exact_float(literal: str) -> float | Decimal:
    number, exact = float(literal), ExactNumber(literal)
    if number in {float("inf"), float("-inf")}:
        return exact
    return number if Decimal(repr(number)) == exact else exact


def _refuse_constant(literal: str) -> NoReturn:
    raise ValueError(literal)


_FORMATS = {"json": "JSON", "ndjson": "NDJSON", "csv": "CSV", "xml": "XML"}
_PARSERS: dict[str, Callable[[bytes], Any]] = {
    "json": parse_json,
    "ndjson": lambda body: [parse_json(line) for line in lines_of(body)],
    "csv": csv_rows,
    "xml": xml_value,
}


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
def _compiled(path: str) -> JSONPathQuery:
    if path.count("..") > _DESCENTS_MOST or _PATTERN.search(path):
        raise Invalid(
            f"A path has at most {_DESCENTS_MOST} descents (..) and no match() or search(), which can take for ever. "
            "Write the way to the rows, for example $.data.items",
            at="rows_path",
        )
    try:
        return _ENVIRONMENT.compile(path)
    except (JSONPathError, RecursionError):
        raise Invalid(f"{path[:100]} is not a JSONPath (RFC 9535), for example $.data", at="rows_path") from None


def rows_at(body: Any, path: str | None) -> list[Any]:
    """The rows of a body: the list at `path`, a single object as one row, scalars as `{"value": …}`.

    A path of many nodes gives the rows of all, in order. A list that is null has no rows, unless the body tells an
    error. Raises `UpstreamError` where there is nothing that could be rows.
    """
    where = path or "$"
    single, nodes = _nodes(body, where)
    if not nodes and (single or not _leads_to_a_list(body, where)):
        _raise_told_error(body)
        raise UpstreamError(
            f"There is no list at {where}. Click the part of the response that repeats.", message_code="E-NOTDATA"
        )
    found: Any = nodes[0] if single else nodes
    if isinstance(found, list):
        return [row if isinstance(row, Mapping) else {"value": row} for row in found]
    if isinstance(found, Mapping):
        if {str(key).lower() for key in found} <= _ERROR_KEYS:
            _raise_told_error(found)
        return [found]
    if found is None:
        _raise_told_error(body)
        return []
    raise UpstreamError(
        f"At {where} is {_kind(found)}, not a list of rows. Choose the part of the response that repeats.",
        message_code="E-NOTDATA",
    )


def _nodes(body: Any, where: str) -> tuple[bool, list[Any]]:
    """Whether the path leads to one node at most, and the values there; lists in many places are put together."""
    if _SIMPLE_PATH.fullmatch(where):
        value = body
        for key in where.split(".")[1:]:
            if not isinstance(value, Mapping) or key not in value:
                return True, []
            value = value[key]
        return True, [value]
    query = _compiled(where)
    nodes: list[Any] = [node.value for node in query.find(body)]
    if query.singular_query():
        return True, nodes
    named = all(isinstance(selector, NameSelector) for selector in query.segments[-1].selectors)
    if named and nodes and all(isinstance(node, list) for node in nodes):
        return False, [row for node in nodes for row in node]
    return False, nodes


def _leads_to_a_list(body: Any, where: str) -> bool:
    """Whether a path of many nodes found none because what it looks through is empty, not because it leads nowhere."""
    reached: list[Any] = [body]
    for segment in _compiled(where).segments:
        one = JSONPathQuery(env=_ENVIRONMENT, segments=(segment,))
        if not one.singular_query():
            break
        reached = [node.value for value in reached for node in one.find(value)]
    return bool(reached) and (isinstance(reached[0], list) or reached[0] in ({}, None))


# A single object that says nothing but what went wrong is no row.
_ERROR_KEYS = frozenset(
    ("error", "errors", "error_description", "error_code", "message", "code", "status", "detail", "title", "type", "ok")
)


def _raise_told_error(body: Any) -> None:
    """GraphQL and others answer 200 with no rows beside what went wrong: that is an error and no empty list."""
    told = (body.get("errors") or body.get("error")) if isinstance(body, Mapping) else None
    if not told:
        return
    first = told[0] if isinstance(told, list) else told
    words = [first.get(name) for name in ("message", "detail", "description")] if isinstance(first, Mapping) else []
    said = next((word for word in words if isinstance(word, str)), first)
    raise UpstreamError(
        f"The API answered with an error instead of rows: {redaction.text(said, limit=200)}", message_code="E-NOTDATA"
    )


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "a single true or false"
    return "a single text" if isinstance(value, str) else "a single number"


def to_json(value: Any) -> bytes:
    """Values of `parse_body` as JSON again."""
    try:
        return orjson.dumps(value)
    except (TypeError, orjson.JSONEncodeError):
        return json.dumps(value, default=str).encode()
