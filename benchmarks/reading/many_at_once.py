"""Fifty imports at once in one `keyturn serve`: do they share it fairly, and how much memory does that take?

    python many_at_once.py [--imports 50] [--rows 20000] [--set S] [--page-rows 1000]
                            [--alike] [--folder .bench]

First all of the same size (`--alike`: these alone); then one that is as large as all the others together, asked for
before them. Each reads a table of its own, all of one connection. *Rows/s* is each import's own, from when it was asked
for until it ended; the index (Jain's) is 1 where all are alike and 1/n where one has all. Memory is the server's peak
as the kernel saw it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import data_sets
from at_a_server import Server

HERE = Path(__file__).parent
TOKEN = "kt_" + "b" * 40
ENDED = {"complete", "failed", "incomplete", "cancelled"}


@dataclass(frozen=True)
class Imported:
    """One import: its rows, and the seconds from when it was asked for until it ended."""

    rows: int
    seconds: float

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.seconds


class Crowd:
    """One server and one end system, and the imports that are asked of them."""

    def __init__(self, folder: Path, data_set: str, page_rows: int) -> None:
        self.folder, self._set, self._page_rows = folder.absolute(), data_set, page_rows
        self.port = 8912
        self._url = ""

    def measure(self, sizes: list[int]) -> tuple[list[Imported], float, float]:
        """Imports of so many rows each, asked for in turn; peak memory (MB) and processor seconds of the server."""
        data = self.folder / "crowded"
        shutil.rmtree(data, ignore_errors=True)
        server = Server(
            {
                "PATH": os.environ["PATH"],
                "HOME": str(self.folder),
                "TMPDIR": tempfile.gettempdir(),
                "KEYTURN_DATA_DIR": str(data),
                "KEYTURN_ALLOWED_PRIVATE_HOSTS": f"127.0.0.1:{self.port}",
                "KEYTURN_BOOTSTRAP_EMAIL": "bench@example.com",
                "KEYTURN_BOOTSTRAP_API_TOKEN": TOKEN,
            }
        )
        self._url = server.url
        try:
            before = server.cpu_seconds()
            return self._imported(sizes), server.peak_mb(), server.cpu_seconds() - before
        finally:
            server.stop()
            shutil.rmtree(data, ignore_errors=True)

    def _imported(self, sizes: list[int]) -> list[Imported]:
        auth = {"type": "bearer", "token": "bench"}
        body = {"name": "bench", "base_url": f"http://127.0.0.1:{self.port}", "auth": auth, "access": "only_me"}
        connection = self._ask("/connections", body)["id"]
        tables = [self._table(connection, number, rows) for number, rows in enumerate(sizes, 1)]
        # The first alone, so that it is under way; the others as much at once as they can be asked for.
        self._import(1, tables[0])
        with ThreadPoolExecutor(len(tables)) as pool:
            list(pool.map(self._import, range(2, len(tables) + 1), tables[1:]))
        while True:
            found = [self._ask(f"/imports?table_id={table}&limit=1")["data"][0] for table in tables]
            if all(item["status"] in ENDED for item in found):
                break
            time.sleep(1)
        made = [_imported(item) for item in found]
        if [item.rows for item in made] != sizes:
            raise SystemExit("Not all of them ended whole.")
        return made

    def _import(self, number: int, table: str) -> None:
        destination = {"type": "parquet", "url": f"{number}.parquet"}
        self._ask("/imports", {"table_id": table, "destination": destination})

    def _table(self, connection: str, number: int, rows: int) -> str:
        query = {"limit": str(self._page_rows), "rows": str(rows)}
        pages = {"type": "cursor", "cursor_path": "$.next_cursor", "cursor_param": "cursor"}
        body = {"connection_id": connection, "name": f"rows_{number}", "path": f"/cursor/{self._set}", "query": query,
                "rows_path": "$.data", "pagination": pages}  # fmt: skip
        return self._ask("/tables", body)["id"]

    def _ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self._url}/api/v1{path}", data, headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)


def _imported(item: dict[str, Any]) -> Imported:
    asked_at, ended_at = (datetime.fromisoformat(item[name]) for name in ("created_at", "finished_at"))
    if item["status"] != "complete":
        raise SystemExit(f"One did not end well: {item}")
    return Imported(item["rows"], (ended_at - asked_at).total_seconds())


def line(what: str, imported: list[Imported], peak_mb: float, cpu_seconds: float) -> str:
    """As a row of the table in the docs."""
    speeds = [item.rows_per_second for item in imported]
    ends = [item.seconds for item in imported]
    jain = sum(speeds) ** 2 / (len(speeds) * sum(speed**2 for speed in speeds))
    total = sum(item.rows for item in imported) / max(ends)
    return (
        f"| {what} | {min(ends):.1f} / {statistics.median(ends):.1f} / {max(ends):.1f} | "
        f"{min(speeds):,.0f} / {statistics.median(speeds):,.0f} / {max(speeds):,.0f} | {jain:.2f} | {total:,.0f} | "
        f"{cpu_seconds:.1f} | {peak_mb:.0f} |"
    )


def main() -> None:
    """Read the options and measure."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--imports", type=int, default=50)
    options.add_argument("--rows", type=int, default=20_000)
    options.add_argument("--set", choices=["S", "M", "W"], default="S")
    options.add_argument("--page-rows", type=int, default=1000)
    options.add_argument("--alike", action="store_true", help="only those of the same size")
    options.add_argument("--folder", type=Path, default=Path(".bench"))
    chosen = options.parse_args()
    count, rows = chosen.imports, chosen.rows
    most = rows if chosen.alike else count * rows
    sets = chosen.folder.absolute() / f"crowd-{most}"
    data_sets.make(sets, sizes={chosen.set: most})
    crowd = Crowd(chosen.folder, chosen.set, chosen.page_rows)
    serving = subprocess.Popen(
        [sys.executable, str(HERE / "end_system.py"), str(sets), str(crowd.port)], stdout=subprocess.PIPE
    )
    try:
        serving.stdout.readline()
        print(
            f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {sys.version.split()[0]}\n"
        )
        print("| imports | ended after s (first / median / last) | rows/s of each (least / median / most) | index | "
              "rows/s of all | CPU s | peak MB |\n|---|---|---|---|---|---|---|")  # fmt: skip
        print(line(f"{count} of {rows:,} rows", *crowd.measure([rows] * count)), flush=True)
        if chosen.alike:
            return
        large = rows * (count - 1)
        imported, peak, cpu = crowd.measure([large, *[rows] * (count - 1)])
        print(line(f"{count - 1} of {rows:,} rows behind one of {large:,}", imported[1:], peak, cpu))
        print(f"\nThe large one ended after {imported[0].seconds:.1f} s.")
    finally:
        serving.kill()
        serving.wait()


if __name__ == "__main__":
    main()
