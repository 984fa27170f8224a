"""What a restore settles, so that two deployments do nothing twice and nobody wonders: the one that made the backup
went on after it, and what it did then is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keyturn.model.ids import new_id
from keyturn.model.schedules import UnreadableSettings
from keyturn.storage import connections, deliveries, events, grants, imports, schedules

if TYPE_CHECKING:
    from keyturn.storage.database import Tx

_RENEWED = (
    "If its token was renewed after that, and the end system gives a new refresh token each time, it has to be "
    "reconnected."
)


@dataclass(frozen=True, slots=True)
class Settled:
    """How many imports were ended, moments of schedules skipped, messages given up, and connections paused."""

    imports: int
    moments: int
    messages: int
    paused: int


def settle(tx: Tx, *, made_at: str, now: float, paused: bool) -> Settled:
    """End what was under way when the backup was made, and skip what came due since: the old deployment may have done
    it. `paused`: it still runs, so no connection is read and no grant renewed here until somebody resumes it.

    `made_at` is as the backup's header has it (ISO 8601), `now` in epoch seconds.
    """
    unknown = f"Keyturn was restored from a backup of {made_at}, and what was done after that is not known here."
    error = {"code": "conflict", "message": f"{unknown} Look at the destination, then import again."}
    ended = imports.end_unfinished_anywhere(tx, now, error | {"message_code": None})
    past = schedules.past_anywhere(tx, now)
    for item in past:
        if isinstance(item.settings, UnreadableSettings):
            continue  # it is held at its first look, and who mends it sets its next moment
        last = {"at": item.next_at, "outcome": "skipped", "why": unknown, "import_id": None}
        values = {"next_at": item.settings.recurrence.following(now), "last": last, "held": False}
        schedules.update(tx, item.workspace_id, item.id, values)
    given_up = deliveries.give_up_anywhere(tx, now, unknown)
    for workspace_id, connection_id in grants.renewing_anywhere(tx):
        _tell(tx, workspace_id, connection_id, "restored", now, {"made_at": made_at, "sentence": _RENEWED})
    stopped = connections.pause_anywhere(tx) if paused else []
    for workspace_id, connection_id in stopped:
        _tell(tx, workspace_id, connection_id, "paused", now, {})
    if paused:
        grants.rest_anywhere(tx)
    return Settled(ended, len(past), given_up, len(stopped))


def _tell(tx: Tx, workspace_id: str, connection_id: str, kind: str, now: float, data: dict[str, Any]) -> None:
    """A line of the connection's timeline; the audit log has one entry for the whole restore."""
    values = {"subject_id": connection_id, "kind": kind, "data": data, "actor_id": None, "at": now}
    events.insert(tx, workspace_id, {"id": new_id("ev"), **values})
