"""Requests to an object store through our one door, tried again as such stores ask for; errors that end it for good."""

from __future__ import annotations

import concurrent.futures
import random
import time
from collections.abc import Callable

from keyturn.destinations.destination import Away
from keyturn.errors import UpstreamError
from keyturn.wire import Request, Response

Send = Callable[[Request], Response]
TRIES = 4
_FIRST_PAUSE_SECONDS = 0.3
_FOR_GOOD = frozenset({"E-BLOCKED", "E-TLS", "E-TOOBIG"})


class Lost(Exception):
    """No answer came; another try may bring one. `sentence` is for people."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class Door:
    """`send` is the door out; it blocks, and raises `UpstreamError`."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def once(self, request: Request) -> Response:
        """One request. Raises `Lost`, and `UpstreamError` where no further try would help."""
        try:
            return self._send(request)
        except UpstreamError as error:
            if error.message_code in _FOR_GOOD:
                raise
            raise Lost(error.message) from None
        except (concurrent.futures.CancelledError, RuntimeError):
            # This process ends: nothing is sent any more.
            raise Away("This process is ending.") from None

    def ask(self, request: Request) -> Response:
        """The answer, after further tries where the store is busy or silent. Raises `Away`, `UpstreamError`."""
        number = 1
        while True:
            try:
                answer = self.once(request)
            except Lost as error:
                if number == TRIES:
                    raise Away(error.sentence) from None
            else:
                if number == TRIES or not is_busy(answer.status):
                    return answer
            pause(number)
            number += 1


def is_busy(status: int) -> bool:
    """Whether an answer asks to come again."""
    return status >= 500 or status in {408, 429}


def pause(number: int) -> None:
    """Before the try that follows the `number`th."""
    time.sleep(_FIRST_PAUSE_SECONDS * 2 ** (number - 1) * random.uniform(0.7, 1.3))  # noqa: S311 - jitter
