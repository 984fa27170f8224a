"""Answers in files while the database is away."""

from __future__ import annotations

from keyturn.services import spills


def test_f4_everything_sealed_of_an_answer_comes_back_as_it_was(tmp_path):
    values = {"access_sealed": b"\x00\xffa", "refresh_sealed": None, "dpop_key_sealed": b"\x01key", "generation": 2}
    assert spills.put(tmp_path, "at_1", {"grant_id": "gr_1", "values": values})
    assert spills.read_all(tmp_path) == [{"grant_id": "gr_1", "values": values}]
    spills.remove(tmp_path, "at_1")
    assert spills.read_all(tmp_path) == []
