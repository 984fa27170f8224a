"""An import that was stopped goes on behind its last safe page: by a person, by the disk, by the end system."""

from __future__ import annotations

import json
import resource
import time
from collections import Counter

import pyarrow.parquet as pq
import pytest

from crashes import PAGES, Fire


@pytest.fixture
def fire(world):
    """One server; `ask` asks for an import of 103 pages whose end system waits 2 s at a moment of our choosing."""
    made = Fire(world, None)
    made.connection = made.begin()
    return made


def until(fire, import_id: str, statuses: set[str], seconds: float = 30) -> dict:
    deadline = time.monotonic() + seconds
    while (item := fire.state(import_id))["status"] not in statuses:
        assert time.monotonic() < deadline, item
        time.sleep(0.05)
    return item


def held_up(fire, pages: int = 8) -> str:
    """An import that waits for the end system after some pages."""
    import_id = fire.ask(fire.connection, 1)
    deadline = time.monotonic() + 30
    while fire.asked["1"] < pages:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    fire.world.end_system.demo.faults.api_429s = 3
    item = until(fire, import_id, {"waiting"})
    assert item["waiting"]["kind"] == "rate_limit"
    return import_id


def file_of(fire) -> list[int]:
    path = next((fire.world.tmp_path / "data" / "files").iterdir()) / "1.parquet"
    return pq.read_table(path, columns=["id"]).column("id").to_pylist()


def leftovers(fire) -> list[str]:
    return [path.name for path in (fire.world.tmp_path / "data" / "files").rglob(".part-*")]


def test_a_cancelled_import_goes_on_where_it_was(fire, steps):
    api = fire.servers[0].api
    import_id = held_up(fire)
    steps.ok(api.post(f"/imports/{import_id}/cancel"))
    item = until(fire, import_id, {"cancelled"}, seconds=8)
    fire.world.end_system.demo.faults.api_429s = 0
    assert item["resumes_at_page"] == item["pages"] + 1 > 1
    assert leftovers(fire) == [f".part-{import_id}"]
    assert api.post(f"/imports/{import_id}/cancel").status_code == 409
    asked = fire.asked["1"]
    steps.ok(api.post(f"/imports/{import_id}/resume"))
    assert until(fire, import_id, {"complete"})["completeness"]["rows"] == 1234
    assert fire.asked["1"] - asked == PAGES - item["pages"]
    assert file_of(fire) == list(range(1, 1235))
    assert leftovers(fire) == []
    assert api.post(f"/imports/{import_id}/resume").status_code == 409


def test_an_import_whose_sign_in_ended_goes_on_after_the_reconnect(fire, steps):
    api = fire.servers[0].api
    import_id = held_up(fire)
    demo = fire.world.end_system.demo
    demo.revoke_grants()
    demo.faults.api_429s = 0
    item = until(fire, import_id, {"failed"})
    assert item["error"]["code"] == "reconnect_needed"
    begun = steps.ok(api.post(f"/connections/{fire.connection['id']}/authorizations"))
    steps.sign_in(begun["start_url"])
    steps.ok(api.post(f"/imports/{import_id}/resume"))
    assert until(fire, import_id, {"complete"})["completeness"]["rows"] == 1234
    assert file_of(fire) == list(range(1, 1235))


def test_an_import_resumed_after_its_table_changed_begins_anew(fire, steps):
    api = fire.servers[0].api
    import_id = held_up(fire)
    steps.ok(api.post(f"/imports/{import_id}/cancel"))
    item = until(fire, import_id, {"cancelled"}, seconds=8)
    fire.world.end_system.demo.faults.api_429s = 0
    steps.ok(api.patch(f"/tables/{item['table_id']}", json={"path": "/order_items", "rows_path": "$.items"}))
    steps.ok(api.post(f"/imports/{import_id}/resume"))
    ended = until(fire, import_id, {"complete", "incomplete", "failed"})
    assert ended["pages"] == 1, ended  # other rows altogether, and nothing of the old ones among them
    assert "read anew" not in str(ended["error"])


def test_a_full_disk_is_waited_for(world, postgres_url, steps):
    fire = Fire(world, postgres_url)
    fire.connection = fire.begin()
    import_id = held_up(fire)
    process = fire.servers[0].process.pid
    _, hard = resource.prlimit(process, resource.RLIMIT_FSIZE)
    resource.prlimit(process, resource.RLIMIT_FSIZE, (0, hard))
    fire.world.end_system.demo.faults.api_429s = 0
    deadline = time.monotonic() + 30
    while ((item := fire.state(import_id))["waiting"] or {}).get("kind") != "destination":
        assert time.monotonic() < deadline, item
        time.sleep(0.05)
    assert item["pages"] > 0
    assert item["label"] == "Waiting (destination)"
    resource.prlimit(process, resource.RLIMIT_FSIZE, (hard, hard))
    assert until(fire, import_id, {"complete"})["completeness"]["rows"] == 1234
    assert file_of(fire) == list(range(1, 1235))
    # Its pages were kept in hand.
    assert fire.world.end_system.served.total() == PAGES


def test_an_end_system_in_trouble_is_waited_for(fire):
    import_id = held_up(fire)
    demo = fire.world.end_system.demo
    demo.faults.api_429s, demo.faults.api_500s = 0, 7
    ended = until(fire, import_id, {"complete"}, seconds=60)
    assert (ended["completeness"]["rows"], Counter(file_of(fire)).most_common(1)[0][1]) == (1234, 1)


def rejecting(fire, times: int) -> list[int]:
    """The end system takes back every token just as it is asked with it, so many times from now; counts those to come."""
    demo, left = fire.world.end_system.demo, [times]
    log = demo.log_api_request

    def taking_back(path: str, query: str) -> None:
        if left[0] > 0:
            left[0] -= 1
            demo.expire_access_tokens()
        log(path, query)

    demo.log_api_request = taking_back
    return left


def test_a_new_token_that_is_rejected_at_the_first_page_is_waited_for(fire):
    # The token and the one that was renewed for it, twice: then the third that was renewed is good.
    rejecting(fire, 4)
    ended = until(fire, fire.ask(fire.connection, 1), {"complete", "failed"}, seconds=60)
    assert (ended["status"], ended["error"]) == ("complete", None)
    assert file_of(fire) == list(range(1, 1235))


def test_an_endpoint_that_takes_no_token_fails_soon_and_clearly(fire):
    left = rejecting(fire, 1000)
    item = until(fire, fire.ask(fire.connection, 1), {"waiting", "failed"})
    assert item["waiting"]["kind"] == "end_system"
    ended = until(fire, item["id"], {"failed"}, seconds=60)
    assert ended["error"]["message_code"] == "E-REJECTED"
    assert "/orders" in ended["error"]["message"]
    # Three attempts of two requests each at most: nobody burns the refresh tokens of an account that may not read.
    assert left[0] >= 1000 - 6


def test_a_new_token_that_is_rejected_behind_a_safe_page_is_waited_for(fire):
    import_id = held_up(fire)
    rejecting(fire, 2)
    fire.world.end_system.demo.faults.api_429s = 0
    ended = until(fire, import_id, {"complete", "failed"}, seconds=60)
    assert (ended["status"], ended["error"]) == ("complete", None)
    assert file_of(fire) == list(range(1, 1235))
    assert fire.world.end_system.served.total() < PAGES + 10


def test_progress_comes_as_events_and_ends_with_the_import(fire):
    import_id = held_up(fire)
    fire.world.end_system.demo.faults.api_429s = 0
    names, last = [], ""
    with fire.servers[0].api.stream("GET", f"/imports/{import_id}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line.startswith("event: "):
                names.append(line.removeprefix("event: "))
            elif line.startswith("data: "):
                last = line.removeprefix("data: ")
    assert (names[0], names[-1], names.count("ended")) == ("progress", "ended", 1)
    assert json.loads(last)["completeness"]["rows"] == 1234
    assert fire.servers[0].api.get("/imports/im_nothing/events").status_code == 404
