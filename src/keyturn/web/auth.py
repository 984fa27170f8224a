"""From a request to a `Context`: an API token for programs, a session's cookie for people, never one for the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi import Request

from keyturn.errors import Forbidden, Unauthenticated
from keyturn.model.permissions import permissions_of
from keyturn.services import api_tokens, sessions
from keyturn.services.context import Actor, Context, Deployment

if TYPE_CHECKING:
    from keyturn.egress import Egress
    from keyturn.encryption import Keyring
    from keyturn.services.sessions import Session
    from keyturn.storage.database import Database

NOBODY = Actor("", "", "", "none", frozenset(), kind="system")


@dataclass(frozen=True, slots=True)
class Runtime:
    """What the composition root made; every request's context is built on it (`app.state.keyturn`)."""

    database: Database
    egress: Egress
    keyring: Keyring
    deployment: Deployment
    clock: Callable[[], float]

    def scene(self) -> Context:
        """The surroundings of a verb that nobody in particular asks for."""
        return Context(NOBODY, "", self.database, self.egress, self.keyring, self.deployment, self.clock)


def runtime(request: Request) -> Runtime:
    """The process's runtime."""
    found: Runtime = request.app.state.keyturn
    return found


async def api_context(request: Request) -> Context:
    """The context of a program: `Authorization: Bearer kt_…` and nothing else (RFC 6750 §2.1)."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not value.strip():
        raise Unauthenticated("Send an API token: Authorization: Bearer kt_…")
    here = runtime(request)
    actor, workspace_id = await api_tokens.actor_of(here.database, value.strip(), now=here.clock())
    return Context(actor, workspace_id, here.database, here.egress, here.keyring, here.deployment, here.clock)


def cookie_name(public_url: str) -> str:
    """The session cookie's name follows the public URL's scheme alone."""
    return "__Host-keyturn" if public_url.startswith("https://") else "keyturn"


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
    """A form post comes from our own pages. Raises `Forbidden` otherwise (ASVS 3.5.1)."""
    public_url = runtime(request).deployment.public_url
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site == "same-origin" or (site is None and origin == public_url):
        return
    if origin == public_url and site in {None, "same-origin"}:
        return
    raise Forbidden("This form was not sent from a Keyturn page. Open the page again and retry.")
