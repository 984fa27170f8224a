"""Secrets for Workspace Admins: values that tables name, saved, replaced and deleted; a value is never shown."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from keyturn.errors import KeyturnError, NotFound
from keyturn.model.secrets import Secret, SecretSettings
from keyturn.services import secrets
from keyturn.web import forms, rendering
from keyturn.web.auth import Visit, admin_visit, fresh_admin_visit

router = APIRouter(prefix="/admin/settings/secrets", include_in_schema=False)
Admin = Annotated[Visit, Depends(admin_visit)]
FreshAdmin = Annotated[Visit, Depends(fresh_admin_visit)]
FIELDS = ("name", "value", "allowed_hosts")


@router.get("/new")
async def new(visit: Admin, name: str = "", host: str = "") -> Response:
    """The form; a link may say which name and host are missing."""
    return await _page(visit, forms.Form({"name": name, "allowed_hosts": host}))


@router.post("/new")
async def create(request: Request, visit: FreshAdmin) -> Response:
    """Save it. One of that name is not overwritten from here."""
    sent = forms.typed(await request.form())

    async def do() -> str:
        made = await secrets.put(visit.ctx, sent.get("name", ""), _raw(sent), new=True)
        return f"/admin/settings/secrets/{made.id}?done=saved"

    async def again(error: KeyturnError, status: int) -> Response:
        return await _page(visit, _failed(error, sent), status=status)

    return await forms.attempt(do, again)


@router.get("/{secret_id}")
async def show(visit: Admin, secret_id: str, done: str = "") -> Response:
    """Where it may be sent and which tables name it."""
    found = await _found(visit, secret_id)
    sentence = f"Saved. Tables write {{{{secret:{found.name}}}}} where its value goes." if done == "saved" else None
    return await _page(visit, _form(found), found=found, sentence=sentence)


@router.post("/{secret_id}")
async def replace(request: Request, visit: FreshAdmin, secret_id: str) -> Response:
    """Another value and other hosts, both at once: a host that is added never gets a value nobody here knows."""
    sent = forms.typed(await request.form())
    found = await _found(visit, secret_id)

    async def do() -> str:
        await secrets.put(visit.ctx, found.name, _raw(sent))
        return f"/admin/settings/secrets/{secret_id}?done=saved"

    async def again(error: KeyturnError, status: int) -> Response:
        return await _page(visit, _failed(error, sent), found=found, status=status)

    return await forms.attempt(do, again)


@router.post("/{secret_id}/delete")
async def delete(visit: FreshAdmin, secret_id: str) -> Response:
    """Delete one that no table names any more."""
    found = await _found(visit, secret_id)

    async def do() -> str:
        await secrets.delete(visit.ctx, found.name)
        return "/admin/settings?done=secret_deleted"

    async def again(error: KeyturnError, status: int) -> Response:
        return await _page(visit, _form(found), found=found, error=error.message, status=status)

    return await forms.attempt(do, again)


async def names(visit: Visit) -> list[str]:
    """The secrets that somebody who makes tables may name."""
    return [found.name for found in await secrets.list_(visit.ctx)] if visit.ctx.may("secrets.list") else []


async def _found(visit: Visit, secret_id: str) -> Secret:
    found = next((item for item in await secrets.list_(visit.ctx) if item.id == secret_id), None)
    if found is None:
        raise NotFound("There is no such secret in this workspace.")
    return found


def _raw(sent: dict[str, str]) -> dict[str, Any]:
    hosts = sent.get("allowed_hosts", "").replace(",", " ").split()
    return {"allowed_hosts": hosts} | ({"value": sent["value"]} if sent.get("value") else {})


def _failed(error: KeyturnError, sent: dict[str, str]) -> forms.Form:
    return forms.failed(error, {name: text for name, text in sent.items() if name != "value"}, FIELDS)


def _form(found: Secret) -> forms.Form:
    return forms.Form({"name": found.name, "allowed_hosts": "\n".join(found.allowed_hosts)})


async def _page(
    visit: Visit,
    form: forms.Form,
    *,
    found: Secret | None = None,
    sentence: str | None = None,
    error: str | None = None,
    status: int = 200,
) -> Response:
    users = (await secrets.users(visit.ctx)).get(found.name, ()) if found is not None else ()
    return await rendering.shell(
        visit,
        "settings/secret.html",
        active="settings",
        status=status,
        found=found,
        form=form,
        labels=forms.labels(SecretSettings),
        users=users,
        sentence=sentence,
        error=error,
    )
