"""`keyturn members`: who is in the workspace, invitations, service accounts, and what happens when somebody leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from keyturn.cli import words
from keyturn.cli.arguments import Json, Yes, confirm, workspace
from keyturn.cli.terminal import terminal
from keyturn.errors import Invalid

if TYPE_CHECKING:
    from keyturn.client.workspace import Workspace

app = typer.Typer(help="Members, invitations and service accounts.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Name, e-mail address or id.")]
RoleName = Literal["admin", "editor", "viewer"]
RoleOption = Annotated[RoleName, typer.Option("--role", help="admin, editor or viewer.")]


@app.command("list")
def list_(*, json: Json = False) -> None:
    """Everybody in the workspace."""
    out = terminal()
    with workspace() as found:
        members = list(found.members)
    if json:
        out.json({"data": members, "next_cursor": None})
        return
    rows = [(m["name"], m["email"] or "service account", m["role"], words.when(m["joined_at"])) for m in members]
    out.table(("NAME", "EMAIL", "ROLE", "SINCE"), rows)


@app.command()
def invite(email: str, *, role: RoleOption = "viewer", json: Json = False) -> None:
    """Invite somebody. The link, on stdout this once, works once within seven days."""
    with workspace() as found:
        made = found.invitations.create(email, role)
    _link(made, f"{email} joins as {role} with this link, until {words.full_time(made['expires_at'])}:", json=json)


@app.command()
def invitations(*, json: Json = False) -> None:
    """The open invitations."""
    out = terminal()
    with workspace() as found:
        items = list(found.invitations)
    if json:
        out.json({"data": items, "next_cursor": None})
        return
    rows = [(i["email"], i["role"], i["invited_by"], words.full_time(i["expires_at"])) for i in items]
    out.table(("EMAIL", "ROLE", "INVITED BY", "UNTIL"), rows)


@app.command()
def uninvite(email: str, *, json: Json = False) -> None:
    """Take an invitation back."""
    with workspace() as found:
        found.invitations.revoke(email)
    _done({"email": email, "revoked": True}, f"The invitation of {email} ended", json=json)


@app.command()
def role(name: Name, role: Annotated[RoleName, typer.Argument(help="The new role.")], *, json: Json = False) -> None:
    """Give a member another role."""
    with workspace() as found:
        changed = found.members.change_role(name, role)
    _done(changed, f"{changed['name']} is {changed['role']} now", json=json)


@app.command("reset-password")
def reset_password(name: Name, *, json: Json = False) -> None:
    """A link to a new password, to hand over; it works once within an hour."""
    with workspace() as found:
        made = found.members.password_link(name)
    _link(
        made, f"{name} chooses a new password with this link, until {words.full_time(made['expires_at'])}:", json=json
    )


@app.command("reset-second-factor")
def reset_second_factor(name: Name, *, json: Json = False) -> None:
    """Take away the second factor of somebody who lost app and recovery codes; they are signed out everywhere."""
    with workspace() as found:
        found.members.reset_second_factor(name)
    _done({"name": name, "second_factor": False}, f"{name} signs in by password alone now", json=json)


@app.command("add-service-account")
def add_service_account(name: str, *, role: RoleOption = "viewer", json: Json = False) -> None:
    """An account for programs; make its token with: keyturn tokens create NAME --for ACCOUNT"""
    with workspace() as found:
        made = found.members.create_service_account(name, role)
    _done(made, f"{made['name']} is a service account ({made['role']})", json=json)


@app.command()
def remove(
    name: Name,
    *,
    transfer: Annotated[list[str] | None, typer.Option(help="CONNECTION=MEMBER: who takes it over.")] = None,
    pause: Annotated[list[str] | None, typer.Option(help="A connection to pause.")] = None,
    disconnect: Annotated[list[str] | None, typer.Option(help="A connection to disconnect and revoke.")] = None,
    others: Annotated[str | None, typer.Option(help="For all others: pause, disconnect, or a member's name.")] = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Remove a member. Each connection they own needs a fate; what depends on them is listed first."""
    out = terminal()
    with workspace() as found:
        member = found.members[name]
        depends = found.members.dependents(member["id"])
        if not json:
            _show(member, depends)
        removal = _removal(found, depends, transfer or [], pause or [], disconnect or [], others)
        if (
            any(item["owned"] and item["connection_id"] not in removal["connections"] for item in depends)
            and not others
        ):
            raise Invalid("Say what becomes of each connection: --transfer, --pause, --disconnect or --others.",
                          at="--others")  # fmt: skip
        confirm(f"{member['name']} leaves the workspace; their API tokens end.", yes=yes)
        told = found.members.remove(member["id"], removal)
    if json:
        out.json({"removed": member["id"], "connections": told})
        return
    for item in told:
        out.line(f"{item['connection_name']}: {item['message']}")
    out.good(f"{member['name']} was removed")


def _show(member: dict[str, Any], depends: list[dict[str, Any]]) -> None:
    out = terminal()
    tables, imports = sum(d["tables"] for d in depends), sum(d["imports"] for d in depends)
    out.say(f"{words.count(len(depends), 'connection')} of {member['name']}, with {words.count(tables, 'table')} and "
            f"{words.count(imports, 'import')}.")  # fmt: skip
    for item in depends:
        how = "owned" if item["owned"] else "their own sign-in"
        account = f", signed in as {item['account']}" if item["account"] else ""
        out.say(f"  {item['connection_name']}  {how}{account}  {words.count(item['tables'], 'table')}")


def _removal(
    found: Workspace,
    depends: list[dict[str, Any]],
    transfer: list[str],
    pause: list[str],
    disconnect: list[str],
    others: str | None,
) -> dict[str, Any]:
    ids = {item["connection_name"]: item["connection_id"] for item in depends}
    fates: dict[str, dict[str, str]] = {}
    for option, names, action in (("--pause", pause, "pause"), ("--disconnect", disconnect, "disconnect")):
        for name in names:
            fates[_known(ids, name, option)] = {"action": action}
    for pair in transfer:
        name, sign, heir = pair.partition("=")
        if not sign:
            raise Invalid("--transfer takes CONNECTION=MEMBER.", at="--transfer")
        fates[_known(ids, name, "--transfer")] = {"action": "transfer", "to": found.members[heir]["id"]}
    removal: dict[str, Any] = {"connections": fates}
    if others in {"pause", "disconnect"}:
        removal["otherwise"] = {"action": others}
    elif others is not None:
        removal["otherwise"] = {"action": "transfer", "to": found.members[others]["id"]}
    return removal


def _known(ids: dict[str, str], name: str, option: str) -> str:
    if name not in ids:
        raise Invalid(f"{name} does not depend on this member.", at=option)
    return ids[name]


def _link(made: Any, sentence: str, *, json: bool) -> None:
    out = terminal()
    if json:
        out.json(dict(made))
        return
    out.say(sentence)
    out.line(made["url"])


def _done(value: Any, sentence: str, *, json: bool) -> None:
    out = terminal()
    if json:
        out.json(value)
    else:
        out.good(sentence)
