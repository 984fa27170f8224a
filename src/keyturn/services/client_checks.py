"""*Check client*, step by step: host, certificate, clock, metadata, and whether the Token URL knows this client.

It is asked with a made-up code: `invalid_grant` means that it does. A live code or refresh token is never sent.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from keyturn import redaction
from keyturn.errors import Invalid, UpstreamError
from keyturn.model.client_secrets import reminder
from keyturn.model.messages import say
from keyturn.model.oauth_clients import NewOAuthClient, OAuthClient
from keyturn.model.validation import parse
from keyturn.oauth.device import device_token_request
from keyturn.oauth.errors import OAuthError
from keyturn.oauth.grants import client_credentials_request, made_up_code_request
from keyturn.oauth.tokens import process_token_response
from keyturn.services import client_keys, client_secrets, discovery, exchanges, oauth_clients, proofs, token_requests
from keyturn.services.context import Context
from keyturn.services.oauth_clients import Registration, Way
from keyturn.services.stored_secrets import OpenedSecret
from keyturn.wire import Request, Response

CHECK_SECONDS = 15.0
_CLOCK_SECONDS = 60.0
_STYLE = {
    "basic": "Secret sent as Basic header",
    "post": "Secret sent in the request body",
    "none": "Secret sent not at all (PKCE only)",
    "private_key_jwt": "Signed with a key of ours",
    "client_secret_jwt": "Signed with the secret",
}
# The client was recognised: only the code was wrong.
_ACCEPTED = frozenset({"invalid_grant", "expired_token"})
_REFUSED = frozenset({"invalid_client", "unauthorized_client"})


@dataclass(frozen=True, slots=True)
class CheckStep:
    """One line of a check. `name` is host, connection, clock, metadata or client; `state` ok, warn, fail, skipped."""

    name: str
    state: str
    sentence: str


@dataclass(frozen=True, slots=True)
class CheckResult:
    """`verdict` is accepted, refused, unknown or unreachable; `sentence` says it; `exchange` is redacted."""

    verdict: str
    sentence: str
    style: str | None
    elapsed_ms: int
    exchange: dict[str, Any] | None
    steps: tuple[CheckStep, ...] = ()
    message_code: str | None = None


@dataclass(frozen=True, slots=True)
class _Try:
    """One request with a made-up code and what came back."""

    way: Way
    verdict: str
    sentence: str
    elapsed_ms: int
    exchange: dict[str, Any]
    response: Response | None
    error: UpstreamError | None
    answered_at: float


async def check(ctx: Context, client_id: str) -> CheckResult:
    """Check a registered client with its stored secrets, and remember the style and the secret that worked."""
    ctx.require("clients:write")
    registration = await oauth_clients.registration(ctx, client_id)
    result, tries = await _check(ctx, registration)
    if any(one.verdict == "accepted" for one in tries):
        for one in tries:
            if one.verdict == "accepted":
                await client_secrets.worked(ctx, registration, one.way)
            elif one.verdict == "refused" and _never_accepted(one, tries):
                await client_secrets.refused(ctx, registration, one.way)
    return result


async def look(ctx: Context, registration: Registration) -> CheckResult:
    """The same for whoever tests a connection: nothing is remembered of it."""
    return (await _check(ctx, registration))[0]


async def check_draft(ctx: Context, raw: Mapping[str, Any]) -> CheckResult:
    """Check what a form holds before it is created; nothing is stored."""
    ctx.require("clients:write")
    new = parse(NewOAuthClient, raw)
    settings = oauth_clients.filled(new.settings(), {})
    oauth_clients.check_hosts(ctx, settings)
    if settings.advanced.token.auth == "private_key_jwt":
        raise Invalid(
            "Its key is made when it is created, and the end system has to know it before it can be checked. "
            "Create it first.",
            at="advanced.token.auth",
        )
    redaction.remember(new.client_secret)
    draft = OAuthClient(
        id="",
        workspace_id=ctx.workspace_id,
        slug="",
        settings=settings,
        redirect_uri=new.redirect_uri or await oauth_clients.redirect_uri(ctx, settings.name),
        version=0,
        token_auth=None,
        created_at=0,
        updated_at=0,
    )
    secret = OpenedSecret(None, new.client_secret)
    return (await _check(ctx, Registration(draft, oauth_clients.server_of(settings), (secret,), ctx.clock())))[0]


def style_in_words(style: str | None) -> str:
    """How the client proved itself."""
    return _STYLE.get(style or "", "")


async def _check(ctx: Context, registration: Registration) -> tuple[CheckResult, list[_Try]]:
    metadata, registration = await _metadata_step(ctx, registration)
    tries = await _tries(ctx, registration)
    accepted = next((one for one in tries if one.verdict == "accepted"), None)
    told = accepted or tries[-1]
    verdict, sentence, code = told.verdict, told.sentence, told.error.message_code if told.error else None
    client = registration.client
    # A draft has no connections to count.
    counted = await oauth_clients.get(ctx, client.id) if client.id else client
    spoken = reminder(client.used_secrets, client.name, ctx.clock(), counted.connections_total)
    if verdict == "refused" and spoken is not None and spoken[0]:
        code, sentence = spoken
    elif accepted is not None and (bad := _refused_secrets(tries)):
        sentence += _some_refused(registration, bad)
    state = {"accepted": "ok", "refused": "fail", "unreachable": "skipped"}.get(verdict, "warn")
    own = CheckStep("client", state, "Not asked." if state == "skipped" else sentence)
    steps = (*_network_steps(client, told), metadata, own)
    style = told.way.credentials.method
    return CheckResult(verdict, sentence, style, told.elapsed_ms, told.exchange, steps, code), tries


async def _tries(ctx: Context, registration: Registration) -> list[_Try]:
    """Each secret in each style until one is accepted, then the other secrets in that style."""
    tries: list[_Try] = []
    for way in registration.ways():
        done = [one for one in tries if one.verdict == "accepted"]
        if any(one.way.secret_id == way.secret_id for one in done):
            continue
        if done and done[0].way.credentials.method != way.credentials.method:
            continue
        tries.append(await _try(ctx, registration, way))
        if tries[-1].verdict not in {"accepted", "refused"}:
            break
    if not tries:
        raise Invalid("There is no way of client authentication to try.")
    return tries


async def _try(ctx: Context, registration: Registration, way: Way) -> _Try:
    request = _question(registration, way)
    alone = registration.client.settings.acts_for_itself
    started = time.monotonic()
    response: Response | None = None
    failed: UpstreamError | None = None
    try:
        key = token_requests.new_dpop_key(registration)
        response = await proofs.send(
            ctx, partial(_question, registration, way), key, timeout_seconds=CHECK_SECONDS, max_bytes=1 << 20
        )
        process_token_response(response, registration.client.settings.advanced, now=ctx.clock(), dpop_key=key)
        verdict, sentence = (
            "unknown",
            "It gave a token for a made-up code. Could not tell; the first sign-in will show.",
        )
        if alone:
            verdict, sentence = "accepted", "Client accepted. The Token URL gave it a token, which was thrown away."
    except OAuthError as error:
        verdict, sentence = _verdict(error, registration.client)
    except UpstreamError as error:
        failed, verdict, sentence = error, "unreachable", error.message
    elapsed_ms = round((time.monotonic() - started) * 1000)
    exchange = exchanges.shown(request, response, secrets=(way.credentials.client_secret,), elapsed_ms=elapsed_ms)
    return _Try(way, verdict, sentence, elapsed_ms, exchange, response, failed, ctx.clock())


def _question(registration: Registration, way: Way) -> Request:
    """A code exchange that must fail; where the client acts for itself, the question is the real one."""
    settings = registration.client.settings
    if settings.acts_for_itself:
        return client_credentials_request(
            registration.server, way.credentials, scopes=settings.scopes.split(), advanced=settings.advanced
        )
    if settings.grant_type == "device_code":
        code = secrets.token_urlsafe(24)
        return device_token_request(registration.server, way.credentials, device_code=code, advanced=settings.advanced)
    return made_up_code_request(
        registration.server,
        way.credentials,
        redirect_uri=registration.client.redirect_uri,
        advanced=settings.advanced,
    )


def _verdict(error: OAuthError, client: OAuthClient) -> tuple[str, str]:
    if error.error in _ACCEPTED:
        return "accepted", (
            "Client accepted. We asked the Token URL with a made-up code. It answered invalid_grant: it knows this "
            "client and only the code was wrong, as it should be."
        )
    if error.error in _REFUSED or error.status == 401:
        if client.settings.advanced.token.auth == "private_key_jwt":
            return "refused", client_keys.refused(client, error.error).message
        return "refused", f"Client refused. The Token URL answered {redaction.text(error.error, limit=80)}."
    if error.error == "not_json":
        return "unknown", say("E-NOTJSON")
    return "unknown", (
        f"Could not tell; the first sign-in will show. The Token URL answered {redaction.text(error.error, limit=80)}."
    )


async def _metadata_step(ctx: Context, registration: Registration) -> tuple[CheckStep, Registration]:
    """What the issuer publishes against what was typed; the styles it allows are the ones tried."""
    settings = registration.client.settings
    issuer = settings.advanced.issuer
    if issuer is None:
        return CheckStep("metadata", "skipped", "No issuer is set, so there is nothing to compare."), registration
    try:
        published, place = await discovery.metadata_of(ctx, issuer)
    except (Invalid, UpstreamError) as error:
        said = error.problems[0].message if isinstance(error, Invalid) and error.problems else error.message
        return CheckStep("metadata", "warn", said), registration
    pairs = (
        ("Authorization URL", settings.authorization_url, published.authorization_url),
        ("Token URL", settings.token_url, published.token_url),
    )
    other = [
        f"{label} is {theirs}"
        for label, ours, theirs in pairs
        if ours is not None and ours.partition("?")[0] != theirs.partition("?")[0]
    ]
    methods = published.token_endpoint_auth_methods
    known = replace(registration, server=replace(registration.server, token_endpoint_auth_methods=methods))
    if other:
        return CheckStep("metadata", "warn", f"{place} says that the {' and the '.join(other)}."), known
    return CheckStep("metadata", "ok", f"{place} names the same URLs."), known


def _network_steps(client: OAuthClient, tried: _Try) -> tuple[CheckStep, ...]:
    """Host, certificate and clock, as the request to the Token URL found them."""
    parts = urlsplit(client.settings.token_url)
    host, error = parts.hostname or "the host", tried.error
    if error is not None and error.message_code in {"E-DNS", "E-BLOCKED"}:
        skipped = (CheckStep(name, "skipped", "Not asked.") for name in ("connection", "clock"))
        return (CheckStep("host", "fail", error.message), *skipped)
    found = CheckStep("host", "ok", f"{host} was found.")
    if error is not None:
        return found, CheckStep("connection", "fail", error.message), CheckStep("clock", "skipped", "Not asked.")
    safe = CheckStep("connection", "ok", f"The certificate of {host} is valid.")
    if parts.scheme == "http":
        safe = CheckStep("connection", "warn", f"Plain http, which the operator allows for {host}.")
    return found, safe, _clock_step(client, tried)


def _clock_step(client: OAuthClient, tried: _Try) -> CheckStep:
    said = None if tried.response is None else tried.response.headers.get("date")
    try:
        date = parsedate_to_datetime(said or "")
    except ValueError:
        return CheckStep("clock", "skipped", "Its answer names no time.")
    theirs = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    # The answer was stamped somewhere on its way; the middle of it is the best guess.
    seconds = abs(tried.answered_at - tried.elapsed_ms / 2000 - theirs)
    if seconds <= _CLOCK_SECONDS:
        return CheckStep("clock", "ok", "Both clocks agree.")
    return CheckStep("clock", "warn", say("E-CLOCK", minutes=round(seconds / 60), system=client.name))


def _never_accepted(one: _Try, tries: list[_Try]) -> bool:
    same = [other for other in tries if other.way.secret_id == one.way.secret_id]
    return all(other.verdict == "refused" for other in same)


def _some_refused(registration: Registration, bad: int) -> str:
    client, many, verb = registration.client, len(registration.secrets), "is" if bad == 1 else "are"
    if client.settings.advanced.token.auth == "private_key_jwt":
        return f" {bad} of its {many} keys {verb} not known there yet: let it read {client.jwks_uri}."
    return f" {bad} of its {many} secrets {verb} refused; remove it."


def _refused_secrets(tries: list[_Try]) -> int:
    return len({one.way.secret_id for one in tries if one.verdict == "refused" and _never_accepted(one, tries)})
