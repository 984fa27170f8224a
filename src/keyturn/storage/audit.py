"""The audit log: a hash chain per workspace ('' is the deployment's own). Entries are linked last in a transaction.

A trigger of the database refuses every change, and every deletion younger than a year.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from keyturn.model.audit import START, AuditEntry, canonical, hash_of, line_of
from keyturn.storage.database import Tx, at_end, metadata

KEPT_SECONDS = 365 * 86400
audit_entries = sa.Table(
    "audit_entries",
    metadata,
    sa.Column("workspace_id", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("actor_id", sa.Text, nullable=False),
    sa.Column("verb", sa.Text, nullable=False),
    sa.Column("subject_id", sa.Text, nullable=False),
    # The whole line as it was hashed: what is exported, and the truth; the columns above only find it.
    sa.Column("line", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
    sa.Index("ix_audit_entries_at", "at"),
    sa.Index("ix_audit_entries_subject", "workspace_id", "subject_id", "seq"),
)
audit_heads = sa.Table(
    "audit_heads",
    metadata,
    sa.Column("workspace_id", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
)


def append(tx: Tx, workspace_id: str, entry: AuditEntry) -> None:
    """Add an entry in the transaction of what it tells.

    It is linked just before the commit, after every other lock was taken, so that two transactions
    that touch the same things never wait for each other in a ring.
    """
    at_end(tx, _link, (workspace_id, entry))


def head(tx: Tx, workspace_id: str) -> tuple[int, str]:
    """(sequence number, hash) of the newest entry; (0, zeros) while there is none."""
    row = tx.execute(sa.select(audit_heads).where(audit_heads.c.workspace_id == workspace_id)).one_or_none()
    return (0, START) if row is None else (row.seq, row.hash)


def chains_anywhere(tx: Tx) -> list[str]:
    """Every workspace with a chain, the deployment's own ('') among them."""
    return list(tx.execute(sa.select(audit_heads.c.workspace_id).order_by(audit_heads.c.workspace_id)).scalars())


def newest(
    tx: Tx,
    workspace_id: str,
    *,
    limit: int,
    before_seq: int | None = None,
    actor_id: str | None = None,
    subject_id: str | None = None,
    verb: str | None = None,
    since: float | None = None,
    until: float | None = None,
) -> list[dict[str, Any]]:
    """Lines, newest first, before a sequence number. `verb` is one, or a noun with a dot at its end: all of it."""
    c = audit_entries.c
    found = sa.select(c.line, c.hash).where(c.workspace_id == workspace_id)
    if before_seq is not None:
        found = found.where(c.seq < before_seq)
    if actor_id is not None:
        found = found.where(c.actor_id == actor_id)
    if subject_id is not None:
        found = found.where(c.subject_id == subject_id)
    if verb is not None:
        found = found.where(c.verb.startswith(verb, autoescape=True) if verb.endswith(".") else c.verb == verb)
    if since is not None:
        found = found.where(c.at >= since)
    if until is not None:
        found = found.where(c.at < until)
    return [_shown(row) for row in tx.execute(found.order_by(c.seq.desc()).limit(limit))]


def oldest(tx: Tx, workspace_id: str, *, after_seq: int, limit: int) -> list[dict[str, Any]]:
    """Lines in the order of the chain, after a sequence number: what an export is made of."""
    c = audit_entries.c
    found = sa.select(c.line, c.hash).where(c.workspace_id == workspace_id, c.seq > after_seq)
    return [_shown(row) for row in tx.execute(found.order_by(c.seq).limit(limit))]


def stray_anywhere(tx: Tx) -> list[tuple[str, int]]:
    """Entries whose finding columns say something else than their line: someone wrote beside us."""
    found = []
    for row in tx.execute(sa.select(audit_entries)):
        line = json.loads(row.line)
        told = (line["seq"], line["workspace_id"], line["verb"], line["subject_id"], line["who"]["id"])
        if told != (row.seq, row.workspace_id, row.verb, row.subject_id, row.actor_id):
            found.append((row.workspace_id, row.seq))
    return found


def prune_anywhere(tx: Tx, before: float) -> int:
    """Remove what is older than that time from the beginning of each chain; answers how many."""
    c = audit_entries.c
    removed = 0
    for workspace_id in chains_anywhere(tx):
        mine = c.workspace_id == workspace_id
        kept = tx.execute(sa.select(sa.func.min(c.seq)).where(mine, c.at >= before)).scalar_one_or_none()
        found = audit_entries.delete().where(mine, c.at < before)
        removed += tx.execute(found if kept is None else found.where(c.seq < kept)).rowcount
    return removed


def _link(tx: Tx, items: list[tuple[str, AuditEntry]]) -> None:
    for workspace_id in sorted({workspace_id for workspace_id, _ in items}):
        seq, prev = _locked_head(tx, workspace_id)
        rows = []
        for entry in (entry for owner, entry in items if owner == workspace_id):
            seq += 1
            line = line_of(entry, workspace_id=workspace_id, seq=seq, prev=prev)
            prev = hash_of(line)
            rows.append(
                {
                    "workspace_id": workspace_id,
                    "seq": seq,
                    "at": entry.at,
                    "actor_id": entry.who.id,
                    "verb": entry.verb,
                    "subject_id": entry.subject_id,
                    "line": canonical(line),
                    "hash": prev,
                }
            )
        tx.execute(audit_entries.insert(), rows)
        found = audit_heads.update().where(audit_heads.c.workspace_id == workspace_id)
        tx.execute(found.values(seq=seq, hash=prev))


def _locked_head(tx: Tx, workspace_id: str) -> tuple[int, str]:
    wanted = sa.select(audit_heads).where(audit_heads.c.workspace_id == workspace_id).with_for_update()
    row = tx.execute(wanted).one_or_none()
    if row is None:
        fresh = {"workspace_id": workspace_id, "seq": 0, "hash": START}
        try:
            with tx.begin_nested():
                tx.execute(audit_heads.insert().values(**fresh))
        except sa.exc.IntegrityError:
            pass  # another replica began the chain meanwhile
        row = tx.execute(wanted).one()
    return row.seq, row.hash


def _shown(row: Any) -> dict[str, Any]:
    return {**json.loads(row.line), "hash": row.hash}


def lines_of(tx: Tx, workspace_id: str) -> Iterator[dict[str, Any]]:
    """The whole chain in order, a page at a time, within one transaction."""
    after = 0
    while page := oldest(tx, workspace_id, after_seq=after, limit=1000):
        yield from page
        after = page[-1]["seq"]
