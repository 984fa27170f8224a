"""Where authorization servers read the public halves of our clients' keys (RFC 7517): public, and fit to be cached."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from keyturn.services import client_keys
from keyturn.web.auth import runtime

router = APIRouter(include_in_schema=False)
# Short: a server that has read the set before a new key was made must see it soon.
_CACHE = "public, max-age=300"


@router.get("/oauth2/jwks/{slug}")
async def jwks(request: Request, slug: str) -> Response:
    """The JWK Set of one client."""
    keys = await client_keys.published(runtime(request).scene(), slug)
    return JSONResponse(keys, headers={"Cache-Control": _CACHE})
