"""Buckets of Google Cloud Storage as destinations: what cannot be right is told, and so is where the guard stands."""

from __future__ import annotations

import json

import pytest

from destination_fires import made
from world import ok, wait_for_import


@pytest.fixture
def store(google_store):
    return google_store


def test_an_address_that_the_guard_refuses_cannot_be_made_nor_reached(world, google_store):
    server = world.serve()  # the store's port is not listed
    public = google_store.account("list", token_uri="https://oauth2.googleapis.com/token")
    for endpoint in (
        google_store.endpoint,
        "https://10.1.2.3",
        "http://storage.example.com",
        "https://169.254.169.254",
    ):
        refused = server.api.post("/destinations", json=google_store.settings(endpoint=endpoint, password=public))
        problem = refused.json()["errors"][0]
        assert (refused.status_code, refused.json()["message_code"], problem["at"]) == (422, "E-BLOCKED", "endpoint")
    # Where the key file sends the assertion is looked at like the store itself.
    for token_uri in ("http://169.254.169.254/token", google_store.endpoint):
        inside = google_store.account("list", token_uri=token_uri)
        refused = server.api.post("/destinations", json=google_store.settings(endpoint=None, password=inside))
        problem = refused.json()["errors"][0]
        assert (refused.status_code, refused.json()["message_code"], problem["at"]) == (422, "E-BLOCKED", "password")
    # A name passes until it is looked up; where it leads is what counts.
    named = google_store.account("list", token_uri="https://localhost.localdomain.invalid/token")
    there = made(server, google_store, endpoint=None, password=named)
    answer = server.api.post(f"/destinations/{there['id']}/test")
    assert (answer.status_code, "localhost.localdomain.invalid" in answer.text) == (409, True), answer.text


def test_what_cannot_be_right_is_told_at_its_field(server, google_store):
    account = json.loads(google_store.secret)
    for changes, at in (
        ({"url": "s3://bucket"}, "url"),
        ({"url": "gs://"}, "url"),
        ({"url": "gs://bucket/../up"}, "url"),
        ({"endpoint": "https://storage.googleapis.com/bucket"}, "endpoint"),
        ({"region": "europe-west3"}, "region"),
        ({"access_key_id": "AKIA"}, "access_key_id"),
        ({"schema": "public"}, "schema"),
        ({"password": ""}, "password"),
        ({"password": "a secret access key"}, "password"),
        ({"password": "[]"}, "password"),
        ({"password": json.dumps({**account, "type": "external_account"})}, "password"),
        ({"password": json.dumps({**account, "private_key": None})}, "password"),
        ({"password": json.dumps({**account, "x": "x" * 9000})}, "password"),
    ):
        answer = server.api.post("/destinations", json=google_store.settings(**changes))
        assert answer.status_code == 422, (changes, answer.text)
        assert at in [problem["at"] for problem in answer.json()["errors"]], (changes, answer.text)
        assert not [secret for secret in google_store.secrets() if secret in answer.text]


def test_the_key_file_stays_until_the_endpoint_changes(server, google_store):
    route = f"/destinations/{made(server, google_store)['id']}"
    assert ok(server.api.patch(route, json={"name": "Sea", "url": "gs://other-bucket"}))["has_password"]
    assert server.api.patch(route, json={"endpoint": "https://storage.example.com"}).status_code == 422
    assert server.api.patch(route, json={"password": "word"}).status_code == 422


def test_a_role_that_lacks_something_ends_the_import_before_a_page_is_read(google_store, server, table):
    there = made(server, google_store, password=google_store.account("get", "create"))["id"]
    where = {"type": "csv", "url": "orders.csv", "destination_id": there}
    ended = wait_for_import(
        server, ok(server.api.post("/imports", json={"table_id": table, "destination": where}))["id"]
    )
    assert (ended["status"], ended["pages"]) == ("failed", 0)
    assert "(storage.objects.list). It needs the role Storage Object User" in ended["error"]["message"]


def test_a_key_file_is_taken_from_a_file_or_from_stdin(server, google_store, terminal, tmp_path):
    from world import TOKEN

    terminal.environment = {"KEYTURN_URL": server.url, "KEYTURN_TOKEN": TOKEN}
    (tmp_path / "key.json").write_text(google_store.secret)
    url = google_store.settings()["url"]
    terminal.run(
        "destinations",
        "add",
        "Lake",
        url,
        "--endpoint",
        google_store.endpoint,
        "--key-file",
        str(tmp_path / "key.json"),
    )
    assert "It takes objects" in terminal.run("destinations", "test", "Lake")
    assert "cannot be read" in terminal.run(
        "destinations", "edit", "Lake", "--key-file", str(tmp_path / "no.json"), code=2
    )
    terminal.run("destinations", "edit", "Lake", "--password-stdin", typed=google_store.secret)
    assert "It takes objects" in terminal.run("destinations", "test", "Lake")
