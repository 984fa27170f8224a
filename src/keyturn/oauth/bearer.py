"""Bearer tokens in calls (RFC 6750): where the token goes, and which answers mean that it is over."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from keyturn.oauth.bodies import at, object_of, text_of
from keyturn.oauth.quirks import STANDARD, Api, BodyMatch
from keyturn.wire import Headers, Request, Response, with_query

_MAX_LENGTH = 8192
_MAX_CHALLENGES = 50
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PARAMETER = re.compile(rf"[\s,]*({_TOKEN})\s*=\s*({_TOKEN}(?=[\s,]|$)|{_QUOTED})")
_SCHEME = re.compile(rf"[\s,]*({_TOKEN})(?:\s+([A-Za-z0-9._~+/-]+=*)(?=\s*(?:,|$)))?")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge of WWW-Authenticate (RFC 9110 §11.6.1): scheme and parameter names in lower case."""

    scheme: str
    parameters: dict[str, str] = field(default_factory=dict)


def place_token(request: Request, token: str, api: Api = STANDARD.api, *, bound: bool = False) -> Request:
    """`request` with the token in one place only, in the place of what stood there, and the API's fixed headers.

    Headers that the request has already are kept. A token that is `bound` to a key has one place (RFC 9449 §7.1).
    """
    for name, value in api.headers.items():
        if request.headers.get(name) is None:
            request = request.with_header(name, value)
    request = replace(request, headers=request.headers.without("Authorization", api.placement.header))
    if bound:
        return request.with_header("Authorization", f"DPoP {token}")
    if api.placement.query is not None:
        return replace(request, url=with_query(request.url, {api.placement.query: token}))
    return request.with_header(api.placement.header, api.placement.prefix + token)


def looks_expired(response: Response, api: Api = STANDARD.api) -> bool:
    """Whether an answer means that the token is over, so that a refresh may help.

    `invalid_token` always does, `insufficient_scope` never (RFC 6750 §3.1); else the settings' statuses, with the
    body they ask for except at 401. Challenges of other schemes say nothing.
    """
    errors = {challenge.parameters.get("error") for challenge in _bearer(response.headers)}
    if "insufficient_scope" in errors:
        return False
    if "invalid_token" in errors and response.status in {400, 401, 403}:
        return True
    when = api.expired_when
    if response.status not in when.status:
        return False
    return when.body is None or response.status == 401 or _matches(response, when.body)


def invalid_token(response: Response) -> bool:
    """Whether the API says in as many words that the token is over, taken back, or not known to it (RFC 6750 §3.1)."""
    return any(challenge.parameters.get("error") == "invalid_token" for challenge in _bearer(response.headers))


def insufficient_scope(response: Response) -> bool:
    """Whether the API says that the token is good and its scopes are too narrow (RFC 6750 §3.1)."""
    return any(challenge.parameters.get("error") == "insufficient_scope" for challenge in _bearer(response.headers))


def challenges(headers: Headers) -> tuple[Challenge, ...]:
    """Every challenge in WWW-Authenticate, as far as it can be read (RFC 9110 §11.6.1)."""
    found: list[Challenge] = []
    for value in headers.get_all("www-authenticate"):
        found += _challenges(value[:_MAX_LENGTH])
    return tuple(found[:_MAX_CHALLENGES])


def _challenges(value: str) -> list[Challenge]:
    found: list[Challenge] = []
    position = 0
    while position < len(value):
        match = _PARAMETER.match(value, position)
        if match and found:
            found[-1].parameters.setdefault(match.group(1).lower(), _unquoted(match.group(2)))
        elif match := _SCHEME.match(value, position):
            found.append(Challenge(match.group(1).lower()))
        else:
            break
        position = match.end()
    return found


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


def _bearer(headers: Headers) -> list[Challenge]:
    return [challenge for challenge in challenges(headers) if challenge.scheme in {"bearer", "dpop"}]


def _matches(response: Response, wanted: BodyMatch) -> bool:
    found = object_of(response)
    value = None if found is None else at(found, wanted.path)
    return any(
        value == item or (text_of(value) is not None and text_of(value) == text_of(item)) for item in wanted.values
    )
