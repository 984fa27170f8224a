"""A client's secrets and keys: what is known of each (never its value), what *Replace secret* takes, when one ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from keyturn.model.messages import say
from keyturn.model.validation import SecretText, Settings, wrong

# So many days before its last day a secret is spoken of.
REMIND_DAYS = 30
MOST_SECRETS = 5


def _secret(value: str) -> str:
    if not value.strip():
        raise wrong("Enter the Client Secret.")
    if len(value) > 4000:
        raise wrong("A Client Secret has at most 4,000 characters.")
    return value.strip()


def _day(value: Any) -> Any:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        return date.fromisoformat(str(value).strip()).isoformat()
    except ValueError:
        raise wrong("Write a day as 2027-01-31.") from None


ClientSecretText = Annotated[SecretText, AfterValidator(_secret)]
Day = Annotated[str | None, BeforeValidator(_day)]
_EXPIRES_ON = "The day after which the end system takes it no more, for example 2027-01-31. We remind you before."


class NewSecret(Settings):
    """What *Replace secret* takes."""

    client_secret: ClientSecretText = Field(
        title="Client Secret", repr=False, json_schema_extra={"missing": "Enter the Client Secret."}
    )
    expires_on: Day = Field(default=None, title="Secret expires on", description=_EXPIRES_ON)
    keep_old: bool = Field(
        default=False,
        title="Keep the old secret",
        description="It is tried after the new one, so that nothing stops while the end system learns the new one.",
    )


class SecretSettings(Settings):
    """What may be changed of a stored secret."""

    expires_on: Day = Field(default=None, title="Secret expires on", description=_EXPIRES_ON)
    first: bool = Field(default=False, title="Try first", description="Before the client's other secrets.")


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """One stored secret of an OAuth client. Times are epoch seconds, `expires_on` is a day (ISO 8601).

    `public_key`: it is a private key that we made, and this is its public half as a JWK, which everybody may know.
    """

    id: str
    oauth_client_id: str
    saved_at: float
    saved_by: str | None = None
    expires_on: str | None = None
    last_ok_at: float | None = None
    last_refused_at: float | None = None
    public_key: Mapping[str, Any] | None = None

    def serves(self, auth: str, algorithm: str) -> bool:
        """Whether it is what that way of client authentication needs: a key for that signature, or a secret."""
        if auth == "private_key_jwt":
            return self.public_key is not None and self.public_key["alg"] == algorithm
        return self.public_key is None

    @property
    def refused(self) -> bool:
        """Whether the end system refused it when it was last tried."""
        return self.last_refused_at is not None and self.last_refused_at > (self.last_ok_at or 0.0)

    def days_left(self, now: float) -> int | None:
        """Whole days until its last day (UTC), below 0 when that is over; None if the day is not known."""
        if self.expires_on is None:
            return None
        return (date.fromisoformat(self.expires_on) - datetime.fromtimestamp(now, UTC).date()).days


def in_order(secrets: list[ClientSecret], now: float) -> list[ClientSecret]:
    """The order to try them in: as ordered by people, but what is over or was refused last time comes later."""
    return sorted(secrets, key=lambda secret: (secret.refused, (secret.days_left(now) or 0) < 0))


def reminder(secrets: tuple[ClientSecret, ...], system: str, now: float, connections: int) -> tuple[str, str] | None:
    """What to say about the client's secrets ending: an `E-` code or "" and the sentence; None if all is well.

    Only the secret that lasts longest counts: the others may go.
    """
    if not secrets or any(secret.expires_on is None for secret in secrets):
        return None
    last = max(secrets, key=lambda secret: str(secret.expires_on))
    days = last.days_left(now)
    if days is None or days > REMIND_DAYS:
        return None
    recover = f"{connections} connection{'' if connections == 1 else 's'}"
    when = in_words(str(last.expires_on))
    if days < 0:
        return "E-SECRETEXPIRED", say("E-SECRETEXPIRED", day=when, system=system, connections=recover)
    left = "today" if days == 0 else "tomorrow" if days == 1 else f"in {days} days"
    return "", f"The Client Secret expires on {when}, {left}. Create a new one in {system} and paste it here before."


def in_words(day: str) -> str:
    """A day as people write it: 1 Dec 2026."""
    found = date.fromisoformat(day)
    return f"{found.day} {found:%b %Y}"
