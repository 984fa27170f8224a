"""A proxy before a real authorization server that spells its requests and answers as real providers do.

Code, PKCE, rotation and reuse detection stay the real server's. `/q/{quirk},{quirk}/authorize|token|refresh`;
`requests` has what was asked at the token endpoint, secrets as lengths.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from served import Served

OPEN_NAMES = ("grant_type", "redirect_uri", "scope", "client_id", "client_key")
TOKENS = dict[str, Any]


def _moved(tokens: TOKENS, name: str, value: Callable[[float], Any]) -> None:
    tokens[name] = value(float(tokens.pop("expires_in", 3600)))


# What each quirk does to a good answer of the real server.
ANSWERS: dict[str, Callable[[TOKENS], Any]] = {
    "expires_str": lambda t: t.update(expires_in=str(t["expires_in"])),
    "expires_ms": lambda t: t.update(expires_in=t["expires_in"] * 1000),
    "expires_none": lambda t: t.pop("expires_in"),
    "expires_alt": lambda t: _moved(t, "expires", int),
    "expires_at_epoch": lambda t: _moved(t, "expires_at", lambda life: int(time.time() + life)),
    "expires_at_ms": lambda t: _moved(t, "expires_at", lambda life: int((time.time() + life) * 1000)),
    "expires_at_iso": lambda t: _moved(
        t, "expires_at", lambda life: datetime.fromtimestamp(time.time() + life, UTC).isoformat()
    ),
    "type_user": lambda t: t.update(token_type="user"),
    "type_none": lambda t: t.pop("token_type"),
    "type_lower": lambda t: t.update(token_type="bearer"),
    "type_mac": lambda t: t.update(token_type="mac"),
    "scope_list": lambda t: t.update(scope=t.get("scope", "").split()),
    "scope_comma_out": lambda t: t.update(scope=t.get("scope", "").replace(" ", ",")),
    "refresh_expires_in": lambda t: t.update(refresh_token_expires_in=600),
    "no_refresh": lambda t: t.pop("refresh_token", None),
    "huge": lambda t: t.update(pad="x" * 20_000_000),
}
# What each does to its shape, after that.
SHAPES: dict[str, Callable[[TOKENS], Any]] = {
    "camel": lambda t: {re.sub(r"_(.)", lambda m: m[1].upper(), name): value for name, value in t.items()},
    "authed_user": lambda t: {"ok": True, "authed_user": {"id": "U1", **t}},
    "data": lambda t: {"code": 0, "message": "OK", "data": t},
    "ok_false": lambda t: {"ok": True, **t},
    "array": lambda t: [t],
}
# What each wants of a token request: the sentence of its refusal, or None.
WANTS: dict[str, Callable[[dict[str, str], Request], bool]] = {
    "basic_only": lambda p, r: "client_secret" not in p and "authorization" in r.headers,
    "post_only": lambda p, r: "authorization" not in r.headers,
    "no_pkce": lambda p, r: "code_verifier" not in p,
    "no_redirect_uri": lambda p, r: "redirect_uri" not in p,
    "ua_required": lambda p, r: not r.headers.get("user-agent", "python").lower().startswith(("python", "aiohttp")),
    "refresh_path": lambda p, r: (p.get("grant_type") == "refresh_token") == r.url.path.endswith("/refresh"),
    "client_key": lambda p, r: "client_key" in p and "client_id" not in p,
    "auth_code_param": lambda p, r: "auth_code" in p or p.get("grant_type") == "refresh_token",
    "no_grant_type": lambda p, r: "grant_type" not in p,
}
RENAMES = {"client_key": ("client_key", "client_id"), "auth_code_param": ("auth_code", "code")}
SEPARATORS = {"scope_comma": ",", "scope_plus": "+"}
FAULTS = frozenset({"once_503", "always_503", "e429", "lost_response", "slow", "redirect"})
FAILURES = frozenset({"err200", "ok_false", "err_nested", "err_403", "err_empty", "err_html"})
WRAPPINGS = frozenset({"form", "form_as_text", "json_as_html", "accept_json", "bom", "no_json_no_ct"})
OTHERS = frozenset({"json_request", "get_request", "no_new_refresh", "null_refresh"})
ALL = sorted({*ANSWERS, *SHAPES, *WANTS, *SEPARATORS, *FAULTS, *FAILURES, *WRAPPINGS, *OTHERS})


class QuirkProxy(Served):
    """Runs in a thread before `authorization_url` and `token_url`."""

    def __init__(self, port: int, authorization_url: str, token_url: str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.requests: list[dict[str, Any]] = []
        self._authorization_url, self._token_url = authorization_url, token_url
        self._client = httpx2.Client(timeout=20)
        routes = [
            Route("/q/{quirks}/authorize", self._authorize),
            Route("/q/{quirks}/token", self._token, methods=["GET", "POST"]),
            Route("/q/{quirks}/refresh", self._token, methods=["GET", "POST"]),
        ]
        super().__init__(Starlette(routes=routes), port)

    def __exit__(self, *args: object) -> None:
        super().__exit__(*args)
        self._client.close()

    async def _authorize(self, request: Request) -> Response:
        quirks = _quirks(request)
        query = dict(request.query_params)
        if "client_key" in quirks:
            query["client_id"] = query.pop("client_key", "MISSING client_key")
        for quirk, separator in SEPARATORS.items():
            if quirk in quirks and "scope" in query:
                query["scope"] = "BAD SEPARATOR" if " " in query["scope"] else query["scope"].replace(separator, " ")
        if "no_pkce" in quirks and "code_challenge" in query:
            return PlainTextResponse("unknown parameter code_challenge", 400)
        return RedirectResponse(f"{self._authorization_url}?{urlencode(query)}", 302)

    async def _token(self, request: Request) -> Response:
        quirks = _quirks(request)
        sent = await self._sent(request, quirks)
        if sent is None:
            return _failure(quirks, 400, "invalid_request")
        seen = {name: value if name in OPEN_NAMES else len(value) for name, value in sent.items()}
        self.requests.append({"method": request.method, "path": request.url.path.rsplit("/", 1)[1], **seen})
        count = len(self.requests)
        if any(quirk in quirks and not wanted(sent, request) for quirk, wanted in WANTS.items()):
            return _failure(
                quirks, 400, "invalid_client" if {"basic_only", "post_only"} & quirks else "invalid_request"
            )
        if "always_503" in quirks or ("once_503" in quirks and count % 2):
            return PlainTextResponse("Service Unavailable", 503, {"Retry-After": "1"})
        if "e429" in quirks and count % 2:
            return JSONResponse({"error": "rate_limited"}, 429, {"Retry-After": "1"})
        if "redirect" in quirks:
            return RedirectResponse(self._token_url, 307)
        return self._answer(quirks, request, sent, count)

    async def _sent(self, request: Request, quirks: set[str]) -> dict[str, str] | None:
        if request.method == "GET":
            return dict(request.query_params) if "get_request" in quirks else None
        is_json = "json" in request.headers.get("content-type", "")
        if "get_request" in quirks or is_json != ("json_request" in quirks):
            return None
        raw = await request.body()
        return json.loads(raw) if is_json else dict(parse_qsl(raw.decode(), keep_blank_values=True))

    def _answer(self, quirks: set[str], request: Request, sent: dict[str, str], count: int) -> Response:
        for quirk, (odd, real) in RENAMES.items():
            if quirk in quirks and odd in sent:
                sent[real] = sent.pop(odd)
        sent.setdefault("grant_type", "refresh_token" if "refresh_token" in sent else "authorization_code")
        if "slow" in quirks:
            time.sleep(3)
        headers = {name: request.headers[name] for name in ("authorization", "dpop") if name in request.headers}
        real = self._client.post(self._token_url, data=sent, headers={"Accept": "application/json", **headers})
        if "lost_response" in quirks and count % 2 == 0:
            # It acted, and we never hear of it: the connection breaks in the middle of the answer.
            return Response(b"{", headers={"Content-Length": "1000"}, media_type="application/json")
        found = real.json()
        if real.status_code >= 400:
            return _failure(quirks, real.status_code, found.get("error", "server_error"))
        return _wrapped(quirks, request, _shaped(quirks, found, sent))


def _quirks(request: Request) -> set[str]:
    quirks = set(filter(None, request.path_params["quirks"].split(",")))
    assert quirks <= set(ALL), quirks - set(ALL)
    return quirks


def _shaped(quirks: set[str], tokens: TOKENS, sent: dict[str, str]) -> Any:
    refreshing = sent["grant_type"] == "refresh_token"
    if "no_new_refresh" in quirks and refreshing:
        tokens.pop("refresh_token", None)
    if "null_refresh" in quirks and refreshing:
        tokens["refresh_token"] = None
    for quirk, change in ANSWERS.items():
        if quirk in quirks:
            change(tokens)
    shaped: Any = tokens
    for quirk, shape in SHAPES.items():
        if quirk in quirks:
            shaped = shape(shaped)
    return shaped


def _failure(quirks: set[str], status: int, error: str) -> Response:
    if "err200" in quirks:
        return JSONResponse({"error": error})
    if "ok_false" in quirks:
        return JSONResponse({"ok": False, "error": error})
    if "err_nested" in quirks:
        return JSONResponse({"error": {"message": "no", "type": "OAuthException", "code": error}}, status)
    if "err_empty" in quirks:
        return Response(b"", status)
    if "err_html" in quirks:
        return HTMLResponse(f"<html><h1>{error}</h1></html>", status)
    return JSONResponse({"error": error}, 403 if "err_403" in quirks else status)


def _wrapped(quirks: set[str], request: Request, shaped: Any) -> Response:
    if "form" in quirks or ("accept_json" in quirks and "json" not in request.headers.get("accept", "")):
        return Response(urlencode(shaped), media_type="application/x-www-form-urlencoded")
    if "form_as_text" in quirks:
        return PlainTextResponse(urlencode(shaped))
    body = json.dumps(shaped).encode()
    if "bom" in quirks:
        body = b"\xef\xbb\xbf" + body
    kind = "text/html" if "json_as_html" in quirks else "application/json"
    return Response(body, media_type="application/octet-stream" if "no_json_no_ct" in quirks else kind)
