"""Airbyte's declarative CDK, its records written to Parquet in groups: `with_airbyte.py URL STYLE OUT`."""

from __future__ import annotations

import json
import logging
import sys
from urllib.parse import parse_qsl

import pyarrow as pa
import pyarrow.parquet as pq
from airbyte_cdk.models import ConfiguredAirbyteCatalogSerializer, Type
from airbyte_cdk.sources.declarative.concurrent_declarative_source import ConcurrentDeclarativeSource

url, style, out = sys.argv[1:4]
base, _, query = url.partition("?")
host, _, path = base.partition("/" + style)
logging.disable(logging.WARNING)
pagers = {
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
strategy, parameter = pagers[style]
manifest = {
    "version": "6.0.0",
    "type": "DeclarativeSource",
    "check": {"type": "CheckStream", "stream_names": ["rows"]},
    "streams": [
        {
            "type": "DeclarativeStream",
            "name": "rows",
            "retriever": {
                "type": "SimpleRetriever",
                "requester": {
                    "type": "HttpRequester",
                    "url_base": host,
                    "path": f"/{style}{path}",
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
            },
            "schema_loader": {"type": "InlineSchemaLoader", "schema": {"type": "object", "additionalProperties": True}},
        }
    ],
}
stream = {"name": "rows", "json_schema": {}, "supported_sync_modes": ["full_refresh"]}
catalog = ConfiguredAirbyteCatalogSerializer.load(
    {"streams": [{"stream": stream, "sync_mode": "full_refresh", "destination_sync_mode": "overwrite"}]}
)
source = ConcurrentDeclarativeSource(catalog=catalog, config={}, state=None, source_config=manifest)
writer, group, rows = None, [], 0


def write() -> None:
    global writer, group
    table = pa.Table.from_pylist(group, schema=writer.schema if writer else None)
    writer = writer or pq.ParquetWriter(out, table.schema, compression="zstd")
    writer.write_table(table)
    group = []


for message in source.read(logging.getLogger("bench"), {}, catalog, None):
    if message.type == Type.RECORD:
        group.append(message.record.data)
        rows += 1
        if len(group) == 50_000:
            write()
if group:
    write()
if writer is not None:
    writer.close()
print(json.dumps({"rows": rows}))
