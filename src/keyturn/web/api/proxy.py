"""`ANY /api/v1/connections/{id}/proxy/{path}`: the route for calls. The end system's answer goes back unchanged."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from keyturn.services import calls
from keyturn.services.context import Context
from keyturn.web.auth import api_context
from keyturn.web.streams import StreamedAnswer

router = APIRouter(prefix="/api/v1", tags=["Calls"])
METHODS = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"]


@router.api_route("/connections/{connection_id}/proxy/{path:path}", methods=METHODS, include_in_schema=False)
async def proxy(
    request: Request, connection_id: str, path: str, ctx: Annotated[Context, Depends(api_context)]
) -> Response:
    """Send the request through the connection and stream the answer back."""
    raw_path = request.scope.get("raw_path", b"").decode("latin-1")
    marker = f"/connections/{connection_id}/proxy"
    wanted = raw_path.partition(marker)[2] or "/" + path
    stack = AsyncExitStack()
    answer = await stack.enter_async_context(
        calls.proxy(
            ctx,
            connection_id,
            method=request.method,
            path=wanted,
            query=request.scope.get("query_string", b"").decode("latin-1"),
            headers=[(k, v) for k, v in request.headers.items()],
            body=await request.body() or None,
        )
    )

    async def body() -> AsyncGenerator[bytes]:
        async for chunk in answer.body:
            yield chunk

    response = StreamedAnswer(body(), answer.status, close=stack.aclose)
    response.raw_headers = [
        (k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in calls.answer_headers(answer.headers).items
    ]
    return response
