"""Tables that are read once for each row of another, over API, command line, client and pages."""

from __future__ import annotations

import contextlib

import pytest
from starlette.responses import JSONResponse, Response

from surfaces import Failed

NONE = {"rows_path": "$", "pagination": {"type": "none"}}
PAGES = {"rows_path": "$.data", "pagination": {"type": "next_url", "next_url_path": "$.next"}}
OF_ORDER = {"table": "orders", "values": {"order_id": "id"}}


def shop(api, *, orders=(1, 2, 3), lines_each=3, missing=()):
    """Orders in pages of two, and the lines of each in pages of two; an order that is missing answers 404."""

    def paged(rows, asked):
        start = int(asked["query"].get("from", 0))
        more = f"?from={start + 2}" if start + 2 < len(rows) else None
        return {"data": rows[start : start + 2], "next": more}

    def answer(asked):
        parts = asked["path"].split("/")
        if len(parts) == 1:
            return paged([{"id": number, "buyer": {"id": f"b {number}/x"}} for number in orders], asked)
        if int(parts[1]) in missing:
            return Response(status_code=404)
        return paged([{"line": n, "price": int(parts[1]) * 10 + n} for n in range(1, lines_each + 1)], asked)

    api.on("orders", answer)


def tables(surface, connection, **child):
    surface.create(connection, "orders", path="/orders", **PAGES)
    surface.create(connection, "lines", **{"path": "/orders/{order_id}/lines", "parent": OF_ORDER, **PAGES, **child})
    return f"{connection}.lines"


def test_row10_a_table_is_read_for_each_row_of_its_parent_in_order_under_one_stamp(surface, connection, api):
    shop(api)
    name = tables(surface, connection)
    rows, stamp = surface.read(name)
    assert rows == [{"orders_id": o, "line": n, "price": o * 10 + n} for o in (1, 2, 3) for n in (1, 2, 3)]
    assert (stamp["complete"], stamp["rows"], stamp["pages"], stamp["parent_rows"]) == (True, 9, 6, 3)
    assert [column["name"] for column in surface.schema(name)] == ["orders_id", "line", "price"]
    preview = surface.preview(name)
    assert (preview["rows"][0], preview["truncated"]) == ([1, 1, 11], True)


def test_row10_where_its_rows_are_and_how_pages_follow_is_found_with_a_row_of_the_parent(surface, connection, api):
    shop(api, missing=(1,))
    surface.create(connection, "orders", path="/orders", **PAGES)
    made = surface.create(connection, "lines", path="/orders/{order_id}/lines", parent=OF_ORDER)
    assert (made["rows_path"], made["pagination"]["type"]) == ("$.data", "next_url")
    assert "orders_id" in [column["name"] for column in made["schema"]]
    rows, _ = surface.read(f"{connection}.lines")
    assert [row["orders_id"] for row in rows] == [2, 2, 2, 3, 3, 3]


def test_row10_a_value_of_an_object_goes_into_a_query_and_stays_one_step_of_a_path(surface, connection, api):
    shop(api)
    api.on("buyers", lambda asked: [{"path": asked["path"], "of": asked["query"]["of"]}])
    surface.create(connection, "orders", path="/orders", **PAGES)
    values = {"buyer": "buyer.id", "order": "id"}
    surface.create(connection, "buyers", path="/buyers/{buyer}", query={"of": "{{order}}"},
                   parent={"table": f"{connection}.orders", "values": values}, **NONE)  # fmt: skip
    rows, _ = surface.read(f"{connection}.buyers")
    assert rows[0] == {"orders_buyer_id": "b 1/x", "orders_id": 1, "path": "buyers/b 1/x", "of": "1"}


def test_row10_a_child_that_is_not_there_is_counted_and_told_and_the_others_are_read(surface, connection, api):
    shop(api, missing=(2,))
    rows, stamp = surface.read(tables(surface, connection))
    assert {row["orders_id"] for row in rows} == {1, 3}
    assert (stamp["complete"], stamp["not_found"], stamp["parent_rows"]) == (None, 1, 3)
    assert "1 of 3 rows of orders answered 404" in stamp["note"]


def test_row10_it_is_complete_only_where_its_parent_and_each_child_are(surface, connection, api):
    shop(api)
    name = tables(surface, connection)
    surface.update(f"{connection}.orders", pagination={"max_pages": 1})
    rows, stamp = surface.read(name)
    assert (len(rows), stamp["complete"], stamp["stop_reason"]) == (6, False, "max_pages")
    assert "orders, its parent, is incomplete" in stamp["note"]
    surface.update(f"{connection}.orders", pagination={"max_pages": None})
    endless = {"data": [{"line": 1}], "next": "?"}
    api.on("loops", lambda asked: endless if asked["path"] == "loops/2" else {"data": [{"line": 1}]})
    surface.create(connection, "loops", path="/loops/{order_id}", parent=OF_ORDER, **PAGES)
    rows, stamp = surface.read(f"{connection}.loops")
    assert ([row["orders_id"] for row in rows], stamp["complete"]) == ([1, 2, 3], False)
    assert stamp["note"].startswith("/loops/2: Page 1 leads back")


def test_row10_caps_are_those_of_the_whole(surface, connection, api):
    shop(api)
    name = tables(surface, connection, pagination={**PAGES["pagination"], "max_pages": 3})
    rows, stamp = surface.read(name)
    assert (len(rows), stamp["pages"], stamp["stop_reason"], stamp["complete"]) == (5, 3, "max_pages", False)
    assert len(surface.preview(name, limit=1)["rows"]) == 1


def test_row10_a_child_may_have_children_and_a_parent_may_ask_for_values(surface, connection, api):
    api.on("regions", lambda asked: [{"id": f"{asked['query']['year']}-{n}"} for n in "ab"])
    api.on("shops", lambda asked: [{"id": 1}, {"id": 2}] if asked["path"] == "shops/7-a" else [])
    api.on("sales", lambda asked: [{"asked": asked["path"]}])
    parameters = [{"name": "year", "type": "integer"}]
    surface.create(connection, "regions", path="/regions", query={"year": "{{year}}"}, parameters=parameters, **NONE)
    surface.create(connection, "shops", path="/shops/{r}", parent={"table": "regions", "values": {"r": "id"}}, **NONE)
    values = {"region": "regions_id", "shop": "id"}
    surface.create(connection, "sales", path="/sales/{region}/{shop}", parent={"table": "shops", "values": values},
                   **NONE)  # fmt: skip
    rows, stamp = surface.read(f"{connection}.sales", year=7)
    assert rows == [{"shops_regions_id": "7-a", "shops_id": n, "asked": f"sales/7-a/{n}"} for n in (1, 2)]
    assert stamp["complete"] is True
    with pytest.raises(Failed, match="asks for it each time"):
        surface.read(f"{connection}.sales")


def test_row10_fields_of_the_apis_own_and_odd_rows_stay_as_they_are(surface, connection, api):
    shop(api)
    bodies = {"1": '[{"orders_id": "own", "n": 1}, {}]', "2": '[{"n": 12345678901234567890}]', "3": '[{"n": 3}]'}
    api.on("odd", lambda asked: Response(bodies[asked["path"].split("/")[1]], media_type="application/json"))
    surface.create(connection, "orders", path="/orders", **PAGES)
    surface.create(connection, "odd", path="/odd/{order_id}", parent=OF_ORDER, infer_types=False, **NONE)
    rows, _ = surface.read(f"{connection}.odd")
    told = [(str(row["orders_id"]), row.get("orders_id_2"), row["n"] and str(row["n"])) for row in rows]
    assert told == [("1", "own", "1"), ("1", None, None), ("2", None, "12345678901234567890"), ("3", None, "3")]


REFUSED = {
    "an unknown parent": ({"parent": {"table": "order", "values": {"order_id": "id"}}}, "Did you mean orders?"),
    "an unknown column": (
        {"parent": {"table": "orders", "values": {"order_id": "idd"}}},
        "no column idd. Did you mean",
    ),
    "no source": ({"path": "/orders/{order}/lines/{order_id}"}, "has no source. Did you mean order_id?"),
    "no use": ({"path": "/lines"}, "Nothing uses order_id. Write"),
    "itself": ({"parent": {"table": "lines", "values": {"order_id": "id"}}}, "cannot be its own parent"),
    "two sources": ({"parameters": [{"name": "order_id"}]}, "Keep one of them"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_row10_what_leads_nowhere_is_refused_with_the_fix(surface, connection, api, case):
    shop(api)
    surface.create(connection, "orders", path="/orders", **PAGES)
    surface.read(f"{connection}.orders")
    settings, words = REFUSED[case]
    draft = {"path": "/orders/{order_id}/lines", "parent": OF_ORDER, **PAGES, **settings}
    with pytest.raises(Failed) as told:
        surface.create(connection, "lines", **draft)
    assert words in str(told.value)


def test_row10_a_circle_another_connection_and_a_parent_that_goes_are_refused(surface, connection, api, reading_server):
    shop(api)
    name = tables(surface, connection)
    back = {"table": "lines", "values": {"line": "line"}}
    with pytest.raises(Failed, match="lead in a circle"):
        surface.update(f"{connection}.orders", path="/orders/{line}", parent=back)
    other = {"name": f"{connection}_b", "base_url": api.url, "auth": {"type": "none"}, "access": "only_me"}
    assert reading_server.api.post("/connections", json=other).status_code == 201
    with pytest.raises(Failed, match=r"a table of another connection\. A parent is of the same connection"):
        surface.create(f"{connection}_b", "lines", path="/orders/{order_id}", parent=OF_ORDER, **NONE)
    with pytest.raises(Failed, match=f"{connection}.lines is read for each row of orders"):
        surface.delete(f"{connection}.orders")
    orders = surface.table_id(f"{connection}.orders")
    renamed = reading_server.api.patch(f"/tables/{orders}", json={"name": "purchases"})
    assert (renamed.status_code, "is read for each row" in renamed.text) == (409, True)
    surface.delete(name)
    surface.delete(f"{connection}.orders")


def test_row10_a_column_that_the_parent_turns_out_not_to_have_fails_the_read_by_name(surface, connection, api):
    shop(api)
    surface.create(connection, "orders", path="/orders", **PAGES)
    surface.create(connection, "lines", path="/orders/{o}", parent={"table": "orders", "values": {"o": "no"}}, **PAGES)
    with pytest.raises(Failed, match=r"orders has no values in a column no\. It has id, buyer"):
        surface.whole(f"{connection}.lines")


def test_row10_an_error_in_a_child_is_an_error_of_the_read(surface, connection, api):
    shop(api)
    api.on("broken", lambda asked: JSONResponse([{"a": 1}], status_code=403 if asked["path"] == "broken/2" else 200))
    surface.create(connection, "orders", path="/orders", **PAGES)
    surface.create(connection, "broken", path="/broken/{order_id}", parent=OF_ORDER, **NONE)
    with pytest.raises(Failed, match="may not read"):
        surface.whole(f"{connection}.broken")


def test_row10_an_import_that_is_cut_goes_on_inside_a_row_of_the_parent(surface, connection, api, reading_server):
    shop(api, orders=range(1, 6), lines_each=5)
    name = tables(surface, connection)
    whole = api.answers["orders"]

    def cut(asked):
        inside = asked["path"] == "orders/3/lines" and asked["query"].get("from") == "4"
        return Response(status_code=403) if inside else whole(asked)

    api.on("orders", cut)
    with contextlib.suppress(Failed):
        surface.import_to(name, f"{connection}.parquet")
    item = reading_server.api.get("/imports").json()["data"][0]
    assert (item["status"], item["rows"], item["pages"]) == ("failed", 14, 8)
    api.on("orders", whole)
    api.asked.clear()
    ended = surface.resumed(item["id"])
    assert (ended["status"], ended["rows"]) == ("complete", 25)
    assert (ended["completeness"]["parent_rows"], ended["completeness"]["complete"]) == (5, True)
    places = [(asked["path"], asked["query"].get("from")) for asked in api.asked]
    assert places[0] == ("orders/3/lines", "4")
    assert ("orders", None) not in places
    assert not {"orders/1/lines", "orders/2/lines"} & {path for path, _ in places}
