"""The keyring, where its keys come from, the recovery key, sealed streams. It knows no noun and no storage."""

from keyturn.encryption.keyring import (
    KEY_BYTES,
    AssociatedData,
    CannotOpen,
    Keyring,
    encode_key,
    fingerprint_of,
    key_id_of,
    key_mismatch,
    new_key,
)
from keyturn.encryption.recovery import (
    new_recovery_key,
    recovery_public_key,
    unwrap_keyring,
    wrap_keyring,
)
from keyturn.encryption.sources import (
    CommandKeys,
    FileKeys,
    FixedKeys,
    KeySource,
    load_or_make_key_file,
)
from keyturn.encryption.streams import SealedReader, SealedWriter

__all__ = [
    "KEY_BYTES",
    "AssociatedData",
    "CannotOpen",
    "CommandKeys",
    "FileKeys",
    "FixedKeys",
    "KeySource",
    "Keyring",
    "SealedReader",
    "SealedWriter",
    "encode_key",
    "fingerprint_of",
    "key_id_of",
    "key_mismatch",
    "load_or_make_key_file",
    "new_key",
    "new_recovery_key",
    "recovery_public_key",
    "unwrap_keyring",
    "wrap_keyring",
]
