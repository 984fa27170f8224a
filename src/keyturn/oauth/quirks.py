"""What one authorization server does differently, as data: the `advanced` object of a client. It has no effects itself.

Forms, docs and command-line options are made from the titles and descriptions. No expressions, no code.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from keyturn.oauth.client_auth import BasicEncoding, BasicUser
from keyturn.oauth.jose import SigningAlgorithm
from keyturn.oauth.settings_rules import (
    BaseUrl,
    HeaderFields,
    HeaderValue,
    Hosts,
    Issuer,
    KeptNames,
    KeptPaths,
    Omit,
    ParameterName,
    Params,
    Part,
    Path,
    Rename,
    Resources,
    ReturnUrls,
    Text,
    Url,
    header_name,
)

Scalar = str | bool | int | float | None
TokenField = Literal[
    "access_token", "token_type", "expires_in", "refresh_token", "refresh_token_expires_in", "scope", "id_token"
]


def _placement_header(value: str) -> str:
    return value if value.lower() == "authorization" else header_name(value)


def _statuses(values: tuple[int, ...]) -> tuple[int, ...]:
    if not values or any(not 100 <= value <= 599 for value in values):
        raise ValueError("List one or more HTTP statuses, for example 401.")
    return values


class Authorize(Part):
    """The authorization request (RFC 6749 §4.1.1)."""

    scope_separator: Literal[" ", ",", "+"] = Field(
        default=" ", title="Scope separator", description="What stands between two scopes. OAuth 2.0 says a space."
    )
    params: Params = Field(
        default_factory=dict,
        title="Extra authorization parameters",
        description="Added to the Authorization URL, for example access_type: offline.",
    )
    pkce: Literal["S256", "off"] = Field(
        default="S256", title="PKCE", description="Off is weaker. Only for servers that refuse it."
    )
    rename: Rename = Field(
        default_factory=dict,
        title="Renamed authorization parameters",
        description="For example client_id: client_key. Empty or null leaves it out.",
    )
    nonce: bool = Field(default=False, title="Send a nonce", description="Always sent when the scopes hold openid.")
    fragment: bool = Field(
        default=False,
        title="Authorization URL has a fragment",
        description="Allow # in the Authorization URL; the parameters are put behind it.",
    )
    par_url: Url | None = Field(
        default=None,
        title="Pushed authorization request URL",
        description="If set, the request is sent there first, and the browser carries a reference only (RFC 9126).",
    )
    device_url: Url | None = Field(
        default=None,
        title="Device authorization URL",
        description="Where a code to be entered on any device is asked for (RFC 8628); for the Device Code Grant.",
    )


class Token(Part):
    """The token request (RFC 6749 §4.1.3) and client authentication (§2.3)."""

    auth: Literal["detect", "basic", "post", "none", "private_key_jwt", "client_secret_jwt"] = Field(
        default="detect",
        title="Client authentication",
        description="How the Client Secret is sent: basic is a header, post is the request body, none is PKCE only; "
        "with private_key_jwt and client_secret_jwt it signs and is never sent.",
    )
    assertion_algorithm: SigningAlgorithm = Field(
        default="ES256", title="Signature of private_key_jwt", description="One that the server accepts."
    )
    assertion_audience: Text | None = Field(
        default=None,
        title="Audience of the signature",
        description="The Issuer unless set; some older servers want their Token URL.",
    )
    dpop: bool = Field(
        default=False,
        title="DPoP",
        description="Bind tokens to a key of ours (RFC 9449), so that a stolen token is worth nothing. "
        "Connections that were signed in before have to reconnect.",
    )
    basic_encoding: BasicEncoding = Field(
        default="percent",
        title="Encoding in the Basic header",
        description="raw for servers that do not decode id and secret.",
    )
    basic_user: BasicUser = Field(
        default="client_id",
        title="User name in the Basic header",
        description="secret sends the Client Secret alone, as the user name.",
    )
    method: Literal["POST", "GET"] = Field(
        default="POST", title="Method of the token request", description="GET puts secrets into the address."
    )
    body: Literal["form", "json", "query"] = Field(
        default="form",
        title="Body of the token request",
        description="query puts the parameters, secrets too, into the address.",
    )
    params: Params = Field(
        default_factory=dict, title="Extra token parameters", description="Sent when a code is exchanged."
    )
    headers: HeaderFields = Field(
        default_factory=dict, title="Extra token headers", description="Sent with every token request."
    )
    rename: Rename = Field(
        default_factory=dict,
        title="Renamed token parameters",
        description="For example code: auth_code. Empty or null leaves it out.",
    )
    omit: Omit = Field(default=(), title="Left-out token parameters", description="For example redirect_uri.")


class Refresh(Part):
    """The refresh request (RFC 6749 §6)."""

    url: Url | None = Field(default=None, title="Refresh URL", description="If it is not the Token URL.")
    params: Params = Field(
        default_factory=dict, title="Extra refresh parameters", description="Sent when a token is refreshed."
    )
    send_scope: bool = Field(
        default=False, title="Send scopes when refreshing", description="Only a few servers need it."
    )
    expires: Literal["fixed", "idle"] = Field(
        default="fixed",
        title="Refresh token’s life counts from",
        description="fixed: the last new refresh token; idle: its last use.",
    )
    short_grace: bool = Field(
        default=False,
        title="Used refresh tokens end at once",
        description="The server takes a used refresh token again for a few seconds only: a crash is noticed sooner, "
        "and answers must come within 8 s.",
    )


class Expires(Part):
    """How the life of an access token is told."""

    unit: Literal["s", "ms"] = Field(default="s", title="Unit", description="Seconds or milliseconds.")
    kind: Literal["in", "at"] = Field(default="in", title="Kind", description="in: a length; at: a time.")


class Condition(Part):
    """A place in a body that tells success."""

    path: Path = Field(title="Path", description="Where to look, for example ok.")
    equals: Scalar = Field(title="Equals", description="The value that means success.")


class TokenResponse(Part):
    """The token response (RFC 6749 §5.1, §5.2). Paths are keys and numbers joined by dots."""

    root: Path | None = Field(
        default=None, title="Tokens are under", description="For example authed_user. Empty: at the top."
    )
    fields: dict[TokenField, Path] = Field(
        default_factory=dict, title="Token response fields", description="For example access_token: accessToken."
    )
    expires: Expires = Field(
        default_factory=Expires, title="Expiry", description="How the server tells the life of the token."
    )
    ok: Condition | None = Field(
        default=None, title="Success when", description="For servers that answer errors with status 200."
    )
    error: Path = Field(default="error", title="Error code is at", description="For example error.code.")
    keep: KeptPaths = Field(
        default=(),
        title="Values to keep",
        description="For example instance_url, to be used in the API base URL. All else is dropped.",
    )
    token_type: Literal["strict", "ignore"] = Field(
        default="strict",
        title="Token type",
        description="strict: it must say Bearer; ignore: it may be missing or say anything.",
    )


class Callback(Part):
    """The authorization response (RFC 6749 §4.1.2) and its redirect URI."""

    code: ParameterName = Field(default="code", title="Name of the code", description="For example spapi_oauth_code.")
    state: ParameterName = Field(default="state", title="Name of the state", description="For example payload.")
    decode: bool = Field(default=False, title="Decode the code again", description="It comes encoded twice.")
    keep: KeptNames = Field(
        default=(), title="Values to keep", description="For example realmId, to be used in the API base URL."
    )
    shared: bool = Field(
        default=False,
        title="Shared Redirect URI",
        description="One address for several clients. Safe only if the server sends iss.",
    )


class Placement(Part):
    """Where an access token goes in a call (RFC 6750 §2): in one place only."""

    header: Annotated[str, AfterValidator(_placement_header)] = Field(
        default="Authorization", title="Header", description="For example X-Access-Token."
    )
    prefix: HeaderValue = Field(default="Bearer ", title="Prefix", description="What stands before the token.")
    query: ParameterName | None = Field(
        default=None, title="Query parameter", description="Instead of a header. Addresses are logged by others."
    )


class BodyMatch(Part):
    """A value in a body that means an expired token."""

    path: Path = Field(title="Path", description="Where to look, for example errors.0.code.")
    values: tuple[Scalar, ...] = Field(
        alias="in", min_length=1, title="Is one of", description="Compared as text, for example 602."
    )


class ExpiredWhen(Part):
    """Which answers mean that the access token has expired."""

    status: Annotated[tuple[int, ...], AfterValidator(_statuses)] = Field(
        default=(401,), title="Statuses", description="401 unless the API says otherwise."
    )
    body: BodyMatch | None = Field(default=None, title="And the body", description="Needed too, except with 401.")


class Api(Part):
    """Calls with the token."""

    placement: Placement = Field(
        default_factory=Placement, title="Send token as", description="Authorization: Bearer unless set."
    )
    base_url: BaseUrl | None = Field(
        default=None,
        title="API base URL",
        description="What a connection reads unless its member says otherwise; blanks are variables and kept values, "
        "for example https://{subdomain}.endsystem.com/v1 or {instance_url}/v1.",
    )
    headers: HeaderFields = Field(
        default_factory=dict, title="Extra headers", description="Sent with every call, for example a version."
    )
    expired_when: ExpiredWhen = Field(
        default_factory=ExpiredWhen, title="Token expired when", description="Then it is refreshed once."
    )


class Variable(Part):
    """A blank in a URL, as in https://{subdomain}.endsystem.com."""

    label: Text = Field(default="", max_length=200, title="Label", description="What people are asked for.")
    filled_by: Literal["user", "admin"] = Field(
        default="user", alias="from", title="Filled in by", description="Who gives the value."
    )
    kind: Literal["dns_label", "path_segment"] = Field(
        default="dns_label", title="Kind", description="Part of a host name, or of a path."
    )
    value: Text | None = Field(default=None, title="Value", description="If the admin gives it.")


class Advanced(Part):
    """What an end system does differently. Everything here has the default that the RFCs say."""

    version: Literal[1] = Field(default=1, title="Version", description="What the names here mean; 1 unless said.")
    authorize: Authorize = Field(default_factory=Authorize, title="Authorization", description="Sending people there.")
    token: Token = Field(default_factory=Token, title="Token", description="Exchanging a code.")
    refresh: Refresh = Field(default_factory=Refresh, title="Refresh", description="Renewing a token.")
    response: TokenResponse = Field(
        default_factory=TokenResponse, title="Token response", description="Reading the server’s answer."
    )
    callback: Callback = Field(default_factory=Callback, title="Callback", description="Coming back.")
    api: Api = Field(default_factory=Api, title="API", description="Using the token.")
    variables: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")], Variable] = Field(
        default_factory=dict, title="Variables", description="Blanks in the URLs, by name."
    )
    allowed_hosts: Hosts = Field(
        default=(), title="API hosts", description="Hosts this client’s tokens may go to, for example *.endsystem.com."
    )
    resources: Resources = Field(
        default=(),
        title="Resources",
        description="Addresses the tokens shall be for (RFC 8707), sent with every request for one.",
    )
    return_urls: ReturnUrls = Field(
        default=(),
        title="Return URLs",
        description="Where a connect link may lead afterwards, letter by letter. Example: https://app.example.com/done",
    )
    issuer: Issuer | None = Field(
        default=None, title="Issuer", description="As the server writes it in its metadata, to the letter."
    )
    revocation_url: Url | None = Field(
        default=None, title="Revocation URL", description="Told when a connection is disconnected."
    )

    @model_validator(mode="after")
    def _public_clients_use_pkce(self) -> Advanced:
        # RFC 9700 §2.1.1: without a secret, nothing else binds the code to us.
        if self.token.auth == "none" and self.authorize.pkce == "off":
            raise ValueError("A client without a secret needs PKCE. Switch PKCE on, or send a Client Secret.")
        return self

    @model_validator(mode="after")
    def _admins_fill_in_what_is_theirs(self) -> Advanced:
        for name, variable in self.variables.items():
            if variable.filled_by == "admin" and variable.value is None:
                raise ValueError(f"Give the variable {name} its value, since you fill it in.")
        return self

    @property
    def kept_names(self) -> tuple[str, ...]:
        """The values of a sign-in that are kept with the grant: of its token response, and of its callback."""
        return (*self.response.keep, *self.callback.keep)

    @model_validator(mode="after")
    def _signatures_have_an_audience(self) -> Advanced:
        # Without it, one server could use at another what was signed for it (RFC 7523 §3).
        if self.token.auth.endswith("_jwt") and not (self.issuer or self.token.assertion_audience):
            raise ValueError(f"{self.token.auth} needs the Issuer, for which each signature is made.")
        return self

    @model_validator(mode="after")
    def _bound_tokens_have_their_place(self) -> Advanced:
        # RFC 9449 §7.1: the scheme is what tells the API to ask for the proof.
        if self.token.dpop and self.api.placement != Placement():
            raise ValueError("With DPoP the token is sent as Authorization: DPoP. Leave “Send token as” as it was.")
        return self

    @model_validator(mode="after")
    def _shared_addresses_need_iss(self) -> Advanced:
        # RFC 9700 §4.4: one address for several servers needs another defence against mix-up.
        if self.callback.shared and self.issuer is None:
            raise ValueError("A shared Redirect URI needs the Issuer, which every answer is then compared with.")
        if self.callback.shared and self.callback.state != "state":
            raise ValueError("At a shared Redirect URI the state must keep its name.")
        return self


STANDARD = Advanced()
"""No deviation at all."""
