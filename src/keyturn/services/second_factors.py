"""A second factor beside the password: codes of an app (TOTP, RFC 6238), and recovery codes for the day it is lost.

It belongs to the account, so it is asked for whatever workspace they go to. Who signs in with the organisation is asked
there. It must not know sessions: they ask it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyotp

from keyturn import redaction
from keyturn.encryption import AssociatedData
from keyturn.errors import Conflict, Invalid, KeyturnError, LimitReached, NotFound, Unauthenticated
from keyturn.model.accounts import Member
from keyturn.model.audit import Who
from keyturn.services import audit, members
from keyturn.services.context import Context, asked_from
from keyturn.storage import accounts as account_rows
from keyturn.storage import second_factors as rows

if TYPE_CHECKING:
    from keyturn.storage.database import Database, Tx

ISSUER = "Keyturn"
FIRST_STEP_SECONDS = 300.0
_FIRST_STEP = AssociatedData("", "second_factors", "", "first_step")
STEP_SECONDS = 30
# One step to each side, for phones whose clock is a little off (RFC 6238 §5.2).
_WINDOW = 1
CODES = 10
TRIES = 5
# Each further wrong code doubles it, up to an hour: six digits would be found within months by who has the password.
WAIT_SECONDS = 60.0
WAIT_MOST_SECONDS = 3600.0
_FORGET_SECONDS = 86400.0
# Without letters that look alike; 16 of 31 are 79 bits, so that a fast hash will do.
_LETTERS = "23456789abcdefghjkmnpqrstuvwxyz"
_CODE_LETTERS = 16
WRONG = "This code is not right, or was used before. Take the next one of your app, or a recovery code."


@dataclass(frozen=True, slots=True)
class State:
    """Whether somebody has a second factor, and how many recovery codes are left."""

    on: bool
    codes_left: int


@dataclass(frozen=True, slots=True)
class SetUp:
    """What an app has to be told once: by the address in a QR code, or typed."""

    secret: str = field(repr=False)
    url: str = field(repr=False)


async def state(database: Database, account_id: str) -> State:
    """How it stands."""

    def fetch(tx: Tx) -> State:
        found = rows.get(tx, account_id)
        return State(found is not None and found["confirmed_at"] is not None, rows.count_codes(tx, account_id))

    return await database.read(fetch)


async def begin(scene: Context, member: Member) -> SetUp:
    """A new secret, which protects nothing until its first code was typed. Raises `Conflict` where there is one."""
    secret = pyotp.random_base32()
    redaction.remember(secret)
    sealed = scene.keyring.seal(secret, ad=_ad(member.account_id))
    if not await scene.database.run(rows.begin, member.account_id, sealed, scene.clock()):
        raise Conflict("You have a second factor already. Remove it first, then set up another one.")
    return SetUp(secret, pyotp.TOTP(secret).provisioning_uri(name=member.email, issuer_name=ISSUER))


async def pending(scene: Context, member: Member) -> SetUp | None:
    """What was begun and waits for its first code."""
    found = await scene.database.read(rows.get, member.account_id)
    if found is None or found["confirmed_at"] is not None:
        return None
    secret = scene.keyring.open(found["secret_sealed"], ad=_ad(member.account_id))
    redaction.remember(secret)
    return SetUp(secret, pyotp.TOTP(secret).provisioning_uri(name=member.email, issuer_name=ISSUER))


async def seal_first_step(scene: Context, member: Member, onward: str) -> str:
    """The password was right: what the browser brings along with the code."""
    told = json.dumps([member.account_id, scene.clock(), onward, await _password_mark(scene, member)])
    return base64.urlsafe_b64encode(scene.keyring.seal(told, ad=_FIRST_STEP)).decode()


async def first_step(scene: Context, cookie: str | None) -> tuple[Member, str]:
    """Who typed the right password lately, and where they wanted to go. Raises `Unauthenticated`.

    A password that was changed meanwhile has to be typed again.
    """
    over = Unauthenticated("The password has to be typed again: that was too long ago.")
    try:
        sealed = base64.urlsafe_b64decode((cookie or "").encode("ascii"))
        account_id, at, onward, mark = json.loads(scene.keyring.open(sealed, ad=_FIRST_STEP))
    except (KeyturnError, ValueError):
        raise over from None
    member = await scene.database.read(account_rows.first_membership_anywhere, account_id)
    if member is None or not 0 <= scene.clock() - at < FIRST_STEP_SECONDS:
        raise over
    if not hmac.compare_digest(mark, await _password_mark(scene, member)):
        raise over
    return member, onward


async def _password_mark(scene: Context, member: Member) -> str:
    """What is another one after each change of the password, and tells nothing of it."""
    found = await scene.database.read(account_rows.account_by_email_anywhere, member.email)
    return _hash("" if found is None else found[1])


async def confirm(scene: Context, member: Member, code: str) -> list[str]:
    """The first code: from now on one is asked for. Answers recovery codes, shown once. Raises `Invalid` at `code`."""
    await _count(scene, member.account_id)
    step = await _step_of(scene, member.account_id, code, confirmed=False)
    codes = _new_codes()

    def write(tx: Tx) -> None:
        if step is None or not rows.use_step(tx, member.account_id, step):
            raise Invalid(WRONG, at="code")
        if not rows.confirm(tx, member.account_id, scene.clock()):
            raise Conflict("It was set up meanwhile. Open User preferences again.")
        rows.put_codes(tx, member.account_id, [_hash(value) for value in codes], scene.clock())
        _forget_tries(tx, member.account_id)
        _tell(tx, scene, member, "account.second_factor_added")

    await scene.database.run(write)
    return codes


async def check(scene: Context, member: Member, code: str) -> None:
    """A code of the app or a recovery code, each taken once, on all replicas together.

    Raises `Invalid` at `code`, `LimitReached` after five tries, for longer after each further one.
    """
    await _count(scene, member.account_id)
    step = await _step_of(scene, member.account_id, code, confirmed=True)
    spare = _hash(_plain(code))

    def write(tx: Tx) -> bool:
        by_app = step is not None and rows.use_step(tx, member.account_id, step)
        if not by_app and not rows.use_code(tx, member.account_id, spare):
            _tell(tx, scene, member, "account.second_factor_failed", result="refused")
            return False
        _forget_tries(tx, member.account_id)
        if not by_app:
            left = rows.count_codes(tx, member.account_id)
            _tell(tx, scene, member, "account.recovery_code_used", left=left)
        return True

    if not await scene.database.run(write):
        raise Invalid(WRONG, at="code")


async def new_codes(scene: Context, member: Member) -> list[str]:
    """Ten new recovery codes, shown once; the old ones are worth nothing. Raises `NotFound` without a second factor."""
    codes = _new_codes()

    def write(tx: Tx) -> None:
        if not _is_on(tx, member.account_id):
            raise NotFound("You have no second factor.")
        rows.put_codes(tx, member.account_id, [_hash(value) for value in codes], scene.clock())
        _tell(tx, scene, member, "account.recovery_codes_made")

    await scene.database.run(write)
    return codes


async def remove(scene: Context, member: Member) -> None:
    """The password alone is enough again, where the workspace allows that. Raises `NotFound`."""

    def write(tx: Tx) -> None:
        if not rows.delete(tx, member.account_id):
            raise NotFound("You have no second factor.")
        _tell(tx, scene, member, "account.second_factor_removed")

    await scene.database.run(write)


async def reset(ctx: Context, account_id: str) -> None:
    """Somebody lost their app and codes: they sign in by password, everywhere anew. Raises `NotFound`, `Forbidden`.

    As with a link to a new password, it takes a Workspace Admin of every workspace they are in.
    """
    ctx.require("workspace:admin")
    member = await members.recoverable(ctx, account_id)

    def write(tx: Tx) -> None:
        if not rows.delete(tx, account_id):
            raise NotFound(f"{member.name} has no second factor.")
        account_rows.delete_sessions_of(tx, account_id)
        audit.record(tx, ctx, "account.second_factor_reset", account_id, name=member.name)

    await ctx.database.run(write)


async def who_has(ctx: Context) -> set[str]:
    """The members who have one. Workspace Admins."""
    ctx.require("workspace:admin")
    return await ctx.database.read(rows.confirmed_of, ctx.workspace_id)


async def _count(scene: Context, account_id: str) -> None:
    """Counted before it is looked at, so that tries side by side are all counted."""
    now = scene.clock()
    until = await scene.database.run(
        account_rows.count_try,
        _throttle(account_id),
        now,
        tries=TRIES,
        wait_seconds=WAIT_SECONDS,
        forget_seconds=_FORGET_SECONDS,
        wait_most_seconds=WAIT_MOST_SECONDS,
    )
    if until > now:
        minutes = math.ceil((until - now) / 60)
        wait = "60 seconds" if minutes == 1 else f"{minutes} minutes"
        raise LimitReached(f"Too many tries. Wait {wait}.", retry_after_seconds=until - now)


async def _step_of(scene: Context, account_id: str, code: str, *, confirmed: bool) -> int | None:
    """The step that a code belongs to, if it is one of now."""
    found = await scene.database.read(rows.get, account_id)
    if found is None or (found["confirmed_at"] is not None) != confirmed:
        return None
    totp = pyotp.TOTP(scene.keyring.open(found["secret_sealed"], ad=_ad(account_id)))
    plain, now = _plain(code), int(scene.clock()) // STEP_SECONDS
    steps = range(now - _WINDOW, now + _WINDOW + 1)
    right = [step for step in steps if hmac.compare_digest(totp.generate_otp(step).encode(), plain.encode())]
    return right[0] if right else None


def _is_on(tx: Tx, account_id: str) -> bool:
    found = rows.get(tx, account_id)
    return found is not None and found["confirmed_at"] is not None


def _new_codes() -> list[str]:
    codes: list[str] = ["".join(secrets.choice(_LETTERS) for _ in range(_CODE_LETTERS)) for _ in range(CODES)]
    redaction.remember(*codes)
    return codes


def grouped(code: str) -> str:
    """A recovery code as it is shown."""
    return "-".join(code[at : at + 4] for at in range(0, len(code), 4))


def _plain(code: str) -> str:
    """As it is compared: people type blanks and dashes."""
    return "".join(letter for letter in code.lower() if letter.isalnum())[:64]


def _forget_tries(tx: Tx, account_id: str) -> None:
    account_rows.set_throttle(tx, _throttle(account_id), 0, 0.0, 0.0)


def _tell(tx: Tx, scene: Context, member: Member, verb: str, *, result: str = "ok", **details: object) -> None:
    who, me = Who("person", member.account_id, member.name, address=asked_from.get()), member.account_id
    audit.record_as(tx, member.workspace_id, who, verb, me, at=scene.clock(), result=result, **details)


def _throttle(account_id: str) -> str:
    return f"second-factor:{account_id}"


def _hash(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


def _ad(account_id: str) -> AssociatedData:
    return AssociatedData("", "second_factors", account_id, "secret_sealed")
