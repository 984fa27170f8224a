"""Shares: what one member may do with a connection of somebody else, and whose account they then read as."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from keyturn.model.validation import Settings

Rights = Literal["viewer", "editor"]
RIGHTS_LABELS: dict[str, str] = {"viewer": "Viewer", "editor": "Editor"}
RIGHTS_WORDS: dict[str, str] = {
    "viewer": "sees it and reads its tables",
    "editor": "changes its settings and tables too",
}


class ShareSettings(Settings):
    """What whoever shares fills in for one member."""

    rights: Rights = Field(
        default="viewer",
        title="Rights",
        description="A Viewer sees it and reads its tables; an Editor changes its settings and tables too.",
    )
    with_credentials: bool = Field(
        default=False,
        title="With its credentials",
        description="They read as the connected account. Without, they sign in with an account of their own.",
    )


@dataclass(frozen=True, slots=True)
class Share:
    """One member's part in a connection. It goes before what `access` says about everyone. Times are epoch seconds."""

    connection_id: str
    account_id: str
    account_name: str
    rights: Rights
    with_credentials: bool
    shared_by: str
    created_at: float
    updated_at: float

    @property
    def word(self) -> str:
        """Rights and credentials in a few words."""
        return f"{RIGHTS_LABELS[self.rights]}, {'with' if self.with_credentials else 'without'} its credentials"
