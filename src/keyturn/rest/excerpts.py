"""What came, for people to read: JSON text indented without losing a digit, also where it was cut. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

from keyturn import redaction
from keyturn.rest.fillings import names_secret

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"?|[{}\[\],:]|[^\s{}\[\],:"]+')
_PAGING = ("page", "next", "cursor", "continuation", "sync")
_PLAIN = frozenset({"code", "state", "nonce"})
# Of what is sent alone: as a field of an answer they are data.
_SENT_NAMES = "key sig signature auth jwt sid session sessionid session_id pass pwd"
_SENT = frozenset(_SENT_NAMES.split())


def hides(name: str) -> bool:
    """Whether the value of a parameter, header or field is masked; `state=open` and `page_token` are plain data."""
    low = name.lower()
    return redaction.is_secret_name(name) and low not in _PLAIN and not low.startswith(_PAGING)


def hides_sent(name: str) -> bool:
    """The same of a parameter or header that we send, where `key` and `sig` are no data either."""
    return hides(name) or name.lower() in _SENT


def indented(text: str) -> str:
    """JSON text with a line for each value, secrets masked by their names; text that is no JSON stays as it is.

    `{{secret:NAME}}`, which stands for one, is shown.
    """
    if not text.lstrip().startswith(("{", "[")):
        return text
    lines = _Lines()
    tokens = _TOKEN.findall(text)
    for at, token in enumerate(tokens):
        following = tokens[at + 1] if at + 1 < len(tokens) else ""
        lines.add(token, following)
    return lines.text


class _Lines:
    """Writes tokens; `name` is the field whose value comes next."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._depth = 0
        self._name = ""
        self._writers: dict[str, Callable[[str, str], None]] = {
            "{": self._open, "[": self._open, "}": self._close, "]": self._close, ",": self._comma, ":": self._colon,
        }  # fmt: skip
        self._last = ""

    @property
    def text(self) -> str:
        return "".join(self._parts)

    def add(self, token: str, following: str) -> None:
        self._writers.get(token, self._value)(token, following)
        self._last = token

    def _line(self) -> None:
        self._parts.append("\n" + "  " * self._depth)

    def _open(self, token: str, following: str) -> None:
        self._name = ""
        self._parts.append(token)
        if following not in {"}", "]"}:
            self._depth += 1
            self._line()

    def _close(self, token: str, _: str) -> None:
        if self._last not in {"{", "["}:
            self._depth = max(0, self._depth - 1)
            self._line()
        self._parts.append(token)

    def _comma(self, token: str, _: str) -> None:
        self._name = ""
        self._parts.append(token)
        self._line()

    def _colon(self, _: str, __: str) -> None:
        self._parts.append(": ")

    def _value(self, token: str, following: str) -> None:
        if following == ":":
            self._name = token.strip('"')
        elif self._name and token not in {"null", '""'} and hides(self._name) and not names_secret(token):
            token = f'"{redaction.MASK}"'
        self._parts.append(token)
