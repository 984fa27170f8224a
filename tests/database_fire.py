"""Fire over imports that go into tables of somebody's PostgreSQL."""

from __future__ import annotations

from dataclasses import dataclass

from crashes import Fire
from warehouse import PASSWORD, Warehouse
from world import Server, World, ok


def allowed(world: World, warehouse: Warehouse) -> str:
    """The addresses that a server has to be allowed for it."""
    return f"127.0.0.1:{world.end_system.port},127.0.0.1:{warehouse.relay.port}"


def made(server: Server, warehouse: Warehouse, **changes: object) -> dict:
    """The warehouse as a destination."""
    body = {"name": "Warehouse", "url": warehouse.url, "password": PASSWORD, **changes}
    return ok(server.api.post("/destinations", json=body))


@dataclass
class DatabaseFire(Fire):
    """Imports into tables of a warehouse."""

    warehouse: Warehouse | None = None
    destination: dict | None = None

    @property
    def there(self) -> Warehouse:
        """The warehouse, which is set before the fire is lit."""
        assert self.warehouse is not None
        return self.warehouse

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, "KEYTURN_ALLOWED_PRIVATE_HOSTS": allowed(self.world, self.there)}

    def where(self, number: int) -> dict:
        if self.destination is None:
            self.destination = made(self.server, self.there)
        return {"type": "postgresql", "destination_id": self.destination["id"], "table": f"orders_{number}"}

    def content(self, number: int) -> bytes:
        rows = self.there.rows(f"select to_jsonb(t)::text from orders_{number} as t order by id")
        return "\n".join(text for (text,) in rows).encode()
