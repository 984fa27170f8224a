"""Webhooks for Workspace Admins: a new one with its secret, one with its settings and its delivery log."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from keyturn.errors import KeyturnError
from keyturn.model.deliveries import STATE_WORDS
from keyturn.model.notices import EVENTS
from keyturn.model.webhooks import Webhook, WebhookSettings
from keyturn.services import deliveries, webhooks
from keyturn.web import forms, rendering
from keyturn.web.auth import Visit, admin_visit, fresh_admin_visit

router = APIRouter(prefix="/admin/settings/webhooks", include_in_schema=False)
Admin = Annotated[Visit, Depends(admin_visit)]
FreshAdmin = Annotated[Visit, Depends(fresh_admin_visit)]
FIELDS = tuple(WebhookSettings.model_fields)
DONE = {
    "saved": "Saved.",
    "test": "A test message is on its way. It is the first line below; open this page again to see how it went.",
    "again": "It is sent again.",
}


@router.get("/new")
async def new(visit: Admin) -> Response:
    """The form."""
    return await _form(visit, forms.Form({"events": EVENTS}))


@router.post("/new")
async def create(request: Request, visit: Admin) -> Response:
    """Make it; this answer is the only time its secret is shown, so it is no redirect."""
    raw = _raw(await request.form())
    try:
        webhook, secret = await webhooks.create(visit.ctx, {**raw, "enabled": True})
    except forms.MENDABLE as error:
        return await _form(visit, forms.failed(error, raw, FIELDS), status=422)
    return await _detail(visit, webhook, secret=secret, status=201)


@router.get("/{webhook_id}")
async def show(visit: Admin, webhook_id: str, done: str = "") -> Response:
    """Its settings and its messages."""
    return await _detail(visit, await webhooks.get(visit.ctx, webhook_id), sentence=DONE.get(done))


@router.post("/{webhook_id}")
async def update(request: Request, visit: Admin, webhook_id: str) -> Response:
    """Save them."""
    raw = _raw(await request.form())

    async def do() -> str:
        await webhooks.update(visit.ctx, webhook_id, raw)
        return f"/admin/settings/webhooks/{webhook_id}?done=saved"

    async def again(error: KeyturnError, status: int) -> Response:
        webhook = await webhooks.get(visit.ctx, webhook_id)
        return await _detail(visit, webhook, form=forms.failed(error, raw, FIELDS), status=status)

    return await forms.attempt(do, again)


@router.post("/{webhook_id}/test")
async def test(visit: Admin, webhook_id: str) -> Response:
    """Send a test message."""

    async def do() -> str:
        await webhooks.test(visit.ctx, webhook_id)
        return f"/admin/settings/webhooks/{webhook_id}?done=test"

    async def again(error: KeyturnError, status: int) -> Response:
        webhook = await webhooks.get(visit.ctx, webhook_id)
        return await _detail(visit, webhook, error=error.message, status=status)

    return await forms.attempt(do, again)


@router.post("/{webhook_id}/secret")
async def replace_secret(visit: FreshAdmin, webhook_id: str) -> Response:
    """A new secret, shown in this answer alone."""
    webhook, secret = await webhooks.replace_secret(visit.ctx, webhook_id)
    return await _detail(visit, webhook, secret=secret)


@router.post("/{webhook_id}/deliveries/{delivery_id}/retry")
async def retry(visit: Admin, webhook_id: str, delivery_id: str) -> Response:
    """Send a message that was given up once more."""
    await deliveries.again(visit.ctx, webhook_id, delivery_id)
    return RedirectResponse(f"/admin/settings/webhooks/{webhook_id}?done=again", 303)


@router.post("/{webhook_id}/delete")
async def delete(visit: Admin, webhook_id: str) -> Response:
    """Delete it with its messages."""
    await webhooks.delete(visit.ctx, webhook_id)
    return RedirectResponse("/admin/settings?done=webhook_deleted", 303)


def _raw(form: FormData) -> dict[str, Any]:
    return {
        "name": str(form.get("name", "")),
        "url": str(form.get("url", "")),
        "events": [str(value) for value in form.getlist("events")],
        "enabled": form.get("enabled") == "yes",
    }


async def _form(visit: Visit, form: forms.Form, *, status: int = 200) -> Response:
    return await rendering.shell(
        visit,
        "settings/webhook_new.html",
        active="settings",
        status=status,
        form=form,
        labels=forms.labels(WebhookSettings),
        events=EVENTS,
    )


async def _detail(
    visit: Visit,
    webhook: Webhook,
    *,
    form: forms.Form | None = None,
    secret: str | None = None,
    sentence: str | None = None,
    error: str | None = None,
    status: int = 200,
) -> Response:
    return await rendering.shell(
        visit,
        "settings/webhook.html",
        active="settings",
        status=status,
        webhook=webhook,
        form=form or forms.Form(webhook.settings.model_dump(mode="json")),
        labels=forms.labels(WebhookSettings),
        events=EVENTS,
        secret=secret,
        sentence=sentence,
        error=error,
        deliveries=await webhooks.deliveries(visit.ctx, webhook.id, limit=50),
        state_words=STATE_WORDS,
    )
