"""When somebody leaves: what depends on them, and what becomes of each connection: transfer, pause, or disconnect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from keyturn.errors import Conflict, Invalid, NotFound
from keyturn.model.accounts import Member
from keyturn.model.connections import Connection
from keyturn.model.grants import Grant
from keyturn.model.members import Departure, Dependent, Fate, Removal
from keyturn.model.validation import parse
from keyturn.services import audit, connection_tests, events, members
from keyturn.services.context import Context
from keyturn.storage import connections as connection_rows
from keyturn.storage import grants as grant_rows
from keyturn.storage import members as rows
from keyturn.storage import shares as share_rows
from keyturn.storage import tables as table_rows

if TYPE_CHECKING:
    from keyturn.storage.database import Tx


async def dependents(ctx: Context, account_id: str) -> list[Dependent]:
    """The connections that would stop or change hands with a member. Raises `NotFound`."""
    ctx.require("workspace:admin")
    await members.get(ctx, account_id)
    return await ctx.database.read(_dependents, ctx.workspace_id, account_id)


async def remove(ctx: Context, account_id: str, raw: Mapping[str, Any]) -> list[Departure]:
    """Remove a member after saying what becomes of each connection that depends on them.

    Their sessions, API tokens and own sign-ins end at once. Raises `Conflict` with the dependents while one of them
    has no fate, or for the last admin; `Invalid` for a fate that cannot be.
    """
    ctx.require("workspace:admin")
    removal = parse(Removal, raw)
    member = await members.get(ctx, account_id)
    found = await ctx.database.read(_dependents, ctx.workspace_id, account_id)
    fates = await _fates(ctx, member, found, removal)
    # First out, so that nothing new can begin; what they leave is tidied up after.
    await ctx.database.run(_end_membership, ctx, member)
    return [await _meet(ctx, member, item, fates[item.connection_id]) for item in found]


def _end_membership(tx: Tx, ctx: Context, member: Member) -> None:
    if rows.lock_admins(tx, ctx.workspace_id) == {member.account_id}:
        raise Conflict(members.LAST_ADMIN)
    tokens = rows.count_api_tokens(tx, ctx.workspace_id, member.account_id)
    if not rows.delete(tx, ctx.workspace_id, member.account_id):
        raise NotFound("There is no such member in this workspace.")
    audit.record(tx, ctx, "account.removed", member.account_id, name=member.name, role=member.role, api_tokens=tokens)


async def _fates(ctx: Context, member: Member, found: list[Dependent], removal: Removal) -> dict[str, Fate]:
    """A fate for each dependent. A sign-in of their own on somebody else's connection can only be disconnected."""
    unknown = set(removal.connections) - {item.connection_id for item in found}
    if unknown:
        raise Invalid(f"{min(unknown)} does not depend on {member.name}.", at="connections")
    fates: dict[str, Fate] = {}
    for item in found:
        fate = removal.connections.get(item.connection_id) or removal.otherwise
        if not item.owned:
            fate = Fate(action="disconnect")
        if fate is None:
            owned = [one for one in found if one.owned]
            raise Conflict(
                f"{member.name} owns {len(owned)} connection{'' if len(owned) == 1 else 's'}. Say for each: transfer, "
                "pause, or disconnect.",
                dependents=[asdict(one) for one in found],
            )
        if fate.action == "transfer":
            await _check_heir(ctx, member, fate)
        fates[item.connection_id] = fate
    return fates


async def _check_heir(ctx: Context, member: Member, fate: Fate) -> None:
    if not fate.to or fate.to == member.account_id:
        raise Invalid("Choose the member who takes it over.", at="to")
    try:
        heir = await members.get(ctx, fate.to)
    except NotFound:
        raise Invalid("There is no such member in this workspace.", at="to") from None
    if heir.role == "viewer":
        raise Invalid(f"{heir.name} is a Viewer and cannot own a connection. Choose an Editor.", at="to")


async def _meet(ctx: Context, member: Member, item: Dependent, fate: Fate) -> Departure:
    """Let a connection meet its fate."""

    def fetch(tx: Tx) -> tuple[Connection | None, list[Grant]]:
        grants = grant_rows.all_of_connection(tx, ctx.workspace_id, item.connection_id)
        return connection_rows.get(tx, ctx.workspace_id, item.connection_id), grants

    connection, grants = await ctx.database.read(fetch)
    if connection is None:
        return Departure(item.connection_id, item.connection_name, "gone", "It was deleted meanwhile.")
    own = [grant for grant in grants if grant.account_id == member.account_id]
    ending = grants if fate.action == "disconnect" and item.owned else own
    told = [await connection_tests.end_grant(ctx, connection, grant) for grant in ending]
    if fate.action == "disconnect":
        message = told[0].sentence if told else "It was not connected."
    else:
        message = await _hand_on(ctx, connection, fate)
    return Departure(connection.id, connection.settings.name, fate.action, message)


async def _hand_on(ctx: Context, connection: Connection, fate: Fate) -> str:
    values: dict[str, Any] = {"updated_at": ctx.clock()}
    values |= {"owner_id": fate.to} if fate.action == "transfer" else {"paused": True}
    heir = await members.get(ctx, fate.to) if fate.to and fate.action == "transfer" else None

    def write(tx: Tx) -> None:
        connection_rows.update(tx, ctx.workspace_id, connection.id, values)
        if heir is not None:
            share_rows.delete(tx, ctx.workspace_id, connection.id, heir.account_id)
        if heir is not None:
            events.record(tx, ctx, connection.id, "transferred", name=heir.name)
        else:
            events.record(tx, ctx, connection.id, "paused")

    await ctx.database.run(write)
    if heir is None:
        return "It is paused: nothing is read until somebody takes it over."
    page = f"{ctx.deployment.public_url}/connections/{connection.id}"
    return f"It is {heir.name}’s now. Until they reconnect, data still comes through the old account: {page}"


def _dependents(tx: Tx, workspace_id: str, account_id: str) -> list[Dependent]:
    counts = table_rows.counts_by_connection(tx, workspace_id)
    imports = rows.imports_by_connection(tx, workspace_id)
    held: dict[str, list[Grant]] = {}
    for grant in grant_rows.all_of(tx, workspace_id):
        held.setdefault(grant.connection_id, []).append(grant)
    found = []
    for connection in connection_rows.all_of(tx, workspace_id):
        grants = held.get(connection.id, [])
        own = next((grant for grant in grants if grant.account_id == account_id), None)
        shared = next((grant for grant in grants if grant.account_id is None), None)
        owned = connection.owner_id == account_id
        if not owned and own is None:
            continue
        used = own or shared
        found.append(
            Dependent(
                connection.id,
                connection.settings.name,
                connection.settings.access,
                used.account if used else None,
                used is not None,
                owned,
                counts.get(connection.id, (0, None))[0],
                imports.get(connection.id, 0),
            )
        )
    return found
