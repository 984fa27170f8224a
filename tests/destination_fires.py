"""Fire over imports that go elsewhere than into files: tables of somebody's PostgreSQL, objects of somebody's bucket."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from crashes import Fire
from world import Server, World, ok

if TYPE_CHECKING:
    from object_store import ObjectStore
    from warehouse import Warehouse


def allowed(world: World, place: Warehouse | ObjectStore) -> str:
    """The addresses that a server has to be allowed for it."""
    return f"127.0.0.1:{world.end_system.port},127.0.0.1:{place.relay.port}"


def made(server: Server, place: Warehouse | ObjectStore, **changes: object) -> dict:
    """The place as a destination."""
    return ok(server.api.post("/destinations", json=place.settings(**changes)))


@dataclass
class _Elsewhere(Fire):
    place: Any = None
    destination: dict | None = None

    @property
    def there(self) -> Any:
        """The place, which is set before the fire is lit."""
        assert self.place is not None
        return self.place

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, "KEYTURN_ALLOWED_PRIVATE_HOSTS": allowed(self.world, self.there)}

    @property
    def destination_id(self) -> str:
        """Made with the first import."""
        if self.destination is None:
            self.destination = made(self.server, self.there)
        return self.destination["id"]


class DatabaseFire(_Elsewhere):
    """Imports into tables of a warehouse."""

    def where(self, number: int) -> dict:
        return {"type": "postgresql", "destination_id": self.destination_id, "table": f"orders_{number}"}

    def content(self, number: int) -> bytes:
        rows = self.there.rows(f"select to_jsonb(t)::text from orders_{number} as t order by id")
        return "\n".join(text for (text,) in rows).encode()


class BucketFire(_Elsewhere):
    """Imports into objects of a bucket."""

    def where(self, number: int) -> dict:
        return {"type": "parquet", "url": f"{number}.parquet", "destination_id": self.destination_id}

    def content(self, number: int) -> bytes:
        table = pq.read_table(io.BytesIO(self.there.read(f"tables/{number}.parquet")))
        return "\n".join(map(str, table.sort_by("id").to_pylist())).encode()
