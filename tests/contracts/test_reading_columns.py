"""Rows as columns: shapes, types, names, and columns that change, over API, command line, client and pages."""

from __future__ import annotations

import json

import pytest
from starlette.responses import Response

from surfaces import Failed

NONE = {"rows_path": "$", "pagination": {"type": "none"}}


def test_row5_a_value_that_does_not_fit_a_pinned_type_is_listed_with_row_and_path(surface, connection, api):
    api.on("things", [{"id": n, "size": {"cm": n if n != 3 else "three"}} for n in range(1, 5)])
    pins = [{"name": "size.cm", "type": "int64"}]
    surface.create(connection, "things", path="/things", columns=pins, **NONE)
    rows, stamp, rejects = surface.read_with_rejects(f"{connection}.things")
    assert [row["size.cm"] for row in rows] == [1, 2, None, 4]
    assert stamp["rejected"] == 1
    assert rejects == [
        {"row": 3, "column": "size.cm", "path": "$.size.cm", "value": '"three"', "reason": "text, not int64"}
    ]


def test_row5_inference_can_be_switched_off(surface, connection, api):
    api.on("things", [{"id": 7, "zip": "007", "price": 1.5}])
    surface.create(connection, "things", path="/things", infer_types=False, **NONE)
    assert surface.read(f"{connection}.things")[0] == [{"id": "7", "zip": "007", "price": "1.5"}]


def test_row5_numbers_stay_exact_and_columns_without_a_value_are_not_seen_yet(surface, connection, api):
    big, long = 2**63, "0.12345678901234567890"
    body = f'[{{"id": {big}, "zip": "007", "share": {long}, "empty": null}}]'
    api.on("things", lambda _: Response(body, media_type="application/json"))
    surface.create(connection, "things", path="/things", **NONE)
    [row], _ = surface.read(f"{connection}.things")
    assert (row["id"], row["zip"], row["share"]) == (str(big), "007", long)
    notes = {column["name"]: column["note"] for column in surface.schema(f"{connection}.things")}
    assert notes == {"id": "kept as text: larger than 64-bit", "zip": None, "empty": "not seen yet",
                     "share": "kept as text: more digits than a double holds"}  # fmt: skip


def test_row5_pinned_types_are_kept_whatever_comes_and_values_stay_exact(surface, connection, api):
    rows = [{"price": "19.90", "zip": 7, "day": "2026-02-28", "at": "2026-03-01T10:00:00+02:00", "on": True, "n": 1},
            {"price": 0.1, "zip": None, "day": None, "at": None, "on": None, "n": 2}]  # fmt: skip
    pins = {"price": "decimal(18,2)", "zip": "string", "day": "date", "at": "timestamp", "on": "bool", "n": "float64"}
    api.on("things", rows)
    columns = [{"name": name, "type": kind} for name, kind in pins.items()]
    surface.create(connection, "things", path="/things", columns=columns, **NONE)
    [first, second], stamp = surface.read(f"{connection}.things")
    assert dict(surface.known_schema(f"{connection}.things")) == pins
    assert (str(first["price"]), str(second["price"]), stamp["rejected"]) == ("19.90", "0.10", 0)
    assert (first["zip"], str(first["day"]), first["on"], first["n"]) == ("7", "2026-02-28", True, 1.0)
    assert str(first["at"]).replace(" ", "T").startswith("2026-03-01T08:00:00")


def test_row6_each_read_compares_the_columns_and_keeps_the_differences(surface, connection, api):
    name = f"{connection}.things"
    api.on("things", [{"id": 1, "size": 1}])
    surface.create(connection, "things", path="/things", **NONE)
    surface.read(name)
    assert surface.history(name) == []
    api.on("things", [{"id": 1, "size": "big", "colour": "red"}])
    surface.read(name)
    [change] = surface.history(name)
    assert change["seen_at"].endswith("Z")
    assert change["changes"] == [
        {"kind": "type_changed", "column": "size", "before": "int64", "after": "string"},
        {"kind": "added", "column": "colour", "before": None, "after": "string"},
    ]


def test_row6_the_columns_are_kept_from_the_first_read_and_nothing_is_asked_for_them(surface, connection, api):
    name = f"{connection}.things"
    api.on("things", [{"id": 1, "size": 1.5}])
    surface.create(connection, "things", path="/things", **NONE)
    surface.read(name)
    api.on("things", [{"id": "a", "colour": "red"}])
    api.asked.clear()
    assert surface.known_schema(name) == [("id", "int64"), ("size", "float64")]
    assert api.asked == []


def test_row6_the_columns_of_a_table_that_asks_for_values_are_learned_with_them(surface, connection, api):
    name = f"{connection}.things"
    api.on("things", lambda asked: [{asked["query"]["kind"]: 1}])
    surface.create(
        connection, "things", path="/things", query={"kind": "{{kind}}"}, parameters=[{"name": "kind"}], **NONE
    )
    surface.learn_columns(name, kind="size")
    assert surface.known_schema(name) == [("size", "int64")]
    with pytest.raises(Failed, match="asks for it each time"):
        surface.learn_columns(name)


@pytest.mark.parametrize("policy", ["ask", "ignore"])
def test_row6_by_policy_the_columns_stay_and_new_fields_are_told(surface, connection, api, policy):
    name = f"{connection}.things"
    api.on("things", [{"id": 1}])
    surface.create(connection, "things", path="/things", when_columns_change=policy, **NONE)
    surface.read(name)
    api.on("things", [{"id": 1, "colour": "red"}])
    for _ in range(2):
        assert surface.read(name)[0] == [{"id": 1}]
    assert [change["changes"] for change in surface.history(name)] == [
        [{"kind": "left_out", "column": "colour", "before": None, "after": None}]
    ]
    # Whoever is asked says yes.
    surface.learn_columns(name)
    assert surface.read(name)[0] == [{"id": 1, "colour": "red"}]


ORDERS = [
    {"id": 7, "buyer": {"name": "Ana", "tags": ["a", "b"]}, "items": [{"sku": "x", "_id": "theirs"}, {"sku": "y"}]},
    {"id": 8, "buyer": {"name": "Li", "tags": []}, "items": [{"sku": "z", "parts": [{"n": 1}]}]},
    {"id": 9, "buyer": None, "items": []},
]


def test_row3_child_tables_come_of_one_fetch_with_the_ids_of_their_parents(surface, connection, api):
    api.on("orders", ORDERS)
    surface.create(connection, "orders", path="/orders", primary_key=["id"], data_model="relational", **NONE)
    api.asked.clear()
    parts = surface.parts(f"{connection}.orders")
    assert len(api.asked) == 1
    assert [(row["_id"], row["id"], row["buyer.name"]) for row in parts["orders"]] == [
        ("7", 7, "Ana"), ("8", 8, "Li"), ("9", 9, None)
    ]  # fmt: skip
    assert [(row["_id"], row["orders_id"], row["sku"], row["_id_2"]) for row in parts["orders_items"]] == [
        ("7/1", "7", "x", "theirs"), ("7/2", "7", "y", None), ("8/1", "8", "z", None)
    ]  # fmt: skip
    assert parts["orders_items_parts"] == [{"_id": "8/1/1", "orders_items_id": "8/1", "n": 1}]
    assert "items" not in parts["orders"][0]


def test_row3_expanded_rows_are_counted_before_and_after(surface, connection, api):
    api.on("orders", {"data": ORDERS, "total": 3})
    surface.create(connection, "orders", path="/orders", expand="items", rows_path="$.data", total_path="$.total",
                   pagination={"type": "none"}, primary_key=["id"])  # fmt: skip
    rows, stamp = surface.read(f"{connection}.orders")
    assert [(row["id"], row["items.sku"]) for row in rows] == [(7, "x"), (7, "y"), (8, "z"), (9, None)]
    assert (stamp["expanded_from"], stamp["rows"], stamp["complete"], stamp["duplicates"]) == (3, 4, True, 0)
    preview = surface.preview(f"{connection}.orders")
    assert (preview["expanded_from"], len(preview["rows"])) == (3, 4)
    if surface.kind == "page":  # before it is done, the button says what comes of it
        surface.create(connection, "plain", path="/orders", rows_path="$.data", pagination={"type": "none"})
        assert "Expand rows (3 → 4)" in surface.sample(f"{connection}.plain")
        api.on("orders", {"data": [], "total": 0})
        assert "The API answered with 0 rows. Show request" in surface.sample(f"{connection}.plain")


def test_row3_names_that_would_be_the_same_are_told_apart_and_no_value_is_lost(surface, connection, api):
    api.on("things", [{"a": {"b": 1}, "a.b": 2, "a_b": 3, "A.b": 4, "": 5}])
    surface.create(connection, "things", path="/things", **NONE)
    [row], _ = surface.read(f"{connection}.things")
    assert sorted(row.values()) == [1, 2, 3, 4, 5]
    assert row["a.b"] in {1, 2}


def test_row3_documents_keep_what_is_nested_as_json(surface, connection, api):
    api.on("orders", ORDERS)
    surface.create(connection, "orders", path="/orders", data_model="document", **NONE)
    rows, _ = surface.read(f"{connection}.orders")
    assert {column["name"]: column["type"] for column in surface.schema(f"{connection}.orders")} == {
        "id": "int64", "buyer": "json", "items": "json"
    }  # fmt: skip
    items = rows[0]["items"]
    assert (json.loads(items) if isinstance(items, str) else items) == ORDERS[0]["items"]


def test_row4_objects_are_dotted_columns_and_lists_are_lists_json_or_first_items(surface, connection, api):
    api.on("orders", ORDERS)
    name = f"{connection}.orders"
    surface.create(connection, "orders", path="/orders", **NONE)
    assert surface.read(name)[0][0]["buyer.tags"] == ["a", "b"]
    surface.update(name, arrays="json")
    tags = surface.read(name)[0][0]["buyer.tags"]
    assert (json.loads(tags) if isinstance(tags, str) else tags) == ["a", "b"]
    surface.update(name, arrays="columns", array_items=1)
    [first, second, _] = surface.read(name)[0]
    assert (first["buyer.tags.0"], second["buyer.tags.0"], first["items.0"] is None) == ("a", None, False)
    tags = first["buyer.tags"]
    assert (json.loads(tags) if isinstance(tags, str) else tags) == ["a", "b"]
