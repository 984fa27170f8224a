"""Templates to HTML: one environment, everything escaped, nothing inline, and the shell around signed-in pages."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import orjson
from fastapi import Request
from markupsafe import Markup
from starlette.responses import HTMLResponse

from keyturn.model.lifetimes import in_words
from keyturn.model.messages import say
from keyturn.model.permissions import ROLE_LABELS
from keyturn.services import connection_lists, workspaces

if TYPE_CHECKING:
    from keyturn.web.auth import Visit

FOLDER = Path(__file__).parent
THEMES = {"system": "System", "light": "Light", "dark": "Dark"}
THEME_COOKIE = "keyturn-theme"

# A connection's or import's status → (the state it is drawn with, its icon).
STATES: dict[str, tuple[str, str]] = {
    "not_connected": ("unconnected", "circle-dashed"),
    "healthy": ("healthy", "circle-check"),
    "needs_attention": ("attention", "triangle-alert"),
    "retrying": ("retrying", "rotate-cw"),
    "reconnect_needed": ("reconnect", "unplug"),
    "paused": ("paused", "circle-pause"),
    "queued": ("running", "circle-dashed"),
    "running": ("running", "circle-dot"),
    "waiting": ("retrying", "timer"),
    "complete": ("complete", "badge-check"),
    "limited": ("paused", "circle-dashed"),
    "incomplete": ("incomplete", "triangle-alert"),
    "failed": ("failed", "octagon-alert"),
    "cancelled": ("paused", "x"),
    "delivered": ("healthy", "circle-check"),
    "given_up": ("failed", "octagon-alert"),
    "schedule_active": ("healthy", "circle-check"),
    "schedule_held": ("attention", "unplug"),
    "schedule_paused": ("paused", "circle-pause"),
    "schedule_over": ("unconnected", "circle-dashed"),
    "link_pending": ("running", "timer"),
    "link_undecided": ("attention", "triangle-alert"),
    "link_completed": ("healthy", "circle-check"),
    "link_failed": ("failed", "octagon-alert"),
    "link_expired": ("unconnected", "circle-dashed"),
    "link_revoked": ("paused", "x"),
    "reconnect_sent": ("healthy", "circle-check"),
    "reconnect_copied": ("attention", "copy"),
    "reconnect_skipped": ("unconnected", "circle-dashed"),
    "reconnect_not_made": ("failed", "octagon-alert"),
    "ok": ("healthy", "circle-check"),
    "warn": ("attention", "triangle-alert"),
    "fail": ("failed", "octagon-alert"),
    "skipped": ("unconnected", "circle-dashed"),
}
# An event's state → its icon.
EVENT_ICONS = {
    "healthy": "circle-check",
    "attention": "triangle-alert",
    "reconnect": "unplug",
    "retrying": "rotate-cw",
    "paused": "circle-pause",
}


def page(template: str, *, status: int = 200, request: Request | None = None, **values: Any) -> HTMLResponse:
    """A page without the shell."""
    return HTMLResponse(_environment.get_template(template).render(theme=_theme(request), **values), status)


async def shell(
    visit: Visit, template: str, *, active: str = "", status: int = 200, rail: bool = False, **values: Any
) -> HTMLResponse:
    """A page inside the shell: main menu with the count of open errors, profile menu, and the forms' token."""
    ctx = visit.ctx
    broken = await connection_lists.count_broken(ctx)
    html = _environment.get_template(template).render(
        {"now": ctx.clock(), **values},
        actor=ctx.actor,
        may=ctx.may,
        role=ROLE_LABELS.get(ctx.actor.role, ctx.actor.role),
        workspace=await workspaces.get(ctx),
        csrf=visit.session.csrf,
        active=active,
        broken=broken,
        rail=rail,
        theme=_theme(visit.request),
        public_url=ctx.deployment.public_url,
    )
    return HTMLResponse(html, status)


def fragment(template: str, visit: Visit, **values: Any) -> HTMLResponse:
    """A piece of a page that its script fetches again."""
    ctx = visit.ctx
    html = _environment.get_template(template).render(
        {"now": ctx.clock()}, may=ctx.may, csrf=visit.session.csrf, **values
    )
    return HTMLResponse(html)


def when(seconds: float | None, *, missing: str = "never") -> str | Markup:
    """A time in UTC that the page's script turns into the reader's own zone."""
    if seconds is None:
        return missing
    at = datetime.fromtimestamp(seconds, UTC)
    shown = f"{at.day} {at:%b} {at.year} {at:%H:%M} UTC"
    return Markup('<time class="nowrap" datetime="{}" data-local>{}</time>').format(
        at.isoformat(timespec="seconds").replace("+00:00", "Z"), shown
    )


def clock_time(seconds: float) -> Markup:
    """The hour and minute alone, for something that happens today."""
    at = datetime.fromtimestamp(seconds, UTC)
    iso = at.isoformat(timespec="seconds").replace("+00:00", "Z")
    return Markup('<time class="nowrap" datetime="{}" data-local="clock">{} UTC</time>').format(iso, f"{at:%H:%M}")


def whole(number: int | None) -> str:
    """77182 → "77,182"."""
    return "–" if number is None else f"{number:,}"


def size(number: int) -> str:
    """Bytes for people: 9541223 → "9.1 MB"."""
    if number < 1024:
        return f"{number} bytes"
    for unit, factor in (("kB", 1024), ("MB", 1024**2), ("GB", 1024**3)):
        if number < factor * 1024 or unit == "GB":
            return f"{number / factor:.1f} {unit}"
    return ""


def took(seconds: float | None) -> str:
    """A length of time in at most two units."""
    if seconds is None:
        return "–"
    return "under 1 second" if seconds < 1 else in_words(int(seconds) * 1000)


def initials(name: str) -> str:
    """The letters of an avatar: Ana Lopes → AL."""
    parts = [part for part in name.split() if part]
    letters = [parts[0][0], parts[-1][0]] if len(parts) > 1 else [part[:2] for part in parts[:1]]
    return "".join(letters).upper()


def cell(value: Any) -> str | Markup:
    """A cell of a preview: lists and objects as their count, None as null."""
    if value is None:
        return Markup('<span class="nil">null</span>')
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | dict):
        text = orjson.dumps(value).decode()
        return text if len(text) <= 60 else f"{text[:57]}…"
    text = str(value)
    return text if len(text) <= 120 else f"{text[:117]}…"


def _theme(request: Request | None) -> str:
    chosen = request.cookies.get(THEME_COOKIE, "system") if request is not None else "system"
    return f"keyturn-{chosen}" if chosen in {"light", "dark"} else ""


_environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(FOLDER / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters |= {
    "when": when,
    "clock_time": clock_time,
    "whole": whole,
    "size": size,
    "took": took,
    "initials": initials,
    "cell": cell,
}
_words: dict[str, Any] = {"say": say, "STATES": STATES, "EVENT_ICONS": EVENT_ICONS, "THEMES": THEMES}
_environment.globals.update(_words)
