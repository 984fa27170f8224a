"""Webhooks: an address of somebody else's program that is told of events, signed by the Standard Webhooks scheme.

The scheme: `webhook-id`, `webhook-timestamp` (epoch seconds) and `webhook-signature` (`v1,` and the base64 of
HMAC-SHA256 over `id.timestamp.body`, several apart by blanks), keyed by what follows `whsec_` in base64.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, Field

from keyturn.model.notices import EVENTS
from keyturn.model.oauth_clients import Url
from keyturn.model.validation import CleanText, Settings, wrong

SECRET_PREFIX = "whsec_"
_SECRET_BYTES = 32


def _events(values: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [value for value in values if value not in EVENTS]
    if unknown:
        raise wrong(f"We do not know {unknown[0][:80]}. Events are {', '.join(EVENTS)}.")
    if not values:
        raise wrong("Choose at least one event.")
    return tuple(dict.fromkeys(values))


class WebhookSettings(Settings):
    """What a Workspace Admin fills in."""

    name: Annotated[CleanText, Field(min_length=1, max_length=80)] = Field(
        title="Name",
        description="For your list, for example Pager.",
        json_schema_extra={"missing": "Enter a name."},
    )
    url: Url = Field(
        title="URL",
        description="Where we POST each event as JSON. Example: https://hooks.example.com/keyturn",
        json_schema_extra={"missing": "Enter the URL."},
    )
    events: Annotated[tuple[str, ...], AfterValidator(_events)] = Field(default=tuple(EVENTS), title="Events")
    enabled: bool = Field(default=True, title="On", description="While it is off, nothing is sent to it.")


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook without its secret. Times are epoch seconds; `given_up`: messages that never arrived."""

    id: str
    workspace_id: str
    settings: WebhookSettings
    created_at: float
    updated_at: float
    given_up: int = 0

    @property
    def name(self) -> str:
        """What people call it."""
        return self.settings.name


def new_secret() -> str:
    """A secret as the scheme writes it."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def signature(secret: str, *, message_id: str, at: int, body: bytes) -> str:
    """One signature: `v1,…`. `at` is epoch seconds."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    digest = hmac.new(key, f"{message_id}.{at}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def signed_headers(secrets_: Sequence[str], *, message_id: str, at: int, body: bytes) -> tuple[tuple[str, str], ...]:
    """The scheme's headers; while a secret is being replaced, the old one signs too."""
    signatures = " ".join(signature(secret, message_id=message_id, at=at, body=body) for secret in secrets_)
    return (
        ("Content-Type", "application/json"),
        ("webhook-id", message_id),
        ("webhook-timestamp", str(at)),
        ("webhook-signature", signatures),
    )
