"""Rows in other shapes: nothing is lost, and no two things have one name."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from keyturn.columns.build import build, to_json
from keyturn.columns.infer import Nested
from keyturn.columns.schema import infer
from keyturn.columns.shapes import MAIN, Shape, Shaper, expanded

scalars = st.none() | st.integers(-5, 5) | st.sampled_from(["", "x", "_id"])
names = st.sampled_from(["a", "b", "_id", "_id_2", "t_id", "a.0", "a.b", "a_b"])
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4), max_leaves=12
)
pages = st.lists(st.dictionaries(names, values, max_size=5), max_size=4)


def leaves(value):
    if isinstance(value, Nested):
        yield from leaves(value.value)
    elif isinstance(value, dict):
        for inner in value.values():
            yield from leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner)
    elif value is not None:
        yield repr(value)


@given(pages)
def test_relational_parts_hold_every_value_once_and_every_child_has_its_parent(rows):
    parts = Shaper(Shape("relational", table="t")).add(rows)
    ours = {"_id": None}
    for found in parts.values():
        assert len({row["_id"] for row in found}) == len(found)
    ids = {row["_id"] for found in parts.values() for row in found}
    came = []
    for name, found in parts.items():
        for row in found:
            # Of each child the first two are its own id and its parent's; of the parent the first.
            mine = list(row)[: 1 if name == MAIN else 2]
            assert mine[0] in ours
            assert name == MAIN or row[mine[1]] in ids
            came += leaves({key: value for key, value in row.items() if key not in mine})
    assert sorted(came) == sorted(leaves(rows))


@given(pages, st.sampled_from(["json", "columns"]))
def test_lists_that_are_packed_hold_every_value_and_are_typed(rows, arrays):
    found = Shaper(Shape(arrays=arrays, array_items=2)).add(rows)[MAIN]
    schema = infer(found)
    assert len({column.name for column in schema.columns}) == len(schema.columns)
    assert build(schema, found, []).num_rows == len(rows)
    assert set(leaves(found)) == set(leaves(rows))


@given(pages)
def test_documents_are_typed_with_what_is_nested_as_json(rows):
    found = Shaper(Shape("document")).add(rows)[MAIN]
    batch = build(infer(found), found, [])
    assert batch.num_rows == len(rows)
    assert sorted(leaves(found)) == sorted(leaves(rows))


def test_expanding_keeps_rows_without_items():
    rows = [{"id": 1, "x": {"y": [1, {"z": 2}]}}, {"id": 2, "x": {"y": []}}, {"id": 3, "x": None}, {"id": 4}, 5]
    assert [item for row in rows for item in expanded(row, ("x", "y"))] == [
        {"id": 1, "x": {"y": 1}}, {"id": 1, "x": {"y": {"z": 2}}}, {"id": 2, "x": {"y": None}},
        {"id": 3, "x": None}, {"id": 4}, 5,
    ]  # fmt: skip


def test_rows_without_a_key_are_numbered_over_the_pages():
    shaper = Shaper(Shape("relational", table="t", key=("id",)))
    pages = [shaper.add([{"id": 7}, {"id": None}]), shaper.add([{"no": 1}])]
    assert [row["_id"] for page in pages for row in page[MAIN]] == ["7", "2", "3"]


def test_a_nested_value_is_exact_json():
    assert to_json(Nested([2**70, "é"])) == '[1180591620717411303424,"é"]'
