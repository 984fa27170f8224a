"""Addresses of object stores: a bucket with a folder in it, the server that has it, and keys that are files. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

# How the address of a bucket begins, by the kind of the destination.
SCHEMES: dict[str, str] = {"s3": "s3", "gcs": "gs"}
GOOGLE = "https://storage.googleapis.com"
REGION = "us-east-1"
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
_ENDPOINT = "https://s3.example.com:9000"
MOST_KEY_BYTES = 1024


@dataclass(frozen=True, slots=True)
class BucketAddress:
    """A bucket, and the folder in it that everything goes to; "" or with a slash at its end."""

    scheme: str
    bucket: str
    folder: str

    @property
    def url(self) -> str:
        """As people write it."""
        return f"{self.scheme}://{self.bucket}/{self.folder}".rstrip("/")


def example_of(kind: str) -> str:
    """An address of that kind."""
    return f"{SCHEMES[kind]}://bucket/folder"


def bucket_of(url: str, kind: str) -> BucketAddress:
    """Take an address apart. Raises ValueError with a sentence; nothing of the address is quoted in it."""
    scheme, middle, rest = url.partition("://")
    if scheme.lower() != SCHEMES[kind] or not middle or any(sign in rest for sign in "?#@"):
        raise ValueError(f"Write the bucket and a folder in it. Example: {example_of(kind)}")
    bucket, _, folder = rest.partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise ValueError(f"A bucket's name has 3 to 63 letters, digits, dots or hyphens. Example: {example_of(kind)}")
    folder = folder.strip("/")
    if folder:
        check_key(folder)
    return BucketAddress(SCHEMES[kind], bucket, f"{folder}/" if folder else "")


def check_key(key: str) -> None:
    """Raise ValueError with a sentence unless it is a plain name, with folders before it or none."""
    parts = key.split("/")
    if "\\" in key or any(not part or part.startswith(".") for part in parts):
        raise ValueError("A name in a bucket has no empty part, no \\ and none beginning with a dot.")
    if len(key.encode()) > MOST_KEY_BYTES:
        raise ValueError(f"A name in a bucket has at most {MOST_KEY_BYTES} bytes.")


def endpoint_of(url: str) -> str:
    """A store's address without a slash at its end. Raises ValueError with a sentence that quotes nothing."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, None
    if parts is None or not host or parts.scheme not in {"https", "http"} or parts.username is not None:
        raise ValueError(f"Write the server's address. Example: {_ENDPOINT}")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(f"Only the server's address; the bucket has a field of its own. Example: {_ENDPOINT}")
    return f"{parts.scheme}://{parts.netloc.lower()}"


def service_account_of(text: str) -> dict[str, Any]:
    """A service account's key file. Raises ValueError with a sentence that quotes nothing."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or "type" not in found:
        raise ValueError("Enter the whole key file of a service account, which is JSON and begins with {.")
    if found["type"] != "service_account":
        raise ValueError("This is no key file of a service account. Make a key of the type JSON for one.")
    lacking = [name for name in ("client_email", "private_key", "token_uri") if not isinstance(found.get(name), str)]
    if lacking:
        raise ValueError(f"This key file has no {lacking[0]}. Enter the whole file as Google gave it.")
    return found


def one_line(text: str) -> str:
    """A key file without its line ends; anything else as it is."""
    if not text.lstrip().startswith("{"):
        return text
    try:
        return json.dumps(json.loads(text))
    except ValueError:
        return text
