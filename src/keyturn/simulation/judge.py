"""The judge: invariants I1 to I7 against the server's ledger, the database and what was done to the workers. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from keyturn.simulation.answers import LOSES, REFUSES
from keyturn.simulation.issuer import Ledger, Post
from keyturn.simulation.plan import Plan

# Clocks of one machine, read by several processes.
_TOLERANCE_SECONDS = 0.1
# Within this time a process that goes on after a stop has sent what it was about to send.
_AWAKE_SECONDS = 2.0
_STORY_POSTS = 12
INVARIANTS = {
    "I1": "at most one request per refresh token, unless what became of the earlier one is unknown or it spent nothing",
    "I2": "with a grace of 30 s or more no grant is lost; with less, each loss is an answer nobody stored",
    "I3": "without a fault no refresh token is ever sent twice, however slow the answers",
    "I4": "never two token sets of one generation",
    "I5": "no transaction is open while we wait for the authorization server",
    "I6": "no token in a log or in a table",
    "I7": "who waits has an answer by the deadline",
}


@dataclass(frozen=True, slots=True)
class Harm:
    """What was done to a worker's incarnation (`by`), at which point, when; `unheard`: an answer that did not come."""

    by: str
    what: str
    point: str
    at: float


@dataclass(frozen=True, slots=True)
class GrantSeen:
    """A grant as it stands in the database at the end; `refresh_token` is its number at the server."""

    number: int
    state: str
    reason: str | None
    generation: int
    refresh_token: int | None


@dataclass(slots=True)
class Evidence:
    """All that the judge looks at. Times are epoch seconds of the machine."""

    ledger: Ledger
    grants: list[GrantSeen]
    harms: list[Harm]
    calm_until: float
    settled_at: float
    longest_calm_transaction_seconds: float = 0.0
    longest_call_seconds: float = 0.0
    leaks: list[str] = field(default_factory=list)
    broke: list[str] = field(default_factory=list)
    unsettled: list[int] = field(default_factory=list)


def judge(plan: Plan, seen: Evidence) -> dict[str, list[str]]:
    """What is wrong, by invariant; empty lists where it holds. `-` is what no invariant names."""
    lost = lost_grants(seen)
    late = seen.longest_call_seconds - plan.wait_seconds - plan.deadline_seconds
    twice = _sent_twice(plan, seen)
    return {
        "I1": [f"{_told(after)}, after {_told(before)}" for before, after in twice],
        "I2": _losses(plan, seen, lost),
        "I3": [f"{_told(after)}, after {_told(before)}" for before, after in twice if after.at < seen.calm_until],
        "I4": [f"grant {grant}: two tokens of generation {generation}" for grant, generation in seen.ledger.doubled],
        "I5": _held(plan, seen),
        "I6": seen.leaks,
        "I7": [f"a call took {seen.longest_call_seconds:.1f} s"] if late > 0 else [],
        "-": [*seen.broke, *(f"grant {number} was not renewed at the end" for number in seen.unsettled)],
    }


def lost_grants(seen: Evidence) -> list[GrantSeen]:
    """Grants that need a person again."""
    return [grant for grant in seen.grants if grant.state != "active" or grant.number in seen.ledger.revoked]


def unstored(seen: Evidence) -> dict[int, list[Post]]:
    """Token sets the server issued and nobody ever used or holds, by family: what came between its commit and ours."""
    used = _used(seen)
    found: dict[int, list[Post]] = defaultdict(list)
    for post in seen.ledger.posts:
        if post.issued is not None and post.issued not in used:
            found[post.family].append(post)
    return found


def story(seen: Evidence, number: int) -> list[str]:
    """The last requests of a family and what was done to their senders, for whoever looks into a loss."""
    posts = [post for post in seen.ledger.posts if post.family == number][-_STORY_POSTS:]
    if not posts:
        return []
    told = [
        (post.at, f"token {post.token} {post.did} for {post.by}, issued {post.issued} ({post.answer})")
        for post in posts
    ]
    senders, since = {post.by for post in posts}, posts[0].at
    told += [
        (harm.at, f"{harm.by}: {harm.what} {harm.point}".rstrip())
        for harm in seen.harms
        if harm.by in senders and since - 1 <= harm.at <= posts[-1].at
    ]
    return [f"{at - seen.calm_until:+.2f} s: {words}" for at, words in sorted(told)]


def counts(seen: Evidence) -> Counter[str]:
    """Requests by what became of their token."""
    return Counter(post.did for post in seen.ledger.posts)


def _sent_twice(plan: Plan, seen: Evidence) -> list[tuple[Post, Post]]:
    """Requests with a refresh token that was sent before, without an excuse: the earlier one, the later one."""
    if not plan.rotates:
        return []
    harmed: dict[str, list[Harm]] = defaultdict(list)
    for harm in seen.harms:
        harmed[harm.by].append(harm)
    by_token: dict[int, list[Post]] = defaultdict(list)
    for post in seen.ledger.posts:
        by_token[post.token].append(post)
    used = _used(seen)
    return [
        (before, after)
        for posts in by_token.values()
        for before, after in pairwise(posts)
        if not _excused(plan, before, after, harmed[before.by])
        and not _lapsed(plan, before, after, used)
        and not any(_woke_up(plan, post, harmed[post.by]) for post in (before, after))
    ]


def _excused(plan: Plan, before: Post, after: Post, harms: Iterable[Harm]) -> bool:
    """Whether whoever sent `before` could not know what became of it, or knew that it spent nothing."""
    if before.answer in LOSES | REFUSES or before.did == "kept":
        return True
    since, until = before.at - _TOLERANCE_SECONDS, after.at + _TOLERANCE_SECONDS
    return any(since <= harm.at <= until or _unheard(plan, before, harm) for harm in harms)


def _lapsed(plan: Plan, before: Post, after: Post, used: set[int | None]) -> bool:
    """A lease that passed on: whoever sent `before` was too slow, and what it was given was never used."""
    return after.at - before.at >= plan.deadline_seconds and (before.issued is None or before.issued not in used)


def _woke_up(plan: Plan, post: Post, harms: Iterable[Harm]) -> bool:
    """Whether who sent this was stopped beyond its lease between its last look at it and sending."""
    # The whole process stood still, whichever of its refreshes came to the point.
    awake = (harm.at + plan.stop_seconds for harm in harms if harm.what == "stopping")
    return any(-_TOLERANCE_SECONDS <= post.at - at <= _AWAKE_SECONDS for at in awake)


def _unheard(plan: Plan, before: Post, harm: Harm) -> bool:
    """An answer that was sent and not read in time: `harm.at` is when the request was sent."""
    began_at = before.at - plan.deadline_seconds
    return harm.what == "unheard" and began_at <= harm.at <= before.at + _TOLERANCE_SECONDS


def _used(seen: Evidence) -> set[int | None]:
    return {post.token for post in seen.ledger.posts} | {grant.refresh_token for grant in seen.grants}


def _losses(plan: Plan, seen: Evidence, lost: list[GrantSeen]) -> list[str]:
    if plan.grace_seconds >= 30 or not plan.rotates:
        return [f"grant {grant.number} is lost ({grant.state}, {grant.reason})" for grant in lost]
    cut_off = unstored(seen)
    known = cut_off.keys() | _stored_late(seen)
    found = [f"grant {grant.number} is lost and nothing was cut off" for grant in lost if grant.number not in known]
    found += [
        f"grant {grant.number} is lost, and its reason is {grant.reason}"
        for grant in lost
        if grant.reason != "rotation_lost"
    ]
    if plan.grace_seconds == 0:
        gone = {grant.number for grant in lost}
        found += [f"grant {number} was cut off and is not lost" for number in cut_off if number not in gone]
    return found


def _stored_late(seen: Evidence) -> set[int]:
    """Families of which an answer lay in a process that stood still, so that the spent token was sent once more."""
    stops: dict[str, list[float]] = defaultdict(list)
    for harm in seen.harms:
        if harm.what == "stopping":
            stops[harm.by].append(harm.at)
    return {
        post.family
        for post in seen.ledger.posts
        if post.issued is not None
        and any(-_TOLERANCE_SECONDS <= at - post.at <= _AWAKE_SECONDS for at in stops[post.by])
    }


def _held(plan: Plan, seen: Evidence) -> list[str]:
    # Calm answers take at least four tenths of the deadline.
    longest = seen.longest_calm_transaction_seconds
    held = longest > plan.deadline_seconds * 0.4
    return [f"a transaction took {longest:.2f} s"] if held else []


def _told(post: Post) -> str:
    return f"family {post.family}, token {post.token}: {post.did} for {post.by} at {post.at:.3f} ({post.answer})"
