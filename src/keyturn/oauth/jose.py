"""Signing keys and signed JSON Web Tokens (RFC 7515, 7517, 7519). Keys are JSON Web Keys as text; nothing is stored."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal, get_args

from cryptography.exceptions import UnsupportedAlgorithm
from joserfc import jwt
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey, import_key
from joserfc.jws import JWSRegistry

SigningAlgorithm = Literal["ES256", "ES384", "RS256", "PS256", "Ed25519"]
ALGORITHMS: tuple[SigningAlgorithm, ...] = get_args(SigningAlgorithm)
_MIN_RSA_BITS = 2048
_HMAC_BYTES = 32
TOO_SHORT_TO_SIGN = f"client_secret_jwt needs a Client Secret of at least {_HMAC_BYTES} characters."
_CURVES = {"ES256": "P-256", "ES384": "P-384"}
_KINDS: dict[str, Any] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}


class KeyProblem(ValueError):
    """A key that cannot sign as asked; `message` says why, without the key."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def new_key(algorithm: SigningAlgorithm = "ES256") -> str:
    """A fresh private key for `algorithm` as JWK text, with its thumbprint as `kid` (RFC 7638)."""
    if algorithm in _CURVES:
        key: Any = ECKey.generate_key(_CURVES[algorithm], private=True)
    elif algorithm == "Ed25519":
        key = OKPKey.generate_key("Ed25519", private=True)
    else:
        key = RSAKey.generate_key(_MIN_RSA_BITS, private=True)
    return _text(key.as_dict(private=True) | {"kid": key.thumbprint()})


def private_key(text: str) -> str:
    """A private key given as PEM or as JWK, as JWK text with a `kid`. Raises `KeyProblem` for all else."""
    data, key = _imported(text.strip())
    if not key.is_private:
        raise KeyProblem("This is not the private key. Paste the one that you keep to yourself.")
    if isinstance(key, RSAKey) and key.raw_value.key_size < _MIN_RSA_BITS:
        raise KeyProblem(f"An RSA key has at least {_MIN_RSA_BITS} bits.")
    found = key.as_dict(private=True)
    kid = data.get("kid")
    return _text(found | {"kid": kid if isinstance(kid, str) and kid else key.thumbprint()})


def fits(key_text: str, algorithm: SigningAlgorithm) -> bool:
    """Whether the key of that JWK text can sign with `algorithm`."""
    key = json.loads(key_text)
    if algorithm in _CURVES:
        return key["kty"] == "EC" and key["crv"] == _CURVES[algorithm]
    if algorithm == "Ed25519":
        return key["kty"] == "OKP" and key["crv"] == "Ed25519"
    return key["kty"] == "RSA"


def public_key(key_text: str, *, algorithm: SigningAlgorithm | None = None) -> dict[str, Any]:
    """The public half as a JWK: what a server may know. `algorithm` adds `use` and `alg`, as in a JWK Set."""
    key = import_key(json.loads(key_text))
    found = dict(key.as_dict(private=False))
    found.pop("kid", None)
    if algorithm is None:
        return found
    return found | {"kid": key_id(key_text), "use": "sig", "alg": algorithm}


def key_id(key_text: str) -> str:
    """The `kid` of a key of ours."""
    return json.loads(key_text)["kid"]


def thumbprint(key_text: str) -> str:
    """The SHA-256 thumbprint of the public key, base64url (RFC 7638)."""
    return import_key(json.loads(key_text)).thumbprint()


def signed(claims: Mapping[str, Any], header: Mapping[str, Any], key_text: str) -> str:
    """A compact JWS of `claims` under `header`, whose `alg` fits the key. Raises `KeyProblem` if it does not."""
    if not fits(key_text, header["alg"]):
        raise KeyProblem(f"The private key does not fit {header['alg']}.")
    return _encoded(claims, header, import_key(json.loads(key_text)))


def signed_with_secret(claims: Mapping[str, Any], secret: str) -> str:
    """A compact JWS by HS256. Raises `KeyProblem` for a secret of less than 32 bytes (RFC 7518 §3.2)."""
    if not can_sign(secret):
        raise KeyProblem(TOO_SHORT_TO_SIGN)
    return _encoded(claims, {"alg": "HS256"}, OctKey.import_key(secret.encode()))


def can_sign(secret: str) -> bool:
    """Whether a secret is long enough for HS256 (RFC 7518 §3.2)."""
    return len(secret.encode()) >= _HMAC_BYTES


def _encoded(claims: Mapping[str, Any], header: Mapping[str, Any], key: Any) -> str:
    registry = JWSRegistry(algorithms=[*ALGORITHMS, "HS256"], strict_check_header=False)
    return jwt.encode(dict(header), dict(claims), key, registry=registry, default_type=None)


def _imported(text: str) -> tuple[dict[str, Any], Any]:
    """The JWK that was given (empty for PEM) and the key. Raises `KeyProblem`."""
    try:
        data: Any = json.loads(text) if text.startswith("{") else {}
        kinds = [data["kty"]] if data else list(_KINDS)
        # Weak keys are refused in our own words.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)
            for kind in kinds:
                with suppress(JoseError, ValueError, TypeError, KeyError, AttributeError, UnsupportedAlgorithm):
                    return data, _KINDS[kind].import_key(data or text)
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise KeyProblem("This is no private key. Paste a PEM or a JSON Web Key.")


def _text(key: Mapping[str, Any]) -> str:
    return json.dumps(key, separators=(",", ":"))
