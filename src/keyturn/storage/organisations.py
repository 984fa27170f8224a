"""Signing in with the organisation: the one issuer of the deployment, its secret sealed, and who is who there."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from keyturn.model.accounts import Account
from keyturn.model.organisations import Organisation, OrganisationSettings
from keyturn.model.validation import stored
from keyturn.storage.accounts import accounts
from keyturn.storage.database import Tx, metadata
from keyturn.storage.invitations import invitations

organisations = sa.Table(
    "organisations",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("settings", sa.JSON, nullable=False),
    sa.Column("client_secret_sealed", sa.LargeBinary, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("updated_at", sa.Double, nullable=False),
)
identities = sa.Table(
    "identities",
    metadata,
    sa.Column("issuer", sa.Text, primary_key=True),
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("account_id", sa.Text, sa.ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
    sa.Column("joined_at", sa.Double, nullable=False),
)
# One person there is one here: a second subject with the same address has to be looked at by somebody.
sa.Index("uq_identities_account_issuer", identities.c.account_id, identities.c.issuer, unique=True)


def get_anywhere(tx: Tx) -> Organisation | None:
    """The organisation of the deployment, if one is set up."""
    row = tx.execute(sa.select(organisations).order_by(organisations.c.id).limit(1)).one_or_none()
    if row is None:
        return None
    return Organisation(row.id, stored(OrganisationSettings, row.settings), row.created_at, row.updated_at)


def sealed_anywhere(tx: Tx, organisation_id: str) -> bytes | None:
    """Its sealed client secret."""
    found = sa.select(organisations.c.client_secret_sealed).where(organisations.c.id == organisation_id)
    return tx.execute(found).scalar_one_or_none()


def replace_anywhere(tx: Tx, organisation_id: str, values: dict[str, Any]) -> None:
    """Set it up with all of its columns; there is never more than one."""
    tx.execute(organisations.delete())
    tx.execute(organisations.insert().values(id=organisation_id, created_at=values["updated_at"], **values))


def keep_anywhere(tx: Tx, organisation_id: str, values: dict[str, Any]) -> None:
    """Set it up with all of its columns under an id that is always the same; servers that start together may."""
    tx.execute(organisations.delete().where(organisations.c.id != organisation_id))
    if update_anywhere(tx, organisation_id, values):
        return
    try:
        with tx.begin_nested():
            row = {"id": organisation_id, "created_at": values["updated_at"], **values}
            tx.execute(organisations.insert().values(**row))
    except sa.exc.IntegrityError:
        pass  # another one began with the same environment


def update_anywhere(tx: Tx, organisation_id: str, values: dict[str, Any]) -> bool:
    """Set columns; answers whether it is that one still."""
    found = organisations.update().where(organisations.c.id == organisation_id)
    return tx.execute(found.values(**values)).rowcount == 1


def delete_anywhere(tx: Tx) -> bool:
    """Remove it; who is who stays, for the day it comes back. Answers whether it was there."""
    return tx.execute(organisations.delete()).rowcount > 0


def account_of_anywhere(tx: Tx, issuer: str, subject: str) -> str | None:
    """The account that joined with a person of an issuer."""
    c = identities.c
    found = sa.select(c.account_id).where(c.issuer == issuer, c.subject == subject)
    return tx.execute(found).scalar_one_or_none()


def is_joined(tx: Tx, account_id: str, issuer: str) -> bool:
    """Whether the account has joined with somebody of the issuer."""
    c = identities.c
    found = sa.select(sa.func.count()).where(c.account_id == account_id, c.issuer == issuer)
    return tx.execute(found).scalar_one() > 0


def join(tx: Tx, account_id: str, issuer: str, subject: str, now: float) -> None:
    """From now on that person of the issuer is this account."""
    values = {"issuer": issuer, "subject": subject, "account_id": account_id, "joined_at": now}
    tx.execute(identities.insert().values(**values))


def forget_identities_of(tx: Tx, account_id: str) -> int:
    """The account is nobody's there any more; answers how many there were."""
    return tx.execute(identities.delete().where(identities.c.account_id == account_id)).rowcount


def person_by_email_anywhere(tx: Tx, email: str) -> Account | None:
    """The person, never a service account, with that (lower-case) email."""
    row = tx.execute(sa.select(accounts).where(accounts.c.email == email, accounts.c.kind == "person")).one_or_none()
    return None if row is None else Account(row.id, row.name, row.email, row.created_at)


def person_anywhere(tx: Tx, account_id: str) -> Account | None:
    """The person of that id."""
    row = tx.execute(sa.select(accounts).where(accounts.c.id == account_id, accounts.c.kind == "person")).one_or_none()
    return None if row is None else Account(row.id, row.name, row.email, row.created_at)


def is_invited_anywhere(tx: Tx, email: str, now: float) -> bool:
    """Whether an open invitation is for that address."""
    c = invitations.c
    return tx.execute(sa.select(sa.func.count()).where(c.email == email, c.expires_at > now)).scalar_one() > 0


def take_invitations_anywhere(tx: Tx, email: str, now: float) -> list[dict[str, Any]]:
    """Use up every open invitation to an address, the oldest first."""
    c = invitations.c
    taken = invitations.delete().where(c.email == email, c.expires_at > now).returning(*invitations.c)
    return sorted((row._asdict() for row in tx.execute(taken)), key=lambda row: row["created_at"])
