"""The keyring, where its keys come from, the recovery key, sealed streams. It knows no noun and no storage."""

from keyturn.encryption.key_services import AwsKms, KeyService, VaultTransit, parse_services
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
from keyturn.encryption.wrapped import WrappedKeys, WrappedStore, unwrap, wrap

__all__ = [
    "KEY_BYTES",
    "AssociatedData",
    "AwsKms",
    "CannotOpen",
    "CommandKeys",
    "FileKeys",
    "FixedKeys",
    "KeyService",
    "KeySource",
    "Keyring",
    "SealedReader",
    "SealedWriter",
    "VaultTransit",
    "WrappedKeys",
    "WrappedStore",
    "encode_key",
    "fingerprint_of",
    "key_id_of",
    "key_mismatch",
    "load_or_make_key_file",
    "new_key",
    "new_recovery_key",
    "parse_services",
    "recovery_public_key",
    "unwrap",
    "unwrap_keyring",
    "wrap",
    "wrap_keyring",
]
