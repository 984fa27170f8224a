from datetime import UTC, datetime, timedelta

from keyturn.client import progress

RUNNING = {"status": "running", "rows": 41_300, "pages": 413, "reported_total": 77_182, "waiting": None}


def test_the_line_says_rows_page_and_what_is_left():
    assert progress.sentence(RUNNING, elapsed_seconds=120) == "41,300 / 77,182 rows · page 413 · 2 min left"
    assert progress.sentence(RUNNING, elapsed_seconds=10).endswith("9 s left")


def test_an_unknown_total_is_a_count_only():
    assert progress.sentence(RUNNING | {"reported_total": None}, elapsed_seconds=5) == "41,300 rows · page 413"


def test_waiting_for_the_api_is_said():
    until = (datetime.now(UTC) + timedelta(seconds=300)).isoformat()
    found = RUNNING | {"status": "waiting", "waiting": {"reason": "429", "until": until}}
    said = progress.sentence(found, elapsed_seconds=60)
    assert "waiting 300 s (API limit)" in said or "waiting 299 s (API limit)" in said


def test_queued_is_queued():
    assert progress.sentence(RUNNING | {"status": "queued"}, elapsed_seconds=1) == "queued"


def test_without_a_terminal_nothing_is_drawn(capsys):
    with progress.shown("acme.orders") as look:
        assert look is None
    assert capsys.readouterr() == ("", "")
