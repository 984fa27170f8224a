"""`/api/v1/oauth-clients`."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from keyturn.model.client_secrets import NewSecret, SecretSettings, reminder
from keyturn.model.oauth_clients import NewOAuthClient, OAuthClient, OAuthClientSettings, warnings_of
from keyturn.services import client_checks, client_secrets, discovery, oauth_clients
from keyturn.services.context import Context
from keyturn.web.api.answers import json_answer, json_body, listed, rfc3339
from keyturn.web.auth import api_context
from keyturn.web.openapi import described

router = APIRouter(prefix="/api/v1/oauth-clients", tags=["OAuth 2.0 clients"])
Ctx = Annotated[Context, Depends(api_context)]


def shown(client: OAuthClient, warnings: dict[str, str] | None = None) -> dict[str, Any]:
    """An OAuth client as JSON; the secret is never in it. `warnings`: what looks wrong, by field."""
    found = dict(warnings_of(client.settings) if warnings is None else warnings)
    if spoken := reminder(client.secrets, client.name, time.time(), client.connections_total):
        found["secrets"] = spoken[1]
    return {
        "id": client.id,
        **client.settings.model_dump(mode="json", exclude={"advanced"}),
        "advanced": client.settings.advanced.model_dump(mode="json", exclude_defaults=True),
        "redirect_uri": client.redirect_uri,
        "has_secret": client.has_secret,
        "secret_saved_at": rfc3339(client.secret_saved_at),
        "secrets": [
            {
                "id": secret.id,
                "saved_at": rfc3339(secret.saved_at),
                "saved_by": secret.saved_by,
                "expires_on": secret.expires_on,
                "last_ok_at": rfc3339(secret.last_ok_at),
                "last_refused_at": rfc3339(secret.last_refused_at),
            }
            for secret in client.secrets
        ],
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
    return json_answer({"settings": found.settings, "base_url": found.base_url, "evidence": list(found.evidence)})


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
    await oauth_clients.delete(ctx, client_id, force=force)
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
