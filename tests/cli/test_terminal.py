import os
import pty
import subprocess
import sys

import pytest

from keyturn.cli.terminal import begin, clean


def test_control_and_direction_characters_are_shown_and_not_sent():
    assert clean("a\x1b[31mb\x00\u202ec\nd") == "a\\x1b[31mb\\x00\\x202ec d"


def test_columns_are_aligned_by_what_they_are_wide_on_screen(capsys):
    begin().table(("A", "B"), [("日本", 1), ("x", 2)])
    assert capsys.readouterr().out == "A     B\n日本  1\nx     2\n"


def test_pairs_leave_out_what_is_not_known(capsys):
    begin().pairs({"Name": "acme", "Account": None, "Scopes": ""})
    assert capsys.readouterr().out == "Name    acme\nScopes\n"


def on_a_terminal(environment: dict[str, str], code: str) -> str:
    ours, theirs = pty.openpty()
    subprocess.run([sys.executable, "-c", code], env=environment, stdout=theirs, check=True)
    os.close(theirs)
    shown = os.read(ours, 4096).decode()
    os.close(ours)
    return shown


@pytest.mark.parametrize(
    ("changes", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)], ids=str
)
def test_colour_is_for_terminals_that_want_it(changes, coloured):
    environment = {"PATH": os.environ["PATH"], "PYTHONIOENCODING": "utf-8"} | changes
    shown = on_a_terminal(environment, "from keyturn.cli.terminal import begin; begin().good('Done')")
    assert ("\x1b[" in shown) is coloured
    assert "Done" in shown


def test_a_terminal_without_unicode_gets_question_marks_and_no_crash():
    environment = {"PATH": os.environ["PATH"], "PYTHONIOENCODING": "ascii"}
    code = "from keyturn.cli.terminal import begin; t = begin(); t.good('Dóne'); t.json({'a': 'é'})"
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("? D?ne\n")
    assert '"\\u00e9"' in ran.stdout
