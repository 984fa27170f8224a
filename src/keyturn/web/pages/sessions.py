"""Signing in to Keyturn by e-mail and password, and signing out."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from keyturn.errors import Invalid, LimitReached, Unauthenticated
from keyturn.model.accounts import Member
from keyturn.services import accounts, identities, organisation_sign_ins, organisations, second_factors, sessions
from keyturn.web import rendering
from keyturn.web.auth import (
    Visit,
    clear_private_cookie,
    clear_session_cookie,
    private_cookie,
    require_same_origin,
    runtime,
    session_of,
    set_private_cookie,
    set_session_cookie,
    visit,
)

router = APIRouter(include_in_schema=False)
# The cookie with what the organisation's sign-in has to say on the next page.
SENTENCE = "keyturn-told"
# The one that says that the password was right, until the code is.
FIRST_STEP = "keyturn-first-step"


def local(next_url: str) -> str:
    """Where to go after signing in: a path of ours, never another origin."""
    parts = urlsplit(next_url)
    plain = next_url.startswith("/") and not next_url.startswith(("//", "/\\", "/sign-in")) and "\\" not in next_url
    printable = all(32 < ord(character) < 127 for character in next_url)
    return next_url if plain and printable and not parts.netloc and not parts.scheme else "/"


@router.get("/sign-in")
async def show(request: Request, next: str = "/") -> Response:
    """The sign-in page; a signed-in browser goes on at once."""
    if await session_of(request) is not None:
        return RedirectResponse(local(next), 303)
    told = organisation_sign_ins.open_sentence(runtime(request).scene(), private_cookie(request, SENTENCE))
    response = await _page(request, next, sentence=told)
    if told is not None:
        clear_private_cookie(request, response, SENTENCE)
    return response


@router.post("/sign-in")
async def sign_in(request: Request) -> Response:
    """E-mail and password against a session; the cookie it had before, if any, is worth nothing afterwards."""
    require_same_origin(request)
    form = await request.form()
    email, password = str(form.get("email", "")), str(form.get("password", ""))
    onward = str(form.get("next", "/"))
    here = runtime(request)
    try:
        member = await accounts.verify_password(here.database, email, password, now=here.clock())
    except Unauthenticated as error:
        return await _page(request, onward, email=email, sentence=error.message, status=401)
    except LimitReached as error:
        answer = await _page(request, onward, email=email, sentence=error.message, status=429)
        answer.headers["Retry-After"] = str(round(error.retry_after_seconds) + 1)
        return answer
    if (await second_factors.state(here.database, member.account_id)).on:
        first = await second_factors.seal_first_step(here.scene(), member, local(onward))
        response = RedirectResponse("/sign-in/code", 303)
        set_private_cookie(request, response, FIRST_STEP, first, seconds=int(second_factors.FIRST_STEP_SECONDS))
        return response
    return await enter(request, member, onward)


async def enter(request: Request, member: Member, onward: str) -> Response:
    """A session in the place of the one that this browser had."""
    here = runtime(request)
    old = await session_of(request)
    if old is not None:
        await sessions.end(here.database, old)
    agent = request.headers.get("user-agent", "")
    cookie, _ = await sessions.start(here.database, member, user_agent=agent, now=here.clock())
    response = RedirectResponse(local(onward), 303)
    set_session_cookie(request, response, cookie)
    return response


@router.post("/sign-out")
async def sign_out(request: Request, visit: Annotated[Visit, Depends(visit)]) -> Response:
    """End this browser's session."""
    await sessions.end(runtime(request).database, visit.session)
    response = RedirectResponse("/sign-in", 303)
    clear_session_cookie(request, response)
    return response


@router.post("/sign-out-everywhere")
async def sign_out_everywhere(request: Request, visit: Annotated[Visit, Depends(visit)]) -> Response:
    """End all of the person's sessions."""
    await sessions.end_all(runtime(request).database, visit.session.member.account_id)
    response = RedirectResponse("/sign-in", 303)
    clear_session_cookie(request, response)
    return response


@router.get("/prove")
async def ask_again(visit: Annotated[Visit, Depends(visit)]) -> Response:
    """The password again, before a dangerous change; or the organisation again."""
    here = runtime(visit.request)
    told = organisation_sign_ins.open_sentence(here.scene(), private_cookie(visit.request, SENTENCE))
    response = await _proof(visit, sentence=told, done=sessions.is_proved(visit.session, now=here.clock()))
    if told is not None:
        clear_private_cookie(visit.request, response, SENTENCE)
    return response


@router.post("/prove")
async def prove(request: Request, visit: Annotated[Visit, Depends(visit)]) -> Response:
    """Fifteen minutes in which dangerous changes are taken."""
    here = runtime(request)
    password = str((await request.form()).get("password", ""))
    try:
        await sessions.check_password(here.database, visit.session, password, now=here.clock())
        if (await second_factors.state(here.database, visit.session.member.account_id)).on:
            await second_factors.check(here.scene(), visit.session.member, str((await request.form()).get("code", "")))
        await sessions.proved(here.database, visit.session, now=here.clock())
    except (Invalid, LimitReached) as error:
        first = next((item.message for item in getattr(error, "problems", ())), error.message)
        return await _proof(visit, sentence=first, status=422)
    return await _proof(visit, done=True)


async def _proof(visit: Visit, *, sentence: str | None = None, done: bool = False, status: int = 200) -> Response:
    database = visit.ctx.database
    joined = await identities.is_joined(database, visit.session.member)
    return rendering.page(
        "prove.html",
        request=visit.request,
        status=status,
        csrf=visit.session.csrf,
        sentence=sentence,
        done=done,
        organisation=await organisations.name_of(database) if joined else None,
        second_factor=(await second_factors.state(database, visit.session.member.account_id)).on,
    )


async def _page(
    request: Request, onward: str, *, email: str = "", sentence: str | None = None, status: int = 200
) -> Response:
    return rendering.page(
        "sign_in.html",
        request=request,
        status=status,
        next=local(onward),
        email=email,
        sentence=sentence,
        empty=await accounts.setup_needed(runtime(request).database),
        organisation=await organisations.name_of(runtime(request).database),
    )
