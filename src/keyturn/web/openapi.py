"""The OpenAPI document: bodies described by the models themselves, so that no field is declared twice, and problems."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from keyturn.web.errors import STATUS

_PLACE = "#/components/schemas/{model}"
_models: dict[str, type[BaseModel]] = {}

_PROBLEM = {
    "type": "object",
    "description": "Problem details (RFC 9457).",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What happened, where, and how to mend it."},
        "code": {"type": "string", "enum": sorted(STATUS)},
        "message_code": {"type": "string", "pattern": "^E-"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["at", "message"],
                "properties": {"at": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}
_REFUSAL = {"application/problem+json": {"schema": {"$ref": _PLACE.format(model="Problem")}}}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "Something to fix, or not allowed.", "content": _REFUSAL},
    "5XX": {"description": "The end system or we had trouble.", "content": _REFUSAL},
}


def described(model: type[BaseModel]) -> dict[str, Any]:
    """`openapi_extra` for a route whose body is read by `model`."""
    _models[model.__name__] = model
    schema = {"$ref": _PLACE.format(model=model.__name__)}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def install(app: FastAPI) -> None:
    """Let the app answer the whole document: its routes, the described models with all they refer to, and Problem."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            schemas = made.setdefault("components", {}).setdefault("schemas", {})
            schemas["Problem"] = _PROBLEM
            for name, model in _models.items():
                schema = model.model_json_schema(ref_template=_PLACE)
                schemas.update(schema.pop("$defs", {}))
                schemas[name] = schema
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            app.openapi_schema = made
        return app.openapi_schema

    # The framework's documented way to change it.
    app.openapi = document  # type: ignore[method-assign]
