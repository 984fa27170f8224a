"""What API answers have in common: times, bodies and pages of a list."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import orjson
from fastapi import Request
from starlette.responses import Response

from keyturn.errors import Invalid
from keyturn.services.context import check_limit

T = TypeVar("T")


def rfc3339(seconds: float | None) -> str | None:
    """Epoch seconds as RFC 3339 in UTC, to the millisecond."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def json_answer(value: Any, status: int = 200) -> Response:
    """JSON, never cached: what a member may see can change with each request."""
    return Response(orjson.dumps(value), status, {"Cache-Control": "no-store"}, media_type="application/json")


def listed(items: Sequence[dict[str, Any]], *, limit: int | None, cursor: str | None) -> Response:
    """One page of a list in the shape of every list: `{"data": […], "next_cursor": …}`."""
    most = check_limit(limit)
    start = _offset(cursor)
    page = list(items[start : start + most])
    onward = start + most < len(items)
    following = base64.urlsafe_b64encode(str(start + most).encode()).decode() if onward else None
    return json_answer({"data": page, "next_cursor": following})


def _offset(cursor: str | None) -> int:
    if cursor is None:
        return 0
    try:
        return max(0, int(base64.urlsafe_b64decode(cursor.encode())))
    except (ValueError, binascii.Error):
        raise Invalid("This cursor is not one of ours. Take next_cursor as it was answered.", at="cursor") from None


async def json_body(request: Request) -> dict[str, Any]:
    """The request's JSON object. Raises `Invalid` when it is something else, or is sent as something else."""
    content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    raw = await request.body()
    if not raw.strip():
        return dict[str, Any]()
    if content_type not in {"application/json", "application/merge-patch+json", ""}:
        raise Invalid("Send JSON with Content-Type: application/json.", at="body")
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Invalid(f"The body is not JSON: {error.msg} at line {error.lineno}.", at="body") from None
    if not isinstance(found, dict):
        raise Invalid("Send a JSON object.", at="body")
    return found
