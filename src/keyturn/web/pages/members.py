"""Members & roles for Workspace Admins: who is here, inviting, roles, new passwords, and leaving with what depends."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from keyturn.errors import KeyturnError
from keyturn.model.members import InvitationSettings
from keyturn.model.permissions import ROLE_LABELS
from keyturn.services import departures, invitations, members, second_factors
from keyturn.web import forms, rendering
from keyturn.web.auth import Visit, admin_visit, fresh_admin_visit

router = APIRouter(prefix="/admin/members", include_in_schema=False)
Admin = Annotated[Visit, Depends(admin_visit)]
FreshAdmin = Annotated[Visit, Depends(fresh_admin_visit)]
FIELDS = tuple(InvitationSettings.model_fields)
ROLE_WORDS = {
    "admin": "Clients, members and settings, and all of the below.",
    "editor": "Connections, tables and imports.",
    "viewer": "Reads shared tables.",
}


@router.get("")
async def list_(visit: Admin, done: str = "") -> Response:
    """Everybody, the open invitations, and the form for a new one."""
    return await _list(visit, forms.Form(), done=done)


@router.post("/invitations")
async def invite(request: Request, visit: Admin) -> Response:
    """Invite somebody; the link is on the page that answers, and nowhere else."""
    sent = forms.typed(await request.form())
    try:
        made, url = await invitations.create(visit.ctx, {name: sent[name] for name in FIELDS if sent.get(name)})
    except forms.MENDABLE as error:
        return await _list(visit, forms.failed(error, sent, FIELDS), status=422)
    words = f"Send it to {made.email}. It works once, for 7 days."
    return await _list(visit, forms.Form(), link=("Invitation", url, words))


@router.post("/invitations/{invitation_id}/revoke")
async def revoke(visit: Admin, invitation_id: str) -> Response:
    """Take an invitation back."""
    await invitations.revoke(visit.ctx, invitation_id)
    return RedirectResponse("/admin/members?done=revoked", 303)


@router.post("/service-accounts")
async def create_service_account(request: Request, visit: Admin) -> Response:
    """An account for programs."""
    sent = forms.typed(await request.form())
    raw = {"name": sent.get("service_name", ""), "role": sent.get("service_role", "viewer")}
    try:
        await members.create_service_account(visit.ctx, raw)
    except forms.MENDABLE as error:
        first = next((item.message for item in getattr(error, "problems", ())), error.message)
        return await _list(visit, forms.Form(sent, {"service_name": first}), status=422)
    return RedirectResponse("/admin/members?done=service", 303)


@router.post("/{account_id}/role")
async def change_role(request: Request, visit: FreshAdmin, account_id: str) -> Response:
    """Another role."""
    role = str((await request.form()).get("role", ""))

    async def do() -> str:
        await members.change_role(visit.ctx, account_id, {"role": role})
        return "/admin/members?done=role"

    async def again(error: KeyturnError, status: int) -> Response:
        return await _list(visit, forms.Form(sentence=error.message), status=status)

    return await forms.attempt(do, again)


@router.post("/{account_id}/password-link")
async def password_link(visit: FreshAdmin, account_id: str) -> Response:
    """A link to a new password, to hand over."""
    member = await members.get(visit.ctx, account_id)
    try:
        url, _ = await members.reset_password(visit.ctx, account_id)
    except KeyturnError as error:
        return await _list(visit, forms.Form(sentence=error.message), status=409)
    return await _list(visit, forms.Form(), link=("New password", url, f"Give it to {member.name}. Once, for an hour."))


@router.post("/{account_id}/second-factor")
async def reset_second_factor(visit: FreshAdmin, account_id: str) -> Response:
    """Take away the second factor of somebody who lost it."""
    try:
        await second_factors.reset(visit.ctx, account_id)
    except KeyturnError as error:
        return await _list(visit, forms.Form(sentence=error.message), status=409)
    return RedirectResponse("/admin/members?done=second_factor", 303)


@router.get("/{account_id}/remove")
async def removal(visit: Admin, account_id: str) -> Response:
    """What depends on a member, with a choice for each."""
    return await _removal(visit, account_id)


@router.post("/{account_id}/remove")
async def remove(request: Request, visit: FreshAdmin, account_id: str) -> Response:
    """Remove them, each connection meeting the fate that was chosen."""
    sent = forms.typed(await request.form())
    fates: dict[str, dict[str, str]] = {}
    for name, value in sent.items():
        if not name.startswith("fate."):
            continue
        action, _, heir = value.partition(":")
        fates[name.removeprefix("fate.")] = {"action": action, **({"to": heir} if heir else {})}

    async def do() -> str:
        await departures.remove(visit.ctx, account_id, {"connections": fates})
        return "/admin/members?done=removed"

    async def again(error: KeyturnError, status: int) -> Response:
        first = next((item.message for item in getattr(error, "problems", ())), error.message)
        return await _removal(visit, account_id, sentence=first, status=status)

    return await forms.attempt(do, again)


async def _list(
    visit: Visit, form: forms.Form, *, done: str = "", link: tuple[str, str, str] | None = None, status: int = 200
) -> Response:
    return await rendering.shell(
        visit,
        "members/list.html",
        active="members",
        status=status,
        members=await members.list_(visit.ctx),
        with_factor=await second_factors.who_has(visit.ctx),
        invitations=await invitations.list_(visit.ctx),
        roles=ROLE_LABELS,
        role_words=ROLE_WORDS,
        form=form,
        labels=forms.labels(InvitationSettings),
        done=done,
        link=link,
    )


async def _removal(visit: Visit, account_id: str, *, sentence: str | None = None, status: int = 200) -> Response:
    everybody = await members.list_(visit.ctx)
    given: dict[str, Any] = {"member": await members.get(visit.ctx, account_id), "sentence": sentence}
    return await rendering.shell(
        visit,
        "members/remove.html",
        active="members",
        status=status,
        dependents=await departures.dependents(visit.ctx, account_id),
        heirs=[item for item in everybody if item.account_id != account_id and item.role != "viewer"],
        **given,
    )
