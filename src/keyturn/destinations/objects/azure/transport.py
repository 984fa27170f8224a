"""Our door as the transport that Azure's library sends through. Loaded with the extra only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from azure.core.pipeline.transport import HttpResponse, HttpTransport
from azure.core.utils import case_insensitive_dict

from keyturn.destinations.objects.door import Door
from keyturn.wire import Headers, Request, Response

# Ours to set: the length is the body's, and what comes back is to be what was stored.
_OURS = frozenset({"content-length", "accept-encoding", "user-agent"})


class DoorTransport(HttpTransport[Any, Any]):
    """Sends what the library has signed, with the door's further tries. Raises `Away`, `UpstreamError`."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def send(self, request: Any, **_: Any) -> _Answer:
        """One request of the library's, and the answer as the library knows such things."""
        headers = [(name, str(value)) for name, value in request.headers.items() if name.lower() not in _OURS]
        headers.append(("Accept-Encoding", "identity"))
        asked = Request(request.method, request.url, Headers(tuple(headers)), _bytes_of(request.content))
        return _Answer(request, self._door.ask(asked))

    def open(self) -> None:
        """Nothing: the door's pool is the server's."""

    def close(self) -> None:
        """Nothing, as above."""

    def __exit__(self, *_: object) -> None:
        self.close()


class _Answer(HttpResponse):
    def __init__(self, request: Any, answer: Response) -> None:
        super().__init__(request, None)
        self._body = answer.body
        self.status_code = answer.status
        self.headers = case_insensitive_dict(answer.headers.items)
        self.reason = ""
        self.content_type = self.headers.get("Content-Type")

    def body(self) -> bytes:
        return self._body

    # The library asks so where it may have streamed.
    read = body

    def stream_download(self, pipeline: Any, **_: Any) -> Any:  # noqa: ARG002
        return _Stream(self)


class _Stream:
    """A body that is here already; the library hangs the blob's properties on it."""

    def __init__(self, answer: _Answer) -> None:
        self.response, self.content_length = answer, len(answer.body())

    def __iter__(self) -> Iterator[bytes]:
        yield self.response.body()


def _bytes_of(content: Any) -> bytes | None:
    if content is None or isinstance(content, bytes):
        return content
    if isinstance(content, str):
        return content.encode()
    return bytes(content.read() if hasattr(content, "read") else content)
