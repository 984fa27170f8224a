"""Fire over imports that go elsewhere than into one file: folders of them, tables of somebody's PostgreSQL, buckets."""

from __future__ import annotations

import io
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow.dataset as ds
import pyarrow.parquet as pq

from crashes import Fire
from world import Server, World, ok

if TYPE_CHECKING:
    from object_store import ObjectStore
    from warehouse import Warehouse

# The runner is tried on both databases; what the destinations add to it, in `make test`, with three workers only.
KINDS = ["sqlite", "postgresql"] if os.environ.get("HYPOTHESIS_PROFILE") == "soak" else ["postgresql"]


def allowed(world: World, place: Warehouse | ObjectStore) -> str:
    """The addresses that a server has to be allowed for it."""
    return f"127.0.0.1:{world.end_system.port},127.0.0.1:{place.relay.port}"


def made(server: Server, place: Warehouse | ObjectStore, **changes: object) -> dict:
    """The place as a destination."""
    return ok(server.api.post("/destinations", json=place.settings(**changes)))


class PartitionedFire(Fire):
    """Imports into folders of Parquet files."""

    def where(self, number: int) -> dict:
        url = f"{self.folder}/{number}" if self.folder else f"{number}"
        return {"type": "parquet", "url": url, "partition_by": ["status", "placed_at:month"]}

    def content(self, number: int) -> bytes:
        top = self.folder or next((self.world.tmp_path / "data" / "files").iterdir())
        table = ds.dataset(top / str(number), partitioning="hive").to_table()
        return "\n".join(map(str, table.sort_by("id").to_pylist())).encode()


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


class PartitionedBucketFire(BucketFire):
    """Imports into folders of a bucket."""

    def where(self, number: int) -> dict:
        return {**super().where(number), "url": f"{number}", "partition_by": ["status"]}

    def content(self, number: int) -> bytes:
        rows = []
        for item in json.loads(self.there.read(f"tables/{number}.manifest.json"))["files"]:
            table = pq.read_table(io.BytesIO(self.there.read(f"tables/{number}/{item['path']}")))
            rows += [{**row, "folder": item["path"].partition("/")[0]} for row in table.to_pylist()]
        return "\n".join(map(str, sorted(rows, key=lambda row: row["id"]))).encode()

    def unlisted(self) -> set[str]:
        """Objects that no manifest lists."""
        keys = {*self.there.keys()}
        for manifest in [key for key in keys if key.endswith(".manifest.json")]:
            top = manifest.removesuffix(".manifest.json")
            keys -= {manifest, *(f"{top}/{item['path']}" for item in json.loads(self.there.read(manifest))["files"])}
        return keys
