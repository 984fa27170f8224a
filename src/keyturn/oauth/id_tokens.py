"""ID tokens and UserInfo: who signed in, by the issuer's published keys (OIDC Core §2, §3.1.3.7, §5.3)."""

from __future__ import annotations

import hmac
import json
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import RSAKey, import_key
from joserfc.jws import JWSRegistry

from keyturn.oauth.bodies import object_of
from keyturn.oauth.errors import OAuthError
from keyturn.wire import Headers, Request, Response

# What may sign: public keys alone, so that neither `none` nor a shared secret passes (RFC 8725 §3.1).
KINDS = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC", "EdDSA": "OKP", "Ed25519": "OKP"}
LEEWAY_SECONDS = 60.0
_MIN_RSA_BITS = 2048
_MAX_KEYS = 100
_MAX_HEADER = 8192
_MAX_SUBJECT = 255
_FAR = 1e15
_WHERE = "id_token"
# What JSON and keys of strangers raise besides.
_UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, RecursionError)


class UnknownKey(OAuthError):
    """No published key is the one that signed: the issuer may have changed its keys meanwhile."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who signed in at an issuer: (`issuer`, `subject`) is the person, for ever; everything else may change.

    `email` is None unless the issuer says that it is verified. `authenticated_at` is epoch seconds.
    """

    issuer: str
    subject: str
    email: str | None = field(default=None, repr=False)
    unverified_email: bool = False
    name: str | None = field(default=None, repr=False)
    authenticated_at: float | None = None


def keys_request(url: str) -> Request:
    """The request for a JWK Set (RFC 7517 §5). Redirects must not be followed."""
    return Request("GET", url, Headers.of({"Accept": "application/jwk-set+json, application/json"}))


def process_keys(response: Response) -> tuple[dict[str, Any], ...]:
    """The keys of a set that may verify signatures; those we cannot read are passed over (RFC 7517 §5).

    Raises `OAuthError` (`where` is `jwks`).
    """
    found = (object_of(response) or {}).get("keys") if response.status == 200 else None
    if not isinstance(found, list):
        raise OAuthError("invalid_jwks", "There is no JWK Set here.", status=response.status, where="jwks")
    return tuple(
        key for key in found[:_MAX_KEYS] if isinstance(key, dict) and key.get("use", "sig") == "sig" and "kty" in key
    )


def verified(
    id_token: str, keys: Sequence[Mapping[str, Any]], *, issuer: str, client_id: str, nonce: str, now: float
) -> dict[str, Any]:
    """The claims of an ID token that passes every check of OIDC Core §3.1.3.7; `now` is in epoch seconds.

    Raises `UnknownKey` when no key fits, `OAuthError` (`invalid_id_token`) for all else that is wrong.
    """
    claims = _signed_claims(id_token, keys)
    problem = problem_of(claims, issuer=issuer, client_id=client_id, nonce=nonce, now=now)
    issued_at = _number(claims.get("iat"))
    if problem is None and (issued_at is None or issued_at > now + LEEWAY_SECONDS):
        problem = "It was issued in the future (iat): one of the two clocks is wrong."
    not_before = _number(claims.get("nbf", now))
    if problem is None and (not_before is None or not_before > now + LEEWAY_SECONDS):
        problem = "It is not valid yet (nbf)."
    if problem is None and not _is_subject(claims.get("sub")):
        problem = "It names nobody (sub)."
    if problem is not None:
        raise _invalid(problem)
    return claims


def problem_of(claims: Mapping[str, Any], *, issuer: str, client_id: str, nonce: str | None, now: float) -> str | None:
    """What is wrong with who made an ID token, for whom, and for how long, or None. `nonce` None: none was sent."""
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    expires_at = _number(claims.get("exp"))
    given = claims.get("nonce")
    if claims.get("iss") != issuer:
        return "It comes from another issuer (iss)."
    if client_id not in audiences:
        return "It is for another client (aud)."
    if claims.get("azp", client_id) != client_id or (len(audiences) > 1 and "azp" not in claims):
        return "It was given to another client (azp)."
    if expires_at is None or now >= expires_at + LEEWAY_SECONDS:
        return "It has ended (exp)."
    if nonce is not None and not (isinstance(given, str) and _same(given, nonce)):
        return "It is not the answer to this sign-in (nonce)."
    return None


def userinfo_request(url: str, access_token: str) -> Request:
    """Ask for the claims that are not in the ID token (OIDC Core §5.3.1)."""
    return Request("GET", url, Headers.of({"Accept": "application/json", "Authorization": f"Bearer {access_token}"}))


def process_userinfo(response: Response, claims: Mapping[str, Any]) -> dict[str, Any]:
    """The ID token's claims with those of the UserInfo answer, if that is about the same person (§5.3.2).

    Raises `OAuthError` (`where` is `userinfo`).
    """
    found = object_of(response) if response.status == 200 else None
    if found is None:
        raise OAuthError("invalid_userinfo", "The UserInfo endpoint gave no claims.", status=response.status,
                         where="userinfo")  # fmt: skip
    if found.get("sub") != claims["sub"]:
        raise OAuthError("invalid_userinfo", "The UserInfo endpoint answered about somebody else.", where="userinfo")
    return {**found, **claims}


def identity_of(claims: Mapping[str, Any]) -> Identity:
    """The person that verified claims tell of (OIDC Core §5.1). An address counts only with `email_verified`."""
    email, name = claims.get("email"), claims.get("name")
    address = _folded(email) or None if isinstance(email, str) else None
    # Some issuers write the boolean as text.
    told = claims.get("email_verified")
    verified_too = told is True or told == "true"
    return Identity(
        issuer=claims["iss"],
        subject=claims["sub"],
        email=address if verified_too else None,
        unverified_email=address is not None and not verified_too,
        name=name.strip() if isinstance(name, str) and name.strip() else None,
        authenticated_at=_number(claims.get("auth_time")),
    )


def _folded(address: str) -> str:
    """An address without case, as ASCII has it: elsewhere letters fold into ours (U+212A, the Kelvin sign, into k)."""
    return "".join(letter.lower() if letter.isascii() else letter for letter in address.strip(" \t\r\n"))


def _signed_claims(id_token: str, keys: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The payload, if a key of the set signed it with an algorithm of ours (RFC 7515 §5.2)."""
    registry = JWSRegistry(algorithms=list(KINDS), strict_check_header=False)
    registry.max_header_length = _MAX_HEADER
    try:
        header = jws.extract_compact(id_token.encode("ascii"), registry=registry).headers()
        algorithm, kid = header.get("alg"), header.get("kid")
    except (JoseError, *_UNREADABLE):
        raise _invalid("It is no signed token.") from None
    if algorithm not in KINDS:
        raise _invalid(f"It is signed by {algorithm}. We take {', '.join(KINDS)}.")
    for key in keys:
        if key.get("kty") != KINDS[algorithm] or key.get("alg", algorithm) != algorithm:
            continue
        if kid is not None and key.get("kid", kid) != kid:
            continue
        payload = _payload(id_token, key, registry)
        if payload is not None:
            return payload
    raise UnknownKey("unknown_key", "None of the issuer's published keys signed it.", where=_WHERE)


def _payload(id_token: str, key: Mapping[str, Any], registry: JWSRegistry) -> dict[str, Any] | None:
    """The claims if `key` signed them; weak keys sign nothing."""
    with suppress(JoseError, *_UNREADABLE), warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)
        public = import_key(dict(key))
        if isinstance(public, RSAKey) and public.raw_value.key_size < _MIN_RSA_BITS:
            return None
        found = json.loads(jws.deserialize_compact(id_token, public, registry=registry).payload)
        return found if isinstance(found, dict) else None
    return None


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


def _is_subject(value: Any) -> bool:
    """At most 255 ASCII characters (§2)."""
    return isinstance(value, str) and 0 < len(value) <= _MAX_SUBJECT and value.isascii() and value.isprintable()


def _number(value: Any) -> float | None:
    """A time as it stands in a claim (§2): no text, no boolean, nothing without an end."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _FAR
    return float(value) if good else None


def _invalid(description: str) -> OAuthError:
    return OAuthError("invalid_id_token", description, where=_WHERE)
