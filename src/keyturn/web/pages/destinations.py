"""Destinations for Workspace Admins: databases that imports may write to, made, changed, tested and deleted."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from keyturn.errors import KeyturnError
from keyturn.model.destinations import DestinationSettings, SavedDestination
from keyturn.services import destinations
from keyturn.web import forms, rendering
from keyturn.web.auth import Visit, admin_visit, fresh_admin_visit

router = APIRouter(prefix="/admin/settings/destinations", include_in_schema=False)
Admin = Annotated[Visit, Depends(admin_visit)]
FreshAdmin = Annotated[Visit, Depends(fresh_admin_visit)]
FIELDS = ("name", "url", "schema", "password")


@router.get("/new")
async def new(visit: Admin) -> Response:
    """The form."""
    return await _page(visit, forms.Form({"schema": "public"}))


@router.post("/new")
async def create(request: Request, visit: FreshAdmin) -> Response:
    """Make it."""
    sent = forms.typed(await request.form())

    async def do() -> str:
        made = await destinations.create(visit.ctx, _raw(sent))
        return f"/admin/settings/destinations/{made.id}?done=created"

    async def again(error: KeyturnError, status: int) -> Response:
        return await _page(visit, forms.failed(error, _kept(sent), FIELDS), status=status)

    return await forms.attempt(do, again)


@router.get("/{destination_id}")
async def show(visit: Admin, destination_id: str, done: str = "") -> Response:
    """Its settings."""
    found = await destinations.get(visit.ctx, destination_id)
    sentence = {"created": "Saved. Test it before the first import.", "saved": "Saved."}.get(done)
    return await _page(visit, _form(found), found=found, sentence=sentence)


@router.post("/{destination_id}")
async def update(request: Request, visit: FreshAdmin, destination_id: str) -> Response:
    """Change it; a password that is left empty stays."""
    sent = forms.typed(await request.form())
    found = await destinations.get(visit.ctx, destination_id)

    async def do() -> str:
        await destinations.update(visit.ctx, destination_id, _raw(sent))
        return f"/admin/settings/destinations/{destination_id}?done=saved"

    async def again(error: KeyturnError, status: int) -> Response:
        return await _page(visit, forms.failed(error, _kept(sent), FIELDS), found=found, status=status)

    return await forms.attempt(do, again)


@router.post("/{destination_id}/test")
async def test(visit: Admin, destination_id: str) -> Response:
    """Connect to it, and say what came of it."""
    found = await destinations.get(visit.ctx, destination_id)
    try:
        version = await destinations.test(visit.ctx, destination_id)
    except forms.MENDABLE as error:
        return await _page(visit, _form(found), found=found, error=error.message, status=409)
    return await _page(visit, _form(found), found=found, sentence=f"It takes tables (PostgreSQL {version}).")


@router.post("/{destination_id}/delete")
async def delete(visit: FreshAdmin, destination_id: str) -> Response:
    """Delete it; its tables stay."""
    found = await destinations.get(visit.ctx, destination_id)

    async def do() -> str:
        await destinations.delete(visit.ctx, destination_id)
        return "/admin/settings?done=destination_deleted"

    async def again(error: KeyturnError, status: int) -> Response:
        return await _page(visit, _form(found), found=found, error=error.message, status=status)

    return await forms.attempt(do, again)


def _raw(sent: dict[str, str]) -> dict[str, Any]:
    raw: dict[str, Any] = {name: sent[name] for name in ("name", "url", "schema") if sent.get(name, "").strip()}
    if sent.get("password"):
        raw["password"] = sent["password"]
    return raw


def _kept(sent: dict[str, str]) -> dict[str, str]:
    """What was typed, but no secret: neither the password nor a connection string that may hold one."""
    return {
        name: value
        for name, value in sent.items()
        if name != "password" and not ("@" in value and ":" in value.partition("//")[2].rpartition("@")[0])
    }


def _form(found: SavedDestination) -> forms.Form:
    return forms.Form(found.settings.model_dump(mode="json", by_alias=True))


async def _page(
    visit: Visit,
    form: forms.Form,
    *,
    found: SavedDestination | None = None,
    sentence: str | None = None,
    error: str | None = None,
    status: int = 200,
) -> Response:
    labels = forms.labels(DestinationSettings)
    labels["schema"] = labels.pop("db_schema")
    labels["password"] = forms.Label("Password", "Sealed, and never shown.")
    return await rendering.shell(
        visit,
        "settings/destination.html",
        active="settings",
        status=status,
        found=found,
        form=form,
        labels=labels,
        sentence=sentence,
        error=error,
    )


async def choices(visit: Visit) -> dict[str, str]:
    """The databases that somebody may import to: name by id."""
    if not visit.ctx.may("destinations.list"):
        return {}
    return {found.id: found.name for found in await destinations.list_(visit.ctx)}
