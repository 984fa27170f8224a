"""Sessions: a signed-in browser as a row, known by the hash of its cookie, with an idle and an absolute end."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keyturn import redaction
from keyturn.model.accounts import Member
from keyturn.storage import accounts as rows

if TYPE_CHECKING:
    from keyturn.storage.database import Database

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
    }
    await database.run(rows.insert_session, values)
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
    await database.run(rows.delete_session, session.id_hash)


async def end_all(database: Database, account_id: str) -> int:
    """Sign a person out everywhere; answers how many browsers."""
    return await database.run(rows.delete_sessions_of, account_id)


def _hash(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()
