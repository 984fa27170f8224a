"""Bodies that are not JSON as the values JSON would have: NDJSON, CSV, XML; no digit is lost."""

from __future__ import annotations

import contextlib
import csv
import io
import re
from typing import Any
from xml.etree import ElementTree as ET
from xml.parsers import expat

import orjson

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,30})")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+")
_XML_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
_CELL_MOST = 16 << 20
_HEADER_MOST = 1 << 20
_DEPTH_MOST = 100

# The media types that tell a format.
MEDIA_TYPES = {
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
    "application/jsonl": "ndjson",
    "application/x-jsonlines": "ndjson",
    "application/jsonlines": "ndjson",
    "text/csv": "csv",
    "application/csv": "csv",
    "application/xml": "xml",
    "text/xml": "xml",
    "application/atom+xml": "xml",
}


_CHARSET = re.compile(r"charset\s*=\s*\"?([A-Za-z0-9._:-]+)", re.ASCII)
# The marks of UTF-16 and UTF-32, the longer ones first.
_MARKS = ((b"\xff\xfe\x00\x00", "utf-32"), (b"\x00\x00\xfe\xff", "utf-32"), (b"\xff\xfe", "utf-16"),
          (b"\xfe\xff", "utf-16"))  # fmt: skip
_UTF8 = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})


def in_utf8(body: bytes, content_type: str, format: str) -> bytes:
    """A body of text in UTF-8, whatever it came in: by its mark, else by what `Content-Type` says of it.

    JSON is UTF-8 (RFC 8259 §8.1), so another charset is believed there only of what is not. XML tells by itself, except
    where the charset says more (RFC 7303 §3); it is then text without its declaration. Raises ValueError.
    """
    marked = next((name for mark, name in _MARKS if body.startswith(mark)), None)
    told = _CHARSET.search(content_type)
    charset = marked or (told[1].lower() if told else "utf-8")
    if charset in _UTF8 or (format == "xml" and marked):
        return body
    if format in {"json", "ndjson"} and not marked:
        with contextlib.suppress(UnicodeDecodeError):
            body.decode()
            return body
    try:
        text = body.decode(charset)
    except (LookupError, UnicodeDecodeError):
        raise ValueError(f"The text is not {charset}, as its Content-Type says.") from None
    return (_XML_DECLARATION.sub("", text, count=1) if format == "xml" else text).encode()


def lines_of(body: bytes) -> list[bytes]:
    """The lines of NDJSON that are not blank."""
    return [line for line in body.split(b"\n") if line.strip()]


def csv_rows(body: bytes) -> list[dict[str, Any]]:
    """CSV (RFC 4180) with a header. An empty field is null; text that reads back as it stands becomes its value.

    A name that the header has twice becomes `name_2`. Raises ValueError: not UTF-8, no header, a row with more fields
    than the header, a field that never ends, a last row that breaks off.
    """
    csv.field_size_limit(_CELL_MOST)
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"Byte {error.start + 1:,} is not UTF-8, and no charset is told in Content-Type.") from None
    try:
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
        names = _apart(next(lines, list[str]()))
        if not names:
            raise ValueError("The header is missing.")
        rows = []
        short = 0
        for number, line in enumerate(lines, 1):
            if not line:
                continue
            if len(line) > len(names):
                raise ValueError(f"Row {number} has {len(line)} fields, its header {len(names)}.")
            short = number if len(line) < len(names) else 0
            rows.append({name: _value(text) for name, text in zip(names, line, strict=False)})
    except csv.Error as error:
        raise ValueError(f"The CSV cannot be read: {error}.") from None
    if short and not text.endswith(("\n", "\r")):
        raise ValueError(f"Row {short} breaks off: the answer is not whole.")
    return rows


def _delimiter(text: str) -> str:
    """What parts the names of the header; what is quoted does not count."""
    header = re.split(r"[\r\n]", re.sub(r'"(?:[^"]|"")*"', '""', text[:_HEADER_MOST]), maxsplit=1)[0]
    return max(",;\t|", key=header.count)


def _apart(names: list[str]) -> list[str]:
    found: list[str] = []
    for name in names:
        free, number = name, 2
        while free in found or (free != name and free in names):
            free, number = f"{name}_{number}", number + 1
        found.append(free)
    return found


def xml_value(body: bytes) -> dict[str, Any]:
    """XML as objects: attributes as `@name`, text beside them as `#text`, what repeats as a list. All text, trimmed.

    Names are without their namespaces; of two attributes that are then alike the second is `@name_2`. Text between
    elements is one `#text`.

    Raises ValueError for what is no XML, and for a document type or entities: nothing is expanded or fetched.
    """
    try:
        _check_prolog(body)
        root = ET.fromstring(body)  # noqa: S314 - no entities can be declared in what comes here
    except (ET.ParseError, expat.ExpatError, LookupError) as error:
        raise ValueError(f"The XML cannot be read: {error}.") from None
    return {_local(root.tag): _element(root, 0)}


class _Root(Exception):
    """The prolog is over: here is the first element."""


def _check_prolog(body: bytes) -> None:
    """Raise ValueError for a document type, in whatever encoding the parser itself finds."""

    def refuse(*_: object) -> None:
        raise ValueError("The XML has a document type, which is not read.")

    def stop(*_: object) -> None:
        raise _Root

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler, parser.StartElementHandler = refuse, stop
    with contextlib.suppress(_Root):
        parser.Parse(body, True)


def _element(element: ET.Element, depth: int) -> Any:
    if depth > _DEPTH_MOST:
        raise ValueError("The XML is nested deeper than 100 elements.")
    text = "".join([element.text or "", *(child.tail or "" for child in element)]).strip()
    names = _apart([f"@{_local(name)}" for name in element.attrib])
    found: dict[str, Any] = dict(zip(names, element.attrib.values(), strict=True))
    repeated: set[str] = set()
    for child in element:
        name, value = _local(child.tag), _element(child, depth + 1)
        if name in repeated:
            found[name].append(value)
        elif name in found:
            found[name] = [found[name], value]
            repeated.add(name)
        else:
            found[name] = value
    if not found:
        return text or None
    if text:
        found["#text"] = text
    return found


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _value(text: str) -> Any:
    if text == "":
        return None
    if text in {"true", "false"}:
        return text == "true"
    if _INTEGER.fullmatch(text) and text != "-0":
        return int(text)
    if _DECIMAL.fullmatch(text) and orjson.dumps(float(text)).decode() == text:
        return float(text)
    return text
