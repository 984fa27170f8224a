"""The library's client for S3, with nothing of its surroundings: credentials are given, requests go through a function.

It reads no file and no variable of the server's own account, and asks no instance for credentials.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, Literal

from keyturn.destinations.destination import Away
from keyturn.destinations.objects.door import TRIES, Door, Lost, Send
from keyturn.errors import KeyturnError, Unavailable, UpstreamError
from keyturn.wire import Headers, Request

# Ours to set: the length is the body's, and what comes back is to be what was stored.
_OURS = frozenset({"content-length", "accept-encoding", "expect"})


@dataclass(frozen=True, slots=True)
class Access:
    """Where to, as whom. `send` is the door out; it blocks, and raises `UpstreamError`."""

    endpoint: str
    region: str
    bucket: str
    key_id: str
    secret: str = field(repr=False)
    send: Send = field(repr=False)
    addressing: Literal["path", "virtual", "auto"] = "path"


class Refused(Exception):
    """The door does not lead there, and no further try would."""

    def __init__(self, error: UpstreamError) -> None:
        super().__init__(error.message)
        self.error = error


def client_of(access: Access) -> Any:
    """A client of the library. Raises `Unavailable` without the extra."""
    try:
        from botocore.config import Config
        from botocore.session import Session
    except ImportError:
        raise Unavailable("S3 needs the extra: install keyturn[s3] on the server.") from None
    none = (None, None, None, None)
    nowhere = (None, None, os.devnull, None)
    session = Session({"profile": none, "config_file": nowhere, "credentials_file": nowhere, "ca_bundle": none})
    config = Config(
        signature_version="s3v4",
        s3={
            "addressing_style": access.addressing,
            "payload_signing_enabled": True,
            "use_accelerate_endpoint": False,
            "us_east_1_regional_endpoint": "regional",
        },
        retries={"mode": "standard", "total_max_attempts": TRIES},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        ignore_configured_endpoint_urls=True,  # type: ignore[call-arg]  # pyrefly: ignore
        use_dualstack_endpoint=False,
        use_fips_endpoint=False,
        proxies={},
    )
    client = session.create_client(
        "s3",
        region_name=access.region,
        endpoint_url=access.endpoint,
        aws_access_key_id=access.key_id,
        aws_secret_access_key=access.secret,
        config=config,
    )
    door = _Door(access.send)
    client.meta.events.register("before-send.s3", door)
    return client


class _Door:
    """Sends what the library has signed, and gives it the answer."""

    def __init__(self, send: Send) -> None:
        self._door = Door(send)

    def __call__(self, request: Any, **_: Any) -> Any:
        """Called in place of the library's own sending. Raises what it tries again for, or `Refused`."""
        from botocore.awsrequest import AWSResponse
        from botocore.exceptions import ConnectionClosedError

        headers = [(name, _text(value)) for name, value in request.headers.items() if name.lower() not in _OURS]
        body = request.body.encode() if isinstance(request.body, str) else request.body
        body = bytes(body) if isinstance(body, bytearray) else body
        asked = Request(request.method, request.url, Headers((*headers, ("Accept-Encoding", "identity"))), body)
        try:
            answer = self._door.once(asked)
        except Lost as error:
            raise ConnectionClosedError(endpoint_url=error.sentence, request=None) from None
        except UpstreamError as error:
            raise Refused(error) from None
        except Away as error:
            raise Refused(UpstreamError(error.sentence, sent=False)) from None
        headers: Any = dict(answer.headers.items)
        return AWSResponse(request.url, answer.status, headers, _Body(answer.body))


class _Body:
    """An answer's body that is here already, as the library reads it."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, amount: int | None = None) -> bytes:
        """The next bytes."""
        taken = len(self._data) if amount is None else amount
        found, self._data = self._data[:taken], self._data[taken:]
        return found

    def stream(self, *_: Any, **__: Any) -> Any:
        """All of it."""
        yield self.read()


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def passing(error: Exception) -> Exception:
    """What the door said, as the port says it: away, or refused for good."""
    if isinstance(error, Refused):
        known = error.error
        return known if known.message_code else Away(known.message)
    if isinstance(error, KeyturnError):
        return error
    said = getattr(error, "kwargs", {}).get("endpoint_url")
    return Away(str(said) if said else "The object store did not answer.")
