"""Filling a client's form from what an end system publishes: its issuer's metadata, or an OpenAPI 3 document."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from keyturn.errors import Invalid, UpstreamError
from keyturn.oauth.errors import OAuthError
from keyturn.oauth.jose import ALGORITHMS
from keyturn.oauth.openapi_flows import Flow, base_url_of, flows_of
from keyturn.oauth.server import AuthorizationServer, metadata_request, metadata_urls, process_metadata
from keyturn.oauth.urls import UrlProblem, check_url
from keyturn.rest.documents import parsed
from keyturn.services.context import Context
from keyturn.wire import Headers, Request

_TIMEOUT_SECONDS = 10.0
_METADATA_MAX_BYTES = 1 << 20
_OPENAPI_MAX_BYTES = 8 << 20
_WAYS = ("issuer", "openapi", "openapi_url")
# Of those that are listed, the ones that need nothing more than what people paste come first.
_METHODS = {
    "client_secret_basic": "basic",
    "client_secret_post": "post",
    "none": "none",
    "private_key_jwt": "private_key_jwt",
    "client_secret_jwt": "client_secret_jwt",
}


@dataclass(frozen=True, slots=True)
class Draft:
    """What was found: fields for an OAuth client, the API's base URL if it is told, and how we know.

    `registers`: the server registers clients by itself (RFC 7591).
    """

    settings: dict[str, Any]
    base_url: str | None
    evidence: tuple[str, ...]
    registers: bool = False


async def discover(ctx: Context, raw: Any) -> Draft:
    """From `{"issuer": …}`, `{"openapi": document}` or `{"openapi_url": …}`; nothing is stored.

    Raises `Invalid` naming the field when there is nothing usable, `UpstreamError` when nobody answers.
    """
    ctx.require("clients:write")
    given = [name for name in _WAYS if isinstance(raw, dict) and raw.get(name)]
    if len(given) != 1 or set(raw) - set(_WAYS):
        raise Invalid("Send one of issuer, openapi or openapi_url.", at="issuer")
    if given[0] == "issuer":
        return await _from_issuer(ctx, _url(raw["issuer"], "issuer"), str(raw["issuer"]).strip())
    document_url = None
    document = raw.get("openapi")
    if given[0] == "openapi_url":
        document_url = _url(raw["openapi_url"], "openapi_url")
        document = await _fetched(ctx, document_url)
    if isinstance(document, str):
        document = await asyncio.to_thread(_parsed, document, given[0])
    return await _from_openapi(ctx, document, document_url, given[0])


async def _from_issuer(ctx: Context, url: str, issuer: str) -> Draft:
    return draft_of(*await metadata_of(ctx, issuer, url=url))


async def metadata_of(
    ctx: Context, issuer: str, *, url: str | None = None, fix: str = "Enter the URLs by hand, or check the issuer."
) -> tuple[AuthorizationServer, str]:
    """RFC 8414 §3 and OIDC Discovery §4: each place it may lie in, the first usable one counts; and which it was.

    `fix` ends the sentence where there is none.
    Raises `Invalid` when none is usable, `UpstreamError` for a host that is blocked or not found.
    """
    url = url or issuer
    problem: Exception | None = None
    for place in metadata_urls(url):
        try:
            response = await ctx.egress.send(
                metadata_request(place), timeout_seconds=_TIMEOUT_SECONDS, max_bytes=_METADATA_MAX_BYTES
            )
            return process_metadata(issuer, response), place
        except OAuthError as error:
            # A document that names somebody else tells more than three places without one.
            problem = error if problem is None or "another issuer" in str(error) else problem
        except UpstreamError as error:
            if error.message_code in {"E-BLOCKED", "E-DNS"}:
                raise
            problem = problem or error
    host = urlsplit(url).hostname
    # Our own errors have a sentence, the server's a description.
    reason = getattr(problem, "description", None) or getattr(problem, "message", None) or "nothing was answered."
    raise Invalid(
        f"{host} publishes no metadata for this issuer: {reason} {fix}",
        at="issuer",
    )


def draft_of(server: AuthorizationServer, place: str) -> Draft:
    """Fields of a client out of an issuer's metadata, which was found at `place`. Raises `Invalid`."""
    methods = server.token_endpoint_auth_methods or ()
    if server.code_challenge_methods is not None and "S256" not in server.code_challenge_methods:
        raise Invalid(
            "This server offers PKCE by plain alone, which protects nothing. Ask its vendor for S256, or register "
            "it by hand with PKCE off.",
            at="issuer",
        )
    advanced: dict[str, Any] = {"issuer": server.issuer}
    if server.revocation_url:
        advanced["revocation_url"] = server.revocation_url
    if server.device_authorization_url:
        advanced["authorize"] = {"device_url": server.device_authorization_url}
    if token := _client_authentication(server):
        advanced["token"] = token
    if server.par_required and server.pushed_authorization_url:
        advanced.setdefault("authorize", {})["par_url"] = server.pushed_authorization_url
    offline = [scope for scope in ("openid", "email", "offline_access") if scope in (server.scopes_supported or ())]
    evidence = [f"{place} names this issuer", f"Client authentication: {', '.join(methods)}"]
    if server.par_required:
        evidence.append("It wants authorization requests pushed to it first")
    if server.dpop_algorithms:
        evidence.append("It can bind tokens to a key (DPoP)")
    if server.iss_required:
        evidence.append("It says who it is in every answer (iss)")
    settings = {
        "authorization_url": server.authorization_url,
        "token_url": server.token_url,
        "scopes": " ".join(offline),
        "advanced": advanced,
    }
    return Draft(settings, None, tuple(evidence), registers=server.registration_url is not None)


def _client_authentication(server: AuthorizationServer) -> dict[str, Any]:
    """What `detect` would not find out by itself: a public client, and ways that sign."""
    listed = server.token_endpoint_auth_methods or ()
    known = [ours for theirs, ours in _METHODS.items() if theirs in listed]
    if not known or (known[0] in {"basic", "post"} and len(known) > 1):
        return {}
    found: dict[str, Any] = {"auth": known[0]}
    if known[0] == "private_key_jwt":
        algorithm = next((name for name in ALGORITHMS if name in (server.assertion_algorithms or ())), None)
        found |= {"assertion_algorithm": algorithm} if algorithm else {}
    return found


async def _from_openapi(ctx: Context, document: Any, document_url: str | None, at: str) -> Draft:
    if not isinstance(document, dict) or not str(document.get("openapi", "")).startswith("3."):
        raise Invalid("This is not an OpenAPI 3 document: it has no openapi: 3.…", at=at)
    flows = flows_of(document, document_url)
    if not flows:
        raise Invalid(
            "This document declares no OAuth 2.0 flow with usable URLs under components.securitySchemes.", at=at
        )
    flow, base_url = flows[0], base_url_of(document, document_url)
    title = document.get("info", {}).get("title") if isinstance(document.get("info"), dict) else None
    if flow.issuer is not None:
        found = await _from_issuer(ctx, _url(flow.issuer, at), flow.issuer)
        return Draft(_named(found.settings, title), base_url, (f"Security scheme {flow.scheme}", *found.evidence))
    return Draft(_named(_of_flow(flow), title), base_url, (f"Security scheme {flow.scheme}, {flow.kind}",))


def _of_flow(flow: Flow) -> dict[str, Any]:
    settings: dict[str, Any] = {"token_url": flow.token_url, "scopes": " ".join(flow.scopes)}
    if flow.kind == "authorization_code":
        settings["authorization_url"] = flow.authorization_url
    else:
        settings["authentication_type"] = "rest_api_oauth2_client_credentials"
    if flow.refresh_url and flow.refresh_url != flow.token_url:
        settings["advanced"] = {"refresh": {"url": flow.refresh_url}}
    return settings


def _named(settings: dict[str, Any], title: object) -> dict[str, Any]:
    return {"name": title[:80], **settings} if isinstance(title, str) and title.strip() else settings


async def _fetched(ctx: Context, url: str) -> str:
    request = Request("GET", url, Headers.of({"Accept": "application/json, application/yaml, */*"}))
    response = await ctx.egress.send(
        request, timeout_seconds=_TIMEOUT_SECONDS, max_bytes=_OPENAPI_MAX_BYTES, follow_redirects=3
    )
    if response.status != 200:
        raise Invalid(f"{urlsplit(url).hostname} answered {response.status} here. Check the address.", at="openapi_url")
    return response.body.decode("utf-8", "replace")


def _parsed(text: str, at: str) -> Any:
    try:
        return parsed(text)
    except ValueError:
        raise Invalid("This is neither JSON nor YAML.", at=at) from None


def _url(value: object, at: str) -> str:
    if not isinstance(value, str):
        raise Invalid("Send text.", at=at)
    try:
        return check_url(value)
    except UrlProblem as problem:
        raise Invalid(str(problem), at=at) from None
