"""The recovery key: people keep it, we keep what it opens. Rotation wraps new keys to its public half, without it.

X25519 with an ephemeral key, HKDF-SHA256, AES-256-GCM. Layout of a wrapped keyring: ephemeral public key (32) |
nonce (12) | ciphertext and tag.
"""

from __future__ import annotations

import base64
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from keyturn.encryption.keyring import KEY_BYTES, CannotOpen, Keyring, encode_key

_NONCE_BYTES = 12
_AD = b"keyturn recovery 2"


def new_recovery_key() -> str:
    """A random key people can store: 160 bits in groups of base32."""
    text = base64.b32encode(secrets.token_bytes(20)).decode()
    return "-".join(text[i : i + 4] for i in range(0, len(text), 4))


def recovery_public_key(recovery_key: str) -> bytes:
    """What may be stored of a recovery key: enough to wrap for it, not to open (32 bytes)."""
    return _private(recovery_key).public_key().public_bytes_raw()


def wrap_keyring(keyring: Keyring, public_key: bytes) -> bytes:
    """The whole keyring for the owner of a recovery key; opens with `unwrap_keyring` only."""
    ephemeral = X25519PrivateKey.generate()
    shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(public_key))
    head = ephemeral.public_key().public_bytes_raw()
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return (
        head
        + nonce
        + AESGCM(_derived(shared, head + public_key)).encrypt(
            nonce, ",".join(map(encode_key, keyring.keys)).encode(), _AD
        )
    )


def unwrap_keyring(blob: bytes, recovery_key: str) -> Keyring:
    """The keyring again. Raises `CannotOpen` for another recovery key."""
    private = _private(recovery_key)
    head, rest = blob[:KEY_BYTES], blob[KEY_BYTES:]
    try:
        shared = private.exchange(X25519PublicKey.from_public_bytes(head))
        key = _derived(shared, head + private.public_key().public_bytes_raw())
        opened = AESGCM(key).decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], _AD)
    except (InvalidTag, ValueError):
        raise CannotOpen("This is not the recovery key of this deployment.", unknown_key=False) from None
    return Keyring.parse(opened.decode())


def _private(recovery_key: str) -> X25519PrivateKey:
    raw = recovery_key.replace("-", "").replace(" ", "").upper().encode()
    return X25519PrivateKey.from_private_bytes(HKDF(SHA256(), KEY_BYTES, None, b"keyturn recovery key").derive(raw))


def _derived(shared: bytes, salt: bytes) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt, b"keyturn recovery wrap").derive(shared)
