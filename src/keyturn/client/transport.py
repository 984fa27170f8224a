"""HTTP to one Keyturn server: the API token, retries, problem details into errors. It knows manners, no nouns."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx2

from keyturn import __version__, redaction
from keyturn.client.problems import error_of, error_of_status
from keyturn.client.profile import Profile
from keyturn.errors import KeyturnError, Unavailable, UpstreamTimeout

ATTEMPTS = 3
_PAUSE_SECONDS = 0.2
# A server that asks for a longer pause than this is better asked by the person, later.
_LONGEST_PAUSE_SECONDS = 10.0
_READ_SECONDS = 300.0
_REPEATABLE = frozenset({"GET", "HEAD"})


class Transport:
    """Sends requests to one server with one API token. Not shared between threads; `repr` shows the address only."""

    def __init__(self, profile: Profile, *, timeout_seconds: float = _READ_SECONDS) -> None:
        self.url, self.timeout_seconds = profile.url, timeout_seconds
        redaction.remember(profile.token)
        self._http = httpx2.Client(
            base_url=f"{profile.url}/api/v1/",
            headers={"Authorization": f"Bearer {profile.token}", "User-Agent": f"keyturn-python/{__version__}"},
            timeout=httpx2.Timeout(timeout_seconds, connect=10.0),
            follow_redirects=False,
        )

    def __repr__(self) -> str:
        return f"Transport({self.url})"

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def get(self, path: str, **params: object) -> Any:
        """The JSON at `path`; parameters that are None are left out. Raises the error the problem names."""
        return self.call("GET", path, params={k: v for k, v in params.items() if v is not None})

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """What `POST` with a JSON body answers."""
        return self.call("POST", path, body={} if body is None else body)

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        """What `PATCH` (JSON merge patch, RFC 7396) answers."""
        return self.call("PATCH", path, body=body)

    def put(self, path: str, body: Mapping[str, Any]) -> Any:
        """What `PUT` answers."""
        return self.call("PUT", path, body=body)

    def delete(self, path: str, **params: object) -> None:
        """`DELETE`."""
        self.call("DELETE", path, params={k: v for k, v in params.items() if v is not None})

    def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, object] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Any:
        """One request, its JSON or None. Raises the error the problem names, `Unavailable` without an answer."""
        with self.stream(method, path, params=params, json=body) as response:
            content = _read(response, self.url)
            if not content:
                return None
            try:
                return response.json()
            except ValueError:
                raise error_of_status(response.status_code, self.url) from None

    def pages(self, path: str, **params: object) -> Iterator[dict[str, Any]]:
        """Every item of a list, page after page."""
        cursor: str | None = None
        while True:
            page = self.get(path, cursor=cursor, **params)
            yield from page["data"]
            cursor = page.get("next_cursor")
            if cursor is None:
                return

    def lines(self, path: str) -> Iterator[dict[str, Any]]:
        """Every line of an NDJSON answer."""
        with self.stream("GET", path) as response:
            for line in response.iter_lines():
                if line:
                    yield json.loads(line)

    @contextmanager
    def stream(self, method: str, path: str, *, foreign: bool = False, **request: Any) -> Iterator[httpx2.Response]:
        """An answer whose body is still to be read. Errors of ours are raised before it is handed out.

        `foreign`: the answer may be an end system's own, so only those marked `Keyturn-Error` are errors.
        """
        given = {name: value for name, value in request.items() if value is not None}
        response = self._answered(method, path.lstrip("/"), given, foreign=foreign)
        try:
            yield response
        finally:
            response.close()

    def _answered(self, method: str, path: str, given: dict[str, Any], *, foreign: bool) -> httpx2.Response:
        for attempt in range(1, ATTEMPTS + 1):
            last = attempt == ATTEMPTS or method.upper() not in _REPEATABLE
            try:
                response = self._http.send(self._http.build_request(method, path, **given), stream=True)
            except httpx2.TimeoutException as error:
                raise _timed_out(error, self.url) from None
            except httpx2.TransportError as error:
                if last:
                    raise _unreachable(error, self.url) from None
                time.sleep(_PAUSE_SECONDS * 2 ** (attempt - 1))
                continue
            failure = self._failure(response, foreign=foreign)
            if failure is None:
                return response
            response.close()
            pause = _pause(response, failure)
            if last or pause is None:
                raise failure
            time.sleep(pause)
        raise AssertionError  # the last attempt returns or raises

    def _failure(self, response: httpx2.Response, *, foreign: bool) -> KeyturnError | None:
        status = response.status_code
        if foreign and "keyturn-error" not in response.headers:
            return None
        if 300 <= status < 400:
            where = redaction.url(response.headers.get("location", ""))
            return KeyturnError(f"{self.url} sends us to {where}. Use the address people type: KEYTURN_PUBLIC_URL.")
        if status < 400:
            return None
        if not response.headers.get("content-type", "").startswith("application/problem+json"):
            return error_of_status(status, self.url)
        try:
            _read(response, self.url)
            body = response.json()
        except ValueError:
            return error_of_status(status, self.url)
        return error_of(body) if isinstance(body, dict) else error_of_status(status, self.url)


def _read(response: httpx2.Response, url: str) -> bytes:
    try:
        return response.read()
    except httpx2.TimeoutException as error:
        raise _timed_out(error, url) from None
    except httpx2.TransportError as error:
        raise _unreachable(error, url) from None


def _pause(response: httpx2.Response, failure: KeyturnError) -> float | None:
    """Seconds to wait before asking again, or None when asking again is not for us."""
    if response.status_code != 503 or "retry-after" not in response.headers:
        return None
    wanted = float(getattr(failure, "retry_after_seconds", 1.0))
    return wanted if wanted <= _LONGEST_PAUSE_SECONDS else None


def _unreachable(error: httpx2.TransportError, url: str) -> Unavailable:
    reason = redaction.text(error, limit=120) or type(error).__name__
    return Unavailable(
        f"Keyturn at {url} cannot be reached ({reason}). Check that it runs and that the address is right."
    )


def _timed_out(error: httpx2.TimeoutException, url: str) -> KeyturnError:
    if isinstance(error, httpx2.ConnectTimeout):
        return _unreachable(error, url)
    return UpstreamTimeout(
        f"Keyturn at {url} did not answer in time. Try again, or give connect() more timeout_seconds."
    )
