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
_CELL_MOST = 16 << 20
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


def lines_of(body: bytes) -> list[bytes]:
    """The lines of NDJSON that are not blank."""
    return [line for line in body.split(b"\n") if line.strip()]


def csv_rows(body: bytes) -> list[dict[str, Any]]:
    """CSV (RFC 4180) with a header. An empty field is null; text that reads back as it stands becomes its value.

    Raises ValueError: not UTF-8, no header, a row with more fields than the header, a field that never ends.
    """
    csv.field_size_limit(_CELL_MOST)
    text = body.decode("utf-8-sig")
    delimiter = max(",;\t", key=text.split("\n", 1)[0].count)
    try:
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        names = next(lines, list[str]())
        if not names or len(set(names)) != len(names):
            raise ValueError("The header names a column twice, or is missing.")
        rows = []
        for number, line in enumerate(lines, 1):
            if not line:
                continue
            if len(line) > len(names):
                raise ValueError(f"Row {number} has {len(line)} fields, its header {len(names)}.")
            rows.append({name: _value(text) for name, text in zip(names, line, strict=False)})
    except csv.Error as error:
        raise ValueError(f"The CSV cannot be read: {error}.") from None
    return rows


def xml_value(body: bytes) -> dict[str, Any]:
    """XML as objects: attributes as `@name`, text beside them as `#text`, what repeats as a list. All text.

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
    text = (element.text or "").strip()
    found: dict[str, Any] = {f"@{_local(name)}": value for name, value in element.attrib.items()}
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
