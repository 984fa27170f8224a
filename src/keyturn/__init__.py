"""Keyturn: a team's REST APIs, signed in once with OAuth 2.0, read for ever as tables.

`connect()` answers the Python client; the errors it raises are here too. Importing this loads no server code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keyturn.client.workspace import connect
    from keyturn.errors import (
        ClientRefused,
        Conflict,
        Forbidden,
        IncompleteData,
        Invalid,
        KeyturnError,
        LimitReached,
        NotFound,
        ReconnectNeeded,
        Unauthenticated,
        Unavailable,
        UpstreamError,
        UpstreamTimeout,
    )

__version__ = "0.1.0"
__all__ = [
    "ClientRefused",
    "Conflict",
    "Forbidden",
    "IncompleteData",
    "Invalid",
    "KeyturnError",
    "LimitReached",
    "NotFound",
    "ReconnectNeeded",
    "Unauthenticated",
    "Unavailable",
    "UpstreamError",
    "UpstreamTimeout",
    "__version__",
    "connect",
]


def __getattr__(name: str) -> Any:
    if name == "connect":
        from keyturn.client.workspace import connect

        return connect
    if name in __all__:
        from keyturn import errors

        return getattr(errors, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
