"""What Airbyte's declarative CDK is told of the endpoint: a manifest and a catalog of one stream."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

STREAM = {"name": "rows", "json_schema": {}, "supported_sync_modes": ["full_refresh"]}
CATALOG = {"streams": [{"stream": STREAM, "sync_mode": "full_refresh", "destination_sync_mode": "overwrite"}]}
_PAGERS = {
    "cursor": (
        {
            "type": "CursorPagination",
            "cursor_value": "{{ response.get('next_cursor') }}",
            "stop_condition": "{{ not response.get('next_cursor') }}",
        },
        "cursor",
    ),
    "offset": ({"type": "OffsetIncrement", "page_size": 1000}, "offset"),
    "page": (
        {"type": "PageIncrement", "page_size": 1000, "start_from_page": 1, "inject_on_first_request": True},
        "page",
    ),
}


def manifest(url: str, style: str) -> dict[str, Any]:
    """The endpoint at `url`, paged by `style`: cursor, offset or page."""
    base, _, query = url.partition("?")
    host, _, path = base.partition("/" + style)
    return {
        "version": "6.0.0",
        "type": "DeclarativeSource",
        "check": {"type": "CheckStream", "stream_names": ["rows"]},
        "spec": {"type": "Spec", "connection_specification": {"type": "object", "additionalProperties": True}},
        "streams": [
            {
                "type": "DeclarativeStream",
                "name": "rows",
                "retriever": _retriever(host, f"/{style}{path}", query, style),
                "schema_loader": {
                    "type": "InlineSchemaLoader",
                    "schema": {"type": "object", "additionalProperties": True},
                },
            }
        ],
    }


def _retriever(host: str, path: str, query: str, style: str) -> dict[str, Any]:
    strategy, parameter = _PAGERS[style]
    return {
        "type": "SimpleRetriever",
        "requester": {
            "type": "HttpRequester",
            "url_base": host,
            "path": path,
            "http_method": "GET",
            "authenticator": {"type": "BearerAuthenticator", "api_token": "bench"},
            "request_parameters": dict(parse_qsl(query)),
        },
        "record_selector": {
            "type": "RecordSelector",
            "extractor": {"type": "DpathExtractor", "field_path": ["data"]},
        },
        "paginator": {
            "type": "DefaultPaginator",
            "page_token_option": {
                "type": "RequestOption",
                "inject_into": "request_parameter",
                "field_name": parameter,
            },
            "pagination_strategy": strategy,
        },
    }
