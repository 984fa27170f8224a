"""How a client proves itself at the token endpoint (RFC 6749 §2.3): exactly one way a request. It sends nothing."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args
from urllib.parse import quote

from keyturn.oauth.jose import SigningAlgorithm, fits, key_id, signed, signed_with_secret
from keyturn.wire import Headers

Method = Literal["basic", "post", "none", "private_key_jwt", "client_secret_jwt"]
BasicEncoding = Literal["percent", "raw"]
BasicUser = Literal["client_id", "secret"]

METHODS: tuple[Method, ...] = get_args(Method)
# RFC 7523 §2.2.
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_SECONDS = 60
_ASSERTED = frozenset({"private_key_jwt", "client_secret_jwt"})
_SECRET_FIELDS = frozenset({"client_secret", "client_assertion", "client_assertion_type"})
_PROBED = frozenset({"basic", "post", "none"})
_OF_METADATA: dict[str, Method] = {"client_secret_basic": "basic", "client_secret_post": "post", "none": "none"}


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """A client's id, its secret and how to send them; `repr` shows neither secret nor its length.

    `basic_encoding`: `percent` encodes both parts first with space as %20 (RFC 6749 §2.3.1), `raw` does not.
    `basic_user`: `secret` sends the secret alone, as the user name.
    With `private_key_jwt` the secret is a private JWK; the assertions are for `audience` and begin at `issued_at`
    (epoch seconds). Raises `ValueError` without a needed secret or audience, or for a key that does not fit.
    """

    client_id: str
    client_secret: str | None = field(repr=False)
    method: Method
    basic_encoding: BasicEncoding = "percent"
    basic_user: BasicUser = "client_id"
    audience: str | None = None
    algorithm: SigningAlgorithm = "ES256"
    issued_at: float = 0.0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"There is no client authentication method {self.method!r}.")
        if self.method != "none" and not self.client_secret:
            raise ValueError(f"Client authentication by {self.method} needs a client secret.")
        if self.method in _ASSERTED and not self.audience:
            raise ValueError(f"Client authentication by {self.method} needs the issuer as its audience.")
        if self.method == "private_key_jwt" and not fits(self.client_secret or "", self.algorithm):
            raise ValueError(f"The private key does not fit {self.algorithm}.")


def authenticate(
    form: Mapping[str, str], headers: Headers, credentials: ClientCredentials
) -> tuple[dict[str, str], Headers]:
    """`form` and `headers` with the credentials in exactly one place; what was there of another way is taken out."""
    form = {name: value for name, value in form.items() if name not in _SECRET_FIELDS}
    headers = headers.without("Authorization")
    if credentials.method == "basic":
        return form, headers.with_("Authorization", f"Basic {_basic(credentials)}")
    form["client_id"] = credentials.client_id
    if credentials.method == "post":
        form["client_secret"] = credentials.client_secret or ""
    if credentials.method in _ASSERTED:
        form |= {"client_assertion_type": ASSERTION_TYPE, "client_assertion": _assertion(credentials)}
    return form, headers


def methods_to_try(
    configured: str, metadata_methods: Sequence[str] | None, remembered: str | None
) -> tuple[Method, ...]:
    """The ways to try, in order; the first alone for a refresh, which never probes.

    `configured` other than `detect` stands alone. Else what the metadata lists (RFC 8414 §2), of which the
    `remembered` one alone if it is listed; without metadata the remembered one; else post, then once basic.
    Raises `ValueError` for a configured method that is not offered.
    """
    if configured != "detect":
        return (_method(configured),)
    known = [_OF_METADATA[name] for name in metadata_methods or () if name in _OF_METADATA]
    # Post first where both are listed: servers differ in how they decode Basic.
    listed: tuple[Method, ...] = tuple(method for method in ("post", "basic") if method in known)
    if not listed and "none" in known:
        listed = ("none",)
    if remembered in _PROBED and (not listed or remembered in listed):
        return (_method(remembered),)
    return listed or ("post", "basic")


def _assertion(credentials: ClientCredentials) -> str:
    """A fresh assertion (RFC 7523 §3): for the issuer alone (one string), short-lived, with a `jti` of its own."""
    secret = credentials.client_secret or ""
    claims = {
        "iss": credentials.client_id,
        "sub": credentials.client_id,
        "aud": credentials.audience,
        "jti": secrets.token_urlsafe(24),
        "iat": int(credentials.issued_at),
        "exp": int(credentials.issued_at) + ASSERTION_SECONDS,
    }
    if credentials.method == "client_secret_jwt":
        return signed_with_secret(claims, secret)
    header = {"alg": credentials.algorithm, "kid": key_id(secret), "typ": "JWT"}
    return signed(claims, header, secret)


def _method(name: str) -> Method:
    for method in METHODS:
        if method == name:
            return method
    raise ValueError(f"There is no client authentication method {name!r}.")


def _basic(credentials: ClientCredentials) -> str:
    user, password = credentials.client_id, credentials.client_secret or ""
    if credentials.basic_user == "secret":
        user, password = password, ""
    if credentials.basic_encoding == "percent":
        user, password = quote(user, safe=""), quote(password, safe="")
    return base64.b64encode(f"{user}:{password}".encode()).decode("ascii")
