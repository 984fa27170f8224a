"""What a run came to: for people a few lines, for the docs a row of a table, for machines JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from keyturn.simulation import judge
from keyturn.simulation.judge import Evidence
from keyturn.simulation.plan import POINTS, Plan
from keyturn.simulation.worker import Told

HEADINGS = (
    "database", "processes", "grace", "refreshes", "kills", "stopped", "database away", "unknown outcomes",
    "sent again in grace", "replays", "lost", "cut off", "waiters p50 / p95 / p99",
)  # fmt: skip
# Of so many lost grants it is told what befell them.
_STORIES = 20


@dataclass(frozen=True, slots=True)
class Report:
    """Counts of one run. `unknown`: requests whose sender could not know what became of them."""

    command: str
    database: str
    processes: int
    grace_seconds: float
    grants: int
    refreshes: int
    requests: int
    kills: dict[str, int]
    stopped: int
    database_away: int
    unknown: int
    repeated: int
    replayed: int
    lost: int
    rotation_lost: int
    cut_off: int
    handed_out: int
    rejected: int
    unavailable: int
    waiters: int
    waits_seconds: dict[str, float]
    seconds: float
    broken: dict[str, list[str]]
    stories: dict[int, list[str]]

    @classmethod
    def of(cls, plan: Plan, seen: Evidence, told: Told, done: dict[str, int], seconds: float) -> Report:
        """Judge the evidence and count."""
        # What calls for an explanation first.
        did, lost = judge.counts(seen), sorted(judge.lost_grants(seen), key=lambda one: one.reason == "rotation_lost")
        return cls(
            command=plan.command(),
            database="SQLite" if plan.database_url is None else "PostgreSQL",
            processes=plan.workers,
            grace_seconds=plan.grace_seconds,
            grants=plan.grants,
            refreshes=did["rotated"] + did["repeated"] + did["kept"],
            requests=sum(did.values()),
            kills={point: done.get(f"kill {point}", 0) for point in POINTS},
            stopped=done.get("stopping", 0),
            database_away=done.get("cut", 0),
            unknown=sum(harm.what == "unheard" for harm in seen.harms) + sum(done.values()),
            repeated=did["repeated"],
            replayed=did["replayed"],
            lost=len(lost),
            rotation_lost=sum(grant.reason == "rotation_lost" for grant in lost),
            cut_off=len(judge.unstored(seen)),
            handed_out=told.handed_out,
            rejected=told.rejected,
            unavailable=told.unavailable,
            waiters=len(told.waits),
            waits_seconds={f"p{share}": percentile(told.waits, share) for share in (50, 95, 99)},
            seconds=round(seconds, 1),
            stories={grant.number: judge.story(seen, grant.number) for grant in lost[:_STORIES]},
            broken={name: found for name, found in judge.judge(plan, seen).items() if found},
        )

    def as_json(self) -> dict[str, Any]:
        """Everything."""
        return {**asdict(self), "invariants": {name: name not in self.broken for name in judge.INVARIANTS}}

    def row(self) -> str:
        """The run as a row under `HEADINGS`."""
        waits = " / ".join(f"{self.waits_seconds[name]:.2f} s" for name in ("p50", "p95", "p99"))
        cells = (
            self.database, self.processes, f"{self.grace_seconds:g} s", f"{self.refreshes:,}",
            f"{sum(self.kills.values()):,}", self.stopped, self.database_away, self.unknown, self.repeated,
            self.replayed, self.lost, self.cut_off, waits,
        )  # fmt: skip
        return f"| {' | '.join(str(cell) for cell in cells)} |"

    def lines(self) -> list[str]:
        """For people."""
        kills = ", ".join(f"{point} {count}" for point, count in self.kills.items())
        waits = ", ".join(f"{name} {value:.2f} s" for name, value in self.waits_seconds.items())
        counted = f"{self.refreshes:,} refreshes of {self.grants:,} grants on {self.database}"
        found = [
            f"{counted}, processes {self.processes}, {self.seconds:.0f} s; handed out {self.handed_out:,} times",
            f"killed {sum(self.kills.values()):,} ({kills})",
            f"stopped beyond the lease {self.stopped}, database away {self.database_away}",
            f"unknown outcomes {self.unknown}, sent again within the grace {self.repeated}, replays {self.replayed}",
            f"lost {self.lost}, of them rotation_lost {self.rotation_lost}; cut off {self.cut_off}",
            f"{self.waiters:,} had to wait: {waits}",
        ]
        for name, sentence in judge.INVARIANTS.items():
            found.append(f"{'✗' if name in self.broken else '✓'} {name} {sentence}")
            found += [f"    {line}" for line in self.broken.get(name, [])[:5]]
        found += [f"✗ {line}" for line in self.broken.get("-", [])[:5]]
        return found


def percentile(values: list[float], share: int) -> float:
    """The value that `share` per cent of them do not exceed; 0 when there is none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, len(ordered) * share // 100)], 3)
