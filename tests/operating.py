"""What an operator does beside a running server, by the command itself."""

from __future__ import annotations

import os
import time

from forked import ran


def operate(*words: str, code: int = 0, typed: str = "", **environment: str) -> str:
    """What it said; of one that is to fail, its errors."""
    done = ran(words, _surroundings(environment), typed=typed)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done.stdout if code == 0 else done.stderr


def remove_key(key: str, **environment: str) -> None:
    """Take a key away, as soon as every running server has said that it seals with another."""
    deadline = time.monotonic() + 60
    while (done := ran(("keys", "remove", key), _surroundings(environment))).returncode:
        assert "still seals with key" in done.stderr, done
        assert time.monotonic() < deadline, done
        time.sleep(0.2)


def _surroundings(environment: dict[str, str]) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "KEYTURN_LOG_LEVEL": "warning", **environment}
