"""The table builder's left pane, both ways: what was typed as a verb's raw value, and settings as field values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

import orjson
from pydantic import BaseModel

from keyturn.errors import Invalid, KeyturnError
from keyturn.model.parameters import ParameterSettings
from keyturn.model.tables import IncrementalSettings, TableSettings
from keyturn.rest import paginators
from keyturn.rest.fillings import said
from keyturn.services.endpoints import Asked
from keyturn.web.forms import lines_of, merged_pairs, pairs

PAGES: dict[str, tuple[str, type[BaseModel]]] = {
    "auto": ("Detect", paginators.AutoPagination),
    "next_url": ("Next link", paginators.NextUrlPagination),
    "link_header": ("Link header", paginators.LinkHeaderPagination),
    "cursor": ("Cursor", paginators.CursorPagination),
    "page_number": ("Page number", paginators.PageNumberPagination),
    "offset": ("Offset", paginators.OffsetPagination),
    "none": ("None: only the first page is ever read", paginators.NoPagination),
}
_OBJECTS = {"query": "=", "headers": ":"}
_TEXTS = ("connection_id", "name", "method", "path", "rows_path", "total_path", "timeout_seconds", "data_model",
          "arrays", "array_items", "expand", "no_new_data_days", "format", "when_columns_change", "columns_param",
          "requests_per_second")  # fmt: skip
_EMPTIED = ("rows_path", "total_path", "no_new_data_days", "body", "expand", "columns_param", "requests_per_second")
_PIN = "pin:"
CHOICES = {
    "data_model": {
        "flattened": "Flattened: objects as dotted columns",
        "document": "Document: what is nested stays JSON",
        "relational": "Relational: child tables for lists",
    },
    "format": {"json": "JSON", "ndjson": "NDJSON", "csv": "CSV", "xml": "XML"},
    "when_columns_change": {"add": "Add", "ask": "Ask me", "ignore": "Ignore"},
    "send_as": {
        "as_is": "As it is in the rows",
        "date": "A day, 2026-01-31",
        "epoch": "Seconds since 1970",
        "epoch_ms": "Milliseconds since 1970",
    },
    "arrays": {"list": "As lists", "json": "As JSON text", "columns": "First items as columns"},
}


@dataclass(frozen=True, slots=True)
class PageField:
    """A field of one way of paging, drawn from the paginator's own declaration."""

    name: str
    title: str
    help: str
    options: tuple[str, ...]
    default: str


def page_fields() -> dict[str, list[PageField]]:
    """The fields of each way of paging."""
    found: dict[str, list[PageField]] = {}
    for kind, (_, model) in PAGES.items():
        found[kind] = []
        for name, info in model.model_fields.items():
            if name in {"type", "max_pages"}:
                continue
            options = get_args(info.annotation) if get_origin(info.annotation) is Literal else ()
            default = "" if info.is_required() or info.default is None else str(info.default)
            title = info.title or name
            found[kind].append(PageField(f"{kind}.{name}", title, info.description or "", options, default))
    return found


FIELDS = (
    *_TEXTS,
    *_OBJECTS,
    "body",
    "source",
    "pagination",
    "pagination.max_pages",
    *(f"pagination.{field.name.partition('.')[2]}" for fields in page_fields().values() for field in fields),
    "primary_key",
    "columns",
    "infer_types",
    "parameters",
    "values",
    "parent",
    "parent.table",
    "parent.values",
    "incremental",
    *(f"incremental.{name}" for name in IncrementalSettings.model_fields),
)


def raw(sent: Mapping[str, str]) -> dict[str, Any]:
    """What `create`, `detect` and `preview_draft` take; fields left empty are left out."""
    found: dict[str, Any] = {name: sent[name].strip() for name in _TEXTS if sent.get(name, "").strip()}
    for name, separator in _OBJECTS.items():
        found[name] = pairs(sent.get(name, ""), at=name, separator=separator)
    if sent.get("body", "").strip():
        found["body"] = _json(sent["body"])
    found["pagination"] = _pagination(sent)
    found["primary_key"] = [part.strip() for part in sent.get("primary_key", "").split(",") if part.strip()]
    found["columns"] = [{"name": name, "type": kind} for name, kind in pins_of(sent).items()]
    found["infer_types"] = sent.get("infer_types") == "yes"
    found["parameters"] = _parameters(sent.get("parameters", ""))
    above, values = sent.get("parent.table", "").strip(), pairs(sent.get("parent.values", ""), at="parent.values")
    found["parent"] = {"table": above, "values": values} if above or values else None
    only = {name: sent.get(f"incremental.{name}", "").strip() for name in IncrementalSettings.model_fields}
    found["incremental"] = {name: value for name, value in only.items() if value} if only["column"] else None
    return found


def patch(sent: Mapping[str, str], current: TableSettings) -> dict[str, Any]:
    """What `update` takes: everything the form shows, so that an emptied field is emptied."""
    found = raw(sent)
    found.pop("connection_id", None)
    for name in _EMPTIED:
        found.setdefault(name, None)
    for name in ("name", "path"):
        found.setdefault(name, "")
    found["query"] = merged_pairs(found["query"], current.query)
    found["headers"] = merged_pairs(found["headers"], current.headers)
    if found["parent"] is not None and current.parent is not None:
        found["parent"]["values"] = merged_pairs(found["parent"]["values"], current.parent.values)
    if found["incremental"] is not None:
        found["incremental"] = {"param": None, "look_back_seconds": None, "start": None, **found["incremental"]}
    before = current.pagination.model_dump(mode="json")
    found["pagination"] = {**dict.fromkeys(before), **found["pagination"]}
    return found


def child_of(sent: Mapping[str, str], column: str) -> dict[str, str]:
    """The form of a table that has a row for each item of a list in the rows of this one."""
    name = re.sub(r"[^a-z0-9_]+", "_", f"{sent.get('name', '')}_{column}".lower()).strip("_")
    return {**sent, "name": name[:63], "expand": column, "then": ""}


def child_key(values: Mapping[str, Any], columns: list[str]) -> str:
    """The key of the rows around with the item's own id; as it was where there is none."""
    key, own = str(values.get("primary_key", "")), f"{values.get('expand', '')}.id"
    return f"{key}, {own}" if key and own in columns and own not in key.split(", ") else key


def asked(sent: Mapping[str, str]) -> Asked:
    """The values that are tried in place of what the table will ask for."""
    return Asked(pairs(sent.get("values", ""), at="values"))


def value_fields(error: KeyturnError) -> list[str]:
    """The parameters that a refusal speaks of; all of them are typed into one field."""
    return [item.at for item in getattr(error, "problems", ()) if item.at.startswith("param.")]


def pins_of(sent: Mapping[str, str]) -> dict[str, str]:
    """The pinned types: those before, then what the Schema tab says of each column, then one more by its name."""
    found = pairs(sent.get("columns", ""), at="columns")
    for field, value in sent.items():
        if field.startswith(_PIN):
            found.pop(field.removeprefix(_PIN), None)
            if value.strip():
                found[field.removeprefix(_PIN)] = value.strip()
    name, kind = sent.get("pin_name", "").strip(), sent.get("pin_type", "").strip()
    if name and kind:
        found[name] = kind
    return found


def values_of(settings: TableSettings) -> dict[str, str]:
    """Settings as field values."""
    found = {name: str(getattr(settings, name) or "") for name in _TEXTS}
    found["timeout_seconds"] = f"{settings.timeout_seconds:g}"
    if settings.requests_per_second is not None:
        found["requests_per_second"] = f"{settings.requests_per_second:g}"
    for name, separator in _OBJECTS.items():
        found[name] = lines_of(getattr(settings, name), separator if separator == "=" else ": ")
    found["body"] = "" if settings.body is None else orjson.dumps(settings.body, option=orjson.OPT_INDENT_2).decode()
    paging = settings.pagination.model_dump(mode="json")
    kind = str(paging.pop("type"))
    found["pagination"] = kind
    found["pagination.max_pages"] = str(paging.pop("max_pages") or "")
    found |= {f"{kind}.{name}": "" if value is None else str(value) for name, value in paging.items()}
    found["primary_key"] = ", ".join(settings.primary_key)
    found["columns"] = "\n".join(f"{column.name}={column.type}" for column in settings.columns)
    found["infer_types"] = "yes" if settings.infer_types else ""
    found["parameters"] = "\n".join(map(_line, settings.parameters))
    found["parent.table"] = settings.parent.table if settings.parent else ""
    found["parent.values"] = lines_of(settings.parent.values) if settings.parent else ""
    only = settings.incremental.model_dump() if settings.incremental else {"look_back_seconds": 86_400}
    found |= {f"incremental.{name}": "" if value is None else str(value) for name, value in only.items()}
    return found


def empty(connection_id: str) -> dict[str, str]:
    """A form to begin with."""
    found = values_of(TableSettings(connection_id=connection_id, name="draft", path="/"))
    return {**found, "name": ""}


def _pagination(sent: Mapping[str, str]) -> dict[str, Any]:
    kind = sent.get("pagination", "auto")
    found: dict[str, Any] = {"type": kind}
    names = {field.name.partition(".")[2] for field in page_fields().get(kind, [])}
    for name in sorted(names):
        if sent.get(f"{kind}.{name}", "").strip():
            found[name] = sent[f"{kind}.{name}"].strip()
    if sent.get("pagination.max_pages", "").strip():
        found["max_pages"] = sent["pagination.max_pages"].strip()
    return found


def _parameters(text: str) -> list[dict[str, Any]]:
    """`name: type = default`, one a line; type and default may be left out."""
    found = []
    for line in filter(str.strip, text.splitlines()):
        left, has_default, default = line.partition("=")
        name, _, kind = left.partition(":")
        one: dict[str, Any] = {"name": name.strip(), **({"type": kind.strip()} if kind.strip() else {})}
        found.append(one | ({"default": default.strip()} if has_default else {}))
    return found


def _line(parameter: ParameterSettings) -> str:
    kind = "" if parameter.type == "text" else f": {parameter.type}"
    return f"{parameter.name}{kind}" + ("" if parameter.default is None else f" = {said(parameter.default)}")


def _json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Invalid(f"The body is not JSON: {error.msg} at line {error.lineno}.", at="body") from None
