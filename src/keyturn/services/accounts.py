"""Accounts: the first one, by the setup code or the operator's environment, and password checks that are slow."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from base64 import b64encode
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from pydantic_core import PydanticCustomError

from keyturn import redaction
from keyturn.errors import Conflict, Forbidden, Invalid, LimitReached, Unauthenticated
from keyturn.model.accounts import (
    PASSWORD_MAX,
    Account,
    ApiToken,
    FirstAccount,
    Member,
    Workspace,
    check_password,
)
from keyturn.model.audit import Who
from keyturn.model.ids import new_id
from keyturn.model.permissions import PERMISSIONS
from keyturn.model.validation import parse
from keyturn.services import audit
from keyturn.services.context import asked_from
from keyturn.storage import accounts as rows

if TYPE_CHECKING:
    from keyturn.storage.database import Database, Tx

P = ParamSpec("P")
R = TypeVar("R")
WORKSPACE_NAME = "My workspace"
TRIES = 5
WAIT_SECONDS = 60.0
_FORGET_SECONDS = 900.0
_SETUP = "setup_code_hash"
_hasher = PasswordHasher()
# 64 MiB each: more than two at once would let a handful of sign-ins fill the memory.
_threads = ThreadPoolExecutor(2, thread_name_prefix="password")
QUEUE_MOST = 50
_queue: list[object] = []


async def setup_needed(database: Database) -> bool:
    """Whether the deployment has no account yet."""
    return await database.read(rows.count_accounts_anywhere) == 0


async def new_setup_code(database: Database) -> str:
    """A fresh code for the first-run page; older ones stop working. Only its hash is stored."""
    code = secrets.token_urlsafe(24)
    redaction.remember(code)
    await database.run(rows.set_deployment_value, _SETUP, _hash(code))
    return code


async def check_setup_code(database: Database, code: str) -> None:
    """Raises `Forbidden` unless it is the printed code, `Conflict` when the first account exists."""
    if not await setup_needed(database):
        raise Conflict("The first account exists already. Sign in instead.")
    stored = await database.read(rows.deployment_value, _SETUP)
    if not stored or not hmac.compare_digest(stored, _hash(code)):
        raise Forbidden("This setup link is not the newest one. Take the address the server printed at its start.")


async def create_first(database: Database, raw: Mapping[str, Any], setup_code: str, *, now: float) -> Member:
    """The first Workspace Admin with a workspace. Raises `Invalid`, `Forbidden`, `Conflict`."""
    await check_setup_code(database, setup_code)
    first = parse(FirstAccount, raw)
    password_hash = await hashed(first.password)
    return await database.run(_insert_first, first.name, first.email, password_hash, now)


async def bootstrap(
    database: Database, *, email: str | None, password: str | None, api_token: str | None, now: float
) -> bool:
    """The operator's first Workspace Admin, on an empty database only; answers whether one was made.

    Raises `Invalid` for a token without e-mail, a password under 12 characters or a token that is too short.
    """
    if not (email or password or api_token):
        return False
    if not email:
        raise Invalid("KEYTURN_BOOTSTRAP_EMAIL is missing. Set it beside the password or token.",
                      at="KEYTURN_BOOTSTRAP_EMAIL")  # fmt: skip
    if api_token and not (api_token.startswith("kt_") and len(api_token) >= 35):
        raise Invalid("KEYTURN_BOOTSTRAP_API_TOKEN is kt_ and at least 32 characters.",
                      at="KEYTURN_BOOTSTRAP_API_TOKEN")  # fmt: skip
    # Without a password nobody can sign in with one: a random one that is thrown away.
    raw = {"name": email.partition("@")[0], "email": email, "password": password or secrets.token_urlsafe(32)}
    try:
        first = parse(FirstAccount, raw)
    except Invalid as error:
        field = error.problems[0].at if error.problems else "email"
        name = f"KEYTURN_BOOTSTRAP_{'EMAIL' if field == 'name' else field.upper()}"
        raise Invalid(f"{name}: {error.problems[0].message if error.problems else error.message}", at=name) from None
    redaction.remember(password, api_token)
    if not await setup_needed(database):
        return False
    password_hash = await hashed(first.password)

    def write(tx: Tx) -> None:
        member = _insert_first(tx, first.name, first.email, password_hash, now)
        if api_token:
            token = ApiToken(
                new_id("at"), member.account_id, member.workspace_id, "Bootstrap", tuple(PERMISSIONS), now, None, None
            )
            rows.insert_api_token(tx, token, _hash(api_token))

    await database.run(write)
    return True


async def verify_password(database: Database, email: str, password: str, *, now: float) -> Member:
    """Sign in by e-mail and password. Raises `Unauthenticated` (alike for both), or `LimitReached` after five tries."""
    # Hashed, since people type their password into the field above now and then.
    name = f"sign-in:{_hash(email.strip().lower())}"
    until = await database.run(
        rows.count_try, name, now, tries=TRIES, wait_seconds=WAIT_SECONDS, forget_seconds=_FORGET_SECONDS
    )
    if until > now:
        raise LimitReached("Too many tries. Wait 60 seconds.", retry_after_seconds=until - now)
    found = await database.read(rows.account_by_email_anywhere, email.strip().lower())
    # Whoever has no password takes as long as somebody who is not there.
    password_hash = found[1] if found and found[1].startswith("$") else _hash_of_nobody()
    good = len(password) <= PASSWORD_MAX and await _verified(password_hash, password)
    if not good or found is None:
        await database.run(_tell_failure, found[0] if found else None, now)
        raise Unauthenticated("Email or password is wrong.")
    account = found[0]
    await database.run(rows.set_throttle, name, 0, 0.0, 0.0)
    if _hasher.check_needs_rehash(password_hash):
        await database.run(rows.set_password_hash, account.id, await hashed(password))
    member = await database.read(rows.first_membership_anywhere, account.id)
    if member is None:
        raise Unauthenticated("You are in no workspace any more. Ask a Workspace Admin to invite you.")
    return member


async def change_password(
    database: Database, member: Member, *, current: str, new: str, now: float, keep_session: str | None = None
) -> None:
    """A new password, and every other browser is signed out. Raises `Invalid` at `password` or `new_password`.

    `keep_session` is the id hash of the session that asks. Wrong current passwords count as tries.
    """
    try:
        check_password(new)
    except PydanticCustomError as error:
        raise Invalid(error.message(), at="new_password") from None
    try:
        await verify_password(database, member.email, current, now=now)
    except Unauthenticated:
        raise Invalid("This is not your password now.", at="password") from None
    password_hash = await hashed(new)

    def write(tx: Tx) -> None:
        rows.set_password_hash(tx, member.account_id, password_hash)
        rows.delete_sessions_of(tx, member.account_id, except_id_hash=keep_session)
        who = Who("person", member.account_id, member.name, address=asked_from.get())
        audit.record_as(tx, member.workspace_id, who, "account.password_changed", member.account_id, at=now)

    await database.run(write)


def _tell_failure(tx: Tx, account: Account | None, now: float) -> None:
    """A wrong password, in the chain of the workspace the person lands in; of nobody we know, in the deployment's."""
    member = None if account is None else rows.first_membership_anywhere(tx, account.id)
    workspace_id = audit.DEPLOYMENT if member is None else member.workspace_id
    who = Who("person", account.id if account else "", account.name if account else "", address=asked_from.get())
    audit.record_as(tx, workspace_id, who, "account.sign_in_failed", who.id, at=now, result="refused")


def _insert_first(tx: Tx, name: str, email: str, password_hash: str, now: float) -> Member:
    if rows.count_accounts_anywhere(tx):
        raise Conflict("The first account exists already. Sign in instead.")
    account = Account(new_id("ac"), name, email, now)
    workspace = Workspace(new_id("ws"), WORKSPACE_NAME)
    rows.insert_account(tx, account, password_hash)
    rows.insert_workspace(tx, workspace, now)
    rows.insert_member(tx, workspace.id, account.id, "admin", now)
    rows.set_deployment_value(tx, _SETUP, None)
    who = Who("person", account.id, name, address=asked_from.get())
    audit.record_as(tx, workspace.id, who, "workspace.created", workspace.id, at=now)
    return Member(account.id, workspace.id, "admin", name, email)


async def hashed(password: str) -> str:
    """A password's stored form: argon2id, a few at a time. Raises `LimitReached` when too many wait."""
    return await _in_turn(_hasher.hash, password)


def _hash_of_nobody() -> str:
    """A stored form that no password fits and that costs as much to verify as any: who has no account takes as long."""
    salt, digest = (b64encode(secrets.token_bytes(length)).decode().rstrip("=") for length in (16, 32))
    cost = f"m={_hasher.memory_cost},t={_hasher.time_cost},p={_hasher.parallelism}"
    return f"$argon2id$v=19${cost}${salt}${digest}"


async def _verified(password_hash: str, password: str) -> bool:
    try:
        return await _in_turn(_hasher.verify, password_hash, password)
    except (Argon2Error, InvalidHashError):
        return False


async def _in_turn(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """One of the few threads; a queue that grows is refused, so that a flood of sign-ins cannot hold everybody up."""
    if len(_queue) >= QUEUE_MOST:
        raise LimitReached("Too many people sign in just now. Try again in a moment.", retry_after_seconds=2.0)
    place = object()
    _queue.append(place)
    try:
        return await asyncio.get_running_loop().run_in_executor(_threads, lambda: work(*args, **kwargs))
    finally:
        _queue.remove(place)


def _hash(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()
