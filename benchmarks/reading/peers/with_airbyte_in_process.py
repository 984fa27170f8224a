"""Airbyte's declarative CDK, its records taken before they are messages: `with_airbyte_in_process.py URL STYLE OUT`.

No user of Airbyte reads this way; it shows what the pipe between a source and a destination costs.
"""

from __future__ import annotations

import logging
import sys

from airbyte_cdk.models import ConfiguredAirbyteCatalogSerializer, Type
from airbyte_cdk.sources.declarative.concurrent_declarative_source import ConcurrentDeclarativeSource
from airbyte_manifest import CATALOG, manifest
from parquet_file import ParquetFile

url, style, out = sys.argv[1:4]
logging.disable(logging.WARNING)
catalog = ConfiguredAirbyteCatalogSerializer.load(CATALOG)
source = ConcurrentDeclarativeSource(catalog=catalog, config={}, state=None, source_config=manifest(url, style))
file = ParquetFile(out)
for message in source.read(logging.getLogger("bench"), {}, catalog, None):
    if message.type == Type.RECORD:
        file.add(message.record.data)
file.end()
