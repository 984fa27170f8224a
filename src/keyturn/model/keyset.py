"""Where a list goes on: a moment and an id, as the opaque cursor that a caller hands back."""

from __future__ import annotations

import base64
import binascii

from keyturn.errors import Invalid


def sealed(at: float, item_id: str) -> str:
    """The cursor that goes on after an item. `at` is epoch seconds."""
    return base64.urlsafe_b64encode(f"{at!r}|{item_id}".encode()).decode()


def opened(cursor: str | None) -> tuple[float, str] | None:
    """What a cursor says; None without one. Raises `Invalid` for one that is not ours."""
    if cursor is None:
        return None
    try:
        at, _, item_id = base64.urlsafe_b64decode(cursor.encode()).decode().partition("|")
        return float(at), item_id
    except (ValueError, binascii.Error):
        raise Invalid("This cursor is not one of ours. Take next_cursor as it was answered.", at="cursor") from None
