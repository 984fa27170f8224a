"""Calls: one authenticated request on a connection. The token goes to the connection's own origin and nowhere else."""

from __future__ import annotations

import base64
import posixpath
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from keyturn import redaction
from keyturn.errors import Forbidden, Invalid, ReconnectNeeded, UpstreamError
from keyturn.model.connections import BasicAuth, BearerAuth, Connection, HeaderAuth, HeadersAuth, QueryAuth, keys_in
from keyturn.oauth.bearer import insufficient_scope, invalid_token, looks_expired, place_token
from keyturn.oauth.quirks import Advanced
from keyturn.services import access_tokens, connections, oauth_clients, proofs
from keyturn.services.access_tokens import AccessToken
from keyturn.services.context import Context
from keyturn.services.filled import NOTHING, Filled
from keyturn.wire import Headers, Request, Response, origin_of, with_query

if TYPE_CHECKING:
    from keyturn.egress import Streamed

REDIRECTS = 3
# The most that is read of one answer, unpacked.
MAX_BYTES = 64 << 20
# After the first rejection of a young token on a path, and after each further one.
FIRST_COOL_DOWN_SECONDS, COOL_DOWN_SECONDS = 5.0, 300.0
_YOUNG_SECONDS = 60.0
_COOL_DOWNS_MOST = 10_000
_cool_downs: dict[tuple[str, str], float] = {}

# RFC 9110 §7.6.1, and what is ours or the browser's and never the end system's.
_HOP_BY_HOP = (
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "proxy-connection",
    "host",
    "content-length",
)
_OURS_IN = (
    *_HOP_BY_HOP,
    "authorization",
    "dpop",
    "cookie",
    "origin",
    "referer",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
)
_OURS_OUT = (
    *_HOP_BY_HOP,
    "date",
    "server",
    "set-cookie",
    "set-cookie2",
    "strict-transport-security",
    "public-key-pins",
    "alt-svc",
    "clear-site-data",
    "content-security-policy",
    "x-frame-options",
)
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_KNOWN_SECONDS = 2.0
_USUAL = Advanced()
_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})


class Known:
    """What many calls in a row need of one connection beside its token: looked up anew every two seconds."""

    def __init__(self) -> None:
        self._advanced: tuple[float, Advanced] | None = None
        self._credential: tuple[float, str | None] | None = None

    async def advanced(self, ctx: Context, connection: Connection) -> Advanced:
        """The advanced settings of its client."""
        if self._advanced is None or self._advanced[0] <= time.monotonic():
            self._advanced = time.monotonic() + _KNOWN_SECONDS, await _advanced(ctx, connection)
        return self._advanced[1]

    async def credential(self, ctx: Context, connection: Connection) -> str | None:
        """The credential given by hand."""
        if self._credential is None or self._credential[0] <= time.monotonic():
            found = await connections.credential(ctx, connection)
            self._credential = time.monotonic() + _KNOWN_SECONDS, found
        return self._credential[1]

    def __repr__(self) -> str:
        return "Known()"


async def send(
    ctx: Context,
    connection: Connection,
    request: Request,
    *,
    timeout_seconds: float = 60.0,
    max_bytes: int = MAX_BYTES,
    known: Known | None = None,
    filled: Filled = NOTHING,
) -> Response:
    """Send `request` with the connection's credential and read the answer whole. A reader keeps one `known` for all.

    A rejected token is renewed once and the request repeated (RFC 6750 §3.1); a rejected one that is younger than a
    minute is most likely a matter of permission: that path then has a cool-down, short the first time, so that it
    cannot burn refresh tokens.
    `filled` is put in once the request is known to go to the connection's own origin.
    Raises `ReconnectNeeded`, `ClientRefused`, `Unavailable`, `UpstreamError`, `UpstreamTimeout`.
    """
    connections.require_use(ctx, connection)
    await connections.recheck_use(ctx, connection)
    known = known or Known()
    advanced = await known.advanced(ctx, connection)
    prepared = await _prepared(ctx, connection, request, advanced, known=known, filled=filled)
    response = await _send(ctx, connection, prepared, advanced, timeout_seconds, max_bytes)
    token, redirected = prepared.token, response.url != prepared.request.url
    if token is None or redirected or not _expired(response, advanced) or _cooling(connection, request):
        return response
    for _ in range(2):
        newer = await access_tokens.after_rejection(ctx, connection, token)
        if newer.generation == token.generation:
            # The server gives the same token again until it ends: asking the API again changes nothing.
            break
        token, prepared = newer, await _prepared(ctx, connection, request, advanced, newer, filled=filled)
        response = await _send(ctx, connection, prepared, advanced, timeout_seconds, max_bytes)
        if not _expired(response, advanced):
            return response
        if ctx.clock() - (newer.obtained_at or 0.0) < _YOUNG_SECONDS:
            break
    _cool(connection, request)
    return response


@asynccontextmanager
async def proxy(
    ctx: Context,
    connection_id: str,
    *,
    method: str,
    path: str,
    query: str,
    headers: Sequence[tuple[str, str]],
    body: bytes | None,
) -> AsyncIterator[Streamed]:
    """Send a caller's request through the connection and stream the answer back unchanged (body undecompressed).

    An end system that repeats the credential in a plain body does not reveal it: it is starred out.
    Redirects are not followed. Methods other than GET and HEAD need `calls:write`.
    """
    if method not in _METHODS:
        raise Invalid(f"{method} cannot be sent through a connection.", at="method")
    ctx.require("connections:use")
    connection = await connections.get(ctx, connection_id)
    connections.require_use(ctx, connection)
    if method not in {"GET", "HEAD"} and "calls:write" not in ctx.actor.permissions:
        raise Forbidden(f"{method} needs the permission calls:write.")
    kept = Headers.of(headers).without(*_OURS_IN, *_named_in(Headers.of(headers)))
    request = Request(method, url_under(connection, path, query), kept, body)
    advanced = await _advanced(ctx, connection)
    prepared = await _prepared(ctx, connection, request, advanced)
    token = prepared.token
    async with _streamed(ctx, prepared) as answer:
        rejected = (
            token is not None
            and answer.status in {400, 401, 403}
            and looks_expired(Response(answer.status, answer.headers), advanced.api)
        )
        if not rejected or _cooling(connection, request):
            yield _unrepeated(answer, prepared)
            return
    newer = await access_tokens.after_rejection(ctx, connection, token) if token is not None else None
    prepared = await _prepared(ctx, connection, request, advanced, newer)
    async with _streamed(ctx, prepared) as answer:
        if answer.status == 401:
            _cool(connection, request)
        yield _unrepeated(answer, prepared)


def answer_headers(headers: Headers) -> Headers:
    """An end system's headers fit to pass on: hop-by-hop, cookies and its site policy left out, ours added."""
    # What is ours to say is never an end system's: our clients take Keyturn-Error for an error of ours.
    in_our_name = [name for name, _ in headers.items if name.lower().startswith("keyturn-")]
    kept = headers.without(*_OURS_OUT, *in_our_name, *_named_in(headers))
    return kept.with_("Content-Security-Policy", "sandbox").with_("X-Content-Type-Options", "nosniff")


def url_under(connection: Connection, path: str, query: str = "") -> str:
    """Base URL + path, still under the base URL after normalisation. Raises `Invalid` otherwise.

    Dot segments are refused also where they are percent-encoded, once or twice, since servers differ in
    when they decode (RFC 3986 §6.2.2.3).
    """
    decoded = path
    for _ in range(3):
        if "\\" in decoded or any(ord(c) < 32 or ord(c) == 127 for c in decoded):
            raise Invalid("This path holds a character that no path may hold.", at="path")
        if any(part in {".", ".."} for part in decoded.split("/")):
            raise Invalid("The path must stay under the Base URL: no . or .. in it.", at="path")
        decoded = unquote(decoded)
    base = connection.settings.base_url
    if not base:
        raise ReconnectNeeded(
            f"{connection.name} is not connected yet, and only a sign-in tells its Base URL. Sign in first.",
            connection=connection.name,
            reason="not_connected",
        )
    if not path.strip("/"):
        url = base + ("/" if path.endswith("/") and path else "")
    else:
        url = base + "/" + quote(path.lstrip("/"), safe="/:@!$&'()*+,;=~%-._")
    if origin_of(url) != origin_of(base):
        raise Invalid("The path must stay under the Base URL.", at="path")
    base_path = unquote(urlsplit(base).path) or "/"
    normal = posixpath.normpath(unquote(urlsplit(url).path) or "/")
    if base_path != "/" and not (normal == base_path or normal.startswith(base_path.rstrip("/") + "/")):
        raise Invalid("The path must stay under the Base URL.", at="path")
    return url + (f"?{query}" if query else "")


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A request with its credential in it, that credential, and what of it no answer may repeat.

    The proof for a bound token is made when it is sent.
    """

    request: Request
    token: AccessToken | None
    secret: str | None = field(repr=False)
    hidden: tuple[str, ...] = field(repr=False)
    # Headers that hold secrets of a table; like the credential, they follow no redirect.
    held_back: tuple[str, ...] = ()

    @property
    def dpop_key(self) -> str | None:
        """The private key that the credential is bound to, if it is."""
        return None if self.token is None else self.token.dpop_key


async def _prepared(
    ctx: Context,
    connection: Connection,
    request: Request,
    advanced: Advanced,
    newer: AccessToken | None = None,
    *,
    known: Known | None = None,
    filled: Filled = NOTHING,
) -> _Prepared:
    """The request with the connection's fixed headers and query, and its credential: in one place only."""
    if origin_of(request.url) != origin_of(connection.settings.base_url):
        raise UpstreamError(
            f"The address leads to {urlsplit(request.url).hostname}, but {connection.name} reads "
            f"{urlsplit(connection.settings.base_url).hostname}. Its credential is not sent anywhere else.",
            sent=False,
            message_code="E-BLOCKED",
        )
    request, more, held_back = filled.into(request), filled.hidden, tuple(filled.headers)
    for name, value in connection.settings.headers.items():
        if request.headers.get(name) is None:
            request = request.with_header(name, value)
    missing = {k: v for k, v in connection.settings.query.items() if f"{quote(k)}=" not in urlsplit(request.url).query}
    if missing:
        request = replace(request, url=with_query(request.url, missing))
    if connection.settings.auth.type == "oauth2":
        token = newer or await access_tokens.fresh(ctx, connection)
        placed = place_token(request, token.value, advanced.api, bound=token.dpop_key is not None)
        return _Prepared(placed, token, token.value, (token.value, *more), held_back)
    secret = await (known or Known()).credential(ctx, connection)
    keys = keys_in(connection.settings.auth, secret)
    for name, key in keys.items():
        request = request.with_header(name, key)
    hidden = (*(tuple(keys.values()) or (secret or "",)), *more)
    if isinstance(connection.settings.auth, BasicAuth):
        # An answer may repeat the header, which holds the password in another spelling.
        hidden += (_pair(connection.settings.auth, secret),)
    return _Prepared(_with_credential(connection, request, secret), None, secret, hidden, held_back)


def _pair(auth: BasicAuth, secret: str | None) -> str:
    return base64.b64encode(f"{auth.username}:{secret or ''}".encode()).decode()


def _with_credential(connection: Connection, request: Request, secret: str | None) -> Request:
    auth = connection.settings.auth
    if isinstance(auth, BasicAuth):
        return request.with_header("Authorization", f"Basic {_pair(auth, secret)}")
    if isinstance(auth, BearerAuth):
        return request.with_header("Authorization", f"Bearer {secret or ''}")
    if isinstance(auth, HeaderAuth):
        return request.with_header(auth.name, secret or "")
    if isinstance(auth, QueryAuth):
        return replace(request, url=with_query(request.url, {auth.name: secret or ""}))
    return request


async def _send(
    ctx: Context,
    connection: Connection,
    prepared: _Prepared,
    advanced: Advanced,
    timeout_seconds: float,
    max_bytes: int,
) -> Response:
    credential_headers = {"authorization", advanced.api.placement.header.lower(), *map(str.lower, prepared.held_back)}
    if isinstance(connection.settings.auth, HeaderAuth):
        credential_headers.add(connection.settings.auth.name.lower())
    if isinstance(connection.settings.auth, HeadersAuth):
        credential_headers |= {name.lower() for name in connection.settings.auth.names}
    redirects = REDIRECTS if prepared.request.method in _SAFE_METHODS else 0
    answer = await proofs.send(
        ctx,
        lambda: prepared.request,
        prepared.dpop_key,
        access_token=prepared.secret,
        timeout_seconds=timeout_seconds,
        max_bytes=max_bytes,
        limits=proofs.Limits(redirects, frozenset(credential_headers)),
    )
    body, headers = answer.body, answer.headers
    for value in prepared.hidden:
        body, headers = redaction.without(body, value), _headers_without(headers, value)
    return replace(answer, headers=headers, body=body)


@asynccontextmanager
async def _streamed(ctx: Context, prepared: _Prepared) -> AsyncIterator[Streamed]:
    """Send, and once more where the API only lacked its nonce, which is no rejection of the token (RFC 9449 §9)."""
    for last in (False, True):
        request = proofs.proved(ctx, prepared.request, prepared.dpop_key, prepared.secret)
        async with ctx.egress.stream(request) as answer:
            if prepared.dpop_key is None or not proofs.lacked(request, answer.status, answer.headers) or last:
                yield answer
                return


def _unrepeated(answer: Streamed, prepared: _Prepared) -> Streamed:
    """The answer without the credential we sent: in its headers, and in its body, but for a compressed one."""
    headers, body = answer.headers, answer.body
    plain = headers.get("content-encoding", "identity") == "identity"
    for value in prepared.hidden:
        headers = _headers_without(headers, value)
        body = redaction.stream_without(body, value) if plain else body
    return replace(answer, headers=headers, body=body)


def _headers_without(headers: Headers, value: str) -> Headers:
    # A Link header may repeat a key of the query, and what is kept of a page must not have it.
    if not any(value and value in text for _, text in headers.items):
        return headers
    return Headers(tuple((name, redaction.without(text.encode(), value).decode()) for name, text in headers.items))


async def _advanced(ctx: Context, connection: Connection) -> Advanced:
    if connection.oauth_client_id is None:
        return _USUAL
    return (await oauth_clients.get(ctx, connection.oauth_client_id)).settings.advanced


def rejects_new_token(connection: Connection, response: Response) -> bool:
    """Whether the answer to `send` is that a token is over which was renewed for it: `send` tried that before."""
    return connection.settings.auth.type == "oauth2" and response.status == 401 and invalid_token(response)


def _expired(response: Response, advanced: Advanced) -> bool:
    return looks_expired(response, advanced.api) and not insufficient_scope(response)


def _cooling(connection: Connection, request: Request) -> bool:
    return _cool_downs.get((connection.id, urlsplit(request.url).path), 0.0) > time.monotonic()


def _cool(connection: Connection, request: Request) -> None:
    """A short while the first time, since both tokens may have been taken back, or be news to the API."""
    if len(_cool_downs) >= _COOL_DOWNS_MOST:
        _cool_downs.clear()
    name, now = (connection.id, urlsplit(request.url).path), time.monotonic()
    again = _cool_downs.get(name, -COOL_DOWN_SECONDS) > now - COOL_DOWN_SECONDS
    _cool_downs[name] = now + (COOL_DOWN_SECONDS if again else FIRST_COOL_DOWN_SECONDS)


def _named_in(headers: Headers) -> tuple[str, ...]:
    """The further hop-by-hop headers that `Connection` names (RFC 9110 §7.6.1)."""
    return tuple(name.strip() for value in headers.get_all("connection") for name in value.split(",") if name.strip())
