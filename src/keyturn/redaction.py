"""What never leaves in words, by name and by value. Pure, and used by logs, errors, tests and the visible exchange.

By name: fields, parameters and headers that carry secrets wherever they occur. By value: secrets a
process holds are registered for as long as they are in use (`remember`), and masked in any text.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, urlencode, urlsplit, urlunsplit

MASK = "••••••"
_NAMES = (
    "access_token refresh_token id_token client_secret client_assertion code code_verifier state nonce password "
    "token authorization cookie set-cookie proxy-authorization secret api_key apikey x-api-key api_token dpop "
    "assertion setup_code encryption_key recovery_key bootstrap_password bootstrap_api_token device_code user_code "
    "vault_token x-vault-token request_uri subject_token actor_token browser_binding sig"
)
SECRET_NAMES = frozenset(_NAMES.split())
_API_TOKEN = re.compile(r"\bkt_[A-Za-z0-9_-]{16,}")
_BEARER = re.compile(r"(?i)\b(bearer|basic|dpop)\s+[A-Za-z0-9._~+/=-]{8,}")
_PAIR = re.compile(
    r"""(?ix)(["']?\b(?:access_token|refresh_token|id_token|client_secret|client_assertion|code_verifier|code|state|
    password|assertion|sig)\b["']?\s*[:=]\s*["']?)([^\s"'&,;}]{4,})"""
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x85\u2028\u2029]|\r|\n")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_ENDINGS = ("_secret", "_password", "_token", "api_key", "access_key", "auth_key", "private_key", "subscription_key")
_MIN_LENGTH = 6
_MAX_REMEMBERED = 16_384


class _Remembered:
    """The newest secrets of this process, bounded, safe across threads.

    Found by their first characters, so that a text costs what its length says, however many secrets there are: every
    line of the log and every sentence of an error is masked.
    """

    def __init__(self) -> None:
        self._values: OrderedDict[str, None] = OrderedDict()
        # Never changed in place, so that `mask` needs no lock.
        self._by_beginning: dict[str, tuple[str, ...]] = {}
        self._lock = threading.Lock()

    def add(self, value: str) -> None:
        with self._lock:
            for form in {value, quote(value), quote(value, safe=""), quote_plus(value)}:
                if form not in self._values:
                    beginning = form[:_MIN_LENGTH]
                    self._by_beginning[beginning] = (*self._by_beginning.get(beginning, ()), form)
                self._values[form] = None
                self._values.move_to_end(form)
            while len(self._values) > _MAX_REMEMBERED:
                self._forget(self._values.popitem(last=False)[0])

    def mask(self, text: str) -> str:
        found = {
            value
            for at in range(len(text) - _MIN_LENGTH + 1)
            for value in self._by_beginning.get(text[at : at + _MIN_LENGTH], ())
            if text.startswith(value, at)
        }
        for value in sorted(found, key=len, reverse=True):
            text = text.replace(value, MASK)
        return text

    def _forget(self, form: str) -> None:
        beginning = form[:_MIN_LENGTH]
        others = tuple(other for other in self._by_beginning[beginning] if other != form)
        if others:
            self._by_beginning[beginning] = others
        else:
            del self._by_beginning[beginning]


_remembered = _Remembered()


def remember(*values: str | None) -> None:
    """Register secret values so that `text` masks them by value from now on. Short ones are left out."""
    for value in values:
        if value and len(value) >= _MIN_LENGTH:
            _remembered.add(value)


def is_secret_name(name: str) -> bool:
    """Whether a field, parameter or header of that name carries a secret: `X-Auth-Key`, `accessToken`, `password`."""
    low = _CAMEL.sub("_", name).lower().replace("-", "_")
    return low in SECRET_NAMES or name.lower() in SECRET_NAMES or low.endswith(_ENDINGS)


def text(value: object, *, limit: int | None = None) -> str:
    """`value` as text with secrets masked and control characters visible (log injection, ASVS 16.4.1).

    `limit`: at most so many characters, with an ellipsis.
    """
    out = _remembered.mask(str(value))
    out = _BEARER.sub(rf"\1 {MASK}", _API_TOKEN.sub(MASK, out))
    out = _PAIR.sub(rf"\1{MASK}", out)
    out = _CONTROL.sub(lambda m: f"\\x{ord(m.group()):02x}", out)
    if limit is not None and len(out) > limit:
        out = out[: limit - 1] + "…"
    return out


def values(text: str) -> str:
    """`text` with the secrets this process holds masked and everything else as it is, line ends too."""
    return _BEARER.sub(rf"\1 {MASK}", _API_TOKEN.sub(MASK, _remembered.mask(text)))


def without(data: bytes, secret: str | None) -> bytes:
    """`data` with each repeat of `secret` as stars of the same length, so that lengths and offsets hold."""
    value = (secret or "").encode()
    return data.replace(value, b"*" * len(value)) if len(value) >= _MIN_LENGTH else data


async def stream_without(chunks: AsyncIterator[bytes], secret: str | None) -> AsyncIterator[bytes]:
    """`without` over a stream: a repeat that is cut in two by chunks is found too."""
    kept = b""
    tail = len((secret or "").encode()) - 1
    async for chunk in chunks:
        whole = without(kept + chunk, secret)
        # Only what may be the beginning of a repeat waits for the next chunk.
        cut = max(0, len(whole) - tail) if tail > 0 else len(whole)
        if cut:
            yield whole[:cut]
        kept = whole[cut:]
    if kept:
        yield kept


def url(value: str) -> str:
    """A URL for logs: no userinfo, no fragment, the values of secret parameters masked."""
    parts = urlsplit(value)
    netloc = parts.netloc.rpartition("@")[2]
    pairs = [
        (k, MASK if is_secret_name(k) else _remembered.mask(v))
        for k, v in parse_qsl(parts.query, keep_blank_values=True)
    ]
    return text(urlunsplit((parts.scheme, netloc, parts.path, urlencode(pairs, safe="•/:,"), "")))


def fields(value: Any) -> Any:
    """A copy of nested mappings and lists in which secret-named fields are masked and strings cleaned."""
    if isinstance(value, Mapping):
        return {k: MASK if is_secret_name(str(k)) and v is not None else fields(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [fields(item) for item in value]
    return text(value) if isinstance(value, str) else value
