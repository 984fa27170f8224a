"""A server that is killed in the middle of an import, which then goes on by itself, over API, command line, client and pages."""

from __future__ import annotations

import threading
import time
from collections import Counter

import pyarrow.parquet as pq
import pytest

from world import World

PAGES = 100


@pytest.fixture
def own_world(tmp_path_factory, rest_api):
    """A deployment of this test's own, which reads the API of all."""

    class End:
        port = int(rest_api.url.rpartition(":")[2])

    made = World(tmp_path_factory.mktemp("killed"), End())
    yield made
    made.close()


def test_row9_an_import_whose_server_is_killed_goes_on_from_its_last_page_without_a_row_twice(
    surface_at, own_world, api
):
    half, killed, asked_for = threading.Event(), threading.Event(), Counter()

    def things(asked):
        page = int(asked["query"].get("p", 1))
        asked_for[page] += 1
        if page == PAGES // 2 and not half.is_set():
            half.set()
            killed.wait(60)
        onward = {"next": f"?p={page + 1}"} if page < PAGES else {}
        return {"data": [{"id": page * 2}, {"id": page * 2 + 1}], **onward}

    api.on("things", things)
    server = own_world.serve()
    surface = surface_at(server)
    body = {"name": "acme", "base_url": api.url, "auth": {"type": "none"}, "access": "only_me"}
    assert server.api.post("/connections", json=body).status_code == 201
    paging = {"type": "next_url", "next_url_path": "$.next"}
    surface.create("acme", "things", path="/things", rows_path="$.data", pagination=paging)
    import_id = surface.begin("acme.things", "things.parquet")
    assert half.wait(60)
    # What came since the last landing would be asked for again; here all but the page under way lie safe on the disk.
    while surface.shown(import_id)["pages"] < PAGES // 2 - 1:
        time.sleep(0.05)
    server.kill()
    killed.set()
    again = surface_at(own_world.serve())
    item = again.ended(import_id)
    assert (item["status"], item["rows"], item["completeness"]["complete"]) == ("complete", 2 * PAGES, True)
    assert item["completeness"]["pages"] == PAGES
    [path] = (own_world.tmp_path / "data" / "files").rglob("things.parquet")
    assert pq.read_table(path).column("id").to_pylist() == list(range(2, 2 * PAGES + 2))
    assert sum(asked_for.values()) - PAGES < 0.05 * PAGES, asked_for
