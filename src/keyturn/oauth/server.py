"""An authorization server's endpoints and abilities, and its metadata document (RFC 8414, OIDC Discovery)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from keyturn.oauth.bodies import object_of
from keyturn.oauth.errors import OAuthError
from keyturn.oauth.urls import UrlProblem, check_url
from keyturn.wire import Headers, Request, Response

_MAX_NAMES = 1000


@dataclass(frozen=True, slots=True)
class AuthorizationServer:
    """Where to send what. `None` in a tuple's place means that the server did not say."""

    authorization_url: str
    token_url: str
    revocation_url: str | None = None
    issuer: str | None = None
    iss_required: bool = False
    token_endpoint_auth_methods: tuple[str, ...] | None = None
    code_challenge_methods: tuple[str, ...] | None = None
    scopes_supported: tuple[str, ...] | None = None
    userinfo_url: str | None = None
    pushed_authorization_url: str | None = None
    par_required: bool = False
    device_authorization_url: str | None = None
    introspection_url: str | None = None
    registration_url: str | None = None
    jwks_url: str | None = None
    dpop_algorithms: tuple[str, ...] | None = None
    assertion_algorithms: tuple[str, ...] | None = None
    grant_types: tuple[str, ...] | None = None


def metadata_urls(issuer: str) -> tuple[str, ...]:
    """Where an issuer's metadata may be, best first (RFC 8414 §3.1, §5, OIDC Discovery §4).

    Both orders, since servers differ where an issuer has a path: well-known before it and behind it.
    """
    parts = urlsplit(issuer)
    origin, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    oauth, oidc = "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"
    return tuple(
        dict.fromkeys(
            (f"{origin}{path}{oidc}", f"{origin}{oauth}{path}", f"{origin}{oidc}{path}", f"{origin}{path}{oauth}")
        )
    )


def metadata_request(url: str) -> Request:
    """The request for one of `metadata_urls` (RFC 8414 §3.1). Redirects must not be followed."""
    return Request("GET", url, Headers.of({"Accept": "application/json"}))


def process_metadata(issuer: str, response: Response) -> AuthorizationServer:
    """The server as its document says, if that names `issuer` byte for byte (RFC 8414 §3.3).

    Absent authentication methods mean `client_secret_basic` (§2). Raises `OAuthError` (`where` is `metadata`).
    """
    document = object_of(response)
    if response.status != 200 or document is None:
        raise _problem("There is no metadata document here.", response)
    if document.get("issuer") != issuer:
        raise _problem("The document names another issuer than the one that was asked.", response)
    authorization_url = _url(document, "authorization_endpoint")
    token_url = _url(document, "token_endpoint")
    if authorization_url is None or token_url is None:
        raise _problem("The document lacks a usable authorization_endpoint or token_endpoint.", response)
    return AuthorizationServer(
        authorization_url=authorization_url,
        token_url=token_url,
        revocation_url=_url(document, "revocation_endpoint"),
        issuer=issuer,
        iss_required=document.get("authorization_response_iss_parameter_supported") is True,
        token_endpoint_auth_methods=_names(document, "token_endpoint_auth_methods_supported")
        or ("client_secret_basic",),
        code_challenge_methods=_names(document, "code_challenge_methods_supported"),
        scopes_supported=_names(document, "scopes_supported"),
        userinfo_url=_url(document, "userinfo_endpoint"),
        pushed_authorization_url=_url(document, "pushed_authorization_request_endpoint"),
        par_required=document.get("require_pushed_authorization_requests") is True,
        device_authorization_url=_url(document, "device_authorization_endpoint"),
        introspection_url=_url(document, "introspection_endpoint"),
        registration_url=_url(document, "registration_endpoint"),
        jwks_url=_url(document, "jwks_uri"),
        dpop_algorithms=_names(document, "dpop_signing_alg_values_supported"),
        assertion_algorithms=_names(document, "token_endpoint_auth_signing_alg_values_supported"),
        grant_types=_names(document, "grant_types_supported"),
    )


def _problem(description: str, response: Response) -> OAuthError:
    return OAuthError("invalid_metadata", description, status=response.status, where="metadata")


def _url(document: dict[str, Any], name: str) -> str | None:
    value = document.get(name)
    if not isinstance(value, str):
        return None
    try:
        return check_url(value)
    except UrlProblem:
        return None


def _names(document: dict[str, Any], name: str) -> tuple[str, ...] | None:
    value = document.get(name)
    if not isinstance(value, list):
        return None
    return tuple(item for item in value[:_MAX_NAMES] if isinstance(item, str))
