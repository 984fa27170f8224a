"""Who asks from where, and how each use of an API token was answered: pure ASGI, told to the audit log."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from keyturn.model.audit import Who
from keyturn.services.context import Actor, asked_from
from keyturn.services.token_uses import TokenUses, Use

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
_PROGRAM = "keyturn_program"


class Usage:
    """Wraps the app. The peer's address is what the socket says, never a header."""

    def __init__(self, app: App, uses: TokenUses) -> None:
        self._app = app
        self._uses = uses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        client = scope.get("client")
        address = str(client[0]) if client else ""
        asked_from.set(address)
        state = scope.setdefault("state", {})

        async def told(message: Message) -> None:
            program = state.get(_PROGRAM)
            if message["type"] == "http.response.start" and program is not None:
                workspace_id, actor = program
                who = Who("program", actor.account_id, actor.name, actor.via, address)
                use = Use(workspace_id, who, _route(scope), _subject(scope), message["status"])
                self._uses.note(use, time.time())
            await send(message)

        await self._app(scope, receive, told)


def remember_program(state: Any, workspace_id: str, actor: Actor) -> None:
    """The request's API token is known: its answer will be told. `state` is the request's own."""
    setattr(state, _PROGRAM, (workspace_id, actor))


def _route(scope: Scope) -> str:
    """Method and route as they are documented: the ids stand apart, and no query is kept."""
    route = scope.get("route")
    return f"{scope['method']} {getattr(route, 'path', '')}"


def _subject(scope: Scope) -> str:
    parameters = scope.get("path_params") or {}
    return next((str(value) for name, value in parameters.items() if name.endswith("_id")), "")[:64]
