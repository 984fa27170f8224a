"""`/api/v1/webhooks`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from keyturn.model.deliveries import Delivery
from keyturn.model.webhooks import Webhook, WebhookSettings
from keyturn.services import deliveries, webhooks
from keyturn.services.context import Context
from keyturn.web.api.answers import json_answer, json_body, listed, rfc3339
from keyturn.web.auth import api_context
from keyturn.web.openapi import described

router = APIRouter(prefix="/api/v1/webhooks", tags=["Webhooks"])
Ctx = Annotated[Context, Depends(api_context)]


def shown(webhook: Webhook) -> dict[str, Any]:
    """A webhook as JSON, without its secret."""
    return {
        "id": webhook.id,
        **webhook.settings.model_dump(mode="json"),
        "given_up": webhook.given_up,
        "created_at": rfc3339(webhook.created_at),
        "updated_at": rfc3339(webhook.updated_at),
    }


def shown_delivery(delivery: Delivery) -> dict[str, Any]:
    """A message on its way as JSON; `id` is what the receiver sees as `webhook-id`."""
    return {
        "id": delivery.id,
        "event": delivery.event,
        "status": delivery.state,
        "attempts": delivery.attempts,
        "last_error": delivery.last_error,
        "body": delivery.body,
        "created_at": rfc3339(delivery.created_at),
        "next_attempt_at": rfc3339(delivery.next_attempt_at),
        "finished_at": rfc3339(delivery.finished_at),
    }


@router.post("", status_code=201, openapi_extra=described(WebhookSettings))
async def create(ctx: Ctx, request: Request) -> Response:
    """Make a webhook; the answer is the only time its secret is shown."""
    webhook, secret = await webhooks.create(ctx, await json_body(request))
    return json_answer({**shown(webhook), "secret": secret}, 201)


@router.get("")
async def list_(ctx: Ctx, limit: int | None = None, cursor: str | None = None) -> Response:
    """The workspace's webhooks."""
    return listed([shown(webhook) for webhook in await webhooks.list_(ctx)], limit=limit, cursor=cursor)


@router.get("/{webhook_id}")
async def get(ctx: Ctx, webhook_id: str) -> Response:
    """One webhook."""
    return json_answer(shown(await webhooks.get(ctx, webhook_id)))


@router.patch("/{webhook_id}", openapi_extra=described(WebhookSettings))
async def update(ctx: Ctx, webhook_id: str, request: Request) -> Response:
    """Change it by JSON merge patch; `{"enabled": false}` switches it off."""
    return json_answer(shown(await webhooks.update(ctx, webhook_id, await json_body(request))))


@router.delete("/{webhook_id}", status_code=204)
async def delete(ctx: Ctx, webhook_id: str) -> Response:
    """Delete it with its messages."""
    await webhooks.delete(ctx, webhook_id)
    return Response(status_code=204)


@router.post("/{webhook_id}/secret")
async def replace_secret(ctx: Ctx, webhook_id: str) -> Response:
    """A new secret, shown this once; the old one signs beside it for a day."""
    webhook, secret = await webhooks.replace_secret(ctx, webhook_id)
    return json_answer({**shown(webhook), "secret": secret})


@router.post("/{webhook_id}/test", status_code=202)
async def test(ctx: Ctx, webhook_id: str) -> Response:
    """Send a test message; how it went is among its deliveries."""
    return json_answer(shown_delivery(await webhooks.test(ctx, webhook_id)), 202)


@router.get("/{webhook_id}/deliveries")
async def list_deliveries(ctx: Ctx, webhook_id: str, limit: int | None = None, cursor: str | None = None) -> Response:
    """Its messages of the last 90 days and how they went, newest first."""
    found = await webhooks.deliveries(ctx, webhook_id, limit=1000)
    return listed([shown_delivery(delivery) for delivery in found], limit=limit, cursor=cursor)


@router.post("/{webhook_id}/deliveries/{delivery_id}/retry", status_code=202)
async def retry(ctx: Ctx, webhook_id: str, delivery_id: str) -> Response:
    """Send a message that was given up once more."""
    await deliveries.again(ctx, webhook_id, delivery_id)
    return Response(status_code=202)
