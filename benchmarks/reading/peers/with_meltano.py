"""A tap of Meltano's SDK, its messages written to Parquet by a small target: `with_meltano.py URL STYLE OUT`."""

from __future__ import annotations

import io
import json
import sys
import urllib.request
from contextlib import redirect_stdout
from urllib.parse import parse_qsl

from parquet_file import ParquetFile
from singer_sdk import RESTStream, Tap
from singer_sdk import typing as th
from singer_sdk.authenticators import BearerTokenAuthenticator

ANY = ["null", "string", "integer", "number", "boolean", "object", "array"]
url, style, out = sys.argv[1:4]
base, _, query = url.partition("?")
host, _, path = base.partition("/" + style)

asked = urllib.request.Request(url, headers={"Authorization": "Bearer bench"})
with urllib.request.urlopen(asked) as first:
    # A tap knows its columns; types are left open, as what comes is written as it is.
    COLUMNS = {name: {"type": ANY} for name in json.load(first)["data"][0]}


class Rows(RESTStream):
    name = "rows"
    url_base = host
    path = f"/{style}{path}"
    records_jsonpath = "$.data[*]"
    next_page_token_jsonpath = "$.next_cursor"
    schema = {"type": "object", "properties": COLUMNS}

    @property
    def authenticator(self):
        return BearerTokenAuthenticator(token="bench")

    def get_url_params(self, context, next_page_token):  # noqa: ARG002
        asked = dict(parse_qsl(query))
        return {**asked, "cursor": next_page_token} if next_page_token else asked


class BenchTap(Tap):
    name = "tap-bench"
    config_jsonschema = th.PropertiesList().to_dict()

    def discover_streams(self):
        return [Rows(self)]


class Target(io.TextIOBase):
    """Takes the tap's messages line by line, as a target at the other end of a pipe would."""

    def __init__(self, file):
        self.file, self.rest = file, ""

    def write(self, text):
        *lines, self.rest = (self.rest + text).split("\n")
        for line in lines:
            if '"RECORD"' in line[:200]:
                self.file.add(json.loads(line)["record"])
        return len(text)


file = ParquetFile(out)
with redirect_stdout(Target(file)):
    BenchTap(config={}, parse_env_config=False).sync_all()
file.end()
