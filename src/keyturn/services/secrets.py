"""Secrets of the workspace: saved by Workspace Admins, named by tables, opened only to be sent to their own hosts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from keyturn import redaction
from keyturn.encryption import AssociatedData
from keyturn.errors import Conflict, Invalid, NotFound
from keyturn.model.ids import new_id
from keyturn.model.messages import say
from keyturn.model.secrets import Secret, SecretSettings, host_of, secrets_in
from keyturn.model.validation import parse
from keyturn.services import audit
from keyturn.services.context import Context
from keyturn.storage import secrets as rows
from keyturn.storage import tables as table_rows

if TYPE_CHECKING:
    from keyturn.model.connections import Connection
    from keyturn.model.tables import TableSettings
    from keyturn.storage.database import Tx

MOST = 200
_NONE = "There is no such secret in this workspace."


async def put(ctx: Context, name: str, raw: Mapping[str, Any], *, new: bool = False) -> Secret:
    """Save a secret (`value`, `allowed_hosts`), a new one or another value for it; `new` overwrites none.

    Hosts and value come together: a host that is added never gets a value that whoever adds it does not know.
    Raises `Invalid`, `Conflict`.
    """
    ctx.require("workspace:admin")
    if raw.get("name", name) != name:
        raise Invalid("A secret keeps its name. Save another one, then change the tables.", at="name")
    settings = parse(SecretSettings, {**raw, "name": name})
    redaction.remember(settings.value)

    def write(tx: Tx) -> Secret:
        before = rows.by_name(tx, ctx.workspace_id, settings.name)
        if new and before is not None:
            raise Conflict(f"{settings.name} exists already. Open it to replace its value.", at="name")
        secret_id = new_id("sk") if before is None else before.id
        values = {
            "value_sealed": ctx.keyring.seal(settings.value, ad=_ad(ctx.workspace_id, secret_id)),
            "allowed_hosts": list(settings.allowed_hosts),
            "saved_at": ctx.clock(),
            "saved_by": ctx.actor.account_id or None,
        }
        if before is not None:
            rows.update(tx, ctx.workspace_id, secret_id, values)
        elif len(rows.all_of(tx, ctx.workspace_id)) >= MOST:
            raise Conflict(f"There are {MOST} secrets. Delete one that is no longer used first.")
        else:
            rows.insert(tx, ctx.workspace_id, {"id": secret_id, "name": settings.name, **values})
        hosts = ", ".join(settings.allowed_hosts)
        audit.record(
            tx, ctx, f"secret.{'created' if before is None else 'replaced'}", secret_id, name=name, hosts=hosts
        )

        return Secret(secret_id, ctx.workspace_id, settings.name, settings.allowed_hosts, values["saved_at"],
                      values["saved_by"])  # fmt: skip

    return await ctx.database.run(write)


async def list_(ctx: Context) -> list[Secret]:
    """The names, hosts and dates; never a value."""
    ctx.require_verb("secrets.list")
    return await ctx.database.read(rows.all_of, ctx.workspace_id)


async def delete(ctx: Context, name: str) -> None:
    """Delete one that no table names any more. Raises `NotFound`, `Conflict` with the tables."""
    ctx.require("workspace:admin")

    def write(tx: Tx) -> None:
        secret = rows.by_name(tx, ctx.workspace_id, name)
        if secret is None:
            raise NotFound(_NONE)
        if users := _users(tx, ctx).get(name, ()):
            told = ", ".join(users[:20]) + (f" and {len(users) - 20} more" if len(users) > 20 else "")
            raise Conflict(
                f"{name} is named by {told}, which would stop without it. Change that first.", tables=list(users)
            )
        rows.delete(tx, ctx.workspace_id, secret.id)
        audit.record(tx, ctx, "secret.deleted", secret.id, name=name)

    await ctx.database.run(write)


async def users(ctx: Context) -> dict[str, tuple[str, ...]]:
    """The full names of the tables that name each secret, for a Workspace Admin."""
    ctx.require("workspace:admin")
    return await ctx.database.read(_users, ctx)


def named_by(settings: TableSettings) -> dict[str, str]:
    """The secrets that a table names, each with the first place that does."""
    places = [(f"headers.{name}", text) for name, text in settings.headers.items()]
    places += [(f"query.{name}", text) for name, text in settings.query.items()]
    found: dict[str, str] = {}
    for at, place in (*places, ("body", settings.body)):
        for name in secrets_in(place):
            found.setdefault(name, at)
    return found


async def check(ctx: Context, settings: TableSettings, connection: Connection) -> None:
    """Raise `Invalid` unless the table's secrets exist and may be sent to the connection's host, if that is known."""
    if names := named_by(settings):
        await ctx.database.read(_allowed, ctx, names, connection.settings.base_url)


async def opened(ctx: Context, settings: TableSettings, connection: Connection) -> dict[str, str]:
    """The values of the table's secrets by name, for its own API.

    Raises `Invalid` (`E-NOSECRET`, `E-SECRETHOST`) for one that is not there, or may not be sent to the connection.
    """
    names = named_by(settings)
    if not names:
        return {}
    found = await ctx.database.read(_allowed, ctx, names, connection.settings.base_url)
    values = {name: ctx.keyring.open(sealed, ad=_ad(ctx.workspace_id, s.id)) for name, (s, sealed) in found.items()}
    redaction.remember(*values.values())
    return values


def _allowed(tx: Tx, ctx: Context, names: Mapping[str, str], base_url: str | None) -> dict[str, tuple[Secret, bytes]]:
    found = rows.sealed(tx, ctx.workspace_id, sorted(names))
    host = host_of(base_url)
    for name, at in names.items():
        if name not in found:
            raise Invalid(
                say("E-NOSECRET", name=name[:63], at=at, host=host or "HOST"), at=at, message_code="E-NOSECRET"
            )
        if host and host not in found[name][0].allowed_hosts:
            raise Invalid(say("E-SECRETHOST", name=name, host=host), at=at, message_code="E-SECRETHOST")
    return found


def _users(tx: Tx, ctx: Context) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for table in table_rows.all_of(tx, ctx.workspace_id, None):
        for name in named_by(table.settings):
            found[name] = (*found.get(name, ()), table.full_name)
    return found


def _ad(workspace_id: str, secret_id: str) -> AssociatedData:
    return AssociatedData(workspace_id, "workspace_secrets", secret_id, "value_sealed")
