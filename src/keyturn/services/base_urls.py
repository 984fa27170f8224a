"""Which API a connection reads: as its member says, as its OAuth client says, or as the sign-in tells it.

What a sign-in tells chooses among the client's API hosts and never leads elsewhere (RFC 9700 §4.9).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from keyturn.egress import check_literal
from keyturn.errors import Invalid, UpstreamError
from keyturn.model.connections import ConnectionSettings
from keyturn.model.messages import say
from keyturn.model.oauth_clients import OAuthClient
from keyturn.oauth.urls import UrlProblem
from keyturn.oauth.variables import fill, fill_base, told_by_sign_in
from keyturn.services.context import Context


def settle(ctx: Context, settings: ConnectionSettings, client: OAuthClient | None) -> ConnectionSettings:
    """The settings with the blanks of the Base URL filled; it stays empty where only a sign-in tells it.

    Raises `Invalid` naming each variable that is missing, unknown or does not fit, and the Base URL.
    """
    if client is not None:
        _check_variables(client, settings)
    elif settings.variables:
        raise Invalid("Only an OAuth 2.0 client has variables.", at="variables")
    variables = {} if client is None else client.settings.advanced.variables
    template = settings.base_url or (client.settings.advanced.api.base_url if client is not None else None)
    if not template:
        raise Invalid("Enter the Base URL.", at="base_url")
    if settings.base_url == "" and told_by_sign_in(template, variables):
        return settings
    try:
        base_url = fill(template, variables, settings.variables).rstrip("/")
        check_literal(base_url, ctx.egress.allowed)
    except UrlProblem as problem:
        raise Invalid(problem.message, at="base_url") from None
    except UpstreamError as error:
        raise Invalid(error.message, at="base_url", message_code=error.message_code) from None
    return settings.model_copy(update={"base_url": base_url})


def told(ctx: Context, client: OAuthClient, settings: ConnectionSettings, kept: Mapping[str, Any]) -> str | None:
    """The API that a sign-in chose; None where the connection's own Base URL stands. Raises `Invalid`."""
    advanced = client.settings.advanced
    if settings.base_url or advanced.api.base_url is None:
        return None
    try:
        base_url = fill_base(advanced.api.base_url, advanced.variables, settings.variables, kept)
        check_literal(base_url, ctx.egress.allowed)
    except UrlProblem as problem:
        raise Invalid(problem.message, message_code="E-HOST") from None
    except UpstreamError as error:
        raise Invalid(error.message, message_code=error.message_code) from None
    if not listed(base_url, client):
        host = urlsplit(base_url).hostname
        raise Invalid(say("E-HOST", system=client.name, host=host), message_code="E-HOST")
    return base_url


def listed(base_url: str, client: OAuthClient) -> bool:
    """Whether the OAuth client names a URL's host (or `*.parent`) among the hosts its tokens may go to.

    A Base URL that a sign-in will tell counts: it is held to that list when it comes.
    """
    if not base_url:
        return True
    host = (urlsplit(base_url).hostname or "").lower()
    for pattern in client.settings.advanced.allowed_hosts:
        if pattern.startswith("*.") and host.endswith(pattern[1:]) and host != pattern[2:]:
            return True
        if host == pattern.lower():
            return True
    return False


def _check_variables(client: OAuthClient, settings: ConnectionSettings) -> None:
    asked = client.settings.asks_for()
    for name in settings.variables:
        if name not in asked:
            raise Invalid(f"{client.name} does not ask for {name}.", at=f"variables.{name}")
    for name, variable in asked.items():
        place = f"https://{{{name}}}.example/" if variable.kind == "dns_label" else f"https://x.example/{{{name}}}"
        try:
            fill(place, {name: variable}, settings.variables)
        except UrlProblem as problem:
            raise Invalid(problem.message, at=f"variables.{name}") from None
