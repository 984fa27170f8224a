"""Grants: one row holds both sealed tokens, the windows of their life, and the lease to renew them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from keyturn.model.grants import Grant
from keyturn.model.refreshes import GRACE_ATTEMPTS
from keyturn.storage.connections import connections
from keyturn.storage.database import Tx, db_now, metadata
from keyturn.storage.incidents import incidents
from keyturn.storage.wakeups import notify

grants = sa.Table(
    "grants",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False),
    sa.Column("connection_id", sa.Text, sa.ForeignKey("connections.id", ondelete="CASCADE"), nullable=False),
    # '' is the connection's one shared grant; else the member whose own account it is. NULL would not be unique.
    sa.Column("account_id", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("access_sealed", sa.LargeBinary, nullable=False),
    sa.Column("refresh_sealed", sa.LargeBinary),
    # The private key that both tokens are bound to (RFC 9449); NULL for bearer tokens.
    sa.Column("dpop_key_sealed", sa.LargeBinary),
    sa.Column("token_type", sa.Text, nullable=False),
    sa.Column("access_expires_at", sa.Double),
    sa.Column("hard_at", sa.Double),
    sa.Column("refresh_after", sa.Double),
    sa.Column("refresh_expires_at", sa.Double),
    sa.Column("refresh_prolonged", sa.Boolean),
    sa.Column("scopes_requested", sa.JSON, nullable=False),
    sa.Column("scopes_granted", sa.JSON),
    sa.Column("account", sa.Text),
    sa.Column("client_version", sa.Integer, nullable=False),
    sa.Column("token_origin", sa.Text, nullable=False),
    sa.Column("lease_owner", sa.Text),
    sa.Column("lease_until", sa.Double),
    sa.Column("lease_epoch", sa.Integer, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_attempt_at", sa.Double),
    sa.Column("last_error_class", sa.Text),
    sa.Column("last_error_code", sa.Text),
    sa.Column("last_ok_at", sa.Double),
    sa.Column("changed_at", sa.Double, nullable=False),
    sa.Column("grant_type", sa.Text, nullable=False, server_default="authorization_code"),
    sa.Column("base_url", sa.Text),
    sa.Column("kept", sa.JSON),
    sa.UniqueConstraint("connection_id", "account_id"),
    sa.Index("ix_grants_refresh_after", "refresh_after"),
    sa.Index("ix_grants_lease_until", "lease_until"),
)


_RESUMED = {"state": "active", "reason": None, "next_attempt_at": None, "attempts": 0}


def insert(tx: Tx, workspace_id: str, values: dict[str, Any]) -> None:
    """A new grant; any old one of the same connection and member is gone with its tokens first."""
    tx.execute(
        grants.delete().where(
            grants.c.workspace_id == workspace_id,
            grants.c.connection_id == values["connection_id"],
            grants.c.account_id == (values["account_id"] or ""),
        )
    )
    notify(tx, values["connection_id"])
    row = {**values, "account_id": values["account_id"] or "", "lease_epoch": 0, "attempts": 0}
    tx.execute(grants.insert().values(workspace_id=workspace_id, **row))


def of_connection(tx: Tx, workspace_id: str, connection_id: str, account_id: str | None) -> Grant | None:
    """The connection's grant: shared (None) or a member's own."""
    found = sa.select(grants).where(
        grants.c.workspace_id == workspace_id,
        grants.c.connection_id == connection_id,
        grants.c.account_id == (account_id or ""),
    )
    row = tx.execute(found).one_or_none()
    return None if row is None else noun(row)


def rehome(tx: Tx, workspace_id: str, connection_id: str, source: str | None, target: str | None) -> None:
    """One sign-in changes whose it is; what the other one had is replaced. Without a source, nothing happens."""
    grant = of_connection(tx, workspace_id, connection_id, source)
    if grant is None:
        return
    mine = grants.c.workspace_id == workspace_id, grants.c.connection_id == connection_id
    tx.execute(grants.delete().where(*mine, grants.c.account_id == (target or "")))
    tx.execute(grants.update().where(*mine, grants.c.id == grant.id).values(account_id=target or ""))
    notify(tx, connection_id)


def get(tx: Tx, workspace_id: str, grant_id: str) -> Grant | None:
    """The grant of that id."""
    row = tx.execute(
        sa.select(grants).where(grants.c.workspace_id == workspace_id, grants.c.id == grant_id)
    ).one_or_none()
    return None if row is None else noun(row)


def lock(tx: Tx, workspace_id: str, grant_id: str) -> Grant | None:
    """The grant of that id; nobody else changes it until this transaction ends."""
    found = sa.select(grants).where(grants.c.workspace_id == workspace_id, grants.c.id == grant_id)
    row = tx.execute(found.with_for_update()).one_or_none()
    return None if row is None else noun(row)


def all_of(tx: Tx, workspace_id: str) -> list[Grant]:
    """Every grant of the workspace."""
    return [noun(row) for row in tx.execute(sa.select(grants).where(grants.c.workspace_id == workspace_id))]


def all_of_connections(tx: Tx, workspace_id: str, connection_ids: Sequence[str]) -> list[Grant]:
    """Every grant of some connections."""
    wanted = sa.select(grants).where(grants.c.workspace_id == workspace_id, grants.c.connection_id.in_(connection_ids))
    return [noun(row) for row in tx.execute(wanted)]


def all_of_connection(tx: Tx, workspace_id: str, connection_id: str) -> list[Grant]:
    """Every grant of one connection: one, or one per member."""
    found = sa.select(grants).where(grants.c.workspace_id == workspace_id, grants.c.connection_id == connection_id)
    return [noun(row) for row in tx.execute(found)]


def update(tx: Tx, workspace_id: str, grant_id: str, generation: int, values: dict[str, Any]) -> bool:
    """Set columns if the generation is still the one seen; answers whether it was."""
    found = grants.update().where(
        grants.c.workspace_id == workspace_id, grants.c.id == grant_id, grants.c.generation == generation
    )
    return tx.execute(found.values(**values)).rowcount == 1


def latest_anywhere(tx: Tx) -> float:
    """When a grant changed last, in epoch seconds; 0 if there is none."""
    return tx.execute(sa.select(sa.func.max(grants.c.changed_at))).scalar_one() or 0.0


def delete(tx: Tx, workspace_id: str, grant_id: str) -> bool:
    """Destroy one grant with all its generations; answers whether it was there."""
    found = grants.delete().where(grants.c.workspace_id == workspace_id, grants.c.id == grant_id)
    connection_id = tx.execute(found.returning(grants.c.connection_id)).scalar_one_or_none()
    if connection_id is not None:
        notify(tx, connection_id)
    return connection_id is not None


def delete_of_connection(tx: Tx, workspace_id: str, connection_id: str) -> int:
    """Destroy a connection's grants, sealed tokens and all; answers how many."""
    notify(tx, connection_id)
    found = grants.delete().where(grants.c.workspace_id == workspace_id, grants.c.connection_id == connection_id)
    return tx.execute(found).rowcount


def renewing_anywhere(tx: Tx) -> list[tuple[str, str]]:
    """(workspace, connection) of each grant that a refresh token renews."""
    found = sa.select(grants.c.workspace_id, grants.c.connection_id).where(grants.c.refresh_sealed.is_not(None))
    return [(row.workspace_id, row.connection_id) for row in tx.execute(found.distinct())]


def rest_anywhere(tx: Tx) -> None:
    """No grant is renewed ahead or taken up again: only who calls through one renews it, when its API refuses it."""
    tx.execute(grants.update().values(refresh_after=None, lease_owner=None, lease_until=None))


def in_trouble_anywhere(tx: Tx, now: float, soon_seconds: float) -> list[Grant]:
    """Grants that need a person, or will soon by time alone: what nobody has to use to find it out."""
    c = grants.c
    ended = sa.and_(c.access_expires_at < now, sa.or_(c.refresh_sealed.is_(None), c.refresh_expires_at < now),
                   c.grant_type != "client_credentials")  # fmt: skip
    ends_soon = sa.and_(c.refresh_expires_at < now + soon_seconds, c.refresh_prolonged.is_not(True))
    found = sa.select(grants).where(sa.or_(c.state.in_(("reconnect_needed", "revoked")), ended, ends_soon))
    return [noun(row) for row in tx.execute(found)]


def suspend_of_client(tx: Tx, workspace_id: str, oauth_client_id: str, reason: str, at: float) -> int:
    """The OAuth client is refused: its grants wait with it, as good as they are. Answers how many."""
    found = _free(*_of_client(workspace_id, oauth_client_id), grants.c.state == "active")
    return tx.execute(found.values(state="suspended", reason=reason, changed_at=at)).rowcount


def resume_of_client(tx: Tx, workspace_id: str, oauth_client_id: str, at: float) -> int:
    """The OAuth client is accepted again, or was repaired: its suspended grants go on. Answers how many."""
    found = _free(*_of_client(workspace_id, oauth_client_id), grants.c.state == "suspended")
    return tx.execute(found.values(**_RESUMED, changed_at=at)).rowcount


def resume_strays_anywhere(tx: Tx, at: float) -> int:
    """Suspended grants whose client has no trouble any more: somebody held their rows when the others were resumed."""
    open_ = sa.exists().where(
        connections.c.id == grants.c.connection_id,
        incidents.c.oauth_client_id == connections.c.oauth_client_id,
        incidents.c.state == "open",
    )
    return tx.execute(_free(grants.c.state == "suspended", ~open_).values(**_RESUMED, changed_at=at)).rowcount


def one_of_client(tx: Tx, workspace_id: str, oauth_client_id: str) -> Grant | None:
    """A suspended grant of the client to try it with: the one that was good last."""
    found = sa.select(grants).where(
        *_of_client(workspace_id, oauth_client_id), grants.c.state == "suspended", grants.c.refresh_after.is_not(None)
    )
    row = tx.execute(found.order_by(grants.c.last_ok_at.desc()).limit(1)).one_or_none()
    return None if row is None else noun(row)


def bind_of_client(tx: Tx, workspace_id: str, connection_ids: list[str], reason: str, changed_at: float) -> list[Grant]:
    """Bearer tokens are no longer good enough: the grants that have them need a person. Answers which they were."""
    found = grants.update().where(
        grants.c.workspace_id == workspace_id,
        grants.c.connection_id.in_(connection_ids),
        grants.c.state.in_(("active", "suspended")),
        grants.c.dpop_key_sealed.is_(None),
    )
    values = {"state": "reconnect_needed", "reason": reason, "changed_at": changed_at}
    return _told(tx, found.values(**values))


def unbind_of_client(tx: Tx, workspace_id: str, connection_ids: list[str], reason: str) -> list[Grant]:
    """They are good enough again. Answers whose."""
    found = grants.update().where(
        grants.c.workspace_id == workspace_id, grants.c.connection_id.in_(connection_ids), grants.c.reason == reason
    )
    return _told(tx, found.values(state="active", reason=None))


def grace_may_run() -> sa.ColumnElement[bool]:
    """`Grant.grace_may_run` of a row."""
    lost = sa.func.coalesce(grants.c.last_error_class, "") == "unknown_outcome"
    return sa.and_(lost, grants.c.attempts < GRACE_ATTEMPTS)


def _told(tx: Tx, found: sa.Update) -> list[Grant]:
    """The grants that `found` changes; who keeps them in mind hears of it."""
    changed = [noun(row) for row in tx.execute(found.returning(grants))]
    for grant in changed:
        notify(tx, grant.connection_id)
    return changed


def hold_of_host(tx: Tx, workspace_id: str, origin: str, code: str | None, until: float, at: float) -> int:
    """The token host is away: its grants that are due wait with it, without a failure of their own."""
    found = _free(
        *_of_host(workspace_id, origin), grants.c.lease_owner.is_(None), grants.c.refresh_after <= db_now(),
        sa.or_(grants.c.next_attempt_at.is_(None), grants.c.next_attempt_at < until),
        # What is waited for before a grant is given up is not forgotten over an outage.
        sa.func.coalesce(grants.c.last_error_class, "").not_in(("grant_dead", "config")),
        ~grace_may_run(),
    )  # fmt: skip
    values = {"last_error_class": "transient", "last_error_code": code, "next_attempt_at": until, "changed_at": at}
    return tx.execute(found.values(**values)).rowcount


def release_of_host(tx: Tx, workspace_id: str, origin: str) -> int:
    """The token host answers again: who waited for it need not wait longer."""
    found = _free(
        *_of_host(workspace_id, origin),
        grants.c.next_attempt_at > db_now(),
        grants.c.last_error_class.in_(("transient", "not_sent", "unknown_outcome")),
    )
    return tx.execute(found.values(next_attempt_at=None, attempts=0)).rowcount


def _free(*where: sa.ColumnElement[bool]) -> sa.Update:
    """An update of every such grant whose row nobody else holds: many at once must not wait in a ring."""
    found = sa.select(grants.c.id).where(*where).with_for_update(skip_locked=True)
    return grants.update().where(grants.c.id.in_(found))


def _of_client(workspace_id: str, oauth_client_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    mine = sa.select(connections.c.id).where(
        connections.c.workspace_id == workspace_id, connections.c.oauth_client_id == oauth_client_id
    )
    return grants.c.workspace_id == workspace_id, grants.c.connection_id.in_(mine)


def _of_host(workspace_id: str, origin: str) -> tuple[sa.ColumnElement[bool], ...]:
    return grants.c.workspace_id == workspace_id, grants.c.token_origin == origin, grants.c.state == "active"


def noun(row: Any) -> Grant:
    """A row as a grant."""
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented mapping view
    values["account_id"] = values["account_id"] or None
    values["scopes_requested"] = tuple(values["scopes_requested"])
    values["scopes_granted"] = None if values["scopes_granted"] is None else tuple(values["scopes_granted"])
    return Grant(**values)
