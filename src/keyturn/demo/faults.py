"""The page that breaks things on purpose, by button, by number or by JSON, and the log of what was asked of us."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from keyturn.demo.pages import own_pages_only, page, refused, wants_json
from keyturn.demo.settings import sent
from keyturn.demo.state import Demo, Faults

MOST = 1_000_000
TRUE, FALSE = {"true", "on", "1"}, {"false", "off", "0"}
LOG_LINES = 200


@dataclass(frozen=True)
class Button:
    """One thing to break: what it changes (`field`, by `step` or to the other of two states), in words for a person."""

    action: str
    label: str
    words: str
    field: str = ""
    step: int = 0
    short: bool = False


BUTTONS = (
    Button("expire_access_tokens", "Expire access token now",
           "Nothing visible should happen: the application that reads us renews its token by itself.", short=True),
    Button("short_life", "Give access tokens a life of 20 s",
           "The application that reads us should renew ahead of time. Press again for an hour.",
           "access_token_seconds"),
    Button("toggle_rotation", "Rotate refresh tokens",
           "Each one works once; the application that reads us must keep the newest.", "rotate", short=True),
    Button("toggle_reuse_detection", "Revoke on reuse",
           "A refresh token used twice ends the whole sign-in: somebody must sign in again.", "reuse_detection"),
    Button("revoke_access", "Revoke access",
           "As if Jane had left: the application that reads us says that somebody must sign in again.", short=True),
    Button("api_429", "Return 429", "The next call is told to wait 2 s. Rows come late, none is missing.",
           "api_429s", 1, short=True),
    Button("api_500", "Return 500 three times", "The next calls fail. The application that reads us tries again.",
           "api_500s", 3),
    Button("token_500", "Break the token endpoint once", "It answers 500. The sign-in must survive that.",
           "token_500s", 1),
    Button("token_page", "Answer a token request with a web page", "As a sign-in page in the way would.",
           "token_pages", 1),
    Button("lose_answer", "Lose the answer to a token request",
           "The refresh token is spent, its successor lost on the way. Somebody must sign in again.",
           "lose_token_answers", 1),
    Button("toggle_schema", "Change schema",
           "The total of orders becomes an object, and a column is new.", "schema_changed", short=True),
    Button("toggle_redirect_uri", "Wrong redirect URI",
           "Sign-ins are refused here, with our own error page.", "refuse_redirect_uri", short=True),
    Button("toggle_rate_limit", "Rate limit on events", "One wait of 2 s in the middle of each read.", "rate_limit"),
    Button("heal", "Reset to healthy", "Everything above as at the start. Revoked sign-ins stay revoked."),
)  # fmt: skip
NUMBERS = (
    ("access_token_seconds", "Life of new access tokens", "seconds"),
    ("grace_seconds", "Grace in which a used refresh token works again", "seconds"),
    ("token_delay_seconds", "Let each token request wait", "seconds"),
    ("api_429s", "Answer 429 to the next", "calls"),
    ("api_500s", "Answer 500 to the next", "calls"),
    ("token_500s", "Answer 500 to the next", "token requests"),
    ("token_pages", "Answer with a web page to the next", "token requests"),
    ("lose_token_answers", "Lose the answers to the next", "token requests"),
)


def routes() -> list[Route]:
    """The addresses of the page and of the log."""
    return [
        Route("/break", show, methods=["GET"]),
        Route("/break", break_it, methods=["POST"]),
        Route("/break/log", log),
    ]


async def show(request: Request) -> Response:
    """What can be broken, and what is."""
    faults: Faults = request.app.state.demo.faults
    if wants_json(request):
        return JSONResponse(asdict(faults))
    shown = [(name, label, unit, f"{getattr(faults, name):g}") for name, label, unit in NUMBERS]
    return page(request, "break.html", faults=described(faults), numbers=shown)


@own_pages_only
async def break_it(request: Request) -> Response:
    """Break one thing, set numbers, or heal everything."""
    demo: Demo = request.app.state.demo
    values = await sent(request)
    action = values.pop("action", "")
    app_id = values.pop("app_id", "")
    try:
        if action == "set":
            _set(demo.faults, values)
        else:
            _press(demo, action)
    except ValueError as error:
        return refused(request, 422, "invalid_fault", str(error))
    demo.save()
    if wants_json(request):
        return JSONResponse(asdict(demo.faults))
    return RedirectResponse(f"/console/apps/{app_id}" if app_id in demo.apps else "/break", 303)


def described(faults: Faults, *, short: bool = False) -> list[tuple[Button, str]]:
    """The buttons with what is the case now, in words; `short`: the six that matter most."""
    return [(button, _state(faults, button)) for button in BUTTONS if button.short or not short]


def _state(faults: Faults, button: Button) -> str:
    value = getattr(faults, button.field) if button.field else ""
    if isinstance(value, bool):
        return "on" if value else "off"
    if button.step:
        return f"{value} to come" if value else ""
    return f"{value} s" if button.field else ""


def _press(demo: Demo, action: str) -> None:
    faults = demo.faults
    button = next((button for button in BUTTONS if button.action == action), None)
    if button is None:
        raise ValueError(f"There is no such action. These are: set, {', '.join(b.action for b in BUTTONS)}.")
    if button.action == "expire_access_tokens":
        demo.expire_access_tokens()
    elif button.action == "revoke_access":
        demo.revoke_grants()
    elif button.action == "heal":
        _set(faults, asdict(Faults()))
    elif button.action == "short_life":
        faults.access_token_seconds = 3600 if faults.access_token_seconds < 3600 else 20
    elif button.step:
        setattr(faults, button.field, getattr(faults, button.field) + button.step)
    else:
        setattr(faults, button.field, not getattr(faults, button.field))


def _set(faults: Faults, values: dict[str, Any]) -> None:
    known = {f.name for f in fields(Faults)}
    for name in values:
        if name not in known:
            raise ValueError(f"There is no {name[:80]} to set: {', '.join(sorted(known))} are.")
    for name, value in {name: _value(faults, name, value) for name, value in values.items()}.items():
        setattr(faults, name, value)


def _value(faults: Faults, name: str, given: Any) -> bool | int | float:
    usual, text = getattr(faults, name), str(given).strip().lower()
    if isinstance(usual, bool):
        if text in TRUE | FALSE:
            return text in TRUE
        raise ValueError(f"{name} is true or false.")
    least = 1 if name == "access_token_seconds" else 0
    try:
        value = float(text) if isinstance(usual, float) else int(text)
    except ValueError:
        value = math.nan
    if not least <= value <= MOST:
        raise ValueError(f"{name} is a number from {least} to {MOST:,}.")
    return value


async def log(request: Request) -> Response:
    """The newest token requests and API calls, without a secret in them."""
    demo: Demo = request.app.state.demo
    token_requests = demo.token_requests[-LOG_LINES:]
    if "text/html" not in request.headers.get("accept", ""):
        return JSONResponse({"token_requests": token_requests})
    calls = demo.api_requests[-LOG_LINES:]
    return page(request, "log.html", token_requests=_newest_first(token_requests), calls=_newest_first(calls))


def _newest_first(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {**entry, "time": datetime.fromtimestamp(entry["at"], UTC).strftime("%H:%M:%S")} for entry in reversed(entries)
    ]
