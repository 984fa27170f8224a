"""Secrets that tables name: put in at the last moment, for their own hosts alone, and seen nowhere else."""

from __future__ import annotations

import json
from urllib.parse import quote, urlsplit

import pytest
from starlette.responses import JSONResponse

import keyturn
from keyturn.client.config import parse
from surfaces import Failed
from world import TOKEN

# A bird of its own: other tests of the same server leave canaries in its files, where their settings had them.
CANARY = 'goldfinch/7f3&k=9 "q"'
NONE = {"rows_path": "$", "pagination": {"type": "none"}}


@pytest.fixture
def host(api):
    return urlsplit(api.url).netloc


@pytest.fixture
def ws(reading_server):
    with keyturn.connect(reading_server.url, TOKEN) as found:
        yield found
        for secret in found.secrets:
            for table in list(found.tables):
                if f"secret:{secret['name']}" in json.dumps(table.settings):
                    table.delete()
            found.secrets.delete(secret["name"])


def test_row1_a_secret_goes_into_parameters_headers_and_body_and_is_shown_by_its_name(
    surface, connection, api, ws, host, reading_server, monkeypatch
):
    if surface.kind == "cli":
        monkeypatch.setenv("KEYTURN_SECRET_VALUE", CANARY)
        said = surface.run("secrets", "set", "KEY", "--host", host)
    elif surface.kind == "client":
        said = ws.secrets.put("KEY", CANARY, allowed_hosts=[host])
    elif surface.kind == "page":
        said = surface.save_secret("KEY", CANARY, host)
    else:
        body = {"value": CANARY, "allowed_hosts": [host]}
        said = reading_server.api.put("/secrets/KEY", json=body).json()
    assert (said["name"], said["allowed_hosts"], CANARY in str(said)) == ("KEY", [host], False)

    def things(asked):
        body = json.loads(asked["body"])
        after = {"next": "b"} if "cursor" not in body else {}
        return JSONResponse(
            {"data": [{"id": len(api.asked), "said": asked["headers"]["x-key"]}], "echo": body, **after}
        )

    api.on("things", things)
    paging = {"type": "cursor", "cursor_path": "$.next", "cursor_param": "cursor", "cursor_in": "body"}
    made = surface.create(connection, "things", method="POST", path="/things", rows_path="$.data", pagination=paging,
                          query={"key": "{{secret:KEY}}"}, headers={"X-Key": "k {{ secret:KEY }}"},
                          body={"auth": {"key": "{{secret:KEY}}"}})  # fmt: skip
    rows, stamp = surface.read(f"{connection}.things")
    assert (stamp["pages"], stamp["complete"]) == (2, True)
    for asked in api.asked:
        assert asked["query"]["key"] == CANARY
        assert asked["headers"]["x-key"] == f"k {CANARY}"
        assert json.loads(asked["body"])["auth"] == {"key": CANARY}
    assert [json.loads(asked["body"]).get("cursor") for asked in api.asked] == [None, "b"]
    preview = surface.preview(f"{connection}.things")
    for seen in (made, rows, preview, list(ws.audit), reading_server.log, list(ws.secrets)):
        assert CANARY not in str(seen)
        assert "goldfinch" not in str(seen)


def test_row1_a_secret_is_sent_to_its_own_hosts_alone_also_by_redirects_and_next_links(
    connection, api, ws, host, surface
):
    ws.secrets.put("KEY", CANARY, allowed_hosts=["elsewhere.example"])
    with pytest.raises(Failed, match="may not be sent to"):
        surface.create(connection, "things", path="/things", headers={"X-Key": "{{secret:KEY}}"}, **NONE)
    ws.secrets.put("KEY", CANARY, allowed_hosts=[host])
    api.on("things", lambda _: JSONResponse([], 302, headers={"Location": "/onward"}))
    api.on("onward", [{"id": 1}])
    surface.create(connection, "things", path="/things", headers={"X-Key": "{{secret:KEY}}"}, **NONE)
    surface.read(f"{connection}.things")
    assert api.asked[-1]["path"] == "onward"
    assert "x-key" not in api.asked[-1]["headers"]
    # Taken back from the host meanwhile: nothing is asked any more.
    ws.secrets.put("KEY", CANARY, allowed_hosts=["elsewhere.example"])
    count = len(api.asked)
    with pytest.raises(Failed, match="may not be sent to"):
        surface.whole(f"{connection}.things")
    assert len(api.asked) == count


def test_row1_a_value_that_is_given_never_becomes_a_secret(surface, connection, api, ws, host):
    ws.secrets.put("KEY", CANARY, allowed_hosts=[host])
    api.on("things", lambda asked: [{"shop": asked["query"]["shop"]}])
    surface.create(connection, "things", path="/things", query={"shop": "{{shop}}"}, headers={"X-Key": "{{secret:KEY}}"},
                   parameters=[{"name": "shop"}], **NONE)  # fmt: skip
    rows, _ = surface.read(f"{connection}.things", shop="{{secret:KEY}}")
    assert rows == [{"shop": "{{secret:KEY}}"}]


def test_row1_a_secret_that_is_missing_misplaced_or_in_use_is_said(connection, api, ws, host, surface):
    with pytest.raises(Failed, match=r"no secret called GONE, which headers\.X-Key of this table names") as failed:
        surface.create(connection, "things", path="/things", headers={"X-Key": "{{secret:GONE}}"}, **NONE)
    assert failed.value.code == "E-NOSECRET"
    assert f"keyturn secrets set GONE --host {host}" in str(failed.value)
    ws.secrets.put("KEY", CANARY, allowed_hosts=[host])
    with pytest.raises(Failed, match="Paths are logged"):
        surface.create(connection, "things", path="/things/{{secret:KEY}}", **NONE)
    surface.create(connection, "things", path="/things", headers={"X-Key": "{{secret:KEY}}"}, **NONE)
    with pytest.raises(keyturn.KeyturnError, match=f"KEY is named by {connection}.things, which would stop") as refused:
        ws.secrets.delete("KEY")
    assert refused.value.details["tables"] == [f"{connection}.things"]


def test_row1_a_secret_that_the_api_repeats_is_kept_and_shown_nowhere(
    surface, connection, api, ws, host, reading_server
):
    ws.secrets.put("KEY", CANARY, allowed_hosts=[host])

    def things(asked):
        page = int(asked["query"].get("page", 1))
        if page == 3:
            return JSONResponse(
                {"error": f"no page for {asked['query']['key']}"}, 418, headers={"X-Said": quote(CANARY)}
            )
        onward = f"/things?key={quote(CANARY)}&page={page + 1}"
        return JSONResponse([{"id": page, "said": CANARY}], headers={"Link": f'<{onward}>; rel="next"'})

    api.on("things", things)
    surface.create(connection, "things", path="/things", query={"key": "{{secret:KEY}}"}, rows_path="$",
                   pagination={"type": "link_header"})  # fmt: skip
    with pytest.raises(Failed) as failed:
        surface.whole(f"{connection}.things")
    assert [asked["query"]["key"] for asked in api.asked] == [CANARY] * 3
    stored = b"".join(
        each.read_bytes() for each in (reading_server.log_path.parent / "data").rglob("*") if each.is_file()
    )
    preview = surface.preview(f"{connection}.things")
    for seen in (failed.value, preview, list(ws.audit), list(ws.imports), reading_server.log, stored):
        for spelling in (CANARY, quote(CANARY), quote(CANARY, safe=""), "goldfinch"):
            assert spelling not in (seen.decode("latin-1") if isinstance(seen, bytes) else str(seen))


def test_row1_a_file_of_the_workspace_has_a_secrets_name_and_a_plan_says_which_are_missing(connection, api, ws, host):
    ws.secrets.put("KEY", CANARY, allowed_hosts=[host])
    made = ws.tables.create({"connection_id": ws.connections[connection].id, "name": "things", "path": "/things",
                             "headers": {"X-Api-Key": "{{secret:KEY}}"}, **NONE})  # fmt: skip
    text = ws.config.export()
    assert 'X-Api-Key = "{{secret:KEY}}"' in text
    assert "goldfinch" not in text
    assert ws.config.plan(text) == []
    made.delete()
    ws.secrets.delete("KEY")
    [step] = ws.config.plan(text)
    assert (step.kind, step.name, step.missing_secrets) == ("create", f"{connection}.things", ("KEY",))
    with pytest.raises(keyturn.KeyturnError, match=r"Nothing was changed.*keyturn secrets set KEY"):
        ws.config.apply([step], parse(text), lambda _: "")
    ws.secrets.put("KEY", CANARY, allowed_hosts=[host])
    ws.config.apply(ws.config.plan(text), parse(text), lambda _: "")
    assert ws.config.plan(text) == []


@pytest.mark.parametrize(
    ("name", "body", "at"),
    [
        ("KEY", {"value": "short", "allowed_hosts": ["a.example"]}, "value"),
        ("KEY", {"value": CANARY, "allowed_hosts": []}, "allowed_hosts"),
        ("KEY", {"value": CANARY, "allowed_hosts": ["https://a.example/x"]}, "allowed_hosts"),
        ("1", {"value": CANARY, "allowed_hosts": ["a.example"]}, "name"),
        ("KEY", {"value": CANARY + "\u00e9", "allowed_hosts": ["a.example"]}, "value"),
        ("KEY", {"value": CANARY, "allowed_hosts": ["a.example"], "name": "OTHER"}, "name"),
        ("KEY", {"value": CANARY, "allowed_hosts": ["a.example"], "colour": 1}, "colour"),
        ("KEY", {"value": [CANARY], "allowed_hosts": ["a.example"]}, "value"),
    ],
)
def test_what_cannot_be_a_secret_is_refused_without_repeating_it(reading_server, name, body, at):
    answer = reading_server.api.put(f"/secrets/{name}", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["at"].startswith(at)
    assert "goldfinch" not in answer.text
