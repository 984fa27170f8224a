"""Signing in with the organisation (OIDC Core §3.1): the way there, the answer, and whose account it is.

What one attempt needs for its answer travels sealed in a cookie of the browser that began it, so that nothing is
stored for strangers who only look, and any replica can take the answer.
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import structlog

from keyturn import redaction
from keyturn.encryption import AssociatedData
from keyturn.errors import Invalid, KeyturnError
from keyturn.model.accounts import Member
from keyturn.model.audit import Who
from keyturn.model.messages import say
from keyturn.oauth import id_tokens
from keyturn.oauth.authorization import (
    CallbackAnswer,
    authorization_parameters,
    authorization_url,
    challenge,
    check_iss,
    new_nonce,
    new_state,
    new_verifier,
    parse_callback,
)
from keyturn.oauth.client_auth import ClientCredentials, methods_to_try
from keyturn.oauth.errors import CLIENT_CODES, OAuthError
from keyturn.oauth.grants import authorization_code_request
from keyturn.oauth.id_tokens import Identity
from keyturn.oauth.server import AuthorizationServer
from keyturn.oauth.tokens import TokenSet, process_token_response
from keyturn.services import audit, identities, issuers, organisations
from keyturn.services.context import Context, asked_from
from keyturn.services.organisations import Opened
from keyturn.services.sessions import Session, proved

if TYPE_CHECKING:
    from keyturn.storage.database import Tx

log = structlog.get_logger(__name__)

Purpose = Literal["sign_in", "prove", "join"]
ATTEMPT_SECONDS = 600.0
_TIMEOUT_SECONDS = 10.0
_MAX_BYTES = 1 << 20
_SCOPES = ("openid", "email", "profile")
_SENTENCE = AssociatedData("", "organisations", "", "sentence")


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one attempt alone has, until its answer; never in `repr`. `began_at` is epoch seconds.

    `account_id`: who asked to prove or to join; nobody yet for a sign-in.
    """

    purpose: Purpose
    began_at: float
    onward: str
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    account_id: str = ""


@dataclass(frozen=True, slots=True)
class Leave:
    """Where to send the browser, and the sealed cookie that it brings back; the host is for showing."""

    url: str = field(repr=False)
    cookie: str = field(repr=False)
    name: str


@dataclass(frozen=True, slots=True)
class SignedIn:
    """How it ended: who it is (None where somebody was signed in already), where to go on, and when they proved it."""

    purpose: Purpose
    onward: str
    organisation: str
    member: Member | None = None
    proved_at: float = 0.0


async def begin(scene: Context, purpose: Purpose = "sign_in", *, onward: str = "/") -> Leave:
    """Send somebody to the issuer. Raises `NotFound` without an organisation, `Invalid`, `UpstreamError`."""
    opened = await organisations.opened(scene)
    settings = opened.organisation.settings
    server = await issuers.server_of(scene, settings.issuer)
    asks = "" if purpose == "sign_in" else scene.actor.account_id
    attempt = Attempt(purpose, scene.clock(), onward, new_state(), new_nonce(), new_verifier(), asks)
    redaction.remember(attempt.state, attempt.nonce, attempt.verifier)
    parameters = authorization_parameters(
        server,
        client_id=settings.client_id,
        redirect_uri=organisations.redirect_uri(scene.deployment.public_url),
        scopes=_scopes(server),
        state=attempt.state,
        code_challenge=challenge(attempt.verifier),
        nonce=attempt.nonce,
    )
    if purpose != "sign_in":
        # Who is signed in there may have walked away: they type their password again (OIDC Core §3.1.2.1).
        parameters |= {"prompt": "login", "max_age": "0"}
    sealed = scene.keyring.seal(json.dumps(asdict(attempt)), ad=_ad(opened))
    cookie = base64.urlsafe_b64encode(sealed).decode()
    return Leave(authorization_url(server, parameters), cookie, settings.name)


async def complete(
    scene: Context, parameters: Sequence[tuple[str, str]], *, cookie: str | None, session: Session | None
) -> SignedIn:
    """The issuer's answer. Raises `Invalid` (E-STATE) for one that is not this browser's, else why nobody came in.

    The error's `purpose` is in its details, once it is known.
    """
    opened = await organisations.opened(scene)
    attempt = _attempt(scene, opened, cookie)
    try:
        answer = parse_callback(parameters)
    except OAuthError as error:
        raise Invalid(say("E-STATE"), message_code="E-STATE") from error
    if answer.state is None or not hmac.compare_digest(answer.state.encode(), attempt.state.encode()):
        raise Invalid(say("E-STATE"), message_code="E-STATE")
    try:
        server = await issuers.server_of(scene, opened.organisation.settings.issuer)
        check_iss(answer, server)
        identity = await _identity(scene, opened, server, attempt, _code(answer))
        return await _enter(scene, opened, attempt, identity, session)
    except OAuthError as error:
        log.info("organisation_sign_in_failed", error=error.error, where=error.where)
        ours = _in_our_words(error, opened.organisation.name)
        await scene.database.run(_tell_refused, scene, opened, session, error.error)
        ours.details["purpose"] = attempt.purpose
        raise ours from error
    except KeyturnError as error:
        reason = str(error.details.get("reason", error.message_code or error.code))
        await scene.database.run(_tell_refused, scene, opened, session, reason)
        # Last, since several who waited for the issuer may share one error.
        error.details["purpose"] = attempt.purpose
        raise


def _code(answer: CallbackAnswer) -> str:
    if answer.error is not None or answer.code is None:
        raise OAuthError(answer.error or "no_code", answer.error_description, where="authorization")
    return answer.code


async def _enter(
    scene: Context, opened: Opened, attempt: Attempt, identity: Identity, session: Session | None
) -> SignedIn:
    name, now = opened.organisation.name, scene.clock()
    if attempt.purpose == "sign_in":
        member = await identities.member_of(scene.database, identity, organisation=name, now=now)
        proved_at = min(identity.authenticated_at or 0.0, now)
        return SignedIn("sign_in", attempt.onward, name, member, proved_at)
    if session is None:
        raise Invalid("You are signed out of Keyturn meanwhile. Sign in, then try again.")
    if session.member.account_id != attempt.account_id:
        # Else who they are there would open an account that another person uses in this browser by now.
        raise Invalid("Somebody else was signed in here when this was begun. Begin it anew.")
    if attempt.purpose == "join":
        await identities.join(scene.database, session.member, identity, organisation=name, now=now)
        return SignedIn("join", attempt.onward, name)
    if identity.authenticated_at is None or identity.authenticated_at < attempt.began_at - id_tokens.LEEWAY_SECONDS:
        raise Invalid(f"{name} let you in without asking you again, which proves nothing. Type your password instead.")
    await identities.check_same(scene.database, session.member, identity, organisation=name)
    await proved(scene.database, session, now=now)
    return SignedIn("prove", attempt.onward, name)


async def _identity(
    scene: Context, opened: Opened, server: AuthorizationServer, attempt: Attempt, code: str
) -> Identity:
    """The code for tokens, the ID token checked, and what it leaves out from the UserInfo endpoint."""
    redaction.remember(code)
    tokens = await _tokens(scene, opened, server, attempt, code)
    redaction.remember(tokens.access_token, tokens.refresh_token, tokens.id_token)
    if tokens.id_token is None:
        raise OAuthError("no_id_token", "The answer has no ID token.", where="id_token")
    claims = await _claims(scene, opened, server, attempt, tokens.id_token)
    if "email" not in claims and server.userinfo_url is not None and tokens.token_type.lower() == "bearer":
        request = id_tokens.userinfo_request(server.userinfo_url, tokens.access_token)
        response = await scene.egress.send(request, timeout_seconds=_TIMEOUT_SECONDS, max_bytes=_MAX_BYTES)
        claims = id_tokens.process_userinfo(response, claims)
    return id_tokens.identity_of(claims)


async def _claims(
    scene: Context, opened: Opened, server: AuthorizationServer, attempt: Attempt, id_token: str
) -> dict[str, Any]:
    settings = opened.organisation.settings
    for again in (False, True):
        keys = await issuers.keys_of(scene, server, again=again)
        try:
            return id_tokens.verified(
                id_token,
                keys,
                issuer=settings.issuer,
                client_id=settings.client_id,
                nonce=attempt.nonce,
                now=scene.clock(),
            )
        except id_tokens.UnknownKey:
            if again:
                raise
    raise AssertionError("unreachable")


async def _tokens(scene: Context, opened: Opened, server: AuthorizationServer, attempt: Attempt, code: str) -> TokenSet:
    """RFC 6749 §4.1.3, in each way of client authentication that the issuer lists: a refused one uses no code up."""
    settings = opened.organisation.settings
    ways = methods_to_try("detect", server.token_endpoint_auth_methods, None)
    for number, way in enumerate(ways, 1):
        request = authorization_code_request(
            server,
            ClientCredentials(settings.client_id, opened.client_secret, way),
            code=code,
            redirect_uri=organisations.redirect_uri(scene.deployment.public_url),
            code_verifier=attempt.verifier,
        )
        response = await scene.egress.send(request, timeout_seconds=_TIMEOUT_SECONDS, max_bytes=_MAX_BYTES)
        try:
            return process_token_response(response, now=scene.clock())
        except OAuthError as error:
            if error.error not in CLIENT_CODES or number == len(ways):
                raise
    raise AssertionError("unreachable")


def _attempt(scene: Context, opened: Opened, cookie: str | None) -> Attempt:
    """The attempt that this browser began. Raises `Invalid` (E-STATE) where there is none, or it is too old."""
    problem = Invalid(say("E-STATE"), message_code="E-STATE")
    if not cookie:
        raise problem
    try:
        sealed = base64.urlsafe_b64decode(cookie.encode("ascii"))
        attempt = Attempt(**json.loads(scene.keyring.open(sealed, ad=_ad(opened))))
    except (KeyturnError, ValueError, TypeError):
        raise problem from None
    if not 0 <= scene.clock() - attempt.began_at < ATTEMPT_SECONDS:
        raise problem
    redaction.remember(attempt.state, attempt.nonce, attempt.verifier)
    return attempt


def _tell_refused(tx: Tx, scene: Context, opened: Opened, session: Session | None, reason: str) -> None:
    """Nobody came in: in the deployment's chain, or in the workspace of who is signed in already."""
    member = None if session is None else session.member
    who = Who("person", member.account_id if member else "", member.name if member else "", address=asked_from.get())
    workspace_id = member.workspace_id if member else audit.DEPLOYMENT
    audit.record_as(
        tx,
        workspace_id,
        who,
        "account.sign_in_failed",
        who.id,
        at=scene.clock(),
        result="refused",
        organisation=opened.organisation.name,
        reason=reason,
    )


def _in_our_words(error: OAuthError, name: str) -> KeyturnError:
    """Who repairs it and how."""
    told = redaction.text(error, limit=300)
    if error.error == "access_denied":
        return Invalid(f"{name} did not let you in ({told}). Ask its administrator for access to Keyturn.")
    if error.where == "id_token":
        return Invalid(f"What {name} answered does not prove who you are ({told}) Try again; if it stays, tell a "
                       "Workspace Admin.")  # fmt: skip
    if error.error in CLIENT_CODES and error.where == "token":
        return Invalid(f"{name} refused our Client ID or Client Secret ({told}). A Workspace Admin enters them again "
                       "under Settings.")  # fmt: skip
    return Invalid(f"Signing in with {name} did not work ({told}). Try again; if it stays, tell a Workspace Admin.")


def seal_sentence(scene: Context, sentence: str) -> str:
    """A sentence for the page that the browser is sent on to, so that code and state are gone from the address."""
    return base64.urlsafe_b64encode(scene.keyring.seal(sentence, ad=_SENTENCE)).decode()


def open_sentence(scene: Context, cookie: str | None) -> str | None:
    """That sentence, if this is one of ours."""
    try:
        return scene.keyring.open(base64.urlsafe_b64decode((cookie or "").encode("ascii")), ad=_SENTENCE)
    except (KeyturnError, ValueError):
        return None


def _scopes(server: AuthorizationServer) -> tuple[str, ...]:
    """What names a person, as far as the issuer knows it."""
    known = server.scopes_supported
    return _SCOPES if known is None else tuple(name for name in _SCOPES if name in known or name == "openid")


def _ad(opened: Opened) -> AssociatedData:
    """Bound to this set-up: an attempt that began before it was changed is worth nothing."""
    return AssociatedData("", "organisations", opened.organisation.id, "attempt", int(opened.organisation.updated_at))
