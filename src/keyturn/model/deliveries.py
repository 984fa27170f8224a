"""Deliveries: one message on its way through one channel to one receiver, tried again until it arrives or is given up.

The pauses are those the Standard Webhooks scheme proposes, with jitter: seconds first, hours at the end.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any, Literal

Channel = Literal["email", "webhook"]
State = Literal["waiting", "delivered", "given_up"]
STATE_WORDS: dict[str, str] = {"waiting": "Waiting", "delivered": "Delivered", "given_up": "Given up"}
PAUSES_SECONDS = (5.0, 60.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 36_000.0)
MOST_ATTEMPTS = len(PAUSES_SECONDS) + 1


@dataclass(frozen=True, slots=True)
class Delivery:
    """`target_id` is a webhook or an account; `body` is what is sent, without a secret. Times are epoch seconds."""

    id: str
    workspace_id: str
    channel: Channel
    target_id: str
    event: str
    body: dict[str, Any] = field(repr=False)
    state: State
    attempts: int
    last_error: str | None
    created_at: float
    next_attempt_at: float | None
    finished_at: float | None


def pause_seconds(attempts: int) -> float | None:
    """How long to wait after that many tries, up to a tenth longer; None: it is given up."""
    if attempts >= MOST_ATTEMPTS:
        return None
    return PAUSES_SECONDS[attempts - 1] * random.uniform(1.0, 1.1)  # noqa: S311 - jitter
