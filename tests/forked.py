"""The command as a process that is forked off one which has everything loaded: a server is there in a fraction of the time.

For tests that need a server which can be killed, and many of them; how the command itself starts is the business of
`test_main.py`, of the terminal's journeys and of the demo, which run the real one. `warmed.py` is what they have at once.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from multiprocessing import forkserver
from pathlib import Path

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(
    ["keyturn.server.commands", "keyturn.web.routes", "keyturn.simulation.worker", "alembic.command", "uvicorn", "uvloop",
     "sqlite3", "psycopg", "warmed"]
)  # fmt: skip


def _begin() -> None:
    """The fork server finds our modules by this alone: it is told of no path of ours."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(Path(__file__).parent), before)))
    try:
        forkserver.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


class Forked:
    """As much of `subprocess.Popen` as tests use."""

    def __init__(self, words: list[str], environment: Mapping[str, str], log_path: Path) -> None:
        self._words = words
        _begin()
        self._process = _processes.Process(target=_run, args=(words, dict(environment), str(log_path)))
        self._process.start()
        self.pid: int = self._process.pid

    def poll(self) -> int | None:
        """Its exit code, or None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code once it has ended. Raises `subprocess.TimeoutExpired`."""
        self._process.join(timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired(self._words, timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        """Nothing when it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """`kill -9`."""
        self.send_signal(signal.SIGKILL)


def _run(words: list[str], environment: dict[str, str], log_path: str) -> None:
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["keyturn", *words]
    import warmed
    from keyturn.main import main

    if words == ["serve"]:
        warmed.put_schema(environment)
    main()
