"""Addresses of object stores: a bucket with a folder in it, and the server that has it. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

EXAMPLE = "s3://bucket/folder"
REGION = "us-east-1"
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
_ENDPOINT = "https://s3.example.com:9000"
MOST_KEY_BYTES = 1024


@dataclass(frozen=True, slots=True)
class BucketAddress:
    """A bucket, and the folder in it that everything goes to; "" or with a slash at its end."""

    bucket: str
    folder: str

    @property
    def url(self) -> str:
        """As people write it."""
        return f"s3://{self.bucket}/{self.folder}".rstrip("/")


def bucket_of(url: str) -> BucketAddress:
    """Take an address apart. Raises ValueError with a sentence; nothing of the address is quoted in it."""
    scheme, middle, rest = url.partition("://")
    if scheme.lower() != "s3" or not middle or any(sign in rest for sign in "?#@"):
        raise ValueError(f"Write the bucket and a folder in it. Example: {EXAMPLE}")
    bucket, _, folder = rest.partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise ValueError(f"A bucket's name has 3 to 63 letters, digits, dots or hyphens. Example: {EXAMPLE}")
    folder = folder.strip("/")
    if folder:
        check_key(folder)
    return BucketAddress(bucket, f"{folder}/" if folder else "")


def check_key(key: str) -> None:
    """Raise ValueError with a sentence unless it is a plain name, with folders before it or none."""
    parts = key.split("/")
    if "\\" in key or any(not part or part.startswith(".") for part in parts):
        raise ValueError("A name in a bucket has no empty part, no \\ and none beginning with a dot.")
    if len(key.encode()) > MOST_KEY_BYTES:
        raise ValueError(f"A name in a bucket has at most {MOST_KEY_BYTES} bytes.")


def endpoint_of(url: str) -> str:
    """An S3 server's address without a slash at its end. Raises ValueError with a sentence that quotes nothing."""
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
