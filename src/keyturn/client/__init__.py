"""The Python client: the verbs of the HTTP API as objects. It must not import any code of the server.

`connect()` answers a `Workspace`; everything else hangs on that. Arrow is loaded only when rows are read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keyturn.client.workspace import Workspace, connect

__all__ = ["Workspace", "connect"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from keyturn.client import workspace

        return getattr(workspace, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
