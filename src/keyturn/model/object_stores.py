"""Addresses of object stores: a bucket with a folder in it, the server that has it, and keys that are files. Pure."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

# How the address of a bucket begins, by the kind of the destination.
SCHEMES: dict[str, str] = {"s3": "s3", "gcs": "gs", "azure": "az"}
GOOGLE = "https://storage.googleapis.com"
REGION = "us-east-1"
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
_CONTAINER = re.compile(r"(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*")
_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")
_ACCOUNT_HOST = "{account}.blob.core.windows.net"
_KEY_BYTES = 32
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
    return f"{SCHEMES[kind]}://{word_of(kind)}/folder"


def word_of(kind: str) -> str:
    """What that kind of store calls what has the objects."""
    return "container" if kind == "azure" else "bucket"


def bucket_of(url: str, kind: str) -> BucketAddress:
    """Take an address apart. Raises ValueError with a sentence; nothing of the address is quoted in it."""
    scheme, middle, rest = url.partition("://")
    if scheme.lower() != SCHEMES[kind] or not middle or any(sign in rest for sign in "?#@"):
        raise ValueError(f"Write the {word_of(kind)} and a folder in it. Example: {example_of(kind)}")
    bucket, _, folder = rest.partition("/")
    if kind == "azure" and not _CONTAINER.fullmatch(bucket):
        raise ValueError("A container's name has 3 to 63 small letters, digits and single hyphens between them. "
                         f"Example: {example_of(kind)}")  # fmt: skip
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


def account_of(name: str) -> str:
    """A storage account of Azure. Raises ValueError with a sentence."""
    if not _ACCOUNT.fullmatch(name):
        raise ValueError("A storage account's name has 3 to 24 small letters and digits. Example: acmelake")
    return name


def account_endpoint_of(url: str) -> str:
    """The address of a storage account's blobs: a server, or with the account as its path, as an emulator has it.

    Raises ValueError with a sentence that quotes nothing.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    path = parts.path.strip("/")
    if path and not _ACCOUNT.fullmatch(path):
        raise ValueError("Only the address of the account's blobs; the container has a field of its own. Example: "
                         f"https://{_ACCOUNT_HOST.format(account='acmelake')}")  # fmt: skip
    server = endpoint_of(parts._replace(path="").geturl())
    return f"{server}/{path}" if path else server


def usual_account_endpoint(account: str) -> str:
    """Where the blobs of an account are in Azure's public cloud."""
    return f"https://{_ACCOUNT_HOST.format(account=account)}"


def is_of_account(endpoint: str, account: str) -> bool:
    """Whether an endpoint may be that account's: a host of Azure's own begins with it, a path is it."""
    parts = urlsplit(endpoint)
    first, _, rest = (parts.hostname or "").partition(".")
    named = parts.path.strip("/") or (first if rest.startswith("blob.") else account)
    return named == account


def is_sas(secret: str) -> bool:
    """Whether it is a SAS token of Azure; else an account's key, which is base64 and has no & in it."""
    return "&" in secret


def azure_secret_of(text: str) -> str:
    """An account's key or a SAS token, without a ? before it. Raises ValueError with a sentence that quotes nothing."""
    found = text.strip()
    if re.search(r"(?i)account(name|key)=|sharedaccesssignature=", found):
        raise ValueError("Enter the account's key alone, not the whole connection string: what follows AccountKey=.")
    if "://" in found.partition("&")[0]:
        raise ValueError("Enter the SAS token alone, not the whole URL: what follows the question mark.")
    if is_sas(found):
        found = found.removeprefix("?")
        if not {"sv", "sig"} <= parse_qs(found).keys():
            raise ValueError("This is no whole SAS token: it has sv= and sig= in it.")
        return found
    try:
        key = base64.b64decode(found, validate=True)
    except ValueError:
        key = b""
    if len(key) < _KEY_BYTES:
        raise ValueError(
            "Enter one of the account's keys (base64, ending in ==), or a SAS token, which has sig= in it."
        )
    return found


def signature_of(sas: str) -> str:
    """What makes a SAS token a secret, decoded."""
    return parse_qs(sas).get("sig", [""])[0]


def sas_ends_at(sas: str) -> datetime | None:
    """Until when a SAS token is taken; None where it does not say."""
    try:
        found = datetime.fromisoformat(parse_qs(sas)["se"][0])
    except (KeyError, ValueError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


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
