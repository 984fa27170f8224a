"""A table's endpoint as its first request: the path, parameters and body with their values, and only what is new."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson

from keyturn.errors import Invalid
from keyturn.model.connections import Connection
from keyturn.model.parameters import given
from keyturn.model.tables import IncrementalSettings, TableSettings
from keyturn.rest.fillings import (
    SECRET,
    Values,
    fill,
    fill_json,
    fill_path,
    is_known,
    moment_of,
    names_in,
    names_secret,
    rfc3339,
    unknown,
)
from keyturn.services import calls
from keyturn.services.filled import NOTHING, Filled, spellings
from keyturn.wire import Headers, Request, with_query

Mark = str | int | float


@dataclass(frozen=True, slots=True)
class Asked:
    """What one read asks for: parameters by name; only rows from `since` on (RFC 3339, a day, or a number).

    `high_water` is where the last whole run ended, from which the table looks back; `last_run_at` when it began.
    `filled` are the values of a parent's row.
    """

    parameters: Mapping[str, Any] = field(default_factory=dict)
    since: Mark | None = None
    high_water: Mark | None = None
    last_run_at: float | None = None
    filled: Mapping[str, Any] = field(default_factory=dict)


EVERYTHING = Asked()


def first_request(connection: Connection, settings: TableSettings, asked: Asked, *, now: float) -> Request:
    """The first request of a read, its credential not yet in it. Raises `Invalid` for values that are not right."""
    values = _values(settings, asked, now)
    url = calls.url_under(connection, fill_path(settings.path, values))
    query = {name: fill(text, values, at=f"query.{name}") for name, text in settings.query.items()}
    url = with_query(url, query | _only_new(settings, asked)) if query or settings.incremental else url
    sent = {name: fill(text, values, at=f"headers.{name}") for name, text in settings.headers.items()}
    for name, text in sent.items():
        if not text.isprintable():
            raise Invalid("A value cannot be sent in a header.", at=f"headers.{name}")
    headers = Headers.of({"Accept": "application/json", **sent})
    if settings.method == "GET":
        return Request("GET", url, headers)
    body = orjson.dumps(fill_json(settings.body if settings.body is not None else {}, values))
    return Request("POST", url, headers.with_("Content-Type", "application/json"), body)


def secret_parts(
    settings: TableSettings, asked: Asked, secrets: Mapping[str, str], first: Request, *, now: float
) -> Filled:
    """The parts of the request that hold secrets, with them; `first` is the request with their names."""
    if not secrets:
        return NOTHING
    values = replace(_values(settings, asked, now), secrets=secrets)
    query = {
        name: fill(text, values, at=f"query.{name}") for name, text in settings.query.items() if names_secret(text)
    }
    headers = {
        name: fill(text, values, at=f"headers.{name}") for name, text in settings.headers.items() if names_secret(text)
    }
    body = None
    if settings.method == "POST" and names_secret(settings.body):
        body = orjson.dumps(fill_json(settings.body, values))
    hidden = tuple(text for value in secrets.values() for text in spellings(value))
    return Filled(query, headers, body, first.body, hidden)


def check_names(settings: TableSettings) -> None:
    """Raise `Invalid` for `{{names}}` that nobody knows, and for parameters and values of the parent nothing uses."""
    from_parent = settings.parent.values if settings.parent is not None else {}
    known = {parameter.name: None for parameter in settings.parameters} | dict.fromkeys(from_parent)
    used: set[str] = set()
    places = [("path", settings.path), ("body", settings.body)]
    places += [(f"query.{name}", text) for name, text in settings.query.items()]
    places += [(f"headers.{name}", text) for name, text in settings.headers.items()]
    for at, value in places:
        for name in names_in(value, path=at == "path"):
            if name not in known and not is_known(name):
                raise _without_source(name, settings, at=at) or unknown(name, known, at=at)
            if at == "path" and name.startswith(SECRET):
                raise Invalid("Paths are logged by others. Put a secret into a header, a parameter or the body.", at=at)
            used.add(name)
    for name in from_parent:
        if name in {parameter.name for parameter in settings.parameters}:
            raise Invalid(f"{name} is asked for and comes from the parent too. Keep one of them.",
                          at=f"parent.values.{name}")  # fmt: skip
        if name not in used:
            raise Invalid(f"Nothing uses {name}. Write {{{name}}} in the path, or {{{{{name}}}}} in the query.",
                          at=f"parent.values.{name}")  # fmt: skip
    for index, parameter in enumerate(settings.parameters):
        if parameter.name not in used:
            raise Invalid(
                f"Nothing uses {parameter.name}. Write {{{{{parameter.name}}}}} where its value goes.",
                at=f"parameters.{index}.name",
            )


def _without_source(name: str, settings: TableSettings, *, at: str) -> Invalid | None:
    """The refusal of a placeholder that the parent of a table might fill, and does not; None without a parent."""
    if settings.parent is None:
        return None
    close = difflib.get_close_matches(name, settings.parent.values, n=1, cutoff=0.6)
    hint = f"Did you mean {close[0]}?" if close else (
        f"Say under Parent which column of {settings.parent.table} fills it, or add it under Ask for."
    )  # fmt: skip
    return Invalid(f"{{{name[:60]}}} has no source. {hint}", at=at)


def _values(settings: TableSettings, asked: Asked, now: float) -> Values:
    uses_last_run = any("last_run" in names_in(place) for place in (settings.query, settings.headers, settings.body))
    uses_last_run = uses_last_run or "last_run" in names_in(settings.path, path=True)
    if asked.since is not None and settings.incremental is None and not uses_last_run:
        raise Invalid("This table always reads everything. Set Only new rows first.", at="since")
    last_run = str(asked.since) if asked.since is not None else None
    if last_run is None and asked.last_run_at is not None:
        last_run = rfc3339(datetime.fromtimestamp(int(asked.last_run_at), UTC))
    return Values(now, given(settings.parameters, asked.parameters, now=now) | dict(asked.filled), last_run)


def _only_new(settings: TableSettings, asked: Asked) -> dict[str, str]:
    only = settings.incremental
    if only is None or only.param is None:
        return {}
    if asked.since is not None:
        mark: Mark | None = asked.since
    elif asked.high_water is not None:
        mark = _back(asked.high_water, only.look_back_seconds)
    else:
        mark = only.start
    return {} if mark is None else {only.param: _sent(mark, only)}


def _back(mark: Mark, seconds: int) -> Mark:
    """A mark that lies so much earlier; a number is that much less."""
    if not isinstance(mark, str):
        return mark - seconds
    try:
        if len(mark) == len("2026-01-31"):
            return (date.fromisoformat(mark) - timedelta(days=-(-seconds // 86_400))).isoformat()
        return rfc3339(moment_of(mark) - timedelta(seconds=seconds))
    except (ValueError, OverflowError):
        return mark


def _sent(mark: Mark, only: IncrementalSettings) -> str:
    if only.send_as == "as_is" or not isinstance(mark, str):
        return str(mark)
    try:
        moment = moment_of(mark)
    except ValueError:
        raise Invalid("Enter a time, for example 2026-01-31 or 2026-01-31T12:00:00Z.", at="since") from None
    if only.send_as == "date":
        return moment.date().isoformat()
    seconds = int(moment.timestamp())
    return str(seconds * 1000 if only.send_as == "epoch_ms" else seconds)
