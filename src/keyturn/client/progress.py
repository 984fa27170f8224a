"""An import's progress in a terminal or a notebook: one line that moves, gone when it ended. Else nothing is drawn."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from html import escape
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
    if _is_notebook():
        drawn = _in_notebook(name)
    elif sys.stderr.isatty():
        drawn = _in_terminal(name)
    else:
        yield None
        return
    started = time.monotonic()
    with drawn as draw:

        def look(run: ImportRun) -> None:
            draw(run.found, sentence(run.found, elapsed_seconds=time.monotonic() - started))

        yield look


def _is_notebook() -> bool:
    """Whether we run in a kernel: it is there before us, so nothing is imported to see it."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and getattr(ipython.get_ipython(), "kernel", None) is not None


@contextmanager
def _in_terminal(name: str) -> Iterator[Callable[[dict[str, Any], str], object]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=10),
        TextColumn("{task.fields[words]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as moving:
        task = moving.add_task(name, total=None, words="starting")
        yield lambda found, words: moving.update(
            task, total=found["reported_total"], completed=found["rows"], words=words
        )


@contextmanager
def _in_notebook(name: str) -> Iterator[Callable[[dict[str, Any], str], object]]:
    """As HTML of our own: rich asks for ipywidgets there, and many kernels lack them."""
    from IPython.display import display  # it is there where a kernel is

    def line(words: str, found: dict[str, Any] | None = None) -> dict[str, str]:
        total = (found or {}).get("reported_total")
        part = f' value="{int(found["rows"])}" max="{int(total)}"' if found and total else ""
        text = f"{name} · {words}"
        return {"text/plain": text, "text/html": f"<progress{part}></progress> {escape(text)}"}

    handle: Any = display(line("starting"), raw=True, display_id=True)
    try:
        yield lambda found, words: handle.update(line(words, found), raw=True)
    finally:
        handle.update({"text/plain": "", "text/html": ""}, raw=True)


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
