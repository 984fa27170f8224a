"""Destinations that imports may write to: Workspace Admins make them; whoever runs imports may choose them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from keyturn import redaction
from keyturn.destinations.destination import Away
from keyturn.egress import check_literal
from keyturn.errors import Conflict, Invalid, NotFound, UpstreamError
from keyturn.model.destinations import DestinationPassword, DestinationSettings, SavedDestination, parted
from keyturn.model.ids import new_id
from keyturn.model.object_stores import azure_secret_of, is_sas, sas_ends_at, service_account_of
from keyturn.model.validation import merged, parse
from keyturn.services import audit, destination_servers
from keyturn.services.context import Context
from keyturn.services.destination_servers import associated
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
    _check_secret(ctx, settings, password)
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
    if settings.type != before.settings.type:
        raise Invalid("A destination keeps its kind. Make another one.", at="type")
    if given is not None:
        _check_secret(ctx, settings, _password(given))
    if settings.who != before.settings.who and before.has_password and given is None:
        # Else whoever may change the host could have the old password sent to one of their own.
        raise Invalid("The address leads elsewhere now. Enter the password again.", at="password")
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
                   if s.destination_id == destination_id]  # fmt: skip
        if planned:
            raise Conflict(f"{found.name} is where the schedule {planned[0]} writes. Change that first.")
        if destination_id in import_rows.destinations_at_work(tx, ctx.workspace_id):
            raise Conflict(f"An import to {found.name} is under way. Cancel it, or wait for its end.")
        rows.delete(tx, ctx.workspace_id, destination_id)
        audit.record(tx, ctx, "destination.deleted", destination_id, name=found.name)

    await ctx.database.run(write)


async def test(ctx: Context, destination_id: str) -> tuple[str | None, str]:
    """Reach it and do what an import would; answers a database's version, and what came of it in a sentence.

    Raises what stands in the way.
    """
    ctx.require("workspace:admin")
    found = await get(ctx, destination_id)
    result = "failed"
    try:
        said = await destination_servers.try_out(ctx, found)
        result = "ok"
    except (Away, UpstreamError) as error:
        raise Conflict(str(error), message_code=getattr(error, "message_code", None)) from None
    except Invalid as error:
        raise Conflict(error.problems[0].message if error.problems else error.message) from None
    finally:
        await ctx.database.run(audit.record, ctx, "destination.tested", destination_id, result=result)
    return said


def _columns(ctx: Context, destination_id: str, settings: DestinationSettings, password: str | None) -> dict[str, Any]:
    values: dict[str, Any] = {
        "name": settings.name,
        "settings": settings.model_dump(mode="json", by_alias=True),
        "updated_at": ctx.clock(),
    }
    if password is not None:
        sealed = ctx.keyring.seal(password, ad=associated(ctx.workspace_id, destination_id)) if password else None
        values["password_sealed"] = sealed
    return values


def _password(given: Any) -> str:
    password = parse(DestinationPassword, {} if given is None else {"password": given}).password
    redaction.remember(password)
    return password


def _check_name(others: list[SavedDestination], name: str) -> None:
    if any(item.name == name for item in others):
        raise Conflict(f"{name} is taken. Choose a different name.", at="name")


def _check_secret(ctx: Context, settings: DestinationSettings, password: str) -> None:
    if settings.type == "s3" and not password:
        raise Invalid("Enter the secret access key.", at="password")
    if settings.type == "gcs":
        try:
            account = service_account_of(password)
        except ValueError as error:
            raise Invalid(str(error), at="password") from None
        # Where the file says that tokens are given: an assertion goes there, and it is looked at whenever it is sent.
        _check_address(ctx, account["token_uri"], at="password")
    if settings.type == "azure":
        _check_azure_secret(ctx, password)


def _check_azure_secret(ctx: Context, password: str) -> None:
    try:
        secret = azure_secret_of(password)
    except ValueError as error:
        raise Invalid(str(error), at="password") from None
    ends_at = sas_ends_at(secret) if is_sas(secret) else None
    if ends_at is not None and ends_at.timestamp() <= ctx.clock():
        raise Invalid(f"This SAS token ended at {ends_at:%Y-%m-%d %H:%M} UTC. Enter another one.", at="password")


def _check(ctx: Context, settings: DestinationSettings) -> None:
    """What the address says by itself; where it leads is looked at whenever it is connected to."""
    if settings.is_bucket:
        _check_address(ctx, settings.store_url, at="endpoint")
        return
    address = settings.address
    host = f"[{address.host}]" if ":" in address.host else address.host
    _check_address(ctx, f"https://{host}:{address.port}/", at="url")
    if address.tls != "verify-full" and not ctx.egress.allowed.allows(address.host, address.port):
        raise Invalid(
            f"sslmode={address.tls} only works for hosts the operator allows. Without it the certificate is checked.",
            at="url",
        )


def _check_address(ctx: Context, url: str, *, at: str) -> None:
    try:
        check_literal(url, ctx.egress.allowed)
    except UpstreamError as error:
        raise Invalid(error.message, at=at, message_code=error.message_code) from None
