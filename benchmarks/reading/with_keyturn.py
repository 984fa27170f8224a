"""An import of Keyturn's as one process: `with_keyturn.py prepare URL STYLE`, then `with_keyturn.py import`.

`with_keyturn.py read FILE` reads the same rows into a Parquet file without making any page durable on its way.

It stands where `keyturn serve` and its worker stand: embedded SQLite, the guarded way out, a sealed credential, a
durable import with its stamp. Only the HTTP API in front is left out, since nobody asks anything here.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import structlog
import uvloop

from keyturn.server import ground
from keyturn.server.config import read_config
from keyturn.services.context import Context

PAGINATION = {
    "cursor": {"type": "cursor", "cursor_path": "$.next_cursor", "cursor_param": "cursor"},
    "offset": {"type": "offset", "offset_param": "offset", "limit": 1000, "total_path": "$.total"},
    "page": {"type": "page_number", "page_param": "page", "total_pages_path": "$.total_pages"},
}
# The first line of the operator's log would be in the measure otherwise.
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))


@asynccontextmanager
async def member() -> AsyncIterator[Context]:
    """The context of the first Workspace Admin."""
    from keyturn.services import api_tokens

    config = read_config(os.environ)
    async with ground.stand(config) as here:
        scene = here.scene
        actor, workspace_id = await api_tokens.actor_of(scene.database, config.bootstrap_api_token, now=time.time())
        yield replace(scene, actor=actor, workspace_id=workspace_id)


async def prepare(url: str, style: str) -> None:
    """A deployment with one connection and one table that has been looked at once, as before any import."""
    from keyturn.services import accounts, connections, tables

    config = read_config(os.environ)
    async with ground.stand(config) as here:
        await accounts.bootstrap(
            here.scene.database,
            email=config.bootstrap_email,
            password=config.bootstrap_password,
            api_token=config.bootstrap_api_token,
            now=time.time(),
        )
    base, _, query = url.partition("?")
    base_url, _, path = base.partition("/" + style)
    async with member() as ctx:
        auth = {"type": "bearer", "token": "bench"}
        made = await connections.create(ctx, {"name": "bench", "base_url": base_url, "auth": auth, "access": "only_me"})
        table = await tables.create(
            ctx,
            {
                "connection_id": made.id,
                "name": "rows",
                "path": f"/{style}{path}",
                "query": dict(pair.split("=") for pair in query.split("&")),
                "rows_path": "$.data",
                "pagination": PAGINATION[style],
            },
        )
        await tables.refresh_schema(ctx, table.id)


async def import_() -> None:
    """Read the table into a Parquet file; a JSON line says what was done."""
    from keyturn.services import import_runs, imports, tables

    async with member() as ctx:
        table = (await tables.list_(ctx))[0]
        asked = {"table_id": table.id, "destination": {"type": "parquet", "url": "rows.parquet"}}
        item = await imports.create(ctx, asked)
        ((claimed, epoch),) = await import_runs.claim(ctx)
        await import_runs.run(ctx, claimed, epoch)
        done = await imports.get(ctx, item.id)
    print(json.dumps({"rows": done.rows}))


async def read(place: str) -> None:
    """Read the table as `GET /tables/{id}/rows?format=parquet` does: one stream, which begins anew after a crash."""
    # A program that imports has these modules loaded too: what is compared is the work, not what is loaded for it.
    from keyturn.services import import_runs, imports, reads, rows_out, tables  # noqa: F401

    async with member() as ctx:
        table = (await tables.list_(ctx))[0]
        stream = await rows_out.begin(ctx, table.id, format="parquet")
        with Path(place).open("wb") as file:  # noqa: ASYNC230 - nothing else is served here
            async for chunk in stream.chunks:
                file.write(chunk)
        stamp = await reads.stamp(ctx, stream.read_id)
    print(json.dumps({"rows": stamp["completeness"]["rows"]}))


if __name__ == "__main__":
    if sys.argv[1] == "prepare":
        asyncio.run(prepare(*sys.argv[2:]))
    elif sys.argv[1] == "read":
        uvloop.run(read(sys.argv[2]))
    else:
        uvloop.run(import_())
