"""`keyturn audit`: who did what, when, from where; the export as JSONL, and the proof that nothing was changed."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keyturn.cli import words
from keyturn.cli.arguments import Json, workspace
from keyturn.cli.terminal import terminal
from keyturn.errors import Invalid

if TYPE_CHECKING:
    from keyturn.model.audit import Chain

app = typer.Typer(help="The audit log: who did what, when, from where.", no_args_is_help=True)


@app.command("list")
def list_(
    *,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many entries.")] = 50,
    verb: Annotated[str | None, typer.Option(help="For example connection.refreshed, or connection. for all.")] = None,
    subject: Annotated[str | None, typer.Option(help="The id of what it was done to.")] = None,
    actor: Annotated[str | None, typer.Option(help="The id of who did it.")] = None,
    since: Annotated[str | None, typer.Option(help="RFC 3339, for example 2026-11-24T00:00:00Z.")] = None,
    json: Json = False,
) -> None:
    """Entries, newest first."""
    out = terminal()
    with workspace() as found:
        wanted = {"verb": verb, "subject_id": subject, "actor_id": actor, "since": since, "limit": min(limit, 1000)}
        entries = list(islice(found.audit.newest(**wanted), limit))
    if json:
        out.json({"data": entries, "next_cursor": None})
        return
    rows = [
        (e["seq"], words.full_time(e["at"]), _who(e), e["from"] or "–", e["verb"], e["subject_id"] or "–", e["result"])
        for e in entries
    ]
    out.table(("NO", "WHEN", "WHO", "FROM", "WHAT", "ON", "RESULT"), rows)


@app.command()
def export(
    to: Annotated[Path | None, typer.Option(help="A file to write; stdout without it.")] = None,
    *,
    after: Annotated[int, typer.Option(min=0, help="Only what comes after this entry's number.")] = 0,
    json: Json = False,  # noqa: ARG001 - the export is JSON lines already
) -> None:
    """The whole chain in order as JSONL."""
    out = terminal()
    count = 0
    with workspace() as found:
        if to is None:
            for line in found.audit.export(after_seq=after):
                out.line(line)
            return
        try:
            with to.open("w", encoding="utf-8") as sink:
                for line in found.audit.export(after_seq=after):
                    sink.write(line + "\n")
                    count += 1
        except OSError as error:
            raise Invalid(f"{to} cannot be written ({error.strerror}).", at="--to") from None
    out.say(f"{words.count(count, 'line')} written to {to}")


@app.command()
def verify(
    file: Annotated[Path | None, typer.Argument(help="An export; without it the server's log is read whole.")] = None,
    *,
    head: Annotated[str | None, typer.Option(help="NUMBER:HASH noted earlier; it must still be there.")] = None,
    json: Json = False,
) -> None:
    """Prove the chain: no entry was changed, removed or slipped in. Exits 1 where it breaks."""
    out = terminal()
    chain = _verified(file, _head_of(head))
    if json:
        told: dict[str, Any] = {
            "whole": chain.whole,
            "entries": chain.entries,
            "first": chain.first_seq,
            "head": f"{chain.head_seq}:{chain.head_hash}",
            "broken_at": chain.broken_at,
            "reason": chain.reason or None,
        }
        out.json(told)
    elif chain.whole:
        out.good(f"{chain.entries:,} audit entries hold, from {chain.first_seq} to {chain.head_seq}")
        out.say(f"Note the head elsewhere; --head proves later that nothing was cut off: "
                f"{chain.head_seq}:{chain.head_hash}")  # fmt: skip
    else:
        out.bad(f"The audit log is broken at entry {chain.broken_at}: {chain.reason}. "
                f"{chain.entries:,} entries before it hold.")  # fmt: skip
    if not chain.whole:
        raise typer.Exit(1)


def _verified(file: Path | None, expected: tuple[int, str] | None) -> Chain:
    from keyturn.client.audit import lines_of
    from keyturn.model.audit import verify as prove

    if file is None:
        with workspace() as found:
            return found.audit.verify(expected=expected)
    try:
        with file.open(encoding="utf-8") as source:
            return prove(lines_of(line for line in source if line.strip()), expected=expected)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise Invalid(f"{file} cannot be read ({reason}).", at="FILE") from None


def _head_of(text: str | None) -> tuple[int, str] | None:
    if text is None:
        return None
    number, _, value = text.partition(":")
    if not number.isdecimal() or not value:
        raise Invalid("--head is NUMBER:HASH, as `keyturn audit verify` says it.", at="--head")
    return int(number), value


def _who(entry: dict[str, Any]) -> str:
    who = entry["who"]
    return f"{who['name'] or who['id'] or 'Keyturn'}{' (API token)' if who['via'] else ''}"
