"""Two workspaces with one of each thing, and in each a program and a person of every role: for what everybody tries."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import httpx2
from fastapi import FastAPI
from fastapi.routing import APIRoute

from keyturn.model.permissions import ROLES, grantable_to
from keyturn.web.routes import build_routes

PASSWORD = "another long password"
# Shorter than the server keeps a connection that nobody uses, so that none is used just as it is closed.
LIMITS = httpx2.Limits(keepalive_expiry=1.0)


def served() -> list[APIRoute]:
    """Every route of the app, found in the app itself."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    build_routes(app)
    found: list[APIRoute] = []
    for route in app.routes:
        inner = getattr(route, "original_router", None)
        found += [one for one in (inner.routes if inner else [route]) if isinstance(one, APIRoute)]
    return found


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
    """A workspace with one of each thing, and a program and a person of each role in it."""

    things: dict[str, str]
    programs: dict[str, httpx2.Client]
    people: dict[str, Person]


@dataclass
class Person:
    """Somebody signed in with a browser, and what their pages prove themselves by."""

    browser: httpx2.Client
    csrf: str

    def asks(self, method: str, path: str, fields: dict[str, str] | None = None) -> httpx2.Response:
        """Open a page, or send its form."""
        if method == "GET":
            return self.browser.get(path)
        return self.browser.post(path, data={"csrf": self.csrf, **(fields or {})})


def both(world, steps, *, people: bool = False) -> Iterator[SimpleNamespace]:
    """`own` and `foreign` of one deployment."""
    server = world.serve()
    ours = SimpleNamespace(url=server.url, api=server.api)
    made = steps.ok(server.api.post("/workspaces", json={"name": "Theirs"}))
    body = {"name": "boss", "permissions": sorted(grantable_to("admin")), "workspace_id": made["id"]}
    token = steps.ok(server.api.post("/tokens", json=body))["token"]
    theirs = SimpleNamespace(url=server.url, api=program(server.url, token))
    found = SimpleNamespace(
        server=server,
        own=tenant(world, steps, ours, "Own CRM", people=people),
        foreign=tenant(world, steps, theirs, "Foreign CRM", people=people),
    )
    yield found
    for side in (found.own, found.foreign):
        for client in (*side.programs.values(), *(person.browser for person in side.people.values())):
            client.close()
    theirs.api.close()


def program(url: str, token: str) -> httpx2.Client:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx2.Client(base_url=url, headers=headers, timeout=60, limits=LIMITS)


def token_of(post: Callable[..., Any], role: str) -> str:
    """A token with all that a service account of that role may hold."""
    account = post("/service-accounts", {"name": role, "role": role})
    body = {"name": role, "account_id": account["id"], "permissions": sorted(grantable_to(role))}
    return post("/tokens", body)["token"]


def joined(url: str, invitation: str, name: str) -> Person:
    """Whoever opens the invitation and signs in by that."""
    browser = httpx2.Client(base_url=url, headers={"Origin": url}, timeout=60, limits=LIMITS)
    assert browser.post(httpx2.URL(invitation).path, data={"name": name, "password": PASSWORD}).status_code == 303
    found = re.search(r'name="csrf" value="([^"]*)"', browser.get("/preferences").text)
    assert found is not None
    return Person(browser, found[1])


def tenant(world, steps, server, name: str, *, people: bool = False) -> Tenant:
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
    return Tenant(things, programs, persons(server.url, post, name) if people else {})


def persons(url: str, post: Callable[..., Any], name: str) -> dict[str, Person]:
    """A member of each role who signed in."""
    found, first = {}, name.partition(" ")[0]
    for role in ROLES:
        email = f"{role}@{first.lower()}.example"
        made = post("/invitations", {"email": email, "role": role})
        found[role] = joined(url, made["url"], f"{first} {role}")
    return found


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
# What only the owner of a connection or schedule may do, and whoever has a right in it: here it is an admin's.
OWNERS = {
    "schedules.update",
    "schedules.delete",
    "connections.update",
    "connections.delete",
    "connections.begin",
    "connections.decide",
    "shares.put",
    "shares.remove",
}


def filled(path: str, things: dict[str, str]) -> str:
    return re.sub(r"{(\w+)(?::\w+)?}", lambda match: things[match[1]], path)


def asked(client: httpx2.Client, method: str, path: str, verb: str = "") -> httpx2.Response:
    body = BODIES.get(verb, {}) if method in {"POST", "PATCH", "PUT"} else None
    return client.request(method, path, json=body)


def same(answer: httpx2.Response) -> dict[str, Any]:
    """A problem but for what names the request."""
    return {name: value for name, value in answer.json().items() if name != "request_id"}


def nothing(things: dict[str, str]) -> dict[str, str]:
    return {
        name: f"{value[:3]}00000000000000000000" if name.endswith("_id") else value for name, value in things.items()
    }
