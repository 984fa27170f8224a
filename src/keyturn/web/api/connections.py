"""`/api/v1/connections` and `/api/v1/authorizations`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from keyturn.errors import Invalid
from keyturn.model.connections import Connection, ConnectionSettings, forecast, why
from keyturn.services import (
    access_tokens,
    account_switches,
    authorizations,
    connection_lists,
    connection_tests,
    connections,
    events,
)
from keyturn.services.authorizations import Authorization
from keyturn.services.context import Context, check_limit
from keyturn.web.api.answers import json_answer, json_body, rfc3339
from keyturn.web.auth import api_context
from keyturn.web.openapi import described

router = APIRouter(prefix="/api/v1", tags=["Connections"])
Ctx = Annotated[Context, Depends(api_context)]


def shown(ctx: Context, connection: Connection) -> dict[str, Any]:
    """A connection as JSON, as the caller sees it; no credential is ever in it."""
    settings = connection.settings.without_secret().model_dump(mode="json")
    settings["auth"] = {name: value for name, value in settings["auth"].items() if value is not None}
    if connection.settings.auth.type == "oauth2":
        settings["auth"] = {"type": "oauth2", "oauth_client_id": connection.oauth_client_id}
    granted, me = connection.scopes_granted, ctx.actor.account_id
    return {
        "id": connection.id,
        **settings,
        "oauth_client_id": connection.oauth_client_id,
        "oauth_client_name": connection.oauth_client_name,
        "end_user": connection.end_user,
        "owner": {"id": connection.owner_id, "name": connection.owner_name},
        "status": connection.status,
        "status_detail": connection.status_detail,
        "status_since": rfc3339(connection.status_since),
        "status_reason": why(connection.status_detail) or None,
        "forecast": forecast(connection) or None,
        "account": connection.account,
        "reading": {"as": connection.reading(me), "message": connection.reads_as(me)},
        "kept": connection.kept,
        "scopes_requested": list(connection.scopes_requested),
        "scopes_granted": None if granted is None else list(granted),
        "access_token_expires_at": rfc3339(connection.access_token_expires_at),
        "refresh_token_expires_at": rfc3339(connection.refresh_token_expires_at),
        "refresh_token_prolonged": connection.refresh_token_prolonged,
        "has_refresh_token": connection.has_refresh_token,
        "generation": connection.generation,
        "paused": connection.paused,
        "tables": connection.tables,
        "last_data_at": rfc3339(connection.last_data_at),
        "created_at": rfc3339(connection.created_at),
        "updated_at": rfc3339(connection.updated_at),
    }


def shown_authorization(authorization: Authorization) -> dict[str, Any]:
    """An attempt to sign in as JSON; the link is in the first answer only."""
    found: dict[str, Any] = {
        "id": authorization.id,
        "connection_id": authorization.connection_id,
        "status": authorization.status,
        "expires_at": rfc3339(authorization.expires_at),
        "error": authorization.error,
        "notes": list(authorization.notes),
        "undecided": authorization.undecided,
    }
    if authorization.device is not None:
        found["device"] = asdict(authorization.device)
    if authorization.start_url is not None:
        found["start_url"] = authorization.start_url
    return found


@router.post("/connections", status_code=201, openapi_extra=described(ConnectionSettings))
async def create(ctx: Ctx, request: Request) -> Response:
    """Make a connection."""
    return json_answer(shown(ctx, await connections.create(ctx, await json_body(request))), 201)


@router.get("/connections")
async def list_(
    ctx: Ctx,
    end_user: str | None = None,
    oauth_client_id: str | None = None,
    status: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Response:
    """The connections the caller may see, by name: all, or those of an end user, on an OAuth client, or in a state."""
    wanted = connection_lists.Wanted(end_user, oauth_client_id, status)
    found, onward = await connection_lists.page(ctx, wanted, limit=check_limit(limit), cursor=cursor)
    return json_answer({"data": [shown(ctx, connection) for connection in found], "next_cursor": onward})


@router.get("/connections/{connection_id}")
async def get(ctx: Ctx, connection_id: str) -> Response:
    """One connection with its health."""
    return json_answer(shown(ctx, await connections.get(ctx, connection_id)))


@router.patch("/connections/{connection_id}", openapi_extra=described(ConnectionSettings))
async def update(ctx: Ctx, connection_id: str, request: Request) -> Response:
    """Change it by JSON merge patch; `paused` too."""
    return json_answer(shown(ctx, await connections.update(ctx, connection_id, await json_body(request))))


@router.delete("/connections/{connection_id}", status_code=204)
async def delete(ctx: Ctx, connection_id: str) -> Response:
    """Delete it with its grants and tables."""
    await connections.delete(ctx, connection_id)
    return Response(status_code=204)


@router.post("/connections/{connection_id}/test")
async def test(ctx: Ctx, connection_id: str, request: Request) -> Response:
    """Look at it step by step, by the code that reads data."""
    body = await json_body(request)
    path = body.get("path")
    if path is not None and not isinstance(path, str):
        raise Invalid("Send a path as text, for example /orders.", at="path")
    steps = await connection_tests.run(ctx, connection_id, path=path)
    good = all(step.state != "fail" for step in steps)
    return json_answer(
        {
            "ok": good,
            "steps": [
                {
                    "name": step.name,
                    "state": step.state,
                    "message": step.sentence,
                    "elapsed_ms": step.elapsed_ms,
                    "code": step.code,
                    "exchange": step.exchange,
                }
                for step in steps
            ],
        }
    )


@router.get("/connections/{connection_id}/events")
async def history(
    ctx: Ctx, connection_id: str, show: str = "", limit: int | None = None, cursor: str | None = None
) -> Response:
    """Its timeline of 90 days, newest first; `show` is `problems` or `sign_ins`."""
    connection = await connections.get(ctx, connection_id)
    most = check_limit(limit)
    found, following = await events.of_connection(ctx, connection, show=show, limit=most, cursor=cursor)
    items = [
        {
            "id": event.id,
            "kind": event.kind,
            "title": event.word,
            "message": event.sentence,
            "actor": event.actor_name,
            "details": event.details,
            "at": rfc3339(event.at),
        }
        for event in found
    ]
    return json_answer({"data": items, "next_cursor": following})


@router.post("/connections/{connection_id}/refresh")
async def refresh(ctx: Ctx, connection_id: str) -> Response:
    """Renew its token set now."""
    return json_answer(shown(ctx, await access_tokens.refresh(ctx, connection_id)))


@router.post("/connections/{connection_id}/token")
async def token(ctx: Ctx, connection_id: str) -> Response:
    """Its access token, for callers with `tokens:reveal`; the refresh token is never readable."""
    found = await access_tokens.reveal(ctx, connection_id)
    return json_answer(
        {
            "access_token": found.value,
            "token_type": found.token_type,
            "expires_at": rfc3339(found.expires_at),
        }
    )


@router.post("/connections/{connection_id}/disconnect")
async def disconnect(ctx: Ctx, connection_id: str, request: Request) -> Response:
    """Destroy its grant here, and at the end system unless `{"revoke": false}`."""
    body = await json_body(request)
    revoke = body.get("revoke", True)
    if not isinstance(revoke, bool):
        raise Invalid("Send true or false.", at="revoke")
    result = await connection_tests.disconnect(ctx, connection_id, revoke=revoke)
    connection = shown(ctx, await connections.get(ctx, connection_id))
    return json_answer({"revocation": result.outcome, "message": result.sentence, "connection": connection})


@router.post("/connections/{connection_id}/authorizations", status_code=201)
async def begin(ctx: Ctx, connection_id: str) -> Response:
    """Begin a sign-in; a person opens `start_url` in a browser."""
    return json_answer(shown_authorization(await authorizations.begin(ctx, connection_id)), 201)


@router.post("/authorizations/{authorization_id}/decide")
async def decide(request: Request, ctx: Ctx, authorization_id: str) -> Response:
    """A sign-in as another account than before: `{"switch": true}` reads as it from now on, false keeps the old."""
    body = await json_body(request)
    switch = body.get("switch") if set(body) == {"switch"} else None
    if not isinstance(switch, bool):
        raise Invalid("Send whether to switch: true or false.", at="switch")
    await account_switches.decide(ctx, authorization_id, switch=switch)
    return json_answer(shown_authorization(await authorizations.get(ctx, authorization_id)))


@router.get("/authorizations/{authorization_id}")
async def authorization(ctx: Ctx, authorization_id: str) -> Response:
    """How a sign-in stands."""
    return json_answer(shown_authorization(await authorizations.get(ctx, authorization_id)))
