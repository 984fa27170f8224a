"""What a table can do, row by row of the promise, each over API, command line, client and pages."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from starlette.responses import JSONResponse, Response

from surfaces import Failed

NONE = {"rows_path": "$", "pagination": {"type": "none"}}


def test_row1_values_are_asked_for_each_time_and_go_where_they_belong(surface, connection, api):
    api.on("shops", lambda asked: [{"path": asked["path"], "kind": asked["query"].get("kind")}])
    parameters = [{"name": "shop", "type": "text"}, {"name": "kind", "default": "open"}]
    surface.create(connection, "orders", path="/shops/{shop}/orders", query={"kind": "{{kind}}"},
                   parameters=parameters, **NONE)  # fmt: skip
    rows, stamp = surface.read(f"{connection}.orders", shop="a b/c")
    assert rows == [{"path": "shops/a b/c/orders", "kind": "open"}]
    assert stamp["complete"] is True
    assert surface.preview(f"{connection}.orders", shop="x", kind="shut")["rows"] == [["shops/x/orders", "shut"]]


def test_row1_what_is_not_given_or_not_right_is_refused_by_name(surface, connection, api):
    api.on("things", lambda asked: [asked["query"]])
    parameters = [{"name": "year", "type": "integer"}]
    name = f"{connection}.things"
    surface.create(connection, "things", path="/things", query={"y": "{{year}}"}, parameters=parameters, **NONE)
    with pytest.raises(Failed, match="asks for it each time"):
        surface.read(name)
    with pytest.raises(Failed, match="Enter a whole number"):
        surface.read(name, year="soon")
    with pytest.raises(Failed, match="does not ask for yaer"):
        surface.read(name, year=1, yaer=2)
    assert api.asked == []


def test_row1_days_are_counted_from_today(surface, connection, api):
    api.on("things", lambda asked: [asked["query"]])
    query = {"since": "{{today-7d}}", "at": "{{now:epoch}}", "last": "{{last_run}}"}
    surface.create(connection, "things", path="/things", query=query, **NONE)
    [row], _ = surface.read(f"{connection}.things")
    assert (datetime.now(UTC).date() - datetime.fromisoformat(str(row["since"])).date()).days in {7, 8}
    assert abs(datetime.now(UTC).timestamp() - int(row["at"])) < 600
    assert str(row["last"]).startswith("1970-01-01")


def test_row1_a_value_nobody_knows_is_refused_with_what_was_meant(surface, connection):
    with pytest.raises(Failed, match=r"\{\{tody\}\} is not a value we know. Did you mean \{\{today\}\}"):
        surface.create(connection, "things", path="/things", query={"since": "{{tody}}"}, **NONE)


def test_row1_a_post_that_only_reads_has_values_in_its_body_and_headers(surface, connection, api):
    api.on("search", lambda asked: [{"body": json.loads(asked["body"]), "kind": asked["headers"]["x-kind"]}])
    parameters = [{"name": "most", "type": "integer", "default": 5}, {"name": "kind", "default": "a"}]
    surface.create(connection, "found", method="POST", path="/search", parameters=parameters,
                   body={"filter": {"most": "{{most}}", "text": "at most {{most}}"}}, headers={"X-Kind": "{{kind}}"},
                   **NONE)  # fmt: skip
    [row], _ = surface.read(f"{connection}.found", most=7)
    assert (row["body.filter.most"], row["body.filter.text"], row["kind"]) == (7, "at most 7", "a")
    assert api.asked[-1]["method"] == "POST"


def test_row1_a_query_gives_its_tables_what_they_ask_for(surface, connection, api):
    api.on("things", lambda asked: [{"id": int(asked["query"]["y"]), "since": asked["query"].get("after", "")}])
    only = {"column": "id", "param": "after"}
    surface.create(connection, "things", path="/things", query={"y": "{{year}}"}, incremental=only,
                   parameters=[{"name": "year", "type": "integer"}], **NONE)  # fmt: skip
    query = f"select id, since from {connection}.things"
    # The columns are not known yet: what the table asks for is needed for that question too.
    assert surface.sql(query, year=2025) == [[2025, ""]]
    assert surface.sql(query, year=2026, since="7") == [[2026, "7"]]
    with pytest.raises(Failed, match="asks for it each time"):
        surface.sql(query)
    with pytest.raises(Failed, match="asks for yaer"):
        surface.sql(query, year=1, yaer=2)


def test_row1_a_workspace_admin_may_say_how_many_endpoints_a_connection_may_have(surface, connection, api):
    none = {"path": "/things", **NONE}
    for n in range(12):
        surface.create(connection, f"things_{n}", **none)
    try:
        surface.limit_endpoints(12)
        with pytest.raises(
            Failed, match=f"{connection} has 12 endpoints, and a connection of this workspace may have 12"
        ) as told:
            surface.create(connection, "one_more", **none)
        assert told.value.code == "E-ENDPOINTS"
        # What is there stays and is read, also above a lower number; another one has its place when one goes.
        api.on("things", [{"id": 1}])
        surface.limit_endpoints(11)
        assert surface.read(f"{connection}.things_0")[0] == [{"id": 1}]
        surface.update(f"{connection}.things_0", primary_key=["id"])
        surface.delete(f"{connection}.things_0")
        surface.limit_endpoints(12)
        surface.create(connection, "one_more", **none)
        with pytest.raises(Failed, match="Enter a whole number or leave empty"):
            surface.limit_endpoints(0)
    finally:
        surface.limit_endpoints(None)
    surface.create(connection, "any_number", **none)


def test_row9_only_rows_since_a_time_are_asked_for(surface, connection, api):
    api.on("things", lambda asked: [{"id": 1, "asked": asked["query"].get("changed_after", "everything")}])
    only = {"column": "updated_at", "param": "changed_after"}
    surface.create(connection, "things", path="/things", incremental=only, **NONE)
    assert surface.read(f"{connection}.things")[0][0]["asked"] == "everything"
    if surface.kind == "page":  # an import knows by itself since when, and where the first one begins is set
        surface.update(f"{connection}.things", incremental={"start": "2026-01-01"})
        found = surface.preview(f"{connection}.things")["rows"]
    elif surface.kind == "cli":
        found = surface.preview(f"{connection}.things", since="2026-01-01")["rows"]
    else:
        found = [list(row.values()) for row in surface.read(f"{connection}.things", since="2026-01-01")[0]]
    assert found == [[1, "2026-01-01"]]


def test_row9_an_import_that_updates_reads_what_is_new_and_looks_back(surface, connection, api):
    rows = [{"id": n, "updated_at": f"2026-03-0{n}T12:00:00Z"} for n in (1, 2, 3)]

    def things(asked):
        after = asked["query"].get("after", "")
        return [row for row in rows if row["updated_at"] >= after]

    api.on("things", things)
    only = {"column": "updated_at", "param": "after", "look_back_seconds": 86_400}
    surface.create(connection, "things", path="/things", primary_key=["id"], incremental=only, **NONE)
    place = f"{connection}.parquet"
    assert surface.import_to(f"{connection}.things", place, mode="update")["rows"] == 3
    rows[1]["updated_at"], rows[2]["note"] = "2026-03-04T00:00:00Z", "late"
    rows.append({"id": 4, "updated_at": "2026-03-05T12:00:00Z"})
    item = surface.import_to(f"{connection}.things", place, mode="update")
    assert api.asked[-1]["query"]["after"] == "2026-03-02T12:00:00Z"
    assert (item["status"], item["rows"]) == ("complete", 3)
    again = surface.import_to(f"{connection}.things", place, mode="update")
    assert api.asked[-1]["query"]["after"] == "2026-03-04T12:00:00Z"
    assert again["rows"] == 1
    # Another place has seen nothing yet, and replacing is always everything.
    surface.import_to(f"{connection}.things", f"other-{place}", mode="update")
    assert "after" not in api.asked[-1]["query"]
    surface.import_to(f"{connection}.things", place, mode="replace")
    assert "after" not in api.asked[-1]["query"]
    with pytest.raises(Failed, match="Append would repeat"):
        surface.import_to(f"{connection}.things", place, mode="append")


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


def test_row8_an_endpoint_that_ends_soon_is_told(surface, connection, api):
    at = "Wed, 30 Jun 2027 00:00:00 GMT"
    api.on("things", lambda _: JSONResponse([{"id": 1}], headers={"Sunset": at}))
    surface.create(connection, "things", path="/things", **NONE)
    assert surface.read(f"{connection}.things")[1]["sunset"] == at


def test_row9_one_reader_told_to_wait_holds_back_every_other_and_is_shown_as_waiting(surface, connection, api):
    # Nobody waits that long here: a request of either would be counted.
    api.on("things", lambda _: JSONResponse({}, 429, headers={"Retry-After": "3000"}))
    api.on("others", [{"id": 2}])
    for name in ("things", "others"):
        surface.create(connection, name, path=f"/{name}", **NONE)
    begun = []
    for name in ("things", "others"):
        begun.append(surface.begin(f"{connection}.{name}", f"{connection}-{name}.parquet"))
        assert surface.shown_waiting(begun[-1])["kind"] == "rate_limit"
    assert [asked["path"] for asked in api.asked] == ["things"]
    for import_id in begun:
        surface.cancel(import_id)


@pytest.mark.parametrize("status", [429, 503])
def test_row9_what_the_api_asks_to_wait_is_waited_once_and_nothing_is_lost(surface, connection, api, status):
    def things(asked):
        if len(api.asked) == 2:
            return JSONResponse({}, status, headers={"Retry-After": "1"})
        page = int(asked["query"].get("p", 1))
        return {"data": [{"id": page}], "next": f"?p={page + 1}" if page < 3 else None}

    api.on("things", things)
    paging = {"type": "next_url", "next_url_path": "$.next"}
    surface.create(connection, "things", path="/things", rows_path="$.data", pagination=paging)
    rows, stamp = surface.read(f"{connection}.things")
    assert ([row["id"] for row in rows], stamp["complete"]) == ([1, 2, 3], True)
    assert [asked["query"].get("p", "1") for asked in api.asked] == ["1", "2", "2", "3"]


def test_row9_the_own_cap_of_a_connection_is_shared(surface, connection, api):
    api.on("things", lambda asked: {"data": [{"id": asked["query"].get("p")}], "total_pages": 4})
    api.on("others", [{"id": 1}])
    paging = {"type": "page_number", "page_param": "p", "total_pages_path": "$.total_pages"}
    # The next turn is far away, so each request that does not wait for its own is counted.
    surface.connection_patch(connection, requests_per_second=0.001)
    surface.create(connection, "things", path="/things", rows_path="$.data", pagination=paging)
    surface.create(connection, "others", path="/others", **NONE)
    begun = []
    for name in ("things", "others"):
        begun.append(surface.begin(f"{connection}.{name}", f"{connection}-{name}.parquet"))
        told = surface.shown_waiting(begun[-1])
        assert (told["kind"], "At most 0.001 requests a second" in told["reason"]) == ("own_cap", True)
    assert [(asked["path"], asked["query"]) for asked in api.asked] == [("things", {"p": "1"})]
    for import_id in begun:
        surface.cancel(import_id)


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


def test_row7_formats_are_read_alike_and_a_web_page_is_told(surface, connection, api):
    texts = {"ndjson": '{"id":1}\n{"id":2}\n', "csv": "id\n1\n2\n", "json": '[{"id":1},{"id":2}]',
             "xml": "<r><row><id>1</id></row><row><id>2</id></row></r>"}  # fmt: skip
    for kind, text in texts.items():
        api.on(kind, lambda _, text=text: Response(text, media_type="text/plain"))
        where = {"rows_path": "$.r.row" if kind == "xml" else "$", "pagination": {"type": "none"}}
        surface.create(connection, kind, path=f"/{kind}", format=kind, **where)
        assert [int(row["id"]) for row in surface.read(f"{connection}.{kind}")[0]] == [1, 2]
    api.on("page", lambda _: Response("<!doctype html><html>", media_type="text/html"))
    surface.create(connection, "page", path="/page", **NONE)
    with pytest.raises(Failed, match="This is a web page, not data") as told:
        surface.preview(f"{connection}.page")
    assert told.value.code == "E-NOTDATA"


def test_row8_exactly_one_full_page_without_paging_is_not_complete(surface, connection, api):
    api.on("things", [{"id": n} for n in range(100)])
    surface.create(connection, "things", path="/things", **NONE)
    _, stamp = surface.read(f"{connection}.things")
    assert (stamp["complete"], "exactly 100 rows" in stamp["note"]) == (False, True)
    with pytest.raises(Failed):
        surface.whole(f"{connection}.things")
