"""What a sample sent and what came, side by side with its rows, and no secret in either, over all four surfaces."""

from __future__ import annotations

import base64
import json

import pytest
from starlette.responses import JSONResponse, Response

NONE = {"rows_path": "$.data", "pagination": {"type": "none"}}
# Whoever finds one of these anywhere has found a secret.
CANARIES = {name: f"canary-{name}-0123456789" for name in
            ("bearer", "password", "key", "query", "header", "body", "camel", "cookie", "given", "named", "theirs")}  # fmt: skip
BASIC = base64.b64encode(f"someone:{CANARIES['password']}".encode()).decode()


@pytest.fixture
def signed_in(reading_server, connection, api):
    """A connection for each way of authenticating, whose secret is a canary."""
    ways = {
        "bearer": {"type": "bearer", "token": CANARIES["bearer"]},
        "basic": {"type": "basic", "username": "someone", "password": CANARIES["password"]},
        "header": {"type": "header", "name": "X-Anything", "value": CANARIES["key"]},
        "query": {"type": "query", "name": "appid", "value": CANARIES["key"]},
    }
    for way, auth in ways.items():
        body = {"name": f"{connection}_{way}", "base_url": api.url, "auth": auth, "access": "only_me"}
        assert reading_server.api.post("/connections", json=body).status_code == 201
    return [f"{connection}_{way}" for way in ways]


def test_row8_what_was_sent_and_what_came_stand_beside_the_rows(surface, connection, api):
    api.on("things", lambda _: JSONResponse({"data": [{"id": 2**70}], "total": 1}, headers={"X-Left": "41"}))
    surface.create(connection, "things", method="POST", path="/things", query={"state": "open"}, body={"most": "{{n}}"},
                   headers={"X-Kind": "a"}, parameters=[{"name": "n", "type": "integer"}], **NONE)  # fmt: skip
    found = surface.exchange(f"{connection}.things", n=7)
    sent, came = found["request"], found["response"]
    assert (sent["method"], sent["url"]) == ("POST", f"{api.url}/things?state=open")
    assert (sent["headers"]["X-Kind"], json.loads(sent["body"])) == ("a", {"most": 7})
    assert sent["curl"].startswith(f"curl -sS -X POST '{api.url}/things?state=open' -H ")
    assert (came["status"], came["headers"]["x-left"], came["cut"]) == (200, "41", False)
    assert json.loads(came["body"]) == {"data": [{"id": 2**70}], "total": 1}


def test_row8_no_secret_is_in_what_was_sent_or_came_however_it_is_called_or_repeated(
    surface, connection, api, signed_in, reading_server
):
    def things(asked):
        bare = asked["headers"].get("authorization", "").rpartition(" ")[2]
        told = {**asked["headers"], "bare": bare, "query": asked["query"], "sent": asked["body"].decode(),
                "access_token": CANARIES["theirs"], "next": f"/things?api_key={CANARIES['query']}&page=2"}  # fmt: skip
        cookies = {"Set-Cookie": f"session={CANARIES['theirs']}", "X-Said": CANARIES["header"]}
        return JSONResponse({"data": [{"id": 1}], "told": told}, headers=cookies)

    api.on("things", things)
    saved = {"value": CANARIES["named"], "allowed_hosts": [api.url.removeprefix("http://")]}
    assert reading_server.api.put("/secrets/EXCHANGE", json=saved).status_code in {200, 201}
    settings = {
        "method": "POST",
        "path": "/things",
        "query": {"api_key": CANARIES["query"], "key": "{{secret:EXCHANGE}}", "page": "1"},
        "headers": {"X-Auth-Key": CANARIES["header"], "X-Session-Token": CANARIES["cookie"], "X-Plain": "{{token}}"},
        "body": {"auth": [{"password": CANARIES["body"], "accessToken": CANARIES["camel"]}], "page": 1},
        "parameters": [{"name": "token"}],
    }
    for name in signed_in:
        surface.create(name, "things", **settings, **NONE)
        found = surface.exchange(f"{name}.things", token=CANARIES["given"])
        # It was all sent, and came back; of what is shown nothing is a secret, and the rest is there.
        assert {name for name, canary in CANARIES.items() if canary in str(api.asked[-1])} >= {"query", "body", "named"}
        shown = json.dumps(found["request"]) + json.dumps(found["response"])
        assert [name for name, canary in CANARIES.items() if canary in shown] == []
        assert "canary" not in shown
        assert BASIC not in shown
        sent = found["request"]
        assert "page=1" in sent["url"]
        assert "{{secret:EXCHANGE}}" in sent["url"]
        assert json.loads(sent["body"])["page"] == 1
        assert [*json.loads(found["response"]["body"])["told"]][-1] == "next"
        surface.delete(f"{name}.things")
    assert reading_server.api.delete("/secrets/EXCHANGE").status_code == 204


def test_row8_of_a_long_answer_the_beginning_is_shown_and_no_secret_is_cut_in_two(surface, connection, api):
    text = json.dumps({"data": [], "text": "x" * 19_960, "said": CANARIES["query"], "rest": "y" * 9_000})
    at = text.index(CANARIES["query"])
    assert at < 20_000 < at + len(CANARIES["query"])
    api.on("things", lambda _: Response(text, media_type="application/json"))
    surface.create(connection, "things", path="/things", query={"api_key": CANARIES["query"]}, **NONE)
    came = surface.exchange(f"{connection}.things")["response"]
    assert (came["cut"], "canary" in came["body"], "yyy" in came["body"]) == (True, False, False)
