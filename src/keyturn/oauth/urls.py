"""URLs that people type, checked and normalised once: the checked value is the used one. It resolves no name."""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from urllib.parse import SplitResult, quote, unquote, urlsplit

import idna

MAX_LENGTH = 2000
_DEFAULT_PORTS = {"https": 443, "http": 80}
_ONE_SLASH = re.compile(r"(?i)^(https?):/?(?=[^/\\\s])")
_SCHEME = re.compile(r"(?i)^([a-z][a-z0-9+.-]*):")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_SAFE = "/:@!$&'()*+,;=~%-._?[]|^`{}<>\""
_FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zs", "Zl", "Zp"})


class UrlProblem(ValueError):
    """A URL that is refused: `reason_code` for programs, `message` a sentence, `suggestion` a URL to use instead."""

    def __init__(self, reason_code: str, message: str, suggestion: str | None = None) -> None:
        super().__init__(message)
        self.reason_code = reason_code
        self.message = message
        self.suggestion = suggestion


def check_url(value: str, *, allow_fragment: bool = False) -> str:
    """An absolute http(s) URL in its one normal form: host in lower-case ASCII, no default port, no trailing dot.

    Blanks around it are dropped; path and query stay as typed except that non-ASCII is percent-encoded.
    Whether plain http or a private address is acceptable is the caller's rule. Raises `UrlProblem`.
    """
    value = value.strip()
    _check_text(value)
    parts = _split(value)
    if "@" in parts.netloc:
        raise UrlProblem("userinfo", "Remove the part before @: a URL must not hold a user name or password.")
    if not allow_fragment and "#" in value:
        raise UrlProblem("fragment", "Remove the part from # on: this URL must not have a fragment.")
    host = _host(parts)
    port = _port(parts)
    netloc = host if port in (None, _DEFAULT_PORTS[parts.scheme]) else f"{host}:{port}"
    query = f"?{quote(parts.query, safe=_SAFE)}" if parts.query else ""
    fragment = f"#{quote(parts.fragment, safe=_SAFE)}" if parts.fragment else ""
    return f"{parts.scheme}://{netloc}{quote(parts.path, safe=_SAFE)}{query}{fragment}"


def check_return_to(path: str) -> str:
    """A path on this site to go back to, unchanged; anything that a browser could read as another site is refused.

    Decoded up to three times, since browsers, proxies and servers differ in when they decode. Raises `UrlProblem`.
    """
    problem = UrlProblem("return_to", "This is not a page of this site.")
    if len(path) > MAX_LENGTH or not path.startswith("/"):
        raise problem
    decoded = path
    for _ in range(4):
        if any(unicodedata.category(c) in _FORBIDDEN_CATEGORIES - {"Zs"} for c in decoded):
            raise problem
        head = decoded.partition("?")[0].partition("#")[0]
        if "\\" in decoded or "//" in head or any(part in {".", ".."} for part in head.split("/")):
            raise problem
        decoded = unquote(decoded)
    return path


def _check_text(value: str) -> None:
    if not value:
        raise UrlProblem("empty", "Enter a URL, for example https://api.endsystem.com/oauth2/token")
    if len(value) > MAX_LENGTH:
        raise UrlProblem("too_long", f"A URL has at most {MAX_LENGTH:,} characters.")
    if "\\" in value:
        raise UrlProblem("backslash", "Use / instead of \\ in a URL.", value.replace("\\", "/"))
    if bad := next((c for c in value if unicodedata.category(c) in _FORBIDDEN_CATEGORIES), None):
        raise UrlProblem("character", f"This holds a blank or a character that cannot be seen (U+{ord(bad):04X}).")


def _split(value: str) -> SplitResult:
    if not re.match(r"(?i)https?://", value):
        if _ONE_SLASH.match(value):
            better = _ONE_SLASH.sub(lambda m: f"{m.group(1).lower()}://", value)
            scheme = better.partition(":")[0]
            raise UrlProblem("one_slash", f"This has one slash after {scheme}:. Did you mean {better}?", better)
        # `localhost:8080` has no scheme: what follows the colon is a port.
        if _SCHEME.match(value) and not re.match(r"[^:/]+:\d+(?:[/?#]|$)", value):
            raise UrlProblem("scheme", "Use https. Plain http only works for hosts the operator allows.")
        better = "https://" + value.lstrip("/")
        raise UrlProblem("not_absolute", f"Start the URL with https://. Did you mean {better}?", better)
    try:
        return urlsplit(value)
    except ValueError:
        raise UrlProblem("host", "The host of this URL is not written correctly.") from None


def _port(parts: SplitResult) -> int | None:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise UrlProblem("port", "The port of this URL is not a number from 1 to 65535.")
    return port


def _host(parts: SplitResult) -> str:
    """The host as lower-case ASCII: an IPv6 address in brackets, a dotted IPv4 address, or a name."""
    name = parts.hostname or ""
    if not name:
        raise UrlProblem("no_host", "This URL names no host.")
    if parts.netloc.startswith("["):
        return _ipv6(name)
    name = _ascii(name).removesuffix(".")
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        # Browsers and libraries read 0x7f.1 and 2130706433 as addresses; only the plain form is taken.
        return _ipv4(name)
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise UrlProblem("host", "The host of this URL is not written correctly.")
    return name


def _ascii(name: str) -> str:
    if name.isascii():
        return name.lower()
    try:
        return idna.encode(name, uts46=True, std3_rules=True).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError):
        raise UrlProblem("host", "The host of this URL is not written correctly.") from None


def _ipv4(name: str) -> str:
    try:
        return str(ipaddress.IPv4Address(name))
    except ValueError:
        raise UrlProblem("host", "Write an address as four numbers, for example 192.0.2.1, or use a name.") from None


def _ipv6(name: str) -> str:
    try:
        address = ipaddress.IPv6Address(name)
    except ValueError:
        raise UrlProblem("host", "The host of this URL is not written correctly.") from None
    if address.scope_id is not None:
        raise UrlProblem("host", "An address must not name a network interface (%).")
    return f"[{address.compressed}]"
