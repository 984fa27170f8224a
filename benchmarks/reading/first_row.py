"""From the start of a process to its first rows: `python first_row.py [--runs 15] [--folder .bench]`.

A program that somebody writes with the client, one written by hand for that one endpoint, and the command that shows a
sample, in turn, each at the beginning of a table of 100,000 rows. The kernel's clock counts from before `exec` to when
the first page is a batch in the hands of the program; of the command it is the whole process.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import data_sets
from at_a_server import KEYTURN, Server
from compare import CASES, HERE, TOKEN, Bench

CASE = CASES["S 100k"]
# What is left of a program does not count: it ends where it is.
_CLIENT = """
import os, time, keyturn
batch = next(iter(keyturn.connect().table("bench.rows").read().batches()))
print(batch.num_rows, time.clock_gettime(time.CLOCK_MONOTONIC), flush=True)
os._exit(0)
"""
_BY_HAND = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
import by_hand
page = next(by_hand.pages(sys.argv[2], "cursor", 1))
batch = by_hand.Parser(page).batch(page)
print(batch.num_rows, time.clock_gettime(time.CLOCK_MONOTONIC), flush=True)
os._exit(0)
"""


def seconds(command: list[str], environment: dict[str, str]) -> float:
    """Until the moment that the program tells, or until it ended."""
    started = time.clock_gettime(time.CLOCK_MONOTONIC)
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    ended = time.clock_gettime(time.CLOCK_MONOTONIC)
    if ran.returncode:
        raise SystemExit(f"{command[:3]} failed:\n{ran.stderr[-2000:]}")
    told = ran.stdout.split()
    return (float(told[1]) if command[1] == "-c" else ended) - started


class First(Bench):
    """Beginnings of one table."""

    def measure(self, runs: int) -> dict[str, list[float]]:
        """The seconds of each contestant; once more before, which does not count."""
        data_sets.make(self.folder / "sets")
        end_system = [sys.executable, str(HERE / "end_system.py"), str(self.folder / "sets"), str(self.port)]
        serving = subprocess.Popen(end_system, stdout=subprocess.PIPE)
        try:
            serving.stdout.readline()
            self._prepared(CASE, "served")
            server = Server(self.environment | {"KEYTURN_DATA_DIR": str(self.folder / "served")})
            environment = self.environment | {"KEYTURN_URL": server.url, "KEYTURN_TOKEN": TOKEN}
            commands = {
                "the client": [sys.executable, "-c", _CLIENT],
                "by hand": [sys.executable, "-c", _BY_HAND, str(HERE), CASE.url(self.port)],
                "`keyturn preview`": [KEYTURN, "preview", "bench.rows"],
            }
            try:
                turns = [
                    {name: seconds(command, environment) for name, command in commands.items()} for _ in range(1 + runs)
                ]
            finally:
                server.stop()
        finally:
            serving.kill()
            serving.wait()
        return {name: [turn[name] for turn in turns[1:]] for name in commands}


def main() -> None:
    """Read the options and measure."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--runs", type=int, default=15)
    options.add_argument("--folder", type=Path, default=Path(".bench"))
    chosen = options.parse_args()
    found = First(chosen.folder, peers=False).measure(chosen.runs)
    print(f"{os.cpu_count()} cores, {chosen.runs} runs in turn\n")
    print("| first rows by | seconds, median | least | most |\n|---|---|---|---|")
    for name, ran in found.items():
        print(f"| {name} | {statistics.median(ran):.3f} | {min(ran):.3f} | {max(ran):.3f} |")


if __name__ == "__main__":
    main()
