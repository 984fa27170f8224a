"""Settings for Workspace Admins: a page of sections. Each section is a template and what it shows; add one to both."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from keyturn.errors import KeyturnError
from keyturn.model.kept_files import FileLimits, size_in_words
from keyturn.model.members import WorkspaceSettings
from keyturn.services import destinations, file_limits, organisations, secrets, settings, webhooks, workspaces
from keyturn.web import forms, rendering
from keyturn.web.auth import Visit, admin_visit, fresh_admin_visit

router = APIRouter(prefix="/admin/settings", include_in_schema=False)
Admin = Annotated[Visit, Depends(admin_visit)]
FreshAdmin = Annotated[Visit, Depends(fresh_admin_visit)]
# In the order of the page: settings/<name>.html draws it, and its heading has the name as its id.
FILE_FIELDS = tuple(FileLimits.model_fields)
SECTIONS = ("organisation", "second_factor", "secrets", "destinations", "files", "endpoints", "mail", "webhooks",
            "operator")  # fmt: skip


@router.get("")
async def show(visit: Admin, done: str = "") -> Response:
    """Every section."""
    return await _page(visit, done=done)


@router.post("/mail/test")
async def test_mail(visit: Admin) -> Response:
    """Send a test message to whoever asks, and say what the mail server said."""
    try:
        sent_to = await settings.test_mail(visit.ctx)
    except forms.MENDABLE as error:
        return await _page(visit, mail_error=error.message, status=409)
    return await _page(visit, mail_sent_to=sent_to)


@router.post("/second-factor")
async def require_second_factor(request: Request, visit: FreshAdmin) -> Response:
    """Want a second factor of everybody who signs in by password, or not."""
    required = (await request.form()).get("required") == "yes"
    await workspaces.update(visit.ctx, visit.ctx.workspace_id, {"requires_second_factor": required})
    return RedirectResponse("/admin/settings?done=second_factor", 303)


@router.post("/files")
async def change_files(request: Request, visit: Admin) -> Response:
    """How long files of imports stay, and how large they may be. An empty field is 0."""
    sent = forms.typed(await request.form())

    async def do() -> str:
        await file_limits.update(visit.ctx, {name: sent.get(name, "").strip() or 0 for name in FILE_FIELDS})
        return "/admin/settings?done=files#files"

    async def again(error: KeyturnError, status: int) -> Response:
        return await _page(visit, files_form=forms.failed(error, sent, FILE_FIELDS), status=status)

    return await forms.attempt(do, again)


@router.post("/endpoints")
async def limit_endpoints(request: Request, visit: Admin) -> Response:
    """How many tables a connection may have; empty: any number."""
    sent = forms.typed(await request.form())

    async def do() -> str:
        wanted = sent.get("endpoints_per_connection", "").strip() or None
        await workspaces.update(visit.ctx, visit.ctx.workspace_id, {"endpoints_per_connection": wanted})
        return "/admin/settings?done=endpoints#endpoints"

    async def again(error: KeyturnError, status: int) -> Response:
        form = forms.failed(error, sent, ("endpoints_per_connection",))
        return await _page(visit, endpoints_form=form, status=status)

    return await forms.attempt(do, again)


def _files_form(limits: FileLimits) -> forms.Form:
    sizes = {name: size_in_words(getattr(limits, name)) for name in ("max_import_bytes", "max_total_bytes")}
    return forms.Form({**limits.model_dump(), **sizes})


async def _endpoints_form(visit: Visit) -> forms.Form:
    most = (await workspaces.get(visit.ctx)).endpoints_per_connection
    return forms.Form({"endpoints_per_connection": most or ""})


async def _page(
    visit: Visit,
    *,
    done: str = "",
    mail_error: str | None = None,
    mail_sent_to: str | None = None,
    files_form: forms.Form | None = None,
    endpoints_form: forms.Form | None = None,
    status: int = 200,
) -> Response:
    limits, used = await file_limits.get(visit.ctx)
    return await rendering.shell(
        visit,
        "settings/show.html",
        active="settings",
        status=status,
        sections=[f"settings/{name}.html" for name in SECTIONS],
        settings=settings.get(visit.ctx),
        mail_log=await settings.mail_log(visit.ctx),
        webhooks=await webhooks.list_(visit.ctx),
        destinations=await destinations.list_(visit.ctx),
        organisation=await organisations.find(visit.ctx),
        secrets=await secrets.list_(visit.ctx),
        secret_users=await secrets.users(visit.ctx),
        files_form=files_form or _files_form(limits),
        files_labels=forms.labels(FileLimits),
        files_used=used,
        endpoints_form=endpoints_form or await _endpoints_form(visit),
        endpoints_labels=forms.labels(WorkspaceSettings),
        done=done,
        mail_error=mail_error,
        mail_sent_to=mail_sent_to,
    )
