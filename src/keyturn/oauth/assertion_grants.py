"""Tokens for something else that proves who asks: a signed assertion (RFC 7523), another token (RFC 8693)."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keyturn.oauth.bodies import object_of, text_of
from keyturn.oauth.client_auth import ClientCredentials
from keyturn.oauth.errors import OAuthError
from keyturn.oauth.grants import token_request
from keyturn.oauth.jose import SigningAlgorithm, key_id, signed
from keyturn.oauth.quirks import STANDARD, Advanced
from keyturn.oauth.server import AuthorizationServer
from keyturn.oauth.tokens import TokenSet, process_token_response
from keyturn.wire import Request, Response

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"


@dataclass(frozen=True, slots=True)
class ExchangedToken:
    """A token out of an exchange (RFC 8693 §2.2.1). `token_type` `N_A`: not to be used as an access token."""

    tokens: TokenSet
    issued_token_type: str
    token_type: str


def bearer_assertion(
    key: str,
    *,
    issuer: str,
    subject: str,
    audience: str,
    issued_at: float,
    life_seconds: float = 300.0,
    algorithm: SigningAlgorithm = "RS256",
    claims: Mapping[str, Any] | None = None,
) -> str:
    """A signed assertion that `issuer` acts for `subject` (RFC 7523 §3). Times are epoch seconds; `claims` are more.

    Raises `KeyProblem` for a key that does not fit.
    """
    whole = {
        **(claims or {}),
        "iss": issuer,
        "sub": subject,
        "aud": audience,
        "iat": int(issued_at),
        "exp": int(issued_at + life_seconds),
        "jti": secrets.token_urlsafe(24),
    }
    return signed(whole, {"alg": algorithm, "kid": key_id(key), "typ": "JWT"}, key)


def jwt_bearer_request(
    server: AuthorizationServer,
    credentials: ClientCredentials,
    *,
    assertion: str,
    scopes: Sequence[str] = (),
    advanced: Advanced = STANDARD,
) -> Request:
    """Tokens for a signed assertion (RFC 7523 §2.1)."""
    form = {"grant_type": JWT_BEARER, "assertion": assertion}
    return token_request(server, credentials, form, scopes=scopes, advanced=advanced)


def token_exchange_request(
    server: AuthorizationServer,
    credentials: ClientCredentials,
    *,
    subject_token: str,
    subject_token_type: str = ACCESS_TOKEN_TYPE,
    actor_token: str | None = None,
    actor_token_type: str | None = None,
    requested_token_type: str | None = None,
    audience: str | None = None,
    scopes: Sequence[str] = (),
    advanced: Advanced = STANDARD,
) -> Request:
    """One token for another (RFC 8693 §2.1). Raises `ValueError` unless an actor's token and its type come together."""
    if (actor_token is None) != (actor_token_type is None):
        raise ValueError("An actor token needs its type, and only then is a type given.")
    form = {
        "grant_type": TOKEN_EXCHANGE,
        "audience": audience,
        "requested_token_type": requested_token_type,
        "subject_token": subject_token,
        "subject_token_type": subject_token_type,
        "actor_token": actor_token,
        "actor_token_type": actor_token_type,
    }
    return token_request(server, credentials, form, scopes=scopes, advanced=advanced)


def process_token_exchange_response(
    response: Response, advanced: Advanced = STANDARD, *, wanted: str | None = None, now: float
) -> ExchangedToken:
    """What was issued (RFC 8693 §2.2.1), of the `wanted` type if one was asked for. Raises `OAuthError`."""
    body = object_of(response) or {}
    token_type = text_of(body.get("token_type")) or ""
    if token_type.upper() == "N_A":
        # No access token, so how one would be used says nothing.
        loose = advanced.response.model_copy(update={"token_type": "ignore"})
        advanced = advanced.model_copy(update={"response": loose})
    tokens = process_token_response(response, advanced, now=now)
    issued = text_of(body.get("issued_token_type"))
    if issued is None or (wanted is not None and issued != wanted):
        description = "The answer does not say which type of token it is." if issued is None else "Another type came."
        raise OAuthError("unsupported_token_type", description, status=response.status, where="token")
    return ExchangedToken(tokens, issued, "N_A" if token_type.upper() == "N_A" else tokens.token_type)
