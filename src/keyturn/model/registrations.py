"""Dynamic registration (RFC 7591): what a Workspace Admin says so that a server registers our client by itself."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from keyturn.model.oauth_clients import OAuthClientSettings, url
from keyturn.model.validation import CleanText, SecretText, Settings

_FIELDS = OAuthClientSettings.model_fields


class NewRegistration(Settings):
    """The form of a registration: name and scopes as of any client; the rest the server tells."""

    issuer: Annotated[CleanText, AfterValidator(url)] = Field(
        title="Issuer",
        description="As the server writes it in its metadata, for example https://login.endsystem.com",
        json_schema_extra={"missing": "Enter the issuer."},
    )
    name: CleanText = Field(title="Name", description=_FIELDS["name"].description)
    scopes: CleanText | None = Field(
        default=None, title="Scopes", description="Separate with spaces. Empty: what the server offers for signing in."
    )
    initial_access_token: SecretText | None = Field(
        default=None,
        title="Initial access token",
        description="Only if the server wants one; its admin makes it. Used once and not stored.",
        repr=False,
    )
