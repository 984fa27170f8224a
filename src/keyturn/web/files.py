"""Files as answers."""

from __future__ import annotations

from starlette.responses import FileResponse


class FileAnswer(FileResponse):
    """A file, with ETag and ranges, in steps that a large one does not wait for: each goes through a thread."""

    chunk_size = 1 << 20
