"""The OAuth 2.0 flows that an OpenAPI 3 document declares (`components.securitySchemes`). Pure; it fetches nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

from keyturn.oauth.urls import UrlProblem, check_url

_WELL_KNOWN = "/.well-known/openid-configuration"
_SCOPES_MOST = 200


@dataclass(frozen=True, slots=True)
class Flow:
    """One way to sign in. `kind` is `authorization_code` or `client_credentials`; `issuer` stands for a discovery."""

    scheme: str
    kind: str
    authorization_url: str | None = None
    token_url: str | None = None
    refresh_url: str | None = None
    scopes: tuple[str, ...] = ()
    issuer: str | None = None


def base_url_of(document: Mapping[str, Any], document_url: str | None = None) -> str | None:
    """The first server's URL, made absolute by where the document came from; variables take their defaults."""
    servers = document.get("servers")
    first = servers[0] if isinstance(servers, list) and servers and isinstance(servers[0], dict) else {}
    url = first.get("url")
    if not isinstance(url, str):
        return None
    variables = first.get("variables")
    for name, variable in (variables if isinstance(variables, dict) else {}).items():
        if isinstance(variable, dict) and "default" in variable:
            url = url.replace(f"{{{name}}}", str(variable["default"]))
    return _absolute(url, document_url)


def flows_of(document: Mapping[str, Any], document_url: str | None = None) -> list[Flow]:
    """Every flow we can offer, authorization code first. Relative URLs are resolved against the API's own."""
    base = base_url_of(document, document_url) or document_url
    components = document.get("components")
    schemes = components.get("securitySchemes") if isinstance(components, dict) else None
    found = [flow for name, scheme in _items(schemes) for flow in _flows(name, scheme, base)]
    return sorted(found, key=lambda flow: flow.kind != "authorization_code")


def _flows(name: str, scheme: Mapping[str, Any], base: str | None) -> Iterator[Flow]:
    if scheme.get("type") == "openIdConnect":
        url = _absolute(scheme.get("openIdConnectUrl"), base)
        if url is not None and url.endswith(_WELL_KNOWN):
            yield Flow(name, "authorization_code", issuer=url.removesuffix(_WELL_KNOWN))
    if scheme.get("type") != "oauth2":
        return
    flows = dict(_items(scheme.get("flows")))
    for spelled, kind in (("authorizationCode", "authorization_code"), ("clientCredentials", "client_credentials")):
        flow = flows.get(spelled)
        token_url = None if flow is None else _absolute(flow.get("tokenUrl"), base)
        authorization_url = None if flow is None else _absolute(flow.get("authorizationUrl"), base)
        if flow is None or token_url is None or (kind == "authorization_code" and authorization_url is None):
            continue
        scopes = flow.get("scopes")
        names = tuple(str(scope) for scope in scopes)[:_SCOPES_MOST] if isinstance(scopes, dict) else ()
        yield Flow(name, kind, authorization_url, token_url, _absolute(flow.get("refreshUrl"), base), names)


def _items(value: object) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, dict):
        yield from ((str(name), item) for name, item in value.items() if isinstance(item, dict))


def _absolute(url: object, base: str | None) -> str | None:
    if not isinstance(url, str) or not url.strip():
        return None
    try:
        return check_url(urljoin(base, url) if base else url)
    except (UrlProblem, ValueError):
        return None
