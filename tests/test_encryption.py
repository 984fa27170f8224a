"""The keyring: what is sealed opens in its own place with its own key, and nowhere else."""

from __future__ import annotations

import base64
import io
import secrets
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn import encryption, errors
from keyturn.encryption import AssociatedData, CannotOpen, Keyring
from keyturn.errors import Invalid

KEY, OTHER = b"k" * 32, b"o" * 32
HERE = AssociatedData("ws_1", "grants", "gr_1", "refresh", 3)
PARTS = st.text(max_size=12)
PLACES = st.builds(AssociatedData, PARTS, PARTS, PARTS, PARTS, st.integers(0, 99))


@given(st.text(max_size=2000), PLACES)
def test_p1_what_is_sealed_opens_in_its_place(text, place):
    ring = Keyring([KEY])
    assert ring.open(ring.seal(text, ad=place), ad=place) == text


@given(PLACES, PLACES)
def test_p2_a_value_moved_elsewhere_does_not_open(place, other):
    ring = Keyring([KEY])
    sealed = ring.seal("secret", ad=place)
    if place == other:
        assert ring.open(sealed, ad=other) == "secret"
        return
    with pytest.raises(CannotOpen) as caught:
        ring.open(sealed, ad=other)
    assert caught.value.unknown_key is False


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_p7_a_changed_byte_is_noticed(position, change):
    ring = Keyring([KEY])
    sealed = bytearray(ring.seal("a refresh token", ad=HERE))
    sealed[position % len(sealed)] ^= change
    with pytest.raises(CannotOpen):
        ring.open(bytes(sealed), ad=HERE)


@given(st.integers(0, 120))
def test_a_value_cut_short_is_noticed(length):
    ring = Keyring([KEY])
    with pytest.raises(CannotOpen):
        ring.open(ring.seal("a refresh token", ad=HERE)[: -1 - length], ad=HERE)


def test_the_same_text_never_looks_the_same_twice():
    ring = Keyring([KEY])
    assert len({ring.seal("same", ad=HERE) for _ in range(50)}) == 50


def test_an_unknown_key_is_named_by_its_fingerprint():
    sealed = Keyring([OTHER]).seal("x", ad=HERE)
    with pytest.raises(CannotOpen) as caught:
        Keyring([KEY]).open(sealed, ad=HERE)
    assert caught.value.unknown_key is True
    assert caught.value.message_code == "E-KEY"
    assert Keyring([OTHER]).fingerprint in caught.value.message
    assert encryption.key_id_of(sealed) == Keyring([OTHER]).fingerprint == encryption.fingerprint_of(OTHER)


def test_the_first_key_seals_and_all_open():
    old = Keyring([OTHER]).seal("x", ad=HERE)
    both = Keyring([KEY, OTHER])
    assert both.open(old, ad=HERE) == "x"
    moved = both.rewrap(old)
    assert Keyring([KEY]).open(moved, ad=HERE) == "x"
    assert encryption.key_id_of(both.seal("y", ad=HERE)) == Keyring([KEY]).fingerprint


@pytest.mark.parametrize("text", ["", "short", "not base64!", base64.b64encode(b"k" * 31).decode(), "a,b"])
def test_a_key_that_is_none_is_refused_without_being_quoted(text):
    with pytest.raises(Invalid) as caught:
        Keyring.parse(text)
    assert caught.value.problems[0].at == "KEYTURN_ENCRYPTION_KEY"
    assert not text or text not in f"{caught.value!r}"


def test_nothing_shows_a_key():
    ring = Keyring([KEY, OTHER])
    for shown in (repr(ring), str(ring)):
        assert "kkkk" not in shown
        assert encryption.encode_key(KEY) not in shown


def test_a_key_file_is_made_once_and_for_the_owner_alone(tmp_path):
    path = tmp_path / "data" / "key"
    assert encryption.load_or_make_key_file(path, may_make=False) is None
    made = encryption.load_or_make_key_file(path, may_make=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = encryption.load_or_make_key_file(path, may_make=True)
    assert made.fingerprint == again.fingerprint


def test_a_key_file_that_others_can_read_is_refused_with_its_fix(tmp_path):
    path = tmp_path / "key"
    encryption.load_or_make_key_file(path, may_make=True)
    path.chmod(0o644)
    with pytest.raises(Invalid, match="chmod 600"):
        encryption.load_or_make_key_file(path, may_make=False)


def test_a_recovery_key_brings_the_keyring_back_however_it_is_typed():
    recovery = encryption.new_recovery_key()
    blob = encryption.wrap_keyring(Keyring([KEY, OTHER]), encryption.recovery_public_key(recovery))
    back = encryption.unwrap_keyring(blob, recovery.lower().replace("-", " "))
    assert back.fingerprints == Keyring([KEY, OTHER]).fingerprints
    with pytest.raises(CannotOpen):
        encryption.unwrap_keyring(blob, encryption.new_recovery_key())


def test_a_mismatch_says_both_fingerprints_and_where_the_key_belongs():
    error = encryption.key_mismatch(stored="3f0000a1", given="9c000004", place="/data/key")
    assert error.message_code == "E-KEY"
    assert "3f…a1" in error.message
    assert "9c…04" in error.message
    assert "/data/key" in error.message


def test_a_keyring_looks_at_its_source_again_when_a_value_needs_a_key_it_has_not(tmp_path):
    source = encryption.FileKeys(tmp_path / "key")
    encryption.load_or_make_key_file(source.path, may_make=True)
    replica, other = Keyring.of(source), Keyring.of(source)
    old = source.read()
    source.write([KEY, *old])
    assert other.look_again()
    assert other.fingerprint == encryption.fingerprint_of(KEY)
    assert replica.fingerprint == encryption.fingerprint_of(old[0])
    assert replica.open(other.seal("x", ad=HERE), ad=HERE) == "x"
    assert replica.fingerprint == other.fingerprint
    assert stat.S_IMODE(source.path.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_p5_keys_come_from_a_command_without_a_shell():
    text = f"{encryption.encode_key(KEY)},{encryption.encode_key(OTHER)}"
    assert encryption.CommandKeys(f"printf %s {text}").read() == (KEY, OTHER)
    for broken in ("false", "/nonexistent/program", "echo not-a-key", "echo 'unclosed"):
        with pytest.raises(Invalid) as caught:
            encryption.CommandKeys(broken).read()
        assert broken not in caught.value.message


def test_a_source_we_may_not_write_says_so():
    for source in (encryption.FixedKeys(encryption.encode_key(KEY)), encryption.CommandKeys("echo")):
        assert not source.writable
        with pytest.raises(errors.Conflict):
            source.write([KEY])


@given(st.binary(max_size=700_000), st.integers(1, 300_000))
def test_a_sealed_stream_opens_in_pieces_of_any_size(body, size):
    sealed = sealed_stream(body)
    reader = encryption.SealedReader(io.BytesIO(sealed), KEY)
    pieces = []
    while piece := reader.read(size):
        pieces.append(piece)
    assert b"".join(pieces) == body


@pytest.mark.parametrize("harm", ["cut", "cut_chunk", "changed", "continued", "swapped", "key"])
def test_a_sealed_stream_that_is_not_whole_does_not_open(harm):
    body = secrets.token_bytes(600_000)
    sealed = bytearray(sealed_stream(body))
    chunk = 256 * 1024 + 16
    if harm == "cut":
        del sealed[-5:]
    elif harm == "cut_chunk":
        del sealed[7 + 2 * chunk :]
    elif harm == "changed":
        sealed[300_000] ^= 1
    elif harm == "continued":
        sealed += sealed[7:]
    elif harm == "swapped":
        sealed[7 : 7 + chunk], sealed[7 + chunk : 7 + 2 * chunk] = (
            sealed[7 + chunk : 7 + 2 * chunk],
            sealed[7 : 7 + chunk],
        )
    with pytest.raises(CannotOpen):
        encryption.SealedReader(io.BytesIO(bytes(sealed)), OTHER if harm == "key" else KEY).read()


def sealed_stream(body: bytes) -> bytes:
    sink = io.BytesIO()
    writer = encryption.SealedWriter(sink, KEY)
    for start in range(0, len(body), 100_000):
        writer.write(body[start : start + 100_000])
    writer.close()
    return sink.getvalue()


def test_a_process_that_was_stalled_looks_for_the_present_key_before_it_seals(tmp_path):
    source, now = encryption.FileKeys(tmp_path / "key"), [100.0]
    encryption.load_or_make_key_file(source.path, may_make=True)
    stalled = Keyring(source.read(), source=source, clock=lambda: now[0])
    source.write([KEY])
    now[0] += 60
    value = stalled.seal("new", ad=HERE)
    assert Keyring([KEY]).open(value, ad=HERE) == "new"
    source.path.unlink()
    now[0] += 60
    assert stalled.open(stalled.seal("newer", ad=HERE), ad=HERE) == "newer"


def test_a_key_that_was_taken_away_seals_no_more_and_wraps_what_it_sealed_a_moment_before(tmp_path):
    source = encryption.FileKeys(tmp_path / "key")
    encryption.load_or_make_key_file(source.path, may_make=True)
    ring = Keyring.of(source)
    old, value = ring.fingerprint, ring.seal("under way", ad=HERE)
    source.write([KEY])
    assert ring.look_again()
    assert (ring.fingerprints, ring.retired, ring.keys) == (Keyring([KEY]).fingerprints, (old,), (KEY,))
    assert old not in repr(ring)
    assert Keyring([KEY]).open(ring.rewrap(value), ad=HERE) == "under way"
