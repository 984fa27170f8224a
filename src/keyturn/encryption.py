"""The keyring: seal and open secrets with AES-256-GCM, each under its own data key that a key-encryption key wraps.

Layout of a sealed value: version (1 byte) | key id (4 bytes) | nonce (12) | wrapped data key (48) | nonce (12) |
ciphertext and tag. Associated data names the place (workspace, table, row, column, generation), so a value moved
to another row or tenant does not open; the key id is bound to the wrapped data key. It knows no noun and no storage.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from keyturn.errors import Invalid, KeyturnError
from keyturn.model.messages import say

KEY_BYTES = 32
_VERSION = 1
_ID_BYTES = 4
_NONCE_BYTES = 12
_WRAPPED_BYTES = KEY_BYTES + 16
_HEADER_BYTES = 1 + _ID_BYTES + _NONCE_BYTES + _WRAPPED_BYTES + _NONCE_BYTES


class CannotOpen(KeyturnError):
    """A sealed value does not open: its key is missing (`unknown_key`) or it was changed or moved."""

    def __init__(self, message: str, *, unknown_key: bool) -> None:
        super().__init__(message, message_code="E-KEY" if unknown_key else None)
        self.unknown_key = unknown_key


@dataclass(frozen=True, slots=True)
class AssociatedData:
    """The place a secret belongs to; `generation` is 0 where there is none."""

    workspace_id: str
    table: str
    row_id: str
    column: str
    generation: int = 0

    def encode(self) -> bytes:
        """Unambiguous bytes: each part with its length before it."""
        parts = (self.workspace_id, self.table, self.row_id, self.column, str(self.generation))
        return b"".join(len(raw).to_bytes(4, "big") + raw for raw in (part.encode() for part in parts))


class Keyring:
    """One or more key-encryption keys of 32 bytes: the first seals, all open. `repr` shows fingerprints only."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise Invalid("An encryption key is 32 bytes, written as base64.", at="KEYTURN_ENCRYPTION_KEY")
        self._keys = {_key_id(key): key for key in reversed(keys)}
        self._first = _key_id(keys[0])
        self.fingerprints = tuple(_key_id(key).hex() for key in keys)

    @classmethod
    def parse(cls, text: str) -> Keyring:
        """From `base64[,base64…]`. Raises `Invalid`, which never quotes the value."""
        keys = []
        for part in text.split(","):
            try:
                keys.append(base64.b64decode(part.strip(), validate=True))
            except (binascii.Error, ValueError):
                raise Invalid(
                    "KEYTURN_ENCRYPTION_KEY is not base64. Make one with: openssl rand -base64 32",
                    at="KEYTURN_ENCRYPTION_KEY",
                ) from None
        return cls(keys)

    @property
    def fingerprint(self) -> str:
        """The key that seals, as 8 hex digits that tell nothing of it."""
        return self.fingerprints[0]

    def seal(self, plaintext: str, *, ad: AssociatedData) -> bytes:
        """Encrypt under a fresh data key."""
        data_key, nonce = secrets.token_bytes(KEY_BYTES), secrets.token_bytes(_NONCE_BYTES)
        body = AESGCM(data_key).encrypt(nonce, plaintext.encode(), ad.encode())
        return self._wrap(data_key) + nonce + body

    def open(self, sealed: bytes, *, ad: AssociatedData) -> str:
        """Decrypt. Raises `CannotOpen` if the key is missing, or the value was changed or belongs elsewhere."""
        data_key = self._unwrap(sealed)
        nonce = sealed[_HEADER_BYTES - _NONCE_BYTES : _HEADER_BYTES]
        try:
            return AESGCM(data_key).decrypt(nonce, sealed[_HEADER_BYTES:], ad.encode()).decode()
        except InvalidTag:
            raise _damaged() from None

    def rewrap(self, sealed: bytes) -> bytes:
        """The same value with its data key wrapped by the first key; what it says is not touched."""
        return self._wrap(self._unwrap(sealed)) + sealed[_HEADER_BYTES - _NONCE_BYTES :]

    def wrapped_by(self, recovery_key: str) -> bytes:
        """The whole keyring under a recovery key, for storing; opens with `unwrap_keyring` only."""
        ordered = sorted(self._keys.items(), key=lambda item: self.fingerprints.index(item[0].hex()))
        return wrap_keyring(",".join(encode_key(key) for _, key in ordered), recovery_key)

    def __repr__(self) -> str:
        return f"Keyring({', '.join(self.fingerprints)})"

    def _wrap(self, data_key: bytes) -> bytes:
        head = bytes([_VERSION]) + self._first
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return head + nonce + AESGCM(self._keys[self._first]).encrypt(nonce, data_key, head)

    def _unwrap(self, sealed: bytes) -> bytes:
        if len(sealed) < _HEADER_BYTES or sealed[0] != _VERSION:
            raise _damaged()
        head, rest = sealed[: 1 + _ID_BYTES], sealed[1 + _ID_BYTES :]
        key = self._keys.get(head[1:])
        if key is None:
            raise CannotOpen(
                f"This secret was sealed with key {head[1:].hex()}, which the server was not given.", unknown_key=True
            )
        try:
            return AESGCM(key).decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES : _NONCE_BYTES + _WRAPPED_BYTES], head)
        except InvalidTag:
            raise _damaged() from None


def key_id_of(sealed: bytes) -> str:
    """The fingerprint of the key that a sealed value needs."""
    return sealed[1 : 1 + _ID_BYTES].hex()


def fingerprint_of(key: bytes) -> str:
    """The fingerprint of one key."""
    return _key_id(key).hex()


def new_key() -> bytes:
    """32 random bytes."""
    return secrets.token_bytes(KEY_BYTES)


def encode_key(key: bytes) -> str:
    """A key as it stands in the environment or in the key file."""
    return base64.b64encode(key).decode()


def load_or_make_key_file(path: Path, *, may_make: bool) -> Keyring | None:
    """The keyring of a key file; a missing one is made (mode 600, fsync) only if `may_make`. None if there is none."""
    if not path.exists():
        if not may_make:
            return None
        _write_key_file(path, encode_key(new_key()))
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise Invalid(
            f"The key file {path} can be read by others (mode {mode:o}). Fix: chmod 600 {path}",
            at="KEYTURN_ENCRYPTION_KEY",
        )
    return Keyring.parse(path.read_text("ascii").strip())


def key_mismatch(*, stored: str, given: str, place: str) -> KeyturnError:
    """`E-KEY`: the database was sealed with another key than the one the server has."""
    sentence = say("E-KEY", stored=_short(stored), given=_short(given), place=place)
    return KeyturnError(sentence, message_code="E-KEY")


def new_recovery_key() -> str:
    """A random key people can store: 160 bits in groups of base32."""
    text = base64.b32encode(secrets.token_bytes(20)).decode()
    return "-".join(text[i : i + 4] for i in range(0, len(text), 4))


def wrap_keyring(keys_text: str, recovery_key: str) -> bytes:
    """The keyring's text under a recovery key, for storing; opens with `unwrap_keyring` only."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(_recovery(recovery_key)).encrypt(nonce, keys_text.encode(), b"keyturn recovery 1")


def unwrap_keyring(blob: bytes, recovery_key: str) -> Keyring:
    """The keyring again. Raises `CannotOpen` for another recovery key."""
    try:
        opened = AESGCM(_recovery(recovery_key)).decrypt(
            blob[:_NONCE_BYTES], blob[_NONCE_BYTES:], b"keyturn recovery 1"
        )
    except InvalidTag:
        raise CannotOpen("This is not the recovery key of this deployment.", unknown_key=False) from None
    return Keyring.parse(opened.decode())


def _recovery(recovery_key: str) -> bytes:
    raw = recovery_key.replace("-", "").replace(" ", "").upper().encode()
    return HKDF(SHA256(), KEY_BYTES, None, b"keyturn recovery key").derive(raw)


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"keyturn key id" + key).digest()[:_ID_BYTES]


def _short(fingerprint: str) -> str:
    return f"{fingerprint[:2]}…{fingerprint[-2:]}" if len(fingerprint) >= 4 else fingerprint


def _damaged() -> CannotOpen:
    return CannotOpen(
        "A stored secret does not open: it was changed or moved. Restore it from a backup, or enter it again.",
        unknown_key=False,
    )


def _write_key_file(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, text.encode() + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
