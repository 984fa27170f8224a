"""What a command prints: data on stdout, messages on stderr, colour on terminals only. It knows no noun.

Text that came from elsewhere never moves a cursor: control characters are shown, not sent.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, NoReturn, TextIO

import typer

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_COLOURS = {"✓": "32", "!": "33", "✗": "31"}


def clean(value: object) -> str:
    """Text on one line, in which control and direction characters are visible."""
    return _CONTROL.sub(lambda m: f"\\x{ord(m.group()):02x}" if m.group() not in "\n\t" else " ", str(value))


class Terminal:
    """The two streams of one command. `as_json` is set by `--json`."""

    def __init__(self) -> None:
        self.as_json = False
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")

    def line(self, text: str) -> None:
        """A line of data."""
        self._write(sys.stdout, text)

    def say(self, text: str) -> None:
        """A line for the person: on stderr, also with `--json`."""
        self._write(sys.stderr, text)

    def json(self, value: Any) -> None:
        """Data for machines: one JSON value, indented."""
        ascii_only = "utf" not in (sys.stdout.encoding or "").lower()
        self._write(sys.stdout, json.dumps(value, indent=2, ensure_ascii=ascii_only, default=str))

    def mark(self, sign: str, text: str, *, err: bool = False) -> str:
        """`✓`, `!` or `✗` before a sentence, in its colour where there is colour."""
        stream = sys.stderr if err else sys.stdout
        shown = f"\x1b[{_COLOURS[sign]}m{sign}\x1b[0m" if _in_colour(stream) else sign
        return f"{shown} {clean(text)}"

    def good(self, text: str) -> None:
        """What was done, as a line of data."""
        self.line(self.mark("✓", text))

    def warn(self, text: str) -> None:
        """What works but should be looked at, on stderr."""
        self.say(self.mark("!", text, err=True))

    def bad(self, text: str) -> None:
        """What did not work, on stderr."""
        self.say(self.mark("✗", text, err=True))

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Rows in aligned columns under their heads, two blanks apart."""
        from rich.cells import cell_len

        cells = [[clean(value) for value in row] for row in rows]
        lines = [list(heads), *cells]
        widths = [max(cell_len(line[i]) for line in lines) for i in range(len(heads))]
        for line in lines:
            padded = (text + " " * (width - cell_len(text)) for text, width in zip(line, widths, strict=True))
            self.line("  ".join(padded).rstrip())

    def pairs(self, values: Mapping[str, object]) -> None:
        """Names and values, a line each; what is None is left out."""
        shown = {name: value for name, value in values.items() if value is not None}
        wide = max((len(name) for name in shown), default=0)
        for name, value in shown.items():
            self.line(f"{name:{wide}}  {clean(value)}".rstrip())

    def csv(self, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """RFC 4180 for machines."""
        out = io.StringIO(newline="")
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(heads)
        writer.writerows(rows)
        self._write(sys.stdout, out.getvalue().removesuffix("\n"))

    def _write(self, stream: TextIO, text: str) -> None:
        try:
            stream.write(text + "\n")
            stream.flush()
        except BrokenPipeError:
            leave_quietly(stream)


def leave_quietly(stream: TextIO) -> NoReturn:
    """Whoever read our output has enough (`| head`): stop without a word, and without one at exit either."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    raise typer.Exit(0)


_current: ContextVar[Terminal] = ContextVar("keyturn_terminal")


def begin() -> Terminal:
    """A new terminal for a new run of the command line."""
    made = Terminal()
    _current.set(made)
    return made


def terminal() -> Terminal:
    """The terminal of this run."""
    return _current.get()


def _in_colour(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
