"""What a link to sign in opens: who asks and what will be read, and Continue, which leads to the end system.

Opened in the browser of the member who began it, it leads on at once, a connect link excepted; any other browser is
first shown who asks and must press Continue, which binds the attempt to that browser and starts its ten minutes.
The callback takes nothing from its own query but `state`, `code`, `iss` and errors; the rest is in the row.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from keyturn import redaction
from keyturn.errors import Forbidden, Invalid, NotFound
from keyturn.model.connect_links import STATE_SECONDS, ConnectLink
from keyturn.model.connections import Connection
from keyturn.oauth.authorization import (
    authorization_parameters,
    authorization_url,
    challenge,
    new_nonce,
    new_state,
    new_verifier,
)
from keyturn.oauth.errors import OAuthError
from keyturn.oauth.jose import thumbprint
from keyturn.oauth.pushed import pushed_parameters
from keyturn.services import (
    client_secrets,
    connections,
    link_outcomes,
    oauth_clients,
    refusals,
    token_requests,
)
from keyturn.services.authorizations import hash_of, over, sealed_ad, starter
from keyturn.services.context import Context
from keyturn.services.oauth_clients import Registration
from keyturn.storage import accounts as account_rows
from keyturn.storage import authorizations as rows
from keyturn.storage import connections as connection_rows

if TYPE_CHECKING:
    from keyturn.model.accounts import Member
    from keyturn.storage.database import Tx


@dataclass(frozen=True, slots=True)
class Invitation:
    """What any other browser sees before it leads on: who asks, for which system, what will be read and by whom.

    `api_host` is None where the sign-in tells it; it is then one of the client's API hosts. `back_to`: the host where a
    connect link leads afterwards. `held`: nothing is read before whoever asks has accepted the account.
    """

    asked_by: str
    system: str
    sign_in_host: str
    token_host: str
    api_host: str | None
    scopes: tuple[str, ...]
    readers: str
    connection_name: str
    connection_id: str
    mine: bool
    expires_at: float
    workspace: str = ""
    back_to: str | None = None
    held: bool = False


async def look(scene: Context, link: str, account_id: str | None, *, browser: str | None = None) -> Invitation:
    """What stands behind a link. Raises `NotFound` when it is unknown, used or over, or another browser's."""
    row, its = await _open_row(scene, link, browser)
    ctx, member, connection = await _beginning(scene, row)
    registration = await oauth_clients.registration(ctx, row["oauth_client_id"], connection.settings.variables)
    return Invitation(
        # A link that was mailed is a sign-in of whoever got it, and another member asks for it.
        asked_by=member.name if its is None else its.made_by,
        system=registration.client.name,
        sign_in_host=urlsplit(registration.server.authorization_url).netloc,
        token_host=urlsplit(registration.server.token_url).netloc,
        api_host=urlsplit(connection.settings.base_url).netloc or None,
        scopes=tuple(row["scopes"]),
        readers=connection.readers(member.account_id, member.name),
        connection_name=connection.name,
        connection_id=connection.id,
        # Whoever looks at a connect link they made does not use it up.
        mine=its is None and account_id == row["account_id"],
        expires_at=row["expires_at"] if its is None else its.expires_at,
        workspace=await scene.database.read(_workspace_name, row["workspace_id"]),
        back_to=None if its is None or its.return_url is None else urlsplit(its.return_url).netloc,
        held=its is not None and its.hold,
    )


async def proceed(scene: Context, link: str, *, browser: str, account_id: str | None) -> str:
    """Bind the attempt to `browser` (its cookie's value) and answer the end system's address to go to."""
    row, _ = await _open_row(scene, link, browser)
    ctx, member, connection = await _beginning(scene, row)
    registration = await oauth_clients.registration(ctx, row["oauth_client_id"], connection.settings.variables)
    listed = connections.host_listed(connection, registration.client)
    if not listed and account_id != row["account_id"] and member.role != "admin":
        raise Forbidden(
            f"Sign in to Keyturn as {member.name} first: the host of {connection.name} is not among the allowed "
            f"hosts of {registration.client.name}, so no one else may sign in for it."
        )
    own = _own_values(registration, row)
    url = await _address(ctx, registration, row, own)
    values: dict[str, Any] = {
        "state_hash": hash_of(own.state),
        "browser_hash": hash_of(browser),
        "redirect_uri": registration.client.redirect_uri,
        "client_version": registration.client.version,
        "expires_at": scene.clock() + STATE_SECONDS,
    }
    for column, value in (("verifier", own.verifier), ("nonce", own.nonce), ("dpop_key", own.dpop_key)):
        name = f"{column}_sealed"
        values[name] = None if value is None else scene.keyring.seal(value, ad=sealed_ad(row, name))

    def write(tx: Tx) -> bool:
        return rows.bind(tx, row["workspace_id"], row["id"], values) and link_outcomes.opened(tx, ctx, row)

    if not await scene.database.run(write):
        # Another browser was faster, or it was taken back at the same moment.
        await _open_row(scene, link, browser)
        raise over()
    return url


@dataclass(frozen=True, slots=True)
class _OwnValues:
    """What one attempt alone has; never in `repr`. `nonce` is for the ID token, `dpop_key` what tokens are bound to."""

    state: str = field(repr=False)
    verifier: str = field(repr=False)
    nonce: str | None = field(repr=False)
    dpop_key: str | None = field(repr=False)


def _own_values(registration: Registration, row: dict[str, Any]) -> _OwnValues:
    wants_nonce = registration.client.settings.advanced.authorize.nonce or "openid" in row["scopes"]
    key = token_requests.new_dpop_key(registration)
    own = _OwnValues(new_state(), new_verifier(), new_nonce() if wants_nonce else None, key)
    redaction.remember(own.state, own.verifier, own.nonce, own.dpop_key)
    return own


async def _address(ctx: Context, registration: Registration, row: dict[str, Any], own: _OwnValues) -> str:
    """Where the browser goes. Where requests are pushed, the server has this one before the browser leaves.

    Raises what the person who pressed Continue can be told; they may press it again.
    """
    advanced = registration.client.settings.advanced
    try:
        parameters = authorization_parameters(
            registration.server,
            client_id=registration.client.settings.client_id,
            redirect_uri=registration.client.redirect_uri,
            scopes=row["scopes"],
            state=own.state,
            code_challenge=challenge(own.verifier) if advanced.authorize.pkce == "S256" else None,
            nonce=own.nonce,
            dpop_thumbprint=own.dpop_key and thumbprint(own.dpop_key),
            advanced=advanced,
        )
        if registration.server.pushed_authorization_url is not None:
            seconds = ctx.deployment.refresh.deadline_seconds
            pushed = await token_requests.push(ctx, registration, parameters, timeout_seconds=seconds)
            await client_secrets.worked(ctx, registration, pushed.way)
            redaction.remember(pushed.found.request_uri)
            parameters = pushed_parameters(registration.client.settings.client_id, pushed.found, advanced=advanced)
        return authorization_url(registration.server, parameters, advanced=advanced)
    except OAuthError as error:
        if error.where == "pushed_authorization":
            raise await refusals.in_our_words(ctx, error, registration) from None
        raise _cannot_lead_on(registration, error) from None


def _cannot_lead_on(registration: Registration, error: OAuthError) -> Invalid:
    """Why there is no address to go to, for the person who pressed Continue; a Workspace Admin repairs it."""
    at = "advanced.authorize.pkce" if error.error.startswith("pkce") else "authorization_url"
    reason = error.description or error.error
    return Invalid(f"{reason} A Workspace Admin changes it at {registration.client.name}.", at=at)


async def _open_row(scene: Context, link: str, browser: str | None) -> tuple[dict[str, Any], ConnectLink | None]:
    """The attempt behind a link, and the connect link it is. Raises `NotFound` saying why it cannot be opened."""
    row = await scene.database.read(rows.by_link_anywhere, hash_of(link))
    if row is None:
        raise over()
    its = await link_outcomes.link_of(scene, row)
    if its is not None:
        bound = row["browser_hash"]
        another = bound is not None and (browser is None or hash_of(browser) != bound)
        reason = its.why_not(now=scene.clock(), browser_is_another=another)
        if reason is not None:
            raise NotFound(reason)
    elif row["connect_link_id"] is not None or scene.clock() >= row["expires_at"]:
        raise over()
    if row["status"] != "pending":
        raise over()
    return row, its


def _workspace_name(tx: Tx, workspace_id: str) -> str:
    found = account_rows.workspace(tx, workspace_id)
    return "" if found is None else found.name


async def _beginning(scene: Context, row: dict[str, Any]) -> tuple[Context, Member, Connection]:
    ctx, member = await starter(scene, row)

    def fetch(tx: Tx) -> Connection | None:
        return connection_rows.get(tx, row["workspace_id"], row["connection_id"])

    connection = await scene.database.read(fetch)
    if connection is None or connection.oauth_client_id != row["oauth_client_id"]:
        raise over()
    return ctx, member, connection
