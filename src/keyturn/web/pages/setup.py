"""The first run: the first account behind the printed code, the Public URL looked at, and the recovery key."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from keyturn.errors import Conflict, Invalid
from keyturn.model.accounts import FirstAccount
from keyturn.services import accounts, recovery, sessions
from keyturn.web import forms, rendering
from keyturn.web.auth import Visit, admin_visit, require_same_origin, runtime, set_session_cookie

router = APIRouter(include_in_schema=False)
FIELDS = tuple(FirstAccount.model_fields)


@router.get("/setup")
async def show(request: Request, code: str = "") -> Response:
    """Three fields, for whoever holds the printed code; once an account exists, the sign-in."""
    try:
        await accounts.check_setup_code(runtime(request).database, code)
    except Conflict:
        return RedirectResponse("/sign-in", 303)
    return _page(request, code, forms.Form())


@router.post("/setup")
async def create(request: Request) -> Response:
    """Make the first Workspace Admin and sign this browser in."""
    require_same_origin(request)
    sent = forms.typed(await request.form())
    code = sent.pop("code", "")
    here = runtime(request)
    try:
        raw = {name: sent.get(name, "") for name in FIELDS}
        member = await accounts.create_first(here.database, raw, code, now=here.clock())
    except Invalid as error:
        kept = {name: value for name, value in sent.items() if name != "password"}
        return _page(request, code, forms.failed(error, kept, FIELDS), status=422)
    except Conflict:
        return RedirectResponse("/sign-in", 303)
    agent = request.headers.get("user-agent", "")
    cookie, _ = await sessions.start(here.database, member, user_agent=agent, now=here.clock())
    response = RedirectResponse("/setup/recovery-key", 303)
    set_session_cookie(request, response, cookie)
    return response


@router.get("/setup/recovery-key")
async def recovery_key(visit: Annotated[Visit, Depends(admin_visit)]) -> Response:
    """A fresh recovery key on each look; nothing is stored until it was saved."""
    if await recovery.made_at(visit.ctx) is not None:
        return RedirectResponse("/", 303)
    return _recovery_page(visit, recovery.propose(visit.ctx))


@router.post("/setup/recovery-key")
async def keep_recovery_key(request: Request, visit: Annotated[Visit, Depends(admin_visit)]) -> Response:
    """Store what the saved key wraps."""
    form = await request.form()
    key = str(form.get("recovery_key", ""))
    if form.get("saved") != "yes":
        return _recovery_page(visit, key, sentence="Save the key first, then tick “I saved it”.", status=422)
    await recovery.keep(visit.ctx, key)
    return RedirectResponse("/", 303)


def _page(request: Request, code: str, form: forms.Form, *, status: int = 200) -> Response:
    return rendering.page(
        "setup.html",
        request=request,
        status=status,
        code=code,
        code_in_url=quote(code, safe=""),
        form=form,
        labels=forms.labels(FirstAccount),
        public_url=runtime(request).deployment.public_url,
    )


def _recovery_page(visit: Visit, key: str, *, sentence: str | None = None, status: int = 200) -> Response:
    return rendering.page(
        "recovery_key.html",
        request=visit.request,
        status=status,
        csrf=visit.session.csrf,
        key=key,
        sentence=sentence,
        fingerprint=visit.ctx.keyring.fingerprint,
    )
