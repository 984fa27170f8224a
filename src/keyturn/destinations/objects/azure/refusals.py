"""What Azure refuses, in our words: by its error codes, which are what it documents; never with a word of a secret."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Any

from keyturn import redaction
from keyturn.destinations.destination import Away
from keyturn.destinations.objects.azure.requests import Access
from keyturn.destinations.objects.bucket import Bucket, Changed, Missing, wrong
from keyturn.destinations.objects.door import is_busy
from keyturn.errors import Invalid
from keyturn.model.object_stores import is_sas, sas_ends_at

_CHANGED = frozenset({"ConditionNotMet", "TargetConditionNotMet", "BlobAlreadyExists", "InvalidBlockList"})
_BUSY = frozenset({"ServerBusy", "OperationTimedOut", "InternalError", "ContainerBeingDeleted", "AccountBeingCreated"})
_UNKNOWN = frozenset({"AuthenticationFailed", "InvalidAuthenticationInfo", "NoAuthenticationInformation"})
_KEPT_OUT = frozenset({"AuthorizationFailure", "AuthorizationSourceIPMismatch", "AuthorizationProtocolMismatch"})
# Azure itself takes a request for a quarter of an hour.
_CLOCK_SECONDS = 600


class Refusals:
    """Of one container; `now` in epoch seconds."""

    def __init__(self, bucket: Bucket, access: Access, now: float) -> None:
        self._bucket, self._access, self._now = bucket, access, now

    def in_our_words(self, error: Any) -> Exception:
        """The library's error as ours; `Missing` where there is no such blob."""
        answer, host = getattr(error, "response", None), self._bucket.host
        status = getattr(answer, "status_code", 0) or 0
        code = _code_of(error, answer)
        words = redaction.text(code or status, limit=80)
        if code == "BlobNotFound":
            return Missing()
        if status == 404:
            return self._bucket.missing()
        if code in _CHANGED:
            return Changed()
        if is_busy(status) or code in _BUSY or answer is None:
            return Away(f"{host} cannot take objects just now ({words}).")
        if code.startswith("LeaseId") or code == "LeaseAlreadyPresent":
            return Away(f"Somebody holds a lease on the blob, and nobody else may write it ({words}). End the lease.")
        if code == "InvalidBlobOrBlock":
            return Invalid(f"Another program has begun to write that blob ({words}). Its blocks end after a week; "
                           "choose another name until then.", at="destination.url")  # fmt: skip
        if status == 401 or code in _UNKNOWN or "failed to authenticate" in str(error):
            return self._unknown(answer, words)
        if status == 403:
            return self._forbidden(code, words)
        return Invalid(f"{host} refused the object ({words}).", at="destination.url")

    def _unknown(self, answer: Any, words: str) -> Invalid:
        host, access = self._bucket.host, self._access
        if self._clock_is_off(answer):
            return wrong(f"The clock of this server is not that of {host}. Set the clock.")
        if not is_sas(access.secret):
            return wrong(f"That is not a key of {access.account} at {host} ({words}). "
                         "A Workspace Admin can enter it again.")  # fmt: skip
        ends_at = sas_ends_at(access.secret)
        if ends_at is not None and ends_at.timestamp() <= self._now:
            return wrong(
                f"{access.who} ended at {ends_at:%Y-%m-%d %H:%M} UTC. A Workspace Admin can enter another one."
            )
        return wrong(f"{host} does not take {access.who} ({words}): it is not whole, of another key or container, or "
                     "not valid yet. A Workspace Admin can enter another one.")  # fmt: skip

    def _forbidden(self, code: str, words: str) -> Invalid:
        host, access = self._bucket.host, self._access
        if code == "KeyBasedAuthenticationNotPermitted":
            return wrong(f"{access.account} takes no keys, nor SAS tokens made with one ({words}). Allow its storage "
                         "account key access, or enter a user delegation SAS token.")  # fmt: skip
        if code in _KEPT_OUT:
            return wrong(f"{host} does not let this server in ({words}). The account’s network settings, or those of "
                         "the SAS token, have to allow its address.")  # fmt: skip
        sentence = f"{host} does not let {access.who} do that in {access.container} ({words})."
        if is_sas(access.secret):
            sentence += " It needs the permissions Read, Create, Write and List for the container."
        return wrong(sentence)

    def _clock_is_off(self, answer: Any) -> bool:
        try:
            theirs = parsedate_to_datetime(answer.headers["Date"]).timestamp()
        except (KeyError, TypeError, ValueError, AttributeError):
            return False
        return abs(theirs - self._now) > _CLOCK_SECONDS


def _code_of(error: Any, answer: Any) -> str:
    found = getattr(error, "error_code", None) or getattr(answer, "headers", {}).get("x-ms-error-code") or ""
    return str(getattr(found, "value", found))
