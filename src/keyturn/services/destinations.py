"""Destinations that imports may write to: Workspace Admins make them; whoever runs imports may choose them."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from keyturn import redaction
from keyturn.destinations import postgresql
from keyturn.destinations.destination import Away
from keyturn.destinations.postgresql import Server
from keyturn.egress import addresses_of, authorities_file, check_literal
from keyturn.encryption import AssociatedData
from keyturn.errors import Conflict, Invalid, NotFound, UpstreamError
from keyturn.model.destinations import DestinationPassword, DestinationSettings, SavedDestination, parted
from keyturn.model.ids import new_id
from keyturn.model.validation import merged, parse
from keyturn.services import audit
from keyturn.services.context import Context
from keyturn.storage import destinations as rows
from keyturn.storage import imports as import_rows
from keyturn.storage import schedules as schedule_rows

if TYPE_CHECKING:
    from keyturn.storage.database import Tx

MOST = 50
_NONE = "There is no such destination in this workspace."


async def create(ctx: Context, raw: Mapping[str, Any]) -> SavedDestination:
    """Make one. Nothing is connected to yet: `test` does. Raises `Invalid`, `Conflict` (name)."""
    ctx.require("workspace:admin")
    fields, given = parted(raw)
    settings = parse(DestinationSettings, fields)
    password = _password(given)
    _check(ctx, settings)
    destination_id, now = new_id("ds"), ctx.clock()
    values = {"id": destination_id, "created_at": now, **_columns(ctx, destination_id, settings, password)}

    def write(tx: Tx) -> None:
        there = rows.all_of(tx, ctx.workspace_id)
        if len(there) >= MOST:
            raise Conflict(f"There are {MOST} destinations. Delete one that is no longer used first.")
        _check_name(there, settings.name)
        rows.insert(tx, ctx.workspace_id, values)
        audit.record(tx, ctx, "destination.created", destination_id, name=settings.name, url=settings.url)

    await ctx.database.run(write)
    return await get(ctx, destination_id)


async def list_(ctx: Context) -> list[SavedDestination]:
    """The workspace's destinations, by name."""
    ctx.require("imports:run")
    return await ctx.database.read(rows.all_of, ctx.workspace_id)


async def get(ctx: Context, destination_id: str) -> SavedDestination:
    """One destination. Raises `NotFound`."""
    ctx.require("imports:run")
    found = await ctx.database.read(rows.get, ctx.workspace_id, destination_id)
    if found is None:
        raise NotFound(_NONE)
    return found


async def update(ctx: Context, destination_id: str, patch: Mapping[str, Any]) -> SavedDestination:
    """JSON merge patch; without `password` the old one stays, unless the connection string leads elsewhere.

    Raises `Invalid`, `Conflict`.
    """
    ctx.require("workspace:admin")
    before = await get(ctx, destination_id)
    fields, given = parted(patch)
    settings = merged(DestinationSettings, before.settings, fields)
    _check(ctx, settings)
    moved = settings.address != before.settings.address
    if moved and before.has_password and given is None:
        # Else whoever may change the host could have the old password sent to one of their own.
        raise Invalid("The connection string leads elsewhere now. Enter the password again.", at="password")
    values = _columns(ctx, destination_id, settings, None if given is None else _password(given))

    def write(tx: Tx) -> None:
        _check_name([item for item in rows.all_of(tx, ctx.workspace_id) if item.id != destination_id], settings.name)
        if not rows.update(tx, ctx.workspace_id, destination_id, values):
            raise NotFound(_NONE)
        audit.record(tx, ctx, "destination.changed", destination_id, name=settings.name, fields=sorted(patch))

    await ctx.database.run(write)
    return await get(ctx, destination_id)


async def delete(ctx: Context, destination_id: str) -> None:
    """Delete it; its tables stay. Raises `NotFound`, `Conflict` while a schedule or an unfinished import uses it."""
    ctx.require("workspace:admin")
    found = await get(ctx, destination_id)

    def write(tx: Tx) -> None:
        planned = [s.name for s in schedule_rows.all_of(tx, ctx.workspace_id)
                   if s.settings.destination.destination_id == destination_id]  # fmt: skip
        if planned:
            raise Conflict(f"{found.name} is where the schedule {planned[0]} writes. Change that first.")
        if destination_id in import_rows.destinations_at_work(tx, ctx.workspace_id):
            raise Conflict(f"An import to {found.name} is under way. Cancel it, or wait for its end.")
        rows.delete(tx, ctx.workspace_id, destination_id)
        audit.record(tx, ctx, "destination.deleted", destination_id, name=found.name)

    await ctx.database.run(write)


async def test(ctx: Context, destination_id: str) -> str:
    """Connect, and see whether tables may be made; answers the server's version. Raises what stands in the way."""
    ctx.require("workspace:admin")
    found = await get(ctx, destination_id)
    server, result = await server_of(ctx, found), "failed"
    try:
        version = await asyncio.to_thread(postgresql.look, server, found.settings.db_schema)
        result = "ok"
    except (Away, UpstreamError) as error:
        raise Conflict(str(error), message_code=getattr(error, "message_code", None)) from None
    finally:
        await ctx.database.run(audit.record, ctx, "destination.tested", destination_id, result=result)
    return version


async def server_of(ctx: Context, found: SavedDestination) -> Server:
    """How its server is reached, with the password opened, and every address looked at by the guard."""
    sealed = await ctx.database.read(rows.sealed, found.workspace_id, found.id)
    password = "" if sealed is None else ctx.keyring.open(sealed, ad=_ad(found.workspace_id, found.id))
    redaction.remember(password)
    address = found.settings.address
    ca_file = await asyncio.to_thread(authorities_file, ctx.egress.settings.ca_file, ctx.deployment.data_dir)
    return Server(
        host=address.host,
        port=address.port,
        database=address.database,
        user=address.user,
        password=password,
        tls=address.tls,  # type: ignore[arg-type]  # pyrefly: ignore
        addresses=functools.partial(addresses_of, address.host, address.port, ctx.egress.allowed),
        ca_file=ca_file,
    )


def _columns(ctx: Context, destination_id: str, settings: DestinationSettings, password: str | None) -> dict[str, Any]:
    values: dict[str, Any] = {
        "name": settings.name,
        "settings": settings.model_dump(mode="json", by_alias=True),
        "updated_at": ctx.clock(),
    }
    if password is not None:
        sealed = ctx.keyring.seal(password, ad=_ad(ctx.workspace_id, destination_id)) if password else None
        values["password_sealed"] = sealed
    return values


def _password(given: Any) -> str:
    password = parse(DestinationPassword, {} if given is None else {"password": given}).password
    redaction.remember(password)
    return password


def _check_name(others: list[SavedDestination], name: str) -> None:
    if any(item.name == name for item in others):
        raise Conflict(f"{name} is taken. Choose a different name.", at="name")


def _check(ctx: Context, settings: DestinationSettings) -> None:
    """What the address says by itself; where it leads is looked at whenever it is connected to."""
    address = settings.address
    host = f"[{address.host}]" if ":" in address.host else address.host
    try:
        check_literal(f"https://{host}:{address.port}/", ctx.egress.allowed)
    except UpstreamError as error:
        raise Invalid(error.message, at="url", message_code=error.message_code) from None
    if address.tls != "verify-full" and not ctx.egress.allowed.allows(address.host, address.port):
        raise Invalid(
            f"sslmode={address.tls} only works for hosts the operator allows. Without it the certificate is checked.",
            at="url",
        )


def _ad(workspace_id: str, destination_id: str) -> AssociatedData:
    return AssociatedData(workspace_id, "destinations", destination_id, "password_sealed")
