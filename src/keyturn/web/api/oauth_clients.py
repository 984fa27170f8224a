"""`/api/v1/oauth-clients`."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from keyturn.model.client_secrets import ClientSecret, NewSecret, SecretSettings, reminder
from keyturn.model.oauth_clients import NewOAuthClient, OAuthClient, OAuthClientSettings, warnings_of
from keyturn.model.registrations import NewRegistration
from keyturn.services import client_checks, client_keys, client_secrets, discovery, oauth_clients, registrations
from keyturn.services.context import Context
from keyturn.web.api.answers import json_answer, json_body, listed, rfc3339
from keyturn.web.auth import api_context
from keyturn.web.openapi import described

router = APIRouter(prefix="/api/v1/oauth-clients", tags=["OAuth 2.0 clients"])
Ctx = Annotated[Context, Depends(api_context)]


def shown(client: OAuthClient, warnings: dict[str, str] | None = None) -> dict[str, Any]:
    """An OAuth client as JSON; the secret is never in it. `warnings`: what looks wrong, by field."""
    found = dict(warnings_of(client.settings) if warnings is None else warnings)
    if spoken := reminder(client.used_secrets, client.name, time.time(), client.connections_total):
        found["secrets"] = spoken[1]
    return {
        "id": client.id,
        **client.settings.model_dump(mode="json", exclude={"advanced"}),
        "advanced": client.settings.advanced.model_dump(mode="json", exclude_defaults=True),
        "redirect_uri": client.redirect_uri,
        "has_secret": client.has_secret,
        "secret_saved_at": rfc3339(client.secret_saved_at),
        "secrets": [_secret(secret) for secret in client.secrets],
        "keys": [_key(key) for key in client.keys],
        "jwks_uri": client.jwks_uri,
        "token_auth": client.token_auth,
        "connections": {
            "total": client.connections_total,
            "healthy": client.connections_healthy,
            "broken": client.connections_broken,
        },
        "warnings": [{"at": at, "message": text} for at, text in found.items()],
        "created_at": rfc3339(client.created_at),
        "updated_at": rfc3339(client.updated_at),
    }


def _secret(secret: ClientSecret) -> dict[str, Any]:
    known = {"saved_at": rfc3339(secret.saved_at), "saved_by": secret.saved_by, "expires_on": secret.expires_on}
    return {"id": secret.id, **known, **_tried(secret)}


def _key(key: ClientSecret) -> dict[str, Any]:
    public = key.public_key or {}
    known = {"kid": public.get("kid"), "algorithm": public.get("alg"), "made_at": rfc3339(key.saved_at)}
    return {"id": key.id, **known, **_tried(key)}


def _tried(secret: ClientSecret) -> dict[str, Any]:
    return {"last_ok_at": rfc3339(secret.last_ok_at), "last_refused_at": rfc3339(secret.last_refused_at)}


@router.post("", status_code=201, openapi_extra=described(NewOAuthClient))
async def create(ctx: Ctx, request: Request) -> Response:
    """Register an OAuth 2.0 client."""
    body = await json_body(request)
    client = await oauth_clients.create(ctx, body)
    return json_answer(shown(client, warnings_of(client.settings, body.get("client_secret"))), 201)


@router.get("")
async def list_(ctx: Ctx, limit: int | None = None, cursor: str | None = None) -> Response:
    """The workspace's OAuth 2.0 clients by name."""
    return listed([shown(client) for client in await oauth_clients.list_(ctx)], limit=limit, cursor=cursor)


@router.post("/discover")
async def discover(ctx: Ctx, request: Request) -> Response:
    """Fields of a client from an issuer's metadata (`issuer`) or an OpenAPI 3 document (`openapi`, `openapi_url`)."""
    found = await discovery.discover(ctx, await json_body(request))
    return json_answer(
        {
            "settings": found.settings,
            "base_url": found.base_url,
            "evidence": list(found.evidence),
            "registers": found.registers,
        }
    )


@router.post("/registrations", status_code=201, openapi_extra=described(NewRegistration))
async def register(ctx: Ctx, request: Request) -> Response:
    """Let an issuer's server register a client by itself (RFC 7591), and keep it as any other."""
    return json_answer(shown(await registrations.register(ctx, await json_body(request))), 201)


@router.get("/redirect-uri")
async def redirect_uri(ctx: Ctx, name: str = "") -> Response:
    """The redirect URI a client of that name would get."""
    return json_answer({"redirect_uri": await oauth_clients.redirect_uri(ctx, name)})


@router.get("/{client_id}")
async def get(ctx: Ctx, client_id: str) -> Response:
    """One OAuth 2.0 client."""
    return json_answer(shown(await oauth_clients.get(ctx, client_id)))


@router.patch("/{client_id}", openapi_extra=described(OAuthClientSettings))
async def update(ctx: Ctx, client_id: str, request: Request) -> Response:
    """Change it by JSON merge patch; a changed URL clears the secret."""
    return json_answer(shown(await oauth_clients.update(ctx, client_id, await json_body(request))))


@router.delete("/{client_id}", status_code=204)
async def delete(ctx: Ctx, client_id: str, *, force: bool = False) -> Response:
    """Delete it; 409 with the dependents while connections use it, unless `force`."""
    await registrations.delete(ctx, client_id, force=force)
    return Response(status_code=204)


@router.post("/{client_id}/check")
async def check(ctx: Ctx, client_id: str) -> Response:
    """Ask the Token URL with a made-up code whether it knows this client."""
    result = await client_checks.check(ctx, client_id)
    return json_answer(
        {
            "verdict": result.verdict,
            "message": result.sentence,
            "client_authentication": result.style,
            "elapsed_ms": result.elapsed_ms,
            "exchange": result.exchange,
            "steps": [{"name": step.name, "state": step.state, "message": step.sentence} for step in result.steps],
            "message_code": result.message_code,
        }
    )


@router.post("/{client_id}/secrets", status_code=201, openapi_extra=described(NewSecret))
async def replace_secret(ctx: Ctx, client_id: str, request: Request) -> Response:
    """Replace the secret, or put one before the others (`keep_old`); suspended connections resume by themselves."""
    return json_answer(shown(await client_secrets.replace(ctx, client_id, await json_body(request))), 201)


@router.patch("/{client_id}/secrets/{secret_id}", openapi_extra=described(SecretSettings))
async def change_secret(ctx: Ctx, client_id: str, secret_id: str, request: Request) -> Response:
    """Set the day a secret expires on, or let it be tried first; its value is never read or changed."""
    return json_answer(shown(await client_secrets.change(ctx, client_id, secret_id, await json_body(request))))


@router.delete("/{client_id}/secrets/{secret_id}")
async def delete_secret(ctx: Ctx, client_id: str, secret_id: str) -> Response:
    """Take one of several secrets away; 409 for the only one."""
    return json_answer(shown(await client_secrets.remove(ctx, client_id, secret_id)))


@router.post("/{client_id}/keys", status_code=201)
async def add_key(ctx: Ctx, client_id: str) -> Response:
    """Make another key that signs for a private_key_jwt client; it is published beside the others, and tried first."""
    return json_answer(shown(await client_keys.add(ctx, client_id)), 201)


@router.delete("/{client_id}/keys/{key_id}")
async def delete_key(ctx: Ctx, client_id: str, key_id: str) -> Response:
    """Take a key away, also from what is published; 409 for the only one that signs."""
    return json_answer(shown(await client_keys.remove(ctx, client_id, key_id)))
