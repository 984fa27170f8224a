"""Airbyte's declarative CDK as it is run, its messages taken from a pipe into Parquet: `with_airbyte.py URL STYLE OUT`.

Sources of Airbyte are processes that print messages; a destination at the other end of the pipe reads them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import orjson
from airbyte_manifest import CATALOG, manifest
from parquet_file import ParquetFile

url, style, out = sys.argv[1:4]
source = Path(sys.executable).with_name("source-declarative-manifest")
with tempfile.TemporaryDirectory() as folder:
    config, catalog = Path(folder, "config.json"), Path(folder, "catalog.json")
    config.write_text(json.dumps({"__injected_declarative_manifest": manifest(url, style)}))
    catalog.write_text(json.dumps(CATALOG))
    file = ParquetFile(out)
    command = [source, "read", "--config", config, "--catalog", catalog]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as reading:
        for line in reading.stdout:
            message = orjson.loads(line)
            if message["type"] == "RECORD":
                file.add(message["record"]["data"])
    if reading.returncode:
        raise SystemExit(f"the source ended with {reading.returncode}")
    file.end()
