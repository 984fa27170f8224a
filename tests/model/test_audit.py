from __future__ import annotations

import copy
import random

from hypothesis import given
from hypothesis import strategies as st

from keyturn.model.audit import START, AuditEntry, Who, hash_of, line_of, noun_of, verify

texts = st.text(max_size=20)
entries = st.lists(
    st.builds(
        AuditEntry,
        at=st.floats(0, 4e9),
        who=st.builds(Who, id=texts, name=texts, via=st.none() | texts, address=texts),
        verb=texts,
        subject_id=texts,
        result=st.sampled_from(["ok", "refused", "failed"]),
        details=st.dictionaries(texts, texts | st.integers() | st.booleans() | st.lists(texts, max_size=3), max_size=3),
    ),
    min_size=1,
    max_size=12,
)


def chained(found: list[AuditEntry]) -> list[dict]:
    lines, prev = [], START
    for seq, entry in enumerate(found, 1):
        line = line_of(entry, workspace_id="ws_1", seq=seq, prev=prev)
        prev = hash_of(line)
        lines.append({**line, "hash": prev})
    return lines


@given(entries)
def test_an_untouched_chain_holds(found):
    lines = chained(found)
    chain = verify(lines)
    assert chain.whole
    assert (chain.entries, chain.head_seq, chain.head_hash) == (len(lines), len(lines), lines[-1]["hash"])


@given(entries, st.randoms())
def test_any_changed_field_is_noticed_at_its_entry(found, chance: random.Random):
    lines = chained(found)
    where = chance.randrange(len(lines))
    name = chance.choice(["at", "who", "from", "verb", "subject_id", "result", "details", "workspace_id"])
    changed = copy.deepcopy(lines)
    changed[where][name] = {"forged": 1} if name in {"who", "details"} else str(changed[where][name]) + "x"
    assert verify(changed).broken_at == where + 1


@given(entries, st.randoms())
def test_a_forger_who_hashes_anew_is_noticed_at_the_next_entry(found, chance: random.Random):
    lines = chained(found)
    where = chance.randrange(len(lines))
    lines[where]["verb"] += "x"
    lines[where]["hash"] = hash_of(lines[where])
    last = where == len(lines) - 1
    assert verify(lines).broken_at == (None if last else where + 2)
    # A forged last entry is what a head noted elsewhere is for.
    assert verify(lines, expected=(len(lines), chained(found)[-1]["hash"])).broken_at is not None


@given(entries.filter(lambda found: len(found) > 2), st.data())
def test_a_removed_or_swapped_entry_breaks_the_chain(found, data):
    lines = chained(found)
    where = data.draw(st.integers(1, len(lines) - 2))
    assert verify(lines[:where] + lines[where + 1 :]).broken_at == where + 1
    swapped = [*lines[: where - 1], lines[where], lines[where - 1], *lines[where + 1 :]]
    assert not verify(swapped).whole


def test_a_cut_off_end_is_told_by_a_head_that_was_noted():
    lines = chained([AuditEntry(0, Who(), f"a.{i}") for i in range(5)])
    head = (5, lines[-1]["hash"])
    assert verify(lines, expected=head).whole
    assert verify(lines[:3]).whole
    assert verify(lines[:3], expected=head).broken_at == 5


def test_an_export_may_begin_after_entries_that_were_pruned():
    lines = chained([AuditEntry(0, Who(), f"a.{i}") for i in range(5)])
    chain = verify(lines[2:])
    assert chain.whole
    assert (chain.first_seq, chain.entries) == (3, 3)


def test_what_is_no_entry_breaks_the_chain():
    assert not verify([{}]).whole
    assert not verify([{"seq": 1, "prev": START, "hash": "x"}]).whole
    assert verify([]).whole


def test_ids_say_what_they_name():
    assert noun_of("cn_1") == "connection"
    assert noun_of("") == "deployment"
