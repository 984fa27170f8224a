"""Every route of the API × every role × a thing of one's own workspace or a foreign one, against running servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest

from keyturn.model.permissions import ROLES, VERBS, may
from keyturn.web.auth import verb_of
from keyturn.web.routes import PAGES
from tenants import EVERYBODYS, OWNERS, asked, both, filled, nothing, program, same, served

ROUTES = sorted(
    (method, route.path, verb_of(route.endpoint))
    for route in served()
    if route.path.startswith("/api/")
    for method in route.methods - {"HEAD", "OPTIONS"}
    # One method of the proxy stands for all: the route is the same.
    if "/proxy/" not in route.path or method in {"GET", "POST"}
)


@pytest.fixture
def tenants(world, steps) -> Iterator[SimpleNamespace]:
    yield from both(world, steps)


@pytest.mark.timeout(300)
def test_r4_every_route_by_every_role_on_own_and_foreign_things(tenants):
    wrong: list[str] = []
    check: Callable[..., None] = lambda good, *told: None if good else wrong.append(" ".join(map(str, told)))  # noqa: E731
    # What takes things away comes last, so that the rest finds them there.
    order = sorted(ROUTES, key=lambda r: (r[0] == "DELETE", r[2] in {"members.remove", "connections.disconnect"}))
    for method, path, verb in order:
        for role in reversed(ROLES):
            allowed = may(ROLES[role], verb)
            client = tenants.own.programs[role]
            foreign = asked(client, method, filled(path, tenants.foreign.things), verb)
            check(foreign.status_code < 500, method, path, role, "foreign", foreign.status_code, foreign.text)
            if not allowed:
                check(foreign.status_code == 403, method, path, role, "foreign, refused", foreign.status_code)
                own = asked(client, method, filled(path, tenants.own.things), verb)
                check(own.status_code == 403, method, path, role, "own, refused", own.status_code)
                continue
            if "_id}" in path and verb not in EVERYBODYS:
                absent = asked(client, method, filled(path, nothing(tenants.foreign.things)), verb)
                hidden = foreign.status_code == 404 or (verb == "tokens.revoke" and role != "admin")
                check(hidden, method, path, role, "foreign", foreign.status_code, foreign.text)
                check(same(foreign) == same(absent), method, path, role, "foreign unlike absent", foreign.text)
            own = asked(client, method, filled(path, tenants.own.things), verb)
            check(own.status_code < 500, method, path, role, "own", own.status_code, own.text)
            check(own.status_code not in {401, 403} or excused(verb, role), method, path, role, "own", own.text)
    assert not wrong, "\n" + "\n".join(wrong)


def excused(verb: str, role: str) -> bool:
    """What depends on the thing besides: it is an admin's connection, and token values are asked for by name."""
    return role != "admin" and verb in OWNERS | {"connections.authorization", "tokens.revoke"}


@pytest.mark.parametrize("permission", sorted(ROLES["admin"]))
def test_r5_a_token_with_one_permission_can_do_nothing_else(tenants, permission):
    admin = tenants.own.programs["admin"]
    me = admin.get("/api/v1/me").json()["account"]["id"]
    assert me
    made = admin.post("/api/v1/tokens", json={"name": permission, "permissions": [permission]})
    assert made.status_code == 201, made.text
    narrow = program(str(admin.base_url), made.json()["token"])
    for method, path, verb in ROUTES:
        if not may(frozenset({permission}), verb):
            answer = asked(narrow, method, filled(path, tenants.own.things))
            assert answer.status_code == 403, (method, path, verb, answer.text)
    narrow.close()


def test_a_foreign_id_in_a_body_is_like_one_that_is_not_there(tenants):
    admin, mine, theirs = tenants.own.programs["admin"], tenants.own.things, tenants.foreign.things
    absent = nothing(theirs)

    def bodies(ids: dict[str, str]) -> list[tuple[str, str, dict[str, Any]]]:
        auth = {"type": "oauth2", "oauth_client_id": ids["client_id"]}
        base = {"base_url": "https://api.example.com", "access": "only_me"}
        parquet = {"type": "parquet", "url": "x.parquet"}
        heir = {"otherwise": {"action": "transfer", "to": ids["account_id"]}}
        return [
            ("POST", "/connections", {"name": "x", **base, "auth": auth}),
            ("PATCH", f"/connections/{mine['connection_id']}", {"auth": auth}),
            ("POST", "/tables", {"connection_id": ids["connection_id"], "name": "x", "path": "/x"}),
            ("POST", f"/tables/{mine['table_id']}/copies", {"connection_id": ids["connection_id"]}),
            ("POST", f"/tables/{ids['table_id']}/copies", {"connection_id": mine["connection_id"]}),
            ("POST", "/tables/detect", {"connection_id": ids["connection_id"], "path": "/x"}),
            ("POST", "/imports", {"table_id": ids["table_id"], "destination": parquet}),
            ("POST", "/schedules", {"table_id": ids["table_id"], "destination": parquet}),
            ("POST", "/imports", {"table_id": mine["table_id"], "destination": {"destination_id": ids["destination_id"],
                                                                                "type": "postgresql"}}),
            ("POST", "/connect-links", {"connection_id": ids["connection_id"]}),
            (
                "POST",
                "/connect-links",
                {"oauth_client_id": ids["client_id"], "end_user": "u", "base_url": "https://a.b"},
            ),
            ("POST", "/connect-links/reconnect", {"connection_ids": [mine["connection_id"], ids["connection_id"]]}),
            ("POST", "/connect-links/reconnect", {"oauth_client_id": ids["client_id"]}),
            ("POST", "/tokens", {"name": "x", "account_id": ids["account_id"]}),
            ("POST", "/tokens", {"name": "x", "workspace_id": ids["workspace_id"]}),
            ("POST", f"/members/{mine['account_id']}/removal", heir),
        ]  # fmt: skip

    for (method, path, foreign), (_, _, missing) in zip(bodies(theirs), bodies(absent), strict=True):
        answers = [admin.request(method, "/api/v1" + path, json=body) for body in (foreign, missing)]
        if path.endswith("/removal"):
            assert [answer.status_code for answer in answers] == [200, 404]  # it owns nothing, so nobody inherits
            continue
        assert answers[0].status_code in {404, 422}, (path, answers[0].text)
        assert same(answers[0]) == same(answers[1]), path


def test_r4_a_secret_of_another_workspace_can_be_named_seen_and_deleted_by_nobody(tenants):
    admin, theirs = tenants.own.programs["admin"], tenants.foreign.things["secret_name"]
    assert theirs not in admin.get("/api/v1/secrets").text
    assert admin.delete(f"/api/v1/secrets/{theirs}").status_code == 404
    body = {"connection_id": tenants.own.things["connection_id"], "name": "x", "path": "/x",
            "headers": {"X-Key": f"{{{{secret:{theirs}}}}}"}}  # fmt: skip
    for path in ("/tables", "/tables/detect"):
        answer = admin.post("/api/v1" + path, json=body)
        assert (answer.status_code, answer.json()["message_code"]) == (422, "E-NOSECRET")


def test_without_a_token_every_route_answers_401(tenants):
    with httpx2.Client(base_url=str(tenants.own.programs["admin"].base_url)) as nobody:
        for method, path, verb in ROUTES:
            assert asked(nobody, method, filled(path, tenants.own.things)).status_code == 401, (method, path, verb)


# What stands open on purpose, besides pages (tests/contracts/test_page_matrix.py).
OPEN = {
    "/healthz": "whether the process runs",
    "/readyz": "whether it serves",
    "/metrics": "the operator shuts it off at the proxy, or asks for a token",
    "/oauth2/jwks/{slug}": "public keys",
}


def test_the_matrix_is_whole():
    """A route that the API's matrix does not try is a page, or stands open for a reason."""
    assert {verb for _, _, verb in ROUTES} == set(VERBS)
    pages = {route.path for router in PAGES for route in router.routes}
    assert {route.path for route in served() if not route.path.startswith("/api/")} - pages == set(OPEN)
