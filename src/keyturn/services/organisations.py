"""The organisation that people sign in with (OpenID Connect): one for the whole deployment, set up by Workspace Admins.

Accounts are the deployment's, so whoever names the issuer could let somebody in as anyone: it takes a Workspace Admin
of every workspace, as a link to a new password does for the workspaces of one person. Where nobody administers them
all, the operator names it in the environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from keyturn import redaction
from keyturn.egress import check_literal
from keyturn.encryption import AssociatedData
from keyturn.errors import Conflict, Forbidden, Invalid, NotFound, UpstreamError
from keyturn.model.audit import Who
from keyturn.model.ids import new_id
from keyturn.model.organisations import OPERATORS, NewOrganisation, Organisation, OrganisationSettings
from keyturn.model.permissions import ROLE_LABELS
from keyturn.model.validation import parse
from keyturn.oauth.server import AuthorizationServer
from keyturn.services import audit, issuers
from keyturn.services.context import Context
from keyturn.storage import accounts as account_rows
from keyturn.storage import members as member_rows
from keyturn.storage import organisations as rows

if TYPE_CHECKING:
    from keyturn.storage.database import Database, Tx

NONE = "No organisation is set up to sign in with."
_OPERATOR = Who("system", "", "operator")
_WAYS = {"client_secret_basic", "client_secret_post"}


@dataclass(frozen=True, slots=True)
class Opened:
    """The organisation with its secret opened for use (never in `repr`)."""

    organisation: Organisation
    client_secret: str = field(repr=False)


def redirect_uri(public_url: str) -> str:
    """What is registered at the issuer."""
    return f"{public_url}/oauth2/organisation/callback"


async def name_of(database: Database) -> str | None:
    """The name on the sign-in page, if there is an organisation."""
    found = await database.read(rows.get_anywhere)
    return None if found is None else found.name


async def find(ctx: Context) -> Organisation | None:
    """The organisation, if one is set up. Workspace Admins."""
    ctx.require("workspace:admin")
    return await ctx.database.read(rows.get_anywhere)


async def get(ctx: Context) -> Organisation:
    """The organisation. Raises `NotFound`."""
    found = await find(ctx)
    if found is None:
        raise NotFound(NONE)
    return found


async def put(ctx: Context, raw: Mapping[str, Any]) -> Organisation:
    """Set it up or change it; the issuer is asked for its metadata and keys first.

    Without `client_secret` the old one stays, unless issuer or Client ID changed: else whoever names another issuer
    would have it sent there. Raises `Invalid` naming the field, `Forbidden`, `UpstreamError`.
    """
    ctx.require("workspace:admin")
    new = parse(NewOrganisation, raw)
    _check_whose(ctx)
    redaction.remember(new.client_secret)
    before = await ctx.database.read(rows.get_anywhere)
    await _check_rights(ctx)
    if new.client_secret is None and (before is None or _elsewhere(before.settings, new)):
        words = "Enter the Client Secret." if before is None else (
            "The secret was for another issuer or Client ID. Enter the one for this."
        )  # fmt: skip
        raise Invalid(words, at="client_secret")
    settings = await _checked(ctx, new.settings())
    values: dict[str, Any] = {"settings": settings.model_dump(mode="json"), "updated_at": ctx.clock()}
    # A new secret is a new row: what is sealed names the row that it stands in.
    organisation_id = new_id("og") if new.client_secret is not None or before is None else before.id
    if new.client_secret is not None:
        values["client_secret_sealed"] = ctx.keyring.seal(new.client_secret, ad=_ad(organisation_id))

    def write(tx: Tx) -> None:
        if new.client_secret is not None:
            rows.replace_anywhere(tx, organisation_id, values)
        elif not rows.update_anywhere(tx, organisation_id, values):
            raise Conflict("It was changed meanwhile. Look at it again, then save.")
        _tell(tx, ctx, "organisation.saved", name=settings.name, issuer=settings.issuer, client_id=settings.client_id)

    await ctx.database.run(write)
    return await get(ctx)


async def remove(ctx: Context) -> None:
    """Nobody signs in by it any more; whoever is signed in stays so. Raises `NotFound`, `Forbidden`."""
    found = await get(ctx)
    _check_whose(ctx)
    await _check_rights(ctx)

    def write(tx: Tx) -> None:
        if not rows.delete_anywhere(tx):
            raise NotFound(NONE)
        _tell(tx, ctx, "organisation.removed", name=found.name, issuer=found.settings.issuer)

    await ctx.database.run(write)


async def keep_operators(scene: Context, wanted: NewOrganisation | None) -> None:
    """At the start of a server: what its environment says takes the place of any other; what it said before is gone.

    The issuer is not asked, so that a server starts while it is away.
    """
    found = await scene.database.read(rows.get_anywhere)
    before = await opened(scene) if found is not None and found.set_by_operator else None
    if wanted is None or wanted.client_secret is None:
        if before is not None:
            await scene.database.run(_remove_operators, scene)
        return
    settings, secret = wanted.settings(), wanted.client_secret
    redaction.remember(secret)
    if before is not None and (before.organisation.settings, before.client_secret) == (settings, secret):
        return

    def write(tx: Tx) -> None:
        sealed = scene.keyring.seal(secret, ad=_ad(OPERATORS))
        values = {"settings": settings.model_dump(mode="json"), "client_secret_sealed": sealed}
        rows.keep_anywhere(tx, OPERATORS, {**values, "updated_at": scene.clock()})
        told = {"name": settings.name, "issuer": settings.issuer, "client_id": settings.client_id}
        audit.record_everywhere(tx, _OPERATOR, "organisation.saved", at=scene.clock(), **told)

    await scene.database.run(write)


async def opened(ctx: Context) -> Opened:
    """With its secret, for a sign-in. Raises `NotFound`."""
    found = await ctx.database.read(rows.get_anywhere)
    sealed = None if found is None else await ctx.database.read(rows.sealed_anywhere, found.id)
    if found is None or sealed is None:
        raise NotFound(NONE)
    secret = ctx.keyring.open(sealed, ad=_ad(found.id))
    redaction.remember(secret)
    return Opened(found, secret)


def _remove_operators(tx: Tx, scene: Context) -> None:
    rows.delete_anywhere(tx)
    audit.record_everywhere(tx, _OPERATOR, "organisation.removed", at=scene.clock())


def _check_whose(ctx: Context) -> None:
    """Raises `Conflict` where the operator set it up: what is changed here would be undone by the next start."""
    if ctx.deployment.sets_organisation:
        raise Conflict("The operator of this deployment set it, in KEYTURN_OIDC_ISSUER and its neighbours.")


async def _check_rights(ctx: Context) -> None:
    """Raises `Forbidden` where a workspace is not administered by the actor."""

    def fetch(tx: Tx) -> list[str]:
        theirs = member_rows.memberships_anywhere(tx, ctx.actor.account_id)
        ours = {workspace.id for workspace, role in theirs if role == "admin"}
        return [one for one in account_rows.workspace_ids_anywhere(tx) if one not in ours]

    if await ctx.database.read(fetch):
        raise Forbidden(
            "Signing in is the same for every workspace of this deployment, so a "
            f"{ROLE_LABELS['admin']} of all of them has to do this."
        )


async def _checked(ctx: Context, settings: OrganisationSettings) -> OrganisationSettings:
    """The settings with the issuer as it writes itself. Raises `Invalid` at `issuer` for one we cannot use."""
    try:
        check_literal(settings.issuer, ctx.egress.allowed)
        server = await issuers.look(ctx, settings.issuer)
        _check_abilities(server)
        await issuers.keys_of(ctx, server, again=True)
    except UpstreamError as error:
        raise Invalid(error.message, at="issuer", message_code=error.message_code) from None
    return settings.model_copy(update={"issuer": server.issuer})


def _check_abilities(server: AuthorizationServer) -> None:
    if server.code_challenge_methods is not None and "S256" not in server.code_challenge_methods:
        raise Invalid("This issuer does not offer PKCE with S256. Ask its vendor to switch it on.", at="issuer")
    if not _WAYS.intersection(server.token_endpoint_auth_methods or ()):
        raise Invalid("This issuer takes no Client Secret (neither by Basic nor in the body), which we need.",
                      at="issuer")  # fmt: skip


def _elsewhere(before: OrganisationSettings, new: NewOrganisation) -> bool:
    return (before.issuer.rstrip("/"), before.client_id) != (new.issuer.rstrip("/"), new.client_id)


def _tell(tx: Tx, ctx: Context, verb: str, **details: object) -> None:
    """It concerns every workspace, so each one's audit log has it."""
    audit.record_everywhere(tx, audit.who_of(ctx), verb, at=ctx.clock(), **details)


def _ad(organisation_id: str) -> AssociatedData:
    return AssociatedData("", "organisations", organisation_id, "client_secret_sealed")
