"""The pages of an import on disk: what is listed counts, whatever else a crash or a late process left there."""

from __future__ import annotations

import contextlib
import resource

import pyarrow as pa
import pytest

from keyturn.destinations.journal import Journal, JournalLost, remove_folder
from keyturn.destinations.table_file import clear_away


@pytest.fixture
def open_journal(tmp_path):
    """`open_journal(run, segments)`; every one is closed at the end, as a process that dies closes it."""
    made: list[Journal] = []

    def open_(run: str, segments=()) -> Journal:
        made.append(Journal(tmp_path / "j", run, segments))
        return made[-1]

    yield open_
    for journal in made:
        journal.close()


def page(*numbers: int, name: str = "id") -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({name: list(numbers)})


def listed(journal: Journal) -> list[dict]:
    return [item.as_dict() for item in journal.segments]


def numbers(journal: Journal) -> list[int]:
    return [value for batch in journal.batches() for value in batch.column(0).to_pylist()]


def test_rows_come_back_in_their_order_and_in_the_schema_they_came_with(open_journal, tmp_path):
    journal = open_journal("e1")
    for batch in (page(1, 2), page(3), page(4, name="other"), page(5, name="other")):
        journal.add(batch)
    journal.sync(journal.segments)
    journal.close()
    again = open_journal("e2", listed(journal))
    assert numbers(again) == [1, 2, 3, 4, 5]
    assert [batch.schema.names for batch in again.batches()] == [["id"], ["id"], ["other"], ["other"]]


def test_a_page_that_is_not_listed_is_not_there(open_journal, tmp_path):
    journal = open_journal("e1")
    journal.add(page(1))
    safe = listed(journal)
    journal.add(page(2))
    again = open_journal("e2", safe)
    again.add(page(3))
    journal.add(page(4))  # the late process writes on, into a file of its own
    assert numbers(again) == [1, 3]
    assert [item["rows"] for item in listed(again)] == [1, 1]


def test_a_page_cut_off_in_its_middle_is_not_there(open_journal, tmp_path):
    journal = open_journal("e1")
    journal.add(page(1))
    safe = listed(journal)
    journal.add(page(*range(1000)))
    path = tmp_path / "j" / safe[0]["name"]
    with path.open("r+b") as file:
        file.truncate(safe[0]["bytes"] + 100)
    assert numbers(open_journal("e2", safe)) == [1]


def test_the_last_rows_are_found_over_several_segments(open_journal, tmp_path):
    journal = open_journal("e1")
    for number in range(5):
        journal.add(page(number, name=f"c{number}"))
    assert [batch.column(0)[0].as_py() for batch in journal.last(2)] == [3, 4]


def test_segments_that_are_gone_or_short_are_told(open_journal, tmp_path):
    journal = open_journal("e1")
    journal.add(page(1))
    with pytest.raises(JournalLost):
        open_journal("e2", [{**listed(journal)[0], "bytes": 10**6}])
    safe = listed(journal)
    remove_folder(tmp_path / "j")
    with pytest.raises(JournalLost) as caught:
        open_journal("e2", safe)
    assert caught.value.problems[0].at == "resume_from"


def test_clearing_away_leaves_the_listed_segments_alone(open_journal, tmp_path):
    journal = open_journal("e1")
    journal.add(page(1))
    (tmp_path / "j" / "e1-made-abc.csv").write_text("late")
    clear_away(tmp_path / "j", listed(journal))
    assert [path.name for path in (tmp_path / "j").iterdir()] == [listed(journal)[0]["name"]]
    clear_away(tmp_path / "nowhere", ())


@contextlib.contextmanager
def files_not_longer_than(size: int):
    """As on a full disk: no file of this process grows beyond."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_page_that_did_not_fit_is_added_again_once_there_is_room(open_journal, tmp_path):
    journal = open_journal("e1")
    journal.add(page(1))
    safe = journal.segments
    for size in (safe[0].bytes + 100, 0):  # in the middle of a page, and where not even a new file can begin
        with files_not_longer_than(size), pytest.raises(OSError, match="too large"):
            journal.add(page(*range(1000)))
    journal.sync(safe)
    journal.add(page(2))
    journal.add(page(3))
    journal.sync(journal.segments)
    assert numbers(open_journal("e2", listed(journal))) == [1, 2, 3]


def test_a_page_is_read_from_where_it_lies_also_when_others_follow(open_journal):
    journal = open_journal("e1")
    pages = [page(1, 2), page(3), page(*range(100))]
    lying = [journal.add(batch) for batch in pages]
    journal.close()
    lying.append(journal.add(page(9)))
    assert [where.read() for where in reversed(lying)] == [page(9), *reversed(pages)]
    remove_folder(journal.folder)
    with pytest.raises(OSError, match="No such file"):
        lying[0].read()
