"""The browser's side of a sign-in: the link, Continue, the callback at our redirect URI, and its small result page."""

from __future__ import annotations

import secrets
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from keyturn.errors import KeyturnError, NotFound
from keyturn.services import account_switches, confirmations, sign_ins
from keyturn.web import rendering
from keyturn.web.auth import require_same_origin, runtime, session_of

router = APIRouter(include_in_schema=False)
BROWSER_SECONDS = 3600


def _cookie_name(request: Request) -> str:
    https = runtime(request).deployment.public_url.startswith("https://")
    return "__Host-keyturn-sign-in" if https else "keyturn-sign-in"


@router.get("/connect/{link}")
async def connect(request: Request, link: str) -> Response:
    """Whoever began it goes on at once; any other browser first sees what this is about."""
    scene = runtime(request).scene()
    session = await session_of(request)
    account_id = session.member.account_id if session else None
    browser = request.cookies.get(_cookie_name(request))
    try:
        invitation = await confirmations.look(scene, link, account_id, browser=browser)
    except NotFound as error:
        return _over(request, error)
    if invitation.mine and request.headers.get("sec-fetch-site") in {None, "same-origin", "none"}:
        return await _leave(request, link, account_id)
    return rendering.page("connect.html", request=request, invitation=invitation, link=link)


@router.post("/connect/{link}")
async def proceed(request: Request, link: str) -> Response:
    """Continue: this browser is bound to the attempt and goes to the end system."""
    require_same_origin(request)
    session = await session_of(request)
    try:
        return await _leave(request, link, session.member.account_id if session else None)
    except NotFound as error:
        return _over(request, error)


@router.get("/oauth2/callback/{slug}/done")
@router.get("/oauth2/callback/done")
async def done(request: Request, id: str = "", slug: str | None = None) -> Response:  # noqa: ARG001 - in the path
    """How it ended; code and state are gone from the address. A connect link may lead on to where it came from."""
    outcome = await sign_ins.outcome(runtime(request).scene(), id)
    if outcome.way_back is not None:
        return RedirectResponse(outcome.way_back, 303)
    member = await session_of(request) is not None
    status = 200 if outcome.ok else 400
    return rendering.page("signed_in.html", request=request, outcome=outcome, member=member, done=id, status=status)


@router.post("/oauth2/callback/done/account")
async def decide(request: Request) -> Response:
    """Another account than before: this window says whose data the connection reads."""
    require_same_origin(request)
    form = await request.form()
    done_id, browser = str(form.get("id", "")), request.cookies.get(_cookie_name(request))
    scene = runtime(request).scene()
    await account_switches.decide_here(scene, done_id, browser=browser, switch=form.get("switch") == "yes")
    return RedirectResponse(f"/oauth2/callback/done?id={quote(done_id)}", 303)


@router.get("/oauth2/callback/{slug}")
@router.get("/oauth2/callback")
async def callback(request: Request, slug: str | None = None) -> Response:
    """The end system's answer. Nothing of it is shown; the browser is sent on to a clean address."""
    browser = request.cookies.get(_cookie_name(request))
    pairs = list(request.query_params.multi_items())
    try:
        done_id = await sign_ins.complete(runtime(request).scene(), slug, pairs, browser=browser)
    except KeyturnError as error:
        if error.message_code == "E-STATE":
            request.state.status = 400
        raise
    base = "/oauth2/callback/" + (f"{quote(slug)}/" if slug else "")
    return RedirectResponse(f"{base}done?id={done_id}", 303)


def _over(request: Request, error: NotFound) -> Response:
    """Why a link leads nowhere, for somebody who need not know Keyturn."""
    return rendering.page(
        "link_over.html", request=request, status=404, sentence=error.message, message_code=error.message_code
    )


async def _leave(request: Request, link: str, account_id: str | None) -> Response:
    name = _cookie_name(request)
    # One value a browser: two tabs have two states, and both must find their way back.
    browser = request.cookies.get(name) or secrets.token_urlsafe(32)
    url = await confirmations.proceed(runtime(request).scene(), link, browser=browser, account_id=account_id)
    response = RedirectResponse(url, 303)
    response.set_cookie(
        name,
        browser,
        max_age=BROWSER_SECONDS,
        path="/",
        httponly=True,
        samesite="lax",
        secure=name.startswith("__Host"),
    )
    return response
