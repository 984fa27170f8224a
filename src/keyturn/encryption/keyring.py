"""The keyring: seal and open secrets with AES-256-GCM, each under its own data key that a key-encryption key wraps.

Layout of a sealed value: version (1 byte) | key id (4 bytes) | nonce (12) | wrapped data key (48) | nonce (12) |
ciphertext and tag. Associated data names the place (workspace, table, row, column, generation), so a value moved
to another row or tenant does not open; the key id is bound to the wrapped data key. It knows no noun and no storage.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keyturn.errors import Invalid, KeyturnError
from keyturn.model.messages import say

KEY_BYTES = 32
_VERSION = 1
_ID_BYTES = 4
_NONCE_BYTES = 12
_WRAPPED_BYTES = KEY_BYTES + 16
# An unknown key makes a keyring look at its source again, at most so often.
_LOOK_AGAIN_SECONDS = 1.0
_MISSED_MOST = 1000
# Whoever has not looked for so many of its looks was stalled, and looks before it seals: its key may be gone.
_LOOKS_MISSED = 10
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


class Keys(Protocol):
    """Where a keyring's keys come from, so that it can look again, usually every `look_seconds`."""

    @property
    def look_seconds(self) -> float:
        """How often looking is cheap enough."""
        ...

    def read(self) -> tuple[bytes, ...]:
        """The keys now, the first one seals. Raises `Invalid`."""
        ...


@dataclass(frozen=True, slots=True)
class _Held:
    """One look at the keys: what is held is swapped whole, so that threads never see half of it."""

    keys: tuple[bytes, ...]
    by_id: dict[bytes, bytes] = field(repr=False)
    first: bytes

    def __repr__(self) -> str:
        return f"_Held({len(self.keys)})"


class Keyring:
    """One or more key-encryption keys of 32 bytes: the first seals, all open. `repr` shows fingerprints only.

    With a `source`, a value whose key is unknown makes it look there once more before it gives up: another
    replica may have begun to seal with a new key. A key that was taken away there seals no more and is no longer
    among `keys`; what was sealed with it a moment before still opens in this process, so that it can be rewrapped.
    """

    def __init__(
        self, keys: Sequence[bytes], *, source: Keys | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._source = source
        self._clock = clock
        self._held = _hold(keys)
        self._retired: dict[bytes, bytes] = {}
        self._looked_at = clock()
        self._missed: dict[bytes, float] = {}
        self._lock = threading.Lock()

    @classmethod
    def of(cls, source: Keys) -> Keyring:
        """The keyring of a source. Raises `Invalid`."""
        return cls(source.read(), source=source)

    @classmethod
    def parse(cls, text: str) -> Keyring:
        """From `base64[,base64…]`. Raises `Invalid`, which never quotes the value."""
        return cls(parse_keys(text))

    @property
    def source(self) -> Keys | None:
        """Where it looks again."""
        return self._source

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Every key it holds, the one that seals first."""
        return tuple(_key_id(key).hex() for key in self._held.keys)

    @property
    def keys(self) -> tuple[bytes, ...]:
        """The keys themselves. For wrapping and writing, never for showing."""
        return self._held.keys

    def look_again(self) -> bool:
        """Read the source again; answers whether the keys are others now. Raises `Invalid`."""
        if self._source is None:
            return False
        with self._lock:
            held, before = _hold(self._source.read()), self._held
            self._looked_at = self._clock()
            gone = {key_id: key for key_id, key in before.by_id.items() if key_id not in held.by_id}
            self._retired = {**self._retired, **gone}
            self._held = held
            return held.keys != before.keys

    @property
    def retired(self) -> tuple[str, ...]:
        """Keys that were taken away since this process began, and open what it sealed until then."""
        return tuple(key_id.hex() for key_id in self._retired if key_id not in self._held.by_id)

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

    def keyed_hash(self, secret: str) -> str:
        """Tells whether two secrets are the same to who has the first key, and nothing to others."""
        return hmac.new(self._held.keys[0], b"keyturn keyed hash" + secret.encode(), hashlib.sha256).hexdigest()

    def rewrap(self, sealed: bytes) -> bytes:
        """The same value with its data key wrapped by the first key; what it says is not touched."""
        return self._wrap(self._unwrap(sealed)) + sealed[_HEADER_BYTES - _NONCE_BYTES :]

    def __repr__(self) -> str:
        return f"Keyring({', '.join(self.fingerprints)})"

    def _wrap(self, data_key: bytes) -> bytes:
        if self._source is not None and self._clock() - self._looked_at > _LOOKS_MISSED * self._source.look_seconds:
            # A source that cannot be read now lost no key to `keys remove`, which writes there.
            with contextlib.suppress(KeyturnError):
                self.look_again()
        held = self._held
        head = bytes([_VERSION]) + held.first
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return head + nonce + AESGCM(held.by_id[held.first]).encrypt(nonce, data_key, head)

    def _key(self, key_id: bytes) -> bytes | None:
        key = self._held.by_id.get(key_id) or self._retired.get(key_id)
        now = self._clock()
        # A key that is new to us is looked for at once, however lately we looked: another replica may seal with it
        # already. One that was not there is looked for once a second, so that lost keys cost little.
        if key is None and self._source is not None and now >= self._missed.get(key_id, 0.0):
            try:
                self.look_again()
            except KeyturnError:
                return None
            key = self._held.by_id.get(key_id)
            if key is None and len(self._missed) < _MISSED_MOST:
                self._missed[key_id] = now + _LOOK_AGAIN_SECONDS
        return key

    def _unwrap(self, sealed: bytes) -> bytes:
        if len(sealed) < _HEADER_BYTES or sealed[0] != _VERSION:
            raise _damaged()
        head, rest = sealed[: 1 + _ID_BYTES], sealed[1 + _ID_BYTES :]
        key = self._key(head[1:])
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


def parse_keys(text: str) -> tuple[bytes, ...]:
    """Keys from `base64[,base64…]`. Raises `Invalid`, which never quotes the value."""
    keys = []
    for part in text.split(","):
        try:
            keys.append(base64.b64decode(part.strip(), validate=True))
        except (binascii.Error, ValueError):
            raise Invalid(
                "KEYTURN_ENCRYPTION_KEY is not base64. Make one with: openssl rand -base64 32",
                at="KEYTURN_ENCRYPTION_KEY",
            ) from None
    return _hold(keys).keys


def key_mismatch(*, stored: str, given: str, place: str) -> KeyturnError:
    """`E-KEY`: the database was sealed with another key than the one the server has."""
    sentence = say("E-KEY", stored=_short(stored), given=_short(given), place=place)
    return KeyturnError(sentence, message_code="E-KEY")


def _hold(keys: Sequence[bytes]) -> _Held:
    if not keys or any(len(key) != KEY_BYTES for key in keys):
        raise Invalid("An encryption key is 32 bytes, written as base64.", at="KEYTURN_ENCRYPTION_KEY")
    return _Held(tuple(dict.fromkeys(keys)), {_key_id(key): key for key in keys}, _key_id(keys[0]))


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"keyturn key id" + key).digest()[:_ID_BYTES]


def _short(fingerprint: str) -> str:
    return f"{fingerprint[:2]}…{fingerprint[-2:]}" if len(fingerprint) >= 4 else fingerprint


def _damaged() -> CannotOpen:
    return CannotOpen(
        "A stored secret does not open: it was changed or moved. Restore it from a backup, or enter it again.",
        unknown_key=False,
    )
