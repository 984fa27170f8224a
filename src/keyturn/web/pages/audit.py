"""The audit log for Workspace Admins: who, what, on what, when, from where, with which result; filtered, exported."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.responses import Response

from keyturn.services import audit, members
from keyturn.services.audit import Filter
from keyturn.web import rendering
from keyturn.web.auth import Visit, admin_visit
from keyturn.web.streams import StreamedAnswer

router = APIRouter(prefix="/admin/audit-log", include_in_schema=False)
Admin = Annotated[Visit, Depends(admin_visit)]
PAGE = 50
NOUNS = {
    "account.": "People",
    "api_token.": "API tokens",
    "connection.": "Connections",
    "oauth_client.": "OAuth 2.0 clients",
    "table.": "Tables",
    "import.": "Imports",
    "invitation.": "Invitations",
    "workspace.": "Workspace",
}


@router.get("")
async def list_(visit: Admin, who: str = "", what: str = "", before: str = "") -> Response:
    """One page of entries, newest first."""
    wanted = Filter(actor_id=who or None, verb=what if what in NOUNS else None)
    start = int(before) if before.isdecimal() else None
    found, following = await audit.list_(visit.ctx, wanted, limit=PAGE, before_seq=start)
    return await rendering.shell(
        visit,
        "audit.html",
        active="audit",
        entries=[_shown(entry) for entry in found],
        following=following,
        people=await members.list_(visit.ctx),
        nouns=NOUNS,
        who=who,
        what=what,
    )


@router.get("/export")
async def export(visit: Admin) -> Response:
    """The whole chain as JSONL; `keyturn audit verify` proves it."""
    lines = audit.export(visit.ctx)
    headers = {"Cache-Control": "no-store", "Content-Disposition": 'attachment; filename="keyturn-audit.jsonl"'}
    return StreamedAnswer(lines, media_type="application/jsonl", headers=headers)


def _shown(entry: dict[str, Any]) -> dict[str, Any]:
    noun, _, verb = str(entry["verb"]).partition(".")
    details = ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in entry["details"].items())
    at = datetime.fromisoformat(entry["at"]).timestamp()
    words = f"{noun.replace('_', ' ')} {verb.replace('_', ' ')}".capitalize()
    return {**entry, "epoch": at, "words": words, "told": details}
