"""`keyturn serve` beside the measure, for `keyturn import … --to rows.parquet`: what a person types and waits for."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

KEYTURN = str(Path(sys.executable).with_name("keyturn"))
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_READY_SECONDS = 60


class Server:
    """One deployment, served. Its processor time and peak memory are the kernel's figures."""

    def __init__(self, environment: dict[str, str]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        asked = {"KEYTURN_BIND": f"127.0.0.1:{port}", "KEYTURN_PUBLIC_URL": self.url, "KEYTURN_LOG_LEVEL": "warning"}
        self._process = subprocess.Popen([KEYTURN, "serve"], env=environment | asked, stdout=subprocess.DEVNULL)
        self._wait()

    def cpu_seconds(self) -> float:
        """Processor time since it started: user and system, all threads."""
        fields = self._proc("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND

    def peak_mb(self) -> float:
        """The most memory it ever held at once."""
        line = next(line for line in self._proc("status").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()

    def _proc(self, name: str) -> str:
        return Path(f"/proc/{self._process.pid}/{name}").read_text()

    def _wait(self) -> None:
        ends_at = time.monotonic() + _READY_SECONDS
        while time.monotonic() < ends_at and self._process.poll() is None:
            try:
                urllib.request.urlopen(self.url + "/readyz", timeout=5).close()
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
            else:
                return
        self.stop()
        raise SystemExit("keyturn serve did not become ready.")
