"""How a destination's server is reached: its secret opened, its address looked at by the guard each time."""

from __future__ import annotations

import asyncio
import functools
from typing import Any, Literal

from keyturn import redaction
from keyturn.destinations import objects, postgresql
from keyturn.destinations.postgresql import Server
from keyturn.egress import addresses_of, authorities_file
from keyturn.encryption import AssociatedData
from keyturn.model.destinations import DestinationSettings, SavedDestination
from keyturn.model.object_stores import azure_secret_of, is_sas, service_account_of, signature_of
from keyturn.services.context import Context
from keyturn.services.destination_threads import in_thread
from keyturn.storage import destinations as rows
from keyturn.wire import Request, Response

# A part of 8 MB, or a stretch of 16 MB, on a slow line.
_REQUEST_SECONDS = 120.0


async def server_of(ctx: Context, found: SavedDestination) -> Server:
    """How a database is reached; the library connects to addresses that the guard has let through."""
    address = found.settings.address
    ca_file = await asyncio.to_thread(authorities_file, ctx.egress.settings.ca_file, ctx.deployment.data_dir)
    return Server(
        host=address.host,
        port=address.port,
        database=address.database,
        user=address.user,
        password=await _secret(ctx, found),
        tls=address.tls,  # type: ignore[arg-type]  # pyrefly: ignore
        addresses=functools.partial(addresses_of, address.host, address.port, ctx.egress.allowed),
        ca_file=ca_file,
    )


async def bucket_of(ctx: Context, found: SavedDestination) -> objects.Bucket:
    """How a bucket is reached: by requests through our own door, from the threads that destinations work in."""
    loop, settings = asyncio.get_running_loop(), found.settings

    def send(request: Request) -> Response:
        sent = ctx.egress.send(request, timeout_seconds=_REQUEST_SECONDS)
        return asyncio.run_coroutine_threadsafe(sent, loop).result()

    if settings.type == "gcs":
        account = await _account(ctx, found)
        return objects.GcsBucket(objects.GcsAccess(settings.store_url, settings.bucket.bucket, account, send))
    if settings.type == "azure":
        where = (settings.store_url, settings.account or "", settings.bucket.bucket)
        return objects.AzureBucket(objects.AzureAccess(*where, await _azure_secret(ctx, found), send))
    access = objects.S3Access(
        endpoint=settings.store_url,
        region=settings.region or "",
        bucket=settings.bucket.bucket,
        key_id=settings.access_key_id or "",
        secret=await _secret(ctx, found),
        send=send,
        addressing=_addressing(settings),
    )
    return objects.S3Bucket(access)


async def try_out(ctx: Context, found: SavedDestination) -> tuple[str | None, str]:
    """Reach it and do what an import would: (a database's version, what came of it). Raises what stands in the way."""
    if found.settings.is_bucket:
        bucket = await bucket_of(ctx, found)
        return None, await in_thread(objects.try_out, bucket, found.settings.bucket.folder)
    server = await server_of(ctx, found)
    version = await in_thread(postgresql.look, server, found.settings.db_schema or "public")
    return version, f"It takes tables (PostgreSQL {version})."


def associated(workspace_id: str, destination_id: str) -> AssociatedData:
    """What a destination's password is sealed for."""
    return AssociatedData(workspace_id, "destinations", destination_id, "password_sealed")


def _addressing(settings: DestinationSettings) -> Literal["path", "virtual", "auto"]:
    if settings.addressing is None:
        # Other servers than Amazon's seldom have a host name for each bucket.
        return "path" if settings.endpoint else "auto"
    return "path" if settings.addressing == "path" else "virtual"


async def _account(ctx: Context, found: SavedDestination) -> dict[str, Any]:
    account = service_account_of(await _secret(ctx, found))
    # Besides the whole, which it is a part of.
    redaction.remember(account["private_key"])
    return account


async def _azure_secret(ctx: Context, found: SavedDestination) -> str:
    secret = azure_secret_of(await _secret(ctx, found))
    if is_sas(secret):
        # It is in the address of every request, and in another order than it was entered.
        redaction.remember(secret, signature_of(secret))
    return secret


async def _secret(ctx: Context, found: SavedDestination) -> str:
    sealed = await ctx.database.read(rows.sealed, found.workspace_id, found.id)
    password = "" if sealed is None else ctx.keyring.open(sealed, ad=associated(found.workspace_id, found.id))
    redaction.remember(password)
    return password
