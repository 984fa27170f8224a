"""Notices: what people are told about an episode of trouble, once when it begins and once when it is over.

Each kind is declared here once: its words, the event programs know it by, and who is told. A new kind is one entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from keyturn.model.validation import Settings

Notify = Literal["mine", "all", "nothing"]
NOTIFY_LABELS: dict[str, str] = {"mine": "My connections", "all": "All connections I may see", "nothing": "Nothing"}


def usual_notify(role: str) -> Notify:
    """What a member of that role is told of until they choose: Workspace Admins everything, others what is theirs."""
    return "all" if role == "admin" else "mine"


class Preferences(Settings):
    """What a person prefers."""

    notify: Notify = Field(
        title="Notify me about",
        description="By email, once when something stops working and once when it works again.",
        json_schema_extra={"missing": "Choose what to be told about."},
    )


@dataclass(frozen=True, slots=True)
class Words:
    """One message: the title is the subject of the email. Blanks are filled from what the notice is about."""

    event: str
    title: str
    sentence: str
    mailed: bool = True


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of trouble: with which noun, and what is said at its beginning and its end (None: nothing)."""

    noun: str
    label: str
    begins: Words
    ends: Words | None = None


KINDS: dict[str, Kind] = {
    "reconnect_needed": Kind(
        "connection",
        "Reconnect needed",
        Words(
            "connection.reconnect_needed",
            "{name} needs reconnecting",
            "{name} cannot read {system} any more: {why}. Reconnect{as_account}; until then its tables and imports "
            "wait.",
        ),
        Words("connection.recovered", "{name} works again", "{name} reads {system} again, after {length}."),
    ),
    "needs_attention": Kind(
        "connection",
        "Needs attention",
        Words(
            "connection.needs_attention",
            "{name} needs attention",
            "{name} works, but {why}.",
            # Whoever signed in read it on the page that ended the sign-in.
            mailed=False,
        ),
        Words("connection.recovered", "{name} is healthy", "{name} needs no attention any more.", mailed=False),
    ),
    "sign_in_ends": Kind(
        "connection",
        "Sign-in ends soon",
        Words(
            "connection.needs_attention",
            "The sign-in of {name} ends on {day}",
            "The refresh token of {name} ends on {day}, and using it does not prolong it. Reconnect{as_account} "
            "before, and nothing stops.",
        ),
        Words("connection.recovered", "{name} is healthy", "The sign-in of {name} was renewed.", mailed=False),
    ),
    "link_undecided": Kind(
        "connection",
        "To be accepted",
        Words(
            "connect_link.undecided",
            "Somebody signed in for {name}",
            "Somebody signed in through a connect link for {name} as {account}. Nothing is read with it until you "
            "accept it under Links; it is kept until {until}.",
        ),
    ),
    "client_refused": Kind(
        "oauth_client",
        "Client refused",
        Words(
            "oauth_client.refused",
            "{name} is refused",
            "{name} refused our Client ID or Client Secret ({error}). Its connections wait; replace the secret and "
            "they go on by themselves.",
        ),
        Words(
            "oauth_client.recovered",
            "{name} is accepted again",
            "{name} accepts our Client ID and Client Secret again, after {length}. Its connections go on.",
        ),
    ),
    "signature_refused": Kind(
        "oauth_client",
        "Signature refused",
        Words(
            "oauth_client.refused",
            "{name} refuses our signature",
            "{name} refused our signature ({error}): it does not know our key. Let it read the address of our keys, or "
            "paste the newest key into its console; its connections wait and go on by themselves.",
        ),
        Words(
            "oauth_client.recovered",
            "{name} is accepted again",
            "{name} accepts our signature again, after {length}. Its connections go on.",
        ),
    ),
    "client_misconfigured": Kind(
        "oauth_client",
        "Client misconfigured",
        Words(
            "oauth_client.misconfigured",
            "{name} refuses our token requests",
            "{name} refuses our token requests ({error}), which no new sign-in repairs. Check the settings of the "
            "OAuth 2.0 client; its connections wait and go on by themselves.",
        ),
        Words(
            "oauth_client.recovered",
            "{name} is accepted again",
            "{name} accepts our token requests again, after {length}. Its connections go on.",
        ),
    ),
    "secret_expires": Kind(
        "oauth_client",
        "Client Secret expires",
        Words("oauth_client.secret_expires", "The Client Secret of {name} {when}", "{sentence}"),
    ),
    "import_failed": Kind(
        "table",
        "Import failed",
        Words("table.import_failed", "The import of {name} {outcome}", "{sentence}"),
        Words(
            "table.import_recovered", "The import of {name} works again", "{name} was imported whole, after {length}."
        ),
    ),
    "no_new_data": Kind(
        "table",
        "No new data",
        Words(
            "table.no_new_data",
            "No new data in {name} for {days}",
            "The last import that brought rows of {name} ended on {day}. Look at its imports, or at the end system.",
        ),
        Words("table.new_data", "New data in {name}", "{name} has new rows again, after {length}."),
    ),
    "schedule_unreadable": Kind(
        "schedule",
        "Schedule held",
        Words("schedule.held", "The schedule {name} is held", "{sentence}"),
        Words("schedule.recovered", "The schedule {name} runs again", "{name} can be read again, after {length}."),
    ),
    "schema_changed": Kind(
        "table",
        "Columns changed",
        Words("table.schema_changed", "The columns of {name} changed", "{sentence}"),
    ),
}


# What is told to webhooks without being trouble.
ANNOUNCED: dict[str, str] = {
    "connection.connected": "{name} was signed in",
    "connect_link.completed": "Somebody signed in through a connect link for {name}",
    "connect_link.failed": "A sign-in through a connect link for {name} failed",
    "connect_link.expired": "A connect link for {name} ended unused",
    "import.finished": "An import of {name} ended",
}
_WORDS = [words for kind in KINDS.values() for words in (kind.begins, kind.ends) if words is not None]
# Every event that a webhook can be told of, in the order of its noun.
EVENTS: tuple[str, ...] = tuple(sorted({*ANNOUNCED, *(words.event for words in _WORDS)}))


@dataclass(frozen=True, slots=True)
class Notice:
    """One episode. `account_id`: the member whose own sign-in it is about, None for everybody's. Epoch seconds."""

    id: str
    workspace_id: str
    kind: str
    subject_id: str
    account_id: str | None
    stage: str
    data: dict[str, Any]
    opened_at: float
    closed_at: float | None

    @property
    def label(self) -> str:
        """What kind of trouble, in two words."""
        return KINDS[self.kind].label

    @property
    def noun(self) -> str:
        """What kind of thing it is about."""
        return KINDS[self.kind].noun

    @property
    def title(self) -> str:
        """What happened, in one line."""
        return filled(KINDS[self.kind].begins.title, self.data)

    @property
    def sentence(self) -> str:
        """What happened and how to fix it."""
        return filled(KINDS[self.kind].begins.sentence, self.data)


def filled(template: str, data: Mapping[str, Any]) -> str:
    """A template with its blanks filled; what is not known is said so."""
    return template.format_map(_Blank(data))


class _Blank(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "" if key == "as_account" else "unknown"
