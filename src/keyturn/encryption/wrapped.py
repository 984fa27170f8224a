"""The keyring as a key service wrapped it: what is stored tells nothing without the service. It knows no storage."""

from __future__ import annotations

import base64
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from keyturn import redaction
from keyturn.encryption.key_services import AT, KeyService
from keyturn.encryption.keyring import Keyring, encode_key, fingerprint_of, parse_keys
from keyturn.encryption.sources import LOOK_SECONDS
from keyturn.errors import Conflict, KeyturnError


class WrappedStore(Protocol):
    """Where the wrapped keyring lies, for all replicas."""

    def read(self) -> dict[str, Any] | None:
        """What is stored now."""
        ...

    def write(self, value: Mapping[str, Any], *, instead_of: Mapping[str, Any] | None) -> None:
        """Store it in place of what was read. Raises `Conflict` if something else is there meanwhile."""
        ...


@dataclass(slots=True)
class WrappedKeys:
    """Keys out of a key service: the first wraps, all unwrap. It is asked again only when what is stored changed."""

    services: tuple[KeyService, ...]
    store: WrappedStore = field(repr=False)
    writable: bool = True
    look_seconds: float = LOOK_SECONDS
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _seen: dict[str, Any] | None = field(default=None, repr=False)
    _keys: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def place(self) -> str:
        """For sentences."""
        return f"the database, wrapped by {self.services[0].name}"

    @property
    def empty(self) -> bool:
        """Whether nothing was wrapped yet."""
        return self.store.read() is None

    def read(self) -> tuple[bytes, ...]:
        """The keys now. Raises `Conflict` without the service that wrapped them, `Unavailable` when it is away."""
        stored = self.store.read()
        with self._lock:
            if stored is None:
                raise Conflict(f"No keyring was wrapped by {self.services[0].name} yet.")
            if stored != self._seen:
                self._keys, self._seen = unwrap(stored, self.services), stored
            return self._keys

    def write(self, keys: Sequence[bytes]) -> None:
        """Wrap these instead. Raises `Conflict` if another process changed them meanwhile, `Unavailable`."""
        before = self.store.read()
        self.store.write(wrap(keys, self.services[0]), instead_of=before)

    def current(self, keyring: Keyring) -> bool:
        """Whether what is stored holds exactly these keys, wrapped by the first service."""
        stored = self.store.read() or {}
        names = ",".join(keyring.fingerprints)
        return (stored.get("service"), stored.get("fingerprints")) == (self.services[0].name, names)

    def settle(self) -> None:
        """Wrap what an older service wrapped by the first one, so that the older one may go."""
        keys = self.read()
        if not self.current(Keyring(keys)):
            self.write(keys)

    def check(self) -> None:
        """Ask the service to unwrap what is stored, to see that the next start would succeed. Raises as `read`."""
        stored = self.store.read()
        if stored is not None:
            unwrap(stored, self.services)


def wrap(keys: Sequence[bytes], service: KeyService) -> dict[str, Any]:
    """The whole keyring as one value, bound to its fingerprints."""
    names = ",".join(map(fingerprint_of, keys))
    blob = service.wrap(",".join(map(encode_key, keys)).encode(), _bound(names))
    return {"service": service.name, "fingerprints": names, "wrapped": base64.b64encode(blob).decode()}


def unwrap(stored: Mapping[str, Any], services: Sequence[KeyService]) -> tuple[bytes, ...]:
    """The keys of a wrapped keyring. Raises `Conflict`, `Unavailable`, `KeyturnError`."""
    service = next((one for one in services if one.name == stored["service"]), None)
    if service is None:
        raise Conflict(
            f"The keyring is wrapped by {stored['service']}. Name it in {AT}, after a new one if you change it."
        )
    text = service.unwrap(base64.b64decode(stored["wrapped"]), _bound(stored["fingerprints"])).decode(
        "ascii", "replace"
    )
    redaction.remember(*text.split(","))
    keys = parse_keys(text)
    if ",".join(Keyring(keys).fingerprints) != stored["fingerprints"]:
        raise KeyturnError("The wrapped keyring is not the one it says it is. Restore the database from a backup.")
    return keys


def _bound(fingerprints: str) -> dict[str, str]:
    return {"keyturn": "keyring", "fingerprints": fingerprints}
