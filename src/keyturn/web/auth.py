"""From a request to a `Context`: an API token for programs, a session's cookie for people, never one for the other."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from fastapi import Request, Security
from fastapi.security import HTTPBearer
from starlette.responses import Response

from keyturn.errors import Forbidden, Unauthenticated
from keyturn.model.messages import say
from keyturn.model.permissions import permissions_of
from keyturn.services import api_tokens, sessions, workspaces
from keyturn.services.context import Actor, Context, Deployment, scene
from keyturn.services.token_uses import TokenUses
from keyturn.web.usage import remember_program

if TYPE_CHECKING:
    from keyturn.egress import Egress
    from keyturn.encryption import Keyring
    from keyturn.services.sessions import Session
    from keyturn.storage.database import Database

# What somebody may do who has to set up a second factor first.
_WITHOUT_FACTOR = ("/preferences/second-factor", "/sign-out", "/prove")
SAFE_METHODS = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class Runtime:
    """What the composition root made; every request's context is built on it (`app.state.keyturn`)."""

    database: Database
    egress: Egress
    keyring: Keyring
    deployment: Deployment
    clock: Callable[[], float]
    uses: TokenUses = field(default_factory=TokenUses)

    def scene(self) -> Context:
        """The surroundings of a verb that nobody in particular asks for."""
        return scene(self.database, self.egress, self.keyring, self.deployment, self.clock)


@dataclass(frozen=True, slots=True)
class Visit:
    """A page asked for by a signed-in person: the request, their session, and the context of what they do."""

    request: Request
    session: Session
    ctx: Context

    def __repr__(self) -> str:
        return f"Visit({self.session.member.account_id})"


def runtime(request: Request) -> Runtime:
    """The process's runtime."""
    found: Runtime = request.app.state.keyturn
    return found


# For the OpenAPI document; the check itself is ours, since its refusal says how to go on.
_api_token = HTTPBearer(auto_error=False, scheme_name="API token", description="Authorization: Bearer kt_…")


async def api_context(request: Request, _: Annotated[object, Security(_api_token)] = None) -> Context:
    """The context of a program: `Authorization: Bearer kt_…` and nothing else (RFC 6750 §2.1)."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not value.strip():
        raise Unauthenticated("Send an API token: Authorization: Bearer kt_…")
    here = runtime(request)
    actor, workspace_id = await api_tokens.actor_of(here.database, value.strip(), now=here.clock())
    remember_program(request.state, workspace_id, actor)
    ctx = Context(actor, workspace_id, here.database, here.egress, here.keyring, here.deployment, here.clock)
    ctx.require_verb(verb_of(request.scope["endpoint"]))
    return ctx


def verb_of(endpoint: Callable[..., object]) -> str:
    """The verb of a route in the permission table: `<file>.<function>`."""
    return f"{endpoint.__module__.rpartition('.')[2]}.{endpoint.__name__.strip('_')}"


async def visit(request: Request) -> Visit:
    """A signed-in person's request (FastAPI dependency).

    Whatever changes something must come from one of our own pages and carry the session's token. Raises
    `Unauthenticated` (pages lead to the sign-in then) and `Forbidden`.
    """
    session = await session_of(request)
    if session is None:
        raise Unauthenticated("Sign in to go on. What you typed is still in the page you came from.")
    if session.must_add_factor and not request.url.path.startswith(_WITHOUT_FACTOR):
        raise Forbidden("Your workspace wants a second factor. Set yours up, then go on.", second_factor=True)
    if request.method not in SAFE_METHODS:
        require_same_origin(request)
        await _require_csrf(request, session)
    return Visit(request, session, context_of(request, session))


def visit_for(verb: str) -> Callable[[Request], Awaitable[Visit]]:
    """A visit (FastAPI dependency) of whoever may use `verb`: a form that they could not send is not shown to them."""

    async def allowed_visit(request: Request) -> Visit:
        found = await visit(request)
        found.ctx.require_verb(verb)
        return found

    return allowed_visit


async def fresh_visit(request: Request) -> Visit:
    """A request that changes something dangerous: the person typed their password in the last fifteen minutes.

    Raises `Forbidden` with `reauthenticate` in its details otherwise; the page asks for the password and goes on.
    """
    found = await visit(request)
    if not sessions.is_proved(found.session, now=found.ctx.clock()):
        raise Forbidden("Type your password again to go on: this change cannot be undone.", reauthenticate=True)
    return found


async def admin_visit(request: Request) -> Visit:
    """A Workspace Admin's request. Raises `Forbidden` (E-ROLE, naming those who can) for everybody else."""
    found = await visit(request)
    if not found.ctx.actor.is_admin:
        admins = [member.name for member in await workspaces.members(found.ctx) if member.role == "admin"]
        raise Forbidden(say("E-ROLE", admins=", ".join(admins)), message_code="E-ROLE")
    return found


async def fresh_admin_visit(request: Request) -> Visit:
    """A Workspace Admin who typed their password lately. Raises `Forbidden`."""
    await admin_visit(request)
    return await fresh_visit(request)


def cookie_name(public_url: str) -> str:
    """The session cookie's name follows the public URL's scheme alone."""
    return "__Host-keyturn" if public_url.startswith("https://") else "keyturn"


def set_session_cookie(request: Request, response: Response, value: str) -> None:
    """Give the browser its session; it ends with the session's absolute limit."""
    public_url = runtime(request).deployment.public_url
    response.set_cookie(
        cookie_name(public_url),
        value,
        max_age=int(sessions.ABSOLUTE_SECONDS),
        path="/",
        httponly=True,
        samesite="lax",
        secure=public_url.startswith("https://"),
    )


def set_private_cookie(request: Request, response: Response, name: str, value: str, *, seconds: int) -> None:
    """A cookie of one errand, for this browser alone; `name` as on plain http."""
    https = runtime(request).deployment.public_url.startswith("https://")
    full = f"__Host-{name}" if https else name
    response.set_cookie(full, value, max_age=seconds, path="/", httponly=True, samesite="lax", secure=https)


def private_cookie(request: Request, name: str) -> str | None:
    """What `set_private_cookie` set."""
    https = runtime(request).deployment.public_url.startswith("https://")
    return request.cookies.get(f"__Host-{name}" if https else name)


def clear_private_cookie(request: Request, response: Response, name: str) -> None:
    """Take it away again."""
    https = runtime(request).deployment.public_url.startswith("https://")
    full = f"__Host-{name}" if https else name
    response.delete_cookie(full, path="/", secure=https, httponly=True, samesite="lax")


def clear_session_cookie(request: Request, response: Response) -> None:
    """Take it away again."""
    public_url = runtime(request).deployment.public_url
    name = cookie_name(public_url)
    response.delete_cookie(name, path="/", secure=name.startswith("__Host"), httponly=True, samesite="lax")


async def session_of(request: Request) -> Session | None:
    """The signed-in browser behind a request, if there is one."""
    here = runtime(request)
    cookie = request.cookies.get(cookie_name(here.deployment.public_url))
    return None if not cookie else await sessions.find(here.database, cookie, now=here.clock())


def context_of(request: Request, session: Session) -> Context:
    """The context of a signed-in person."""
    here = runtime(request)
    member = session.member
    actor = Actor(member.account_id, member.name, member.email, member.role, permissions_of(member.role))
    return Context(actor, member.workspace_id, here.database, here.egress, here.keyring, here.deployment, here.clock)


def require_same_origin(request: Request) -> None:
    """A form post comes from our own pages. Raises `Forbidden` otherwise (ASVS 3.5.1).

    Browsers say so in `Sec-Fetch-Site`, except on plain http off localhost, where `Origin` must be ours.
    """
    site = request.headers.get("sec-fetch-site")
    if site is None:
        good = request.headers.get("origin") == runtime(request).deployment.public_url
    else:
        good = site == "same-origin"
    if not good:
        raise Forbidden("This form was not sent from a Keyturn page. Open the page again and retry.")


async def _require_csrf(request: Request, session: Session) -> None:
    given = request.headers.get("x-csrf-token")
    if given is None:
        form = await request.form()
        given = str(form.get("csrf", ""))
    if not hmac.compare_digest(given.encode(), session.csrf.encode()):
        raise Forbidden("This page is from an earlier sign-in. Open it again and retry.")
