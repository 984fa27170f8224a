"""A bucket of Google Cloud Storage by its JSON API, version 1; errors in our words.

Objects are put by resumable uploads: nothing is seen before their last request, the condition for it is given with the
first one, and an upload can be called off.
"""

from __future__ import annotations

import json
import re
import secrets
from typing import Any
from urllib.parse import quote

from keyturn import redaction
from keyturn.destinations.destination import Away
from keyturn.destinations.objects.bucket import Before, Bucket, Changed, Found, Label, wrong
from keyturn.destinations.objects.door import TRIES, Lost, is_busy, pause
from keyturn.destinations.objects.gcs.requests import Access, Requests, said_in
from keyturn.errors import Invalid
from keyturn.wire import Response

_SHA256, _RUN = "keyturn-sha256", "keyturn-run"
_PERMISSION = re.compile(r"storage\.[a-z]+\.[a-z]+")
_LIMITS = frozenset({"rateLimitExceeded", "userRateLimitExceeded"})
# 499 says that it was cancelled.
_OVER = frozenset({404, 410, 412, 499})


class GcsBucket(Bucket):
    """A bucket as the port says."""

    right_to_delete = "storage.objects.delete"

    def __init__(self, access: Access) -> None:
        self.name, self.who = access.bucket, str(access.account["client_email"])
        self.host = access.endpoint.partition("//")[2]
        self._endpoint, self._requests = access.endpoint, Requests(access)
        # The last part of each upload, which waits: the last request has to have bytes in it.
        self._held: dict[str, tuple[int, bytes]] = {}

    def look(self, key: str) -> Found | None:
        """As the port says."""
        answer = self._ask("GET", self._object(key), {"fields": "generation,size,metadata"})
        if answer.status == 404:
            return None
        said = json.loads(self._good(answer).body)
        known = said.get("metadata", {})
        return Found(str(said["generation"]), int(said["size"]), known.get(_SHA256), known.get(_RUN))

    def reach(self, key: str) -> None:
        """As the port says."""
        query = {"prefix": key, "maxResults": "1", "fields": "items/name"}
        self._good(self._ask("GET", self._requests.objects(), query))

    def stretch(self, key: str, found: Found, first: int, last: int) -> bytes:
        """As the port says."""
        query = {"alt": "media", "ifGenerationMatch": found.etag}
        answer = self._ask("GET", self._object(key), query, {"Range": f"bytes={first}-{last}"})
        if answer.status in {404, 412}:
            raise Changed
        return self._good(answer).body

    def begin(self, key: str, label: Label, before: Before) -> str:
        """As the port says. The id leads to the upload without a token: it is kept like the rows themselves."""
        query = {"uploadType": "resumable", "name": key, **_condition(before)}
        headers = {"Content-Type": "application/json", "X-Upload-Content-Type": label.media_type}
        answer = self._ask("POST", self._requests.uploads(), query, headers, json.dumps(_about(label)).encode())
        if answer.status == 412:
            raise Changed
        location = self._good(answer).headers.get("location")
        if not location:
            raise Away(f"{self.host} began no upload.")
        return self._requests.session(location)

    def part(self, key: str, upload_id: str, number: int, data: bytes) -> dict[str, Any]:
        """Send the part before this one; this one waits for the next, or for the end."""
        held = self._held.pop(upload_id, None)
        start = 0 if held is None else held[0] + len(held[1])
        if held is not None:
            self._send(upload_id, *held, total=None)
        self._held[upload_id] = (start, data)
        return {"key": key, "number": number}

    def put(self, key: str, data: bytes, label: Label) -> None:
        """As the port says."""
        line = f"keyturn-{secrets.token_hex(16)}"
        about = json.dumps(_about(label))
        head = (f"--{line}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{about}\r\n"
                f"--{line}\r\nContent-Type: {label.media_type}\r\n\r\n")  # fmt: skip
        body = head.encode() + data + f"\r\n--{line}--".encode()
        headers = {"Content-Type": f"multipart/related; boundary={line}"}
        query = {"uploadType": "multipart", "name": key}
        self._good(self._ask("POST", self._requests.uploads(), query, headers, body))

    def end(self, key: str, upload_id: str, parts: list[dict[str, Any]], label: Label, before: Before) -> None:  # noqa: ARG002
        """As the port says; the condition was given when it began."""
        start, data = self._held.pop(upload_id, (0, b""))
        self._send(upload_id, start, data, total=start + len(data))

    def call_off(self, key: str, upload_id: str) -> bool:  # noqa: ARG002
        """As the port says."""
        self._held.pop(upload_id, None)
        answer = self._requests.door.ask(self._requests.signed("DELETE", self._session(upload_id), _EMPTY, b""))
        if is_busy(answer.status) or answer.status in {401, 403}:
            raise self._in_our_words(answer)
        return True

    def remove(self, key: str) -> None:
        """As the port says."""
        answer = self._ask("DELETE", self._object(key), {})
        if answer.status != 404:
            self._good(answer)

    def _send(self, upload_id: str, start: int, data: bytes, *, total: int | None) -> None:
        """A stretch of an upload, from where the store has the bytes before; with `total` it is the last one."""
        url, at, end, tries = self._session(upload_id), start, start + len(data), 0
        asking, lost = False, ""
        while True:
            body = b"" if asking else data[at - start :]
            headers = {"Content-Range": f"bytes {f'{at}-{end - 1}' if body else '*'}/{'*' if total is None else total}"}
            answer: Response | None = None
            try:
                answer = self._requests.door.once(self._requests.signed("PUT", url, headers, body))
            except Lost as error:
                lost = error.sentence
            if answer is not None and not is_busy(answer.status):
                if answer.status in {200, 201}:
                    return
                reached = self._reached(answer, start, end)
                if reached == end and total is None:
                    return
                # What the store has not kept is sent again.
                tries, at, asking = tries + (reached <= at and not asking), reached, False
            else:
                tries, asking = tries + 1, True
                pause(min(tries, TRIES))
            if tries >= TRIES:
                raise Away(lost) if answer is None else self._in_our_words(answer)

    def _reached(self, answer: Response, start: int, end: int) -> int:
        if answer.status != 308:
            raise Changed if answer.status in _OVER else self._in_our_words(answer)
        kept = (answer.headers.get("range") or "").rpartition("-")[2]
        reached = int(kept) + 1 if kept.isdecimal() else 0
        if not start <= reached <= end:
            raise Away(f"{self.host} lost a part of the upload.")
        return reached

    def _session(self, upload_id: str) -> str:
        return f"{self._endpoint}{upload_id}"

    def _object(self, key: str) -> str:
        return f"{self._requests.objects()}/{quote(key, safe='')}"

    def _ask(
        self,
        method: str,
        path: str,
        query: dict[str, str],
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
    ) -> Response:
        return self._requests.ask(method, path, query, headers or {}, body)

    def _good(self, answer: Response) -> Response:
        if answer.status not in {200, 201, 204, 206}:
            raise self._in_our_words(answer)
        return answer

    def _in_our_words(self, answer: Response) -> Exception:
        status = answer.status
        reason, message = said_in(answer)
        words = redaction.text(reason or status, limit=80)
        if status == 404:
            return self.missing()
        if is_busy(status) or reason in _LIMITS:
            return Away(f"{self.host} cannot take objects just now ({words}).")
        if status == 401:
            return wrong(f"{self.host} does not take {self.who} ({words}). A Workspace Admin can enter another key.")
        if status == 403:
            lacking = _PERMISSION.search(message)
            right = lacking.group() if lacking else words
            return wrong(f"{self.host} does not let {self.who} do that in {self.name} ({right}). It needs the role "
                         "Storage Object User there.")  # fmt: skip
        return Invalid(f"{self.host} refused the object ({words}).", at="destination.url")


_EMPTY = {"Content-Length": "0"}


def _about(label: Label) -> dict[str, Any]:
    return {"contentType": label.media_type, "metadata": {_SHA256: label.sha256, _RUN: label.run}}


def _condition(before: Before) -> dict[str, str]:
    if before == "anything":
        return {}
    return {"ifGenerationMatch": "0" if before is None else before.etag}
