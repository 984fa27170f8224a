"""About how much an import will be: known from samples and reads, told by API, client, command line and dialog."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

import keyturn
from pages import Person
from world import TOKEN


@pytest.fixture
def orders(world, steps):
    server = world.serve()
    connection = steps.connect(world, server, steps.register(world, server))
    body = {"connection_id": connection["id"], "name": "orders", "path": "/orders"}
    return server, connection, steps.ok(server.api.post("/tables", json=body))["id"]


@contextmanager
def person(server) -> Iterator[Person]:
    found = Person(server.url)
    with closing(found.http):
        yield found


def of(server, table_id: str) -> dict:
    return server.api.get(f"/tables/{table_id}/estimate").json()


def test_an_estimate_follows_from_what_was_seen_last_and_is_forgotten_with_it(orders, steps):
    server, connection, table_id = orders
    assert of(server, table_id) == {"sentence": "About 13 requests.", "requests": 13, "seconds": None, "rows": 1234,
                                    "limited_by": None, "calls": None}  # fmt: skip
    # A short sample knows how long a page is.
    assert len(server.api.get(f"/tables/{table_id}/preview", params={"limit": 5}).json()["rows"]) == 5
    found = of(server, table_id)
    assert found["requests"] == 13
    assert found["sentence"].endswith("at the pace of the sample.")
    steps.ok(server.api.patch(f"/connections/{connection['id']}", json={"requests_per_second": 0.05}))
    found = of(server, table_id)
    assert (
        found["sentence"] == "About 13 requests, 4 minutes 20 seconds at the limit of 0.05 a second that is set here."
    )
    assert (found["limited_by"], found["seconds"]) == ("own_limit", 260.0)
    steps.ok(server.api.patch(f"/connections/{connection['id']}", json={"requests_per_second": None}))
    server.api.get(f"/tables/{table_id}/rows")
    assert of(server, table_id)["sentence"].endswith("at the pace of the last read.")
    # A read of a few rows is no read of the table.
    server.api.get(f"/tables/{table_id}/rows", params={"limit": 3})
    assert of(server, table_id)["requests"] == 13
    steps.ok(server.api.patch(f"/tables/{table_id}", json={"name": "all_orders"}))
    assert of(server, table_id)["requests"] == 13
    steps.ok(server.api.patch(f"/tables/{table_id}", json={"path": "/customers"}))
    assert "open the table to read its sample" in of(server, table_id)["sentence"]


def test_the_same_sentence_stands_in_dialogs_terminal_and_client(orders, terminal):
    server, _, table_id = orders
    told = "About 13 requests."
    with keyturn.connect(server.url, token=TOKEN) as ws:
        found = ws.table("acme.orders").estimate()
        assert (str(found), found.requests, found.rows, found.seconds) == (told, 13, 1234, None)
    terminal.run("login", server.url, "--token-stdin", typed=TOKEN + "\n")
    assert terminal.run("import", "acme.orders", "--estimate") == f"{told}\n"
    assert '"requests": 13' in terminal.run("import", "acme.orders", "--estimate", "--json")
    assert server.api.get("/imports").json()["data"] == []
    with person(server) as ana:
        for dialog in ("import", "schedule"):
            assert f"Estimate{told}" in ana.open(f"/tables/{table_id}/{dialog}").root.text


def test_a_table_that_is_read_for_each_row_of_another_counts_its_calls(orders, steps):
    server, connection, orders_id = orders
    body = {"connection_id": connection["id"], "name": "of_order", "path": "/orders", "query": {"limit": "{{order}}"},
            "rows_path": "$.data", "pagination": {"type": "none"},
            "parent": {"table": "orders", "values": {"order": "id"}}}  # fmt: skip
    table_id = steps.ok(server.api.post("/tables", json=body))["id"]
    found = of(server, table_id)
    assert (found["calls"], found["requests"]) == (1234, 1247)
    with person(server) as ana:
        assert "Run once per row of orders: /orders. About 1,234 calls." in ana.open(f"/tables/{table_id}").root.text
    steps.ok(server.api.patch(f"/tables/{orders_id}", json={"pagination": {"max_pages": 2}}))
    server.api.get(f"/tables/{orders_id}/rows")
    short = "orders is Incomplete, so this will be too."
    assert of(server, table_id)["sentence"].endswith(short)
    with person(server) as ana:
        for page in ("", "/import", "/schedule"):
            assert short in ana.open(f"/tables/{table_id}{page}").root.text
