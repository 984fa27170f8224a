"""Runs the contestants in turn on each case and prints medians and ratios as a Markdown table.

    python compare.py [--cases "S 100k" "M 20k"] [--runs 5] [--peers] [--only "by hand" dlt] [--folder .bench]

The whole process counts: from `exec` to exit, with its processor time and its peak memory as the kernel saw them.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import data_sets
from at_a_server import KEYTURN, Server

HERE = Path(__file__).parent
TOKEN = "kt_" + "b" * 40
AIRBYTE = ["airbyte-cdk==7.39.1", "pyarrow==26.0.1"]
PEERS = {
    "dlt": ["dlt[filesystem,parquet]==1.31.0"],
    "airbyte": [*AIRBYTE, "orjson"],
    "airbyte_in_process": AIRBYTE,
    "meltano": ["singer-sdk==0.54.9", "pyarrow==26.0.1"],
}


@dataclass(frozen=True)
class Case:
    """What is read: which set, how many rows, by which pagination, and how long each answer takes (milliseconds)."""

    data_set: str
    rows: int
    style: str = "cursor"
    latency: int = 0

    def url(self, port: int) -> str:
        query = f"limit=1000&rows={self.rows}" + (f"&latency={self.latency}" if self.latency else "")
        return f"http://127.0.0.1:{port}/{self.style}/{self.data_set}?{query}"


CASES = {
    # One page: how long until there are rows at all.
    "S 1k": Case("S", 1_000),
    "S 100k": Case("S", 100_000),
    "S 1M": Case("S", 1_000_000),
    "M 20k": Case("M", 20_000),
    "M 200k": Case("M", 200_000),
    "W 5k": Case("W", 5_000),
    "W 50k": Case("W", 50_000),
    "S 300k, 20 ms, offset": Case("S", 300_000, "offset", 20),
}


@dataclass(frozen=True)
class Ran:
    """One run of one contestant."""

    seconds: float
    cpu_seconds: float
    peak_mb: float


def timed(command: list[str], environment: dict[str, str], rows: int, server: Server | None = None) -> Ran:
    """Run a command as a process of its own, at a server if it wants one, whose work counts too.

    What it prints last is JSON that says how many rows it wrote.
    """
    before = server.cpu_seconds() if server else 0.0
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        started = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=err)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        said = out.read().decode().strip()
        if process.returncode or f'"rows": {rows}' not in said:
            raise SystemExit(f"{command} did not write {rows:,} rows:\n{said[-500:]}\n{err.read().decode()[-2000:]}")
    cpu, peak = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    return (
        Ran(seconds, cpu + server.cpu_seconds() - before, peak + server.peak_mb())
        if server
        else Ran(seconds, cpu, peak)
    )


class Bench:
    """The end system, the contestants, and a folder for what they need."""

    def __init__(self, folder: Path, *, peers: bool) -> None:
        self.folder = folder.absolute()
        self.port = 8911
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "TMPDIR": tempfile.gettempdir(),
            "KEYTURN_DATA_DIR": str(self.folder / "keyturn"),
            "KEYTURN_ALLOWED_PRIVATE_HOSTS": f"127.0.0.1:{self.port}",
            "KEYTURN_BOOTSTRAP_EMAIL": "bench@example.com",
            "KEYTURN_BOOTSTRAP_API_TOKEN": TOKEN,
        }
        self.contestants: dict[str, Callable[[Case], list[str]]] = {
            "keyturn import": self._at_a_server,
            "keyturn, one process": self._keyturn,
            "keyturn, not durable": self._streamed,
            "by hand": self._by_hand,
        }
        if peers:
            self.contestants |= {name: self._peer(name, wanted) for name, wanted in PEERS.items()}

    def compare(self, names: list[str], runs: int) -> None:
        """Each case: every contestant once, in turn, `runs` times."""
        data_sets.make(self.folder / "sets")
        server = [sys.executable, str(HERE / "end_system.py"), str(self.folder / "sets"), str(self.port)]
        serving = subprocess.Popen(server, stdout=subprocess.PIPE)
        try:
            serving.stdout.readline()
            print(
                f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {sys.version.split()[0]}"
            )
            print("\n| case | contestant | seconds | CPU s | peak MB | time of import's |\n|---|---|---|---|---|---|")
            for name in names:
                self._case(name, CASES[name], runs)
        finally:
            serving.kill()
            serving.wait()

    def _case(self, name: str, case: Case, runs: int) -> None:
        found: dict[str, list[Ran]] = {contestant: [] for contestant in self.contestants}
        commands = {contestant: command(case) for contestant, command in self.contestants.items()}
        server = Server(self.environment | {"KEYTURN_DATA_DIR": str(self.folder / "served")})
        self.environment |= {"KEYTURN_URL": server.url, "KEYTURN_TOKEN": TOKEN}
        try:
            for _ in range(runs):
                for contestant, command in commands.items():
                    shutil.rmtree(self.folder / "out", ignore_errors=True)
                    (self.folder / "out").mkdir()
                    beside = server if command[0] == KEYTURN else None
                    found[contestant].append(timed(command, self.environment, case.rows, beside))
        finally:
            server.stop()
        ours = statistics.median(run.seconds for run in found["keyturn import"])
        for contestant, ran in found.items():
            seconds, cpu, peak = (
                statistics.median(getattr(run, field) for run in ran) for field in ("seconds", "cpu_seconds", "peak_mb")
            )
            print(
                f"| {name} | {contestant} | {seconds:.2f} | {cpu:.2f} | {peak:.0f} | {seconds / ours:.2f} × |",
                flush=True,
            )

    def _keyturn(self, case: Case) -> list[str]:
        return [*self._prepared(case, "keyturn"), "import"]

    def _at_a_server(self, case: Case) -> list[str]:
        self._prepared(case, "served")
        return [KEYTURN, "import", "bench.rows", "--to", str(self.folder / "out" / "rows.parquet"), "--json"]

    def _streamed(self, case: Case) -> list[str]:
        return [*self._prepared(case, "keyturn"), "read", str(self.folder / "out" / "rows.parquet")]

    def _prepared(self, case: Case, name: str) -> list[str]:
        data = self.folder / name
        shutil.rmtree(data, ignore_errors=True)
        program = [sys.executable, str(HERE / "with_keyturn.py")]
        environment = self.environment | {"KEYTURN_DATA_DIR": str(data)}
        subprocess.run([*program, "prepare", case.url(self.port), case.style], env=environment, check=True)
        return program

    def _by_hand(self, case: Case) -> list[str]:
        in_flight = "16" if case.latency else "1"
        out = str(self.folder / "out" / "rows.parquet")
        return [sys.executable, str(HERE / "by_hand.py"), case.url(self.port), case.style, out, in_flight]

    def _peer(self, name: str, wanted: list[str]) -> Callable[[Case], list[str]]:
        place = self.folder / name
        python = place / "bin" / "python"
        if not python.exists():
            uv = shutil.which("uv") or ".venv-uv/bin/uv"
            subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(place)], check=True)
            subprocess.run([uv, "pip", "install", "--quiet", "--python", str(python), *wanted], check=True)
        program = str(HERE / "peers" / f"with_{name}.py")
        return lambda case: [str(python), program, case.url(self.port), case.style, str(self.folder / "out" / "rows")]


def main() -> None:
    """Read the options and compare."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument(
        "--cases", nargs="*", default=["S 1k", "S 100k", "S 1M", "M 20k", "W 5k", "S 300k, 20 ms, offset"]
    )
    options.add_argument("--runs", type=int, default=5)
    options.add_argument(
        "--peers", action="store_true", help="also dlt, Airbyte's CDK and Meltano's SDK (installs them)"
    )
    options.add_argument("--folder", type=Path, default=Path(".bench"))
    options.add_argument("--only", nargs="*", default=[], help="these contestants alone, beside keyturn import")
    chosen = options.parse_args()
    bench = Bench(chosen.folder, peers=chosen.peers)
    if chosen.only:
        wanted = {"keyturn import", *chosen.only}
        bench.contestants = {name: run for name, run in bench.contestants.items() if name in wanted}
    bench.compare(chosen.cases, chosen.runs)


if __name__ == "__main__":
    main()
