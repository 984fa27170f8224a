"""Drafts of tables out of what people have at hand: an address, cURL, an OpenAPI 3 document, Postman. Pure.

Nothing is fetched: a `$ref` that leads out of its document is told and left out, and so is every credential.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from keyturn import redaction
from keyturn.errors import Invalid
from keyturn.rest.documents import parsed

LONGEST = 5 << 20
_MOST = 1000
_DEPTH_MOST = 12
_JSON_TYPES = {"integer": "integer", "number": "number", "boolean": "boolean"}
# The options of cURL that take a value.
_CURL_VALUES = frozenset(
    {"-X", "--request", "-H", "--header", "-d", "--data", "--data-raw", "--data-binary", "--data-ascii", "--json",
     "--url", "-u", "--user", "-b", "--cookie", "-A", "--user-agent", "-e", "--referer", "-o", "--output", "-m",
     "--max-time", "--connect-timeout", "--cacert", "--cert", "--key", "-x", "--proxy"}
)  # fmt: skip
_NOT_SENT = frozenset({"authorization", "cookie", "host", "content-length", "accept-encoding", "connection", "accept",
                       "content-type", "user-agent"})  # fmt: skip
_SIGNS_IN = frozenset({"authorization", "cookie"})
Draft = dict[str, Any]


@dataclass(slots=True)
class Found:
    """Drafts, each what `POST /tables` takes but for the connection, and what was left out, with the reason."""

    kind: str
    drafts: list[Draft] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    found_at: str | None = None

    def add(self, draft: Draft) -> None:
        """One more, under a name of its own."""
        names, name, number = {item["name"] for item in self.drafts}, draft["name"], 2
        while draft["name"] in names:
            draft["name"], number = f"{name}_{number}", number + 1
        self.drafts.append({key: value for key, value in draft.items() if value not in ({}, [], None)})


def drafts_of(source: str, base_url: str) -> Found:
    """What a text holds for a connection of that base URL. Raises `Invalid` for a text that is none of these."""
    if len(source) > LONGEST:
        raise Invalid("This is longer than 5 MB. Paste a part of it.", at="source")
    if re.match(r"\s*(\$\s*)?curl\s", source):
        return _of_curl(source, base_url)
    if re.fullmatch(r"\s*(https?://\S+|/\S*)\s*", source):
        found = Found("url")
        address = source.strip()
        address = base_url.rstrip("/") + address if address.startswith("/") else address
        found.add(_draft(found, address, base_url, "GET", {}, {}, None))
        return found
    try:
        document = parsed(source)
    except ValueError:
        document = None
    if isinstance(document, Mapping) and str(document.get("openapi", "")).startswith("3."):
        return _of_openapi(document, base_url)
    if isinstance(document, Mapping) and isinstance(document.get("item"), list) and "info" in document:
        return _of_postman(document, base_url)
    raise Invalid(
        "This is neither a cURL line, nor an address, nor an OpenAPI 3 document, nor a Postman collection.", at="source"
    )


def _of_curl(source: str, base_url: str) -> Found:
    try:
        words = shlex.split(source.replace("\\\r\n", " ").replace("\\\n", " ").strip().removeprefix("$"))[1:]
    except ValueError:
        raise Invalid("This cURL line has a quote that is not closed.", at="source") from None
    found = Found("curl")
    method, urls, headers, body = "", list[str](), dict[str, str](), list[str]()
    rest = iter(words)
    as_query = False
    for word in rest:
        option, _, joined = word.partition("=") if word.startswith("--") else (word, "", "")
        if not word.startswith("-"):
            urls.append(word)
        elif option in {"-G", "--get"}:
            as_query = True
        elif option in _CURL_VALUES:
            value = joined or next(rest, "")
            if option in {"-X", "--request"}:
                method = value.upper()
            elif option in {"-H", "--header"}:
                name, _, text = value.partition(":")
                headers[name.strip()] = text.strip()
            elif option.startswith(("-d", "--data", "--json")):
                body.append(value)
            elif option == "--url":
                urls.append(value)
            elif option in {"-u", "--user", "-b", "--cookie"}:
                found.left_out.append(f"{option}: the connection signs in by itself.")
    if not urls:
        raise Invalid("There is no address in this cURL line.", at="source")
    query = dict(parse_qsl("&".join(body), keep_blank_values=True)) if as_query else {}
    method = method or ("POST" if body and not as_query else "GET")
    found.add(_draft(found, urls[0], base_url, method, headers, query, None if as_query else _body(found, body)))
    return found


def _body(found: Found, parts: list[str]) -> Any:
    if not parts:
        return None
    try:
        return json.loads("&".join(parts))
    except (ValueError, RecursionError):
        found.left_out.append("The body is not JSON.")
        return None


def _draft(
    found: Found, url: str, base_url: str, method: str, headers: Mapping[str, str], query: dict[str, str], body: Any
) -> Draft:
    if method not in {"GET", "POST"}:
        raise Invalid(f"{method} does not only read. Use GET, or POST where that only reads.", at="source")
    try:
        parts = urlsplit(url if "://" in url else f"https://{url}")
    except ValueError:
        raise Invalid("The address is none that can be read: look at its brackets and host.", at="source") from None
    base = urlsplit(base_url)
    if (parts.hostname or "") != (base.hostname or ""):
        found.left_out.append(f"The host {parts.hostname}: this connection reads {base.hostname}.")
    path = unquote(parts.path)
    path = path[len(base.path) :] if base.path and path.startswith(base.path.rstrip("/") + "/") else path
    path = "/" + path.lstrip("/")
    query = {**dict(parse_qsl(parts.query, keep_blank_values=True)), **query}
    kept = {}
    for place, values in (("header", headers), ("parameter", query)):
        for name, value in values.items():
            if redaction.is_secret_name(name) or name.lower() in _SIGNS_IN:
                found.left_out.append(f"The {place} {name}: the connection signs in by itself.")
            elif place == "parameter" or name.lower() not in _NOT_SENT:
                kept[place, name] = value
    return {
        "name": name_of(path),
        "method": method,
        "path": path,
        "query": {name: value for (place, name), value in kept.items() if place == "parameter"},
        "headers": {name: value for (place, name), value in kept.items() if place == "header"},
        "body": body if method == "POST" else None,
    }


def _of_openapi(document: Mapping[str, Any], base_url: str) -> Found:
    found = Found("openapi")
    paths = document.get("paths")
    within = _within(document, base_url)
    for path, described in list((paths if isinstance(paths, Mapping) else {}).items())[:_MOST]:
        item = _resolved(document, described)
        operation = item.get("get")
        if not isinstance(operation, Mapping):
            continue
        rows_path = _rows_path(document, _schema_of(document, operation))
        if rows_path is None:
            found.left_out.append(f"GET {path}: its answer holds no list that is described in this document.")
            continue
        draft: Draft = {"name": name_of(str(path)), "method": "GET", "path": within(str(path)), "rows_path": rows_path}
        draft["parameters"], draft["query"] = list[Draft](), dict[str, str]()
        for parameter in (*_list(item.get("parameters")), *_list(operation.get("parameters"))):
            _add_parameter(draft, _resolved(document, parameter))
        found.add(draft)
    return found


def _within(document: Mapping[str, Any], base_url: str) -> Callable[[str], str]:
    """What a path of the document is after the Base URL: its server's path goes before it, ours is cut off."""
    servers = _list(document.get("servers"))
    url = str(servers[0].get("url", "")) if servers and isinstance(servers[0], Mapping) else ""
    try:
        server, base = urlsplit(url).path.rstrip("/"), urlsplit(base_url).path.rstrip("/")
    except ValueError:
        server, base = "", ""

    def within(path: str) -> str:
        whole = path if "{" in server else f"/{server.strip('/')}{path}" if server else path
        if not whole.startswith(f"{base}/"):
            return path
        return whole[len(base) :]

    return within


def _add_parameter(draft: Draft, parameter: Mapping[str, Any]) -> None:
    name, where = str(parameter.get("name", "")), parameter.get("in")
    if where not in {"path", "query"} or (where == "query" and not parameter.get("required")):
        return
    if redaction.is_secret_name(name):
        return
    schema = parameter.get("schema")
    schema = schema if isinstance(schema, Mapping) else {}
    kind = "date" if schema.get("format") == "date" else _JSON_TYPES.get(str(schema.get("type")), "text")
    ours = _parameter_name(name)
    if any(item["name"] == ours for item in draft["parameters"]):
        return
    default = schema.get("default", parameter.get("example", schema.get("example")))
    given = {"default": default} if isinstance(default, str | int | float | bool) else {}
    draft["parameters"].append({"name": ours, "type": kind, **given})
    if where == "path":
        draft["path"] = draft["path"].replace(f"{{{name}}}", f"{{{ours}}}")
    else:
        draft["query"][name] = f"{{{{{ours}}}}}"


def _schema_of(document: Mapping[str, Any], operation: Mapping[str, Any]) -> Mapping[str, Any]:
    responses = operation.get("responses")
    responses = responses if isinstance(responses, Mapping) else {}
    answer = next((responses[key] for key in ("200", 200, "2XX", "default") if key in responses), None)
    content = _resolved(document, answer).get("content")
    content = content if isinstance(content, Mapping) else {}
    media = next((content[name] for name in content if "json" in str(name)), None)
    return _resolved(document, media.get("schema") if isinstance(media, Mapping) else None)


def _rows_path(document: Mapping[str, Any], schema: Mapping[str, Any], path: str = "$", depth: int = 0) -> str | None:
    """Where the list is: the answer itself, or the list of objects that is least deep."""
    if schema.get("type") == "array":
        return path
    if depth == 3:
        return None
    properties: dict[str, Mapping[str, Any]] = {}
    for part in (schema, *(_resolved(document, item) for item in _list(schema.get("allOf")))):
        inner = part.get("properties")
        if isinstance(inner, Mapping):
            properties |= {str(name): _resolved(document, value) for name, value in inner.items()}
    lists = [name for name, value in properties.items() if value.get("type") == "array"]
    of_objects = [n for n in lists if _resolved(document, properties[n].get("items")).get("type") != "string"]
    for name in of_objects or lists:
        return f"{path}{_step(name)}"
    inner_paths = (
        _rows_path(document, value, f"{path}{_step(name)}", depth + 1)
        for name, value in properties.items()
        if value.get("type") == "object" or "properties" in value
    )
    return next((found for found in inner_paths if found), None)


def _step(name: str) -> str:
    return f".{name}" if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) else f"[{json.dumps(name)}]"


def _resolved(document: Mapping[str, Any], value: Any) -> Mapping[str, Any]:
    """A value with its `$ref` followed inside the document; {} for one that leads out of it, or round in a ring."""
    for _ in range(_DEPTH_MOST):
        if not isinstance(value, Mapping):
            return {}
        reference = value.get("$ref")
        if reference is None:
            return value
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return {}
        value = document
        for part in reference[2:].split("/"):
            key = unquote(part).replace("~1", "/").replace("~0", "~")
            value = value.get(key) if isinstance(value, Mapping) else None
    return {}


def _of_postman(document: Mapping[str, Any], base_url: str) -> Found:
    found = Found("postman")
    for item in _requests(document["item"], 0):
        name, request = str(item.get("name", "")), item["request"]
        method = str(request.get("method", "GET")).upper()
        if method not in {"GET", "POST"}:
            found.left_out.append(f"{method} {name}: it does not only read.")
            continue
        url = request.get("url", "")
        raw = str(url.get("raw", "") if isinstance(url, Mapping) else url)
        # {{baseUrl}}/orders/:id?x={{y}}: the first variable is the host, the others are asked for.
        raw = re.sub(r"^\{\{[^{}]*\}\}", base_url, raw)
        headers = {str(h.get("key")): str(h.get("value", "")) for h in _list(request.get("header"))
                   if isinstance(h, Mapping) and not h.get("disabled")}  # fmt: skip
        body = request.get("body")
        text = str(body.get("raw", "")) if isinstance(body, Mapping) else ""
        draft = _draft(found, raw, base_url, method, headers, {}, _body(found, [text] if text else []))
        draft["path"] = re.sub(r"/:([A-Za-z_]\w*)", lambda mark: f"/{{{_parameter_name(mark[1])}}}", draft["path"])
        draft["name"] = name_of(draft["path"])
        renamed = json.loads(re.sub(r"\{\{([^{}\"\\]+)\}\}", lambda mark: f"{{{{{_parameter_name(mark[1].strip())}}}}}",
                                    json.dumps(draft)))  # fmt: skip
        asked = dict.fromkeys(re.findall(r"\{([a-z][a-z0-9_]*)\}", json.dumps(renamed)))
        renamed["parameters"] = [{"name": parameter} for parameter in asked]
        found.add(renamed)
    return found


def _requests(items: Any, depth: int) -> Iterator[Mapping[str, Any]]:
    for item in _list(items)[:_MOST]:
        if isinstance(item, Mapping) and isinstance(item.get("request"), Mapping):
            yield item
        elif isinstance(item, Mapping) and depth < _DEPTH_MOST:
            yield from _requests(item.get("item"), depth + 1)


def name_of(path: str) -> str:
    """A table's name to begin with: the last word of its path."""
    words = [part for part in path.strip("/").split("/") if part and "{" not in part]
    return _parameter_name(words[-1] if words else "table", before="t_")


def _parameter_name(name: str, *, before: str = "p_") -> str:
    plain = re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()).strip("_")[:60]
    taken = {"limit", "columns", "since", "format", "part", "today", "now"} if before == "p_" else set[str]()
    return plain if plain[:1].isalpha() and plain not in taken else f"{before}{plain}"


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
