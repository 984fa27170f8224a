"""Requests to Google Cloud Storage: the library signs an assertion for a token, our door sends all of it.

The library reads no file, no variable and no metadata server: the key is given. Only keys of service accounts are
taken, since other kinds of credentials may name programs or addresses to ask.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from keyturn import redaction
from keyturn.destinations.destination import Away
from keyturn.destinations.objects.bucket import wrong
from keyturn.destinations.objects.door import Door, Send
from keyturn.errors import Unavailable
from keyturn.wire import Headers, Request, Response

_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"


@dataclass(frozen=True, slots=True)
class Access:
    """Where to, as whom: `account` is a service account's key file. `send` is the door out."""

    endpoint: str
    bucket: str
    account: Mapping[str, Any] = field(repr=False)
    send: Send = field(repr=False)


class Requests:
    """Signed requests about one bucket. Raises `Away`, `Invalid`, `UpstreamError`, `Unavailable` without the extra."""

    def __init__(self, access: Access) -> None:
        self.access, self.door = access, Door(access.send)
        self._credentials: Any = None

    def ask(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes | None
    ) -> Response:
        """One request about the bucket, with further tries; a token that is not taken is renewed once."""
        url = f"{self.access.endpoint}{path}?{urlencode(query, quote_via=quote)}"
        answer = self.door.ask(self.signed(method, url, headers, body))
        if answer.status == 401:
            self._credentials = None
            answer = self.door.ask(self.signed(method, url, headers, body))
        return answer

    def signed(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Request:
        """A request with a token that is good for some minutes."""
        # What comes back is to be what was stored.
        whole = {"Authorization": f"Bearer {self._token()}", "Accept-Encoding": "identity", **headers}
        return Request(method, url, Headers.of(whole), body)

    def objects(self) -> str:
        """The path of the bucket's objects."""
        return f"/storage/v1/b/{quote(self.access.bucket, safe='')}/o"

    def uploads(self) -> str:
        """The path that objects are sent to."""
        return f"/upload{self.objects()}"

    def session(self, location: str) -> str:
        """An upload's session, as an id: where it leads at this endpoint, and nowhere else."""
        parts = urlsplit(location)
        # Whoever knows it may write this one object.
        redaction.remember(parts.query, *(value for name, value in parse_qsl(parts.query) if name == "upload_id"))
        return f"{parts.path}?{parts.query}"

    def _token(self) -> str:
        if self._credentials is None:
            self._credentials = credentials_of(self.access.account)
        if not self._credentials.valid:
            self._renew()
        redaction.remember(self._credentials.token)
        return str(self._credentials.token)

    def _renew(self) -> None:
        from google.auth.exceptions import GoogleAuthError, RefreshError

        account = self.access.account
        host, who = urlsplit(str(account["token_uri"])).hostname, account["client_email"]
        try:
            self._credentials.refresh(_transport(self.door))
        except RefreshError as error:
            if error.retryable:
                raise Away(f"{host} gives no token just now.") from None
            said = error.args[1] if len(error.args) > 1 else None
            word = said.get("error") if isinstance(said, dict) else None
            words = redaction.text(word or "no token in its answer", limit=80)
            raise wrong(f"{host} takes no key of {who} ({words}). It was deleted, or this server’s clock is wrong. "
                        "A Workspace Admin can enter another key.") from None  # fmt: skip
        except GoogleAuthError:
            raise Away(f"{host} gives no token just now.") from None


def credentials_of(account: Mapping[str, Any]) -> Any:
    """The library's own of a key file. Raises `Invalid`, and `Unavailable` without the extra."""
    try:
        from google.auth.exceptions import GoogleAuthError
        from google.oauth2.service_account import Credentials
    except ImportError:
        raise Unavailable("Google Cloud Storage needs the extra: install keyturn[gcs] on the server.") from None
    # Nothing else of the file is looked at, whatever it says.
    known = {name: account[name] for name in ("client_email", "private_key", "private_key_id", "token_uri")
             if name in account}  # fmt: skip
    try:
        return Credentials.from_service_account_info(known, scopes=[_SCOPE])
    except (ValueError, GoogleAuthError):
        raise wrong("The private key of that key file cannot be read. A Workspace Admin can enter it again.") from None


def _transport(door: Door) -> Any:
    """The door as the library knows such things."""
    from google.auth import transport

    class _Answer(transport.Response):
        def __init__(self, answer: Response) -> None:
            self._answer = answer

        @property
        def status(self) -> int:
            return self._answer.status

        @property
        def headers(self) -> Any:
            return dict(self._answer.headers.items)

        @property
        def data(self) -> bytes:
            return self._answer.body

    class _Transport(transport.Request):
        def __call__(self, url: str, method: str = "GET", body: Any = None, headers: Any = None, **_: Any) -> Any:
            sent = body.encode() if isinstance(body, str) else body
            return _Answer(door.ask(Request(method, url, Headers.of(headers or {}), sent)))

    return _Transport()


def said_in(answer: Response) -> tuple[str, str]:
    """(reason, message) of an error's body; empty where it has none."""
    try:
        error = json.loads(answer.body)["error"]
        reasons = [str(item.get("reason", "")) for item in error.get("errors", ())]
        return (reasons or [str(error.get("status", ""))])[0], str(error.get("message", ""))
    except (ValueError, TypeError, KeyError, AttributeError):
        return "", ""
