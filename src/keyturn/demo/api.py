"""The REST API: six endpoints in different pagination styles behind a bearer check, and odd ones for tests."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from keyturn.demo import data, description
from keyturn.demo.pages import bearer
from keyturn.demo.state import Demo

PAGE = 100
_BIG_BYTES = 10 * 1024 * 1024


def routes() -> list[Route]:
    """The API's addresses."""
    return [
        Route("/api/v1", index),
        Route("/api/v1/", index),
        Route("/api/v1/openapi.json", described),
        Route("/api/v1/odd/{kind}", odd),
        Route("/api/v1/{name}", collection),
    ]


SCOPE_OF = {
    "orders": "read:orders",
    "order_items": "read:orders",
    "events": "read:orders",
    "customers": "read:customers",
    "products": None,
    "countries": None,
}


async def index(request: Request) -> Response:
    """What there is."""
    url = f"{request.app.state.public_url}/api/v1"
    found = [{"name": name, "url": f"{url}/{name}", "scope": scope} for name, scope in SCOPE_OF.items()]
    return JSONResponse({"endpoints": found})


async def described(request: Request) -> Response:
    """The same for programs, as OpenAPI; no token is needed to read it."""
    return JSONResponse(description.document(f"{request.app.state.public_url}/api/v1"))


async def collection(request: Request) -> Response:
    """One page of one endpoint."""
    name = request.path_params["name"]
    if name not in SCOPE_OF:
        return JSONResponse({"error": "not_found", "message": f"There is no /{name}."}, 404)
    refused = _refused(request, SCOPE_OF[name])
    if refused is not None:
        return refused
    try:
        return _PAGED[name](request)
    except ValueError:
        message = "A number in the query cannot be read, or is too small."
        return JSONResponse({"error": "invalid_request", "message": message}, 400)


def _orders(request: Request) -> Response:
    """Next URL in the body, with the total."""
    rows = data.orders()
    if request.app.state.demo.faults.schema_changed:
        rows = [{**row, "total": {"amount": row["total"], "currency": "EUR"}, "channel": "web"} for row in rows]
    status = request.query_params.get("status")
    rows = [row for row in rows if status is None or row["status"] == status]
    page, size = _number(request, "page", 1), _size(request, "limit", PAGE)
    part = rows[(page - 1) * size : page * size]
    more = page * size < len(rows)
    query = urlencode({**dict(request.query_params), "page": page + 1, "limit": size})
    link = f"{request.app.state.public_url}/api/v1/orders?{query}" if more else None
    return JSONResponse({"data": part, "paging": {"next": link, "total": len(rows)}})


def _customers(request: Request) -> Response:
    """The list itself; the next page is in the Link header."""
    rows = data.customers()
    page, size = _number(request, "page", 1), _size(request, "per_page", 50)
    base = f"{request.app.state.public_url}/api/v1/customers"
    last = -(-len(rows) // size)
    links = [f'<{base}?page=1&per_page={size}>; rel="first"', f'<{base}?page={last}&per_page={size}>; rel="last"']
    if page < last:
        links.insert(0, f'<{base}?page={page + 1}&per_page={size}>; rel="next"')
    return JSONResponse(rows[(page - 1) * size : page * size], headers={"Link": ", ".join(links)})


def _order_items(request: Request) -> Response:
    """Numbered pages with their count."""
    rows = data.order_items()
    page, size = _number(request, "page", 1), _size(request, "per_page", 250)
    return JSONResponse(
        {
            "items": rows[(page - 1) * size : page * size],
            "page": page,
            "per_page": size,
            "total_pages": -(-len(rows) // size),
            "total_count": len(rows),
        }
    )


def _products(request: Request) -> Response:
    """Offset and limit with the total."""
    rows = data.products()
    offset, size = _number(request, "offset", 0, at_least=0), _size(request, "limit", 25)
    return JSONResponse({"results": rows[offset : offset + size], "offset": offset, "limit": size, "total": len(rows)})


def _events(request: Request) -> Response:
    """A cursor and has_more; in the middle of each read comes one 429."""
    rows = data.events()
    start = _at_least(0, request.query_params.get("cursor", "").removeprefix("c") or 0)
    size = _size(request, "limit", PAGE)
    demo: Demo = request.app.state.demo
    waited: set[str] = request.app.state.waited
    mark = f"{request.headers.get('authorization', '')}:{start}"
    if demo.faults.rate_limit and 0 < start <= 3 * PAGE < start + size and mark not in waited:
        waited.add(mark)
        return JSONResponse({"error": "rate_limited"}, 429, {"Retry-After": "2"})
    waited.discard(mark)
    more = start + size < len(rows)
    return JSONResponse(
        {
            "events": rows[start : start + size],
            "next_cursor": f"c{start + size}" if more else None,
            "has_more": more,
        }
    )


def _countries(request: Request) -> Response:  # noqa: ARG001
    """All at once."""
    return JSONResponse({"countries": data.countries()})


_PAGED = {
    "orders": _orders,
    "customers": _customers,
    "order_items": _order_items,
    "products": _products,
    "events": _events,
    "countries": _countries,
}


async def odd(request: Request) -> Response:
    """Answers that no reader should swallow."""
    refused = _refused(request, None)
    if refused is not None:
        return refused
    kind = request.path_params["kind"]
    url = request.app.state.public_url
    page = request.query_params.get("page", "1")
    if not page.isascii() or not page.isdigit():
        return JSONResponse({"error": "invalid_request"}, 400)
    following = f"{url}/api/v1/odd/loop?page={page}1"
    bodies: dict[str, Any] = {
        "empty_list": {"data": []},
        "scalar": 42,
        "text": "hello",
        "scalars": [1, 2, 3],
        "mixed": [{"id": 1, "v": 1}, {"id": 2, "v": "two"}, {"id": 3, "v": {"x": 3}}, {"id": 4, "v": [4]}],
        "error200": {"error": {"code": "E42", "message": "Something is wrong"}},
        "loop": {"data": [{"id": n} for n in range(10)], "next": following},
        "foreign_next": {"data": [{"id": 1}], "next": "http://127.0.0.2:9/api/v1/odd/foreign_next"},
        "hundred": [{"id": n} for n in range(100)],
        "numbers": {"data": [{"id": 2**63, "exact": 9007199254740993, "wide": 2**70, "zeros": "007", "money": 0.1}]},
    }
    if kind in bodies:
        return JSONResponse(bodies[kind])
    if kind == "webpage":
        return HTMLResponse("<!doctype html><title>Sign in</title><h1>Sign in</h1>")
    if kind == "empty":
        return Response(b"", media_type="application/json")
    if kind == "no_content":
        return Response(status_code=204)
    if kind == "cut":
        return Response(b'{"data": [{"id": 1}, {"id"', media_type="application/json")
    if kind == "huge":
        return JSONResponse({"data": [{"id": 1, "text": "x" * _BIG_BYTES}]})
    if kind == "html_500":
        return HTMLResponse("<h1>Internal Server Error</h1>", 500)
    return JSONResponse({"error": "not_found"}, 404)


def _refused(request: Request, scope: str | None) -> Response | None:
    """What keeps a request from its data: faults, no token, a scope that is missing."""
    demo: Demo = request.app.state.demo
    demo.log_api_request(request.url.path, request.url.query)
    grant = demo.valid_access(bearer(request))
    if grant is None and "authorization" not in request.headers:  # RFC 6750 §3.1: no error code then
        return JSONResponse({"error": "unauthorized"}, 401, {"WWW-Authenticate": 'Bearer realm="Demo CRM"'})
    if grant is None:
        challenge = 'Bearer realm="Demo CRM", error="invalid_token", error_description="The access token is over"'
        return JSONResponse({"error": "invalid_token"}, 401, {"WWW-Authenticate": challenge})
    if demo.faults.api_429s > 0:
        demo.faults.api_429s -= 1
        return JSONResponse({"error": "rate_limited"}, 429, {"Retry-After": "2"})
    if demo.faults.api_500s > 0:
        demo.faults.api_500s -= 1
        return JSONResponse({"error": "server_error"}, 500)
    if scope is not None and scope not in grant.scopes:
        challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
        return JSONResponse({"error": "insufficient_scope", "scope": scope}, 403, {"WWW-Authenticate": challenge})
    return None


def _size(request: Request, name: str, usual: int) -> int:
    return min(_number(request, name, usual), 500)


def _number(request: Request, name: str, usual: int, *, at_least: int = 1) -> int:
    return _at_least(at_least, request.query_params.get(name, usual))


def _at_least(least: int, given: str | int) -> int:
    number = int(given)
    if number < least:
        raise ValueError(given)
    return number
