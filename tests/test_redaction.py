"""What is masked by name and by value, whatever stands around it."""

from __future__ import annotations

from urllib.parse import quote, quote_plus

from hypothesis import given
from hypothesis import strategies as st

from keyturn import redaction
from keyturn.redaction import MASK, _Remembered

SECRETS = st.text(st.sampled_from("ab+/ =é"), min_size=6, max_size=12)


@given(st.lists(SECRETS, min_size=1, max_size=8), st.lists(SECRETS | st.text(max_size=8), max_size=8))
def test_no_secret_is_left_in_any_text_in_any_spelling(secrets, around):
    remembered = _Remembered()
    for secret in secrets:
        remembered.add(secret)
    text = "".join(part + form for part, secret in zip(around, secrets, strict=False)
                   for form in (secret, quote(secret, safe=""), quote_plus(secret)))  # fmt: skip
    masked = remembered.mask(text)
    for part in masked.split(MASK):
        assert not any(
            form in part for secret in secrets for form in (secret, quote(secret, safe=""), quote_plus(secret))
        )


def test_of_two_secrets_that_begin_alike_the_longer_goes_whole():
    remembered = _Remembered()
    remembered.add("secret-1")
    remembered.add("secret-1-and-more")
    assert remembered.mask("a secret-1-and-more b secret-1 c") == f"a {MASK} b {MASK} c"


def test_what_holds_no_secret_stays_as_it_is():
    remembered = _Remembered()
    remembered.add("secret-1")
    assert remembered.mask("secret-2 and secre") == "secret-2 and secre"


def test_only_the_newest_are_remembered_and_one_that_comes_again_is_new(monkeypatch):
    monkeypatch.setattr(redaction, "_MAX_REMEMBERED", 3)
    remembered = _Remembered()
    for value in ("secret-1", "secret-2", "secret-3", "secret-1", "secret-4"):
        remembered.add(value)
    assert remembered.mask("secret-1 secret-2 secret-3 secret-4") == f"{MASK} secret-2 {MASK} {MASK}"
    for value in ("another-1", "another-2", "another-3"):
        remembered.add(value)
    assert remembered.mask("secret-1 secret-4") == "secret-1 secret-4"
    assert set(remembered._by_beginning) == {"anothe"}
