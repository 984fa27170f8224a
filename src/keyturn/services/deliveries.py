"""Deliveries: what the outbox holds is sent, tried again with growing pauses, and given up where people see it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
import structlog
from prometheus_client import Counter

from keyturn import redaction
from keyturn.encryption import AssociatedData
from keyturn.errors import KeyturnError, NotFound, Unavailable, UpstreamError
from keyturn.model.deliveries import Delivery, pause_seconds
from keyturn.model.webhooks import signed_headers
from keyturn.services import audit
from keyturn.services.context import Context
from keyturn.storage import accounts as account_rows
from keyturn.storage import deliveries as rows
from keyturn.storage import webhooks as webhook_rows
from keyturn.wire import Headers, Request

if TYPE_CHECKING:
    from keyturn.storage.database import Tx

log = structlog.get_logger(__name__)

# Longer than any one message may take, so that nobody sends one that is still under way.
LEASE_SECONDS = 90.0
TIMEOUT_SECONDS = 20.0
AT_ONCE = 8
KEPT_SECONDS = 90 * 86400.0
_ANSWER_MAX_BYTES = 64 * 1024
_GONE = 410
sent = Counter("keyturn_deliveries_total", "Messages by channel and how an attempt ended", ["channel", "outcome"])


class _Over(UpstreamError):
    """Trying again is of no use."""


async def send_due(scene: Context) -> int:
    """Claim what is due and send it; answers how many messages that were."""
    if not await scene.database.read(rows.is_due_anywhere):
        return 0
    claimed = await scene.database.run(
        rows.claim_anywhere, owner=scene.deployment.owner, seconds=LEASE_SECONDS, limit=AT_ONCE
    )
    await asyncio.gather(*(_deliver(scene, delivery, epoch) for delivery, epoch in claimed))
    return len(claimed)


async def again(ctx: Context, target_id: str, delivery_id: str) -> None:
    """Send one of a receiver's that was given up once more. Raises `NotFound`."""
    ctx.require("workspace:admin")

    def write(tx: Tx) -> None:
        if not rows.again(tx, ctx.workspace_id, target_id, delivery_id):
            raise NotFound("There is no message that was given up under this id.")
        audit.record(tx, ctx, "delivery.sent_again", delivery_id)

    await ctx.database.run(write)


async def prune(scene: Context) -> int:
    """Remove messages that were delivered or given up 90 days ago."""
    return await scene.database.run(rows.prune_anywhere, scene.clock() - KEPT_SECONDS)


async def _deliver(scene: Context, delivery: Delivery, epoch: int) -> None:
    send = _mail if delivery.channel == "email" else _post
    error: KeyturnError | None = None
    try:
        await send(scene, delivery)
    except KeyturnError as failure:
        error = failure
    except Exception:
        log.exception("delivery_failed", delivery=delivery.id, channel=delivery.channel)
        error = UpstreamError("Something of ours failed; it is in the log.")
    await _note(scene, delivery, epoch, error)


async def _note(scene: Context, delivery: Delivery, epoch: int, error: KeyturnError | None) -> None:
    now, pause = scene.clock(), None
    if error is None:
        outcome = "delivered"
        values: dict[str, Any] = {"state": "delivered", "last_error": None, "finished_at": now}
    else:
        over = isinstance(error, _Over) or error.details.get("permanent") is True
        pause = None if over else pause_seconds(delivery.attempts)
        outcome = "given_up" if pause is None else "failed"
        values = {"last_error": redaction.text(error.message, limit=300)}
        if pause is None:
            values |= {"state": "given_up", "finished_at": now}
    sent.labels(delivery.channel, outcome).inc()
    told = {"channel": delivery.channel, "event_name": delivery.event, "attempts": delivery.attempts}
    say = log.warning if outcome == "given_up" else log.info
    say("delivery_attempt", delivery=delivery.id, outcome=outcome, **told)
    try:
        await scene.database.run(
            rows.finish, delivery.workspace_id, delivery.id, epoch, values=values, pause_seconds=pause
        )
    except Unavailable:
        # It is sent again when the lease is over: a receiver knows it by its id.
        log.warning("delivery_not_noted", delivery=delivery.id)


async def _mail(scene: Context, delivery: Delivery) -> None:
    member = await scene.database.read(account_rows.member, delivery.workspace_id, delivery.target_id)
    if member is None:
        raise _Over("They are no member of this workspace any more.")
    body = delivery.body
    await scene.egress.mail.send(to=member.email, subject=body["subject"], text=body["text"], message_id=delivery.id)


async def _post(scene: Context, delivery: Delivery) -> None:
    def fetch(tx: Tx) -> tuple[str, dict[str, bytes]] | None:
        webhook = webhook_rows.get(tx, delivery.workspace_id, delivery.target_id)
        if webhook is None or not webhook.settings.enabled:
            return None
        secrets = webhook_rows.sealed(tx, delivery.workspace_id, webhook.id, scene.clock())
        return webhook.settings.url, secrets

    found = await scene.database.read(fetch)
    if found is None:
        raise _Over("The webhook was switched off or deleted.")
    url, sealed = found
    opened = [
        scene.keyring.open(value, ad=secret_ad(delivery.workspace_id, delivery.target_id, column))
        for column, value in sealed.items()
    ]
    redaction.remember(*opened)
    body = orjson.dumps(delivery.body, option=orjson.OPT_SORT_KEYS)
    headers = signed_headers(opened, message_id=delivery.id, at=int(scene.clock()), body=body)
    answer = await scene.egress.send(
        Request("POST", url, Headers(headers), body), timeout_seconds=TIMEOUT_SECONDS, max_bytes=_ANSWER_MAX_BYTES
    )
    if answer.status == _GONE:
        await _switch_off(scene, delivery)
        raise _Over("It answered 410 Gone, so the webhook was switched off.")
    if not 200 <= answer.status < 300:
        raise UpstreamError(f"It answered {answer.status}.")


async def _switch_off(scene: Context, delivery: Delivery) -> None:
    def write(tx: Tx) -> None:
        webhook = webhook_rows.get(tx, delivery.workspace_id, delivery.target_id)
        if webhook is not None:
            settings = webhook.settings.model_copy(update={"enabled": False})
            values = {"settings": settings.model_dump(mode="json"), "updated_at": scene.clock()}
            webhook_rows.update(tx, delivery.workspace_id, webhook.id, values)

    await scene.database.run(write)


def secret_ad(workspace_id: str, webhook_id: str, column: str) -> AssociatedData:
    """The place a webhook's secret is sealed for."""
    return AssociatedData(workspace_id, "webhooks", webhook_id, column)
