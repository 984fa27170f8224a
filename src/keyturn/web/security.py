"""Headers on every answer, one origin for pages, and a limit on what may be sent: pure ASGI, around the whole app."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_MOST_BYTES = 1024 * 1024
PROXY_BODY_MOST_BYTES = 32 * 1024 * 1024
_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; object-src 'none'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_OWN_ORIGIN = _POLICY + "; form-action 'self'"
# Continue leads to the end system by a redirect after a form post, and end systems redirect on to places nobody
# can list; browsers hold form-action against every hop. The page shows nothing a stranger wrote as HTML.
_LEADS_AWAY = _POLICY
_FREE_OF_ORIGIN = ("/api/", "/healthz", "/readyz", "/metrics", "/static/", "/oauth2/jwks/")


class SecurityHeaders:
    """Wraps the app. `public_url` decides origin and HSTS, never what a request says of itself."""

    def __init__(self, app: App, public_url: str) -> None:
        self._app = app
        self._public_url = public_url
        self._host = urlsplit(public_url).netloc.lower()
        self._https = public_url.startswith("https://")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        if self._elsewhere(scope, headers):
            # As it was sent: unquoted it may hold what no header can.
            sent, query = scope.get("raw_path") or b"/", scope["query_string"].decode("latin-1")
            await _redirect(send, f"{self._public_url}/{sent.decode('latin-1').lstrip('/')}" + (query and f"?{query}"))
            return
        length = headers.get(b"content-length", "0")
        most = PROXY_BODY_MOST_BYTES if "/proxy/" in path else BODY_MOST_BYTES
        if not length.isdigit() or int(length) > most:
            await _too_large(send, most)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = self._with_ours(path, list(message["headers"]))
            await send(message)

        await self._app(scope, _limited(receive, most), guarded)

    def _elsewhere(self, scope: Scope, headers: dict[bytes, str]) -> bool:
        """A page opened under another name: cookies and redirect URIs belong to the public URL alone."""
        if scope["method"] not in {"GET", "HEAD"} or scope["path"].startswith(_FREE_OF_ORIGIN):
            return False
        return headers.get(b"host", "").lower() != self._host

    def _with_ours(self, path: str, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        there = {name.lower() for name, _ in headers}
        # Not on pages with a form: without a referrer browsers send `Origin: null`, and on plain http that is all
        # we have to know our own form by. `same-origin` tells the end system as little.
        private = path.startswith("/oauth2/")
        ours = {
            b"content-security-policy": _LEADS_AWAY if path.startswith("/connect/") else _OWN_ORIGIN,
            b"x-content-type-options": "nosniff",
            b"referrer-policy": "no-referrer" if private else "same-origin",
            b"cross-origin-opener-policy": "same-origin",
            b"cross-origin-resource-policy": "same-origin",
            b"permissions-policy": "camera=(), geolocation=(), microphone=()",
            b"x-frame-options": "DENY",
        }
        if self._https:
            ours[b"strict-transport-security"] = "max-age=31536000"
        if not path.startswith("/static/"):
            # An answer that may be cached says so itself.
            ours[b"cache-control"] = "no-store"
        return headers + [(name, value.encode()) for name, value in ours.items() if name not in there]


def _limited(receive: Receive, most: int) -> Receive:
    """The same messages, cut off where more comes than `Content-Length` let expect."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        if message["type"] == "http.request":
            seen += len(message.get("body", b""))
            if seen > most:
                return {"type": "http.disconnect"}
        return message

    return counted


async def _redirect(send: Send, url: str) -> None:
    await send({"type": "http.response.start", "status": 307, "headers": [(b"location", url.encode("latin-1")),
                (b"cache-control", b"no-store"), (b"content-length", b"0")]})  # fmt: skip
    await send({"type": "http.response.body", "body": b""})


async def _too_large(send: Send, most: int) -> None:
    body = (
        '{"type":"about:blank","title":"Something to fix","status":413,"code":"invalid",'
        f'"detail":"The body is larger than {most // 1024 // 1024} MB."}}'
    ).encode()
    await send({"type": "http.response.start", "status": 413, "headers": [
        (b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode())]})  # fmt: skip
    await send({"type": "http.response.body", "body": body})
