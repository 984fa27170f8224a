"""Destinations that a Workspace Admin makes: databases and object stores. Their passwords are none of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from keyturn.errors import Invalid
from keyturn.model.object_stores import (
    GOOGLE,
    REGION,
    SCHEMES,
    BucketAddress,
    account_endpoint_of,
    account_of,
    bucket_of,
    endpoint_of,
    example_of,
    is_of_account,
    one_line,
    usual_account_endpoint,
)
from keyturn.model.validation import CleanText, SecretText, Settings, wrong

PORT = 5432
DestinationType = Literal["postgresql", "s3", "gcs", "azure"]
KINDS: dict[str, str] = {
    "postgresql": "PostgreSQL",
    "s3": "S3",
    "gcs": "Google Cloud Storage",
    "azure": "Azure Blob Storage",
}
ADDRESSING_LABELS: dict[str, str] = {"path": "In the path", "host": "In the host’s name"}
# Fields that not every kind has.
_THEIRS: dict[str, tuple[str, ...]] = {
    "schema": ("postgresql",),
    "endpoint": ("s3", "gcs", "azure"),
    "account": ("azure",),
    "region": ("s3",),
    "access_key_id": ("s3",),
    "addressing": ("s3",),
}
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
    type: DestinationType = Field(default="postgresql", title="Kind")
    url: Annotated[CleanText, Field(max_length=1000)] = Field(
        title="Address",
        description=f"{_EXAMPLE}, or of a bucket {' or '.join(map(example_of, SCHEMES))}",
        json_schema_extra={"missing": "Enter the address."},
    )
    db_schema: Annotated[CleanText, Field(min_length=1, max_length=63)] | None = Field(
        default=None,
        alias="schema",
        title="Schema",
        description="PostgreSQL only: tables are made in it, and the user needs the right to. Left empty: public.",
    )
    account: Annotated[CleanText, Field(max_length=24)] | None = Field(
        default=None,
        validate_default=True,
        title="Storage account",
        description="Azure only. Its key, or a SAS token, is the password.",
    )
    endpoint: Annotated[CleanText, Field(max_length=500)] | None = Field(
        default=None,
        title="Endpoint",
        description="Buckets only. Left empty: Amazon’s own of the region, Google’s, or the account’s at Azure. Else "
        "for example https://s3.example.com:9000",
    )
    region: Annotated[CleanText, Field(max_length=40)] | None = Field(
        default=None, title="Region", description=f"S3 only, for example eu-central-1. Left empty: {REGION}."
    )
    access_key_id: Annotated[CleanText, Field(max_length=128)] | None = Field(
        default=None,
        validate_default=True,
        title="Access key id",
        description="S3 only. The secret access key is the password.",
    )

    addressing: Literal["path", "host"] | None = Field(
        default=None,
        title="Bucket’s name",
        description="S3 only: path or host, where requests have it. Left empty: in the path, at Amazon in the host.",
    )

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, value: str, info: ValidationInfo) -> str:
        kind = info.data.get("type")
        if kind in SCHEMES:
            return _said(lambda: bucket_of(value, kind).url)
        return _url(value)

    @field_validator("endpoint")
    @classmethod
    def _is_an_endpoint(cls, value: str | None, info: ValidationInfo) -> str | None:
        take = account_endpoint_of if info.data.get("type") == "azure" else endpoint_of
        return None if not value else _said(lambda: take(value))

    @field_validator("account")
    @classmethod
    def _is_an_account(cls, value: str | None, info: ValidationInfo) -> str | None:
        if info.data.get("type") == "azure" and not value:
            raise wrong("Enter the storage account.")
        return None if not value else _said(lambda: account_of(value))

    @field_validator("region")
    @classmethod
    def _is_a_region(cls, value: str | None) -> str | None:
        if value and not (value.isascii() and value.replace("-", "").isalnum()):
            raise wrong("A region has letters, digits and hyphens. Example: eu-central-1")
        return value

    @field_validator("access_key_id")
    @classmethod
    def _has_a_key(cls, value: str | None, info: ValidationInfo) -> str | None:
        if info.data.get("type") == "s3" and not value:
            raise wrong("Enter the access key id.")
        return value

    @model_validator(mode="before")
    @classmethod
    def _usual(cls, raw: Any) -> Any:
        if not isinstance(raw, Mapping):
            return raw
        kind = raw.get("type") or "postgresql"
        usual = {"s3": {"region": REGION}, "postgresql": {"schema": "public"}}.get(str(kind), {})
        return {**raw, **{name: value for name, value in usual.items() if not raw.get(name)}}

    @model_validator(mode="after")
    def _has_what_its_kind_has(self) -> DestinationSettings:
        given = self.model_dump(by_alias=True, exclude_none=True)
        for name, kinds in _THEIRS.items():
            if self.type not in kinds and name in given:
                raise wrong(f"Only type {' or '.join(kinds)} has one. Remove it.", at=name)
        if self.endpoint and self.account and not is_of_account(self.endpoint, self.account):
            raise wrong(f"That is the address of another account than {self.account}.", at="endpoint")
        return self

    @property
    def address(self) -> Address:
        """The connection string of a database taken apart."""
        return address_of(self.url)

    @property
    def bucket(self) -> BucketAddress:
        """The address of a bucket taken apart."""
        return bucket_of(self.url, self.type)

    @property
    def is_bucket(self) -> bool:
        """Whether objects are put there; else it is a database."""
        return self.type in SCHEMES

    @property
    def store_url(self) -> str:
        """The server that has the bucket: its own address, or the vendor's."""
        azure = usual_account_endpoint(self.account or "")
        vendor = {"s3": f"https://s3.{self.region}.amazonaws.com", "gcs": GOOGLE, "azure": azure}
        return self.endpoint or vendor[self.type]

    @property
    def who(self) -> tuple[Any, ...]:
        """What the password is for: it is asked for again when this changes."""
        return (self.store_url, self.access_key_id, self.account) if self.is_bucket else (self.address,)


def _said(act: Callable[[], str]) -> str:
    try:
        return act()
    except ValueError as error:
        raise wrong(str(error)) from None


def _one_line(value: Any) -> Any:
    return one_line(value) if isinstance(value, str) else value


class DestinationPassword(Settings):
    """The password, secret access key, key file, account key or SAS token, which is sealed and never shown."""

    password: Annotated[SecretText, BeforeValidator(_one_line), Field(max_length=8000)] = Field(
        default="", title="Password", repr=False
    )


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

    @property
    def kind(self) -> str:
        """What its kind is called."""
        return KINDS[self.settings.type]
