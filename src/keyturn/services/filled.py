"""A table's secrets put into its request at the last moment: what is kept, shown, logged or resumed has their names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, quote, quote_plus, urlsplit

import orjson

from keyturn.wire import Request, with_query


@dataclass(frozen=True, slots=True)
class Filled:
    """The parts of a request that hold secrets, whole; `hidden` is what no answer may repeat.

    `body` is the first request's with its secrets, `plain_body` the same with their names.
    """

    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    plain_body: bytes | None = field(default=None, repr=False)
    hidden: tuple[str, ...] = field(default=(), repr=False)

    def into(self, request: Request) -> Request:
        """The request as it is sent. A part that a page's own link leaves out stays out."""
        asked = {name for name, _ in parse_qsl(urlsplit(request.url).query, keep_blank_values=True)}
        if query := {name: text for name, text in self.query.items() if name in asked}:
            request = replace(request, url=with_query(request.url, query))
        for name, text in self.headers.items():
            request = request.with_header(name, text)
        if self.body is not None and request.body is not None:
            request = replace(request, body=self._body(request.body))
        return request

    def _body(self, now: bytes) -> bytes:
        """The first body, with what a paginator has changed in it since."""
        if now == self.plain_body or self.body is None:
            return self.body or now
        before, current, filled = (orjson.loads(each or b"{}") for each in (self.plain_body, now, self.body))
        changed = {name: value for name, value in current.items() if name not in before or before[name] != value}
        return orjson.dumps({**filled, **changed})


NOTHING = Filled()


def spellings(value: str) -> tuple[str, ...]:
    """A secret as an answer may repeat it: as it is, percent-encoded, in JSON."""
    encoded = (quote(value), quote(value, safe=""), quote_plus(value))
    return tuple(dict.fromkeys((value, *encoded, json.dumps(value)[1:-1])))
