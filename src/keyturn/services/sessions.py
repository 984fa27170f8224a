"""Sessions: a signed-in browser as a row, known by the hash of its cookie, with an idle and an absolute end."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keyturn import redaction
from keyturn.errors import Invalid, NotFound, Unauthenticated
from keyturn.model.accounts import Member
from keyturn.model.audit import Who
from keyturn.services import accounts, audit
from keyturn.services.context import Context, asked_from
from keyturn.storage import accounts as rows
from keyturn.storage import second_factors as factor_rows

if TYPE_CHECKING:
    from keyturn.storage.database import Database, Tx

IDLE_SECONDS = 7 * 86400.0
ABSOLUTE_SECONDS = 30 * 86400.0
# So many browsers at once; the one not used for longest is signed out for the next.
SESSIONS_MOST = 20
# A dangerous change wants a password that was typed this lately.
PROVED_SECONDS = 15 * 60.0
_SEEN_EVERY_SECONDS = 300.0
_ID_CHARACTERS = 20


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in browser: who, in which workspace, and the token its forms must carry."""

    id_hash: str
    member: Member
    csrf: str
    proved_at: float = 0.0
    # The workspace wants a second factor, and they have none yet.
    must_add_factor: bool = False

    def __repr__(self) -> str:
        return f"Session({self.member.account_id})"


@dataclass(frozen=True, slots=True)
class Browser:
    """A signed-in browser as its person sees it. Times are epoch seconds; `id` names it and opens nothing."""

    id: str
    user_agent: str
    address: str
    created_at: float
    seen_at: float
    id_hash: str

    def __repr__(self) -> str:
        return f"Browser({self.id})"


async def start(
    database: Database,
    member: Member,
    *,
    user_agent: str,
    now: float,
    organisation: str | None = None,
    proved_at: float | None = None,
) -> tuple[str, str]:
    """A new session; answers (the cookie's value, the forms' token).

    `organisation`: its name, where they signed in with it. `proved_at`: when they proved who they are, if not just now.
    """
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
        "proved_at": now if proved_at is None else proved_at,
        "way": "password" if organisation is None else "organisation",
    }

    def write(tx: Tx) -> None:
        rows.trim_sessions(tx, member.account_id, now=now, idle_seconds=IDLE_SECONDS, keep=SESSIONS_MOST - 1)
        rows.insert_session(tx, values)
        who, me = _who(member), member.account_id
        audit.record_as(tx, member.workspace_id, who, "account.signed_in", me, at=now, organisation=organisation)

    await database.run(write)
    return cookie, csrf


async def find(database: Database, cookie: str, *, now: float) -> Session | None:
    """The session of a cookie, if it has not ended and its member is still one."""
    id_hash = _hash(cookie)
    found = await database.read(rows.session_anywhere, id_hash)
    if found is None or now >= found["expires_at"] or now - found["seen_at"] >= IDLE_SECONDS:
        return None
    member, must_add_factor = await database.read(_standing, found)
    if member is None:
        return None
    if now - found["seen_at"] >= _SEEN_EVERY_SECONDS:
        await database.run(rows.touch_session, id_hash, now)
    return Session(id_hash, member, found["csrf"], found["proved_at"], must_add_factor)


def _standing(tx: Tx, session: dict[str, Any]) -> tuple[Member | None, bool]:
    """The member behind a session, and whether their workspace wants more of them; the organisation asks itself."""
    member = rows.member(tx, session["workspace_id"], session["account_id"])
    by_password = member is not None and session["way"] == "password"
    missing = by_password and factor_rows.is_missing(tx, session["workspace_id"], session["account_id"])
    return member, missing


async def end(database: Database, session: Session) -> None:
    """Sign one browser out."""
    member = session.member

    def write(tx: Tx) -> None:
        rows.delete_session(tx, session.id_hash)
        audit.record_as(tx, member.workspace_id, _who(member), "account.signed_out", member.account_id)

    await database.run(write)


async def list_(database: Database, account_id: str, *, now: float) -> list[Browser]:
    """The browsers a person is signed in with, the one used last first."""
    found = await database.read(rows.sessions_of, account_id)
    return [
        Browser(
            r["id_hash"][:_ID_CHARACTERS], r["user_agent"], r["address"], r["created_at"], r["seen_at"], r["id_hash"]
        )
        for r in found
        if now < r["expires_at"] and now - r["seen_at"] < IDLE_SECONDS
    ]


async def end_one(database: Database, member: Member, browser_id: str, *, now: float) -> None:
    """Sign one of a person's browsers out. Raises `NotFound`."""
    found = [one for one in await list_(database, member.account_id, now=now) if one.id == browser_id]
    if not found:
        raise NotFound("That browser is not signed in any more.")

    def write(tx: Tx) -> None:
        rows.delete_session(tx, found[0].id_hash)
        audit.record_as(tx, member.workspace_id, _who(member), "account.signed_out", member.account_id, at=now)

    await database.run(write)


def is_proved(session: Session, *, now: float) -> bool:
    """Whether the person typed their password lately enough for a dangerous change (ASVS 7.5.3)."""
    return now - session.proved_at < PROVED_SECONDS


async def check_password(database: Database, session: Session, password: str, *, now: float) -> None:
    """The password again, before a dangerous change. Raises `Invalid` at `password`; wrong ones count as tries.

    A second factor comes after it, where there is one; then say `proved`.
    """
    try:
        await accounts.verify_password(database, session.member.email, password, now=now)
    except Unauthenticated:
        raise Invalid("This is not your password.", at="password") from None


async def proved(database: Database, session: Session, *, now: float) -> None:
    """They proved again who they are: dangerous changes are taken for a while."""
    await database.run(rows.set_session, session.id_hash, {"proved_at": now})


async def switch(database: Database, session: Session, workspace_id: str) -> Member:
    """Work in another workspace of theirs. Raises `NotFound`."""
    member = await database.read(rows.member, workspace_id, session.member.account_id)
    if member is None:
        raise NotFound("There is no such workspace.")

    def write(tx: Tx) -> None:
        rows.set_session(tx, session.id_hash, {"workspace_id": workspace_id})
        audit.record_as(tx, workspace_id, _who(member), "account.entered", member.account_id)

    await database.run(write)
    return member


async def tidy(scene: Context) -> int:
    """Remove sessions, throttles and links that ended; answers how many rows."""
    return await scene.database.run(rows.tidy_anywhere, scene.clock(), idle_seconds=IDLE_SECONDS)


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
