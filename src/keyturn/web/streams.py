"""Answers in pieces, whose source is closed however they end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from starlette.responses import StreamingResponse

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


class StreamedAnswer(StreamingResponse):
    """What an async generator yields; whoever leaves in the middle ends it, and it has the time to tidy up.

    A read that nobody closes would hold its room until Python's collector comes by. Starlette's own class leaves it to
    that, and cancels what tidies up again and again. `close` is awaited at the end as well: a generator that never
    began does not tidy up by itself.
    """

    def __init__(
        self,
        source: AsyncGenerator[bytes],
        status_code: int = 200,
        *,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        close: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__(source, status_code, headers, media_type)
        self._source, self._close = source, close

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, until it ends or whoever asked is gone. Raises what the source raised."""
        sending = asyncio.create_task(self.stream_response(send))
        leaving = asyncio.create_task(self.listen_for_disconnect(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sending.cancel()
            leaving.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)
            await self._source.aclose()
            if self._close is not None:
                await self._close()
        if not sending.cancelled():
            sending.result()
