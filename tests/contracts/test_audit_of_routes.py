"""Every route of the API that changes something, and exactly what it writes into the audit log: who, what, with which result."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest

from keyturn.web.auth import verb_of
from postbox import Postbox
from tenants import filled, joined, served

ROUTES = {
    verb_of(route.endpoint): (method, route.path)
    for route in served()
    for method in sorted(route.methods)
    if route.path.startswith("/api/") and method not in {"GET", "HEAD", "OPTIONS"}
}
# Routes that are no GET and write nothing of their own. That a program used its token is told of them all the same.
QUIET = {
    "connections.begin": "it changes nothing until somebody signs in, and how that ends is written",
    "oauth_clients.check": "it asks and keeps nothing",
    "oauth_clients.discover": "it asks and keeps nothing",
    "proxy.proxy": "what it changes lies at the end system: the use of the token is its entry",
    "schedules.preview": "it computes and keeps nothing",
    "tables.detect": "it asks and keeps nothing",
    "tables.drafts": "it asks and keeps nothing",
}
# Tried where its other end is: the test that looks for the entry.
ELSEWHERE = {
    "organisations.put": ("organisation.saved", "interop/test_organisation.py"),
    "organisations.remove": ("organisation.removed", "interop/test_organisation.py"),
    "oauth_clients.register": ("oauth_client.created", "interop/test_registration.py"),
    "webhooks.retry": ("delivery.sent_again", "services/test_deliveries.py"),
    "members.reset_second_factor": ("account.second_factor_reset", "services/test_second_factors.py"),
}


class Told:
    """A program at work, and what the audit log says of it."""

    def __init__(self, server: Any, steps: Any) -> None:
        self.api: httpx2.Client = server.api
        self.steps = steps
        self.things: dict[str, str] = {}
        self.done: list[str] = []
        self.wrong: list[str] = []
        self.used: set[tuple[str, str]] = set()
        self.me = self.api.get("/me").json()["account"]["id"]

    def entries(self, after: int = 0) -> list[dict[str, Any]]:
        text = self.api.get("/audit/export", params={"after_seq": after}).text
        return [json.loads(line) for line in text.splitlines()]

    def does(self, verb: str, writes: str, body: Any = None, *, keep: str = "", refused: int = 0) -> Any:
        """Ask for it; `writes` is each entry that it leaves, and `keep` the parameter that its answer's id becomes."""
        method, path = ROUTES[verb]
        after = self.api.get("/audit/head").json()["seq"]
        address = filled(path, self.things).removeprefix("/api/v1")
        answer = self.api.request(method, address, json=body)
        told = [line for line in self.entries(after) if line["verb"] != "api_token.used" and line["from"]]
        wanted = [
            (name, "program", self.me, "at_", "127.0.0.1", "failed" if refused else "ok")
            for name in sorted(writes.split())
        ]
        good = answer.status_code == refused if refused else answer.status_code < 400
        if not good or sorted(map(seen_of, told)) != wanted:
            self.wrong.append(f"{verb}: {answer.status_code} {answer.text[:300]} {told}")
        self.used.add((f"{method} {path}", "refused" if refused else "ok"))
        self.done.append(verb)
        found = answer.json() if answer.content else {}
        if keep and "id" in found:
            self.things[keep] = found["id"]
        return found


def seen_of(line: dict[str, Any]) -> tuple[str, ...]:
    """What an entry says: what was done, by whom, by which kind of token, from where, and how it ended."""
    who = line["who"]
    return line["verb"], who["kind"], who["id"], str(who["via"])[:3], line["from"], line["result"]


@pytest.fixture
def told(world, steps) -> Iterator[Told]:
    with Postbox() as box:
        allowed = f"127.0.0.1:{world.end_system.port},{box.url.rpartition('/')[2]}"
        yield Told(world.serve(KEYTURN_SMTP_URL=box.url, KEYTURN_ALLOWED_PRIVATE_HOSTS=allowed), steps)


@pytest.mark.timeout(300)
def test_r11_each_route_writes_exactly_its_entry(told, world, steps):
    of_clients_and_connections(told, world, steps)
    of_tables(told)
    of_members(told)
    of_settings(told)
    taking_away(told)
    used_by_the_program(told)
    deleted(told, world)
    assert told.wrong == [], "\n".join(told.wrong)
    assert set(ROUTES) - set(told.done) == set(QUIET) | set(ELSEWHERE)
    for entry, test in ELSEWHERE.values():
        assert f'"{entry}"' in (Path(__file__).parent.parent / test).read_text("utf-8"), (entry, test)


def of_clients_and_connections(told: Told, world: Any, steps: Any) -> None:
    client = steps.register(world, SimpleNamespace(api=told.api))
    body = {name: client[name] for name in ("authorization_url", "token_url", "scopes")}
    body |= {"name": "Second", "client_id": "another", "client_secret": "the-first-secret-1"}
    told.does("oauth_clients.create", "oauth_client.created", body, keep="client_id")
    told.does("oauth_clients.update", "oauth_client.settings_changed", {"scopes": "read:orders"})
    secret = {"client_secret": "the-second-secret-1", "keep_old": True}
    told.does("oauth_clients.replace_secret", "oauth_client.secret_replaced", secret)
    found = told.api.get(f"/oauth-clients/{told.things['client_id']}").json()
    told.things["secret_id"] = found["secrets"][-1]["id"]
    told.does("oauth_clients.change_secret", "oauth_client.settings_changed", {"first": True})
    told.does("oauth_clients.delete_secret", "oauth_client.secret_removed")
    signs = {"advanced": {"issuer": world.end_system.url, "token": {"auth": "private_key_jwt"}}}
    told.does("oauth_clients.update", "oauth_client.settings_changed oauth_client.key_made", signs)
    told.does("oauth_clients.add_key", "oauth_client.key_made")
    told.things["key_id"] = told.api.get(f"/oauth-clients/{told.things['client_id']}").json()["keys"][0]["id"]
    told.does("oauth_clients.delete_key", "oauth_client.key_removed")
    told.does("oauth_clients.delete", "oauth_client.deleted")
    of_connections(told, world, client["id"])


def of_connections(told: Told, world: Any, client_id: str) -> None:
    steps = told.steps
    body = {"name": "acme", "base_url": world.end_system.url + "/api/v1", "access": "only_me",
            "auth": {"type": "oauth2", "oauth_client_id": client_id}}  # fmt: skip
    told.does("connections.create", "connection.created", body, keep="connection_id")
    begun = steps.ok(told.api.post(f"/connections/{told.things['connection_id']}/authorizations"))
    steps.sign_in(begun["start_url"])
    told.does(
        "connections.update", "connection.settings_changed connection.access_changed", {"access": "shared_account"}
    )
    told.does("connections.update", "connection.paused", {"paused": True})
    told.does("connections.update", "connection.resumed", {"paused": False})
    told.does("connections.test", "connection.tested")
    told.does("connections.refresh", "connection.refreshed")
    told.does("connections.token", "connection.token_revealed")
    begun = steps.ok(told.api.post(f"/connections/{told.things['connection_id']}/authorizations"))
    steps.sign_in(begun["start_url"], account="joe")
    told.things["authorization_id"] = begun["id"]
    told.does("connections.decide", "connection.reconnected", {"switch": True})
    link = {"connection_id": told.things["connection_id"]}
    made = told.does("connect_links.create", "connection.link_made", link, keep="connect_link_id")
    told.does("connect_links.revoke", "connection.link_revoked")
    made = told.does("connect_links.create", "connection.link_made", link, keep="connect_link_id")
    steps.sign_in(made["url"])
    told.does("connect_links.accept", "connection.reconnected")
    again = {"connection_ids": [told.things["connection_id"]]}
    told.does("connect_links.reconnect", "connection.link_made", again)
    told.does("members.create_service_account", "account.service_account_created", {"name": "bot", "role": "editor"},
              keep="account_id")  # fmt: skip
    told.does("shares.put", "connection.shared", {"rights": "viewer"})
    told.does("shares.put", "connection.share_changed", {"rights": "editor"})
    told.does("shares.remove", "connection.unshared")


def of_tables(told: Told) -> None:
    body = {"connection_id": told.things["connection_id"], "name": "orders", "path": "/orders"}
    told.does("tables.create", "table.created", body, keep="table_id")
    told.does("tables.update", "table.changed", {"timeout_seconds": 20})
    told.does("tables.refresh_schema", "table.schema_refreshed")
    copy = {"connection_id": told.things["connection_id"], "name": "orders_too"}
    told.does("tables.copy", "table.created", copy)
    wanted = {"table_id": told.things["table_id"], "destination": {"url": "o.parquet"}}
    told.does("imports.create", "import.created", wanted, keep="import_id")
    told.does("imports.cancel", "import.cancelled")
    told.steps.wait_for_import(told, told.things["import_id"])
    told.does("imports.resume", "import.resumed")
    told.steps.wait_for_import(told, told.things["import_id"])
    told.does("schedules.create", "schedule.created", wanted, keep="schedule_id")
    told.does("schedules.update", "schedule.changed", {"paused": True})


def of_members(told: Told) -> None:
    told.does("members.change_role", "account.role_changed", {"role": "viewer"})
    told.does("invitations.create", "invitation.created", {"email": "li@example.com", "role": "viewer"},
              keep="invitation_id")  # fmt: skip
    told.does("invitations.revoke", "invitation.revoked")
    token = {"name": "spare", "permissions": ["tables:read"]}
    told.does("tokens.create", "api_token.created", token, keep="token_id")
    told.does("tokens.revoke", "api_token.revoked")
    told.does("tokens.update_me", "account.preferences_changed", {"notify": "nothing"})
    bot = told.things["account_id"]
    made = told.steps.ok(told.api.post("/invitations", json={"email": "kim@example.com", "role": "viewer"}))
    joined(str(told.api.base_url).removesuffix("/api/v1/"), made["url"], "Kim").browser.close()
    members = told.api.get("/members").json()["data"]
    told.things["account_id"] = next(one["id"] for one in members if one["name"] == "Kim")
    told.does("members.reset_password", "account.password_link_made")
    told.things["account_id"] = bot


def of_settings(told: Told) -> None:
    hook = {"name": "Pager", "url": "https://hooks.invalid/keyturn"}
    told.does("webhooks.create", "webhook.created", hook, keep="webhook_id")
    told.does("webhooks.update", "webhook.changed", {"name": "Phone"})
    told.does("webhooks.replace_secret", "webhook.secret_replaced")
    told.does("webhooks.test", "webhook.tested", keep="delivery_id")
    lake = {"name": "Lake", "url": "postgresql://kt@db.invalid/lake"}
    told.does("destinations.create", "destination.created", lake, keep="destination_id")
    told.does("destinations.update", "destination.changed", {"name": "Sea"})
    told.does("destinations.test", "destination.tested", refused=409)
    told.things["secret_name"] = "KEY"
    told.does("secrets.put", "secret.created", {"value": "a-value-of-a-table", "allowed_hosts": ["api.example.com"]})
    made = told.does("workspaces.create", "workspace.created", {"name": "Another"})
    assert made
    told.things["workspace_id"] = told.api.get("/me").json()["workspace"]["id"]
    told.does("workspaces.update", "workspace.renamed", {"name": "Ours"})
    told.does("workspaces.update", "workspace.second_factor_required", {"requires_second_factor": True})
    told.does("workspaces.update", "workspace.endpoints_limited", {"endpoints_per_connection": 5000})
    told.does("settings.test_mail", "workspace.mail_tested")
    told.does("settings.change_files", "workspace.file_limits_changed", {"keep_days": 365})


def taking_away(told: Told) -> None:
    told.does("secrets.delete", "secret.deleted")
    told.does("destinations.delete", "destination.deleted")
    told.does("webhooks.delete", "webhook.deleted")
    told.does("schedules.delete", "schedule.deleted")
    told.does("tables.delete", "table.deleted")
    told.does("members.remove", "account.removed")
    told.does("connections.disconnect", "connection.disconnected", {"revoke": False})
    told.does("connections.delete", "connection.deleted")


def deleted(told: Told, world: Any) -> None:
    """The workspace goes and its token with it; its audit log stays, where no program reads it any more."""
    path = filled(ROUTES["workspaces.delete"][1], told.things).removeprefix("/api/v1")
    assert told.api.delete(path, params={"name": "Ours"}).status_code == 204
    told.done.append("workspaces.delete")
    with closing(sqlite3.connect(world.tmp_path / "data" / "keyturn.db")) as database:
        lines = [json.loads(line) for (line,) in database.execute("select line from audit_entries order by seq")]
    (last,) = (line for line in lines if line["verb"] == "workspace.deleted" and line["workspace_id"])
    assert (last["who"]["id"], last["subject_id"], last["result"]) == (told.me, told.things["workspace_id"], "ok")


def used_by_the_program(told: Told) -> None:
    """Each use of the token is told, with its route and how it was answered; it is written within seconds."""
    told.api.post("/tables", json={})
    wanted = told.used | {("POST /api/v1/tables", "refused")}
    deadline = time.monotonic() + 30
    while True:
        uses = [line for line in told.entries() if line["verb"] == "api_token.used"]
        seen = {(line["details"]["route"], line["result"]) for line in uses}
        if wanted <= seen:
            return
        assert time.monotonic() < deadline, wanted - seen
        time.sleep(0.2)
