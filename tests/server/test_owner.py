"""The name a process holds leases under: its own while it lives, and the same again after a crash."""

from __future__ import annotations

import pytest

from keyturn.errors import Conflict
from keyturn.server import owner
from keyturn.server.owner import Owner, take_owner


@pytest.fixture
def living():
    """Processes that take their names, and end with the test."""
    taken = []

    def take(folder) -> Owner:
        taken.append(take_owner(folder))
        return taken[-1]

    yield take
    for each in taken:
        each.file.close()


def test_two_that_live_have_two_names(tmp_path, living):
    assert living(tmp_path).name != living(tmp_path).name


def test_who_comes_back_has_the_name_it_had(tmp_path, living):
    one = living(tmp_path)
    living(tmp_path)
    one.file.close()
    assert living(tmp_path).name == one.name


def test_folders_of_two_machines_give_different_names(tmp_path, living):
    assert living(tmp_path / "a").name != living(tmp_path / "b").name


def test_a_folder_that_very_many_use_says_so(tmp_path, living, monkeypatch):
    monkeypatch.setattr(owner, "_MOST", 1)
    living(tmp_path)
    with pytest.raises(Conflict, match="data folder of its own"):
        living(tmp_path)
