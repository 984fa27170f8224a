"""A bucket of an S3 server: objects looked at, fetched, and put in place in one step; errors in our words.

Objects are put by multipart uploads: nothing is seen before the last request, and that one can be called off.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keyturn import redaction
from keyturn.destinations.destination import Away
from keyturn.destinations.objects.requests import Access, Refused, client_of, passing
from keyturn.errors import Invalid, KeyturnError

# What our objects have in their metadata, so that a finished one can be told from any other.
_SHA256, _RUN = "keyturn-sha256", "keyturn-run"
_RANGE_BYTES = 16 << 20
_UNKNOWN = frozenset({"InvalidAccessKeyId", "InvalidClientTokenId", "InvalidToken", "ExpiredToken", "NotSignedUp"})
_RIGHTS = frozenset({"AccessDenied", "403", "Forbidden", "AllAccessDisabled", "AccountProblem"})
_REGION = frozenset({"PermanentRedirect", "301", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException",
                     "TemporaryRedirect"})  # fmt: skip
_MISSING = frozenset({"NoSuchKey", "404", "NotFound"})
_CHANGED = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412"})
_CONDITIONLESS = frozenset({"NotImplemented", "501"})


class Changed(Exception):
    """The object is another one than it was, or the upload was called off: somebody was here."""


@dataclass(frozen=True, slots=True)
class Found:
    """An object that is there. `sha256` and `run` are of those that we put."""

    etag: str
    bytes: int
    sha256: str | None
    run: str | None


class Bucket:
    """Objects by key. Every error is `Away`, `Invalid`, `Changed` or one of ours."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._made: Any = None

    def look(self, key: str) -> Found | None:
        """The object under a key; None when there is none."""
        with contextlib.suppress(_Missing), self._told(_Missing()):
            said = self._client.head_object(Bucket=self.access.bucket, Key=key)
            known = said.get("Metadata", {})
            return Found(said["ETag"], said["ContentLength"], known.get(_SHA256), known.get(_RUN))
        return None

    def reach(self, key: str) -> None:
        """See whether bucket, region, key and rights are right, before anything is read for it."""
        # Unlike HEAD, its answer says why not.
        with self._told():
            self._client.list_objects_v2(Bucket=self.access.bucket, Prefix=key, MaxKeys=1)

    def fetch(self, key: str, found: Found, path: Path) -> None:
        """Exactly that object into a file. Raises `Changed`."""
        with path.open("wb") as out:
            for start in range(0, found.bytes, _RANGE_BYTES):
                stretch = f"bytes={start}-{min(start + _RANGE_BYTES, found.bytes) - 1}"
                with self._told(Changed()):
                    said = self._client.get_object(
                        Bucket=self.access.bucket, Key=key, Range=stretch, IfMatch=found.etag
                    )
                    out.write(said["Body"].read())
        if path.stat().st_size != found.bytes:
            raise Away(f"{self.host} broke off in the middle of {key}.")

    def begin(self, key: str, media_type: str, sha256: str, run: str) -> str:
        """Begin an upload; answers its id."""
        with self._told():
            said = self._client.create_multipart_upload(
                Bucket=self.access.bucket, Key=key, ContentType=media_type, Metadata={_SHA256: sha256, _RUN: run}
            )
        return str(said["UploadId"])

    def part(self, key: str, upload_id: str, number: int, data: bytes) -> dict[str, Any]:
        """One part, from 1; answers what `end` is to be told."""
        with self._told():
            said = self._client.upload_part(
                Bucket=self.access.bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=data
            )
        return {"PartNumber": number, "ETag": said["ETag"]}

    def put(self, key: str, data: bytes, media_type: str, sha256: str, run: str) -> None:
        """A small object in one request, whatever is there."""
        with self._told():
            self._client.put_object(
                Bucket=self.access.bucket, Key=key, Body=data, ContentType=media_type,
                Metadata={_SHA256: sha256, _RUN: run},
            )  # fmt: skip

    def end(self, key: str, upload_id: str, parts: list[dict[str, Any]]) -> None:
        """Put the object in place, whatever is there. Raises `Changed` when the upload was called off."""
        self._end(key, upload_id, parts, {})

    def end_if_still(self, before: Found | None, key: str, upload_id: str, parts: list[dict[str, Any]]) -> None:
        """Put the object in place, if what is there is still `before`. Raises `Changed`."""
        # Looked at for servers that know no such conditions, and ignore them or say so.
        there = self.look(key)
        if (there and there.etag) != (before and before.etag):
            raise Changed
        only: dict[str, Any] = {"IfNoneMatch": "*"} if before is None else {"IfMatch": before.etag}
        try:
            self._end(key, upload_id, parts, only)
        except _Conditionless:
            self._end(key, upload_id, parts, {})

    def call_off(self, key: str, upload_id: str) -> None:
        """End an upload without a trace; one that is over already is no error."""
        with contextlib.suppress(_Missing, Changed), self._told(_Missing()):
            self._client.abort_multipart_upload(Bucket=self.access.bucket, Key=key, UploadId=upload_id)

    def remove(self, key: str) -> None:
        """Remove an object."""
        with self._told():
            self._client.delete_object(Bucket=self.access.bucket, Key=key)

    @property
    def host(self) -> str:
        """For people."""
        return self.access.endpoint.partition("//")[2]

    @property
    def _client(self) -> Any:
        if self._made is None:
            self._made = client_of(self.access)
        return self._made

    def _end(self, key: str, upload_id: str, parts: list[dict[str, Any]], only: dict[str, Any]) -> None:
        with self._told():
            self._client.complete_multipart_upload(
                Bucket=self.access.bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts}, **only
            )

    @contextlib.contextmanager
    def _told(self, absent: Exception | None = None) -> Iterator[None]:
        """The library's errors as ours; `absent` is raised when there is no such object, else there is no bucket."""
        try:
            from botocore.exceptions import BotoCoreError, ClientError
        except ImportError:
            _ = self._client  # says which extra it is
            raise
        try:
            yield
        except ClientError as error:
            found = self._in_our_words(error)
            raise (absent or self._no_bucket() if isinstance(found, _Missing) else found) from None
        except (BotoCoreError, Refused) as error:
            raise passing(error) from None

    def _no_bucket(self) -> Invalid:
        return _wrong(f"There is no bucket {self.access.bucket} at {self.host}. Make it, or change the destination.")

    def _in_our_words(self, error: Any) -> Exception:
        said = error.response.get("Error", {})
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        code, access = str(said.get("Code", status)), self.access
        words = redaction.text(code, limit=80)
        if code in _MISSING:
            return _Missing()
        if code in _CHANGED or code == "NoSuchUpload":
            return Changed()
        if code in _CONDITIONLESS:
            return _Conditionless()
        if code == "NoSuchBucket":
            return self._no_bucket()
        if code in _REGION:
            return _wrong(f"{access.bucket} is not in the region {access.region}. Change the destination’s region.")
        if code == "RequestTimeTooSkewed":
            return _wrong(f"The clock of this server is not that of {self.host}. Set the clock.")
        if code == "SignatureDoesNotMatch":
            return _wrong(f"That is not the secret access key of {access.key_id} at {self.host}. "
                          "A Workspace Admin can enter it again.")  # fmt: skip
        if code in _UNKNOWN:
            return _wrong(
                f"{self.host} knows no access key {access.key_id} ({words}). A Workspace Admin can change it."
            )
        if code in _RIGHTS:
            return _wrong(f"{self.host} does not let {access.key_id} do that in {access.bucket} ({words}). It needs "
                          "s3:ListBucket, s3:GetObject, s3:PutObject and s3:AbortMultipartUpload there.")  # fmt: skip
        if status >= 500 or status in {408, 429} or code in {"SlowDown", "RequestTimeout"}:
            return Away(f"{self.host} cannot take objects just now ({words}).")
        return Invalid(f"{self.host} refused the object ({words}).", at="destination.url")


class _Missing(Exception):
    """There is no such object."""


class _Conditionless(Exception):
    """A server that knows no conditions for writing."""


def _wrong(sentence: str) -> Invalid:
    return Invalid(sentence, at="destination.destination_id")


def try_out(bucket: Bucket, folder: str) -> str:
    """Put a small object as an import would, read it and remove it; answers a sentence. Raises as a bucket does."""
    key = f"{folder}.keyturn-{secrets.token_hex(6)}"
    data = b"A test of Keyturn. It may be removed.\n"
    upload = bucket.begin(key, "text/plain", hashlib.sha256(data).hexdigest(), "test")
    try:
        bucket.end(key, upload, [bucket.part(key, upload, 1, data)])
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
            raise Invalid(
                f"{bucket.access.key_id} may write and not delete: {key} is left in {bucket.access.bucket}. "
                "Allow s3:DeleteObject.",
                at="destination.destination_id",
            ) from None
    if found is None or found.bytes != len(data):
        raise Away(f"{bucket.host} does not give back what was written to it.")
    return f"It takes objects: a small one was written, read and deleted in {bucket.access.bucket}."
