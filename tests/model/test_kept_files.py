"""Which files of imports go, and sizes as people write them."""

from __future__ import annotations

import pytest

from keyturn.errors import Invalid
from keyturn.model.kept_files import FileLimits, KeptFile, due, latest_of, size_in_words
from keyturn.model.validation import parse

DAY = 86_400.0
TABLES = {"tb"}


def file(path: str, day: float, **more) -> KeptFile:
    told = {"import_id": f"im_{path}", "table_id": "tb", "created_by": "ana", "bytes": 1, "whole": True, **more}
    return KeptFile(path=path, asked_at=day * DAY, finished_at=day * DAY, **told)


def gone(files, limits: dict, now_day: float = 100) -> list[str]:
    return sorted(item.path for item in due(files, FileLimits(**limits), TABLES, now_day * DAY))


def test_without_limits_nothing_goes_however_old():
    assert gone([file("a.csv", 1), file("b.csv", 2)], {}) == []


def test_old_files_go_but_not_the_latest_whole_one_of_each_ending():
    files = [file("a.parquet", 1), file("b.parquet", 2), file("c.csv", 1), file("new.csv", 99)]
    assert gone(files, {"keep_days": 30}) == ["a.parquet", "c.csv"]


def test_the_latest_whole_one_is_each_members_own():
    files = [file("a.csv", 1), file("b.csv", 2, created_by="li"), file("c.csv", 3)]
    assert gone(files, {"keep_days": 30}) == ["a.csv"]


def test_an_incomplete_file_is_never_the_latest():
    files = [file("a.csv", 1), file("a.incomplete.csv", 50, whole=False)]
    assert gone(files, {"keep_days": 30}) == ["a.incomplete.csv"]
    assert latest_of(files, TABLES) == {"a.csv"}


def test_of_each_table_the_newest_stay():
    files = [file(f"{day}.csv", day) for day in range(1, 6)] + [file("other.csv", 1, table_id="tb2")]
    assert gone(files, {"keep_newest": 2}) == ["1.csv", "2.csv", "3.csv"]


def test_a_file_of_a_table_that_is_gone_is_nobodys_latest():
    assert gone([file("a.csv", 1, table_id="gone")], {"keep_days": 30}) == ["a.csv"]


def test_a_file_that_is_being_removed_is_neither_due_nor_the_latest():
    files = [file("a.csv", 1), file("b.csv", 2, removed_at=3.0)]
    assert gone(files, {"keep_days": 30}) == []


def test_a_file_goes_at_its_time_and_not_before():
    files = [file("a.csv", 10), file("b.csv", 90)]
    assert gone(files, {"keep_days": 30}, 39.99) == []
    assert gone(files, {"keep_days": 30}, 40) == ["a.csv"]


@pytest.mark.parametrize(
    ("typed", "number", "shown"),
    [("500 MB", 500 * 1024**2, "500 MB"), ("1.5gb", 1.5 * 1024**3, "1.5 GB"), ("2,000 kB", 2000 * 1024, "1.95 MB"),
     ("0", 0, "0"), (1000, 1000, "1000"), ("7", 7, "7"), ("1 TB", 1024**4, "1 TB")],
)  # fmt: skip
def test_sizes_are_read_as_people_write_them_and_shown_so_that_they_are_read_back(typed, number, shown):
    found = parse(FileLimits, {"max_import_bytes": typed}).max_import_bytes
    assert found == number
    again = parse(FileLimits, {"max_import_bytes": size_in_words(found)}).max_import_bytes
    assert (again, size_in_words(found)) == (found, shown) if shown != "1.95 MB" else again == found


@pytest.mark.parametrize("typed", ["", "much", "5 XB", "-1", -1, "1 GB 2"])
def test_what_is_no_size_is_refused(typed):
    with pytest.raises(Invalid):
        parse(FileLimits, {"max_total_bytes": typed})


@pytest.mark.parametrize("limits", [{"keep_days": -1}, {"keep_days": "soon"}, {"keep_years": 1}])
def test_what_cannot_be_kept_is_refused(limits):
    with pytest.raises(Invalid):
        parse(FileLimits, limits)
