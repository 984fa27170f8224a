"""Incidents: an OAuth client that is refused is one trouble, told once; its grants wait and go on by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from keyturn.model.oauth_clients import OAuthClient
from keyturn.services import events, notices
from keyturn.services.context import Context
from keyturn.storage import grants as grant_rows
from keyturn.storage import incidents as rows
from keyturn.storage.incidents import Incident

if TYPE_CHECKING:
    from keyturn.storage.database import Tx

log = structlog.get_logger(__name__)

PROBE_SECONDS = 600.0
# So many connections must meet a wrong configuration before it is the client's and not theirs.
_CONNECTIONS = 3
# What a grant's state, the notice and the event say of its client's trouble.
REASONS = ("client_refused", "signature_refused", "client_misconfigured")


def refused(tx: Tx, ctx: Context, client: OAuthClient, code: str) -> None:
    """The server refuses the client with every secret it has: its grants are suspended with it."""
    _open(tx, ctx, client, "client_dead", code)


def misconfigured(
    tx: Tx, ctx: Context, client: OAuthClient, connection_id: str, code: str, *, last_ok_at: float | None
) -> bool:
    """A request of that client is wrong in itself. Answers whether that is the client's trouble already.

    It is when three connections met it, or at once when the client was changed since it last worked.
    """
    known = rows.get(tx, ctx.workspace_id, client.id)
    met = tuple(sorted({*(known.connections if known is not None else ()), connection_id}))
    just_changed = last_ok_at is not None and client.updated_at > last_ok_at
    if just_changed or len(met) >= _CONNECTIONS or (known is not None and known.state == "open"):
        _open(tx, ctx, client, "config", code)
        return True
    values = {"outcome": "config", "code": code, "state": "suspected", "connections": list(met), "next_probe_at": None}
    rows.put(tx, ctx.workspace_id, client.id, values)
    return False


def accepted(tx: Tx, ctx: Context, client_id: str) -> None:
    """The server took the client: whatever its trouble was, it is over, and its grants go on."""
    if not rows.delete(tx, ctx.workspace_id, client_id):
        return
    resumed = grant_rows.resume_of_client(tx, ctx.workspace_id, client_id, ctx.clock())
    told = [notices.close(tx, ctx, kind, client_id) for kind in REASONS]
    if any(told):
        events.record(tx, ctx, client_id, "client_accepted", connections=resumed)
    log.info("incident_closed", oauth_client=client_id, grants=resumed)


def repaired(tx: Tx, ctx: Context, client_id: str) -> None:
    """A person changed the client: its grants are tried again at once; the trouble is over with the first success."""
    rows.update(tx, ctx.workspace_id, client_id, {"state": "repaired", "connections": [], "next_probe_at": None})
    grant_rows.resume_of_client(tx, ctx.workspace_id, client_id, ctx.clock())


async def to_probe(scene: Context) -> list[Incident]:
    """Open incidents whose ten minutes are over; no other replica gets them."""
    return await scene.database.run(rows.take_probes_anywhere, PROBE_SECONDS)


def _reason(client: OAuthClient, outcome: str) -> str:
    if outcome == "config":
        return "client_misconfigured"
    return "signature_refused" if client.settings.advanced.token.auth == "private_key_jwt" else "client_refused"


def _open(tx: Tx, ctx: Context, client: OAuthClient, outcome: str, code: str) -> None:
    client_id, reason = client.id, _reason(client, outcome)
    known = rows.get(tx, ctx.workspace_id, client_id)
    values: dict[str, object] = {"outcome": outcome, "code": code, "state": "open", "connections": []}
    rows.put(tx, ctx.workspace_id, client_id, {**values, "next_probe_at": ctx.clock() + PROBE_SECONDS})
    # Every time, not only the first: another grant may have been resumed or signed in meanwhile.
    suspended = grant_rows.suspend_of_client(tx, ctx.workspace_id, client_id, reason, ctx.clock())
    notices.open(tx, ctx, reason, client_id, error=code)
    if known is None or known.state != "open":
        events.record(tx, ctx, client_id, reason, error=code, connections=suspended)
        log.warning("incident_opened", oauth_client=client_id, outcome=outcome, code=code, grants=suspended)
