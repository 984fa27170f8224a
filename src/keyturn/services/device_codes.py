"""Codes for signing in on another device (RFC 8628): asked for here, kept sealed with the attempt, shown to people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from keyturn import redaction
from keyturn.encryption import AssociatedData
from keyturn.oauth.device import (
    DeviceAuthorization,
    device_authorization_request,
    device_token_request,
    process_device_authorization_response,
)
from keyturn.oauth.errors import OAuthError
from keyturn.oauth.tokens import TokenSet
from keyturn.services import client_secrets, refusals, token_requests
from keyturn.services.context import Context
from keyturn.services.oauth_clients import Registration

# A server may give a code for longer; nobody waits for longer.
MOST_SECONDS = 1800.0


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """What a person needs: the page to open and the code to enter there; `complete` is the page with the code in it."""

    user_code: str = field(repr=False)
    verification_uri: str
    verification_uri_complete: str | None = field(default=None, repr=False)


async def ask(ctx: Context, registration: Registration, scopes: Sequence[str]) -> DeviceAuthorization:
    """A code for one sign-in (§3.1, §3.2). Raises `ClientRefused`, `UpstreamError` in our words."""
    make = partial(
        device_authorization_request,
        registration.server,
        scopes=scopes,
        advanced=registration.client.settings.advanced,
    )
    try:
        answered = await token_requests.ask(
            ctx,
            registration,
            registration.ways(),
            make,
            process_device_authorization_response,
            timeout_seconds=ctx.deployment.refresh.deadline_seconds,
        )
    except OAuthError as error:
        raise await refusals.in_our_words(ctx, error, registration) from None
    await client_secrets.worked(ctx, registration, answered.way)
    redaction.remember(answered.found.device_code)
    return answered.found


async def poll(ctx: Context, registration: Registration, row: dict[str, Any]) -> token_requests.Answered[TokenSet]:
    """Ask once for the tokens (§3.4). Raises `OAuthError` and `UpstreamError` as they are: most mean to wait."""
    make = partial(
        device_token_request,
        registration.server,
        device_code=_opened(ctx, row)["device_code"],
        advanced=registration.client.settings.advanced,
    )
    return await token_requests.tokens(
        ctx,
        registration,
        registration.refresh_ways(),
        make,
        dpop_key=token_requests.new_dpop_key(registration),
        timeout_seconds=ctx.deployment.refresh.deadline_seconds,
    )


def sealed(ctx: Context, found: DeviceAuthorization, row: dict[str, Any]) -> bytes:
    """Everything that was answered, for the row of the attempt."""
    return ctx.keyring.seal(json.dumps(asdict(found)), ad=_ad(ctx, row))


def shown(ctx: Context, row: dict[str, Any]) -> DeviceCode:
    """What the person who waits is told, also after a restart."""
    found = _opened(ctx, row)
    return DeviceCode(found["user_code"], found["verification_uri"], found["verification_uri_complete"])


def _opened(ctx: Context, row: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ctx.keyring.open(row["device_sealed"], ad=_ad(ctx, row)))
    redaction.remember(found["device_code"])
    return found


def _ad(ctx: Context, row: dict[str, Any]) -> AssociatedData:
    return AssociatedData(ctx.workspace_id, "authorizations", row["id"], "device_sealed")
