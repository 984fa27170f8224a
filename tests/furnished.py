"""A workspace with one of each thing in it, some of them in trouble, for tests that go everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

LONG = "orders_of_all_customers_and_of_every_year_since_there_are_any"


@dataclass(frozen=True, slots=True)
class _Post:
    api: Any
    ok: Any

    def __call__(self, path: str, body: Any = None) -> Any:
        return self.ok(self.api.post(path, json=body or {}))


def furnish(world: Any, steps: Any, server: Any) -> dict[str, str]:
    """Make them; answers the parameters of our routes, by their names there."""
    post = _Post(server.api, steps.ok)
    client = steps.register(world, server)
    connection = steps.connect(world, server, client, access="shared_account")
    begun = post(f"/connections/{connection['id']}/authorizations")
    table = post("/tables", {"connection_id": connection["id"], "name": "orders", "path": "/orders"})
    post("/tables", {"connection_id": connection["id"], "name": LONG, "path": "/customers"})
    asks = [{"name": "status", "type": "text"}, {"name": "day", "type": "date", "default": "today-7d"}]
    asking = {"connection_id": connection["id"], "name": "asking", "path": "/orders", "data_model": "relational",
              "rows_path": "$.data", "pagination": {"type": "none"}, "parameters": asks,
              "query": {"status": "{{status}}", "since": "{{day}}"}}  # fmt: skip
    asking = post("/tables", asking)
    imported = post("/imports", {"table_id": table["id"], "destination": {"url": "orders.parquet"}})
    steps.wait_for_import(server, imported["id"])
    rows = server.api.get(f"/tables/{table['id']}/rows?limit=3&format=ndjson")
    schedule = post("/schedules", {"table_id": table["id"], "destination": {"url": "each-day/orders.parquet"}})
    return {
        "client_id": client["id"],
        "slug": client["redirect_uri"].rpartition("/")[2],
        "connection_id": connection["id"],
        "authorization_id": begun["id"],
        "connect_link": begun["start_url"].rpartition("/")[2],
        "table_id": table["id"],
        "asking_table_id": asking["id"],
        "import_id": imported["id"],
        "name": "orders.parquet",
        "read_id": rows.headers["Keyturn-Read-Id"],
        "schedule_id": schedule["id"],
        **_of_the_workspace(server, post),
        **_in_trouble(world, steps, server, client, post),
    }


def _of_the_workspace(server: Any, post: _Post) -> dict[str, str]:
    leaver = post("/service-accounts", {"name": "Nightly reports", "role": "editor"})
    post("/invitations", {"email": "li@example.com", "role": "viewer"})
    hook = post("/webhooks", {"name": "Pager", "url": "https://hooks.invalid/keyturn"})
    post(f"/webhooks/{hook['id']}/test")
    lake = post("/destinations", {"name": "Lake", "url": "postgresql://kt@db.invalid/lake"})
    secret = server.api.put(
        "/secrets/KEY", json={"value": "a-value-of-a-table", "allowed_hosts": ["api.example.com"]}
    ).json()
    return {
        "account_id": leaver["id"], "webhook_id": hook["id"], "destination_id": lake["id"], "secret_id": secret["id"]
    }  # fmt: skip


def _in_trouble(world: Any, steps: Any, server: Any, client: Any, post: _Post) -> dict[str, str]:
    """Another connection, whose sign-in is taken back, and an import that stops over it."""
    broken = steps.connect(world, server, client, name="ads", access="only_me")
    table = post("/tables", {"connection_id": broken["id"], "name": "orders", "path": "/orders"})
    world.end_system.demo.revoke_grants()
    server.api.get(f"/connections/{broken['id']}/proxy/orders?limit=1")
    stopped = post("/imports", {"table_id": table["id"], "destination": {"url": "ads.parquet"}})
    steps.wait_for_import(server, stopped["id"])
    return {
        "broken_connection_id": broken["id"],
        "broken_table_id": table["id"],
        "stopped_import_id": stopped["id"],
    }
