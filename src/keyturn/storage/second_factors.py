"""Second factors (TOTP): the sealed secret, the last step that was used, and recovery codes by their hashes."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from keyturn.storage.accounts import members, workspaces
from keyturn.storage.database import Tx, metadata

second_factors = sa.Table(
    "second_factors",
    metadata,
    sa.Column("account_id", sa.Text, sa.ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("secret_sealed", sa.LargeBinary, nullable=False),
    # The newest step of which a code was taken: none of it or before it is taken again (RFC 6238 §5.2).
    sa.Column("last_step", sa.BigInteger, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    # Until the first code was typed it protects nothing.
    sa.Column("confirmed_at", sa.Double),
)
recovery_codes = sa.Table(
    "recovery_codes",
    metadata,
    sa.Column("account_id", sa.Text, sa.ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("code_hash", sa.Text, primary_key=True),
    sa.Column("created_at", sa.Double, nullable=False),
)


def get(tx: Tx, account_id: str) -> dict[str, Any] | None:
    """A person's second factor, also one that is not confirmed yet."""
    c = second_factors.c
    row = tx.execute(sa.select(second_factors).where(c.account_id == account_id)).one_or_none()
    return None if row is None else row._asdict()


def begin(tx: Tx, account_id: str, secret_sealed: bytes, now: float) -> bool:
    """A new secret that waits for its first code; answers False where a confirmed one is there already."""
    c = second_factors.c
    tx.execute(second_factors.delete().where(c.account_id == account_id, c.confirmed_at.is_(None)))
    if get(tx, account_id) is not None:
        return False
    values = {"account_id": account_id, "secret_sealed": secret_sealed, "last_step": 0, "created_at": now}
    tx.execute(second_factors.insert().values(**values))
    return True


def use_step(tx: Tx, account_id: str, step: int) -> bool:
    """Use a step up, for all replicas at once; answers False if it or a later one was used before."""
    c = second_factors.c
    used = second_factors.update().where(c.account_id == account_id, c.last_step < step)
    return tx.execute(used.values(last_step=step)).rowcount == 1


def confirm(tx: Tx, account_id: str, now: float) -> bool:
    """From now on it is asked for; answers False if it was confirmed or is gone."""
    c = second_factors.c
    waiting = second_factors.update().where(c.account_id == account_id, c.confirmed_at.is_(None))
    return tx.execute(waiting.values(confirmed_at=now)).rowcount == 1


def delete(tx: Tx, account_id: str) -> bool:
    """Remove it with its recovery codes; answers whether there was one."""
    tx.execute(recovery_codes.delete().where(recovery_codes.c.account_id == account_id))
    return tx.execute(second_factors.delete().where(second_factors.c.account_id == account_id)).rowcount == 1


def put_codes(tx: Tx, account_id: str, code_hashes: list[str], now: float) -> None:
    """New recovery codes; the old ones are worth nothing any more."""
    tx.execute(recovery_codes.delete().where(recovery_codes.c.account_id == account_id))
    rows = [{"account_id": account_id, "code_hash": code_hash, "created_at": now} for code_hash in code_hashes]
    tx.execute(recovery_codes.insert(), rows)


def use_code(tx: Tx, account_id: str, code_hash: str) -> bool:
    """Use a recovery code up; answers whether it was there."""
    c = recovery_codes.c
    found = recovery_codes.delete().where(c.account_id == account_id, c.code_hash == code_hash)
    return tx.execute(found).rowcount == 1


def count_codes(tx: Tx, account_id: str) -> int:
    """How many recovery codes are left."""
    found = sa.select(sa.func.count()).where(recovery_codes.c.account_id == account_id)
    return tx.execute(found).scalar_one()


def confirmed_of(tx: Tx, workspace_id: str) -> set[str]:
    """The members of a workspace who have one."""
    c = second_factors.c
    found = (
        sa.select(c.account_id)
        .join(members, members.c.account_id == c.account_id)
        .where(members.c.workspace_id == workspace_id, c.confirmed_at.is_not(None))
    )
    return set(tx.execute(found).scalars())


def is_missing(tx: Tx, workspace_id: str, account_id: str) -> bool:
    """Whether the workspace wants one from everybody, and this account has none."""
    c = second_factors.c
    has = sa.exists().where(c.account_id == account_id, c.confirmed_at.is_not(None))
    found = sa.select(sa.func.count()).select_from(workspaces)
    wants = found.where(workspaces.c.id == workspace_id, workspaces.c.requires_second_factor, ~has)
    return tx.execute(wants).scalar_one() > 0
