"""Every error raised on purpose, as a tree. It must not know HTTP statuses or exit codes: edges map the codes.

KeyturnError
├── Invalid              the caller repairs it; carries where
├── Unauthenticated      the caller signs in
├── Forbidden            an admin gives the permission
├── NotFound             also: not yours
│   └── Gone             nobody: it was there, and was removed on purpose
├── Conflict             the caller
├── ReconnectNeeded      the person who signed in
├── IncompleteData       the table's owner
├── ClientRefused        a Workspace Admin: the OAuth client's id or secret
├── LimitReached         time; carries retry_after_seconds
├── Unavailable          time; carries retry_after_seconds
└── UpstreamError        the end system
    └── UpstreamTimeout  time
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class Problem:
    """One field that is wrong: `at` is its dotted path, `message` says what and how to fix it."""

    at: str
    message: str


class KeyturnError(Exception):
    """Base of all errors raised on purpose.

    `code` is the stable machine word of the class; `message_code` the `E-…` entry of the message
    dictionary, if one applies; `message` is one or two sentences for a person, without secrets;
    `details` are further JSON-safe values for programs (for example `reconnect_url`).
    """

    code: ClassVar[str] = "internal"

    def __init__(self, message: str, *, message_code: str | None = None, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.message_code = message_code
        self.details = details


class Invalid(KeyturnError):
    """The request cannot be right. Carries `problems`, one for each wrong field."""

    code = "invalid"

    def __init__(
        self,
        message: str = "",
        *,
        problems: tuple[Problem, ...] = (),
        at: str | None = None,
        message_code: str | None = None,
        **details: Any,
    ) -> None:
        if at is not None:
            problems = (*problems, Problem(at, message))
        super().__init__(message or _summary(problems), message_code=message_code, **details)
        self.problems = problems


class Unauthenticated(KeyturnError):
    """We do not know who asks."""

    code = "unauthenticated"


class Forbidden(KeyturnError):
    """We know who asks, and they may not."""

    code = "forbidden"


class NotFound(KeyturnError):
    """No such thing, or not in the caller's workspace: both answer alike."""

    code = "not_found"


class Gone(NotFound):
    """It was there and was removed on purpose; the message says when and why."""

    code = "gone"


class Conflict(KeyturnError):
    """It clashes with what is there. Carries `problems` like `Invalid` where one field is the cause."""

    code = "conflict"

    def __init__(self, message: str, *, at: str | None = None, message_code: str | None = None, **details: Any) -> None:
        super().__init__(message, message_code=message_code, **details)
        self.problems = () if at is None else (Problem(at, message),)


class ReconnectNeeded(KeyturnError):
    """A person has to sign in again. `details`: `connection`, `account`, `reason`, `reconnect_url`."""

    code = "reconnect_needed"

    @property
    def connection(self) -> str | None:
        """The connection's name."""
        return self.details.get("connection")

    @property
    def account(self) -> str | None:
        """Who was signed in, if anybody was."""
        return self.details.get("account")

    @property
    def reason(self) -> str | None:
        """Why, in the authorization server's or our own short word."""
        return self.details.get("reason")

    @property
    def reconnect_url(self) -> str | None:
        """The page on which a person signs in again."""
        return self.details.get("reconnect_url")

    @property
    def fix(self) -> str:
        """What a person does now."""
        name = self.connection or "NAME"
        page = f", or open {self.reconnect_url}" if self.reconnect_url else ""
        return f"keyturn connections connect {name}{page}"


class IncompleteData(KeyturnError):
    """A read ended without all its rows. `details`: `completeness` (the stamp)."""

    code = "incomplete_data"


class ClientRefused(KeyturnError):
    """The authorization server refused our client id or secret."""

    code = "client_refused"


class LimitReached(KeyturnError):
    """Too many requests, theirs or ours. `retry_after_seconds` says when to come back."""

    code = "limit_reached"

    def __init__(
        self, message: str, *, retry_after_seconds: float, message_code: str | None = None, **details: Any
    ) -> None:
        super().__init__(message, message_code=message_code, **details)
        self.retry_after_seconds = retry_after_seconds


class Unavailable(KeyturnError):
    """It cannot be done just now. `retry_after_seconds` says when to come back."""

    code = "unavailable"

    def __init__(
        self, message: str, *, retry_after_seconds: float = 1.0, message_code: str | None = None, **details: Any
    ) -> None:
        super().__init__(message, message_code=message_code, **details)
        self.retry_after_seconds = retry_after_seconds


class UpstreamError(KeyturnError):
    """The end system failed or answered nonsense. `details`: `status`, `excerpt` (short, redacted).

    `sent` says whether the request can have reached the end system (RFC 9110 §9.2.2: only what
    surely was not received may be repeated without thought); None when it is not known.
    """

    code = "upstream"

    def __init__(
        self, message: str, *, sent: bool | None = None, message_code: str | None = None, **details: Any
    ) -> None:
        super().__init__(message, message_code=message_code, **details)
        self.sent = sent


class UpstreamTimeout(UpstreamError):
    """The end system did not answer in time."""

    code = "upstream_timeout"


def _summary(problems: tuple[Problem, ...]) -> str:
    if len(problems) == 1:
        return problems[0].message
    return f"{len(problems)} things to fix. Everything you sent is listed by field."


def by_code() -> dict[str, type[KeyturnError]]:
    """Every class that has a code of its own by it: the table the Python client inverts."""
    found: dict[str, type[KeyturnError]] = {}
    todo = list(KeyturnError.__subclasses__())
    while todo:
        cls = todo.pop()
        if "code" in vars(cls):
            found[cls.code] = cls
        todo.extend(cls.__subclasses__())
    return found
