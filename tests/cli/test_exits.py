import pytest

from keyturn import errors
from keyturn.cli import exits


def test_every_error_has_an_exit_code():
    assert set(exits.BY_CODE) == set(errors.by_code()) | {"internal"}


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        ("E-GRANT", 3),
        ("reconnect_needed", 3),
        ("E-FORBIDDEN", 5),
        ("E-NOTFOUND", 7),
        ("E-TIMEOUT", 6),
        ("E-X", 1),
        (None, 1),
    ],
)
def test_a_failed_step_has_the_exit_code_of_what_it_names(code, exit_code):
    assert exits.of_step(code) == exit_code
