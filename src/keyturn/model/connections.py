"""A connection: one base URL with one way of authenticating, who may use it, and how it is doing."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from keyturn.model.oauth_clients import url
from keyturn.model.shares import Share
from keyturn.model.validation import CleanText, SecretText, Settings, wrong

Access = Literal["only_me", "shared_account", "own_account"]
ACCESS_LABELS: dict[str, str] = {
    "only_me": "Only me",
    "shared_account": "Everyone reads as this account",
    "own_account": "Everyone signs in with their own account",
}
# As whom a member reads: the connection's account, an own sign-in, or not at all.
Reading = Literal["connection", "own", "none"]
Status = Literal["not_connected", "healthy", "needs_attention", "retrying", "reconnect_needed", "paused"]
STATUS_WORDS: dict[str, str] = {
    "not_connected": "Not connected yet",
    "healthy": "Healthy",
    "needs_attention": "Needs attention",
    "retrying": "Retrying",
    "reconnect_needed": "Reconnect needed",
    "paused": "Paused",
}
# Why a status is what it is, to follow "but" or a colon.
DETAIL_WORDS: dict[str, str] = {
    "client_deleted": "its OAuth 2.0 client was deleted",
    "client_refused": "the end system refused our Client ID or Client Secret",
    "signature_refused": "the end system refused our signature",
    "client_misconfigured": "the end system refuses the token requests of its OAuth 2.0 client",
    "transient": "the authorization server is having trouble",
    "not_sent": "the authorization server could not be reached",
    "unknown_outcome": "the last answer of the authorization server was lost",
    "grant_dead": "the end system refused the refresh token once, and we ask once more before we believe it",
    "config": "the end system refuses the token request",
    "client_changed": "the Token URL moved to another host",
    "dpop_turned_on": "DPoP was turned on, and this sign-in is from before",
    "no_refresh_token": "there is no refresh token, so it stops when the access token ends",
    "refresh_token_expired": "the refresh token has expired",
    "scopes_missing": "not all scopes were granted",
    "ends_soon": "the refresh token ends within a week",
    "revoked": "access was revoked, the password changed, or it was unused too long",
    "seven_days": "the sign-in lasted exactly 7 days, as Google has it while an app is in Testing",
    "rotation_lost": "a refresh was cut off, so its refresh token may be used up",
}
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}", re.ASCII)
_OURS = frozenset({"host", "content-length", "connection", "transfer-encoding", "authorization", "cookie", "upgrade"})


def check_name(value: str) -> str:
    """A connection's or table's name: letters, digits and `_`, starting with a letter, lower case."""
    if not _NAME.fullmatch(value):
        raise wrong("Use letters, digits and _, starting with a letter.")
    return value


def _base_url(value: str) -> str:
    """Empty where the OAuth client or the sign-in tells it; with blanks until it is saved."""
    if not value:
        return value
    value = url(value)
    if "?" in value:
        raise wrong("A Base URL has no query. Put fixed parameters under Query.")
    return value.rstrip("/")


def _headers(value: dict[str, str]) -> dict[str, str]:
    for name, text in value.items():
        if not _HEADER_NAME.fullmatch(name):
            raise wrong("A header’s name has letters, digits and - only.")
        if name.lower() in _OURS:
            raise wrong(f"{name} is set by Keyturn itself. Choose how to authenticate instead.")
        if any(ord(c) < 32 or ord(c) == 127 for c in text) or len(text) > 4000:
            raise wrong(f"The value of {name} cannot be sent in a header.")
    return value


Name = Annotated[CleanText, AfterValidator(check_name)]
HeaderMap = Annotated[dict[str, str], AfterValidator(_headers), Field(max_length=50)]
QueryMap = Annotated[dict[str, str], Field(max_length=100)]


def _key_header(name: str) -> str:
    if not _HEADER_NAME.fullmatch(name):
        raise wrong("A header’s name has letters, digits and - only.")
    if name.lower() in _OURS - {"authorization"}:
        raise wrong(f"{name} is set by Keyturn itself and cannot hold a key.")
    return name


def _from_json(value: Any) -> Any:
    """The command line and files of settings hold the one secret of a connection as text."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise wrong('Send an object, for example {"X-Api-Key": "…", "X-App-Id": "…"}.') from None


KeyHeader = Annotated[CleanText, AfterValidator(_key_header)]
KeyHeaders = Annotated[dict[KeyHeader, SecretText], BeforeValidator(_from_json), Field(min_length=1, max_length=20)]


class OAuth2Auth(Settings):
    """Signed in through an OAuth 2.0 client."""

    type: Literal["oauth2"] = "oauth2"
    oauth_client_id: str | None = Field(default=None, title="OAuth 2.0 client")


class NoAuth(Settings):
    """The API asks for nothing."""

    type: Literal["none"]


class BasicAuth(Settings):
    """RFC 7617: user name and password."""

    type: Literal["basic"]
    username: CleanText
    password: SecretText | None = Field(default=None, repr=False)


class BearerAuth(Settings):
    """RFC 6750 with a token that was issued by hand."""

    type: Literal["bearer"]
    token: SecretText | None = Field(default=None, repr=False)


class HeaderAuth(Settings):
    """A key in a header."""

    type: Literal["header"]
    name: KeyHeader
    value: SecretText | None = Field(default=None, repr=False)


class HeadersAuth(Settings):
    """Keys in several headers, all sealed; `names` say which ones once their values are not told any more."""

    type: Literal["headers"]
    headers: KeyHeaders | None = Field(default=None, repr=False)
    names: Annotated[tuple[KeyHeader, ...], Field(max_length=20)] = ()


class QueryAuth(Settings):
    """A key in the query: other people's logs will hold it, so it is the last resort."""

    type: Literal["query"]
    name: Annotated[CleanText, Field(min_length=1, max_length=100)]
    value: SecretText | None = Field(default=None, repr=False)


Auth = Annotated[
    OAuth2Auth | NoAuth | BasicAuth | BearerAuth | HeaderAuth | HeadersAuth | QueryAuth,
    Field(discriminator="type", title="Sign-in"),
]
SECRET_FIELD: dict[str, str] = {
    "basic": "password",
    "bearer": "token",
    "header": "value",
    "headers": "headers",
    "query": "value",
}


class ConnectionSettings(Settings):
    """What a member fills in."""

    name: Name = Field(
        title="Name",
        description="Used in table names, for example acme.orders.",
        json_schema_extra={"missing": "Use letters, digits and _, starting with a letter."},
    )
    base_url: Annotated[CleanText, AfterValidator(_base_url)] = Field(
        default="",
        title="Base URL",
        description="All endpoints start with this. Example: https://api.endsystem.com/v1",
    )
    auth: Auth = Field(title="Sign-in", json_schema_extra={"missing": "Choose a client."})
    access: Access = Field(
        title="Who can use this connection",
        description="Tables show what the connected account may see.",
        json_schema_extra={"missing": "Choose who can use it."},
    )
    headers: HeaderMap = Field(default_factory=dict, title="Headers", description="Sent with every call.")
    query: QueryMap = Field(default_factory=dict, title="Query", description="Sent with every call.")
    variables: Annotated[dict[str, CleanText], Field(max_length=20)] = Field(
        default_factory=dict,
        title="Variables",
        description="What the URLs of the OAuth 2.0 client leave blank, for example your subdomain.",
    )
    requests_per_second: Annotated[float, Field(gt=0, le=1000)] | None = Field(
        default=None, title="At most per second", description="For all who read through it. We also obey Retry-After."
    )
    service_account: bool = Field(
        default=False,
        title="This is a service account",
        description="Personal accounts stop when the person leaves or changes password.",
    )

    def secret(self) -> str | None:
        """The one secret value of hand-issued credentials, if this kind has one and it was given; several as JSON."""
        if isinstance(self.auth, HeadersAuth):
            return json.dumps(self.auth.headers) if self.auth.headers else None
        name = SECRET_FIELD.get(self.auth.type)
        return getattr(self.auth, name) if name else None

    def without_secret(self) -> ConnectionSettings:
        """The part that is stored in the open."""
        name = SECRET_FIELD.get(self.auth.type)
        if name is None:
            return self
        if isinstance(self.auth, HeadersAuth) and self.auth.headers:
            told = {"headers": None, "names": tuple(self.auth.headers)}
            return self.model_copy(update={"auth": self.auth.model_copy(update=told)})
        return self.model_copy(update={"auth": self.auth.model_copy(update={name: None})})


def keys_in(auth: Auth, secret: str | None) -> dict[str, str]:
    """The sealed secret of `HeadersAuth` as its headers; empty for other kinds."""
    return json.loads(secret) if isinstance(auth, HeadersAuth) and secret else {}


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection with its health as the asking member sees it. Times are epoch seconds.

    `kept`: what the sign-in told besides its tokens. The Base URL is empty while only a sign-in can tell it.
    `end_user`: whose it is among the people of a program that embeds us, by its own id of them.
    """

    id: str
    workspace_id: str
    owner_id: str
    owner_name: str
    settings: ConnectionSettings
    oauth_client_id: str | None
    oauth_client_name: str | None
    paused: bool
    created_at: float
    updated_at: float
    status: Status = "not_connected"
    status_detail: str | None = None
    account: str | None = None
    scopes_requested: tuple[str, ...] = ()
    scopes_granted: tuple[str, ...] | None = None
    access_token_expires_at: float | None = None
    refresh_token_expires_at: float | None = None
    refresh_token_prolonged: bool | None = None
    has_refresh_token: bool | None = None
    generation: int = 0
    status_since: float | None = None
    tables: int = 0
    last_data_at: float | None = None
    kept: dict[str, Any] = field(default_factory=dict)
    shares: tuple[Share, ...] = ()
    end_user: str | None = None

    @property
    def name(self) -> str:
        """Its name, the first half of `connection.table`."""
        return self.settings.name

    def visible_to(self, account_id: str, role: str) -> bool:
        """Its owner, everybody it is shared with, and Workspace Admins (who see that it exists, not its data)."""
        known = self.owner_id == account_id or self.share_of(account_id) is not None
        return known or self.settings.access != "only_me" or role == "admin"

    def share_of(self, account_id: str) -> Share | None:
        """What it was shared with a member as."""
        return next((share for share in self.shares if share.account_id == account_id), None)

    def reading(self, account_id: str) -> Reading:
        """As whom a member reads. A share goes before what `access` says about everyone; a role gives nothing."""
        auth, access, share = self.settings.auth.type, self.settings.access, self.share_of(account_id)
        own: Reading = "own" if auth == "oauth2" else "none"
        if self.owner_id == account_id:
            return "own" if access == "own_account" and auth == "oauth2" else "connection"
        if share is not None:
            return "connection" if share.with_credentials or auth == "none" else own
        if access == "own_account" and auth != "none":
            return own
        return "none" if access == "only_me" else "connection"

    def holder_for(self, account_id: str) -> str | None:
        """Whose grant counts for a member; None is the connection's one grant."""
        if self.settings.access != "own_account":
            return account_id if self.reading(account_id) == "own" else None
        return self.owner_id if self.reading(account_id) == "connection" else account_id

    def reads_as(self, account_id: str) -> str:
        """Whose account a member reads, in one sentence; `account` has to be theirs."""
        mine, oauth = self.owner_id == account_id, self.settings.auth.type == "oauth2"
        reading = self.reading(account_id)
        if reading == "none":
            return f"You cannot read through it: {self.owner_name} did not share its credentials with you."
        if not oauth:
            if self.settings.auth.type == "none":
                return "You read without an account: the API asks for none."
            return f"You read with the credentials {'you' if mine else self.owner_name} gave."
        if self.generation == 0:
            return (
                "Nobody has signed in yet." if reading == "connection" else "You read as the account you sign in with."
            )
        account = self.account or "the account that signed in"
        if reading == "own":
            return f"You read as {account}, your own sign-in."
        if self.settings.access == "shared_account":
            return f"Everyone reads as {account}" + ("." if mine else f", which {self.owner_name} shared.")
        return f"You read as {account}" + ("." if mine else f", which {self.owner_name} shared with you.")

    def readers(self, account_id: str, name: str) -> str:
        """Who will read with the account that somebody signs in as for a member of that name."""
        if self.settings.access == "shared_account" and self.holder_for(account_id) is None:
            return "Everyone in this workspace will read with the account you sign in as."
        others = [share.account_name for share in self.shares if share.with_credentials]
        if self.owner_id == account_id and others:
            return f"{', '.join((name, *others))} will read with it."
        if self.reading(account_id) == "own":
            return f"Only {name} will read with it; everyone else signs in with their own account."
        return f"Only {name} will read with it."

    def editable_by(self, account_id: str, role: str) -> bool:
        """Whether a member may change its settings: its owner, Workspace Admins, and who was given Editor rights."""
        share = self.share_of(account_id)
        return self.owner_id == account_id or role == "admin" or (share is not None and share.rights == "editor")

    def tables_editable_by(self, account_id: str, role: str) -> bool:
        """Whether a member may change its tables: as its settings, and everyone where it is for everyone."""
        everyones = self.share_of(account_id) is None and self.settings.access != "only_me"
        return everyones or self.editable_by(account_id, role)


def why(detail: str | None) -> str:
    """The reason behind a status, in words; empty when there is none."""
    return "" if detail is None else DETAIL_WORDS.get(detail, detail.replace("_", " "))


def forecast(connection: Connection) -> str:
    """How long its sign-in lasts and why, in one sentence; empty while nobody is signed in."""
    if connection.generation == 0 or connection.status in {"not_connected", "reconnect_needed"}:
        return ""
    if connection.has_refresh_token is None:
        return "The OAuth 2.0 client asks for new tokens by itself; nobody has to sign in."
    if not connection.has_refresh_token:
        ends = connection.access_token_expires_at
        return "There is no refresh token, so it stops" + (f" on {_day(ends)}." if ends else " when its token ends.")
    ends = connection.refresh_token_expires_at
    if ends is None:
        return "The refresh token has no end that we know of."
    if connection.refresh_token_prolonged:
        return f"Each renewal moves the end of the refresh token away; left alone, it ends on {_day(ends)}."
    if connection.refresh_token_prolonged is None:
        return f"The refresh token ends on {_day(ends)}, unless renewing it moves that end away."
    return f"The sign-in ends on {_day(ends)} and renewing does not prolong it. Reconnect before."


def _day(at: float) -> str:
    found = datetime.fromtimestamp(at, UTC)
    return f"{found.day} {found:%b %Y %H:%M} UTC"
