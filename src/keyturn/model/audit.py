"""Audit entries: who did what, to what, when, from where, with which result, chained by hashes. Pure; no secrets.

Each entry's hash covers its whole line, and the line names the hash before it, so that a changed, removed or
inserted entry breaks the chain for whoever reads an export. It knows no storage and no web.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

START = "0" * 64
RESULTS = ("ok", "refused", "failed")
NOUNS: dict[str, str] = {
    "ac": "account",
    "at": "api_token",
    "cl": "connect_link",
    "cn": "connection",
    "ds": "destination",
    "gr": "grant",
    "im": "import",
    "iv": "invitation",
    "oc": "oauth_client",
    "og": "organisation",
    "sc": "schedule",
    "sk": "secret",
    "tb": "table",
    "wh": "webhook",
    "ws": "workspace",
}


@dataclass(frozen=True, slots=True)
class Who:
    """Who did it: a person, a program's API token of theirs (`via`), or the system; and from which address."""

    kind: str = "system"
    id: str = ""
    name: str = ""
    via: str | None = None
    address: str = ""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One entry that is not yet chained. `at` is epoch seconds; `verb` is `noun.what`; `details` hold no secret."""

    at: float
    who: Who
    verb: str
    subject_id: str = ""
    result: str = "ok"
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chain:
    """What a verification found: how many entries hold, the head they lead to, and where it breaks, if it does."""

    entries: int
    first_seq: int
    head_seq: int
    head_hash: str
    broken_at: int | None = None
    reason: str = ""

    @property
    def whole(self) -> bool:
        """Whether every entry holds."""
        return self.broken_at is None


def noun_of(subject_id: str) -> str:
    """What kind of thing an id names, by its prefix."""
    return NOUNS.get(subject_id.partition("_")[0], "deployment")


def line_of(entry: AuditEntry, *, workspace_id: str, seq: int, prev: str) -> dict[str, Any]:
    """The entry as it is exported, without its own hash."""
    at = datetime.fromtimestamp(round(entry.at * 1000) / 1000, UTC).isoformat(timespec="milliseconds")
    who = entry.who
    return {
        "seq": seq,
        "workspace_id": workspace_id,
        "at": at.replace("+00:00", "Z"),
        "who": {"kind": who.kind, "id": who.id, "name": who.name, "via": who.via},
        "from": who.address,
        "verb": entry.verb,
        "subject_id": entry.subject_id,
        "result": entry.result,
        "details": dict(entry.details),
        "prev": prev,
    }


def canonical(line: Mapping[str, Any]) -> str:
    """The one spelling of a line that is hashed: sorted names, no blanks, ASCII, the hash itself left out."""
    bare = {name: value for name, value in line.items() if name != "hash"}
    return json.dumps(bare, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def hash_of(line: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical line, in hex."""
    return hashlib.sha256(canonical(line).encode()).hexdigest()


def verify(lines: Iterable[Mapping[str, Any]], *, expected: tuple[int, str] | None = None) -> Chain:
    """Walk an export in order and say whether each entry leads to the next.

    An export may begin late, after old entries were pruned; from there on nothing may be missing.
    `expected`: (sequence number, hash) noted earlier, which must still be in the chain.
    """
    prev, seq, count, first = "", 0, 0, 0
    met = expected is None
    for line in lines:
        number = line.get("seq")
        if not isinstance(number, int):
            return Chain(count, first, seq, prev, seq + 1, "a line is not an entry")
        if count == 0:
            first, prev, seq = number, str(line.get("prev", "")) if number > 1 else START, number - 1
        if number != seq + 1:
            return Chain(count, first, seq, prev, seq + 1, f"after {seq} comes {number}")
        if line.get("prev") != prev:
            return Chain(count, first, seq, prev, number, "it does not name the entry before it")
        if line.get("hash") != hash_of(line):
            return Chain(count, first, seq, prev, number, "it was changed")
        count, seq, prev = count + 1, number, str(line["hash"])
        met = met or (expected is not None and expected == (seq, prev))
    if expected is not None and not met:
        return Chain(count, first, seq, prev, expected[0], "the head noted earlier is not in the chain")
    return Chain(count, first, seq, prev)
