"""HTTP Request and Response as frozen values. Pure: it knows no client library and no product noun."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

HeaderItems = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Headers:
    """Header fields in order; names compare without case (RFC 9110 §5.1)."""

    items: HeaderItems = ()

    @classmethod
    def of(cls, source: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> Headers:
        """Build from a mapping or from pairs."""
        pairs = source.items() if isinstance(source, Mapping) else source
        return cls(tuple((str(k), str(v)) for k, v in pairs))

    def get(self, name: str, default: str | None = None) -> str | None:
        """The first field of that name, or `default`."""
        low = name.lower()
        return next((v for k, v in self.items if k.lower() == low), default)

    def get_all(self, name: str) -> tuple[str, ...]:
        """Every field of that name, in order."""
        low = name.lower()
        return tuple(v for k, v in self.items if k.lower() == low)

    def with_(self, name: str, value: str) -> Headers:
        """A copy in which `name` occurs once, with `value`."""
        return Headers((*self.without(name).items, (name, value)))

    def without(self, *names: str) -> Headers:
        """A copy without the named fields."""
        low = {n.lower() for n in names}
        return Headers(tuple((k, v) for k, v in self.items if k.lower() not in low))

    def __repr__(self) -> str:
        # Values may be credentials; names never are.
        return f"Headers({', '.join(k for k, _ in self.items)})"


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. `url` is absolute; `body` is bytes or nothing. `repr` shows no query, header value or body."""

    method: str
    url: str
    headers: Headers = field(default_factory=Headers)
    body: bytes | None = None

    @property
    def origin(self) -> str:
        """scheme://host:port with the default port left out (RFC 6454 §4)."""
        return origin_of(self.url)

    def with_header(self, name: str, value: str) -> Request:
        """A copy with that header set once."""
        return replace(self, headers=self.headers.with_(name, value))

    def __repr__(self) -> str:
        parts = urlsplit(self.url)
        return f"Request({self.method} {parts.scheme}://{parts.hostname}{parts.path})"


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP response, read whole. `url` is what was asked. `repr` shows the status and size only."""

    status: int
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""
    url: str = ""
    elapsed_seconds: float = 0.0

    def __repr__(self) -> str:
        return f"Response({self.status}, {len(self.body)} bytes)"

    @property
    def content_type(self) -> str:
        """The media type in lower case without parameters, or ''."""
        return (self.headers.get("content-type") or "").split(";")[0].strip().lower()


def origin_of(url: str) -> str:
    """The origin of an absolute URL, lower case, default port left out; '' if it has no host."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    if not host:
        return ""
    if ":" in host:
        host = f"[{host}]"
    port = parts.port
    default = {"https": 443, "http": 80}.get(parts.scheme.lower())
    suffix = "" if port in (None, default) else f":{port}"
    return f"{parts.scheme.lower()}://{host}{suffix}"


def with_query(url: str, params: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> str:
    """`url` with `params` set in its query: same-named ones are replaced, all others kept in order.

    None drops a parameter. Values are form-encoded with %20 for space (RFC 3986 reads it everywhere).
    """
    pairs: list[tuple[str, Any]] = [(str(k), v) for k, v in dict(params).items()]
    names = {k for k, _ in pairs}
    parts = urlsplit(url)
    kept = [(k, v) for k, v in parse_qsl(parts.query, keep_blank_values=True) if k not in names]
    asked: list[tuple[str, str]] = [*kept, *((str(k), str(v)) for k, v in pairs if v is not None)]
    query = urlencode(asked, quote_via=quote)
    return urlunsplit((parts.scheme, parts.netloc, parts.path, query, parts.fragment))
