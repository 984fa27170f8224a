"""Who somebody of the organisation is here: known by issuer and subject, joined once by a verified address.

An address alone never lets anybody in: it must be verified there, and be a member's or an invited one's here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from keyturn.errors import Conflict, Forbidden, KeyturnError, Unauthenticated
from keyturn.model.accounts import Account, Email, Member, PersonName
from keyturn.model.audit import Who
from keyturn.model.ids import new_id
from keyturn.oauth.id_tokens import Identity
from keyturn.services import audit, invitations
from keyturn.services.context import asked_from
from keyturn.storage import accounts as account_rows
from keyturn.storage import organisations as rows

if TYPE_CHECKING:
    from keyturn.storage.database import Database, Tx

# A stored form that no password fits: whoever came by the organisation has none.
NO_PASSWORD = "!"
_email = TypeAdapter(Email)
_name = TypeAdapter(PersonName)


async def member_of(database: Database, identity: Identity, *, organisation: str, now: float) -> Member:
    """Whose account it is, joined by the address at the first time. Raises a sentence where nobody's."""
    address = _address(identity)

    def write(tx: Tx) -> Member:
        account_id = rows.account_of_anywhere(tx, identity.issuer, identity.subject)
        account = None if account_id is None else rows.person_anywhere(tx, account_id)
        if account is None:
            account = _joined(tx, identity, address, organisation, now)
        member = account_rows.first_membership_anywhere(tx, account.id)
        if member is None and account.email == address:
            _accept(tx, account, now)
            member = account_rows.first_membership_anywhere(tx, account.id)
        if member is None:
            raise _nobody("You are in no workspace any more. Ask a Workspace Admin to invite you.", "no_workspace")
        return member

    return await database.run(write)


async def join(database: Database, member: Member, identity: Identity, *, organisation: str, now: float) -> None:
    """Somebody who is signed in says that this is them. Raises `Conflict` where it is somebody else."""

    def write(tx: Tx) -> None:
        there = rows.account_of_anywhere(tx, identity.issuer, identity.subject)
        if there == member.account_id:
            return
        if there is not None:
            raise Conflict(f"That account of {organisation} belongs to another person here. Sign in there as yourself.")
        if rows.is_joined(tx, member.account_id, identity.issuer):
            raise _another(member.email, organisation)
        _join(tx, member, identity, organisation, now)

    await database.run(write)


async def check_same(database: Database, member: Member, identity: Identity, *, organisation: str) -> None:
    """Raises `Forbidden` unless it is the member."""
    there = await database.read(rows.account_of_anywhere, identity.issuer, identity.subject)
    if there != member.account_id:
        raise Forbidden(f"You signed in at {organisation} as somebody else. Sign in there as {member.email}.")


async def is_joined(database: Database, member: Member) -> bool:
    """Whether the member can sign in with the organisation that is set up."""

    def fetch(tx: Tx) -> bool:
        found = rows.get_anywhere(tx)
        return found is not None and rows.is_joined(tx, member.account_id, found.settings.issuer)

    return await database.read(fetch)


def _joined(tx: Tx, identity: Identity, address: str | None, organisation: str, now: float) -> Account:
    """The account that has the verified address, made if it is an invited one's."""
    if address is None:
        if identity.unverified_email:
            raise _nobody(
                f"{organisation} does not say that your email address is verified, so it proves nothing here. Have it "
                "verified there; or sign in with your password and join under User preferences.",
                "email_not_verified",
            )
        raise _nobody(
            f"{organisation} did not tell your email address. Ask its administrator to release it (scope email); or "
            "sign in with your password and join under User preferences.",
            "no_email",
        )
    account = rows.person_by_email_anywhere(tx, address)
    if account is None:
        if not rows.is_invited_anywhere(tx, address, now):
            raise _nobody(f"Nobody invited {address} yet. Ask a Workspace Admin for an invitation.", "not_invited")
        account = Account(new_id("ac"), _name_of(identity, address), address, now)
        account_rows.insert_account(tx, account, NO_PASSWORD)
        _accept(tx, account, now)
    elif rows.is_joined(tx, account.id, identity.issuer):
        raise _another(address, organisation)
    elif account_rows.first_membership_anywhere(tx, account.id) is None and not _accept(tx, account, now):
        raise _nobody("You are in no workspace any more. Ask a Workspace Admin to invite you.", "no_workspace")
    member = account_rows.first_membership_anywhere(tx, account.id)
    if member is not None:
        _join(tx, member, identity, organisation, now)
    return account


def _accept(tx: Tx, account: Account, now: float) -> int:
    """Join whatever they were invited to; answers how many workspaces that are."""
    taken = rows.take_invitations_anywhere(tx, account.email, now)
    for row in taken:
        invitations.join(tx, row, account, now)
    return len(taken)


def _join(tx: Tx, member: Member, identity: Identity, organisation: str, now: float) -> None:
    rows.join(tx, member.account_id, identity.issuer, identity.subject, now)
    who = Who("person", member.account_id, member.name, address=asked_from.get())
    audit.record_as(
        tx,
        member.workspace_id,
        who,
        "account.organisation_joined",
        member.account_id,
        at=now,
        organisation=organisation,
        issuer=identity.issuer,
        subject=identity.subject,
    )


def _address(identity: Identity) -> str | None:
    """The verified address, if it can be one of ours; one that only becomes that by being tidied is another mailbox."""
    try:
        tidy = None if identity.email is None else _email.validate_python(identity.email)
    except ValidationError:
        return None
    return tidy if tidy == identity.email else None


def _name_of(identity: Identity, address: str) -> str:
    try:
        return _name.validate_python((identity.name or "")[:80])
    except ValidationError:
        return address.partition("@")[0]


def _nobody(message: str, reason: str) -> KeyturnError:
    return Unauthenticated(message, reason=reason)


def _another(email: str, organisation: str) -> KeyturnError:
    return Conflict(
        f"{email} is joined with another account of {organisation}. A Workspace Admin can make you a link to a new "
        "password, which forgets that one.",
        reason="another_subject",
    )
