"""Documents of strangers: what would crash or starve whoever reads them is refused, the rest is read as it is."""

from __future__ import annotations

import json

import pytest

from keyturn.errors import Invalid
from keyturn.rest import documents
from keyturn.rest.drafts import drafts_of
from keyturn.rest.fillings import names_in
from keyturn.rest.formats import xml_value


def repeated(line: str) -> str:
    """Nine times nine times … of one anchor."""
    return "a0: &a0 {x: 1}\n" + "".join(
        f"a{n}: &a{n} {line.format(', '.join([f'*a{n - 1}'] * 9))}\n" for n in range(1, 12)
    )


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        "[" * 200_000 + "]" * 200_000,
        "a: " + "{a: " * 100_000 + "1" + "}" * 100_000,
        "\n".join(" " * n + "- " for n in range(2000)),
        repeated("[{}]"),
        repeated("{{<<: [{}]}}"),
        "&a {openapi: 3.0.0, paths: *a}",
        "a: *nobody",
        "a: !!python/object/apply:os.system [true]",
        "a: [",
    ],
    ids=lambda text: text[:12],
)
def test_what_would_harm_whoever_reads_it_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        documents.parsed(text)
    with pytest.raises(Invalid):
        drafts_of(text, "https://api.example.com")


def test_a_body_that_is_nested_too_deeply_is_left_out_of_a_curl_line():
    [draft] = drafts_of("curl https://api.example.com/a -d '" + "[" * 100_000 + "'", "https://api.example.com").drafts
    assert "body" not in draft


def test_an_anchor_is_read_wherever_it_is_used():
    text = "base: &base {get: 1}\nlist: [*base, *base]\nmerged: {<<: *base, post: 2}"
    assert documents.parsed(text) == {
        "base": {"get": 1}, "list": [{"get": 1}, {"get": 1}], "merged": {"get": 1, "post": 2},
    }  # fmt: skip
    assert documents.parsed('{"a": [1]}') == {"a": [1]}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "latin-1"])
def test_a_document_type_is_refused_in_every_encoding_that_the_parser_finds(encoding):
    told = f"<?xml version='1.0' encoding='{encoding}'?>" if encoding in {"utf-16", "latin-1"} else ""
    bomb = f'{told}<!DOCTYPE r [<!ENTITY a "boo">]><r>&a;</r>'.encode(encoding)
    with pytest.raises(ValueError, match="document type"):
        xml_value(bomb)
    plain = f"{told}<!-- one --><r>é <![CDATA[<!DOCTYPE]]></r>".encode(encoding)
    assert xml_value(plain) == {"r": "é <!DOCTYPE"}


@pytest.mark.timeout(60)
def test_marks_that_never_end_take_no_time_worth_speaking_of():
    # In cubic time this would go on for years.
    blank, braces = " " * 100_000, "{" * 100_000
    for url in (f"https://api.example.com/{{{{{blank}x", f"https://api.example.com/{braces}a"):
        item = {"name": "a", "request": {"method": "GET", "url": url}}
        text = json.dumps({"info": {"name": "x"}, "item": [item]})
        assert len(drafts_of(text, "https://api.example.com").drafts) == 1
    assert list(names_in("{{" + blank)) == list(names_in(braces, path=True)) == []
    assert list(names_in("{{ a }}{b }", path=True)) == ["a", "b"]
