"""Destinations that a Workspace Admin makes: databases that imports may write to. Their passwords are none of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from pydantic import AfterValidator, Field

from keyturn.errors import Invalid
from keyturn.model.validation import CleanText, SecretText, Settings, wrong

PORT = 5432
TLS_LABELS: dict[str, str] = {
    "verify-full": "Encrypted, certificate checked",
    "require": "Encrypted, certificate not checked",
    "disable": "Not encrypted",
}
_EXAMPLE = "postgresql://keyturn@db.example.com:5432/warehouse"


@dataclass(frozen=True, slots=True)
class Address:
    """A connection string without a password, taken apart."""

    host: str
    port: int
    database: str
    user: str
    tls: str

    @property
    def url(self) -> str:
        """The string, without a password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        end = "" if self.tls == "verify-full" else f"?sslmode={self.tls}"
        user, database = quote(self.user, safe=""), quote(self.database, safe="")
        return f"postgresql://{user}@{host}:{self.port}/{database}{end}"


def address_of(url: str) -> Address:
    """Take a connection string apart. Raises ValueError with a sentence; nothing of the string is quoted in it."""
    try:
        parts = urlsplit(url)
        port = parts.port or PORT
        query = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:
        raise ValueError(f"This is not a connection string. Example: {_EXAMPLE}") from None
    host, database = parts.hostname or "", unquote(parts.path.removeprefix("/"))
    if parts.scheme not in {"postgresql", "postgres"} or not host or "," in host or "%2f" in host.lower():
        raise ValueError(f"Write one host as postgresql://… . Example: {_EXAMPLE}")
    if not parts.username or not database:
        raise ValueError(f"Name the user and the database. Example: {_EXAMPLE}")
    tls = query.pop("sslmode", "verify-full")
    if query or parts.fragment or tls not in TLS_LABELS:
        raise ValueError(f"After the database only ?sslmode= may follow: {', '.join(TLS_LABELS)}.")
    return Address(host.rstrip("."), port, database, unquote(parts.username), tls)


def _url(value: str) -> str:
    try:
        if urlsplit(value).password is not None:
            raise wrong("Send the password apart from the connection string.")
        return address_of(value).url
    except ValueError as error:
        raise wrong(str(error)) from None


class DestinationSettings(Settings):
    """What a Workspace Admin fills in, without the password."""

    name: Annotated[CleanText, Field(min_length=1, max_length=80)] = Field(
        title="Name",
        description="For everybody’s list, for example Warehouse.",
        json_schema_extra={"missing": "Enter a name."},
    )
    type: Literal["postgresql"] = Field(default="postgresql", title="Kind")
    url: Annotated[CleanText, Field(max_length=1000), AfterValidator(_url)] = Field(
        title="Connection string",
        description=f"Example: {_EXAMPLE}",
        json_schema_extra={"missing": "Enter the connection string."},
    )
    db_schema: Annotated[CleanText, Field(min_length=1, max_length=63)] = Field(
        default="public",
        alias="schema",
        title="Schema",
        description="Tables are made in it; the user needs the right to.",
    )

    @property
    def address(self) -> Address:
        """Its connection string taken apart."""
        return address_of(self.url)


class DestinationPassword(Settings):
    """The password, which is sealed and never shown."""

    password: Annotated[SecretText, Field(max_length=1000)] = Field(default="", title="Password", repr=False)


def parted(raw: Mapping[str, Any] | Any) -> tuple[Any, Any]:
    """The settings without the password, and the password: out of its own field or the connection string; else None.

    Raises `Invalid` when both have one.
    """
    if not isinstance(raw, Mapping):
        return raw, None
    rest = dict(raw)
    password = rest.pop("password", None)
    url = rest.get("url")
    if not isinstance(url, str):
        return rest, password
    try:
        inside = urlsplit(url.strip()).password
    except ValueError:
        return rest, password
    if inside is None:
        return rest, password
    if password:
        raise Invalid("The connection string has a password too. Send one of them.", at="password")
    parts = urlsplit(url.strip())
    userinfo, _, host = parts.netloc.rpartition("@")
    rest["url"] = parts._replace(netloc=f"{userinfo.partition(':')[0]}@{host}").geturl()
    return rest, unquote(inside)


@dataclass(frozen=True, slots=True)
class SavedDestination:
    """A destination without its password. Times are epoch seconds."""

    id: str
    workspace_id: str
    settings: DestinationSettings
    has_password: bool
    created_at: float
    updated_at: float

    @property
    def name(self) -> str:
        """What people call it."""
        return self.settings.name
