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
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver
from pathlib import Path

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(
    ["keyturn.server.commands", "keyturn.web.routes", "keyturn.simulation.worker", "keyturn.cli.app", "alembic.command",
     "uvicorn", "uvloop", "sqlite3", "psycopg", "yaml", "pyarrow.dataset", "pyarrow.parquet", "pyarrow.csv", "duckdb",
     "pandas",  # which pyarrow looks for
     "warmed"]
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

    def __init__(
        self,
        words: list[str],
        environment: Mapping[str, str],
        log_path: Path,
        *,
        errors_path: Path | None = None,
        typed: str = "",
        folder: Path | None = None,
    ) -> None:
        """What it says goes to `log_path`, its errors to `errors_path` if that is told; `typed` is what it reads."""
        self._words = words
        _begin()
        paths = (str(log_path), str(errors_path or log_path))
        told = (words, dict(environment), paths, typed, folder and str(folder))
        self._process = _processes.Process(target=_run, args=told)
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


def ran(
    words: Sequence[str], environment: Mapping[str, str], *, typed: str = "", folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """A command from its start to its end."""
    with tempfile.TemporaryDirectory() as place:
        out, err = Path(place) / "out", Path(place) / "err"
        process = Forked([*words], environment, out, errors_path=err, typed=typed, folder=folder)
        try:
            code = process.wait(120)
        finally:
            process.kill()
        return subprocess.CompletedProcess([*words], code, out.read_text("utf-8"), err.read_text("utf-8"))


def _run(words: list[str], environment: dict[str, str], paths: tuple[str, str], typed: str, folder: str | None) -> None:
    for stream, path in zip((1, 2), paths, strict=True):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND), stream)
    with tempfile.TemporaryFile() as told:
        told.write(typed.encode())
        told.seek(0)
        os.dup2(told.fileno(), 0)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    if folder is not None:
        os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["keyturn", *words]
    import warmed
    from keyturn.main import main

    if words == ["serve"]:
        warmed.put_schema(environment)
    main()
