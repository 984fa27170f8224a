"""User preferences: who you are here, the theme, the password, and signing out everywhere; and API tokens."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from keyturn.errors import Forbidden, Invalid, KeyturnError
from keyturn.model.accounts import ApiToken, ApiTokenSettings
from keyturn.model.notices import NOTIFY_LABELS, Preferences
from keyturn.model.permissions import PERMISSIONS, grantable_to
from keyturn.services import (
    accounts,
    api_tokens,
    identities,
    organisation_sign_ins,
    organisations,
    preferences,
    recovery,
    second_factors,
)
from keyturn.web import forms, rendering
from keyturn.web.auth import Visit, private_cookie, runtime, visit
from keyturn.web.pages.sessions import SENTENCE

router = APIRouter(include_in_schema=False)
Here = Annotated[Visit, Depends(visit)]
THEME_SECONDS = 365 * 86400
LIVES = {"7": "7 days", "30": "30 days", "90": "90 days", "365": "1 year", "": "Never"}


@router.get("/preferences")
async def show(visit: Here, done: str = "") -> Response:
    """Who you are, theme, password, sessions."""
    return await _preferences(visit, forms.Form(), done=done)


@router.post("/preferences/theme")
async def choose_theme(request: Request, visit: Here) -> Response:  # noqa: ARG001 - the visit guards
    """Remember the theme in this browser."""
    chosen = str((await request.form()).get("theme", "system"))
    response = RedirectResponse("/preferences?done=theme", 303)
    secure = runtime(request).deployment.public_url.startswith("https://")
    if chosen in rendering.THEMES and chosen != "system":
        response.set_cookie(
            rendering.THEME_COOKIE,
            chosen,
            max_age=THEME_SECONDS,
            path="/",
            samesite="lax",
            httponly=True,
            secure=secure,
        )
    else:
        response.delete_cookie(rendering.THEME_COOKIE, path="/", samesite="lax", httponly=True, secure=secure)
    return response


@router.post("/preferences/notify")
async def choose_notices(request: Request, visit: Here) -> Response:
    """Which notices to get by email."""
    form = await request.form()

    async def do() -> str:
        await preferences.update(visit.ctx, {"notify": str(form.get("notify", ""))})
        return "/preferences?done=notify"

    async def again(error: KeyturnError, status: int) -> Response:
        return await _preferences(visit, forms.failed(error, {}, ("notify",)), status=status)

    return await forms.attempt(do, again)


@router.post("/preferences/password")
async def change_password(request: Request, visit: Here) -> Response:
    """A new password; every other browser is signed out."""
    form = await request.form()
    here = runtime(request)

    async def do() -> str:
        await accounts.change_password(
            here.database,
            visit.session.member,
            current=str(form.get("password", "")),
            new=str(form.get("new_password", "")),
            now=here.clock(),
            keep_session=visit.session.id_hash,
        )
        return "/preferences?done=password"

    async def again(error: KeyturnError, status: int) -> Response:
        return await _preferences(visit, forms.failed(error, {}, ("password", "new_password")), status=status)

    return await forms.attempt(do, again)


@router.get("/api-tokens")
async def tokens(visit: Here, done: str = "") -> Response:
    """The API tokens and the form for a new one."""
    return await _tokens(visit, forms.Form(), done=done)


@router.post("/api-tokens")
async def create_token(request: Request, visit: Here) -> Response:
    """Make one; this answer is the only time it is shown, so it is no redirect."""
    form = await request.form()
    life = str(form.get("expires_in_days", "90"))
    raw: dict[str, Any] = {
        "name": str(form.get("name", "")),
        "permissions": [str(value) for value in form.getlist("permissions")],
        "expires_in_days": int(life) if life.isdecimal() else None,
    }
    try:
        token, value = await api_tokens.create(visit.ctx, raw)
    except (Invalid, Forbidden) as error:
        shown = {**raw, "expires_in_days": life}
        return await _tokens(visit, forms.failed(error, shown, ApiTokenSettings.model_fields), status=422)
    return await _tokens(visit, forms.Form(), made=token, value=value, status=201)


@router.post("/api-tokens/{token_id}/revoke")
async def revoke_token(visit: Here, token_id: str) -> Response:
    """Revoke one."""
    await api_tokens.revoke(visit.ctx, token_id)
    return RedirectResponse("/api-tokens?done=revoked", 303)


async def _preferences(visit: Visit, form: forms.Form, *, done: str = "", status: int = 200) -> Response:
    made_at = await recovery.made_at(visit.ctx) if visit.ctx.actor.is_admin else None
    chosen = visit.request.cookies.get(rendering.THEME_COOKIE, "system")
    return await rendering.shell(
        visit,
        "preferences.html",
        active="preferences",
        status=status,
        form=form,
        done=done,
        chosen_theme=chosen if chosen in rendering.THEMES else "system",
        recovery_made_at=made_at,
        notify=(await preferences.get(visit.ctx)).notify,
        notify_labels=NOTIFY_LABELS,
        labels=forms.labels(Preferences),
        organisation=await organisations.name_of(visit.ctx.database),
        second_factor=(await second_factors.state(visit.ctx.database, visit.ctx.actor.account_id)).on,
        joined=await identities.is_joined(visit.ctx.database, visit.session.member),
        told=organisation_sign_ins.open_sentence(visit.ctx, private_cookie(visit.request, SENTENCE)),
    )


async def _tokens(
    visit: Visit,
    form: forms.Form,
    *,
    done: str = "",
    made: ApiToken | None = None,
    value: str | None = None,
    status: int = 200,
) -> Response:
    allowed = grantable_to(visit.ctx.actor.role)
    return await rendering.shell(
        visit,
        "api_tokens.html",
        active="api-tokens",
        status=status,
        tokens=await api_tokens.list_(visit.ctx),
        form=form,
        labels=forms.labels(ApiTokenSettings),
        permissions={name: words for name, words in PERMISSIONS.items() if name in allowed},
        usual=("tables:read", "imports:run", "connections:use"),
        lives=LIVES,
        made=made,
        value=value,
        done=done,
    )
