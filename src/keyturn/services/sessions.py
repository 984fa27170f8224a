"""Sessions: a signed-in browser as a row, known by the hash of its cookie, with an idle and an absolute end."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keyturn import redaction
from keyturn.model.accounts import Member
from keyturn.model.audit import Who
from keyturn.services import audit
from keyturn.services.context import asked_from
from keyturn.storage import accounts as rows

if TYPE_CHECKING:
    from keyturn.storage.database import Database, Tx

IDLE_SECONDS = 7 * 86400.0
ABSOLUTE_SECONDS = 30 * 86400.0
_SEEN_EVERY_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in browser: who, in which workspace, and the token its forms must carry."""

    id_hash: str
    member: Member
    csrf: str

    def __repr__(self) -> str:
        return f"Session({self.member.account_id})"


async def start(database: Database, member: Member, *, user_agent: str, now: float) -> tuple[str, str]:
    """A new session; answers (the cookie's value, the forms' token)."""
    cookie, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(24)
    redaction.remember(cookie, csrf)
    values = {
        "id_hash": _hash(cookie),
        "account_id": member.account_id,
        "workspace_id": member.workspace_id,
        "csrf": csrf,
        "created_at": now,
        "seen_at": now,
        "expires_at": now + ABSOLUTE_SECONDS,
        "user_agent": user_agent[:300],
        "address": asked_from.get(),
        "proved_at": now,
    }

    def write(tx: Tx) -> None:
        rows.insert_session(tx, values)
        audit.record_as(tx, member.workspace_id, _who(member), "account.signed_in", member.account_id, at=now)

    await database.run(write)
    return cookie, csrf


async def find(database: Database, cookie: str, *, now: float) -> Session | None:
    """The session of a cookie, if it has not ended and its member is still one."""
    id_hash = _hash(cookie)
    found = await database.read(rows.session_anywhere, id_hash)
    if found is None or now >= found["expires_at"] or now - found["seen_at"] >= IDLE_SECONDS:
        return None
    member = await database.read(rows.member, found["workspace_id"], found["account_id"])
    if member is None:
        return None
    if now - found["seen_at"] >= _SEEN_EVERY_SECONDS:
        await database.run(rows.touch_session, id_hash, now)
    return Session(id_hash, member, found["csrf"])


async def end(database: Database, session: Session) -> None:
    """Sign one browser out."""
    member = session.member

    def write(tx: Tx) -> None:
        rows.delete_session(tx, session.id_hash)
        audit.record_as(tx, member.workspace_id, _who(member), "account.signed_out", member.account_id)

    await database.run(write)


async def end_all(database: Database, account_id: str) -> int:
    """Sign a person out everywhere; answers how many browsers."""

    def write(tx: Tx) -> int:
        ended = rows.delete_sessions_of(tx, account_id)
        found = rows.first_membership_anywhere(tx, account_id)
        if found is not None:
            audit.record_as(
                tx, found.workspace_id, _who(found), "account.signed_out_everywhere", account_id, browsers=ended
            )
        return ended

    return await database.run(write)


def _who(member: Member) -> Who:
    return Who("person", member.account_id, member.name, address=asked_from.get())


def _hash(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()
