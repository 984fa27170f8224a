"""Webhooks: make, change, test, replace the secret, delete. Workspace Admins; the secret is shown once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from keyturn import redaction
from keyturn.egress import check_literal
from keyturn.errors import Conflict, Invalid, NotFound, UpstreamError
from keyturn.model.deliveries import Delivery
from keyturn.model.ids import new_id
from keyturn.model.validation import merged, parse
from keyturn.model.webhooks import Webhook, WebhookSettings, new_secret
from keyturn.services import audit
from keyturn.services.context import Context
from keyturn.services.deliveries import secret_ad
from keyturn.storage import deliveries as delivery_rows
from keyturn.storage import webhooks as rows

if TYPE_CHECKING:
    from keyturn.storage.database import Tx

MOST = 20
# So long the secret before the new one signs too, so that a receiver can change over without a gap.
OLD_SECRET_SECONDS = 86400.0
_NONE = "There is no such webhook in this workspace."


async def create(ctx: Context, raw: Mapping[str, Any]) -> tuple[Webhook, str]:
    """A new webhook and its secret, which is shown this once. Raises `Invalid`, also for a private address."""
    ctx.require("workspace:admin")
    settings = parse(WebhookSettings, raw)
    _check(ctx, settings)
    webhook_id, secret, now = new_id("wh"), new_secret(), ctx.clock()
    redaction.remember(secret)
    values = {
        "id": webhook_id,
        "settings": settings.model_dump(mode="json"),
        "secret_sealed": ctx.keyring.seal(secret, ad=secret_ad(ctx.workspace_id, webhook_id, "secret_sealed")),
        "created_at": now,
        "updated_at": now,
    }

    def write(tx: Tx) -> None:
        if len(rows.all_of(tx, ctx.workspace_id)) >= MOST:
            raise Conflict(f"There are {MOST} webhooks. Delete one that is no longer used first.")
        rows.insert(tx, ctx.workspace_id, values)
        audit.record(tx, ctx, "webhook.created", webhook_id, name=settings.name, url=redaction.url(settings.url))

    await ctx.database.run(write)
    return await get(ctx, webhook_id), secret


async def list_(ctx: Context) -> list[Webhook]:
    """The workspace's webhooks."""
    ctx.require("workspace:admin")
    return await ctx.database.read(rows.all_of, ctx.workspace_id)


async def get(ctx: Context, webhook_id: str) -> Webhook:
    """One webhook. Raises `NotFound`."""
    ctx.require("workspace:admin")
    found = await ctx.database.read(rows.get, ctx.workspace_id, webhook_id)
    if found is None:
        raise NotFound(_NONE)
    return found


async def update(ctx: Context, webhook_id: str, patch: Mapping[str, Any]) -> Webhook:
    """JSON merge patch. Raises `Invalid`, `NotFound`."""
    webhook = await get(ctx, webhook_id)
    settings = merged(WebhookSettings, webhook.settings, patch)
    _check(ctx, settings)

    def write(tx: Tx) -> None:
        values = {"settings": settings.model_dump(mode="json"), "updated_at": ctx.clock()}
        rows.update(tx, ctx.workspace_id, webhook_id, values)
        audit.record(tx, ctx, "webhook.changed", webhook_id, name=settings.name, fields=sorted(patch))

    await ctx.database.run(write)
    return await get(ctx, webhook_id)


async def replace_secret(ctx: Context, webhook_id: str) -> tuple[Webhook, str]:
    """A new secret, shown this once; the old one signs beside it for a day."""
    await get(ctx, webhook_id)
    secret = new_secret()
    redaction.remember(secret)

    def write(tx: Tx) -> None:
        old = rows.sealed(tx, ctx.workspace_id, webhook_id, ctx.clock()).get("secret_sealed")
        if old is None:
            raise NotFound(_NONE)
        before = ctx.keyring.open(old, ad=secret_ad(ctx.workspace_id, webhook_id, "secret_sealed"))
        values = {
            "secret_sealed": ctx.keyring.seal(secret, ad=secret_ad(ctx.workspace_id, webhook_id, "secret_sealed")),
            "old_secret_sealed": ctx.keyring.seal(
                before, ad=secret_ad(ctx.workspace_id, webhook_id, "old_secret_sealed")
            ),
            "old_until": ctx.clock() + OLD_SECRET_SECONDS,
            "updated_at": ctx.clock(),
        }
        rows.update(tx, ctx.workspace_id, webhook_id, values)
        audit.record(tx, ctx, "webhook.secret_replaced", webhook_id)

    await ctx.database.run(write)
    return await get(ctx, webhook_id), secret


async def delete(ctx: Context, webhook_id: str) -> None:
    """Delete it with what waits for it. Raises `NotFound`."""
    webhook = await get(ctx, webhook_id)

    def write(tx: Tx) -> None:
        rows.delete(tx, ctx.workspace_id, webhook_id)
        delivery_rows.delete_of_target(tx, ctx.workspace_id, webhook_id)
        audit.record(tx, ctx, "webhook.deleted", webhook_id, name=webhook.name)

    await ctx.database.run(write)


async def test(ctx: Context, webhook_id: str) -> Delivery:
    """Put a test message into its outbox; how it went is in the delivery log. Raises `NotFound`, `Conflict` if off."""
    webhook = await get(ctx, webhook_id)
    if not webhook.settings.enabled:
        raise Conflict(f"{webhook.name} is off. Switch it on first.")
    at = datetime.fromtimestamp(ctx.clock(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    words = f"{ctx.actor.name or 'Somebody'} asked for a test."
    body = {"type": "webhook.test", "timestamp": at, "data": {"title": "A test", "message": words}}
    values = {"id": new_id("msg"), "channel": "webhook", "target_id": webhook_id, "event": "webhook.test"}

    def write(tx: Tx) -> Delivery:
        delivery_rows.insert(tx, ctx.workspace_id, {**values, "body": body, "created_at": ctx.clock()})
        audit.record(tx, ctx, "webhook.tested", webhook_id)
        return delivery_rows.newest(tx, ctx.workspace_id, channel="webhook", target_id=webhook_id, limit=1)[0]

    return await ctx.database.run(write)


async def deliveries(ctx: Context, webhook_id: str, *, limit: int = 100) -> list[Delivery]:
    """Its newest messages and how they went. Raises `NotFound`."""
    await get(ctx, webhook_id)
    return await ctx.database.read(
        delivery_rows.newest, ctx.workspace_id, channel="webhook", target_id=webhook_id, limit=limit
    )


def _check(ctx: Context, settings: WebhookSettings) -> None:
    try:
        check_literal(settings.url, ctx.egress.allowed)
    except UpstreamError as error:
        raise Invalid(error.message, at="url", message_code=error.message_code) from None
