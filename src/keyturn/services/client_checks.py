"""*Check client*: the Token URL is asked with a made-up code. `invalid_grant` means that it knows this client."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keyturn import redaction
from keyturn.errors import Invalid, UpstreamError
from keyturn.model.oauth_clients import NewOAuthClient, OAuthClient
from keyturn.model.validation import parse
from keyturn.oauth.client_auth import ClientCredentials
from keyturn.oauth.errors import OAuthError
from keyturn.oauth.grants import made_up_code_request
from keyturn.oauth.tokens import process_token_response
from keyturn.services import oauth_clients
from keyturn.services.context import Context
from keyturn.services.oauth_clients import Registration
from keyturn.wire import Request, Response

CHECK_SECONDS = 15.0
_STYLE = {"basic": "as Basic header", "post": "in the request body", "none": "not at all (PKCE only)"}
# The client was recognised: only the code was wrong.
_ACCEPTED = frozenset({"invalid_grant"})
_REFUSED = frozenset({"invalid_client", "unauthorized_client"})


@dataclass(frozen=True, slots=True)
class CheckResult:
    """`verdict` is accepted, refused or unknown; `sentence` says it; `exchange` is redacted for *Show request*."""

    verdict: str
    sentence: str
    style: str | None
    elapsed_ms: int
    exchange: dict[str, Any] | None


async def check(ctx: Context, client_id: str) -> CheckResult:
    """Check a registered client with its stored secret, and remember the style that worked."""
    ctx.require("clients:write")
    registration = await oauth_clients.registration(ctx, client_id)
    result = await _check(ctx, registration)
    if result.verdict == "accepted" and result.style and registration.client.token_auth != result.style:
        await oauth_clients.remember_token_auth(ctx, client_id, result.style)
    return result


async def check_draft(ctx: Context, raw: Mapping[str, Any]) -> CheckResult:
    """Check what a form holds before it is created; nothing is stored."""
    ctx.require("clients:write")
    new = parse(NewOAuthClient, raw)
    settings = new.settings()
    oauth_clients.check_hosts(ctx, settings)
    redaction.remember(new.client_secret)
    draft = OAuthClient(
        id="",
        workspace_id=ctx.workspace_id,
        slug="",
        settings=settings,
        redirect_uri=new.redirect_uri or await oauth_clients.redirect_uri(ctx, settings.name),
        has_secret=new.client_secret is not None,
        secret_saved_at=None,
        version=0,
        token_auth=None,
        created_at=0,
        updated_at=0,
    )
    return await _check(ctx, Registration(draft, oauth_clients.server_of(settings), new.client_secret))


async def _check(ctx: Context, registration: Registration) -> CheckResult:
    result: CheckResult | None = None
    for credentials in registration.credentials():
        result = await _try(ctx, registration, credentials)
        if result.verdict != "refused":
            return result
    if result is None:
        raise Invalid("There is no way of client authentication to try.")
    return result


async def _try(ctx: Context, registration: Registration, credentials: ClientCredentials) -> CheckResult:
    request = made_up_code_request(
        registration.server,
        credentials,
        redirect_uri=registration.client.redirect_uri,
        advanced=registration.client.settings.advanced,
    )
    started = time.monotonic()
    response: Response | None = None
    try:
        response = await ctx.egress.send(request, timeout_seconds=CHECK_SECONDS, max_bytes=1 << 20)
        process_token_response(response, registration.client.settings.advanced, now=ctx.clock())
        verdict, sentence = (
            "unknown",
            "It gave a token for a made-up code. Could not tell; the first sign-in will show.",
        )
    except OAuthError as error:
        verdict, sentence = _verdict(error)
    except UpstreamError as error:
        verdict, sentence = "unreachable", error.message
    elapsed_ms = round((time.monotonic() - started) * 1000)
    return CheckResult(verdict, sentence, credentials.method, elapsed_ms, _exchange(request, response))


def _verdict(error: OAuthError) -> tuple[str, str]:
    if error.error in _ACCEPTED:
        return "accepted", (
            "Client accepted. We asked the Token URL with a made-up code. It answered invalid_grant: it knows this "
            "client and only the code was wrong, as it should be."
        )
    if error.error in _REFUSED or error.status == 401:
        return "refused", f"Client refused. The Token URL answered {redaction.text(error.error, limit=80)}."
    if error.error == "not_json":
        return "unknown", (
            "The Token URL answered with a web page, not a token. Check that it is the Token URL, not the sign-in page."
        )
    return "unknown", (
        f"Could not tell; the first sign-in will show. The Token URL answered {redaction.text(error.error, limit=80)}."
    )


def _exchange(request: Request, response: Response | None) -> dict[str, Any]:
    """What was asked and answered, with every secret masked by name."""
    form = (request.body or b"").decode("utf-8", "replace")
    masked = redaction.url("https://x/?" + form).partition("?")[2]
    shown: dict[str, Any] = {"request": {"method": request.method, "url": redaction.url(request.url), "body": masked}}
    if response is not None:
        body = redaction.text(response.body[:2000].decode("utf-8", "replace"), limit=500)
        shown["response"] = {"status": response.status, "content_type": response.content_type, "body": body}
    return shown


def style_in_words(style: str | None) -> str:
    """How the secret was sent."""
    return f"Secret sent {_STYLE[style]}" if style in _STYLE else ""
