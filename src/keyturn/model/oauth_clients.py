"""An OAuth 2.0 client: what a Workspace Admin fills in, its checks, and the thing itself (never its secret)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from keyturn.model.client_secrets import ClientSecret, ClientSecretText, Day
from keyturn.model.grants import GrantType
from keyturn.model.lifetimes import MAX_MS, parse_ms
from keyturn.model.validation import CleanText, Settings, wrong
from keyturn.oauth.jose import TOO_SHORT_TO_SIGN, can_sign
from keyturn.oauth.quirks import Advanced, Variable
from keyturn.oauth.urls import UrlProblem, check_url
from keyturn.oauth.variables import check_base, check_template, fill, in_place, names_in, told_by_sign_in

AuthenticationType = Literal[
    "rest_api_oauth2_auth_code", "rest_api_oauth2_client_credentials", "rest_api_oauth2_device_code"
]
# Ways of client authentication that need no secret of the end system: nothing, or a key that we make ourselves.
SECRETLESS = frozenset({"none", "private_key_jwt"})
AUTHENTICATION_TYPES: dict[str, str] = {
    "rest_api_oauth2_auth_code": "REST API OAuth 2.0 - Auth Code Grant",
    "rest_api_oauth2_client_credentials": "REST API OAuth 2.0 - Client Credentials Grant",
    "rest_api_oauth2_device_code": "REST API OAuth 2.0 - Device Code Grant",
}
_GRANT_TYPES: dict[AuthenticationType, GrantType] = {
    "rest_api_oauth2_auth_code": "authorization_code",
    "rest_api_oauth2_client_credentials": "client_credentials",
    "rest_api_oauth2_device_code": "device_code",
}


def _name(value: str) -> str:
    if not value:
        raise wrong("Enter a name.")
    if len(value) > 80:
        raise wrong("A name has at most 80 characters.")
    return value


def _client_id(value: str) -> str:
    if not value:
        raise wrong("Enter the Client ID.")
    if len(value) > 1000:
        raise wrong("A Client ID has at most 1,000 characters.")
    return value


def url(value: str) -> str:
    """The normal form of an address that was typed; one with blanks stays as it is. Raises in our words."""
    if not value:
        raise wrong("Enter a URL, for example https://api.endsystem.com/oauth2/token")
    try:
        # Blanks ({name}) are checked with the variables that fill them.
        return value if names_in(value) and check_url(in_place(value)) else check_url(value)
    except UrlProblem as problem:
        raise wrong(problem.message) from None


def _scopes(value: str) -> str:
    if len(value) > 4000:
        raise wrong("Scopes have at most 4,000 characters in all.")
    return " ".join(value.split())


def _milliseconds(value: Any, *, least: int, message: str) -> int:
    if isinstance(value, str):
        value = parse_ms(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise wrong(message)
    if value > MAX_MS:
        raise wrong("At most 10 years, which is 315360000000 ms.")
    return value


def _access_ms(value: Any) -> int:
    return _milliseconds(value, least=1, message="Enter a whole number greater than 0.")


def _refresh_ms(value: Any) -> int:
    return _milliseconds(value, least=0, message="Enter 0 or a whole number of milliseconds.")


def _or_none(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


def _type(value: Any) -> Any:
    if value not in AUTHENTICATION_TYPES:
        raise wrong("Choose an authentication type.")
    return value


Url = Annotated[CleanText, AfterValidator(url)]


class OAuthClientSettings(Settings):
    """The register form, field by field. Its titles and descriptions are the labels and help texts everywhere."""

    authentication_type: Annotated[AuthenticationType, BeforeValidator(_type)] = Field(
        default="rest_api_oauth2_auth_code",
        title="Authentication Type",
        description="Auth Code: people sign in in their browser. Choose this unless the end system says otherwise. "
        "Client Credentials: nobody signs in; the client reads with rights of its own. "
        "Device Code: people enter a short code at the end system, on any device.",
    )
    name: Annotated[CleanText, AfterValidator(_name)] = Field(
        title="Name",
        description="What users see when they pick it, for example Acme CRM.",
        json_schema_extra={"missing": "Enter a name."},
    )
    client_id: Annotated[CleanText, AfterValidator(_client_id)] = Field(
        title="Client ID",
        description="From the end system’s developer console.",
        json_schema_extra={"missing": "Enter the Client ID."},
    )
    authorization_url: Annotated[Url | None, BeforeValidator(_or_none)] = Field(
        default=None,
        title="Authorization URL",
        description="Where people sign in. Example: https://account.endsystem.com/api/oauth2/authorize",
    )
    token_url: Url = Field(
        title="Token URL",
        description="Where we exchange and refresh tokens. Example: https://api.endsystem.com/oauth2/token",
        json_schema_extra={"missing": "Enter the Token URL."},
    )
    scopes: Annotated[CleanText, AfterValidator(_scopes)] = Field(
        default="",
        title="Scopes",
        description="Separate with spaces, spelled exactly as the end system spells them.",
    )
    access_token_expires_in: Annotated[int, BeforeValidator(_access_ms)] = Field(
        default=3_600_000,
        title="Access Token Expires In",
        description="Used only if the end system does not say. You can type 1h.",
    )
    refresh_token_expires_in: Annotated[int, BeforeValidator(_refresh_ms)] = Field(
        default=0,
        title="Refresh Token Expires In",
        description="0 = does not expire, or unknown. We warn before the date otherwise.",
    )
    advanced: Advanced = Field(
        default_factory=Advanced,
        title="Advanced",
        description="What this end system does differently. Closed unless you need it.",
    )

    @model_validator(mode="after")
    def _people_sign_in_somewhere(self) -> OAuthClientSettings:
        if self.grant_type == "authorization_code" and self.authorization_url is None:
            raise wrong("Enter the Authorization URL.", at="authorization_url")
        if self.grant_type == "device_code" and self.advanced.authorize.device_url is None:
            raise wrong("Enter the Device authorization URL.", at="advanced.authorize.device_url")
        return self

    @model_validator(mode="after")
    def _clients_that_act_alone_prove_themselves(self) -> OAuthClientSettings:
        # RFC 6749 §4.4: only confidential clients; without a secret anybody could ask.
        if self.acts_for_itself and self.advanced.token.auth == "none":
            raise wrong("A client that acts for itself needs a Client Secret.", at="advanced.token.auth")
        return self

    @model_validator(mode="after")
    def _blanks_are_known(self) -> OAuthClientSettings:
        for at, url in self.urls().items():
            try:
                if url is not None and names_in(url):
                    check_template(url, self.advanced.variables)
            except UrlProblem as problem:
                raise wrong(problem.message, at=at) from None
        base, kept = self.advanced.api.base_url, self.advanced.kept_names
        if base is not None:
            try:
                check_base(base, self.advanced.variables, kept)
            except UrlProblem as problem:
                raise wrong(problem.message, at="advanced.api.base_url") from None
            if told_by_sign_in(base, self.advanced.variables) and not self.advanced.allowed_hosts:
                raise wrong(
                    "Name the API hosts that the sign-in may choose from, for example *.endsystem.com.",
                    at="advanced.allowed_hosts",
                )
        return self

    def urls(self) -> dict[str, str | None]:
        """The addresses that get something secret, by field; they may have blanks."""
        advanced = self.advanced
        return {
            "authorization_url": self.authorization_url,
            "token_url": self.token_url,
            "advanced.authorize.par_url": advanced.authorize.par_url,
            "advanced.authorize.device_url": advanced.authorize.device_url,
            "advanced.refresh.url": advanced.refresh.url,
            "advanced.revocation_url": advanced.revocation_url,
        }

    def asks_for(self) -> dict[str, Variable]:
        """The variables that each connection fills in."""
        return {name: item for name, item in self.advanced.variables.items() if item.value is None}

    def filled(self, values: Mapping[str, str]) -> OAuthClientSettings:
        """The same with the blanks of its URLs filled. Raises `UrlProblem` for a value that does not fit."""
        advanced = self.advanced
        found = {at: url and fill(url, advanced.variables, values) for at, url in self.urls().items()}
        if found == self.urls():
            return self
        two = {name: found[f"advanced.authorize.{name}"] for name in ("par_url", "device_url")}
        parts = {
            "authorize": advanced.authorize.model_copy(update=two),
            "refresh": advanced.refresh.model_copy(update={"url": found["advanced.refresh.url"]}),
            "revocation_url": found["advanced.revocation_url"],
        }
        plain = {name: found[name] for name in ("authorization_url", "token_url")}
        return self.model_copy(update={**plain, "advanced": advanced.model_copy(update=parts)})

    @property
    def grant_type(self) -> GrantType:
        """How its tokens are obtained, in RFC words."""
        return _GRANT_TYPES[self.authentication_type]

    @property
    def acts_for_itself(self) -> bool:
        """Whether nobody signs in: its tokens are the client's own (RFC 6749 §4.4)."""
        return self.grant_type == "client_credentials"

    @property
    def held_to_hosts(self) -> bool:
        """Whether its tokens need not be the member's own, so that only API hosts may get them: a code for another
        device can be entered by anybody.
        """
        return self.grant_type != "authorization_code"

    @model_validator(mode="after")
    def _not_the_same_url(self) -> OAuthClientSettings:
        if self.authorization_url == self.token_url:
            raise wrong(
                "Authorization URL and Token URL are the same. The end system’s docs name two addresses.",
                at="token_url",
            )
        return self


class NewOAuthClient(OAuthClientSettings):
    """What `create` takes: the settings, the secret (write-only) and the redirect URI that was shown, if any."""

    client_secret: ClientSecretText | None = Field(
        default=None,
        title="Client Secret",
        description="Copy the secret’s value, not its ID. We encrypt it; you won’t see it again.",
        repr=False,
        json_schema_extra={"missing": "Enter the Client Secret."},
    )
    secret_expires_on: Day = Field(
        default=None,
        title="Secret expires on",
        description="If the end system’s console names a day, for example 2027-01-31. We remind you before.",
    )
    redirect_uri: str | None = Field(default=None, title="Redirect URI", description="The one that was shown.")

    @model_validator(mode="after")
    def _secret_unless_public(self) -> NewOAuthClient:
        auth = self.advanced.token.auth
        if self.client_secret is None and auth not in SECRETLESS:
            raise wrong("Enter the Client Secret.", at="client_secret")
        if auth == "client_secret_jwt" and not can_sign(self.client_secret or ""):
            raise wrong(TOO_SHORT_TO_SIGN, at="client_secret")
        return self

    def settings(self) -> OAuthClientSettings:
        """The part that is stored in the open."""
        return OAuthClientSettings.model_validate(
            self.model_dump(mode="json", exclude={"client_secret", "secret_expires_on", "redirect_uri"})
        )


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """Our registration at one authorization server. Times are epoch seconds; counts are of connections.

    `version` rises when a URL or the client id changes; `secrets` and `keys` are what is known of them, in their
    order; `jwks_uri` is where the public halves of the keys are, if it has any.
    """

    id: str
    workspace_id: str
    slug: str
    settings: OAuthClientSettings
    redirect_uri: str
    version: int
    token_auth: str | None
    created_at: float
    updated_at: float
    created_by: str | None = None
    connections_healthy: int = 0
    connections_broken: int = 0
    connections_total: int = 0
    secrets: tuple[ClientSecret, ...] = ()
    keys: tuple[ClientSecret, ...] = ()
    jwks_uri: str | None = None

    @property
    def has_secret(self) -> bool:
        """Whether a secret is stored now."""
        return bool(self.secrets)

    @property
    def used_secrets(self) -> tuple[ClientSecret, ...]:
        """Those that its way of client authentication needs."""
        return () if self.settings.advanced.token.auth in SECRETLESS else self.secrets

    @property
    def lacks_secret(self) -> bool:
        """Whether nobody can sign in until a secret is given."""
        return not self.secrets and self.settings.advanced.token.auth not in SECRETLESS

    @property
    def secret_saved_at(self) -> float | None:
        """When the first secret was saved."""
        return self.secrets[0].saved_at if self.secrets else None

    @property
    def name(self) -> str:
        """The name people gave it."""
        return self.settings.name


def warnings_of(settings: OAuthClientSettings, client_secret: str | None = None) -> dict[str, str]:
    """What looks wrong but is allowed, by field: units, no refresh token, commas, swapped URLs, the secret's id."""
    import re

    from keyturn.model.lifetimes import units_warning

    found: dict[str, str] = {}
    for field in ("access_token_expires_in", "refresh_token_expires_in"):
        if warning := units_warning(getattr(settings, field)):
            found[field] = warning
    if settings.grant_type == "authorization_code":
        from keyturn.model.presets import refresh_hint

        hint = refresh_hint(settings.authorization_url or "", settings.scopes, settings.advanced.authorize.params)
        if hint is not None:
            found[hint.at] = hint.sentence
    if "," in settings.scopes and settings.advanced.authorize.scope_separator == " ":
        found["scopes"] = "These look comma-separated. OAuth 2.0 uses spaces."
    if settings.authorization_url and re.search(r"/token/?$", settings.authorization_url):
        found["authorization_url"] = "This looks like the Token URL."
    if re.search(r"/(authorize|auth)/?$", settings.token_url):
        found["token_url"] = "This looks like the Authorization URL."
    guid = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    if client_secret and re.fullmatch(guid, client_secret, re.IGNORECASE):
        found["client_secret"] = "This looks like the secret’s ID. In Microsoft Entra, copy the Value column."
    return found
