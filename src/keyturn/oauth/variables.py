"""Blanks in URLs, as in https://{subdomain}.endsystem.com, filled in safely. The result is checked like any URL."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from keyturn.oauth.quirks import Variable
from keyturn.oauth.urls import UrlProblem, check_url

_BLANK = re.compile(r"\{([^{}]*)\}")
_UP_TO_PATH = re.compile(r"(?i)https?://[^/?#]*")
_DNS_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_MAX_SEGMENT = 200


def names_in(template: str) -> tuple[str, ...]:
    """The names of the blanks in a URL, each once, in order."""
    return tuple(dict.fromkeys(_BLANK.findall(template)))


def in_place(template: str) -> str:
    """The same with something harmless in each blank, so that the rest of it can be checked."""
    return _BLANK.sub("x", template)


def check_template(template: str, variables: Mapping[str, Variable]) -> str:
    """A URL that may have blanks, each of them known and in a place of its kind. Raises `UrlProblem`.

    What a member fills in stands before a fixed domain: else they could name the host that gets the secret.
    """
    fill(template, variables, dict.fromkeys(names_in(template), "x"))
    host = _UP_TO_PATH.match(template.strip())
    domain = ".".join((host.group() if host else "").partition("://")[2].split(".")[-2:])
    for name in names_in(domain):
        if variables[name].value is None:
            raise UrlProblem(
                "variable",
                f"{{{name}}} must stand before a fixed domain, as in https://{{{name}}}.endsystem.com: "
                "else whoever fills it in could name any host.",
            )
    return template.strip()


def check_base(template: str, variables: Mapping[str, Variable], kept: Sequence[str]) -> None:
    """An API base URL whose blanks are variables and values that a sign-in tells. Raises `UrlProblem`."""
    whole = _whole_address(template, variables)
    values = dict.fromkeys(kept, "x") | ({whole: "https://x.example"} if whole else {})
    fill_base(template, variables, dict.fromkeys(names_in(template), "x"), values)
    if not told_by_sign_in(template, variables):
        check_template(template, variables)


def told_by_sign_in(template: str, variables: Mapping[str, Variable]) -> bool:
    """Whether a base URL has blanks that only a sign-in fills."""
    return any(name not in variables for name in names_in(template))


def fill(template: str, variables: Mapping[str, Variable], values: Mapping[str, str]) -> str:
    """`template` with every blank filled, in its normal form (`check_url`).

    A `dns_label` is one label of a host name; a `path_segment` one segment of a path, percent-encoded. An admin's
    own `value` wins over `values`. Raises `UrlProblem` for a blank without a fitting value or in a wrong place.
    """
    template = template.strip()
    host = _UP_TO_PATH.match(template)
    return check_url(_filled(template, variables, values, host_end=host.end() if host else 0))


def fill_base(
    template: str, variables: Mapping[str, Variable], values: Mapping[str, str], kept: Mapping[str, object]
) -> str:
    """An API base URL, with what a sign-in told: a whole address at its beginning, one label or segment elsewhere.

    Raises `UrlProblem`; that the host is one the tokens may go to is for the caller to see.
    """
    rest, start = template.strip(), ""
    for name in names_in(rest):
        if name not in variables and kept.get(name) in {None, ""}:
            raise UrlProblem("kept", f"The sign-in did not tell {name}, which the Base URL is made of.")
    whole = _whole_address(rest, variables)
    if whole is not None:
        start, rest = check_url(str(kept[whole])).rstrip("/"), rest.removeprefix(f"{{{whole}}}")
        if "?" in start or (rest and not rest.startswith("/")):
            raise UrlProblem("kept", f"What the sign-in told as {whole} cannot begin a Base URL.")
    host = None if start else _UP_TO_PATH.match(rest)
    host_end = host.end() if host else 0
    known, given = dict(variables), dict(values)
    for name in names_in(rest):
        if name not in variables:
            in_host = rest.index(f"{{{name}}}") < host_end
            known[name] = Variable(label=name, kind="dns_label" if in_host else "path_segment")
            given[name] = str(kept[name])
    return check_url(start + _filled(rest, known, given, host_end=host_end)).rstrip("/")


def _whole_address(template: str, variables: Mapping[str, Variable]) -> str | None:
    first = _BLANK.match(template.strip())
    return first.group(1) if first and first.group(1) not in variables else None


def _filled(template: str, variables: Mapping[str, Variable], values: Mapping[str, str], *, host_end: int) -> str:
    def put(match: re.Match[str]) -> str:
        name = match.group(1)
        variable = variables.get(name)
        if variable is None:
            raise UrlProblem("variable", f"{{{name}}} is not a variable of this client.")
        in_host = match.start() < host_end
        if in_host != (variable.kind == "dns_label"):
            place = "host name" if variable.kind == "dns_label" else "path"
            raise UrlProblem("variable", f"{{{name}}} may stand in the {place} only.")
        return _fitting(name, variable, variable.value if variable.value is not None else values.get(name, ""))

    return _BLANK.sub(put, template)


def _fitting(name: str, variable: Variable, value: str) -> str:
    what = variable.label or name
    if variable.kind == "dns_label":
        value = value.strip().lower()
        if not _DNS_LABEL.fullmatch(value):
            raise UrlProblem("variable", f"{what}: enter letters, digits and hyphens only, without dots.")
        return value
    if not value or len(value) > _MAX_SEGMENT or value in {".", ".."} or not value.isprintable():
        raise UrlProblem("variable", f"{what}: enter one part of a path, at most {_MAX_SEGMENT} characters.")
    return quote(value, safe="")
