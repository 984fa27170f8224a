"""Stretches of a table read side by side are the table: no row twice, none missing."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest

import keyturn
from world import TOKEN


@pytest.fixture
def shop(world, steps):
    server = world.serve()
    connection = steps.connect(world, server, steps.register(world, server))

    def table(path):
        body = {"connection_id": connection["id"], "name": path.strip("/").replace("-", "_"), "path": path}
        return steps.ok(server.api.post("/tables", json=body))

    return server, table


def lines(server, table, **asked):
    body = server.api.get(f"/tables/{table['id']}/rows", params={"format": "ndjson", **asked})
    assert body.status_code == 200, body.text
    *rows, stamp = map(json.loads, body.text.splitlines())
    return rows, stamp["$completeness"]


@pytest.mark.parametrize(("path", "kind"), [("/products", "offset"), ("/order_items", "page_number")])
def test_partitions_side_by_side_are_the_whole_table(shop, path, kind):
    server, make = shop
    table = make(path)
    assert table["pagination"]["type"] == kind
    whole, stamp = lines(server, table)
    parts = server.api.get(f"/tables/{table['id']}/partitions", params={"at_most": 4}).json()["data"]
    assert 1 < len(parts) <= 4
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(lambda part: lines(server, table, partition=part["id"]), parts))
    assert [row for rows, _ in read for row in rows] == whole
    assert [found["rows"] for _, found in read] == [len(rows) for rows, _ in read]
    assert sum(found["pages"] for _, found in read) == stamp["pages"]
    assert [found["complete"] for _, found in read[:-1]] == [None] * (len(parts) - 1)
    assert all(found["truncated"] for _, found in read[:-1])
    assert (read[-1][1]["complete"], read[-1][1]["truncated"]) == (True, False)


def test_a_table_whose_pages_only_name_the_next_is_one_partition(shop):
    server, make = shop
    table = make("/orders")
    assert [part["id"] for part in server.api.get(f"/tables/{table['id']}/partitions").json()["data"]] == ["all"]
    assert lines(server, table, partition="all")[1]["complete"] is True
    assert server.api.get(f"/tables/{table['id']}/rows", params={"partition": "2-3x100"}).status_code == 422


@pytest.mark.parametrize("partition", ["", "x", "0-1x10", "3-2x10", "1-2x0", "2-end", "1-2x9999999999", "-1-endx10"])
def test_what_is_no_partition_is_refused(shop, partition):
    server, make = shop
    answer = server.api.get(f"/tables/{make('/products')['id']}/rows", params={"partition": partition})
    assert (answer.status_code, answer.json()["errors"][0]["at"]) == (422, "partition")


def test_the_client_reads_some_columns_of_each_partition(shop):
    server, make = shop
    make("/products")
    with keyturn.connect(server.url, TOKEN) as ws:
        products = ws.table("acme.products")
        parts = [products.read(partition=part, columns=["sku"]).to_arrow() for part in products.partitions(3)]
        whole = products.read(columns=["sku"]).to_arrow()
    assert len(parts) == 3
    assert pa.concat_tables(parts).equals(whole)
    refused = server.api.get(f"/tables/{products.id}/rows", params={"partition": "all", "limit": 5})
    assert refused.status_code == 422
