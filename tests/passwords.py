"""Passwords that cost nearly nothing: a hash takes a fifth of a second in production, on purpose.

Servers that are forked off have it, and what runs in the tests' own process. `test_sessions.py` holds what it costs in
production, and servers that are started as the operator starts them pay it.
"""

from __future__ import annotations

import argon2

from keyturn.services import accounts

PRODUCTION = accounts._hasher


def cost_little() -> None:
    """From now on, in this process."""
    accounts._hasher = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
