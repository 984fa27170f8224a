"""One thing that was looked at, for a person: what was found, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warn", "fail", "skipped"]


@dataclass(frozen=True, slots=True)
class Check:
    """`name` is stable for programs; `fix` says what to do where `state` is warn or fail."""

    name: str
    state: State
    sentence: str
    fix: str | None = None
