"""The point from which a read goes on: a plain value after each page, and the JSON it is stored as."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from keyturn.errors import Invalid
from keyturn.wire import Headers, Request

VERSION = 1
# A cycle of cursors is noticed over a resume if it is not longer than this.
ASKED_MOST = 200
_LONG_BYTES = 512 << 10


class PageText:
    """The JSON text of a page's rows, or only its digest: made when it is asked for, which is not for every page.

    Of a long text the digest alone is kept: it would lie in memory for as long as its checkpoint.
    """

    __slots__ = ("_digest", "_text")

    def __init__(self, text: bytes | None, digest: str | None = None) -> None:
        self._text, self._digest = text, digest
        if text is not None and len(text) > _LONG_BYTES:
            self._text, self._digest = None, self.digest

    @property
    def digest(self) -> str:
        """As it is stored."""
        if self._digest is None:
            self._digest = hashlib.sha256(self._text or b"").hexdigest()[:32]
        return self._digest

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PageText):
            return NotImplemented
        if self._text is not None and other._text is not None:
            return self._text == other._text
        return self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return "PageText()"


NO_PAGE = PageText(None, "")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a read stands after a page. It holds no credential; `as_dict` is JSON, `from_dict` reads it back.

    `next_request` is None when the read has ended; `stop_reason` then says why. `endpoint` tells whether the
    table still asks the same thing. `schema` and `values` belong to whoever types the rows and fills parameters.
    """

    endpoint: str
    next_request: dict[str, Any] | None
    pages: int
    rows: int
    reported_total: int | None = None
    last_page: PageText = NO_PAGE
    asked: tuple[str, ...] = ()
    stop_reason: str | None = None
    rejected: int = 0
    duplicates: int = 0
    high_water: Any = None
    schema: tuple[dict[str, Any], ...] | None = None
    values: dict[str, Any] = field(default_factory=dict)
    version: int = VERSION

    def as_dict(self) -> dict[str, Any]:
        """JSON-safe. Nothing in it is changed afterwards, so nothing is copied."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {**values, "last_page": self.last_page.digest, "asked": [*self.asked]}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Checkpoint:
        """What `as_dict` gave, also after a trip through JSON. Raises `Invalid` for another version or shape."""
        known = {item.name for item in fields(cls)}
        if stored.get("version") != VERSION or not known >= stored.keys():
            raise Invalid("This checkpoint was made by another version. Start the read anew.", at="resume_from")
        whole: dict[str, Any] = dict(stored)
        whole.update({name: tuple(stored[name]) for name in ("asked", "schema") if stored.get(name) is not None})
        whole["last_page"] = PageText(None, str(stored.get("last_page", "")))
        try:
            return cls(**whole)
        except TypeError:
            raise Invalid("This checkpoint is not whole. Start the read anew.", at="resume_from") from None


def packed(request: Request) -> dict[str, Any]:
    """A request as JSON."""
    body = None if request.body is None else base64.b64encode(request.body).decode()
    return {
        "method": request.method,
        "url": request.url,
        "headers": [list(pair) for pair in request.headers.items],
        "body": body,
    }


def unpacked(stored: Mapping[str, Any]) -> Request:
    """The request that `packed` made. Raises `Invalid` if it is none."""
    try:
        body = None if stored["body"] is None else base64.b64decode(stored["body"])
        return Request(stored["method"], stored["url"], Headers.of([(k, v) for k, v in stored["headers"]]), body)
    except (KeyError, TypeError, ValueError):
        raise Invalid("This checkpoint is not whole. Start the read anew.", at="resume_from") from None


def fingerprint(request: Request) -> str:
    """What tells one request from another: method, address, headers, body."""
    headers = "\n".join(f"{k.lower()}:{v}" for k, v in request.headers.items)
    text = f"{request.method} {request.url}\n{headers}\n".encode()
    return hashlib.sha256(text + (request.body or b"")).hexdigest()[:24]
