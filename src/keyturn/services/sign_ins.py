"""The callback: take the state once, check who answers, exchange the code, store the grant, and say how it ended."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog

from keyturn import redaction
from keyturn.errors import Conflict, Invalid, KeyturnError, ReconnectNeeded
from keyturn.model.connect_links import ConnectLink
from keyturn.model.connections import Connection
from keyturn.model.messages import say
from keyturn.oauth.authorization import CallbackAnswer, check_iss, parse_callback
from keyturn.oauth.errors import OAuthError
from keyturn.oauth.tokens import TokenSet, identity_of
from keyturn.services import (
    account_switches,
    authorizations,
    client_secrets,
    connections,
    events,
    grants,
    link_outcomes,
    oauth_clients,
    refusals,
    token_requests,
)
from keyturn.services.context import Context
from keyturn.services.oauth_clients import Registration
from keyturn.storage import authorizations as rows
from keyturn.storage import connections as connection_rows
from keyturn.storage import grants as grant_rows
from keyturn.storage import oauth_clients as client_rows

if TYPE_CHECKING:
    from keyturn.storage.database import Tx

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a sign-in ended, for its small page. `technical` is the end system's own words, cleaned."""

    ok: bool
    sentence: str
    message_code: str | None
    account: str | None
    connection_id: str | None
    connection_name: str | None
    technical: str | None = None
    notes: tuple[dict[str, str], ...] = ()
    undecided: bool = False
    # Of a connect link: where the browser goes from here, and whom to ask for a new one.
    way_back: str | None = None
    asked_by: str | None = None


async def complete(scene: Context, slug: str | None, params: Sequence[tuple[str, str]], *, browser: str | None) -> str:
    """Handle the end system's answer at `/oauth2/callback/{slug}`; answers the opaque id of the result page.

    Raises `Invalid` (E-STATE) without a state of ours, in another browser, at another client's address, or late:
    then no token request leaves and a waiting attempt is not spoilt (RFC 6749 §10.12, RFC 9700 §4.4, §4.7).
    """
    wanted = await _state_name(scene, slug)
    state = next((value for name, value in params if name == wanted), None)
    row = None if not state else await scene.database.read(rows.peek_anywhere, authorizations.hash_of(state))
    if row is None or browser is None or row["browser_hash"] != authorizations.hash_of(browser):
        raise _state_error()
    here = f"{scene.deployment.public_url}/oauth2/callback" + (f"/{slug}" if slug else "")
    if row["redirect_uri"] != here or scene.clock() >= row["expires_at"]:
        raise _state_error()
    row = await scene.database.run(rows.take_anywhere, authorizations.hash_of(state or ""))
    if row is None:
        raise _state_error()
    done = secrets.token_urlsafe(24)
    await scene.database.run(rows.set_done_hash, row["workspace_id"], row["id"], authorizations.hash_of(done))
    ctx, _ = await authorizations.starter(scene, row)
    connection = await ctx.database.read(connection_rows.get, ctx.workspace_id, row["connection_id"])
    if connection is None:
        raise _state_error()
    registration = None
    try:
        registration = await oauth_clients.registration(ctx, row["oauth_client_id"], connection.settings.variables)
        # It may have been taken back while they were away.
        connections.require_may_sign_in(ctx, connection)
        await link_outcomes.require_pending(ctx, row)
        answer = parse_callback(params, registration.client.settings.advanced)
        await _exchange_and_store(ctx, row, connection, registration, answer)
    except (KeyturnError, OAuthError) as error:
        await fail(ctx, row, connection, registration, error)
    return done


async def _state_name(scene: Context, slug: str | None) -> str:
    """Under which name the client at that address gets its state back; `state` unless its settings say otherwise."""

    def fetch(tx: Tx) -> str:
        found = None if slug is None else client_rows.by_slug_anywhere(tx, slug)
        client = None if found is None else client_rows.get(tx, *found)
        return "state" if client is None else client.settings.advanced.callback.state

    return await scene.database.read(fetch)


async def outcome(scene: Context, done: str) -> Outcome:
    """How the attempt behind a result page ended. Raises `Invalid` (E-STATE) when it is unknown."""
    row = await scene.database.read(rows.by_done_anywhere, authorizations.hash_of(done))
    if row is None or row["outcome"] is None:
        raise _state_error()
    connection = await scene.database.read(connection_rows.get, row["workspace_id"], row["connection_id"])
    name = None if connection is None else connection.name
    its = await link_outcomes.link_of(scene, row)
    if its is not None:
        return await _of_link(scene, row, its)
    found = row["outcome"]
    if row["status"] == "completed":
        account = found.get("account")
        sentence = f"Connected as {account}." if account else "Connected."
        notes = tuple(found.get("notes") or ())
        return Outcome(True, sentence, None, account, row["connection_id"], name, notes=notes)
    error = found["error"]
    undecided = row["held_sealed"] is not None and scene.clock() < row["expires_at"]
    technical = None if error.get("technical") == error["message"] else error.get("technical")
    return Outcome(
        False,
        error["message"],
        error.get("message_code"),
        None,
        row["connection_id"],
        name,
        technical,
        undecided=undecided,
    )


async def _of_link(scene: Context, row: dict[str, Any], link: ConnectLink) -> Outcome:
    """What whoever came through a connect link is told: nothing of who signed in before them."""
    status = link.at(scene.clock())
    client = await scene.database.read(client_rows.get, link.workspace_id, link.oauth_client_id)
    # The list as it is now: what was taken out of it is not led to any more.
    listed = client is not None and link.return_url in client.settings.advanced.return_urls
    ended = status if status in {"completed", "undecided"} else "failed"
    as_whom = f" as {link.account}" if link.account else ""
    notes: tuple[dict[str, str], ...] = ()
    technical = code = None
    if status == "completed":
        sentence = f"Connected{as_whom}."
        notes = tuple(row["outcome"].get("notes") or ())
    elif status == "undecided":
        sentence = f"You signed in{as_whom}. {link.made_by} looks at the account before anything is read with it."
    else:
        error = row["outcome"].get("error") or link.error or {}
        sentence = error.get("message") or "This sign-in came to nothing."
        code = error.get("message_code")
        technical = None if error.get("technical") == sentence else error.get("technical")
        if code == "E-OTHERUSER":
            sentence, code = "This sign-in was not taken.", None
    return Outcome(
        ended != "failed", sentence, code, link.account, None, link.connection_name, technical, notes,
        way_back=link.way_back(ended) if listed else None, asked_by=link.made_by,
    )  # fmt: skip


async def _exchange_and_store(
    ctx: Context, row: dict[str, Any], connection: Connection, registration: Registration, answer: CallbackAnswer
) -> None:
    """Tokens for the code, stored with how it ended in one transaction."""
    if registration.client.version != row["client_version"]:
        raise Invalid(f"{registration.client.name} was changed while you signed in. Start again.")
    check_iss(answer, registration.server)
    if answer.error is not None:
        raise OAuthError(answer.error, answer.error_description, where="authorization")
    if answer.code is None:
        raise OAuthError("no_code", "The answer has neither a code nor an error.", where="authorization")
    requested_at = ctx.clock()
    answered = await _tokens_for(ctx, row, registration, answer.code)
    await client_secrets.worked(ctx, registration, answered.way)
    await store(ctx, row, connection, registration, answered.found, requested_at, told=answer.extra)


async def store(
    ctx: Context,
    row: dict[str, Any],
    connection: Connection,
    registration: Registration,
    tokens: TokenSet,
    requested_at: float,
    *,
    told: Mapping[str, str] | None = None,
) -> None:
    """A sign-in's token set, stored with how it ended; `told` are the values that the callback brought.

    Raises `Conflict` (E-OTHERUSER) when it is another account than before: then it is held until somebody decides.
    """
    account = _account(ctx, row, registration, tokens)
    # What came with the token came from the server itself; the callback went through a browser.
    tokens = replace(tokens, kept={**(told or {}), **tokens.kept})
    holder = account_switches.holder_of(row, connection)
    before = await ctx.database.read(grant_rows.of_connection, ctx.workspace_id, connection.id, holder)
    was = None if before is None else before.account
    link = await link_outcomes.link_of(ctx, row)
    error: Conflict | None = None
    try:
        if link_outcomes.must_hold(link, was, account, signed_in=before is not None):
            error = await account_switches.hold(ctx, row, tokens, before=was, now=account, requested_at=requested_at)
        else:
            await ctx.database.run(_write, ctx, row, connection, registration, tokens, account, requested_at)
    except Conflict:
        if link is not None:
            # It was taken back while the code was exchanged.
            await account_switches.drop(ctx, row, connection, registration, tokens, account)
        raise
    if error is not None and link is None:
        raise error


def _write(
    tx: Tx,
    ctx: Context,
    row: dict[str, Any],
    connection: Connection,
    registration: Registration,
    tokens: TokenSet,
    account: str | None,
    requested_at: float,
) -> None:
    notes = _notes(row, registration, tokens, requested_at)
    account_switches.store(tx, ctx, row, connection, registration, tokens, account, requested_at)
    rows.finish(tx, ctx.workspace_id, row["id"], "completed", {"account": account, "notes": notes})
    link_outcomes.completed(tx, ctx, row, account)


async def _tokens_for(
    ctx: Context, row: dict[str, Any], registration: Registration, code: str
) -> token_requests.Answered[TokenSet]:
    redaction.remember(code)
    verifier = None
    if row["verifier_sealed"] is not None and registration.client.settings.advanced.authorize.pkce != "off":
        verifier = ctx.keyring.open(row["verifier_sealed"], ad=authorizations.sealed_ad(row, "verifier_sealed"))
    dpop_key = None
    if row["dpop_key_sealed"] is not None:
        dpop_key = ctx.keyring.open(row["dpop_key_sealed"], ad=authorizations.sealed_ad(row, "dpop_key_sealed"))
    return await token_requests.exchange_code(
        ctx,
        registration,
        code=code,
        redirect_uri=row["redirect_uri"],
        verifier=verifier,
        dpop_key=dpop_key,
        timeout_seconds=ctx.deployment.refresh.deadline_seconds,
    )


def _account(ctx: Context, row: dict[str, Any], registration: Registration, tokens: TokenSet) -> str | None:
    nonce = None
    if row["nonce_sealed"] is not None:
        nonce = ctx.keyring.open(row["nonce_sealed"], ad=authorizations.sealed_ad(row, "nonce_sealed"))
    return identity_of(
        tokens,
        issuer=registration.server.issuer,
        client_id=registration.client.settings.client_id,
        nonce=nonce,
        now=ctx.clock(),
    )


def _notes(
    row: dict[str, Any], registration: Registration, tokens: TokenSet, requested_at: float
) -> list[dict[str, str]]:
    """What a sign-in that succeeded falls short of, said at once: scopes that were not granted, no refresh token."""
    notes = []
    system = registration.client.name
    missing = grants.scopes_missing(row["scopes"], tokens.scopes)
    if missing:
        granted = " ".join(tokens.scopes or ()) or "none"
        notes.append(("E-SCOPE", say("E-SCOPE", missing=" ".join(missing), system=system, granted=granted)))
    if tokens.refresh_token is None:
        life = tokens.expires_in_seconds or registration.client.settings.access_token_expires_in / 1000
        ends = f"{datetime.fromtimestamp(requested_at + life, UTC):%H:%M} UTC"
        notes.append(("E-NOREFRESH", say("E-NOREFRESH", system=system, stops_at=ends)))
    return [{"message_code": code, "message": sentence} for code, sentence in notes]


async def fail(
    ctx: Context,
    row: dict[str, Any],
    connection: Connection,
    registration: Registration | None,
    error: KeyturnError | OAuthError,
) -> None:
    """Write the sentence of a failure; a connection that was signed in stays as it was."""
    technical = redaction.text(error, limit=300)
    ours = error if isinstance(error, KeyturnError) else await refusals.in_our_words(ctx, error, registration)
    if not isinstance(ours, ReconnectNeeded):
        log.info("sign_in_failed", connection=connection.id, code=ours.message_code or ours.code)
    problem = authorizations.problem_of(ours, technical)

    def write(tx: Tx) -> None:
        rows.finish(tx, ctx.workspace_id, row["id"], "failed", {"error": problem})
        link_outcomes.failed(tx, ctx, row, problem)
        events.record(tx, ctx, connection.id, "sign_in_failed", sentence=ours.message)

    await ctx.database.run(write)


def _state_error() -> Invalid:
    return Invalid(say("E-STATE"), message_code="E-STATE")
