"""Signing in with the organisation: what is filled in about its OpenID Connect issuer, without the secret."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, Field

from keyturn.model.client_secrets import ClientSecretText
from keyturn.model.validation import CleanText, Settings, wrong
from keyturn.oauth.urls import UrlProblem, check_url


def _issuer(value: str) -> str:
    """Kept to the letter, since issuers are compared so (OIDC Discovery §4.3). Its metadata’s address will do too."""
    value = value.removesuffix("/.well-known/openid-configuration")
    try:
        check_url(value)
    except UrlProblem as problem:
        raise wrong(problem.message) from None
    if "?" in value:
        raise wrong("An issuer has no part from ? on.")
    return value


class OrganisationSettings(Settings):
    """The organisation that people sign in with."""

    name: Annotated[CleanText, Field(min_length=1, max_length=80)] = Field(
        title="Name",
        description="On the sign-in page: Sign in with …",
        json_schema_extra={"missing": "Enter the organisation’s name."},
    )
    issuer: Annotated[CleanText, AfterValidator(_issuer)] = Field(
        title="Issuer",
        description="Its address of OpenID Connect, for example https://login.acme.com. The rest is read there.",
        json_schema_extra={"missing": "Enter the issuer."},
    )
    client_id: Annotated[CleanText, Field(min_length=1, max_length=1000)] = Field(
        title="Client ID", json_schema_extra={"missing": "Enter the Client ID."}
    )


class NewOrganisation(OrganisationSettings):
    """What saving takes. Without a secret the one that is there stays, while issuer and Client ID are the same."""

    client_secret: ClientSecretText | None = Field(
        default=None, title="Client Secret", description="Sealed, and never shown.", repr=False
    )

    def settings(self) -> OrganisationSettings:
        """Without the secret."""
        return OrganisationSettings(name=self.name, issuer=self.issuer, client_id=self.client_id)


# The id of the one that the operator set in the environment: there it is changed, and nowhere else.
OPERATORS = "og_operator"


@dataclass(frozen=True, slots=True)
class Organisation:
    """The organisation of the deployment, without its secret. Times are epoch seconds."""

    id: str
    settings: OrganisationSettings
    created_at: float
    updated_at: float

    @property
    def set_by_operator(self) -> bool:
        """Whether it stands in the environment of the servers."""
        return self.id == OPERATORS

    @property
    def name(self) -> str:
        """What people call it."""
        return self.settings.name
