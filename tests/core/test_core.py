"""The compiled core reads exactly what is of the type, bit by bit, and gives everything else up."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from keyturn import core

HERE = Path(__file__).parent
COMPILER = shutil.which("cc")
pytestmark = pytest.mark.skipif(not core.is_there(), reason="built on a machine without a C compiler")
INSTANTS = core.RowReader(pa.struct([("a", pa.timestamp("us", "UTC"))]))
DOUBLES = core.RowReader(pa.struct([("a", pa.float64())]))
ROW = pa.struct(
    [
        ("a", pa.string()),
        ("b", pa.int64()),
        ("c", pa.list_(pa.struct([("d", pa.bool_())]))),
        ("e", pa.struct([("f", pa.null())])),
    ]
)


def of(text: str, reader: core.RowReader = DOUBLES):
    """The first cell of the first row, or None for what was given up."""
    rows = reader.read(f'[{{"a": {text}}}]'.encode())
    return None if rows is None else rows.array.field(0)[0].as_py()


def bits(number: float) -> bytes:
    return struct.pack("<d", number)


literals = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.from_regex(r"-?(0|[1-9][0-9]{0,18})(\.[0-9]{1,18})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    st.tuples(st.integers(10**14, 10**17), st.integers(-40, 40)).map(lambda pair: f"{pair[0]}e{pair[1]}"),
)


@given(literals)
@example("0.10000000000000001")
@example("0.30000000000000004")
@example("9007199254740993.0")
@example("-0")
@example("1e400")
@example("5e-324")
@example("9.5367431640625e-7")
def test_a_double_is_the_nearest_one_and_has_all_digits_of_its_literal(literal):
    found = of(literal)
    if found is not None:
        assert bits(found) == bits(float(literal))
        assert Decimal(repr(found)) == Decimal(literal)


@given(st.floats(1e-280, 1e270) | st.floats(-1e270, -1e-280))
def test_no_double_that_was_written_as_short_as_can_be_is_given_up(number):
    found = of(repr(number))
    if found is None:  # as far from one number of that length as from the next: who is right is not ours to say
        assert len(Decimal(number).normalize().as_tuple().digits) == len(Decimal(repr(number)).as_tuple().digits) + 1
    else:
        assert bits(found) == bits(number)


@given(st.text(st.characters(exclude_categories=["Cs"])), st.booleans())
def test_texts_come_as_they_were_written(text, escaped):
    assert of(json.dumps(text, ensure_ascii=escaped), core.RowReader(pa.struct([("a", pa.string())]))) == text


@given(st.binary(max_size=12))
def test_bytes_that_are_no_utf_8_are_given_up(found):
    body = b'[{"a": "' + found + b'"}]'
    try:
        expected = json.loads(body.decode(), strict=True)[0]["a"]
        expected.encode()
    except (ValueError, KeyError, TypeError, IndexError):
        expected = None
    rows = core.RowReader(pa.struct([("a", pa.string())])).read(body)
    assert (None if rows is None else rows.array.field(0)[0].as_py()) in {expected, None}
    assert rows is not None or expected is None or b'"' in found


instants = st.from_regex(
    r"[0-9]{4}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-5][0-9](:[0-6][0-9](\.[0-9]{1,7})?)?(Z|[+-][0-2][0-9]:?[0-5][0-9])",
    fullmatch=True,
)


moments = st.datetimes(datetime.fromisoformat("1000-01-01"), datetime.fromisoformat("9898-12-31"))


@settings(max_examples=1000)
@given(instants | moments.map(lambda at: at.isoformat() + "Z"))
@example("2024-02-29T00:00:00Z")
@example("2023-02-29T00:00:00Z")
@example("2000-02-29T12:30:59.5+14:00")
@example("1900-02-29T12:30:59Z")
@example("1000-01-01T00:00-2359")
@example("9898-12-31 23:59:59.999999+0000")
@example("9899-01-01T00:00:00Z")
@example("9900-01-01T00:00:00Z")
def test_an_instant_is_what_python_makes_of_it_and_there_is_no_other(text):
    found = of(json.dumps(text), INSTANTS)
    try:
        expected = datetime.fromisoformat(text) if 1000 <= int(text[:4]) <= 9899 and text[11:13] != "24" else None
    except ValueError:
        expected = None
    if len(text.partition(".")[2].rstrip("Z").partition("+")[0].partition("-")[0]) > 6:
        expected = None  # more than a microsecond tells
    assert found == expected


@pytest.mark.parametrize(
    "text",
    ["2026-01-31T09:30:00", "2026-01-31", "2026-1-31T09:30:00Z", "2026-01-31t09:30:00Z", "2026-01-31T09:30:00z",
     "2026-01-31T09:30:00.Z", "2026-01-31T09:30:00,5Z", "2026-01-31T09:30:60Z", "2026-01-31T24:00:00Z", "2026-01-31T09Z",
     "2026-01-31T09:30:00+24:00", "2026-01-31T09:30:00+01", "0999-01-31T09:30:00Z", "9900-01-31T09:30:00Z", "",
     " 2026-01-31T09:30:00Z", "2026-01-31T09:30:00Z ", "2026-04-31T09:30:00Z", "2026-00-01T09:30:00Z", "20260131T093000Z",
     "2026-01-31T09:30:00.1234567Z", "2026-01-31T09:30:00+1:00"],
)  # fmt: skip
def test_texts_that_are_no_plain_instants_are_given_up(text):
    assert of(json.dumps(text), INSTANTS) is None


@pytest.mark.parametrize("number", [2**53, -(2**53), 2**63 - 1, -(2**63)])
def test_numbers_beyond_the_whole_ones_of_a_double_are_told(number):
    whole = core.RowReader(pa.struct([("a", pa.int64()), ("b", pa.float64())]))
    assert whole.read(b'[{"a":%d}]' % number).wide
    assert whole.read(b'[{"b":%d}]' % (2**53 if number > 0 else -(2**53))).wide
    inside = abs(number) // number * (2**53 - 1)
    assert not whole.read(b'[{"a":%d,"b":%d.0}]' % (inside, inside)).wide


@pytest.mark.parametrize(
    "text",
    ["", "[", "{}", "[{]", "[{}", "[{}]x", "[{},]", "[null]", "[1]", '[{"b":1,"b":2}]', '[{"z":1}]', '[{"\\u0061":"x"}]',
     '[{"b":01}]', '[{"b":-}]', '[{"b":1.0}]', '[{"b":9223372036854775808}]', '[{"b":true}]', '[{"a":1}]', '[{"a":"\\ud800"}]',
     '[{"a":"\\q"}]', '[{"a":"\t"}]', '[{"a":"x}]', '[{"c":[{"d":1}]}]', '[{"c":{}}]', '[{"e":{"f":0}}]', '[{"e":[]}]',
     '[{"b":nul}]', '[{"c":[{}]}, {"b":1 2}]', '[{"a" "x"}]', '[{"a":"x",}]', "[{}]\x00", '[{"b":+1}]', '[{"b":1]'],
)  # fmt: skip
def test_what_is_not_of_the_type_or_no_json_is_given_up(text):
    assert core.RowReader(ROW).read(text.encode()) is None


def test_what_is_missing_is_null_at_every_depth():
    text = b' [ {"e":{"f":null},"b":-9223372036854775808} , {"c":[{"d":true},null,{}],"a":"x"}, {} ] '
    rows = core.RowReader(ROW).read(text).array
    rows.validate(full=True)
    nothing = {"a": None, "b": None, "c": None, "e": None}
    assert rows.to_pylist() == [
        nothing | {"b": -(2**63), "e": {"f": None}},
        nothing | {"a": "x", "c": [{"d": True}, None, {"d": None}]},
        nothing,
    ]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "data", "x y", "é"]), inner),
)


@given(json_values, st.lists(st.sampled_from(["a", "data"]), max_size=2), st.booleans(), st.sampled_from([None, 1]))
def test_the_list_is_found_where_the_keys_lead_to(value, keys, escaped, indent):
    body = json.dumps(value, ensure_ascii=escaped, indent=indent).encode()
    expected = value
    for key in keys:
        expected = expected.get(key) if isinstance(expected, dict) else None
    found = core.list_at(body, tuple(keys))
    if not isinstance(expected, list):
        assert found is None
        return
    if found is None:  # a key with an escape may be any key
        assert b'\\u00e9"' in body
        return
    start, end, count = found
    assert (json.loads(body[start:end]), count) == (expected, len(expected))
    assert json.loads(body[:start] + b"[]" + body[end:]) == emptied(value, keys)


def as_json(text):
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


awkward = st.text(st.sampled_from(list('"\\[]{},: a\n\u00e9')), max_size=90)
awkward_rows = st.lists(st.dictionaries(awkward, awkward | st.lists(st.dictionaries(awkward, awkward)), max_size=4))


@given(
    awkward_rows,
    st.text(" \n", max_size=70),
    st.lists(st.tuples(st.integers(0), st.sampled_from([*b'"\\[]{},: 1\x00', None])), max_size=2),
)
def test_a_list_is_never_found_where_the_whole_text_says_something_else(rows, space, changes):
    """Strings, escapes and brackets on every side of the 64 bytes that are looked at together; also after a byte changed."""
    text = bytearray(f'{space}{{"n":1,{space}"data":{json.dumps(rows)}{space},"next":"]"}}'.encode())
    for place, byte in changes:
        text[place % len(text) : place % len(text) + 1] = b"" if byte is None else bytes([byte])
    body = bytes(text)
    found, whole = core.list_at(body, ("data",)), as_json(body)
    if not changes:
        assert found is not None
    if found is None:
        return
    start, end, count = found
    rows_read, around = as_json(body[start:end]), as_json(body[:start] + b"[]" + body[end:])
    if whole is None:
        assert rows_read is None or around is None
    else:
        assert (rows_read, count) == (whole["data"], len(whole["data"]))
        assert around == {**whole, "data": []}


@pytest.mark.parametrize("inside", ['"', "\\", '\\"', '"]}', '\\\\"[{'])
def test_what_is_in_a_string_ends_no_list_wherever_it_lies(inside):
    """At every place among the 64 bytes that are looked at together."""
    for before in range(130):
        rows = [{"a": "x" * before + inside + "]}"}, {"b": inside}]
        body = json.dumps({"data": rows, "c": inside}).encode()
        start, end, count = core.list_at(body, ("data",))
        assert (json.loads(body[start:end]), count) == (rows, 2)


def emptied(value, keys):
    return {**value, keys[0]: emptied(value[keys[0]], keys[1:])} if keys else []


@pytest.mark.parametrize(
    "body",
    ['{"data":[1],"data":[2]}', '{"\\u0064ata":[1],"data":[2]}', '{"data":[1]', '{"data":[1]}}', '{"data":[1}]', '{"data":[1,]}',
     '{"data":[,1]}', '{"data":[1 2]}', '{"data":{}}', '{"data":"[]"}', '{"a":[1]}', '{"data":["x]}', "[1]", "", '{"data":[1]}\x00',
     '{"data":[' + "[" * 2000 + "]" * 2000 + "]}", "{data:[]}", '{"data":[{},]}', '{"data":[,{}]}', '{"data":[{}{}]}',
     '{"data":[{},,{}]}', '{"data":[{"a":"' + 80 * "x" + '"]}]}', '{"data":[{} 1]}', '{"data":[{}', '{"data" []}'],
)  # fmt: skip
def test_a_list_that_cannot_be_told_for_sure_is_given_up(body):
    assert core.list_at(body.encode(), ("data",)) is None


def test_a_name_that_c_cannot_say_is_left_to_others():
    assert core.RowReader(pa.struct([("a\0b", pa.int64())])).read(b'[{"a":1}]') is None


@pytest.mark.skipif(COMPILER is None, reason="no C compiler")
def test_no_mutated_page_and_no_failing_allocation_leads_out_of_bounds(tmp_path):
    """With the sanitizers for addresses, leaks and undefined behaviour, where the compiler has them."""
    fire = tmp_path / "fire"
    flags = ["-g", "-O1", "-std=c11", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    source = Path(core.__file__).parent
    built = subprocess.run([COMPILER, *flags, f"-I{source}", "-o", fire, HERE / "core_fire.c"], capture_output=True)
    if built.returncode:
        pytest.skip("this compiler has no sanitizers")
    seconds = "300" if os.environ.get("HYPOTHESIS_PROFILE") == "soak" else "3"
    ran = subprocess.run([fire, "7", seconds], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-2000:]
    read, fit, listed = map(int, ran.stdout.split())
    assert 0 < fit < read
    assert listed
