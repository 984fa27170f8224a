"""What the REST API says of itself: an OpenAPI 3.1 document, as many real ones publish it beside their endpoints."""

from __future__ import annotations

from typing import Any

# What each endpoint answers with: where its list is ("" is the answer itself), and the parameters of its pages.
SHAPES = {
    "orders": ("data", ("page", "limit")),
    "customers": ("", ("page", "per_page")),
    "order_items": ("items", ("page", "per_page")),
    "products": ("results", ("offset", "limit")),
    "events": ("events", ("cursor", "limit")),
    "countries": ("countries", ()),
}


def document(url: str) -> dict[str, Any]:
    """The document for an API at that address."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Demo end system", "version": "1"},
        "servers": [{"url": url}],
        "paths": {f"/{name}": {"get": _operation(name, *shape)} for name, shape in SHAPES.items()},
    }


def _operation(name: str, rows: str, pages: tuple[str, ...]) -> dict[str, Any]:
    listed: dict[str, Any] = {"type": "array", "items": {"type": "object"}}
    schema = {"type": "object", "properties": {rows: listed}} if rows else listed
    answer = {"description": "One page", "content": {"application/json": {"schema": schema}}}
    parameters = [{"name": page, "in": "query", "schema": {"type": "string"}} for page in pages]
    return {"operationId": f"list_{name}", "parameters": parameters, "responses": {"200": answer}}
