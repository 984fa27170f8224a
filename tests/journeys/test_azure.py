"""Containers of Azure Blob Storage as destinations: what cannot be right is told, and so is where the guard stands."""

from __future__ import annotations

import pytest

from azure_store import ACCOUNT, ALL, a_key
from destination_fires import made
from world import TOKEN, ok, wait_for_import


@pytest.fixture
def store(azure_store):
    return azure_store


def test_an_address_that_the_guard_refuses_cannot_be_made_nor_reached(world, store):
    server = world.serve()  # the store's port is not listed
    for endpoint in (store.endpoint, "https://10.1.2.3", "http://blobs.example.com", "https://169.254.169.254"):
        refused = server.api.post("/destinations", json=store.settings(endpoint=endpoint))
        problem = refused.json()["errors"][0]
        assert (refused.status_code, refused.json()["message_code"], problem["at"]) == (422, "E-BLOCKED", "endpoint")
        assert not [secret for secret in store.secrets() if secret in refused.text]
    # A name passes until it is looked up; where it leads is what counts.
    named = made(server, store, endpoint="https://localhost.localdomain.invalid")
    answer = server.api.post(f"/destinations/{named['id']}/test")
    assert (answer.status_code, "localhost.localdomain.invalid" in answer.text) == (409, True), answer.text


def test_what_cannot_be_right_is_told_at_its_field(server, store):
    connection_string = f"DefaultEndpointsProtocol=https;AccountName={ACCOUNT};AccountKey={store.key}"
    for changes, at in (
        ({"url": "s3://bucket"}, "url"),
        ({"url": "az://"}, "url"),
        ({"url": "az://Lake"}, "url"),
        ({"url": "az://lake--two"}, "url"),
        ({"url": "az://lake/../up"}, "url"),
        ({"url": f"az://lake?{store.secret}"}, "url"),
        ({"endpoint": f"https://other.blob.core.windows.net?{store.secret}"}, "endpoint"),
        ({"endpoint": "https://other.blob.core.windows.net"}, "endpoint"),
        ({"endpoint": "https://blobs.example.com/other"}, "endpoint"),
        ({"account": ""}, "account"),
        ({"account": "Acme-Lake"}, "account"),
        ({"region": "westeurope"}, "region"),
        ({"access_key_id": "AKIA"}, "access_key_id"),
        ({"schema": "public"}, "schema"),
        ({"password": ""}, "password"),
        ({"password": "hunter2"}, "password"),
        ({"password": connection_string}, "password"),
        ({"password": f"https://acmelake.blob.core.windows.net/?{store.secret}"}, "password"),
        ({"password": store.sas(*ALL, minutes=-5)}, "password"),
    ):
        answer = server.api.post("/destinations", json=store.settings(**changes))
        assert answer.status_code == 422, (changes, answer.text)
        assert at in [problem["at"] for problem in answer.json()["errors"]], (changes, answer.text)
        assert not [secret for secret in store.secrets() if secret in answer.text]


def test_the_secret_stays_until_the_account_or_its_endpoint_changes(server, store):
    route = f"/destinations/{made(server, store)['id']}"
    assert ok(server.api.patch(route, json={"name": "Sea", "url": "az://other-container"}))["has_password"]
    for changes in ({"endpoint": "https://blobs.example.com"}, {"endpoint": None, "account": "otherlake"}):
        refused = server.api.patch(route, json=changes)
        assert (refused.status_code, refused.json()["errors"][0]["at"]) == (422, "password"), changes
    assert server.api.patch(route, json={"password": "word"}).status_code == 422


@pytest.mark.parametrize("secret", ["key", "token of the container"])
def test_either_secret_takes_a_table_there(server, store, table, secret):
    password = store.key if secret == "key" else store.sas_of_the_container()
    there = made(server, store, password=password)["id"]
    assert ok(server.api.post(f"/destinations/{there}/test"))["ok"]
    for url, more in (("day 1/größe.csv", {}), ("folder", {"partition_by": ["status"]})):
        kind = "parquet" if more else "csv"
        where = {"type": kind, "url": url, "destination_id": there, **more}
        ended = wait_for_import(
            server, ok(server.api.post("/imports", json={"table_id": table, "destination": where}))["id"]
        )
        assert ended["status"] == "complete", ended
    assert "tables/day 1/größe.csv" in {*store.keys()}
    assert password not in server.log


def test_a_token_that_lacks_something_ends_the_import_before_a_page_is_read(server, store, table):
    for password, words in (
        (store.sas(*(ALL - {"list"})), "It needs the permissions Read, Create, Write and List"),
        (a_key(), f"That is not a key of {ACCOUNT}"),
    ):
        there = made(server, store, password=password, name=f"Lake {len(words)}")["id"]
        where = {"type": "csv", "url": f"{len(words)}.csv", "destination_id": there}
        ended = wait_for_import(
            server, ok(server.api.post("/imports", json={"table_id": table, "destination": where}))["id"]
        )
        assert (ended["status"], ended["pages"]) == ("failed", 0)
        assert words in ended["error"]["message"]


def test_a_token_is_taken_from_stdin(server, store, terminal):
    terminal.environment = {"KEYTURN_URL": server.url, "KEYTURN_TOKEN": TOKEN}
    url = store.settings()["url"]
    terminal.run("destinations", "add", "Lake", url, *store.options, "--password-stdin", typed=f"?{store.secret}\n")
    assert "It takes objects" in terminal.run("destinations", "test", "Lake")
    terminal.run("destinations", "edit", "Lake", "--password-stdin", typed=store.key)
    assert "It takes objects" in terminal.run("destinations", "test", "Lake")
