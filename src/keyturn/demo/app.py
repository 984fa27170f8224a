"""The demo end system as one ASGI app."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from keyturn.demo import api, authorization_server, console, faults
from keyturn.demo.pages import FOLDER, http_error
from keyturn.demo.state import Demo


def create_app(public_url: str, *, data_path: Path | None = None, clock: Callable[[], float] = time.time) -> Starlette:
    """The app at `public_url` (no slash at its end). `data_path`: a JSON file that survives restarts; None: memory.

    `app.state.demo` is the state, faults and the log of token requests included.
    """
    app = Starlette(
        routes=[
            *console.routes(),
            *faults.routes(),
            *authorization_server.routes(),
            *api.routes(),
            Mount("/static", StaticFiles(directory=FOLDER / "static")),
        ],
        exception_handlers={HTTPException: http_error},
    )
    demo = Demo(data_path, clock)
    demo.load()
    app.state.demo = demo
    app.state.public_url = public_url
    app.state.waited = set()
    return app
