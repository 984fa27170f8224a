"""A container of Azure Blob Storage: blobs looked at, fetched, and put in place in one step; errors in our words.

Blobs are put as blocks, which nobody sees before the list of them is committed under a condition. Blocks cannot be
called off; they end after a week. So every upload has a condition from its beginning: a late one finds it broken as
soon as anything was put in its place, and where a blob is there already, as soon as that was touched.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator
from typing import Any

from keyturn.destinations.objects.azure.refusals import Refusals
from keyturn.destinations.objects.azure.requests import Access, client_of
from keyturn.destinations.objects.bucket import Before, Bucket, Changed, Found, Label, Missing
from keyturn.errors import Invalid

# Names of metadata have no hyphens there.
_SHA256, _RUN = "keyturn_sha256", "keyturn_run"


class AzureBucket(Bucket):
    """A container as the port says."""

    word = "container"
    right_to_delete = "the permission Delete"

    def __init__(self, access: Access) -> None:
        self.access = access
        self.name, self.who = access.container, access.who
        self.host = access.endpoint.partition("//")[2]
        self._made: Any = None

    def look(self, key: str) -> Found | None:
        """As the port says."""
        found = self._properties(key)
        if found is None:
            return None
        return Found(found.etag, found.size, found.metadata.get(_SHA256), found.metadata.get(_RUN))

    def reach(self, key: str) -> None:
        """As the port says."""
        with self._told():
            next(self._client.list_blobs(name_starts_with=key, results_per_page=1).by_page(), None)

    def stretch(self, key: str, found: Found, first: int, last: int) -> bytes:
        """As the port says."""
        with self._told(Changed()):
            read = self._blob(key).download_blob(first, last - first + 1, **_only(found.etag))
            return bytes(read.readall())

    def begin(self, key: str, label: Label, before: Before) -> str:  # noqa: ARG002 - its end has the label
        """As the port says. The id has what the blocks are called, and the condition that the end will have."""
        there = self.look(key) if before == "anything" else before
        return f"{secrets.token_hex(8)} {there.etag if there else ''}"

    def part(self, key: str, upload_id: str, number: int, data: bytes) -> dict[str, Any]:
        """As the port says. An empty one is none there."""
        name = f"{upload_id.partition(' ')[0]}-{number:05}"
        if not data:
            return {"block": None}
        with self._told():
            self._blob(key).stage_block(name, data, length=len(data))
        return {"block": name}

    def put(self, key: str, data: bytes, label: Label) -> None:
        """As the port says."""
        with self._told():
            self._blob(key).upload_blob(data, length=len(data), overwrite=True, **_about(label))

    def end(self, key: str, upload_id: str, parts: list[dict[str, Any]], label: Label, before: Before) -> None:  # noqa: ARG002
        """As the port says; the condition is that of the beginning."""
        from azure.storage.blob import BlobBlock, BlockState

        blocks = [BlobBlock(part["block"], state=BlockState.UNCOMMITTED) for part in parts if part["block"]]
        try:
            with self._told(Changed()):
                self._blob(key).commit_block_list(blocks, **_only(upload_id.partition(" ")[2]), **_about(label))
        except Changed:
            # An answer that was lost: it was asked again, and the blob is there.
            found = self.look(key)
            if found is None or (found.run, found.sha256) != (label.run, label.sha256):
                raise

    def call_off(self, key: str, upload_id: str) -> bool:
        """As the port says: touch the blob of its condition. Where that is none, it may end while there is none."""
        etag, found = upload_id.partition(" ")[2], self._properties(key)
        if not etag:
            return found is not None
        if found is not None and found.etag == etag:
            with contextlib.suppress(Changed), self._told(Changed()):
                self._blob(key).set_blob_metadata(found.metadata, **_only(etag))
        return True

    def remove(self, key: str) -> None:
        """As the port says."""
        with contextlib.suppress(Missing), self._told(Missing()):
            self._blob(key).delete_blob()

    def _properties(self, key: str) -> Any:
        with contextlib.suppress(Missing), self._told(Missing()):
            return self._blob(key).get_blob_properties()
        return None

    def _blob(self, key: str) -> Any:
        if any(part.endswith(".") for part in key.split("/")):
            sentence = (
                "A name at Azure has no part that ends with a dot. Choose another name, or partition by another column."
            )
            raise Invalid(sentence, at="destination.url")
        return self._client.get_blob_client(key)

    @property
    def _client(self) -> Any:
        if self._made is None:
            self._made = client_of(self.access)
        return self._made

    @contextlib.contextmanager
    def _told(self, absent: Exception | None = None) -> Iterator[None]:
        """The library's errors as ours; `absent` is raised when there is no such blob, else there is no container."""
        _ = self._client  # says which extra it is
        from azure.core.exceptions import AzureError

        try:
            yield
        except AzureError as error:
            found = Refusals(self, self.access, time.time()).in_our_words(error)
            raise (absent or self.missing() if isinstance(found, Missing) else found) from None


def _only(etag: str) -> dict[str, Any]:
    """That blob, or none where `etag` is empty."""
    from azure.core import MatchConditions

    if not etag:
        return {"match_condition": MatchConditions.IfMissing}
    return {"etag": etag, "match_condition": MatchConditions.IfNotModified}


def _about(label: Label) -> dict[str, Any]:
    from azure.storage.blob import ContentSettings

    settings = ContentSettings(content_type=label.media_type)
    return {"content_settings": settings, "metadata": {_SHA256: label.sha256, _RUN: label.run}}
