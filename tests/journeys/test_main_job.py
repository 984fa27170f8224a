"""The README's story over the HTTP API alone, with real processes, on both databases."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_an_endpoint_comes_out_as_a_typed_table_in_a_parquet_file(world, steps, request, kind):
    database_url = request.getfixturevalue("postgres_url") if kind == "postgresql" else None
    server = world.serve(database_url=database_url)
    client = steps.register(world, server)
    assert "client_secret" not in client
    check = steps.ok(server.api.post(f"/oauth-clients/{client['id']}/check"))
    assert check["verdict"] == "accepted"
    connection = steps.connect(world, server, client)
    assert (connection["status"], connection["account"], connection["generation"]) == ("healthy", "jane@demo", 1)

    table = steps.ok(
        server.api.post("/tables", json={"connection_id": connection["id"], "name": "orders", "path": "/orders"})
    )
    assert table["rows_path"] == "$.data"
    assert table["pagination"] == {"type": "next_url", "next_url_path": "$.paging.next", "max_pages": None}
    sample = steps.ok(server.api.get(f"/tables/{table['id']}/preview?limit=5"))
    assert (len(sample["rows"]), sample["truncated"], sample["reported_total"]) == (5, True, 1234)

    body = {"table_id": table["id"], "destination": {"type": "parquet", "url": "orders.parquet"}, "mode": "replace"}
    begun = server.api.post("/imports", json=body)
    assert begun.status_code == 202
    item = steps.wait_for_import(server, begun.json()["id"])
    assert item["status"] == "complete", item
    stamp = item["completeness"]
    assert (stamp["rows"], stamp["pages"], stamp["reported_total"]) == (1234, 13, 1234)
    assert (stamp["stop_reason"], stamp["complete"]) == ("no_next", True)
    files = steps.ok(server.api.get(f"/imports/{item['id']}/files"))["data"]
    content = server.api.get(f"/imports/{item['id']}/files/{files[0]['name']}").content
    found = pq.read_table(io.BytesIO(content))
    assert found.num_rows == 1234
    assert found.column("id").to_pylist() == list(range(1, 1235))
    assert found.schema.field("external_ref").type == pa.int64()
    assert found.column("external_ref")[0].as_py() == 9_007_199_254_740_994
    assert found.column("legacy_code")[0].as_py() == "0000001"
    assert found.schema.field("placed_at").type == pa.timestamp("us", tz="UTC")
    assert "customer.name" in found.column_names
    assert json.loads(pq.read_metadata(io.BytesIO(content)).metadata[b"keyturn.completeness"])["complete"] is True


def test_rows_stream_in_four_formats_with_the_stamp(world, steps):
    server = world.serve()
    connection = steps.connect(world, server, steps.register(world, server))
    for name in ("orders", "customers", "order_items", "products", "events", "countries"):
        world.end_system.demo.faults.rate_limit = False
        body = {"connection_id": connection["id"], "name": name, "path": f"/{name}"}
        table = steps.ok(server.api.post("/tables", json=body))
        answer = server.api.get(f"/tables/{table['id']}/rows?format=arrow")
        batches = []
        reader = pa.ipc.open_stream(answer.content)
        metadata = None
        while True:
            try:
                batch, metadata = reader.read_next_batch_with_custom_metadata()
            except StopIteration:
                break
            batches.append(batch)
        stamp = json.loads(metadata["keyturn.completeness"])
        assert sum(batch.num_rows for batch in batches) == stamp["rows"], name
        assert stamp["complete"] is not False, (name, stamp, table["pagination"])
        lines = server.api.get(f"/tables/{table['id']}/rows?format=ndjson").text.splitlines()
        assert json.loads(lines[-1])["$completeness"]["rows"] == len(lines) - 1 == stamp["rows"]
        csv_answer = server.api.get(f"/tables/{table['id']}/rows?format=csv")
        read = steps.ok(server.api.get(f"/reads/{csv_answer.headers['keyturn-read-id']}"))
        assert read["completeness"]["rows"] == stamp["rows"]
        file = pq.read_table(io.BytesIO(server.api.get(f"/tables/{table['id']}/rows?format=parquet").content))
        assert file.num_rows == stamp["rows"]


def test_f8_an_expired_token_is_renewed_without_anybody_noticing(world, steps):
    server = world.serve()
    connection = steps.connect(world, server, steps.register(world, server))
    world.end_system.demo.expire_access_tokens()
    answer = server.api.get(f"/connections/{connection['id']}/proxy/products?limit=2")
    assert answer.status_code == 200
    assert len(answer.json()["results"]) == 2
    assert steps.ok(server.api.get(f"/connections/{connection['id']}"))["generation"] == 2


def test_f7_revoked_access_says_who_must_reconnect_and_where(world, steps):
    server = world.serve()
    connection = steps.connect(world, server, steps.register(world, server))
    world.end_system.demo.revoke_grants()
    answer = server.api.get(f"/connections/{connection['id']}/proxy/products")
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["message_code"]) == (409, "reconnect_needed", "E-GRANT")
    assert problem["reconnect_url"] == f"{server.url}/connections/{connection['id']}"
    assert steps.ok(server.api.get(f"/connections/{connection['id']}"))["status"] == "reconnect_needed"


def test_h1_disconnecting_revokes_at_the_end_system(world, steps):
    server = world.serve()
    connection = steps.connect(world, server, steps.register(world, server))
    answer = steps.ok(server.api.post(f"/connections/{connection['id']}/disconnect", json={"revoke": True}))
    assert answer["revocation"] == "revoked"
    assert answer["connection"]["status"] == "not_connected"
    assert all(grant.revoked for grant in world.end_system.demo.grants.values())


def test_a_second_process_on_the_same_folder_says_so_and_exits_1(world, steps):
    world.serve()
    environment = {"KEYTURN_DATA_DIR": str(world.tmp_path / "data"), "PATH": "/usr/bin:/bin"}
    again = subprocess.run(
        [sys.executable, "-m", "keyturn.main", "serve"], env=environment, capture_output=True, text=True, timeout=60
    )
    assert again.returncode == 1
    assert "SQLite serves one process" in again.stderr


def test_p4_what_was_made_is_there_after_a_kill_and_a_lost_key_refuses_to_start(world, steps):
    server = world.serve()
    connection = steps.connect(world, server, steps.register(world, server))
    server.kill()
    again = world.serve()
    assert again.api.get(f"/connections/{connection['id']}/proxy/products?limit=1").status_code == 200
    again.stop()
    (world.tmp_path / "data" / "key").unlink()
    environment = {"KEYTURN_DATA_DIR": str(world.tmp_path / "data"), "PATH": "/usr/bin:/bin"}
    refused = subprocess.run(
        [sys.executable, "-m", "keyturn.main", "serve"], env=environment, capture_output=True, text=True, timeout=60
    )
    assert refused.returncode == 1
    assert "E-KEY" in refused.stderr
    assert not (world.tmp_path / "data" / "key").exists()


def test_f2_twenty_reads_through_two_processes_make_one_token_request(world, steps, postgres_url):
    import concurrent.futures

    key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
    one = world.serve(database_url=postgres_url, KEYTURN_ENCRYPTION_KEY=key)
    two = world.serve(database_url=postgres_url, KEYTURN_ENCRYPTION_KEY=key, data="data2", public=one.url)
    connection = steps.connect(world, one, steps.register(world, one))
    world.end_system.demo.expire_access_tokens()
    world.end_system.demo.faults.token_delay_seconds = 0.5
    before = len(world.end_system.demo.token_requests)

    def read(number: int) -> int:
        server = (one, two)[number % 2]
        return server.api.get(f"/connections/{connection['id']}/proxy/products?limit=1").status_code

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(read, range(20)))
    assert statuses == [200] * 20
    requests = world.end_system.demo.token_requests[before:]
    assert [(r["grant_type"], r["outcome"]) for r in requests] == [("refresh_token", "ok")]


def test_the_demo_command_reaches_the_stamp_and_exits_0(tmp_path, free_ports):
    command = [sys.executable, "-m", "keyturn.main", "demo", "--once", "--data", str(tmp_path / "demo")]
    command += ["--port", str(free_ports[0]), "--end-system-port", str(free_ports[1])]
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, timeout=90)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "✓ Complete: 1,234 of 1,234 rows, 13 pages" in done.stdout
