from datetime import UTC, datetime

import pytest
from starlette.responses import Response

from keyturn.client.connections import health_of
from keyturn.errors import Invalid, NotFound, ReconnectNeeded

ACME = {
    "id": "co_1",
    "name": "acme",
    "base_url": "https://api.acme.com/v1",
    "status": "healthy",
    "status_detail": None,
    "account": "jane@acme.com",
    "has_refresh_token": True,
    "access_token_expires_at": "2026-11-24T15:00:00.000Z",
    "refresh_token_expires_at": None,
}


@pytest.fixture
def acme(fake, ws):
    fake.on("GET", "/connections", {"data": [ACME], "next_cursor": None})
    fake.on("GET", "/connections/co_1", ACME)
    return ws.connections["acme"]


def test_health_is_a_value_without_a_secret(acme):
    health = acme.health
    assert (health.status, health.account, health.works_until) == ("healthy", "jane@acme.com", None)


def test_without_a_refresh_token_it_works_until_the_access_token_ends():
    assert health_of(ACME | {"has_refresh_token": False}).works_until == datetime(2026, 11, 24, 15, tzinfo=UTC)
    dated = ACME | {"refresh_token_expires_at": "2027-01-01T00:00:00.000Z"}
    assert health_of(dated).works_until == datetime(2027, 1, 1, tzinfo=UTC)


def test_a_name_that_is_not_there_is_not_found_with_a_suggestion(ws, acme):
    with pytest.raises(NotFound, match="Did you mean acme"):
        ws.connections["amce"]


def test_a_call_gives_the_end_systems_answer_whatever_it_is(fake, acme):
    fake.on("GET", "/connections/co_1/proxy/orders/17", lambda: Response("gone", 410))
    answer = acme.get("/orders/17", params={"a": "1"})
    assert (answer.status_code, answer.text) == (410, "gone")
    assert fake.asked[-1].query == {"a": "1"}


def test_a_503_of_the_end_system_is_an_answer_and_is_not_repeated(fake, acme):
    fake.on("GET", "/connections/co_1/proxy/x", lambda: Response("busy", 503, {"Retry-After": "0"}))
    before = len(fake.asked)
    assert acme.get("/x").status_code == 503
    assert len(fake.asked) == before + 1


def test_a_redirect_of_the_end_system_is_an_answer(fake, acme):
    fake.on("GET", "/connections/co_1/proxy/x", lambda: Response(status_code=302, headers={"Location": "https://o.x/"}))
    assert acme.get("/x").headers["location"] == "https://o.x/"


def test_an_error_of_ours_on_a_call_is_raised(fake, acme):
    fake.problem("GET", "/connections/co_1/proxy/x", 409, "reconnect_needed", connection="acme")
    with pytest.raises(ReconnectNeeded) as caught:
        acme.get("/x")
    assert caught.value.connection == "acme"


def test_a_call_sends_its_body(fake, acme):
    fake.on("POST", "/connections/co_1/proxy/search", {"ok": 1})
    assert acme.call("POST", "/search", json={"q": "a"}, headers={"X-Own": "1"}).json() == {"ok": 1}
    assert (fake.asked[-1].json, fake.asked[-1].headers["x-own"]) == ({"q": "a"}, "1")


@pytest.mark.parametrize("path", ["/../../tokens", "..", "/a/%2e%2e/b", "/./a", "/%2E./a"])
def test_a_path_does_not_climb_out_of_the_connection(fake, acme, path):
    before = len(fake.asked)
    with pytest.raises(Invalid):
        acme.get(path)
    assert len(fake.asked) == before


def test_the_verbs_reach_their_routes(fake, ws, acme):
    fake.on("POST", "/connections/co_1/test", {"ok": True, "steps": []})
    fake.on("POST", "/connections/co_1/refresh", ACME)
    fake.on("POST", "/connections/co_1/disconnect", {"revocation": "revoked"})
    fake.on("GET", "/connections/co_1/events", {"data": [{"kind": "created"}], "next_cursor": None})
    fake.on("DELETE", "/connections/co_1", None)
    fake.on("POST", "/connections", ACME, status=201)
    assert acme.test("/orders")["ok"]
    assert fake.asked[-1].json == {"path": "/orders"}
    assert acme.refresh().status == "healthy"
    assert acme.disconnect(revoke=False) == {"revocation": "revoked"}
    assert fake.asked[-1].json == {"revoke": False}
    assert acme.history == [{"kind": "created"}]
    acme.delete()
    assert ws.connections.create({"name": "acme"}).name == "acme"
    assert [connection.name for connection in ws.connections] == ["acme"]


def test_a_sign_in_has_a_link_that_repr_does_not_show(fake, acme):
    url = "https://data.example.com/connect/3vXkSecretLink"
    begun = {"id": "au_1", "start_url": url, "expires_at": "2026-11-24T15:00:00.000Z", "status": "pending"}
    fake.on("POST", "/connections/co_1/authorizations", begun, status=201)
    fake.on("GET", "/authorizations/au_1", {"id": "au_1", "status": "completed", "error": None})
    sign_in = acme.begin_sign_in()
    assert sign_in.start_url == url
    assert url not in repr(sign_in)
    assert sign_in.look()["status"] == "completed"
