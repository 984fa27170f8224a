"""A workspace as a TOML file without secrets (`ws.config`): clients, connections, tables, schedules; plan, apply.

Things are known by their names. What a file does not name stays as it is, unless it is pruned.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from keyturn import redaction
from keyturn.client import toml
from keyturn.client.transport import Transport
from keyturn.errors import Forbidden, Invalid, Problem

NOUNS = ("clients", "connections", "tables", "schedules")
FIELDS: dict[str, tuple[str, ...]] = {
    "clients": (
        "authentication_type", "client_id", "authorization_url", "token_url", "scopes", "access_token_expires_in",
        "refresh_token_expires_in", "advanced",
    ),
    "connections": (
        "base_url", "auth", "access", "headers", "query", "variables", "requests_per_second", "service_account",
    ),
    "tables": (
        "method", "path", "query", "headers", "body", "format", "rows_path", "pagination", "primary_key", "columns",
        "data_model", "arrays", "array_items", "expand", "infer_types", "parameters", "parent", "incremental",
        "columns_param", "total_path", "when_columns_change", "requests_per_second", "timeout_seconds",
        "no_new_data_days",
    ),
    "schedules": (
        "table", "destination", "mode", "every", "at", "on", "cron", "timezone", "if_missed", "if_running",
        "parameters", "paused",
    ),
}  # fmt: skip
# Ways of client authentication for which no secret is asked: none, or a key that the server makes.
_SECRETLESS = ("none", "private_key_jwt")
# Settings of which a change clears the client secret, so that the new one is asked for with it.
_URLS = ("authorization_url", "token_url")
_SECRET_OF = {"basic": "password", "bearer": "token", "header": "value", "headers": "headers", "query": "value"}
_ROUTES = {"clients": "/oauth-clients", "connections": "/connections", "tables": "/tables", "schedules": "/schedules"}
# A table's `{{secret:NAME}}`.
_NAMED = re.compile(r"\{\{\s*secret:([^{}]*?)\s*\}\}")
_VERSION = 1
SecretOf = Callable[["Change"], str]


@dataclass(frozen=True, slots=True)
class Change:
    """One step of a plan: `create`, `change` or `delete` of a thing. `fields`: (before, after) by name.

    `missing_secrets` are those that a table names and the workspace has not. `refused` says why the server will not
    do it; empty if it will.
    """

    kind: str
    noun: str
    name: str
    fields: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    id: str | None = None
    needs_secret: bool = False
    missing_secrets: tuple[str, ...] = ()
    refused: str = ""


@dataclass(frozen=True, slots=True)
class _State:
    """What there is, by name and in the file's own words; `ids` by noun and name; `owners` of the connections."""

    things: dict[str, dict[str, dict[str, Any]]]
    ids: dict[str, dict[str, str]]
    owners: dict[str, dict[str, Any]] = field(default_factory=dict)


class Config:
    """The workspace as a file."""

    def __init__(self, transport: Transport) -> None:
        self._http = transport

    def __repr__(self) -> str:
        return f"Config({self._http.url})"

    def export(self) -> str:
        """The TOML file; no secret is in it."""
        return toml.dumps({"version": _VERSION, **self._state().things})

    def plan(self, text: str, *, prune: bool = False) -> list[Change]:
        """What `apply` would do, in its order. Raises `Invalid` for a file that cannot be right."""
        state = self._state()
        changes = plan_of(parse(text), state, prune=prune)
        if any(_opens(change) for change in changes):
            me = self._http.get("/me")["account"]["id"]
            changes = [replace(c, refused=_refusal(c, state.owners, me)) for c in changes]
        if any(_named(change) for change in changes):
            there = {item["name"] for item in self._http.pages("/secrets")}
            changes = [replace(c, missing_secrets=tuple(n for n in _named(c) if n not in there)) for c in changes]
        return changes

    def apply(self, changes: list[Change], wanted: Mapping[str, Any], secret_of: SecretOf) -> None:
        """Do a plan. Each secret is asked for before anything is changed.

        Raises `Forbidden` for what only somebody else may do, `Invalid` for secrets that tables name and nobody
        saved, and what the server refuses.
        """
        if refused := [change.refused for change in changes if change.refused]:
            raise Forbidden(f"Nothing was changed. {' '.join(refused)}")
        if missing := sorted({name for change in changes for name in change.missing_secrets}):
            raise Invalid(
                f"Nothing was changed. Tables name secrets that this workspace has not: {', '.join(missing)}. "
                f"A Workspace Admin saves each with: keyturn secrets set {missing[0]} --host HOST",
                at="tables", message_code="E-NOSECRET",
            )  # fmt: skip
        if lacking := sorted(
            {name for c in changes if (name := _destination(c, wanted))} - self._destinations().keys()
        ):
            raise Invalid(
                f"Nothing was changed. Schedules name destinations that this workspace has not: {', '.join(lacking)}. "
                f"A Workspace Admin makes each with: keyturn destinations add '{lacking[0]}' URL", at="schedules",
            )  # fmt: skip
        secrets = {(c.noun, c.name): secret_of(c) for c in changes if c.needs_secret}
        for change in changes:
            self._do(change, wanted, secrets.get((change.noun, change.name)))

    def _state(self) -> _State:
        things: dict[str, dict[str, dict[str, Any]]] = {noun: {} for noun in NOUNS}
        ids: dict[str, dict[str, str]] = {noun: {} for noun in NOUNS}
        owners: dict[str, dict[str, Any]] = {}
        for noun in NOUNS:
            for item in self._http.pages(_ROUTES[noun]):
                name = item["full_name"] if noun == "tables" else item["name"]
                ids[noun][name] = item["id"]
                things[noun][name] = shown(noun, item, ids["clients"])
                if noun == "connections":
                    owners[name] = item["owner"]
        places = [fields["destination"] for fields in things["schedules"].values() if "destination" in fields]
        if any("destination_id" in place for place in places):
            names = {key: name for name, key in self._destinations().items()}
            for place in places:
                if (key := place.pop("destination_id", None)) is not None:
                    place["name"] = names.get(key, key)
        return _State(things, ids, owners)

    def _destinations(self) -> dict[str, str]:
        """The ids of the workspace's destinations by name."""
        return {str(item["name"]): str(item["id"]) for item in self._http.pages("/destinations")}

    def _do(self, change: Change, wanted: Mapping[str, Any], secret: str | None) -> None:
        route = _ROUTES[change.noun]
        if change.kind == "delete":
            self._http.delete(f"{route}/{change.id}")
            return
        fields: Mapping[str, Any] = wanted[change.noun][change.name]
        body = {name: value for name, value in fields.items() if name in change.fields}
        body = self._resolved(change, body, secret)
        if change.kind == "create":
            self._http.post(route, body)
        else:
            self._http.patch(f"{route}/{change.id}", body)

    def _resolved(self, change: Change, body: dict[str, Any], secret: str | None) -> dict[str, Any]:
        """Names become ids, and the secret goes where it belongs."""
        body = dict(body)
        if change.noun == "clients" and secret is not None:
            body["client_secret"] = secret
        if "auth" in body and change.noun == "connections":
            auth = dict(body["auth"])
            if auth.get("type") == "oauth2":
                auth = {"type": "oauth2", "oauth_client_id": self._id("clients", auth.get("client"))}
            elif secret is not None:
                auth[_SECRET_OF[auth["type"]]] = secret
            body["auth"] = auth
        if "destination" in body and change.noun == "schedules":
            place = dict(body["destination"])
            if "name" in place:
                place["destination_id"] = self._destinations()[place.pop("name")]
            elif change.kind == "change":
                # It may have gone elsewhere before.
                place.setdefault("destination_id", None)
            body["destination"] = place
        if "table" in body and change.noun == "schedules":
            body["table_id"] = self._id("tables", body.pop("table"), key="full_name")
        if change.kind == "create":
            connection, _, name = change.name.partition(".")
            named = {"name": name, "connection_id": self._id("connections", connection)}
            body |= named if change.noun == "tables" else {"name": change.name}
        return body

    def _id(self, noun: str, name: str | None, *, key: str = "name") -> str | None:
        return next((str(item["id"]) for item in self._http.pages(_ROUTES[noun]) if item[key] == name), None)


def parse(text: str) -> dict[str, dict[str, dict[str, Any]]]:
    """A file as things by noun and name. Raises `Invalid` naming what is not known."""
    try:
        document = toml.plain(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, ValueError) as error:
        raise Invalid(f"The file is not TOML: {error}.", at="FILE") from None
    if document.pop("version", None) != _VERSION:
        raise Invalid(f"The file does not begin with version = {_VERSION}. Make one with: keyturn config export",
                      at="version")  # fmt: skip
    problems = [Problem(name, "We do not know this section. Remove it.") for name in document if name not in NOUNS]
    for noun in NOUNS:
        section = document.setdefault(noun, {})
        if not isinstance(section, Mapping):
            problems.append(Problem(noun, "This is made of sections: [noun.name]."))
            continue
        for name, fields in section.items():
            if not isinstance(fields, Mapping):
                problems.append(Problem(f"{noun}.{name}", "This is a section of its own: [noun.name]."))
                continue
            problems += [
                Problem(f"{noun}.{name}.{unknown}", "We do not know this field. Remove it.")
                for unknown in fields
                if unknown not in FIELDS[noun]
            ]
    if problems:
        raise Invalid(problems=tuple(problems))
    found: dict[str, dict[str, dict[str, Any]]] = document
    return found


def plan_of(wanted: Mapping[str, Mapping[str, Mapping[str, Any]]], state: _State, *, prune: bool) -> list[Change]:
    """The steps from what there is to what is wanted: clients before connections before tables. Pure."""
    steps = []
    for noun in NOUNS:
        for name, fields in _parents_first(noun, wanted[noun]).items():
            now = state.things[noun].get(name)
            if now is None:
                changed = {key: (None, value) for key, value in fields.items()}
                steps.append(Change("create", noun, name, changed, needs_secret=_needs_secret(noun, fields)))
                continue
            changed = {key: (now.get(key), value) for key, value in fields.items() if not _covers(now.get(key), value)}
            if changed:
                needs = _needs_secret(noun, fields) and _loses_secret(noun, changed)
                steps.append(Change("change", noun, name, changed, state.ids[noun][name], needs))
    for noun in reversed(NOUNS) if prune else ():
        there = reversed(_parents_first(noun, state.things[noun]))
        gone = [name for name in there if name not in wanted[noun]]
        steps += [Change("delete", noun, name, id=state.ids[noun][name]) for name in gone]
    return steps


def _parents_first(noun: str, things: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Things in an order in which they can be made: a table after the one for whose rows it is read."""
    found: dict[str, Mapping[str, Any]] = {}

    def put(name: str, below: frozenset[str]) -> None:
        parent = things[name].get("parent") if noun == "tables" else None
        if isinstance(parent, Mapping):
            above = f"{name.partition('.')[0]}.{str(parent.get('table')).rpartition('.')[2]}"
            if above in things and above not in below:
                put(above, below | {name})
        found.setdefault(name, things[name])

    for name in things:
        put(name, frozenset({name}))
    return found


def shown(noun: str, item: Mapping[str, Any], client_ids: Mapping[str, str]) -> dict[str, Any]:
    """A thing in the file's own words: no nulls, no secrets, names for ids."""
    item = {**item, "table": item.get("table_name")}
    found = {name: item[name] for name in FIELDS[noun] if item.get(name) is not None}
    if "auth" in found and found["auth"].get("type") == "oauth2":
        owner = next((name for name, key in client_ids.items() if key == found["auth"].get("oauth_client_id")), None)
        found["auth"] = {"type": "oauth2"} | ({"client": owner} if owner is not None else {})
    return {name: _without_secrets(value, name) for name, value in found.items()}


def _without_secrets(value: Any, inside: str) -> Any:
    """Headers and parameters whose names say that they are secret are left out."""
    if not isinstance(value, Mapping):
        return value
    free = inside in {"headers", "query", "params"}
    return {
        name: _without_secrets(item, name)
        for name, item in value.items()
        if item is not None and not (free and redaction.is_secret_name(name) and not _NAMED.search(str(item)))
    }


def _named(change: Change) -> list[str]:
    """The secrets of the workspace that a step of a table brings, by name."""
    if change.noun != "tables" or change.kind == "delete":
        return []
    places = [after for name, (_, after) in change.fields.items() if name in {"headers", "query", "body"}]
    return sorted(set(_NAMED.findall(str(places))))


def _destination(change: Change, wanted: Mapping[str, Any]) -> str | None:
    """The destination that a step of a schedule names, if it goes to one."""
    if change.noun != "schedules" or "destination" not in change.fields:
        return None
    place = wanted["schedules"][change.name]["destination"]
    return place.get("name") if isinstance(place, Mapping) else None


def _opens(change: Change) -> bool:
    """Whether a step lets more people read through a connection that is there."""
    _, access = change.fields.get("access", ("", "only_me"))
    return (change.noun, change.kind) == ("connections", "change") and access != "only_me"


def _refusal(change: Change, owners: Mapping[str, Mapping[str, Any]], me: str) -> str:
    """Why the server will not do a step: a connection is opened to others by its owner alone."""
    owner = owners.get(change.name, {})
    if not _opens(change) or owner.get("id") == me:
        return ""
    return f"Only {owner.get('name')} can share {change.name}."


def _covers(now: Any, wanted: Any) -> bool:
    """Whether everything that is wanted is there already."""
    if isinstance(now, Mapping) and isinstance(wanted, Mapping):
        return all(_covers(now.get(name), value) for name, value in wanted.items())
    return bool(now == wanted)


def _needs_secret(noun: str, fields: Mapping[str, Any]) -> bool:
    if noun == "clients":
        return fields.get("advanced", {}).get("token", {}).get("auth") not in _SECRETLESS
    return noun == "connections" and fields.get("auth", {}).get("type") in _SECRET_OF


def _loses_secret(noun: str, changed: Mapping[str, Any]) -> bool:
    lost = _URLS if noun == "clients" else ("auth", "base_url")
    return any(name in changed for name in lost)
