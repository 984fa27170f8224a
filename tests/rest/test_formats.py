"""NDJSON, CSV and XML as values, and text that is not UTF-8: nothing is lost without a word."""

from __future__ import annotations

import pytest

from keyturn.columns.twice import said_twice
from keyturn.errors import UpstreamError
from keyturn.rest.paginators import NoPagination, OffsetPagination, integer
from keyturn.rest.reader import Endpoint, Reader
from keyturn.rest.rows import parse_body
from keyturn.wire import Headers, Response


def parsed(body: bytes, content_type: str, format: str):
    return parse_body(Response(200, Headers.of({"Content-Type": content_type}), body), format)


XML = '<r n="é"><a>ü</a></r>'


@pytest.mark.parametrize(
    ("body", "content_type", "format", "found"),
    [
        ('[{"a":"é"}]'.encode("latin-1"), "application/json; charset=ISO-8859-1", "json", [{"a": "é"}]),
        # Many servers say a charset that they do not mean; JSON is UTF-8.
        ('[{"a":"é"}]'.encode(), 'application/json; charset="iso-8859-1"', "json", [{"a": "é"}]),
        ('[{"a":"é"}]'.encode("utf-16"), "application/json", "json", [{"a": "é"}]),
        ('{"a":"é"}\n'.encode("cp1252"), "application/x-ndjson;charset=windows-1252", "ndjson", [{"a": "é"}]),
        ("a,b\né,€\n".encode("cp1252"), "text/csv; charset=windows-1252", "csv", [{"a": "é", "b": "€"}]),
        ("a\n日本\n".encode("iso2022_jp"), "text/csv; charset=iso-2022-jp", "csv", [{"a": "日本"}]),
        ("a\né\n".encode("utf-16"), "text/csv; charset=utf-16", "csv", [{"a": "é"}]),
        (XML.encode("latin-1"), "text/xml; charset=iso-8859-1", "xml", {"r": {"@n": "é", "a": "ü"}}),
        (f'<?xml version="1.0" encoding="utf-8"?>{XML}'.encode("latin-1"), "text/xml; charset=latin1", "xml",
         {"r": {"@n": "é", "a": "ü"}}),
        (f'<?xml version="1.0" encoding="latin-1"?>{XML}'.encode("latin-1"), "text/xml", "xml",
         {"r": {"@n": "é", "a": "ü"}}),
        (f'<?xml version="1.0" encoding="utf-16"?>{XML}'.encode("utf-16"), "text/xml; charset=utf-16", "xml",
         {"r": {"@n": "é", "a": "ü"}}),
    ],
)  # fmt: skip
async def test_text_is_read_in_the_charset_it_came_in(get, body, content_type, format, found):
    assert parsed(body, content_type, format) == found

    async def send(_):
        return Response(200, Headers.of({"Content-Type": content_type}), body)

    (page,) = [page async for page in Reader(Endpoint(get, "$", NoPagination(), format), send).pages()]
    assert page.rows == (found if isinstance(found, list) else [found])


@pytest.mark.parametrize(
    ("body", "content_type", "format", "words"),
    [
        (b"a\n\xe9\n", "text/csv", "csv", "Byte 3 is not UTF-8, and no charset is told"),
        (b"a\n\xe9", "text/csv; charset=utf-16", "csv", "The text is not utf-16, as its Content-Type says"),
        (b"a\nb\n", "text/csv; charset=klingon", "csv", "The text is not klingon"),
        (b"a,b\n1,2\n", "text/csv", "json", "It says that it is CSV: choose that format"),
        (b'{"a":1}\n{"a":2}\n', "application/x-ndjson", "json", "It says that it is NDJSON: choose that format"),
        (b"<a/>", "application/xml", "json", "It says that it is XML: choose that format"),
        (b'[{"a":"\xe9"}]', "application/json", "json", "Byte 8 is not UTF-8, and no charset is told"),
        (b'[{"a":NaN}]', "application/json", "json", "NaN or Infinity, which JSON has no words for"),
        (b'{"a":-Infinity}\n', "application/x-ndjson", "ndjson", "NaN or Infinity"),
        (b"a,b,c\n1,2,3\n4,5", "text/csv", "csv", "Row 2 breaks off: the answer is not whole"),
    ],
)
def test_what_cannot_be_read_is_told_with_what_to_do(body, content_type, format, words):
    with pytest.raises(UpstreamError, match=words) as caught:
        parsed(body, content_type, format)
    assert caught.value.message_code == "E-NOTDATA"


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("id,name,name\n1,a,b\n", [{"id": 1, "name": "a", "name_2": "b"}]),
        ("n,n,n_2\n1,2,3\n", [{"n": 1, "n_3": 2, "n_2": 3}]),
        ("id,,\n1,a,b\n", [{"id": 1, "": "a", "_2": "b"}]),
        ('id,"a; b; c"\n1,x\n', [{"id": 1, "a; b; c": "x"}]),
        ('"a\n;;",b\n1,2\n', [{"a\n;;": 1, "b": 2}]),
        ("id|t\n1|x\n", [{"id": 1, "t": "x"}]),
        ("a,b\n1\n", [{"a": 1}]),
        ("a,b\n1,2", [{"a": 1, "b": 2}]),
    ],
)
def test_csv_has_every_field_under_a_name_of_its_own(text, rows):
    assert parsed(text.encode(), "text/csv", "csv") == rows


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('<i xmlns:x="u" xmlns:y="v" x:id="1" y:id="2" id="3"/>', {"@id": "1", "@id_2": "2", "@id_3": "3"}),
        ("<i>one<b>c</b> two<b>d</b> three</i>", {"b": ["c", "d"], "#text": "one two three"}),
        ("<i>\n  <b>c</b>\n  <d>e</d>\n</i>", {"b": "c", "d": "e"}),
    ],
)
def test_xml_loses_no_attribute_and_no_text(text, found):
    assert parsed(text.encode(), "application/xml", "xml") == {"i": found}


@pytest.mark.parametrize(
    ("body", "path", "pagination", "format"),
    [
        (b'{"a":1,"a":2}\r\n\r\n{"a":3}\r\n', "$", NoPagination(), "ndjson"),
        (b'{"data":[{"a":1,"a":2},{"a":3}]}', "$.data", OffsetPagination(total_path="$.data[0].a"), "json"),
    ],
)
async def test_a_key_that_is_there_twice_is_found_wherever_the_rows_have_a_text(get, body, path, pagination, format):
    async def send(_):
        return Response(200, Headers.of({"Content-Type": "application/json"}), body)

    reader = Reader(Endpoint(get, path, pagination, format), send, max_rows=2)
    page, *_ = [page async for page in reader.pages()]
    assert page.rows == [{"a": 2}, {"a": 3}]
    assert page.raw is not None
    assert [(item.row_number, item.value) for item in said_twice(page.raw)] == [(1, "1")]


@pytest.mark.parametrize("said", [-1, "-1", "²", "9" * 5000, 1.5, True, None])
def test_a_total_that_is_no_count_is_none_and_never_reached(said):
    assert integer(said) is None


@pytest.mark.parametrize("packed", ["br", "zstd", "gzip, gzip"])
def test_a_body_that_is_packed_unasked_is_told(packed):
    headers = Headers.of({"Content-Type": "application/json", "Content-Encoding": packed})
    with pytest.raises(UpstreamError, match=f"It is packed as {packed}, which was not asked for"):
        parse_body(Response(200, headers, b"\x0b\x02\x80[]\xff"))


async def answered(get, response: Response) -> Reader:
    async def send(_):
        return response

    reader = Reader(Endpoint(get, "$", NoPagination()), send)
    assert [len(page.rows) async for page in reader.pages()] == [1]
    return reader


async def test_a_part_that_says_of_how_much_is_not_the_whole(get):
    headers = Headers.of({"Content-Range": "items 0-0/500"})
    reader = await answered(get, Response(206, headers, b'[{"a":1}]'))
    assert (reader.completeness.reported_total, reader.completeness.complete) == (500, False)
    unknown = await answered(get, Response(206, Headers.of({"Content-Range": "items 0-0/*"}), b'[{"a":1}]'))
    assert unknown.completeness.reported_total is None


async def test_a_request_that_is_only_taken_has_no_rows_yet(get):
    with pytest.raises(UpstreamError, match="answered 202: it has taken the request"):
        await answered(get, Response(202, Headers(), b'{"status":"pending"}'))
    await answered(get, Response(202, Headers(), b'[{"a":1}]'))
