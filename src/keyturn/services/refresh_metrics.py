"""Numbers about refreshes for Prometheus. Labels are token hosts and outcomes, never a grant or an account."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

REFRESHES = Counter(
    "keyturn_refreshes", "Token requests to renew a grant, by what came of them.", ["outcome", "token_host"]
)
UNKNOWN_OUTCOMES = Counter(
    "keyturn_refresh_unknown_outcome",
    "Refresh tokens that may be spent without our knowing the answer.",
    ["token_host"],
)
REPLAYS = Counter(
    "keyturn_refresh_replays", "Refresh tokens sent once more because the first outcome is unknown.", ["token_host"]
)
LEASE_STEALS = Counter(
    "keyturn_refresh_lease_steals", "Leases taken over after their holder gave no word.", ["token_host"]
)
ORPHANS = Counter(
    "keyturn_refresh_orphans", "Answers that came after their lease had passed on, and were kept.", ["token_host"]
)
ROTATIONS_LOST = Counter(
    "keyturn_refresh_rotations_lost", "Grants lost between the server's rotation and our commit.", ["token_host"]
)
WAIT_SECONDS = Histogram(
    "keyturn_token_wait_seconds",
    "How long callers waited for a token that had to be renewed first.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30),
)
SECONDS_TO_EXPIRY = Histogram(
    "keyturn_token_seconds_to_expiry",
    "How long the old access token was still good when its successor was stored; below 0 it was over.",
    ["token_host"],
    buckets=(-3600, -60, -10, 0, 10, 30, 60, 120, 300, 600, 900, 1800, 3600),
)
