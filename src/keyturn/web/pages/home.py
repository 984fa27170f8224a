"""Home: the five steps to the first table, each ticked by what exists; afterwards the tables themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from keyturn.model.connections import Connection
from keyturn.model.tables import Table
from keyturn.services import connection_lists, imports, oauth_clients, preferences, tables
from keyturn.web import forms, rendering
from keyturn.web.auth import Visit, visit

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the checklist. Without `url` somebody else has to do it first."""

    title: str
    sentence: str
    done: bool
    url: str | None
    button: str


@router.get("/")
async def home(visit: Annotated[Visit, Depends(visit)]) -> Response:
    """The checklist until it is done, and the tables."""
    ctx = visit.ctx
    accounts, _ = await connection_lists.page(ctx, connection_lists.Wanted())
    found = await tables.list_(ctx)
    imported = any(item.status in {"complete", "incomplete"} for item in await imports.list_(ctx, limit=20))
    clients = await oauth_clients.list_(ctx)
    steps = [
        *_client_steps(is_admin=ctx.actor.is_admin, done=bool(clients)),
        *_table_steps(accounts, found, imported=imported),
    ]
    current = next((index for index, step in enumerate(steps) if not step.done), None)
    hidden = current is not None and not await preferences.shows_first_steps(ctx)
    if hidden:
        current = None
    # One form does both of the first two steps.
    if current == 0:
        current = 1
    done = sum(step.done for step in steps)
    return await rendering.shell(
        visit,
        "home.html",
        steps=steps,
        current=current,
        done=done,
        tables=found,
        hidden=hidden,
        first_client=len(clients) == 1,
    )


@router.post("/first-steps")
async def first_steps(request: Request, visit: Annotated[Visit, Depends(visit)]) -> Response:
    """Hide the checklist, or show it again."""
    sent = forms.typed(await request.form())
    await preferences.show_first_steps(visit.ctx, shown=sent.get("shown") == "yes")
    return RedirectResponse("/", 303)


def _client_steps(*, is_admin: bool, done: bool) -> list[Step]:
    url = "/admin/oauth-clients/new" if is_admin else None
    return [
        Step(
            "Create an app in the end system’s developer console",
            "It asks for our Redirect URI, which the next page shows, and gives you a Client ID and a Client Secret.",
            done,
            url,
            "Show the Redirect URI",
        ),
        Step(
            "Register OAuth 2.0 client",
            "Paste the values the console shows. Check client tells you at once if they fit.",
            done,
            url,
            "Register OAuth 2.0 client",
        ),
    ]


def _table_steps(accounts: list[Connection], found: list[Table], *, imported: bool) -> list[Step]:
    signed_in = next((item for item in accounts if item.status != "not_connected"), None)
    waiting = None if signed_in else next(iter(accounts), None)
    return [
        Step(
            "Make a connection",
            "Sign in once in your browser; Keyturn keeps it alive.",
            signed_in is not None,
            f"/connections/{waiting.id}" if waiting else "/connections/new",
            "Sign in" if waiting else "New connection",
        ),
        Step(
            "Add a table",
            "Pick an endpoint; rows, pages and types are found for you.",
            bool(found),
            f"/tables/new?connection_id={signed_in.id}" if signed_in else "/tables/new",
            "Add a table",
        ),
        Step(
            "Import all rows",
            "To a Parquet file, with a completeness stamp.",
            imported,
            f"/tables/{found[0].id}/import" if found else "/tables",
            "Import all",
        ),
    ]
