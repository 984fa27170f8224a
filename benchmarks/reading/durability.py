"""What durability costs: a durable import and the same read without, in pairs, many of them.

    python durability.py [--case "S 100k"] [--pairs 15] [--folder .bench]

A machine is never the same twice, but nearly so for two runs right behind each other: each pair has a ratio of its own,
the order within it changes every time, and the median of the ratios is told with its quartiles. Processor time says
what the work costs, whoever else is busy; elapsed time also counts waits for the disk. 1 is free, 0.95 is the aim.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import data_sets
from compare import CASES, HERE, Bench, Case, Ran, timed


class Pairs(Bench):
    """Pairs of runs of one case."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, peers=False)
        self.port = 8913
        self.environment["KEYTURN_ALLOWED_PRIVATE_HOSTS"] = f"127.0.0.1:{self.port}"

    def measure(self, case: Case, count: int) -> list[tuple[Ran, Ran]]:
        """(durable, not durable) so many times, behind one pair that warms up."""
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
                turns = (0, 1) if number % 2 else (1, 0)
                ran = {turn: timed(commands[turn], environment, case.rows) for turn in turns}
                return ran[0], ran[1]

            return [pair(number) for number in range(count + 1)][1:]
        finally:
            serving.kill()
            serving.wait()
            shutil.rmtree(self.folder / "durability", ignore_errors=True)


def line(what: str, durable: list[float], without: list[float]) -> str:
    """As a row of a table."""
    ratios = [less / more for more, less in zip(durable, without, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return (
        f"| {what} | {statistics.median(durable):.2f} | {statistics.median(without):.2f} | "
        f"{middle:.3f} | {low:.3f} to {high:.3f} |"
    )


def main() -> None:
    """Read the options and measure."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--case", choices=[*CASES], default="S 100k")
    options.add_argument("--pairs", type=int, default=15)
    options.add_argument("--folder", type=Path, default=Path(".bench"))
    chosen = options.parse_args()
    ran = Pairs(chosen.folder).measure(CASES[chosen.case], chosen.pairs)
    print(f"{chosen.case}, {chosen.pairs} pairs\n")
    print("| seconds | durable | without | ratio, median | half of them |\n|---|---|---|---|---|")
    print(line("processor", [a.cpu_seconds for a, _ in ran], [b.cpu_seconds for _, b in ran]))
    print(line("elapsed", [a.seconds for a, _ in ran], [b.seconds for _, b in ran]))


if __name__ == "__main__":
    main()
