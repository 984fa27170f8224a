import pytest

from keyturn.client.completeness import Completeness

WHOLE = {"rows": 1234, "pages": 13, "reported_total": 1234, "stop_reason": "no_next", "complete": True}


@pytest.mark.parametrize(
    ("changes", "word", "is_short"),
    [
        ({}, "Complete", False),
        ({"complete": None, "reported_total": None}, "TotalUnknown", False),
        ({"complete": False}, "Incomplete", True),
        ({"complete": False, "truncated": True}, "Truncated", False),
    ],
)
def test_the_verdict_is_one_word_and_only_missing_rows_are_short(changes, word, is_short):
    stamp = Completeness.of(WHOLE | changes)
    assert (stamp.word, stamp.is_short) == (word, is_short)
    assert repr(stamp).startswith(f"{word}(rows=1234, reported=")


def test_the_sentence_is_for_people():
    assert Completeness.of(WHOLE).sentence == "1,234 of 1,234 rows, 13 pages, stopped: no next link"
    one = {"rows": 3, "pages": 1, "stop_reason": "short_page", "complete": None}
    assert Completeness.of(one).sentence == "3 rows, 1 page, stopped: short page"


def test_what_a_later_server_adds_is_left_out_and_what_it_invents_is_said():
    stamp = Completeness.of(WHOLE | {"stop_reason": "moon_phase", "colour": "blue"})
    assert stamp.stopped == "moon phase"


def test_repr_is_what_the_documentation_shows():
    assert repr(Completeness.of(WHOLE)) == "Complete(rows=1234, reported=1234, pages=13, stopped='no next link')"
