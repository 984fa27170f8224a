"""A table's settings used on another connection: everything that says how it is read goes along, and nothing that was read."""

from __future__ import annotations

import pytest
from starlette.responses import JSONResponse

import keyturn
from surfaces import Failed
from world import TOKEN


@pytest.fixture
def other(reading_server, api, connection) -> str:
    """Another connection, to the same API by another name of its host: another origin."""
    body = {"name": f"{connection}_b", "base_url": api.url, "auth": {"type": "none"}, "access": "only_me"}
    assert reading_server.api.post("/connections", json=body).status_code == 201
    return body["name"]


def elsewhere(reading_server, connection: str) -> str:
    body = {"name": f"{connection}_far", "base_url": "https://api.example.com", "auth": {"type": "none"},
            "access": "only_me"}  # fmt: skip
    assert reading_server.api.post("/connections", json=body).status_code == 201
    return body["name"]


def copied(surface, name: str, connection: str, as_name: str | None = None) -> dict:
    if surface.kind == "cli":
        return surface.run(
            "tables", "copy", name, "--connection", connection, *(["--name", as_name] if as_name else [])
        )
    if surface.kind == "client":
        with keyturn.connect(surface.url, TOKEN) as ws:
            try:
                return ws.table(name).copy(connection=connection, name=as_name).settings
            except keyturn.KeyturnError as error:
                raise Failed(str(error), error.message_code) from error
    if surface.kind == "page":
        return surface.copy(name, connection, as_name)
    body = {"connection_id": surface.connection_id(connection), **({"name": as_name} if as_name else {})}
    answer = surface.http.post(f"/tables/{surface.table_id(name)}/copies", json=body)
    if answer.is_error:
        raise Failed(answer.text)
    return answer.json()


SETTINGS = {
    "method": "POST", "path": "/things", "query": {"shop": "{{shop}}"}, "headers": {"X-Day": "{{today}}"},
    "body": {"deep": [1]}, "format": "json", "rows_path": "$.data", "total_path": "$.total",
    "pagination": {"type": "cursor", "cursor_path": "$.next", "cursor_param": "c", "cursor_in": "body"},
    "primary_key": ["id"], "columns": [{"name": "id", "type": "string"}], "columns_param": "fields", "arrays": "json",
    "data_model": "document", "when_columns_change": "ignore", "requests_per_second": 50.0, "timeout_seconds": 9.0,
    "parameters": [{"name": "shop", "default": "main"}], "incremental": {"column": "at", "param": "since"},
    "no_new_data_days": 3,
}  # fmt: skip


def test_row1_a_table_is_copied_to_another_connection_with_all_its_settings_and_none_of_its_rows(
    surface, connection, other, api
):
    def things(asked):
        return JSONResponse({"data": [{"id": 1, "at": "2026-01-01", "shop": asked["query"].get("shop")}], "total": 1})

    api.on("things", things)
    surface.create(connection, "things", **SETTINGS)
    surface.read(f"{connection}.things")
    before = surface.run("tables", "show", f"{connection}.things")
    count = len(api.asked)
    made = copied(surface, f"{connection}.things", other)
    assert len(api.asked) == count
    assert made["full_name"] == f"{other}.things"
    own = {"id", "connection_id", "full_name", "created_at", "updated_at", "last_read_at", "evidence", "also_copied"}
    assert {k: v for k, v in made.items() if k not in own} == {k: v for k, v in before.items() if k not in own}
    assert made["schema"]
    assert made["last_read_at"] is None
    assert f"Copied from {connection}.things" in made["evidence"][0]["sentence"]
    rows, stamp = surface.read(f"{other}.things", shop="far")
    assert ([(row["id"], row["shop"]) for row in rows], stamp["complete"]) == ([("1", "far")], True)
    # Two tables from now on.
    surface.update(f"{other}.things", path="/others")
    assert surface.run("tables", "show", f"{connection}.things")["path"] == "/things"


def test_row1_a_name_that_is_taken_is_told_and_another_is_given(surface, connection, other, api):
    api.on("things", [{"id": 1}])
    none = {"path": "/things", "rows_path": "$", "pagination": {"type": "none"}}
    surface.create(connection, "things", **none)
    surface.create(other, "things", **none)
    with pytest.raises(Failed, match=rf"{other}\.things exists already. Give the copy another name"):
        copied(surface, f"{connection}.things", other)
    assert copied(surface, f"{connection}.things", other, "things_2")["full_name"] == f"{other}.things_2"
    # The same connection is another connection's equal; the page offers others alone.
    if surface.kind != "page":
        assert copied(surface, f"{connection}.things", connection, "twin")["full_name"] == f"{connection}.twin"


def test_row1_parents_go_along_and_one_that_is_there_must_read_the_same(surface, connection, other, api):
    api.on("orders", lambda asked: [{"id": 1}] if asked["path"] == "orders" else [{"line": asked["path"]}])
    none = {"rows_path": "$", "pagination": {"type": "none"}}
    surface.create(connection, "orders", path="/orders", **none)
    link = {"table": "orders", "values": {"order_id": "id"}}
    surface.create(connection, "lines", path="/orders/{order_id}/lines", parent=link, **none)
    made = copied(surface, f"{connection}.lines", other)
    if surface.kind == "api":
        assert made["also_copied"] == [f"{other}.orders"]
    rows, _ = surface.read(f"{other}.lines")
    assert rows == [{"orders_id": 1, "line": "orders/1/lines"}]
    # The parent is there by now, and is not copied again.
    copied(surface, f"{connection}.lines", other, "more_lines")
    surface.update(f"{other}.orders", path="/purchases")
    with pytest.raises(Failed, match="Rename one of the two first"):
        copied(surface, f"{connection}.lines", other, "still_more")
    names = [table["full_name"] for table in surface.run("tables", "list", "--connection", other)["data"]]
    assert sorted(names) == [f"{other}.{name}" for name in ("lines", "more_lines", "orders")]


def test_row1_a_copy_counts_among_the_endpoints_of_its_connection(surface, connection, other, api):
    none = {"path": "/things", "rows_path": "$", "pagination": {"type": "none"}}
    surface.create(connection, "things", **none)
    surface.create(other, "others", **none)
    surface.limit_endpoints(1)
    try:
        with pytest.raises(Failed, match=f"{other} has 1 endpoint, and a connection of this workspace may have 1"):
            copied(surface, f"{connection}.things", other)
    finally:
        surface.limit_endpoints(None)
    assert copied(surface, f"{connection}.things", other)["full_name"] == f"{other}.things"


def test_row1_a_key_of_a_table_is_not_taken_to_another_host(surface, connection, reading_server, api):
    far = elsewhere(reading_server, connection)
    none = {"path": "/things", "rows_path": "$", "pagination": {"type": "none"}}
    api.on("things", [{"id": 1}])
    surface.create(connection, "keyed", headers={"X-Api-Key": "a-literal-key"}, **none)
    with pytest.raises(Failed, match=r"X-Api-Key of .* looks like a key") as failed:
        copied(surface, f"{connection}.keyed", far)
    assert "a-literal-key" not in str(failed.value)
    surface.create(connection, "plain", **none)
    assert copied(surface, f"{connection}.plain", far)["full_name"] == f"{far}.plain"


def test_row1_a_copy_to_nowhere_is_refused_with_what_there_is(surface, connection, api, reading_server):
    api.on("things", [{"id": 1}])
    surface.create(connection, "things", path="/things", rows_path="$", pagination={"type": "none"})
    table = surface.table_id(f"{connection}.things")
    assert reading_server.api.post(f"/tables/{table}/copies", json={"connection_id": "cn_none"}).status_code == 404
    assert reading_server.api.post("/tables/tb_none/copies", json={"connection_id": "cn_none"}).status_code == 404
    for body, at in (({}, "connection_id"), ({"connection_id": "x", "path": "/y"}, "path"),
                     ({"connection_id": "x", "name": "A b"}, "name")):  # fmt: skip
        answer = reading_server.api.post(f"/tables/{table}/copies", json=body)
        assert (answer.status_code, answer.json()["errors"][0]["at"]) == (422, at)
    if surface.kind in {"cli", "client"}:
        with pytest.raises(Failed, match="There is no connection called nowhere"):
            copied(surface, f"{connection}.things", "nowhere")
