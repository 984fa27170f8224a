"""The authorization server: consent page, token endpoint with rotation and reuse detection, revocation, metadata."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit, urlunsplit

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from keyturn.demo.pages import bearer, page, sent_from_elsewhere
from keyturn.demo.state import PEOPLE, SCOPES, ClientApp, Code, Demo, Grant, Token, hashed

CODE_SECONDS = 60.0
GRANT_TYPES = ("authorization_code", "refresh_token")
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class Refused(Exception):
    """An RFC 6749 §5.2 error answer."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(error)
        self.error, self.description, self.status = error, description, status


def routes() -> list[Route]:
    """The authorization server's addresses."""
    return [
        Route("/.well-known/oauth-authorization-server", metadata),
        Route("/oauth2/authorize", authorize, methods=["GET"]),
        Route("/oauth2/authorize", decide, methods=["POST"]),
        Route("/oauth2/token", token, methods=["POST"]),
        Route("/oauth2/revoke", revoke, methods=["POST"]),
        Route("/oauth2/userinfo", userinfo),
    ]


async def metadata(request: Request) -> Response:
    """RFC 8414."""
    url = request.app.state.public_url
    return JSONResponse(
        {
            "issuer": url,
            "authorization_endpoint": f"{url}/oauth2/authorize",
            "token_endpoint": f"{url}/oauth2/token",
            "revocation_endpoint": f"{url}/oauth2/revoke",
            "userinfo_endpoint": f"{url}/oauth2/userinfo",
            "scopes_supported": list(SCOPES),
            "response_types_supported": ["code"],
            "grant_types_supported": list(GRANT_TYPES),
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        }
    )


async def authorize(request: Request) -> Response:
    """The consent page; what is wrong with app or redirect URI is said here and never sent anywhere."""
    demo: Demo = request.app.state.demo
    query = request.query_params
    app = demo.apps.get(query.get("client_id", ""))
    if app is None:
        return _own_error(request, "invalid_client", f"No app has the Client ID {query.get('client_id', '')!r}.")
    redirect_uri = query.get("redirect_uri", "")
    if redirect_uri not in app.redirect_uris or demo.faults.refuse_redirect_uri:
        return _own_error(
            request,
            "redirect_uri_mismatch",
            f"The redirect URI in the request, {redirect_uri}, is not one of those registered for {app.name}.",
        )
    wrong = _wrong_request(app, query)
    if wrong is not None:
        return _back(request, redirect_uri, query.get("state"), error=wrong[0], error_description=wrong[1])
    scopes = query.get("scope", "").split() or app.scopes
    return page(
        request,
        "consent.html",
        app=app,
        scopes=[(scope, SCOPES[scope]) for scope in scopes],
        hidden=[(name, query.get(name, "")) for name in HIDDEN],
        people=PEOPLE,
        form_goes_to=redirect_uri,
    )


HIDDEN = ("client_id", "redirect_uri", "scope", "state", "code_challenge", "code_challenge_method")


async def decide(request: Request) -> Response:
    """Allow or deny."""
    demo: Demo = request.app.state.demo
    form = {name: str(value) for name, value in (await request.form()).items()}
    app = demo.apps.get(form.get("client_id", ""))
    redirect_uri = form.get("redirect_uri", "")
    if app is None or redirect_uri not in app.redirect_uris:
        return _own_error(request, "invalid_request", "This form is out of date. Start again.")
    if sent_from_elsewhere(request):
        return _own_error(request, "invalid_request", "This form was sent from elsewhere.")
    if form.get("decision") != "allow":
        description = "The person did not allow it."
        return _back(request, redirect_uri, form.get("state"), error="access_denied", error_description=description)
    person = form.get("account", "jane")
    wanted = form.get("scope", "").split() or app.scopes
    grant = Grant(
        secrets.token_hex(8), app.id, person if person in PEOPLE else "jane", [s for s in wanted if s in app.scopes]
    )
    code = secrets.token_urlsafe(24)
    demo.grants[grant.id] = grant
    demo.codes[hashed(code)] = Code(
        grant.id, redirect_uri, form.get("code_challenge") or None, demo.clock() + CODE_SECONDS
    )
    demo.save()
    return _back(request, redirect_uri, form.get("state"), code=code)


async def token(request: Request) -> Response:
    """The token endpoint, after the faults that are switched on had their turn."""
    demo: Demo = request.app.state.demo
    entry = demo.log_token_request()
    broken = await _broken_answer(demo, entry)
    if broken is not None:
        return broken
    try:
        form = await _form(request)
        entry["grant_type"] = form["grant_type"] if form.get("grant_type") in GRANT_TYPES else "other"
        client_id, secret, entry["client_authentication"] = _credentials(request, form)
        entry["client_id"] = client_id if client_id in demo.apps else None
        app = _authenticated(client_id, secret, demo)
        answer = _exchange(form, app, demo)
    except Refused as error:
        entry["outcome"] = error.error
        return _refusal(request, error)
    demo.save()
    if demo.faults.lose_token_answers > 0:
        demo.faults.lose_token_answers -= 1
        entry["outcome"] = "lost"
        return Response(b'{"access_tok', headers={"Content-Type": "application/json", "Content-Length": "12"})
    entry["outcome"] = "ok"
    return JSONResponse(answer, headers=NO_STORE)


async def _broken_answer(demo: Demo, entry: dict[str, Any]) -> Response | None:
    """What a token request gets while the token endpoint is broken on purpose."""
    if demo.faults.token_delay_seconds:
        await asyncio.sleep(demo.faults.token_delay_seconds)
    if demo.faults.token_500s > 0:
        demo.faults.token_500s -= 1
        entry["outcome"] = "500"
        return JSONResponse({"error": "server_error"}, 500, NO_STORE)
    if demo.faults.token_pages > 0:
        demo.faults.token_pages -= 1
        entry["outcome"] = "web page"
        return HTMLResponse("<!doctype html><title>Sign in</title><h1>Sign in</h1>")
    return None


async def _form(request: Request) -> dict[str, str]:
    """The body of a token or revocation request; RFC 6749 §3.2: a field may come once."""
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        raise Refused("invalid_request", "Send the fields as application/x-www-form-urlencoded.")
    sent = parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True)
    if len({name for name, _ in sent}) < len(sent):
        raise Refused("invalid_request", "A field was sent twice.")
    return {name: value for name, value in sent if value}


def _refusal(request: Request, error: Refused) -> Response:
    headers = dict(NO_STORE)
    if error.status == 401 and "authorization" in request.headers:
        headers["WWW-Authenticate"] = 'Basic realm="Demo CRM"'
    return JSONResponse({"error": error.error, "error_description": error.description}, error.status, headers)


async def revoke(request: Request) -> Response:
    """RFC 7009: 200 for unknown tokens too."""
    demo: Demo = request.app.state.demo
    try:
        form = await _form(request)
        client_id, secret, _ = _credentials(request, form)
        app = _authenticated(client_id, secret, demo)
        value = _field(form, "token")
    except Refused as error:
        return _refusal(request, error)
    found = demo.tokens.get(hashed(value))
    if found is not None and demo.grants[found.grant_id].app_id == app.id:
        demo.grants[found.grant_id].revoked = True
        demo.save()
    return Response(status_code=200)


async def userinfo(request: Request) -> Response:
    """Whose token it is."""
    demo: Demo = request.app.state.demo
    grant = demo.valid_access(bearer(request))
    if grant is None:
        return JSONResponse({"error": "invalid_token"}, 401, {"WWW-Authenticate": 'Bearer error="invalid_token"'})
    return JSONResponse({"sub": grant.person, "email": PEOPLE[grant.person]})


def _wrong_request(app: ClientApp, query: QueryParams) -> tuple[str, str] | None:
    if len(query) < len(query.multi_items()):
        return "invalid_request", "A parameter was sent twice."
    if "response_type" not in query:
        return "invalid_request", "The parameter response_type is missing."
    if query["response_type"] != "code":
        return "unsupported_response_type", "Only response_type=code is known here."
    if query.get("code_challenge") and query.get("code_challenge_method") != "S256":
        return "invalid_request", "PKCE needs code_challenge_method=S256."
    unknown = [scope for scope in query.get("scope", "").split() if scope not in app.scopes]
    if unknown:
        return "invalid_scope", f"{app.name} may not ask for {' '.join(unknown)}."
    return None


def _credentials(request: Request, form: dict[str, str]) -> tuple[str, str, str]:
    """Client ID, secret and the way they came (RFC 6749 §2.3.1: percent-encoded in a Basic header)."""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return form.get("client_id", ""), form.get("client_secret", ""), "post"
    try:
        user, _, password = base64.b64decode(credentials).decode().partition(":")
    except ValueError:
        raise Refused("invalid_client", "The Basic header cannot be read.", 401) from None
    client_id = unquote_plus(user)
    if "client_secret" in form or form.get("client_id", client_id) != client_id:
        raise Refused("invalid_request", "Two ways of client authentication at once.")
    return client_id, unquote_plus(password), "basic"


def _authenticated(client_id: str, secret: str, demo: Demo) -> ClientApp:
    app = demo.apps.get(client_id)
    if app is None or not any(hmac.compare_digest(s.value_hash, hashed(secret)) for s in app.secrets):
        raise Refused("invalid_client", "Client ID or Client Secret is wrong.", 401)
    return app


def _exchange(form: dict[str, str], app: ClientApp, demo: Demo) -> dict[str, Any]:
    grant_type = _field(form, "grant_type")
    if grant_type == "authorization_code":
        grant = _by_code(form, app, demo)
        refresh = demo.issue(grant, "refresh", None) if "offline_access" in grant.scopes else None
    elif grant_type == "refresh_token":
        grant, refresh = _by_refresh_token(form, app, demo)
    else:
        raise Refused("unsupported_grant_type", "authorization_code and refresh_token are known here.")
    seconds = demo.faults.access_token_seconds
    answer: dict[str, Any] = {
        "access_token": demo.issue(grant, "access", seconds),
        "token_type": "Bearer",
        "expires_in": seconds,
        "scope": " ".join(grant.scopes),
        "email": PEOPLE[grant.person],
    }
    if refresh is not None:
        answer["refresh_token"] = refresh
    return answer


def _by_code(form: dict[str, str], app: ClientApp, demo: Demo) -> Grant:
    code = demo.codes.get(hashed(_field(form, "code")))
    if code is None or demo.grants[code.grant_id].app_id != app.id:
        raise Refused("invalid_grant", "The code is unknown.")
    grant = demo.grants[code.grant_id]
    if code.used:
        grant.revoked = True
        demo.save()
        raise Refused("invalid_grant", "The code was used before; everything issued for it is revoked.")
    if demo.clock() >= code.expires_at:
        raise Refused("invalid_grant", "The code is over. It lives for a minute.")
    if code.redirect_uri != form.get("redirect_uri"):
        raise Refused("invalid_grant", "The redirect URI is another one than at the authorization request.")
    digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
    given = base64.urlsafe_b64encode(digest).rstrip(b"=").decode() if "code_verifier" in form else None
    if given != code.challenge:  # RFC 9700 §2.1.1: a verifier without a challenge is refused too
        raise Refused("invalid_grant", "The code verifier does not match.")
    code.used = True
    return grant


def _by_refresh_token(form: dict[str, str], app: ClientApp, demo: Demo) -> tuple[Grant, str | None]:
    found: Token | None = demo.tokens.get(hashed(_field(form, "refresh_token")))
    if found is None or found.kind != "refresh" or demo.grants[found.grant_id].app_id != app.id:
        raise Refused("invalid_grant", "The refresh token is unknown.")
    grant = demo.grants[found.grant_id]
    if grant.revoked:
        raise Refused("invalid_grant", "Access was revoked.")
    if found.replaced_at is not None and not _in_grace(found.replaced_at, demo):
        if demo.faults.reuse_detection:
            grant.revoked = True
            demo.save()
        raise Refused("invalid_grant", "The refresh token was used before.")
    if not set(form.get("scope", "").split()) <= set(grant.scopes):
        raise Refused("invalid_scope", "A refresh cannot ask for more than was allowed.")
    if not demo.faults.rotate:
        return grant, None
    if found.replaced_at is None:
        found.replaced_at = demo.clock()
    return grant, demo.issue(grant, "refresh", None)


def _in_grace(replaced_at: float, demo: Demo) -> bool:
    return demo.faults.grace_seconds > 0 and demo.clock() - replaced_at <= demo.faults.grace_seconds


def _field(form: dict[str, str], name: str) -> str:
    if name not in form:
        raise Refused("invalid_request", f"The field {name} is missing.")
    return form[name]


def _back(request: Request, redirect_uri: str, state: str | None, **values: str) -> Response:
    parts = urlsplit(redirect_uri)
    query = parse_qsl(parts.query) + list(values.items())
    if state:
        query.append(("state", state))
    query.append(("iss", request.app.state.public_url))
    target = urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(query), ""))
    return RedirectResponse(target, 303, {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})


def _own_error(request: Request, error: str, sentence: str) -> Response:
    return page(request, "error.html", status=400, error=error, sentence=sentence)
