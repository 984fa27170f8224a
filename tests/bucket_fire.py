"""Fire over imports that go into objects of somebody's bucket."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from crashes import Fire
from world import Server, World, ok

if TYPE_CHECKING:
    from object_store import ObjectStore


def allowed(world: World, store: ObjectStore) -> str:
    """The addresses that a server has to be allowed for it."""
    return f"127.0.0.1:{world.end_system.port},127.0.0.1:{store.relay.port}"


def made(server: Server, store: ObjectStore, **changes: object) -> dict:
    """The bucket as a destination."""
    return ok(server.api.post("/destinations", json=store.settings(**changes)))


@dataclass
class BucketFire(Fire):
    """Imports into objects of a bucket."""

    store: ObjectStore | None = None
    destination: dict | None = None

    @property
    def there(self) -> ObjectStore:
        """The bucket, which is set before the fire is lit."""
        assert self.store is not None
        return self.store

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, "KEYTURN_ALLOWED_PRIVATE_HOSTS": allowed(self.world, self.there)}

    def where(self, number: int) -> dict:
        if self.destination is None:
            self.destination = made(self.server, self.there)
        return {"type": "parquet", "url": f"{number}.parquet", "destination_id": self.destination["id"]}

    def content(self, number: int) -> bytes:
        table = pq.read_table(io.BytesIO(self.there.read(f"tables/{number}.parquet")))
        return "\n".join(map(str, table.sort_by("id").to_pylist())).encode()
