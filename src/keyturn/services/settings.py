"""Settings of the workspace and what the operator set, for Workspace Admins; and whether mail arrives."""

from __future__ import annotations

from dataclasses import dataclass

from keyturn.model.deliveries import Delivery
from keyturn.model.ids import new_id
from keyturn.model.settings import OperatorSetting
from keyturn.services import audit
from keyturn.services.context import Context
from keyturn.storage import deliveries as delivery_rows


@dataclass(frozen=True, slots=True)
class Mail:
    """The mail server as it is set up: `server` is host:port, None if there is none."""

    server: str | None
    sender: str | None


@dataclass(frozen=True, slots=True)
class Everything:
    """What the Settings page shows besides webhooks."""

    mail: Mail
    operator: tuple[OperatorSetting, ...]


def get(ctx: Context) -> Everything:
    """The settings. Raises `Forbidden`."""
    ctx.require("workspace:admin")
    found = ctx.egress.mail.settings
    mail = Mail(None, None) if found is None else Mail(found.address, found.sender)
    return Everything(mail, ctx.deployment.operator)


async def test_mail(ctx: Context) -> str:
    """Send a message to the actor now; answers their address. Raises `Invalid`, `UpstreamError` with the sentence."""
    ctx.require("workspace:admin")
    to, result = ctx.actor.email, "failed"
    text = f"{ctx.actor.name} asked Keyturn at {ctx.deployment.public_url} for a test. Mail arrives.\n"
    try:
        await ctx.egress.mail.send(to=to, subject="A test from Keyturn", text=text, message_id=new_id("msg"))
        result = "ok"
    finally:
        await ctx.database.run(audit.record, ctx, "workspace.mail_tested", ctx.workspace_id, result=result)
    return to


async def mail_log(ctx: Context, *, limit: int = 50) -> list[Delivery]:
    """The newest messages by mail and how they went."""
    ctx.require("workspace:admin")
    return await ctx.database.read(delivery_rows.newest, ctx.workspace_id, channel="email", limit=limit)
