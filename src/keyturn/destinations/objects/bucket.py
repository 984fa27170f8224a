"""What object stores have in common: objects looked at, fetched, and put in place in one step.

Each kind of store is one class of its own below; everything that imports do with one goes through this port.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from keyturn.destinations.destination import Away
from keyturn.errors import Invalid, KeyturnError

_RANGE_BYTES = 16 << 20


class Changed(Exception):
    """The object is another one than it was, or the upload was called off: somebody was here."""


class Missing(Exception):
    """There is no such object."""


@dataclass(frozen=True, slots=True)
class Found:
    """An object that is there; `etag` changes whenever it does. `sha256` and `run` are of those that we put."""

    etag: str
    bytes: int
    sha256: str | None
    run: str | None


# What has to be under a key for an object to be put there: this one, nothing, or whatever there is.
Before = Found | Literal["anything"] | None


@dataclass(frozen=True, slots=True)
class Label:
    """What an object of ours has with it, so that a finished one can be told from any other."""

    media_type: str
    sha256: str
    run: str


class Bucket(ABC):
    """Objects by key. Every error is `Away`, `Invalid`, `Changed` or one of ours."""

    # For people: what it is there, its name, its host, as whom we come, and the right to delete in its own words.
    word = "bucket"
    name: str
    host: str
    who: str
    right_to_delete: str

    @abstractmethod
    def look(self, key: str) -> Found | None:
        """The object under a key; None when there is none."""

    @abstractmethod
    def reach(self, key: str) -> None:
        """See whether bucket, key and rights are right, before anything is read for it."""

    @abstractmethod
    def stretch(self, key: str, found: Found, first: int, last: int) -> bytes:
        """The bytes `first` to `last`, both included, of exactly that object. Raises `Changed`."""

    @abstractmethod
    def begin(self, key: str, label: Label, before: Before) -> str:
        """Begin an upload of what is seen only at its end; answers its id. May raise `Changed` already."""

    @abstractmethod
    def part(self, key: str, upload_id: str, number: int, data: bytes) -> dict[str, Any]:
        """One part, in order from 1; answers what `end` is to be told. All but the last have a multiple of 256 KiB."""

    @abstractmethod
    def put(self, key: str, data: bytes, label: Label) -> None:
        """A small object in one request, whatever is there."""

    @abstractmethod
    def end(self, key: str, upload_id: str, parts: list[dict[str, Any]], label: Label, before: Before) -> None:
        """Put the object in place, if what is there is still `before`. Raises `Changed`; when called off too."""

    @abstractmethod
    def call_off(self, key: str, upload_id: str) -> bool:
        """End an upload without a trace; one that is over already is no error.

        Answers whether it can surely not end any more.
        """

    @abstractmethod
    def remove(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""

    def fetch(self, key: str, found: Found, path: Path) -> None:
        """Exactly that object into a file. Raises `Changed`."""
        with path.open("wb") as out:
            for start in range(0, found.bytes, _RANGE_BYTES):
                out.write(self.stretch(key, found, start, min(start + _RANGE_BYTES, found.bytes) - 1))
        if path.stat().st_size != found.bytes:
            raise Away(f"{self.host} broke off in the middle of {key}.")

    def missing(self) -> Invalid:
        """That there is no such bucket."""
        return wrong(f"There is no {self.word} {self.name} at {self.host}. Make it, or change the destination.")


def wrong(sentence: str) -> Invalid:
    """What an admin mends at the destination."""
    return Invalid(sentence, at="destination.destination_id")


def try_out(bucket: Bucket, folder: str) -> str:
    """Put a small object as an import would, read it and remove it; answers a sentence. Raises as a bucket does."""
    key = f"{folder}.keyturn-{secrets.token_hex(6)}"
    data = b"A test of Keyturn. It may be removed.\n"
    label = Label("text/plain", hashlib.sha256(data).hexdigest(), "test")
    upload = bucket.begin(key, label, "anything")
    try:
        bucket.end(key, upload, [bucket.part(key, upload, 1, data)], label, "anything")
    except BaseException:
        with contextlib.suppress(Away, KeyturnError):
            bucket.call_off(key, upload)
        raise
    try:
        found = bucket.look(key)
    finally:
        try:
            bucket.remove(key)
        except Invalid:
            sentence = f"{bucket.who} may write and not delete: {key} is left in {bucket.name}."
            raise wrong(f"{sentence} Allow {bucket.right_to_delete}.") from None
    if found is None or found.bytes != len(data):
        raise Away(f"{bucket.host} does not give back what was written to it.")
    return f"It takes objects: a small one was written, read and deleted in {bucket.name}."
