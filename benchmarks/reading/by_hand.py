"""The best Python we could write for just this job: `python by_hand.py URL STYLE OUT [IN_FLIGHT]`.

A keep-alive client, pyarrow.json for each page, the next page on its way while one is parsed and written; with page
or offset paging `IN_FLIGHT` pages at once. No retries, no refresh, no guard, no checkpoints, no stamp, no schema that
learns: what they cost is the difference.
"""

from __future__ import annotations

import http.client
import json
import re
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import local
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj
import pyarrow.parquet as pq

_CURSOR = re.compile(rb'"next_cursor":"([^"]+)"\}$')
_TOTAL = re.compile(rb'"total":(\d+)')
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_GROUP_ROWS = 100_000
_here = local()


def get(url: str) -> bytes:
    """One page, on this thread's own connection."""
    parts = urlsplit(url)
    if not hasattr(_here, "connection"):
        _here.connection = http.client.HTTPConnection(parts.hostname, parts.port, blocksize=1 << 20)
    _here.connection.request("GET", f"{parts.path}?{parts.query}", headers={"Authorization": "Bearer bench"})
    return _here.connection.getresponse().read()


def pages(url: str, style: str, in_flight: int) -> Iterator[bytes]:
    """Every page in order, those that follow on their way."""
    with ThreadPoolExecutor(in_flight) as pool:
        first = get(url)
        if style == "cursor":
            page = first
            while mark := _CURSOR.search(page, len(page) - 200):
                following = pool.submit(get, f"{url}&cursor={mark[1].decode()}")
                yield page
                page = following.result()
            yield page
            return
        total = int(_TOTAL.search(first, len(first) - 200)[1])
        steps = range(1, -(-total // 1000))
        targets = iter(f"{url}&page={n + 1}" if style == "page" else f"{url}&offset={n * 1000}" for n in steps)
        yield first
        # The count comes first: `zip` takes a target before it sees that it needs none.
        waiting: list[Future[bytes]] = [pool.submit(get, t) for _, t in zip(range(in_flight), targets, strict=False)]
        while waiting:
            page = waiting.pop(0).result()
            waiting += [pool.submit(get, target) for _, target in zip(range(1), targets, strict=False)]
            yield page


class Parser:
    """Pages to batches by the schema of the first one, instants as instants."""

    def __init__(self, page: bytes) -> None:
        rows = pa.Table.from_pylist(json.loads(page)["data"]).schema
        fields = [pa.field(field.name, _known(field.type)) for field in rows]
        sample = pa.Table.from_pylist(json.loads(page)["data"])
        self._instants = [
            field.name
            for field in fields
            if field.type == pa.string()
            and all(v is None or _INSTANT.fullmatch(v) for v in sample[field.name].to_pylist())
            and sample[field.name].null_count < len(sample)
        ]
        envelope = pa.schema([("data", pa.list_(pa.struct(fields))), ("next_cursor", pa.string())])
        self._options = pj.ParseOptions(explicit_schema=envelope, unexpected_field_behavior="ignore")

    def batch(self, page: bytes) -> pa.RecordBatch:
        whole = pj.ReadOptions(use_threads=False, block_size=len(page) + 64)
        table = pj.read_json(pa.BufferReader(page), read_options=whole, parse_options=self._options)
        batch = pa.RecordBatch.from_struct_array(table["data"].combine_chunks().flatten())
        for name in self._instants:
            index = batch.schema.get_field_index(name)
            batch = batch.set_column(index, name, pc.cast(batch.column(index), pa.timestamp("us", "UTC")))
        return batch


def _known(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, _known(field.type)) for field in kind])
    return pa.list_(_known(kind.value_type)) if pa.types.is_list(kind) else kind


def main(url: str, style: str, out: str, in_flight: int = 1) -> None:
    """Read and write; a JSON line says what was done."""
    parser: Parser | None = None
    writer: pq.ParquetWriter | None = None
    group: list[pa.RecordBatch] = []
    rows = 0
    for page in pages(url, style, in_flight):
        parser = parser or Parser(page)
        group.append(parser.batch(page))
        rows += len(group[-1])
        if sum(map(len, group)) >= _GROUP_ROWS:
            writer = writer or pq.ParquetWriter(out, group[0].schema, compression="zstd")
            writer.write_table(pa.Table.from_batches(group))
            group = []
    if group:
        writer = writer or pq.ParquetWriter(out, group[0].schema, compression="zstd")
        writer.write_table(pa.Table.from_batches(group))
    if writer is not None:
        writer.close()
    print(json.dumps({"rows": rows}))


if __name__ == "__main__":
    main(*sys.argv[1:4], *map(int, sys.argv[4:5]))
