"""Every route of the API × every role × a thing of one's own workspace or a foreign one, against running servers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest

from keyturn.model.permissions import ROLES, VERBS, grantable_to, may
from keyturn.web.auth import verb_of
from keyturn.web.routes import API

ROUTES = sorted(
    (method, route.path, verb_of(route.endpoint))
    for router in API
    for route in router.routes
    for method in route.methods - {"HEAD", "OPTIONS"}
    # One method of the proxy stands for all: the route is the same.
    if "/proxy/" not in route.path or method in {"GET", "POST"}
)


# Bodies that are right, where an empty one would be refused before the thing is looked for.
BODIES = {
    "members.change_role": {"role": "viewer"},
    "connections.decide": {"switch": False},
    "shares.put": {"rights": "viewer"},
    "oauth_clients.replace_secret": {"client_secret": "a-new-client-secret"},
    "secrets.put": {"value": "a-value-of-a-table", "allowed_hosts": ["api.example.com"]},
}


@dataclass
class Tenant:
    """A workspace with one of each thing, and a program of each role in it."""

    things: dict[str, str]
    programs: dict[str, httpx2.Client]


@pytest.fixture
def tenants(world, steps) -> Iterator[SimpleNamespace]:
    server = world.serve()
    ours = SimpleNamespace(url=server.url, api=server.api)
    made = steps.ok(server.api.post("/workspaces", json={"name": "Theirs"}))
    body = {"name": "boss", "permissions": sorted(grantable_to("admin")), "workspace_id": made["id"]}
    token = steps.ok(server.api.post("/tokens", json=body))["token"]
    theirs = SimpleNamespace(url=server.url, api=program(server.url, token))
    found = SimpleNamespace(
        own=tenant(world, steps, ours, "Own CRM"), foreign=tenant(world, steps, theirs, "Foreign CRM")
    )
    yield found
    for side in (found.own, found.foreign):
        for client in side.programs.values():
            client.close()
    theirs.api.close()


def program(url: str, token: str) -> httpx2.Client:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx2.Client(base_url=url, headers=headers, timeout=60)


def token_of(post: Callable[..., Any], role: str) -> str:
    """A token with all that a service account of that role may hold."""
    account = post("/service-accounts", {"name": role, "role": role})
    body = {"name": role, "account_id": account["id"], "permissions": sorted(grantable_to(role))}
    return post("/tokens", body)["token"]


def tenant(world, steps, server, name: str) -> Tenant:
    api: httpx2.Client = server.api
    prefix = "" if str(api.base_url).rstrip("/").endswith("/api/v1") else "/api/v1"

    def post(path: str, body: Any = None) -> Any:
        return steps.ok(api.post(prefix + path, json=body or {}))

    api_v1 = SimpleNamespace(
        api=SimpleNamespace(
            get=lambda path, **kw: api.get(prefix + path, **kw), post=lambda path, **kw: api.post(prefix + path, **kw)
        )
    )
    client = steps.register(world, api_v1, name=name)
    connection = steps.connect(world, api_v1, client, access="shared_account")
    table = post("/tables", {"connection_id": connection["id"], "name": "orders", "path": "/orders"})
    imported = post("/imports", {"table_id": table["id"], "destination": {"url": "o.parquet"}})
    schedule = post("/schedules", {"table_id": table["id"], "destination": {"url": "s.parquet"}})
    begun = post(f"/connections/{connection['id']}/authorizations")
    rows = api.get(f"{prefix}/tables/{table['id']}/rows?limit=1&format=ndjson")
    programs = {role: program(server.url, token_of(post, role)) for role in ROLES}
    things = {
        "client_id": client["id"],
        "connection_id": connection["id"],
        "authorization_id": begun["id"],
        "connect_link_id": post("/connect-links", {"connection_id": connection["id"]})["id"],
        "table_id": table["id"],
        "import_id": imported["id"],
        "schedule_id": schedule["id"],
        "read_id": rows.headers["Keyturn-Read-Id"],
        "token_id": post("/tokens", {"name": "spare", "permissions": ["tables:read"]})["id"],
        **hook(post),
        "destination_id": post("/destinations", {"name": "Lake", "url": "postgresql://kt@db.invalid/lake"})["id"],
        **dict.fromkeys(("secret_id", "key_id"), client["secrets"][0]["id"]),
        "account_id": post("/service-accounts", {"name": "leaver", "role": "viewer"})["id"],
        "invitation_id": post("/invitations", {"email": "li@example.com", "role": "viewer"})["id"],
        "workspace_id": steps.ok(api.get(f"{prefix}/me"))["workspace"]["id"],
        "secret_name": secret(api, prefix, name),
        **SHARED,
    }
    return Tenant(things, programs)


def secret(api: httpx2.Client, prefix: str, name: str) -> str:
    """A secret of a name that the other workspace has not."""
    made = api.put(f"{prefix}/secrets/{name.replace(' ', '-')}", json=BODIES["secrets.put"])
    assert made.status_code == 200, made.text
    return str(made.json()["name"])


def hook(post: Callable[..., Any]) -> dict[str, str]:
    """A webhook and a message of it."""
    made = post("/webhooks", {"name": "Pager", "url": "https://hooks.invalid/keyturn"})
    return {"webhook_id": made["id"], "delivery_id": post(f"/webhooks/{made['id']}/test")["id"]}


# What belongs to no workspace.
SHARED = {"preset_id": "github", "ending": "parquet", "name": "o.parquet", "path": "orders"}
EVERYBODYS = {"presets.get"}


def filled(path: str, things: dict[str, str]) -> str:
    return re.sub(r"{(\w+)(?::\w+)?}", lambda match: things[match[1]], path)


def asked(client: httpx2.Client, method: str, path: str, verb: str = "") -> httpx2.Response:
    body = BODIES.get(verb, {}) if method in {"POST", "PATCH", "PUT"} else None
    return client.request(method, path, json=body)


def same(answer: httpx2.Response) -> dict[str, Any]:
    """A problem but for what names the request."""
    return {name: value for name, value in answer.json().items() if name != "request_id"}


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


def nothing(things: dict[str, str]) -> dict[str, str]:
    return {
        name: f"{value[:3]}00000000000000000000" if name.endswith("_id") else value for name, value in things.items()
    }


def excused(verb: str, role: str) -> bool:
    """What depends on the thing besides: it is an admin's connection, and token values are asked for by name."""
    owner = {
        "schedules.update",
        "schedules.delete",
        "connections.update",
        "connections.delete",
        "connections.begin",
        "connections.decide",
        "shares.put",
        "shares.remove",
    }
    return role != "admin" and verb in owner | {"connections.authorization", "tokens.revoke"}


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


def test_the_matrix_is_whole():
    assert {verb for _, _, verb in ROUTES} == set(VERBS)
