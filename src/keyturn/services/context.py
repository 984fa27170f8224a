"""Who asks, in which workspace, and with what at hand. Every verb takes a `Context` first."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from keyturn.errors import Forbidden, Invalid
from keyturn.model.messages import say
from keyturn.model.permissions import ADMIN_ONLY, PERMISSIONS, VERBS, may
from keyturn.model.settings import OperatorSetting

if TYPE_CHECKING:
    from keyturn.egress import Egress
    from keyturn.encryption import Keyring
    from keyturn.storage.database import Database

Clock = Callable[[], float]
# The address the request came from, for the audit log; '' for what runs by itself.
asked_from: ContextVar[str] = ContextVar("keyturn_asked_from", default="")


@dataclass(frozen=True, slots=True)
class RefreshTimes:
    """How long renewing a token set may take. A lease outlives the one token request it is taken for."""

    deadline_seconds: float = 15.0
    lease_seconds: float = 25.0
    wait_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class Deployment:
    """What the operator set, as far as verbs need it. `owner` names this process among replicas."""

    public_url: str
    data_dir: Path
    owner: str
    export_dirs: tuple[Path, ...] = ()
    version: str = ""
    refresh: RefreshTimes = RefreshTimes()
    operator: tuple[OperatorSetting, ...] = ()
    sets_organisation: bool = False

    def files_dir(self, workspace_id: str) -> Path:
        """Where imports of a workspace lie when their address is relative."""
        return self.data_dir / "files" / workspace_id


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks: a signed-in member, an API token of theirs, or the system itself (`account_id` of the owner)."""

    account_id: str
    name: str
    email: str
    role: str
    permissions: frozenset[str]
    kind: str = "session"
    via: str | None = None

    @property
    def is_admin(self) -> bool:
        """Whether they are a Workspace Admin."""
        return self.role == "admin"


@dataclass(frozen=True, slots=True)
class Context:
    """Everything a verb may use. Times are epoch seconds by `clock`."""

    actor: Actor
    workspace_id: str
    database: Database
    egress: Egress
    keyring: Keyring
    deployment: Deployment
    clock: Clock = time.time

    def require(self, permission: str) -> None:
        """Raise `Forbidden` unless the actor has `permission`."""
        if permission in self.actor.permissions:
            return
        if permission in ADMIN_ONLY and not self.actor.is_admin:
            raise Forbidden(say("E-ROLE", admins="see Members & roles"), message_code="E-ROLE", permission=permission)
        raise Forbidden(f"This needs the permission {permission} ({PERMISSIONS[permission].lower()}).")

    def may(self, verb: str) -> bool:
        """Whether the actor's permissions allow a verb of the permission table: what pages offer."""
        return may(self.actor.permissions, verb)

    def require_verb(self, verb: str) -> None:
        """Raise `Forbidden` unless the permission table lets the actor use `verb`; what is not in it, nobody may."""
        if verb not in VERBS:
            raise Forbidden(f"There is no rule who may do {verb} yet.")
        if not self.may(verb):
            self.require(VERBS[verb][0])

    def as_actor(self, actor: Actor) -> Context:
        """The same surroundings for somebody else."""
        return replace(self, actor=actor)


NOBODY = Actor("", "", "", "none", frozenset(), kind="system")


def scene(
    database: Database, egress: Egress, keyring: Keyring, deployment: Deployment, clock: Clock = time.time
) -> Context:
    """The surroundings of a verb that nobody in particular asks for."""
    return Context(NOBODY, "", database, egress, keyring, deployment, clock)


def check_limit(limit: int | None, *, most: int = 1000, default: int = 100) -> int:
    """A list's `limit` as asked, or the default. Raises `Invalid` outside 1…`most`."""
    if limit is None:
        return default
    if not 1 <= limit <= most:
        raise Invalid(f"Enter a whole number from 1 to {most}.", at="limit")
    return limit
