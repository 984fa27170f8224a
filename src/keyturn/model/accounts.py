"""Accounts, members and API tokens: who people and programs are. No password or token is ever in these values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, Field

from keyturn.model.permissions import PERMISSIONS, Role
from keyturn.model.validation import CleanText, SecretText, Settings, wrong

PASSWORD_MIN = 12
PASSWORD_MAX = 1000
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,190}")


def _email(value: str) -> str:
    if not _EMAIL.fullmatch(value):
        raise wrong("Enter an email address, for example ana@example.com.")
    return value.lower()


def check_password(value: str) -> str:
    """At least 12 characters, any of them; length is what counts (NIST SP 800-63B §3.1.1)."""
    if len(value) < PASSWORD_MIN:
        raise wrong("At least 12 characters. Paste is fine.")
    if len(value) > PASSWORD_MAX:
        raise wrong("At most 1,000 characters.")
    return value


def _person(value: str) -> str:
    if not 1 <= len(value) <= 80:
        raise wrong("Enter your name, at most 80 characters.")
    return value


Email = Annotated[CleanText, AfterValidator(_email)]
PersonName = Annotated[CleanText, AfterValidator(_person)]


def _permissions(values: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [value for value in values if value not in PERMISSIONS]
    if unknown:
        raise wrong(f"Permissions are {', '.join(PERMISSIONS)}.")
    if not values:
        raise wrong("Choose at least one permission.")
    return tuple(dict.fromkeys(values))


class FirstAccount(Settings):
    """The first-run page: three fields."""

    name: PersonName = Field(title="Your name")
    email: Email = Field(title="Email")
    password: Annotated[SecretText, AfterValidator(check_password)] = Field(
        title="Password", description="At least 12 characters. Paste is fine.", repr=False
    )


class ApiTokenSettings(Settings):
    """What a new API token may do and until when."""

    name: Annotated[CleanText, Field(min_length=1, max_length=80)] = Field(title="Name")
    permissions: Annotated[tuple[str, ...], AfterValidator(_permissions)] = Field(
        default=("tables:read", "imports:run", "connections:use"), title="Can"
    )
    expires_in_days: Annotated[int, Field(ge=1, le=3650)] | None = Field(default=90, title="Expires")
    account_id: str | None = Field(default=None, title="For", description="A service account; you without it.")
    workspace_id: str | None = Field(default=None, title="Workspace", description="Another one you are in.")


@dataclass(frozen=True, slots=True)
class Account:
    """A person."""

    id: str
    name: str
    email: str
    created_at: float


@dataclass(frozen=True, slots=True)
class Member:
    """A person's place in a workspace."""

    account_id: str
    workspace_id: str
    role: Role
    name: str
    email: str
    # "person", or "service": an account for programs.
    kind: str = "person"
    joined_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Workspace:
    """The unit of tenancy."""

    id: str
    name: str
    # Whoever signs in by password needs a second factor too.
    requires_second_factor: bool = False
    # How many tables a connection may have; None: any number.
    endpoints_per_connection: int | None = None


@dataclass(frozen=True, slots=True)
class ApiToken:
    """How programs speak to us; the token itself is shown once and kept as a hash. Times are epoch seconds."""

    id: str
    account_id: str
    workspace_id: str
    name: str
    permissions: tuple[str, ...]
    created_at: float
    expires_at: float | None
    last_used_at: float | None
