"""Types and rules that the settings of `quirks` share: parameters, headers, paths, URLs. They have no effects."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict

from keyturn.oauth.urls import UrlProblem, check_url
from keyturn.redaction import is_secret_name

# What the protocol itself sets: `params` may not touch it, `rename` and `omit` may move some of it.
RESERVED_PARAMETERS = frozenset(
    {
        "state",
        "code",
        "code_verifier",
        "code_challenge",
        "code_challenge_method",
        "redirect_uri",
        "client_secret",
        "client_assertion",
        "client_assertion_type",
        "request_uri",
        "dpop_jkt",
        "grant_type",
        "refresh_token",
        "response_type",
        "nonce",
    }
)
# Without these an attempt is not bound to its browser, or the grant is not in the request at all.
NEVER_DROPPED = frozenset(
    {"state", "code", "code_verifier", "code_challenge", "code_challenge_method", "refresh_token", "nonce"}
)
RESERVED_HEADERS = frozenset(
    {
        "host",
        "content-length",
        "content-type",
        "cookie",
        "authorization",
        "dpop",
        "proxy-authorization",
        "connection",
        "transfer-encoding",
        "te",
        "trailer",
        "upgrade",
        "expect",
    }
)
_MAX_ENTRIES = 50
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
# What is said to whoever is gone back to.
_OURS_ON_RETURN = frozenset({"connect_link", "status"})
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_PATH = re.compile(r"[A-Za-z0-9_:@/$-]+(?:\.[A-Za-z0-9_:@/$-]+){0,9}")
_BLANK = re.compile(r"\{[^{}]*\}")
_HOST = re.compile(r"(?:\*\.)?(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*")


class Part(BaseModel):
    """Base of the settings here: frozen, unknown keys refused by name, dumped by the names they are written with."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        str_max_length=4000,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
    )


def _parameter_name(name: str) -> str:
    if not name or len(name) > 100 or any(ord(c) <= 32 or ord(c) == 127 for c in name):
        raise ValueError("A parameter needs a name without blanks, of at most 100 characters.")
    return name


def _visible(value: str) -> str:
    if any(ord(c) < 32 or 127 <= ord(c) < 160 for c in value):
        raise ValueError("This holds a character that cannot be typed. Remove it.")
    return value


def _few(values: Mapping[str, str | None]) -> None:
    if len(values) > _MAX_ENTRIES:
        raise ValueError(f"At most {_MAX_ENTRIES} entries.")


def _params(values: dict[str, str]) -> dict[str, str]:
    _few(values)
    for name, value in values.items():
        if _parameter_name(name) in RESERVED_PARAMETERS:
            raise ValueError(f"The parameter {name} is set by OAuth 2.0 itself and cannot be given here.")
        _visible(value)
    return values


def _rename(values: dict[str, str | None]) -> dict[str, str | None]:
    _few(values)
    # A form has no null, and in a merge patch it would take the name away (RFC 7396).
    values = {name: target or None for name, target in values.items()}
    targets = [target for target in values.values() if target is not None]
    for name, target in values.items():
        if target is None:
            _check_droppable(_parameter_name(name))
        elif _parameter_name(target) in RESERVED_PARAMETERS and target not in values:
            raise ValueError(f"{_parameter_name(name)} cannot be renamed to {target}, which OAuth 2.0 uses itself.")
    if len(set(targets)) != len(targets):
        raise ValueError("Two parameters cannot be renamed to the same name.")
    return values


def _check_droppable(name: str) -> None:
    if name in NEVER_DROPPED:
        raise ValueError(f"The parameter {name} cannot be left out.")


def _omit(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        _check_droppable(_parameter_name(name))
    return names


def _headers(values: dict[str, str]) -> dict[str, str]:
    _few(values)
    seen: set[str] = set()
    for name, value in values.items():
        header_name(name)
        if name.lower() in seen:
            raise ValueError(f"The header {name} is given twice.")
        seen.add(name.lower())
        header_value(value)
    return values


def header_name(name: str) -> str:
    """A header field's name that may be set here (RFC 9110 §5.1). Raises `ValueError`."""
    if not _TOKEN.fullmatch(name):
        raise ValueError("A header needs a name of letters, digits and hyphens.")
    if name.lower() in RESERVED_HEADERS:
        raise ValueError(f"The header {name} cannot be set here.")
    return name


def header_value(value: str) -> str:
    """A header field's value: visible ASCII and blanks. Raises `ValueError`."""
    if not all(32 <= ord(c) < 127 for c in value):
        raise ValueError("A header’s value holds only letters, digits, signs and blanks of ASCII.")
    return value


def _path(value: str) -> str:
    if not _PATH.fullmatch(value):
        raise ValueError("A path is keys and numbers joined by dots, for example data.0.id.")
    return value


def _paths(values: tuple[str, ...]) -> tuple[str, ...]:
    if len(values) > _MAX_ENTRIES:
        raise ValueError(f"At most {_MAX_ENTRIES} entries.")
    return values


def _url(value: str) -> str:
    """A URL, or one with blanks (`{name}`): those are checked with the variables that fill them."""
    blank = _BLANK.sub("x", value)
    try:
        checked = check_url(blank)
    except UrlProblem as problem:
        raise ValueError(problem.message) from None
    return checked if blank == value else value.strip()


def _base(value: str) -> str:
    """Where an API begins; the whole address may be told by the sign-in: `{instance_url}/v1`."""
    whole = _BLANK.match(value.strip())
    _url(value if whole is None else "https://x.example" + value.strip()[whole.end() :])
    if "?" in value or "#" in value:
        raise ValueError("A Base URL has no query and no fragment.")
    return value.strip().rstrip("/")


def _kept(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in _paths(values):
        if is_secret_name(value.rpartition(".")[2]) or value in {"code", "state"}:
            raise ValueError(f"{value} is a secret, which is not kept as a value.")
    return values


def _issuer(value: str) -> str:
    """Kept byte for byte, since it is compared so (RFC 8414 §2, RFC 9207 §2.4)."""
    value = value.strip()
    _url(value)
    if urlsplit(value).query or value.endswith("?"):
        raise ValueError("An issuer has no query. Remove the part from ? on.")
    return value


def _resources(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        parts = urlsplit(value)
        # RFC 8707 §2: absolute, without a fragment; not always an http address.
        if not parts.scheme or not (parts.netloc or parts.path) or "#" in value or not value.isascii() or " " in value:
            raise ValueError("A resource is an absolute URI without a fragment, for example https://api.endsystem.com")
    return _paths(values)


def _hosts(values: tuple[str, ...]) -> tuple[str, ...]:
    hosts = tuple(value.strip().lower().removesuffix(".") for value in values)
    for host in hosts:
        if not _HOST.fullmatch(host):
            raise ValueError("A host looks like api.endsystem.com, or *.endsystem.com for every host under it.")
        if host.startswith("*.") and "." not in host[2:]:
            raise ValueError(f"{host} would allow a whole top-level domain. Name at least two labels.")
    return _paths(hosts)


def _return_urls(values: tuple[str, ...]) -> tuple[str, ...]:
    """Whole addresses, compared letter by letter (RFC 9700 §4.11.1): https, or http on the machine itself."""
    found = []
    for value in values:
        if "*" in value:
            raise ValueError("A return URL is compared letter by letter, so * stands for nothing. Write each in full.")
        try:
            checked = check_url(value)
        except UrlProblem as problem:
            raise ValueError(problem.message) from None
        parts = urlsplit(checked)
        if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
            raise ValueError("A return URL begins with https. Plain http is for localhost alone.")
        if {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)} & _OURS_ON_RETURN:
            raise ValueError("Leave connect_link and status out of a return URL: we add them.")
        found.append(checked)
    return _paths(tuple(found))


Text = Annotated[str, AfterValidator(_visible)]
ParameterName = Annotated[str, AfterValidator(_parameter_name), AfterValidator(_visible)]
Params = Annotated[dict[str, str], AfterValidator(_params)]
Rename = Annotated[dict[str, str | None], AfterValidator(_rename)]
Omit = Annotated[tuple[str, ...], AfterValidator(_omit)]
HeaderFields = Annotated[dict[str, str], AfterValidator(_headers)]
HeaderValue = Annotated[str, AfterValidator(header_value)]
Path = Annotated[str, AfterValidator(_path)]
KeptPaths = Annotated[tuple[Path, ...], AfterValidator(_kept)]
KeptNames = Annotated[tuple[ParameterName, ...], AfterValidator(_kept)]
BaseUrl = Annotated[str, AfterValidator(_base)]
Url = Annotated[str, AfterValidator(_url)]
Issuer = Annotated[str, AfterValidator(_issuer)]
Resources = Annotated[tuple[Text, ...], AfterValidator(_resources)]
Hosts = Annotated[tuple[str, ...], AfterValidator(_hosts)]
ReturnUrls = Annotated[tuple[str, ...], AfterValidator(_return_urls)]
