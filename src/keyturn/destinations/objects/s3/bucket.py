"""A bucket of an S3 server: objects looked at, fetched, and put in place in one step; errors in our words.

Objects are put by multipart uploads: nothing is seen before the last request, and that one can be called off.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from keyturn import redaction
from keyturn.destinations.destination import Away
from keyturn.destinations.objects.bucket import Before, Bucket, Changed, Found, Label, Missing, wrong
from keyturn.destinations.objects.s3.requests import Access, Refused, client_of, passing
from keyturn.errors import Invalid

_SHA256, _RUN = "keyturn-sha256", "keyturn-run"
_UNKNOWN = frozenset({"InvalidAccessKeyId", "InvalidClientTokenId", "InvalidToken", "ExpiredToken", "NotSignedUp"})
_RIGHTS = frozenset({"AccessDenied", "403", "Forbidden", "AllAccessDisabled", "AccountProblem"})
_REGION = frozenset({"PermanentRedirect", "301", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException",
                     "TemporaryRedirect"})  # fmt: skip
_MISSING = frozenset({"NoSuchKey", "404", "NotFound"})
_CHANGED = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412"})
_CONDITIONLESS = frozenset({"NotImplemented", "501"})


class S3Bucket(Bucket):
    """A bucket as the port says."""

    right_to_delete = "s3:DeleteObject"

    def __init__(self, access: Access) -> None:
        self.access = access
        self.name, self.who = access.bucket, access.key_id
        self.host = access.endpoint.partition("//")[2]
        self._made: Any = None

    def look(self, key: str) -> Found | None:
        """As the port says."""
        with contextlib.suppress(Missing), self._told(Missing()):
            said = self._client.head_object(Bucket=self.access.bucket, Key=key)
            known = said.get("Metadata", {})
            return Found(said["ETag"], said["ContentLength"], known.get(_SHA256), known.get(_RUN))
        return None

    def reach(self, key: str) -> None:
        """As the port says."""
        # Unlike HEAD, its answer says why not.
        with self._told():
            self._client.list_objects_v2(Bucket=self.access.bucket, Prefix=key, MaxKeys=1)

    def stretch(self, key: str, found: Found, first: int, last: int) -> bytes:
        """As the port says."""
        with self._told(Changed()):
            said = self._client.get_object(
                Bucket=self.access.bucket, Key=key, Range=f"bytes={first}-{last}", IfMatch=found.etag
            )
            return bytes(said["Body"].read())

    def begin(self, key: str, label: Label, before: Before) -> str:  # noqa: ARG002 - its end looks at it
        """A multipart upload; the condition is looked at by its end."""
        with self._told():
            said = self._client.create_multipart_upload(
                Bucket=self.access.bucket, Key=key, ContentType=label.media_type, Metadata=_metadata(label)
            )
        return str(said["UploadId"])

    def part(self, key: str, upload_id: str, number: int, data: bytes) -> dict[str, Any]:
        """As the port says."""
        with self._told():
            said = self._client.upload_part(
                Bucket=self.access.bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=data
            )
        return {"PartNumber": number, "ETag": said["ETag"]}

    def put(self, key: str, data: bytes, label: Label) -> None:
        """As the port says."""
        with self._told():
            self._client.put_object(
                Bucket=self.access.bucket, Key=key, Body=data, ContentType=label.media_type, Metadata=_metadata(label)
            )

    def end(self, key: str, upload_id: str, parts: list[dict[str, Any]], label: Label, before: Before) -> None:  # noqa: ARG002
        """As the port says."""
        if before == "anything":
            self._end(key, upload_id, parts, {})
            return
        # Looked at for servers that know no such conditions, and ignore them or say so.
        there = self.look(key)
        if (there and there.etag) != (before and before.etag):
            raise Changed
        only: dict[str, Any] = {"IfNoneMatch": "*"} if before is None else {"IfMatch": before.etag}
        try:
            self._end(key, upload_id, parts, only)
        except _Conditionless:
            self._end(key, upload_id, parts, {})

    def call_off(self, key: str, upload_id: str) -> bool:
        """As the port says."""
        with contextlib.suppress(Missing, Changed), self._told(Missing()):
            self._client.abort_multipart_upload(Bucket=self.access.bucket, Key=key, UploadId=upload_id)
        return True

    def remove(self, key: str) -> None:
        """As the port says."""
        with self._told():
            self._client.delete_object(Bucket=self.access.bucket, Key=key)

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
            raise (absent or self.missing() if isinstance(found, Missing) else found) from None
        except (BotoCoreError, Refused) as error:
            raise passing(error) from None

    def _in_our_words(self, error: Any) -> Exception:
        said = error.response.get("Error", {})
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        code, access = str(said.get("Code", status)), self.access
        words = redaction.text(code, limit=80)
        if code in _MISSING:
            return Missing()
        if code in _CHANGED or code == "NoSuchUpload":
            return Changed()
        if code in _CONDITIONLESS:
            return _Conditionless()
        if code == "NoSuchBucket":
            return self.missing()
        if code in _REGION:
            return wrong(f"{access.bucket} is not in the region {access.region}. Change the destination’s region.")
        if code == "RequestTimeTooSkewed":
            return wrong(f"The clock of this server is not that of {self.host}. Set the clock.")
        if code == "SignatureDoesNotMatch":
            return wrong(f"That is not the secret access key of {access.key_id} at {self.host}. "
                          "A Workspace Admin can enter it again.")  # fmt: skip
        if code in _UNKNOWN:
            return wrong(f"{self.host} knows no access key {access.key_id} ({words}). A Workspace Admin can change it.")
        if code in _RIGHTS:
            return wrong(f"{self.host} does not let {access.key_id} do that in {access.bucket} ({words}). It needs "
                          "s3:ListBucket, s3:GetObject, s3:PutObject and s3:AbortMultipartUpload there.")  # fmt: skip
        if status >= 500 or status in {408, 429} or code in {"SlowDown", "RequestTimeout"}:
            return Away(f"{self.host} cannot take objects just now ({words}).")
        return Invalid(f"{self.host} refused the object ({words}).", at="destination.url")


class _Conditionless(Exception):
    """A server that knows no conditions for writing."""


def _metadata(label: Label) -> dict[str, str]:
    return {_SHA256: label.sha256, _RUN: label.run}
