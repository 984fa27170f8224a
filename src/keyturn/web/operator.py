"""What the operator watches: is the process up, are database and key good, and numbers for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import JSONResponse, Response

from keyturn.errors import KeyturnError
from keyturn.services import accounts, export_dirs
from keyturn.web.auth import runtime

router = APIRouter(include_in_schema=False)


@router.get("/healthz")
async def healthz() -> Response:
    """The process is up."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz")
async def readyz(request: Request) -> Response:
    """Database and key are good; 503 with the sentence otherwise. The key was checked before we listened."""
    try:
        await accounts.setup_needed(runtime(request).database)
    except KeyturnError as error:
        return JSONResponse({"status": "unavailable", "message": error.message}, 503)
    if away := await export_dirs.away(runtime(request).deployment):
        # Everything else goes on, so that it stays among those that are asked; which ones the doctor says.
        return JSONResponse(
            {"status": "ok", "message": f"Export folders that are away: {len(away)}. Their imports wait."}
        )
    return JSONResponse({"status": "ok"})


@router.get("/metrics")
async def metrics() -> Response:
    """Prometheus text."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
