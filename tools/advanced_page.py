"""Write docs/reference/advanced.md: the `advanced` object of a client out of its model, and each quirk’s answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from keyturn.oauth.quirks import STANDARD, Advanced

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "advanced.md"
HEAD = """# The advanced object of an OAuth 2.0 client

What one end system does differently, as data: everything has the default that the standards say, unknown names are
refused, and there are no expressions and no code in it. The page, the HTTP API (`advanced`), `keyturn clients register
--advanced @file` and `ws.clients.register` take the same object. Presets are written in it too.

`version` tells which meaning the names have. It is 1; an object without it is of version 1. A setting is only ever
added to a version; should one change its meaning, the version rises, stored objects are carried over by a migration,
and an object of a version that is not known is refused.

This page is made from the model by `tools/advanced_page.py`.

## Settings
"""
QUIRKS_HEAD = """
## Quirks

How real servers leave the standards, from public catalogues and what was measured, each with its setting, what is done
without one, or why it is not supported.

| id | what servers do | setting | automatic | not supported, because |
|---|---|---|---|---|
"""
BLOCKS = """
## Building blocks without a page

The pure functions of `keyturn.oauth` can do more than the product offers. Programs that embed them may use them; no
page, route or command does, because nobody can say yet which subject a scheduled read should act for:

| function | for |
|---|---|
| `assertion_grants.bearer_assertion`, `jwt_bearer_request` | JWT bearer assertions as a grant (RFC 7523) |
| `assertion_grants.token_exchange_request`, `process_token_exchange_response` | token exchange (RFC 8693) |
| `introspection.introspection_request`, `process_introspection_response` | what a server says of a token (RFC 7662) |
"""


def quirks() -> dict[str, dict[str, Any]]:
    """The quirks by id."""
    return yaml.safe_load((ROOT / "tests" / "contracts" / "quirks.yaml").read_text("utf-8"))


def settings() -> Iterator[tuple[str, dict[str, Any], str]]:
    """Each setting: its dotted name, its schema and its default as it is written."""
    schema = Advanced.model_json_schema(by_alias=True)
    standard = STANDARD.model_dump(mode="json", by_alias=True)
    yield from _walk(schema, schema["$defs"], standard, "")


def as_markdown() -> str:
    """The page."""
    lines = ["| name | title | default | allowed | what it is |", "|---|---|---|---|---|"]
    for name, node, default in settings():
        cells = (f"`{name}`", node["title"], default, _allowed(node), node.get("description", ""))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    rows = []
    for quirk_id, row in quirks().items():
        names = ", ".join(f"`{name}`" for name in row.get("setting", ()))
        note = f" {row['note']}." if "note" in row else ""
        cells = (names, row.get("automatic", ""), row.get("not_supported", ""))
        rows.append(f"| {quirk_id} | {row['deviation']}.{note} | " + " | ".join(cells) + " |")
    return HEAD + "\n" + "\n".join(lines) + "\n" + QUIRKS_HEAD + "\n".join(rows) + "\n" + BLOCKS


def _walk(
    node: dict[str, Any], defs: dict[str, Any], standard: Any, prefix: str
) -> Iterator[tuple[str, dict[str, Any], str]]:
    for name, item in node["properties"].items():
        usual = standard.get(name) if isinstance(standard, dict) else item.get("default")
        inner = _object(item, defs)
        if inner is None:
            yield prefix + name, item, _default(usual)
            continue
        mark = f"{prefix}{name}.{{name}}." if "additionalProperties" in item else f"{prefix}{name}."
        yield from _walk(inner, defs, usual, mark)


def _object(item: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any] | None:
    """The schema of a nested object, also an optional one or one by name."""
    for part in (item, *item.get("anyOf", ()), *item.get("allOf", ()), item.get("additionalProperties")):
        if isinstance(part, dict) and "$ref" in part:
            return defs[part["$ref"].rpartition("/")[2]]
    return None


def _default(value: Any) -> str:
    if value in (None, "", [], {}):
        return "–"
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def _allowed(node: dict[str, Any]) -> str:
    if "const" in node:
        return f"`{json.dumps(node['const'])}`"
    if "enum" in node:
        return ", ".join(f"`{json.dumps(value, ensure_ascii=False)}`" for value in node["enum"])
    if "anyOf" in node:
        parts = [_allowed(part) for part in node["anyOf"] if part.get("type") != "null"]
        return ", ".join(dict.fromkeys(parts))
    if node.get("type") == "array":
        return f"list: {_allowed(node['items'])}" if node.get("items") else "list"
    if node.get("type") == "object":
        inner = node.get("additionalProperties")
        return f"by name: {_allowed(inner)}" if isinstance(inner, dict) else "object"
    words = {"string": "text", "boolean": "`true`, `false`", "integer": "whole number", "number": "number"}
    return words.get(node.get("type", ""), "any")


if __name__ == "__main__":
    PAGE.write_text(as_markdown(), "utf-8")
