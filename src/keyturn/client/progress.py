"""An import's progress in a terminal or a notebook: one line that moves, gone when it ended. Else nothing is drawn."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from keyturn.client.imports import ImportRun


_WAITS = {
    "own_cap": "own limit",
    "end_system": "end system",
    "reconnect": "reconnect needed",
    "destination": "destination",
}


@contextmanager
def shown(name: str) -> Iterator[Callable[[ImportRun], object] | None]:
    """What to call with each look at an import; None where stderr is no terminal and this is no notebook."""
    notebook = "ipykernel" in sys.modules
    if not sys.stderr.isatty() and not notebook:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=10),
        TextColumn("{task.fields[words]}", markup=False),
    )
    started = time.monotonic()
    with Progress(*columns, console=Console(stderr=not notebook), transient=True) as progress:
        task = progress.add_task(name, total=None, words="starting")

        def look(run: ImportRun) -> None:
            found = run.found
            words = sentence(found, elapsed_seconds=time.monotonic() - started)
            progress.update(task, total=found["reported_total"], completed=found["rows"], words=words)

        yield look


def sentence(found: dict[str, Any], *, elapsed_seconds: float) -> str:
    """`41,300 / 77,182 rows · page 413 · waiting 12 s (API limit) · 2 min left`."""
    rows, total = found["rows"], found["reported_total"]
    parts = [f"{rows:,} rows" if total is None else f"{rows:,} / {total:,} rows", f"page {found['pages']:,}"]
    if found["status"] == "queued":
        return "queued"
    if waiting := found.get("waiting"):
        until = datetime.fromisoformat(waiting["until"])
        seconds = max(0, round((until - datetime.now(UTC)).total_seconds()))
        parts.append(f"waiting {seconds} s ({_WAITS.get(waiting.get('kind'), 'API limit')})")
    if total and 0 < rows < total:
        parts.append(_left(elapsed_seconds * (total - rows) / rows))
    return " · ".join(parts)


def _left(seconds: float) -> str:
    return f"{round(seconds)} s left" if seconds < 90 else f"{round(seconds / 60)} min left"
