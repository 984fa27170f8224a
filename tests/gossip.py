"""An end system that tells on us: it repeats what it is told, remembers it, and answers badly when asked to."""

from __future__ import annotations

import time
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode

from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from served import Served, free_port


class Gossip(Served):
    """An end system that repeats all it is told in every error, and remembers it for the search afterwards."""

    def __init__(self, certificate: Path | None = None) -> None:
        self.secrets: dict[str, str] = {}
        self.mode = "good"
        self.issued = 0
        self.scope: str | None = None
        # What it says besides, or instead: at the callback, with a token, at the token endpoint, by its clock, in headers.
        self.callback: dict[str, str] = {}
        self.more: dict[str, Any] = {}
        self.refusal: tuple[int, dict[str, Any]] | None = None
        self.device_refusal: dict[str, Any] | None = None
        self.clock_off_by = 0.0
        self.added: dict[str, str] = {}
        self.heard: list[str] = []
        # What came with the last call of the API.
        self.headers: dict[str, str] = {}
        self.query = ""
        # The fields of each token request, in order.
        self.asked: list[dict[str, str]] = []
        routes = [
            Route("/authorize", self._authorize),
            Route("/token", self._token, methods=["POST"]),
            Route("/device", self._device, methods=["POST"]),
            Route("/{tenant}/authorize", self._authorize),
            Route("/{tenant}/token", self._token, methods=["POST"]),
            Route("/api/{rest:path}", self._api, methods=["GET", "POST"]),
        ]
        self.port = free_port()
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}"
        app = Starlette(routes=routes)
        app.add_middleware(BaseHTTPMiddleware, dispatch=self._listen)
        super().__init__(app, self.port, date_header=False, ssl_certfile=certificate)

    async def _listen(self, request: Request, go_on: Any) -> Response:
        self.heard.append(request.url.path)
        answer = await go_on(request)
        answer.headers.update(self.added)
        answer.headers["Date"] = formatdate(time.time() + self.clock_off_by, usegmt=True)
        return answer

    async def _authorize(self, request: Request) -> RedirectResponse:
        asked = request.query_params
        self.secrets |= {"state": asked["state"], "code": "canary-code-5c1d0"}
        back = {"code": "canary-code-5c1d0", "state": asked["state"]}
        if self.mode == "denied":
            back = {"error": "access_denied", "error_description": f"no {dict(asked)}", "state": asked["state"]}
        if "error" in self.callback:
            back.pop("code", None)
        back |= self.callback
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(back)}", 302)

    async def _device(self, _: Request) -> JSONResponse:
        """A code for another device (RFC 8628 §3.2)."""
        if self.device_refusal is not None:
            return JSONResponse(self.device_refusal, 401)
        self.secrets["device code"] = "canary-device-7a11"
        told = {"device_code": "canary-device-7a11", "user_code": "WDJB-MJHT", "verification_uri": self.url + "/enter"}
        return JSONResponse({**told, "expires_in": 900})

    async def _token(self, request: Request) -> Response:
        body = (await request.body()).decode()
        sent = dict(parse_qsl(body))
        self.asked.append(sent)
        if "code_verifier" in sent:
            self.secrets["verifier"] = sent["code_verifier"]
        echo = f"{body} {unquote_plus(body)} {request.headers.get('authorization')}"
        if self.refusal is not None:
            return JSONResponse(self.refusal[1], self.refusal[0])
        if self.mode == "oauth_error":
            return JSONResponse({"error": "invalid_grant", "error_description": echo}, 400)
        if self.mode == "web_page":
            return HTMLResponse(f"<h1>Broken</h1><pre>{echo}</pre>", 500)
        if self.mode == "told_with_200":
            return JSONResponse({"ok": False, "error": echo})
        if self.mode == "nothing":
            return PlainTextResponse("")
        if self.mode == "ten_megabytes":
            return JSONResponse({"access_token": "x" * 10_000_000})
        self.issued += 1
        access, refresh = f"canary-access-{self.issued}-d41d8", f"canary-refresh-{self.issued}-a8f5f"
        self.secrets |= {f"access {self.issued}": access, f"refresh {self.issued}": refresh}
        granted = {} if self.scope is None else {"scope": self.scope}
        tokens = {"access_token": access, "refresh_token": refresh, "token_type": "Bearer", "expires_in": 3600}
        tokens |= granted | self.more
        return JSONResponse({name: value for name, value in tokens.items() if value is not None})

    async def _api(self, request: Request) -> JSONResponse | HTMLResponse:
        self.headers, self.query = dict(request.headers), request.url.query
        if request.url.path.endswith("/things"):
            return JSONResponse([{"id": number, "name": f"thing {number}"} for number in range(3)])
        status = int(request.query_params.get("status", 500))
        heard = {"X-Heard": str(request.headers.get("authorization"))}
        return HTMLResponse(f"<p>{dict(request.headers)}</p>", status, heard)
