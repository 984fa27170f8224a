"""A connect link: a page that lets somebody outside the workspace sign in for a connection, once.

It is for a connection that is there, or for an end user of a program that embeds us: then the connection is theirs
alone, one for each OAuth client and end user.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlencode, urlsplit, urlunsplit

from pydantic import AfterValidator, Field, model_validator

from keyturn.model.connections import Name
from keyturn.model.oauth_clients import Url
from keyturn.model.validation import CleanText, Settings, wrong

MOST_SECONDS = 1800
# Once it was opened, so long for the way to the end system and back.
STATE_SECONDS = 600.0
# So long a sign-in is held for whoever decides about it.
HELD_SECONDS = 86400.0
Status = Literal["pending", "undecided", "completed", "failed", "expired", "revoked"]
STATUSES: tuple[Status, ...] = ("pending", "undecided", "completed", "failed", "expired", "revoked")
STATUS_WORDS: dict[str, str] = {
    "pending": "Waiting",
    "undecided": "To be accepted",
    "completed": "Signed in",
    "failed": "Failed",
    "expired": "Ended unused",
    "revoked": "Taken back",
}
# What became of each connection that reconnect links were asked for.
Outcome = Literal["sent", "copied", "skipped", "not_made"]
OUTCOME_WORDS: dict[str, str] = {
    "sent": "Sent",
    "copied": "To copy",
    "skipped": "Left out",
    "not_made": "Not made",
}
RECONNECT_MOST = 100
_OPEN: tuple[Status, ...] = ("pending", "undecided")
# What only a link that makes a connection says of it.
_OF_A_NEW_ONE = ("oauth_client_id", "end_user", "name", "base_url", "variables", "access")


def _seconds(value: int) -> int:
    if isinstance(value, bool) or not 60 <= value <= MOST_SECONDS:
        raise wrong(f"Enter a whole number of seconds from 60 to {MOST_SECONDS}.")
    return value


class ConnectLinkSettings(Settings):
    """What a link is made of: `connection_id`, or `oauth_client_id` and `end_user`."""

    connection_id: CleanText | None = Field(
        default=None, title="Connection", description="The connection that somebody shall sign in for."
    )
    oauth_client_id: CleanText | None = Field(
        default=None,
        title="OAuth 2.0 client",
        description="With end_user: the client through which they sign in.",
    )
    end_user: Annotated[CleanText, Field(min_length=1, max_length=200)] | None = Field(
        default=None,
        title="End user",
        description="Your own id of the person or customer. Each has a connection of their own on each client.",
    )
    name: Name | None = Field(
        default=None,
        title="Name",
        description="Of the connection that is made; from the client and the end user otherwise.",
    )
    base_url: CleanText | None = Field(
        default=None,
        title="Base URL",
        description="Of the connection that is made. Example: https://api.endsystem.com/v1",
    )
    variables: Annotated[dict[str, CleanText], Field(max_length=20)] | None = Field(
        default=None, title="Variables", description="What the URLs of the OAuth 2.0 client leave blank."
    )
    access: Literal["only_me", "shared_account"] | None = Field(
        default=None,
        title="Who can use the connection",
        description="only_me (whoever made the link) unless said; shared_account: everyone in the workspace.",
    )
    return_url: Url | None = Field(
        default=None,
        title="Return URL",
        description="Where the browser goes afterwards: one of the client’s Return URLs, letter by letter.",
    )
    hold: bool | None = Field(
        default=None,
        title="Hold",
        description="Nothing is read with the sign-in until its account was seen and accepted. Yes unless said, but no "
        "for an end user.",
    )
    expires_in_seconds: Annotated[int, AfterValidator(_seconds)] = Field(
        default=MOST_SECONDS, title="Expires in", description="Seconds in which it can be opened: 60 to 1800."
    )

    @model_validator(mode="after")
    def _for_one_thing(self) -> ConnectLinkSettings:
        if self.connection_id is not None:
            for name in _OF_A_NEW_ONE:
                if getattr(self, name) is not None:
                    raise wrong("The connection has this already. Leave it out, or leave out connection_id.", at=name)
            return self
        if self.oauth_client_id is None:
            raise wrong("Name the connection, or an OAuth 2.0 client with an end user.", at="connection_id")
        if self.end_user is None:
            raise wrong("Say which end user signs in: your own id of them.", at="end_user")
        return self


class ReconnectLinksSettings(Settings):
    """Whose owners shall sign in again: some connections, or those on an OAuth client that need it."""

    connection_ids: Annotated[tuple[CleanText, ...], Field(min_length=1, max_length=RECONNECT_MOST)] | None = Field(
        default=None, title="Connections", description=f"At most {RECONNECT_MOST}."
    )
    oauth_client_id: CleanText | None = Field(
        default=None,
        title="OAuth 2.0 client",
        description="Those on it that need a reconnect, or signed in while it asked for other scopes.",
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> ReconnectLinksSettings:
        if (self.connection_ids is None) == (self.oauth_client_id is None):
            raise wrong("Name connections, or an OAuth 2.0 client: one of the two.", at="connection_ids")
        return self


@dataclass(frozen=True, slots=True)
class Reconnect:
    """What became of one connection that a reconnect link was asked for, in a `sentence`. Times are epoch seconds.

    `reason`: why none was made, for programs. `sent_to`: the owner's address. `url`: what opens a link that was not
    sent, told this once. `retry_after_seconds`: when asking again may go better.
    """

    connection_id: str
    connection_name: str
    outcome: Outcome
    sentence: str
    reason: str | None = None
    connect_link_id: str | None = None
    sent_to: str | None = None
    url: str | None = field(default=None, repr=False)
    expires_at: float | None = None
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class ConnectLink:
    """A connect link without what opens it. Times are epoch seconds.

    `expires_at`: until when it can be opened; `ends_at`: when the state it is in ends by itself. `opened_at`: when
    Continue was pressed last. `account`: as whom somebody signed in. `error`: why it failed.
    """

    id: str
    workspace_id: str
    connection_id: str
    connection_name: str
    oauth_client_id: str
    owner_id: str
    account_id: str
    made_by: str
    end_user: str | None
    return_url: str | None
    hold: bool
    status: Status
    account: str | None
    error: dict[str, Any] | None
    created_at: float
    expires_at: float
    ends_at: float
    opened_at: float | None
    ended_at: float | None

    @property
    def is_open(self) -> bool:
        """Whether something can still become of it."""
        return self.status in _OPEN

    def at(self, now: float) -> Status:
        """Its status at that time, whether or not its end was written down yet."""
        return "expired" if self.is_open and now >= self.ends_at else self.status

    def why_not(self, *, now: float, browser_is_another: bool) -> str | None:
        """Why it cannot be opened, for whoever has it in front of them; None when it can."""
        status, again = self.at(now), f"Ask {self.made_by} for a new one."
        if status == "revoked":
            return f"{self.made_by} took this link back. {again}"
        if status == "expired" or (status == "pending" and now >= self.expires_at and not browser_is_another):
            ended = min(self.ended_at or self.ends_at, self.ends_at)
            return f"This link ended at {clock(ended)}. {again}"
        if status != "pending":
            used = self.opened_at or self.ended_at or self.created_at
            return f"This link was used at {clock(used)}, and it works once. {again}"
        if browser_is_another:
            return f"This link was opened in another browser, and goes on there alone. {again}"
        return None

    def way_back(self, status: str) -> str | None:
        """The return URL with this link's id and how it ended; nothing secret is ever in it."""
        if self.return_url is None:
            return None
        parts = urlsplit(self.return_url)
        told = urlencode({"connect_link": self.id, "status": status})
        return urlunsplit(parts._replace(query=f"{parts.query}&{told}" if parts.query else told))


def clock(at: float) -> str:
    """A time for people outside, whose timezone we do not know."""
    return f"{datetime.fromtimestamp(at, UTC):%H:%M} UTC"
