"""Blanks in URLs, as in https://{subdomain}.endsystem.com, filled in safely. The result is checked like any URL."""

from __future__ import annotations

import re
from collections.abc import Mapping
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


def check_template(template: str, variables: Mapping[str, Variable]) -> str:
    """A URL that may have blanks, each of them known and in a place of its kind. Raises `UrlProblem`."""
    fill(template, variables, dict.fromkeys(names_in(template), "x"))
    return template.strip()


def fill(template: str, variables: Mapping[str, Variable], values: Mapping[str, str]) -> str:
    """`template` with every blank filled, in its normal form (`check_url`).

    A `dns_label` is one label of a host name; a `path_segment` one segment of a path, percent-encoded. An admin's
    own `value` wins over `values`. Raises `UrlProblem` for a blank without a fitting value or in a wrong place.
    """
    host = _UP_TO_PATH.match(template.strip())
    host_end = host.end() if host else 0

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

    return check_url(_BLANK.sub(put, template.strip()))


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
