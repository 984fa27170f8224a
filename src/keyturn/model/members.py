"""Workspaces, their members and invitations: what an admin fills in, and the things themselves. No link is in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from keyturn.model.accounts import Email, PersonName, check_password
from keyturn.model.permissions import Role
from keyturn.model.validation import CleanText, SecretText, Settings, wrong

INVITATION_SECONDS = 7 * 86400.0
RESET_SECONDS = 3600.0


def _number_or_nothing(value: object) -> object:
    """A whole number greater than 0, also as text; an empty one is no limit."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    text = value.strip() if isinstance(value, str) else str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdigit() and 0 < len(text) < 7 and int(text) > 0):
        raise wrong("Enter a whole number or leave empty.")
    return int(text)


class WorkspaceSettings(Settings):
    """A workspace."""

    name: Annotated[CleanText, Field(min_length=1, max_length=80)] = Field(
        title="Name", json_schema_extra={"missing": "Enter a name."}
    )
    requires_second_factor: bool = Field(
        default=False,
        title="Everybody needs a second factor",
        description="Whoever signs in by password. The organisation asks for its own.",
    )
    endpoints_per_connection: Annotated[int | None, BeforeValidator(_number_or_nothing)] = Field(
        default=None, title="Endpoints per connection", description="Set a number only if you need one."
    )


class InvitationSettings(Settings):
    """Who is asked to join, and as what."""

    email: Email = Field(title="Email", json_schema_extra={"missing": "Enter an email address."})
    role: Role = Field(default="viewer", title="Role")


class ServiceAccountSettings(Settings):
    """An account for programs: it has API tokens and a role, and nobody can sign in to it."""

    name: PersonName = Field(title="Name", json_schema_extra={"missing": "Enter a name."})
    role: Role = Field(default="viewer", title="Role")


class RoleChange(Settings):
    """Another role for a member."""

    role: Role = Field(title="Role", json_schema_extra={"missing": "Choose a role."})


class Joining(Settings):
    """What somebody without an account fills in behind an invitation."""

    name: PersonName = Field(title="Your name", json_schema_extra={"missing": "Enter your name."})
    password: Annotated[SecretText, AfterValidator(check_password)] = Field(
        title="Password", description="At least 12 characters. Paste is fine.", repr=False
    )


class NewPassword(Settings):
    """What is filled in behind a link to a new password."""

    password: Annotated[SecretText, AfterValidator(check_password)] = Field(
        title="Password", description="At least 12 characters. Paste is fine.", repr=False
    )


class Fate(Settings):
    """What becomes of a connection whose member leaves."""

    action: Literal["transfer", "pause", "disconnect"] = Field(json_schema_extra={"missing": "Choose what to do."})
    to: str | None = Field(default=None, title="Transfer to")


class Removal(Settings):
    """What becomes of everything that depends on a member who leaves: one fate each, or one for all the others."""

    connections: dict[str, Fate] = Field(default_factory=dict)
    otherwise: Fate | None = None


@dataclass(frozen=True, slots=True)
class Invitation:
    """An open invitation. Times are epoch seconds; the link itself is shown once, when it is made."""

    id: str
    email: str
    role: Role
    invited_by: str
    created_at: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class OpenInvitation:
    """What somebody sees behind a link: who asks, into which workspace, and whether they have an account already."""

    workspace_name: str
    invited_by: str
    email: str
    role: Role
    expires_at: float
    has_account: bool


@dataclass(frozen=True, slots=True)
class Dependent:
    """A connection that depends on a member: as its owner, or by a sign-in of their own on it."""

    connection_id: str
    connection_name: str
    access: str
    account: str | None
    connected: bool
    owned: bool
    tables: int
    imports: int


@dataclass(frozen=True, slots=True)
class Departure:
    """What became of a connection when its member was removed."""

    connection_id: str
    connection_name: str
    action: str
    message: str
