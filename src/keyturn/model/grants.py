"""A grant: what a person allowed, and when its token set must be renewed. Pure arithmetic of times; no token in it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Literal

from keyturn.model.refreshes import GRACE_ATTEMPTS

# So long before a sign-in ends for good, it is spoken of.
SOON_SECONDS = 7 * 86400.0
# So long after its time, something has held up more than this one. Its turn comes within an hour at most.
_OVERDUE_SECONDS = 60.0
_TURN_MOST_SECONDS = 3600.0
# free: hand out. ahead: hand out and renew in the background. over: renew first.
Window = Literal["free", "ahead", "over"]
GrantState = Literal["active", "reconnect_needed", "suspended", "revoked"]
GrantType = Literal["authorization_code", "client_credentials", "device_code"]


@dataclass(frozen=True, slots=True)
class Margins:
    """When to renew: hand out freely before `refresh_after`, renew ahead until `hard_at`, wait after it. Epoch s."""

    expires_at: float | None
    refresh_after: float | None
    hard_at: float | None


def margins(*, grant_id: str, generation: int, requested_at: float, life_seconds: float | None) -> Margins:
    """The windows of one token set.

    Expiry counts from the instant before the token request was sent. The soft margin is a fifth of the life
    within 1 to 15 minutes (half of a life up to 2 minutes), made earlier by a jitter of at most a tenth of the
    life that depends on grant and generation alone, so that all replicas agree. None: the life is unknown.
    """
    if life_seconds is None:
        return Margins(None, None, None)
    expires_at = requested_at + life_seconds
    soft = life_seconds / 2 if life_seconds <= 120 else min(max(life_seconds * 0.2, 60.0), 900.0)
    jitter = _fraction(grant_id, generation) * min(life_seconds * 0.1, 300.0)
    # A life of a few seconds leaves no room for the 5 s floor: half of it is the most a margin may take.
    hard = min(max(5.0, min(30.0, life_seconds * 0.05)), life_seconds / 4)
    return Margins(expires_at, expires_at - soft - jitter, expires_at - hard)


def keep_alive_at(
    grant_id: str, generation: int, requested_at: float, refresh_expires_at: float | None
) -> float | None:
    """When a refresh token that ends must have been used: within 80 % of its life, some earlier than others."""
    if refresh_expires_at is None:
        return None
    return requested_at + (refresh_expires_at - requested_at) * (0.8 - 0.1 * _fraction(grant_id, generation))


def earliest(*times: float | None) -> float | None:
    """The first of the times that are known."""
    return min((at for at in times if at is not None), default=None)


def _fraction(grant_id: str, generation: int) -> float:
    digest = hashlib.sha256(f"{grant_id}|{generation}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


@dataclass(frozen=True, slots=True)
class Grant:
    """A stored grant, its secrets still sealed. Times are epoch seconds; None means never or unknown.

    `kept` are the values that the sign-in told, `base_url` the API they choose, where it does.
    """

    id: str
    workspace_id: str
    connection_id: str
    account_id: str | None
    state: GrantState
    reason: str | None
    generation: int
    access_sealed: bytes
    refresh_sealed: bytes | None
    dpop_key_sealed: bytes | None
    token_type: str
    access_expires_at: float | None
    hard_at: float | None
    refresh_after: float | None
    refresh_expires_at: float | None
    # Whether renewing moves that end further away; None while it is not known.
    refresh_prolonged: bool | None
    scopes_requested: tuple[str, ...]
    scopes_granted: tuple[str, ...] | None
    account: str | None
    client_version: int
    token_origin: str
    lease_owner: str | None
    lease_until: float | None
    lease_epoch: int
    attempts: int
    next_attempt_at: float | None
    last_error_class: str | None
    last_error_code: str | None
    last_ok_at: float | None
    changed_at: float
    grant_type: GrantType = "authorization_code"
    base_url: str | None = None
    kept: dict[str, Any] | None = None

    @property
    def renews_itself(self) -> bool:
        """Whether new tokens come without a person: by its refresh token, or because the client asks for itself."""
        return self.refresh_sealed is not None or self.grant_type == "client_credentials"

    @property
    def has_refresh_token(self) -> bool | None:
        """Whether the server gave one; None where none is needed (RFC 6749 §4.4.3)."""
        return None if self.grant_type == "client_credentials" else self.refresh_sealed is not None

    @property
    def grace_may_run(self) -> bool:
        """Whether its last answer was lost a few attempts ago at most: the token may be spent, and waiting loses it."""
        return self.last_error_class == "unknown_outcome" and self.attempts < GRACE_ATTEMPTS

    def sign_in_ends_at(self, now: float) -> float | None:
        """When a person has to sign in again whatever we do, if that is within a week; else None.

        An end that renewing moves away is none. While nobody knows whether it does, only the last fifth counts.
        """
        end = self.refresh_expires_at
        if self.refresh_sealed is None or end is None or self.refresh_prolonged:
            return None
        soon = SOON_SECONDS
        if self.refresh_prolonged is None and self.last_ok_at is not None:
            soon = min(soon, (end - self.last_ok_at) / 5)
        return end if end - now < soon else None

    def is_good(self, now: float) -> bool:
        """Whether the access token may still be used; one whose end nobody knows may."""
        return self.access_expires_at is None or now < self.access_expires_at

    def turn_at(self, now: float, chance: float) -> float | None:
        """When to renew a grant that is overdue with very many others; None: now.

        At `chance` (0 to 1) of the time between its renewals: what an outage, theirs or ours, has piled up then lies
        as evenly as before. Not where its turn has come, a failure of its own is open, or its sign-in would end.
        """
        due_at, over_at, last = self.refresh_after, self.hard_at, self.last_ok_at
        if due_at is None or over_at is None or last is None or self.attempts > 0:
            return None
        if now - due_at < _OVERDUE_SECONDS or due_at > over_at:
            return None
        seconds = min(due_at - last, _TURN_MOST_SECONDS)
        if self.refresh_expires_at is not None and self.refresh_expires_at - now < 2 * seconds:
            return None
        return now + chance * seconds

    def window(self, now: float) -> Window:
        """How its token may be handed out at that time."""
        if self.refresh_after is None or now < self.refresh_after:
            return "free" if self.is_good(now) else "over"
        # Nothing bounds a life nobody knows: the refresh ahead is for the refresh token's sake.
        return "ahead" if self.hard_at is None or now < self.hard_at else "over"
