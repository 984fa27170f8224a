"""Where a keyring that a key service wrapped is kept: a row of the deployment, the same for all replicas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keyturn.errors import Conflict
from keyturn.storage import accounts as rows

if TYPE_CHECKING:
    from keyturn.storage.database import Database, Tx

NAME = "wrapped_keyring"


@dataclass(frozen=True, slots=True)
class WrappedRow:
    """The row, read and written by whoever waits for it: calls block, and belong in a thread."""

    database: Database

    def read(self) -> dict[str, Any] | None:
        """What is stored now."""
        return self.database.read_now(stored)

    def write(self, value: Mapping[str, Any], *, instead_of: Mapping[str, Any] | None) -> None:
        """Store it in place of what was read. Raises `Conflict` if something else is there meanwhile."""

        def put(tx: Tx) -> None:
            if not rows.exchange_deployment_value(tx, NAME, dict(value), instead_of=instead_of):
                raise Conflict("Another process changed the keys at the same time. Run this again.")

        self.database.run_now(put)


def stored(tx: Tx) -> dict[str, Any] | None:
    """The keyring as a key service wrapped it; None where none did."""
    found: dict[str, Any] | None = rows.deployment_value(tx, NAME)
    return found
