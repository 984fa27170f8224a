"""Sending: deadlines, size limits, and a guard that looks at the address actually connected to.

Token, metadata, revocation and data calls all go through here; nothing else opens a connection to other hosts.
It must not know OAuth or tables.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp
import structlog
from aiohttp.abc import AbstractResolver
from yarl import URL

from keyturn import redaction
from keyturn.egress.bodies import TooBig, unpacked
from keyturn.egress.guard import AllowList, check_literal, may_connect
from keyturn.egress.mail import Mailer, MailSettings
from keyturn.egress.trust import tls_context
from keyturn.errors import UpstreamError, UpstreamTimeout
from keyturn.model.messages import say
from keyturn.wire import Headers, Request, Response

log = structlog.get_logger(__name__)

CONNECT_SECONDS = 5.0
MAX_BYTES = 32 * 1024 * 1024
_CREDENTIAL_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization", "dpop"})


class _Blocked(OSError):
    """Raised at connect time when an address may not be connected to."""


@dataclass(frozen=True, slots=True)
class EgressSettings:
    """What the operator set. `ca_file` adds to the system's authorities; with `proxy_url` the proxy is the guard."""

    allowed: AllowList = field(default_factory=AllowList)
    user_agent: str = "Keyturn"
    ca_file: Path | None = None
    proxy_url: str | None = None
    mail: MailSettings | None = None


@dataclass(frozen=True, slots=True)
class Streamed:
    """An answer whose body is still to come, undecompressed."""

    status: int
    headers: Headers
    body: AsyncIterator[bytes]


class Egress:
    """Sends requests. Made once; opens its pool in the running loop at first use."""

    def __init__(self, settings: EgressSettings, *, resolver: AbstractResolver | None = None) -> None:
        self.settings = settings
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None
        self.mail = Mailer(settings.mail, ca_file=settings.ca_file)

    @property
    def allowed(self) -> AllowList:
        """The operator's allow-list."""
        return self.settings.allowed

    def authorities(self) -> int:
        """How many certificate authorities are trusted. Raises `OSError` when the operator's file cannot be read."""
        found = tls_context(self.settings.ca_file).cert_store_stats()["x509_ca"]
        # A folder of authorities is looked into only when one is needed.
        folder = ssl.get_default_verify_paths().capath
        return found or (0 if folder is None else sum(1 for _ in Path(folder).iterdir()))

    async def send(
        self,
        request: Request,
        *,
        timeout_seconds: float = 30.0,
        max_bytes: int = MAX_BYTES,
        follow_redirects: int = 0,
        credential_headers: frozenset[str] = frozenset(),
    ) -> Response:
        """Send and read the answer whole, within one total deadline and at most `max_bytes` after decompression.

        Redirects are followed only if asked (then each hop is checked again and credentials are left behind on
        every hop). Raises `UpstreamError` or `UpstreamTimeout`; `sent` is False if nothing can have arrived.
        """
        progress = _Progress()
        try:
            async with asyncio.timeout(timeout_seconds):
                for _ in range(follow_redirects + 1):
                    response = await self._once(request, max_bytes, progress)
                    onward = _redirected(request, response, credential_headers)
                    if follow_redirects == 0 or onward is None:
                        return response
                    request = onward
        except TimeoutError:
            raise self._timeout(request, timeout_seconds, progress) from None
        raise UpstreamError(f"{_host(request)} redirects too often.", sent=True)

    @asynccontextmanager
    async def stream(self, request: Request, *, timeout_seconds: float = 60.0) -> AsyncIterator[Streamed]:
        """Send and stream the answer back as it comes, undecompressed; `timeout_seconds` bounds each silence."""
        progress = _Progress()
        self._check(request)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=timeout_seconds)
        try:
            async with self._open().request(
                request.method,
                URL(request.url, encoded=True),
                headers=self._headers(request),
                data=request.body,
                allow_redirects=False,
                timeout=timeout,
                proxy=self.settings.proxy_url,
                trace_request_ctx=progress,
                auto_decompress=False,
            ) as answer:
                yield Streamed(answer.status, _headers_of(answer), answer.content.iter_any())
        except TimeoutError:
            raise self._timeout(request, timeout_seconds, progress) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise self._failed(request, error, progress) from error

    async def close(self) -> None:
        """Give the pool back."""
        self.mail.close()
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _once(self, request: Request, max_bytes: int, progress: _Progress) -> Response:
        self._check(request)
        progress.sent = False
        started = time.monotonic()
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
        headers = self._headers(request)
        if request.headers.get("accept-encoding") is None:
            headers.append(("Accept-Encoding", "gzip, deflate"))
        try:
            async with self._open().request(
                request.method,
                URL(request.url, encoded=True),
                headers=headers,
                data=request.body,
                allow_redirects=False,
                timeout=timeout,
                proxy=self.settings.proxy_url,
                trace_request_ctx=progress,
                auto_decompress=False,
            ) as answer:
                body = await _read(answer, max_bytes, request)
                elapsed = time.monotonic() - started
                if log.is_enabled_for(logging.DEBUG):
                    log.debug("call", method=request.method, url=redaction.url(request.url), status=answer.status)
                return Response(answer.status, _headers_of(answer), body, request.url, elapsed)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise self._failed(request, error, progress) from error

    def _headers(self, request: Request) -> list[tuple[str, str]]:
        items = list(request.headers.items)
        if request.headers.get("user-agent") is None:
            items.append(("User-Agent", self.settings.user_agent))
        return items

    def _check(self, request: Request) -> None:
        check_literal(request.url, self.settings.allowed)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            connector = aiohttp.TCPConnector(
                limit=100,
                limit_per_host=32,
                ttl_dns_cache=0,
                use_dns_cache=False,
                resolver=self._resolver or aiohttp.ThreadedResolver(),
                ssl=tls_context(self.settings.ca_file),
                socket_factory=self._guarded_socket,
            )
            trace = aiohttp.TraceConfig()
            trace.on_request_headers_sent.append(_mark_sent)
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                trace_configs=[trace],
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            )
        return self._session

    def _guarded_socket(self, info: Any) -> socket.socket:
        """Called with the resolved address right before the connect: no second look-up can slip in between."""
        family, kind, proto, _, sockaddr = info
        address = ipaddress.ip_address(sockaddr[0].split("%")[0])
        if self.settings.proxy_url is None and not may_connect(self.settings.allowed, address, sockaddr[1]):
            raise _Blocked
        return socket.socket(family=family, type=kind, proto=proto)

    def _failed(self, request: Request, error: Exception, progress: _Progress) -> UpstreamError:
        host = _host(request)
        if isinstance(error, UpstreamError):
            return error
        if isinstance(error, _Blocked) or isinstance(error.__cause__, _Blocked) or "_Blocked" in repr(error):
            return UpstreamError(say("E-BLOCKED", host=host), message_code="E-BLOCKED", sent=False)
        if isinstance(error, aiohttp.ClientConnectorDNSError):
            return UpstreamError(say("E-DNS", host=host), message_code="E-DNS", sent=False)
        if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError | ssl.SSLError):
            reason = redaction.text(getattr(error, "certificate_error", None) or error, limit=120)
            return UpstreamError(say("E-TLS", host=host, reason=reason), message_code="E-TLS", sent=False)
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            return UpstreamTimeout(
                f"{host} did not accept a connection within 5 s.", message_code="E-TIMEOUT", sent=False
            )
        if isinstance(error, aiohttp.ClientConnectorError):
            return UpstreamError(f"{host} refused the connection. Is it running?", sent=False)
        sent = None if progress.sent else False
        return UpstreamError(f"{host} broke the connection before it had answered.", sent=sent)

    def _timeout(self, request: Request, seconds: float, progress: _Progress) -> UpstreamTimeout:
        sentence = say("E-TIMEOUT", system=_host(request), seconds=f"{round(seconds, 1):g}")
        return UpstreamTimeout(sentence, message_code="E-TIMEOUT", sent=None if progress.sent else False)


@dataclass(slots=True)
class _Progress:
    sent: bool = False


async def _mark_sent(session: object, context: Any, params: object) -> None:  # noqa: ARG001 - aiohttp's signature
    if isinstance(context.trace_request_ctx, _Progress):
        context.trace_request_ctx.sent = True


def _redirected(request: Request, response: Response, credential_headers: frozenset[str]) -> Request | None:
    location = response.headers.get("location")
    if response.status not in {301, 302, 303, 307, 308} or not location:
        return None
    url = urljoin(request.url, location)
    # Secrets stay behind on every hop, also on the same origin (RFC 9700 §4.12).
    headers = request.headers.without(*_CREDENTIAL_HEADERS, *credential_headers)
    method = request.method if response.status in {307, 308} or request.method == "HEAD" else "GET"
    return Request(method, url, headers, request.body if method == request.method else None)


async def _read(answer: aiohttp.ClientResponse, max_bytes: int, request: Request) -> bytes:
    try:
        return await unpacked(answer.content.iter_any(), answer.headers.get("Content-Encoding"), max_bytes)
    except TooBig:
        raise UpstreamError(
            say("E-TOOBIG", host=_host(request), most=max_bytes // 1024 // 1024 or 1),
            message_code="E-TOOBIG",
            sent=True,
        ) from None


def _headers_of(answer: aiohttp.ClientResponse) -> Headers:
    return Headers(tuple((k.decode("latin-1"), v.decode("latin-1")) for k, v in answer.raw_headers))


def _host(request: Request) -> str:
    return urlsplit(request.url).hostname or "the host"
