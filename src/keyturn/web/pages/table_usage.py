"""The Use it tab of a table: how its rows are read elsewhere, in lines that run as they are. No token is in them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlencode

from keyturn.model.parameters import ParameterSettings
from keyturn.model.tables import Table

_EXAMPLES = {"text": "text", "integer": 1, "number": 1.5, "boolean": True, "date": "2026-01-31"}


@dataclass(frozen=True, slots=True)
class Usage:
    """One way: its short name, a sentence, and the lines to copy."""

    id: str
    name: str
    sentence: str
    lines: str


def usages(table: Table, needs: Iterable[ParameterSettings], public_url: str) -> list[Usage]:
    """Every way, in the order people look for them; `needs` are the values without which it cannot be read."""
    name, route = table.full_name, f"{public_url}/api/v1/tables/{table.id}"
    asked = {item.name: _EXAMPLES[item.type] for item in needs}
    read = "".join(f", {key}={value!r}" for key, value in asked.items()).removeprefix(", ")
    options = "".join(f" --param {key}={_text(value)}" for key, value in asked.items())
    query = urlencode({"format": "csv", **{f"param.{key}": _text(value) for key, value in asked.items()}})
    file = f"{table.name}.parquet"
    return [
        Usage(
            "python",
            "Python",
            "All rows as Arrow, pandas or Polars; IncompleteData if any are missing.",
            f"# pip install keyturn pandas\n# keyturn login {public_url}\nimport keyturn\n\nws = keyturn.connect()\n"
            f'rows = ws.table("{name}").read({read}).to_pandas()\nprint(rows)',
        ),
        Usage(
            "sql",
            "SQL",
            "DuckDB on your machine; only the columns it needs are read.",
            f'keyturn sql "from {name} limit 10"{options}',
        ),
        Usage(
            "cli",
            "CLI",
            "All rows into a file here; .csv, .ndjson and .duckdb work too.",
            f"keyturn import {name} --to {file}{options}",
        ),
        Usage(
            "bi",
            "BI",
            "Always the latest whole import, with an API token as bearer. Import once, or schedule it.",
            f"{route}/latest.parquet",
        ),
        Usage(
            "curl",
            "curl",
            "All rows as CSV; curl fails where rows are missing.",
            f'curl --fail -H "Authorization: Bearer $KEYTURN_TOKEN" "{route}/rows?{query}"',
        ),
    ]


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
