"""What durability costs: a durable import and the same read without, in pairs, many of them.

    python durability.py [--case "S 100k"] [--pairs 16] [--folder .bench]

A machine is never the same twice, but nearly so for two runs right behind each other: each pair has a ratio of its own,
the order within it is swapped every time, and two pairs before the first warm up. What a run has left to be written is
written before the next begins, since an fsync would wait for it. Told are the medians, the median of the ratios with
the interval it lies in at 95 %, and the ratio of the two least: what others do on a machine only ever adds. Processor
time says what the work costs, whoever else is busy; elapsed time also counts waits for the disk. 1 is free, 0.95 is the
aim. "S 1k" is one page: what an import costs whatever its size.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import data_sets
from compare import CASES as COMPARED
from compare import HERE, Bench, Case, Ran, timed

CASES = {"S 1k": Case("S", 1000), **COMPARED}
WARM_UPS = 2


class Pairs(Bench):
    """Pairs of runs of one case."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, peers=False)
        self.port = 8913
        self.environment["KEYTURN_ALLOWED_PRIVATE_HOSTS"] = f"127.0.0.1:{self.port}"

    def measure(self, case: Case, count: int) -> list[tuple[Ran, Ran]]:
        """(durable, not durable) so many times, behind those that warm up."""
        data_sets.make(self.folder / "sets")
        server = [sys.executable, str(HERE / "end_system.py"), str(self.folder / "sets"), str(self.port)]
        serving = subprocess.Popen(server, stdout=subprocess.PIPE)
        try:
            serving.stdout.readline()
            program = self._prepared(case, "durability")
            environment = self.environment | {"KEYTURN_DATA_DIR": str(self.folder / "durability")}
            out = self.folder / "out"
            out.mkdir(exist_ok=True)
            commands = [*program, "import"], [*program, "read", str(out / "rows.parquet")]

            def pair(number: int) -> tuple[Ran, Ran]:
                ran: dict[int, Ran] = {}
                for turn in (0, 1) if number % 2 else (1, 0):
                    os.sync()
                    ran[turn] = timed(commands[turn], environment, case.rows)
                return ran[0], ran[1]

            return [pair(number) for number in range(WARM_UPS + count)][WARM_UPS:]
        finally:
            serving.kill()
            serving.wait()
            shutil.rmtree(self.folder / "durability", ignore_errors=True)


def line(what: str, durable: list[float], without: list[float]) -> str:
    """As a row of a table."""
    ratios = [less / more for more, less in zip(durable, without, strict=True)]
    low, high = interval(ratios)
    return (
        f"| {what} | {statistics.median(durable):.2f} | {statistics.median(without):.2f} | "
        f"{statistics.median(ratios):.3f} | {low:.3f} to {high:.3f} | {min(without) / min(durable):.3f} |"
    )


def interval(values: list[float]) -> tuple[float, float]:
    """Where the median lies at 95 % (at less for fewer than six values), whatever the values are spread like."""
    ordered, count = sorted(values), len(values)
    outside, cut = 0.0, 0
    while cut < (count - 1) // 2 and (outside := outside + 2 * math.comb(count, cut) / 2**count) <= 0.05:
        cut += 1
    return ordered[max(cut - 1, 0)], ordered[-max(cut, 1)]


def main() -> None:
    """Read the options and measure."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--case", choices=[*CASES], default="S 100k")
    options.add_argument("--pairs", type=int, default=16)
    options.add_argument("--folder", type=Path, default=Path(".bench"))
    chosen = options.parse_args()
    ran = Pairs(chosen.folder).measure(CASES[chosen.case], chosen.pairs)
    print(f"{chosen.case}, {chosen.pairs} pairs\n")
    print("| seconds | durable | without | ratio, median | at 95 % | of the least |\n|---|---|---|---|---|---|")
    print(line("processor", [a.cpu_seconds for a, _ in ran], [b.cpu_seconds for _, b in ran]))
    print(line("elapsed", [a.seconds for a, _ in ran], [b.seconds for _, b in ran]))


if __name__ == "__main__":
    main()
