"""Accounts, workspaces, members, sessions and API tokens: who may come in."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from keyturn.model.accounts import Account, ApiToken, Member, Workspace
from keyturn.storage.database import Tx, metadata

workspaces = sa.Table(
    "workspaces",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    # Whoever signs in by password needs a second factor too.
    sa.Column("requires_second_factor", sa.Boolean, nullable=False, server_default=sa.false()),
    # How long files of imports stay and how large they may be; none: no limits.
    sa.Column("file_limits", sa.JSON(none_as_null=True)),
    # How many tables a connection may have; none: any number.
    sa.Column("endpoints_per_connection", sa.Integer),
)
accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("email", sa.Text, nullable=False, unique=True),
    sa.Column("password_hash", sa.Text, nullable=False),
    sa.Column("preferences", sa.JSON, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    # "person", or "service": an account for programs, which nobody can sign in to.
    sa.Column("kind", sa.Text, nullable=False, server_default="person"),
)
members = sa.Table(
    "members",
    metadata,
    sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("account_id", sa.Text, sa.ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("joined_at", sa.Double, nullable=False),
)
sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("id_hash", sa.Text, primary_key=True),
    sa.Column("account_id", sa.Text, sa.ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False),
    sa.Column("csrf", sa.Text, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("seen_at", sa.Double, nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False),
    sa.Column("user_agent", sa.Text, nullable=False),
    sa.Column("address", sa.Text, nullable=False, server_default=""),
    # When the person last proved who they are; dangerous changes want it to be recent.
    sa.Column("proved_at", sa.Double, nullable=False, server_default="0"),
    # How they signed in: "password" or "organisation".
    sa.Column("way", sa.Text, nullable=False, server_default="password"),
)
api_tokens = sa.Table(
    "api_tokens",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("account_id", sa.Text, sa.ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("token_hash", sa.Text, nullable=False, unique=True),
    sa.Column("permissions", sa.JSON, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("expires_at", sa.Double),
    sa.Column("last_used_at", sa.Double),
)
deployment = sa.Table(
    "deployment",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.JSON, nullable=False),
)
throttles = sa.Table(
    "throttles",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("until", sa.Double, nullable=False),
    sa.Column("failed_at", sa.Double, nullable=False),
)


def count_accounts_anywhere(tx: Tx) -> int:
    """How many accounts the deployment has."""
    return tx.execute(sa.select(sa.func.count()).select_from(accounts)).scalar_one()


def insert_account(tx: Tx, account: Account, password_hash: str) -> None:
    """A new person."""
    tx.execute(
        accounts.insert().values(
            id=account.id,
            name=account.name,
            email=account.email,
            password_hash=password_hash,
            preferences={},
            created_at=account.created_at,
        )
    )


def account_by_email_anywhere(tx: Tx, email: str) -> tuple[Account, str] | None:
    """The person with that (lower-case) email and their password hash."""
    row = tx.execute(sa.select(accounts).where(accounts.c.email == email)).one_or_none()
    return None if row is None else (Account(row.id, row.name, row.email, row.created_at), row.password_hash)


def set_password_hash(tx: Tx, account_id: str, password_hash: str) -> None:
    """Replace the stored hash, for example after its cost parameters rose."""
    tx.execute(accounts.update().where(accounts.c.id == account_id).values(password_hash=password_hash))


def insert_workspace(tx: Tx, workspace: Workspace, now: float) -> None:
    """A new workspace."""
    tx.execute(workspaces.insert().values(**asdict(workspace), created_at=now))


def workspace(tx: Tx, workspace_id: str) -> Workspace | None:
    """The workspace of that id."""
    row = tx.execute(sa.select(workspaces).where(workspaces.c.id == workspace_id)).one_or_none()
    return None if row is None else workspace_of(row)


def workspace_of(row: Any) -> Workspace:
    """A row with the columns of a workspace."""
    return Workspace(row.id, row.name, row.requires_second_factor, row.endpoints_per_connection)


def workspace_ids_anywhere(tx: Tx) -> list[str]:
    """Every workspace of the deployment, the oldest first."""
    return list(tx.execute(sa.select(workspaces.c.id).order_by(workspaces.c.created_at, workspaces.c.id)).scalars())


def insert_member(tx: Tx, workspace_id: str, account_id: str, role: str, now: float) -> None:
    """Give a person a place in a workspace."""
    tx.execute(members.insert().values(workspace_id=workspace_id, account_id=account_id, role=role, joined_at=now))


def _members() -> sa.Select[*tuple[Any, ...]]:
    a, m = accounts.c, members.c
    return sa.select(m.workspace_id, m.role, m.joined_at, a.id, a.name, a.email, a.kind).join(
        accounts, a.id == m.account_id
    )


def _member(row: Any) -> Member:
    return Member(row.id, row.workspace_id, row.role, row.name, row.email, row.kind, row.joined_at)


def members_of(tx: Tx, workspace_id: str) -> list[Member]:
    """Everybody in the workspace, by name."""
    rows = tx.execute(_members().where(members.c.workspace_id == workspace_id).order_by(accounts.c.name))
    return [_member(row) for row in rows]


def member(tx: Tx, workspace_id: str, account_id: str) -> Member | None:
    """One person's place in the workspace."""
    found = _members().where(members.c.workspace_id == workspace_id, members.c.account_id == account_id)
    row = tx.execute(found).one_or_none()
    return None if row is None else _member(row)


def first_membership_anywhere(tx: Tx, account_id: str) -> Member | None:
    """The workspace a person lands in when they sign in: the one they joined first."""
    found = _members().where(members.c.account_id == account_id).order_by(members.c.joined_at).limit(1)
    row = tx.execute(found).one_or_none()
    return None if row is None else _member(row)


def insert_session(tx: Tx, values: dict[str, Any]) -> None:
    """A new signed-in browser; `values` are the columns."""
    tx.execute(sessions.insert().values(**values))


def session_anywhere(tx: Tx, id_hash: str) -> dict[str, Any] | None:
    """The session whose cookie hashes to that, with its columns."""
    row = tx.execute(sa.select(sessions).where(sessions.c.id_hash == id_hash)).one_or_none()
    return None if row is None else row._asdict()


def touch_session(tx: Tx, id_hash: str, seen_at: float) -> None:
    """Remember that it was used."""
    tx.execute(sessions.update().where(sessions.c.id_hash == id_hash).values(seen_at=seen_at))


def set_session(tx: Tx, id_hash: str, values: dict[str, Any]) -> None:
    """Set columns of a session."""
    tx.execute(sessions.update().where(sessions.c.id_hash == id_hash).values(**values))


def sessions_of(tx: Tx, account_id: str) -> list[dict[str, Any]]:
    """A person's sessions, the one used last first."""
    found = sa.select(sessions).where(sessions.c.account_id == account_id).order_by(sessions.c.seen_at.desc())
    return [row._asdict() for row in tx.execute(found)]


def trim_sessions(tx: Tx, account_id: str, *, now: float, idle_seconds: float, keep: int) -> None:
    """Remove a person's sessions that ended, and of the others all but the `keep` used last."""
    for number, row in enumerate(sessions_of(tx, account_id)):
        if number >= keep or now >= row["expires_at"] or now - row["seen_at"] >= idle_seconds:
            delete_session(tx, row["id_hash"])


def tidy_anywhere(tx: Tx, now: float, *, idle_seconds: float) -> int:
    """Remove sessions that ended and throttles nobody ran into for a day."""
    s = sessions.c
    ended = sessions.delete().where(sa.or_(s.expires_at <= now, s.seen_at <= now - idle_seconds))
    calm = throttles.delete().where(throttles.c.failed_at < now - 86400.0, throttles.c.until < now)
    return tx.execute(ended).rowcount + tx.execute(calm).rowcount


def delete_session(tx: Tx, id_hash: str) -> None:
    """Sign one browser out."""
    tx.execute(sessions.delete().where(sessions.c.id_hash == id_hash))


def delete_sessions_of(tx: Tx, account_id: str, *, except_id_hash: str | None = None) -> int:
    """Sign a person out everywhere, or everywhere but in one browser; answers how many browsers."""
    found = sessions.delete().where(sessions.c.account_id == account_id)
    if except_id_hash is not None:
        found = found.where(sessions.c.id_hash != except_id_hash)
    return tx.execute(found).rowcount


def insert_api_token(tx: Tx, token: ApiToken, token_hash: str) -> None:
    """A new API token, known by its hash alone."""
    tx.execute(
        api_tokens.insert().values(
            id=token.id,
            workspace_id=token.workspace_id,
            account_id=token.account_id,
            name=token.name,
            token_hash=token_hash,
            permissions=list(token.permissions),
            created_at=token.created_at,
            expires_at=token.expires_at,
        )
    )


def _api_token(row: Any) -> ApiToken:
    return ApiToken(
        row.id,
        row.account_id,
        row.workspace_id,
        row.name,
        tuple(row.permissions),
        row.created_at,
        row.expires_at,
        row.last_used_at,
    )


def api_token_anywhere(tx: Tx, token_hash: str) -> ApiToken | None:
    """The API token that hashes to that."""
    row = tx.execute(sa.select(api_tokens).where(api_tokens.c.token_hash == token_hash)).one_or_none()
    return None if row is None else _api_token(row)


def api_tokens_of(tx: Tx, workspace_id: str, account_id: str | None) -> list[ApiToken]:
    """The workspace's API tokens, or one member's, newest first."""
    found = sa.select(api_tokens).where(api_tokens.c.workspace_id == workspace_id)
    if account_id is not None:
        found = found.where(api_tokens.c.account_id == account_id)
    return [_api_token(row) for row in tx.execute(found.order_by(api_tokens.c.created_at.desc(), api_tokens.c.id))]


def delete_api_token(tx: Tx, workspace_id: str, token_id: str) -> bool:
    """Revoke one; answers whether it was there."""
    found = api_tokens.delete().where(api_tokens.c.workspace_id == workspace_id, api_tokens.c.id == token_id)
    return tx.execute(found).rowcount == 1


def touch_api_token(tx: Tx, token_id: str, used_at: float) -> None:
    """Remember that it was used."""
    tx.execute(api_tokens.update().where(api_tokens.c.id == token_id).values(last_used_at=used_at))


def deployment_value(tx: Tx, name: str) -> Any:
    """A fact about the whole deployment (key fingerprint, setup code hash, …), or None."""
    return tx.execute(sa.select(deployment.c.value).where(deployment.c.name == name)).scalar_one_or_none()


def set_deployment_value(tx: Tx, name: str, value: Any) -> None:
    """Store a fact about the whole deployment; None removes it."""
    tx.execute(deployment.delete().where(deployment.c.name == name))
    if value is not None:
        tx.execute(deployment.insert().values(name=name, value=value))


def exchange_deployment_value(tx: Tx, name: str, value: Any, *, instead_of: Any) -> bool:
    """Store a fact where `instead_of` (None: nothing) still is; answers whether it was."""
    found = tx.execute(sa.select(deployment.c.value).where(deployment.c.name == name).with_for_update())
    if found.scalar_one_or_none() != instead_of:
        return False
    if instead_of is not None:
        tx.execute(deployment.update().where(deployment.c.name == name).values(value=value))
        return True
    try:
        tx.execute(deployment.insert().values(name=name, value=value))
    except sa.exc.IntegrityError:
        return False
    return True


def throttle(tx: Tx, name: str) -> tuple[int, float, float]:
    """(failures, closed until, last failure) of one throttle; zeros when there were none."""
    row = tx.execute(sa.select(throttles).where(throttles.c.name == name)).one_or_none()
    return (0, 0.0, 0.0) if row is None else (row.failures, row.until, row.failed_at)


def count_try(
    tx: Tx,
    name: str,
    now: float,
    *,
    tries: int,
    wait_seconds: float,
    forget_seconds: float,
    wait_most_seconds: float = 0.0,
) -> float:
    """Count a try before it is made, so that tries side by side are all counted; answers until when it is closed.

    An answer after `now` means that this try may not be made. From the `tries`-th on, each one closes it for
    `wait_seconds`, doubled each time as long as that is under `wait_most_seconds`; after `forget_seconds` without any,
    counting starts anew. Success is told by `set_throttle`.
    """
    row = tx.execute(sa.select(throttles).where(throttles.c.name == name).with_for_update()).one_or_none()
    if row is None:
        try:
            with tx.begin_nested():
                tx.execute(throttles.insert().values(name=name, failures=1, until=0.0, failed_at=now))
        except sa.exc.IntegrityError:
            # Another replica counted the first try meanwhile.
            row = tx.execute(sa.select(throttles).where(throttles.c.name == name).with_for_update()).one_or_none()
    if row is None:
        return 0.0
    if row.until > now:
        return float(row.until)
    failures = 1 if now - row.failed_at > forget_seconds else row.failures + 1
    wait = max(wait_seconds, min(wait_seconds * 2.0 ** min(failures - tries, 30), wait_most_seconds))
    until = now + wait if failures >= tries else 0.0
    counted = throttles.update().where(throttles.c.name == name)
    tx.execute(counted.values(failures=failures, until=until, failed_at=now))
    return 0.0


def set_throttle(tx: Tx, name: str, failures: int, until: float, failed_at: float) -> None:
    """Store a throttle's state; no failures removes it."""
    tx.execute(throttles.delete().where(throttles.c.name == name))
    if failures:
        tx.execute(throttles.insert().values(name=name, failures=failures, until=until, failed_at=failed_at))
