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


def test_row1_an_import_asks_with_the_time_of_the_one_before_into_the_same_file(surface, connection, api):
    api.on("things", [{"id": 1}])
    name, place = f"{connection}.things", f"{connection}.parquet"
    surface.create(connection, "things", path="/things", query={"last": "{{last_run}}"}, primary_key=["id"], **NONE)
    before = datetime.now(UTC).replace(microsecond=0)
    for _ in range(2):
        assert surface.import_to(name, place, mode="update")["rows"] == 1
    first, second = (asked["query"]["last"] for asked in api.asked[-2:])
    assert first == "1970-01-01T00:00:00Z"
    assert before <= datetime.fromisoformat(second) <= datetime.now(UTC)


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


def test_row1_a_table_only_reads_so_no_other_method_is_taken(surface, connection, api):
    for method in ("PUT", "PATCH", "DELETE"):
        # The page has a list to choose from, which offers no other.
        with pytest.raises((Failed, AssertionError), match=r"Choose one of 'GET' or 'POST'|method offers"):
            surface.create(connection, "things", method=method, path="/things", **NONE)
    assert api.asked == []


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


# What is no JSON, and what is said of it.
OTHERS = {
    "picture": (b"\x89PNG\r\n\x1a\n\x00", "image/png", r"The answer is not JSON \(image/png\)"),
    "broken": (b'[{"id": 1}, {"id"', "application/json", r"The answer is not JSON \(application/json\)"),
    "sheet": (b"id,name\n1,a\n", "text/csv", r"The answer is not JSON \(text/csv\)"),
    "tree": (b"<r><row/></r>", "application/xml", r"The answer is not JSON \(application/xml\)"),
    "nothing": (b"", "application/json", "answered 200 with an empty body"),
    "refusal": (
        b'{"error": {"message": "no such shop"}}',
        "application/json",
        "an error instead of rows: no such shop",
    ),
}


def test_row7_anything_else_is_refused_in_words_and_never_read_as_rows(surface, connection, api):
    for kind, (body, media_type, words) in OTHERS.items():
        api.on(kind, lambda _, body=body, media_type=media_type: Response(body, media_type=media_type))
        surface.create(connection, kind, path=f"/{kind}", **NONE)
        with pytest.raises(Failed, match=words) as told:
            surface.whole(f"{connection}.{kind}")
        assert told.value.code == ("E-NOTDATA" if kind != "nothing" else None)


def test_row8_a_connection_is_tested_by_asking_for_records(surface, connection, api):
    api.on("things", {"data": [{"id": 1}, {"id": 2}]})
    *_, (state, sentence) = surface.test(connection, "/things")
    assert (state in {"ok", "healthy"}, "2 records" in sentence) == (True, True)
    assert [(asked["method"], asked["path"]) for asked in api.asked][-1] == ("GET", "things")


def test_row8_exactly_one_full_page_without_paging_is_not_complete(surface, connection, api):
    api.on("things", [{"id": n} for n in range(100)])
    surface.create(connection, "things", path="/things", **NONE)
    _, stamp = surface.read(f"{connection}.things")
    assert (stamp["complete"], "exactly 100 rows" in stamp["note"]) == (False, True)
    with pytest.raises(Failed):
        surface.whole(f"{connection}.things")
