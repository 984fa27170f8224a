"""Links that were handed over: an invitation, a new password. Whoever holds one chooses no more than that."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from keyturn.errors import KeyturnError
from keyturn.model.accounts import Member
from keyturn.model.members import Joining, NewPassword
from keyturn.model.permissions import ROLE_LABELS
from keyturn.services import invitations, members, organisations, sessions
from keyturn.web import forms, rendering
from keyturn.web.auth import require_same_origin, runtime, session_of, set_session_cookie

router = APIRouter(include_in_schema=False)


@router.get("/invitations/{link}")
async def show(request: Request, link: str) -> Response:
    """Who asks, into which workspace, as what; and two fields for somebody who is new here."""
    return await _invitation(request, link, forms.Form())


@router.post("/invitations/{link}")
async def accept(request: Request, link: str) -> Response:
    """Join: with the account that is signed in here, or with a new one."""
    require_same_origin(request)
    here = runtime(request)
    sent = forms.typed(await request.form())
    session = await session_of(request)
    try:
        if session is not None:
            await invitations.accept(here.database, link, session.member.email, now=here.clock())
            await sessions.end(here.database, session)
            return RedirectResponse("/sign-in", 303)
        raw = {name: sent.get(name, "") for name in Joining.model_fields}
        member = await invitations.accept_as_new(here.database, link, raw, now=here.clock())
    except (*forms.MENDABLE,) as error:
        kept = {"name": sent.get("name", "")}
        return await _invitation(request, link, forms.failed(error, kept, tuple(Joining.model_fields)), status=422)
    return await _signed_in(request, member)


@router.get("/new-password/{link}")
async def new_password(request: Request, link: str) -> Response:
    """One field for whom the link was made."""
    return await _password(request, link, forms.Form())


@router.post("/new-password/{link}")
async def set_password(request: Request, link: str) -> Response:
    """Store it; every browser of theirs is signed out."""
    require_same_origin(request)
    here = runtime(request)
    sent = forms.typed(await request.form())
    try:
        await members.use_reset(here.database, link, {"password": sent.get("password", "")}, now=here.clock())
    except (*forms.MENDABLE,) as error:
        return await _password(request, link, forms.failed(error, {}, ("password",)), status=422)
    return RedirectResponse("/sign-in", 303)


async def _invitation(request: Request, link: str, form: forms.Form, *, status: int = 200) -> Response:
    here = runtime(request)
    found = await invitations.look(here.database, link, now=here.clock())
    session = await session_of(request)
    return rendering.page(
        "join.html",
        request=request,
        status=status,
        invitation=found,
        role=ROLE_LABELS[found.role],
        link=link,
        form=form,
        labels=forms.labels(Joining),
        signed_in_as=session.member.email if session else None,
        organisation=await organisations.name_of(here.database),
    )


async def _password(request: Request, link: str, form: forms.Form, *, status: int = 200) -> Response:
    here = runtime(request)
    email = await members.look_at_reset(here.database, link, now=here.clock())
    labels = forms.labels(NewPassword)
    return rendering.page(
        "new_password.html", request=request, status=status, email=email, link=link, form=form, labels=labels
    )


async def _signed_in(request: Request, member: Member) -> Response:
    here = runtime(request)
    agent = request.headers.get("user-agent", "")
    try:
        cookie, _ = await sessions.start(here.database, member, user_agent=agent, now=here.clock())
    except KeyturnError:
        return RedirectResponse("/sign-in", 303)
    response = RedirectResponse("/", 303)
    set_session_cookie(request, response, cookie)
    return response
