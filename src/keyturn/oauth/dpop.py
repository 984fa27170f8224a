"""Tokens bound to a key (RFC 9449): the proof for one request, and what servers say about nonces. It keeps no nonce."""

from __future__ import annotations

import base64
import hashlib
import secrets
from urllib.parse import urlsplit

from keyturn.oauth.bearer import challenges
from keyturn.oauth.bodies import object_of
from keyturn.oauth.jose import SigningAlgorithm, new_key, public_key, signed
from keyturn.wire import Request, Response

ALGORITHM: SigningAlgorithm = "ES256"
HEADER = "DPoP"
_MAX_NONCE = 1000
_ASKED = "use_dpop_nonce"


def new_dpop_key() -> str:
    """A fresh key pair as private JWK text: one for each connection (§2)."""
    return new_key(ALGORITHM)


def proof(
    key: str,
    *,
    method: str,
    url: str,
    issued_at: float,
    access_token: str | None = None,
    nonce: str | None = None,
) -> str:
    """A proof for one request (§4.2): its method, its address without query, the token's hash and the server's nonce.

    `issued_at` is in epoch seconds; `access_token` only in calls of the API (§7).
    """
    claims: dict[str, str | int] = {
        "jti": secrets.token_urlsafe(24),
        "htm": method,
        "htu": _target(url),
        "iat": int(issued_at),
    }
    if access_token is not None:
        digest = hashlib.sha256(access_token.encode("ascii")).digest()
        claims["ath"] = base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
    if nonce is not None:
        claims["nonce"] = nonce
    return signed(claims, {"typ": "dpop+jwt", "alg": ALGORITHM, "jwk": public_key(key)}, key)


def with_proof(
    request: Request, key: str, *, issued_at: float, access_token: str | None = None, nonce: str | None = None
) -> Request:
    """`request` with a fresh proof, in the place of any that it had."""
    made = proof(
        key,
        method=request.method,
        url=request.url,
        issued_at=issued_at,
        access_token=access_token,
        nonce=nonce,
    )
    return request.with_header(HEADER, made)


def nonce_of(response: Response) -> str | None:
    """The nonce that a server wants in the next proof (§8.2), or None."""
    value = (response.headers.get("dpop-nonce") or "").strip()
    return value if 0 < len(value) <= _MAX_NONCE and all(32 < ord(c) < 127 for c in value) else None


def wants_nonce(response: Response) -> bool:
    """Whether an answer refuses only for lack of the nonce it brings: 400 at token endpoints, 401 at APIs (§8, §9)."""
    if response.status not in {400, 401} or nonce_of(response) is None:
        return False
    if any(challenge.parameters.get("error") == _ASKED for challenge in challenges(response.headers)):
        return True
    return (object_of(response) or {}).get("error") == _ASKED


def _target(url: str) -> str:
    """The address without query and fragment (§4.2), host and scheme in lower case."""
    parts = urlsplit(url)
    return f"{parts.scheme.lower()}://{parts.netloc.lower()}{parts.path or '/'}"
