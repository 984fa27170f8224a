"""Signing in with the organisation: leaving, its answer, proving and joining by it; and setting it up."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from keyturn.errors import KeyturnError
from keyturn.model.organisations import NewOrganisation, Organisation
from keyturn.services import organisation_sign_ins, organisations, sessions
from keyturn.services.organisation_sign_ins import Leave, SignedIn
from keyturn.web import forms, rendering
from keyturn.web.auth import (
    Visit,
    admin_visit,
    clear_private_cookie,
    fresh_admin_visit,
    fresh_visit,
    private_cookie,
    runtime,
    session_of,
    set_private_cookie,
    set_session_cookie,
    visit,
)
from keyturn.web.pages.sessions import SENTENCE, local

router = APIRouter(include_in_schema=False)
Admin = Annotated[Visit, Depends(admin_visit)]
FreshAdmin = Annotated[Visit, Depends(fresh_admin_visit)]
ATTEMPT = "keyturn-organisation"
PLACE = "/admin/settings/organisation"
FIELDS = tuple(NewOrganisation.model_fields)
# Where it is told why it did not work.
_BACK = {"sign_in": "/sign-in", "prove": "/prove", "join": "/preferences?done=not-joined"}


@router.get("/sign-in/organisation")
async def leave(request: Request, next: str = "/") -> Response:
    """Off to the issuer, if the person asked for it on a page of ours."""
    if request.headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        return RedirectResponse("/sign-in", 303)
    try:
        found = await organisation_sign_ins.begin(runtime(request).scene(), onward=local(next))
    except KeyturnError as error:
        return _told(request, "/sign-in", error)
    return _leaving(request, found, RedirectResponse(found.url, 303))


@router.get("/prove/organisation")
async def prove(request: Request, visit: Annotated[Visit, Depends(visit)]) -> Response:
    """Signing in there anew, before a dangerous change here."""
    try:
        found = await organisation_sign_ins.begin(visit.ctx, "prove", onward="/prove")
    except KeyturnError as error:
        return _told(request, "/prove", error)
    return _leaving(request, found, RedirectResponse(found.url, 303))


@router.post("/preferences/organisation")
async def join(request: Request, visit: Annotated[Visit, Depends(fresh_visit)]) -> Response:
    """Somebody who is signed in joins with who they are there. A page is between, since a form may not lead away."""
    try:
        found = await organisation_sign_ins.begin(visit.ctx, "join", onward="/preferences?done=joined")
    except KeyturnError as error:
        return _told(request, _BACK["join"], error)
    page = rendering.page("leave.html", request=request, organisation=found.name, url=found.url)
    return _leaving(request, found, page)


@router.get("/oauth2/organisation/callback")
async def callback(request: Request) -> Response:
    """The issuer's answer. Nothing of it is shown; the browser is sent on to a clean address."""
    here, session = runtime(request), await session_of(request)
    pairs, cookie = list(request.query_params.multi_items()), private_cookie(request, ATTEMPT)
    try:
        found = await organisation_sign_ins.complete(here.scene(), pairs, cookie=cookie, session=session)
    except KeyturnError as error:
        purpose = str(error.details.get("purpose", "sign_in"))
        response = _told(request, _BACK[purpose] if session else "/sign-in", error)
    else:
        response = await _signed_in(request, found, session)
    clear_private_cookie(request, response, ATTEMPT)
    return response


@router.get(PLACE)
async def show(visit: Admin) -> Response:
    """The form."""
    found = await organisations.find(visit.ctx)
    values = {} if found is None else found.settings.model_dump(mode="json")
    return await _page(visit, forms.Form(values), found)


@router.post(PLACE)
async def save(request: Request, visit: FreshAdmin) -> Response:
    """Set it up or change it; a secret that is left empty stays."""
    sent = forms.typed(await request.form())

    async def do() -> str:
        await organisations.put(visit.ctx, {name: sent[name] for name in FIELDS if sent.get(name, "").strip()})
        return "/admin/settings?done=organisation_saved"

    async def again(error: KeyturnError, status: int) -> Response:
        kept: dict[str, Any] = {name: value for name, value in sent.items() if name != "client_secret"}
        return await _page(visit, forms.failed(error, kept, FIELDS), await organisations.find(visit.ctx), status=status)

    return await forms.attempt(do, again)


@router.post(f"{PLACE}/remove")
async def remove(visit: FreshAdmin) -> Response:
    """Nobody signs in by it any more."""
    await organisations.remove(visit.ctx)
    return RedirectResponse("/admin/settings?done=organisation_removed", 303)


async def _signed_in(request: Request, found: SignedIn, session: sessions.Session | None) -> Response:
    here = runtime(request)
    response = RedirectResponse(found.onward, 303)
    if found.member is None:
        return response
    if session is not None:
        await sessions.end(here.database, session)
    cookie, _ = await sessions.start(
        here.database,
        found.member,
        user_agent=request.headers.get("user-agent", ""),
        now=here.clock(),
        organisation=found.organisation,
        proved_at=found.proved_at,
    )
    set_session_cookie(request, response, cookie)
    return response


def _leaving(request: Request, found: Leave, response: Response) -> Response:
    seconds = int(organisation_sign_ins.ATTEMPT_SECONDS)
    set_private_cookie(request, response, ATTEMPT, found.cookie, seconds=seconds)
    return response


def _told(request: Request, place: str, error: KeyturnError) -> Response:
    """Sent on to a page of ours that says why."""
    response = RedirectResponse(place, 303)
    first = next((item.message for item in getattr(error, "problems", ())), error.message)
    sealed = organisation_sign_ins.seal_sentence(runtime(request).scene(), first)
    set_private_cookie(request, response, SENTENCE, sealed, seconds=60)
    return response


async def _page(visit: Visit, form: forms.Form, found: Organisation | None, *, status: int = 200) -> Response:
    return await rendering.shell(
        visit,
        "settings/organisation_form.html",
        active="settings",
        status=status,
        found=found,
        form=form,
        labels=forms.labels(NewOrganisation),
        redirect_uri=organisations.redirect_uri(visit.ctx.deployment.public_url),
    )
