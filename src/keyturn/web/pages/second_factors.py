"""A second factor: the code at the sign-in, and setting it up, renewing its codes and removing it under preferences."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from markupsafe import Markup
from starlette.responses import RedirectResponse, Response

from keyturn.errors import Conflict, Invalid, KeyturnError, LimitReached, NotFound, Unauthenticated
from keyturn.services import second_factors, workspaces
from keyturn.web import rendering
from keyturn.web.auth import (
    Visit,
    clear_private_cookie,
    fresh_visit,
    private_cookie,
    require_same_origin,
    runtime,
    visit,
)
from keyturn.web.pages.sessions import FIRST_STEP, enter

router = APIRouter(include_in_schema=False)
Here = Annotated[Visit, Depends(visit)]
Fresh = Annotated[Visit, Depends(fresh_visit)]
PLACE = "/preferences/second-factor"


@router.get("/sign-in/code")
async def ask(request: Request) -> Response:
    """The code, after the password."""
    try:
        await second_factors.first_step(runtime(request).scene(), private_cookie(request, FIRST_STEP))
    except Unauthenticated:
        return RedirectResponse("/sign-in", 303)
    return _code(request)


@router.post("/sign-in/code")
async def sign_in(request: Request) -> Response:
    """A session, if the code is right."""
    require_same_origin(request)
    scene = runtime(request).scene()
    code = str((await request.form()).get("code", ""))
    try:
        member, onward = await second_factors.first_step(scene, private_cookie(request, FIRST_STEP))
        await second_factors.check(scene, member, code)
    except Unauthenticated:
        return RedirectResponse("/sign-in", 303)
    except (Invalid, LimitReached) as error:
        return _code(request, error)
    response = await enter(request, member, onward)
    clear_private_cookie(request, response, FIRST_STEP)
    return response


@router.get(PLACE)
async def show(visit: Here) -> Response:
    """How it stands, or what was begun."""
    return await _page(visit)


@router.post(PLACE)
async def begin(visit: Fresh) -> Response:
    """A new secret to tell the app."""
    try:
        await second_factors.begin(visit.ctx, visit.session.member)
    except Conflict as error:
        return await _page(visit, error=error)
    return RedirectResponse(PLACE, 303)


@router.post(f"{PLACE}/confirm")
async def confirm(request: Request, visit: Fresh) -> Response:
    """The first code turns it on; the recovery codes are on the page that answers, and nowhere else."""
    code = str((await request.form()).get("code", ""))
    try:
        codes = await second_factors.confirm(visit.ctx, visit.session.member, code)
    except (Invalid, Conflict, LimitReached) as error:
        return await _page(visit, error=error)
    return await _page(visit, codes=codes)


@router.post(f"{PLACE}/codes")
async def new_codes(visit: Fresh) -> Response:
    """Ten new recovery codes."""
    try:
        return await _page(visit, codes=await second_factors.new_codes(visit.ctx, visit.session.member))
    except NotFound as error:
        return await _page(visit, error=error)


@router.post(f"{PLACE}/remove")
async def remove(visit: Fresh) -> Response:
    """The password alone is enough again."""
    try:
        await second_factors.remove(visit.ctx, visit.session.member)
    except NotFound as error:
        return await _page(visit, error=error)
    return RedirectResponse(PLACE, 303)


def _code(request: Request, error: KeyturnError | None = None) -> Response:
    status = 200 if error is None else 429 if isinstance(error, LimitReached) else 401
    response = rendering.page("code.html", request=request, status=status, sentence=_sentence(error))
    if isinstance(error, LimitReached):
        response.headers["Retry-After"] = str(round(error.retry_after_seconds) + 1)
    return response


async def _page(visit: Visit, *, error: KeyturnError | None = None, codes: list[str] | None = None) -> Response:
    setup = await second_factors.pending(visit.ctx, visit.session.member)
    return await rendering.shell(
        visit,
        "second_factor.html",
        active="preferences",
        status=200 if error is None else 422,
        state=await second_factors.state(visit.ctx.database, visit.ctx.actor.account_id),
        setup=setup,
        qr=None if setup is None else _drawn(setup.url),
        codes=[second_factors.grouped(code) for code in codes or ()],
        required=(await workspaces.get(visit.ctx)).requires_second_factor,
        sentence=_sentence(error),
    )


def _drawn(url: str) -> Markup:
    """As SVG in the page: dark on light in both themes, since apps read nothing else."""
    import segno  # every server would pay for it at its start, and few people set up a second factor

    return Markup(segno.make(url, error="m").svg_inline(scale=5, dark="#000", light="#fff"))  # noqa: S704 - our own


def _sentence(error: KeyturnError | None) -> str | None:
    if error is None:
        return None
    return next((item.message for item in getattr(error, "problems", ())), error.message)
