"""dlt's REST API source into Parquet files: `with_dlt.py URL STYLE OUT`. Its telemetry is off."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from urllib.parse import parse_qsl

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["RUNTIME__LOG_LEVEL"] = "ERROR"

import dlt
from dlt.sources.rest_api import rest_api_source

url, style, out = sys.argv[1:4]
base, _, query = url.partition("?")
host, _, path = base.partition("/" + style)
paginators = {
    "cursor": {"type": "cursor", "cursor_path": "next_cursor", "cursor_param": "cursor"},
    "offset": {"type": "offset", "limit": 1000, "total_path": "total"},
    "page": {"type": "page_number", "base_page": 1, "total_path": "total_pages"},
}
source = rest_api_source(
    {
        "client": {"base_url": host, "auth": {"type": "bearer", "token": "bench"}, "paginator": paginators[style]},
        "resources": [
            {
                "name": "rows",
                "endpoint": {"path": f"/{style}{path}", "params": dict(parse_qsl(query)), "data_selector": "data"},
            }
        ],
    }
)
folder = Path(out).absolute()
pipeline = dlt.pipeline(
    "bench",
    pipelines_dir=str(folder / "state"),
    destination=dlt.destinations.filesystem(str(folder / "files")),
    dataset_name="bench",
)
pipeline.run(source, loader_file_format="parquet")
rows = pipeline.last_trace.last_normalize_info.row_counts["rows"]
print(json.dumps({"rows": rows}))
