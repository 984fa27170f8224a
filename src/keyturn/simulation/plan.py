"""What a simulation does: how many processes and grants, which harm, for how long. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Point = Literal["after lease", "after send", "after answer", "mid commit", "after commit"]
POINTS: tuple[Point, ...] = ("after lease", "after send", "after answer", "mid commit", "after commit")
# What is done to a worker at such a point. `cut`: its database is away from there on, for a moment.
Deed = Literal["kill", "stop", "cut"]
Weather = Literal["calm", "storm", "fair"]


@dataclass(frozen=True, slots=True)
class Plan:
    """One run. It ends when `kills` and `refreshes` are reached, at the latest after `seconds` of storm."""

    database_url: str | None = None
    workers: int = 1
    grants: int = 60
    kills: int = 40
    refreshes: int = 0
    seconds: float = 90.0
    calm_seconds: float = 6.0
    settle_seconds: float = 120.0
    grace_seconds: float = 30.0
    rotates: bool = True
    detects_reuse: bool = True
    life_seconds: float = 6.0
    deadline_seconds: float = 2.0
    lease_seconds: float = 3.0
    wait_seconds: float = 10.0
    look_seconds: float = 1.0
    pause_seconds: float = 1.0
    clock_off_seconds: float = 7200.0
    seed: int = 1

    @property
    def loses_answers(self) -> bool:
        """Whether answers get lost on the way: not where nothing could save the grant, so that losses are crashes."""
        return self.grace_seconds > 0 or not self.rotates

    @property
    def stop_seconds(self) -> float:
        """How long a process is stopped: beyond its lease."""
        return self.lease_seconds + 1

    def uses(self, slot: int, grant: int) -> bool:
        """Whether a worker uses a grant: two do each, and all of them look after it. More would only cost time."""
        return (slot - grant) % self.workers < 2

    def clock_off(self, slot: int) -> float:
        """How wrong the clock of a worker is: every third is ahead, every third behind."""
        return (0.0, self.clock_off_seconds, -self.clock_off_seconds)[slot % 3]

    def command(self) -> str:
        """What to type to have this run again."""
        words = ["keyturn simulate refresh"]
        usual = Plan()
        for option, name in OPTIONS.items():
            value = getattr(self, name)
            if value != getattr(usual, name):
                words.append(f"--{option} {value:g}" if isinstance(value, float) else f"--{option} {value}")
        if not self.rotates:
            words.append("--no-rotation")
        if self.database_url is not None:
            words.append("--database URL")
        return " ".join(words)


# The options of the command that are fields of a plan.
OPTIONS = {
    "kills": "kills",
    "refreshes": "refreshes",
    "workers": "workers",
    "grants": "grants",
    "grace": "grace_seconds",
    "seconds": "seconds",
    "pause": "pause_seconds",
    "deadline": "deadline_seconds",
    "lease": "lease_seconds",
    "life": "life_seconds",
    "clock-off": "clock_off_seconds",
    "seed": "seed",
}
