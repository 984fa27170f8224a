"""How an answer leaves the authorization server: whole, slow, in pieces, cut off, oddly typed, late, or not at all."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any
from urllib.parse import urlencode

from keyturn.simulation.plan import Plan, Weather

# kind → how often it is drawn in a storm. Those of `LOSES` leave the client without knowing what happened.
KINDS = {
    "ok": 700, "slow": 60, "dribbled": 20, "odd": 120, "same": 20, "429 seconds": 8, "429 date": 4,
    "503": 15, "truncated": 12, "cut off": 12, "lost": 12, "late": 4, "500 spent": 6,
}  # fmt: skip
LOSES = frozenset({"truncated", "cut off", "lost", "late", "500 spent"})
REFUSES = frozenset({"429 seconds", "429 date", "503"})


@dataclass(frozen=True, slots=True)
class Draw:
    """One answer's fate, and the seconds until its first byte and between its pieces."""

    kind: str
    wait_seconds: float = 0.0
    between_seconds: float = 0.0


def draw(plan: Plan, weather: Weather, chance: random.Random) -> Draw:
    """What happens to the next answer. Calm answers are all slow, within the deadline; fair ones are quick."""
    quick = chance.uniform(0.002, 0.02)
    if weather == "fair":
        return Draw("ok", quick)
    if weather == "calm":
        return Draw("slow", plan.deadline_seconds * chance.uniform(0.4, 0.7))
    kinds = {kind: weight for kind, weight in KINDS.items() if plan.loses_answers or kind not in LOSES}
    kind = chance.choices(list(kinds), list(kinds.values()))[0]
    if kind in {"slow", "dribbled"}:
        return Draw(kind, plan.deadline_seconds * chance.uniform(0.1, 0.4), plan.deadline_seconds * 0.02)
    if kind == "late":
        return Draw(kind, plan.deadline_seconds * 1.2)
    return Draw(kind, quick)


def granted(draw: Draw, chance: random.Random, *, access: str, refresh: str | None, life: float) -> bytes:
    """A token response, whole; odd ones are what real servers send and a client must understand."""
    body: dict[str, Any] = {"access_token": access, "token_type": "Bearer", "expires_in": life}
    if refresh is not None:
        body["refresh_token"] = refresh
    if draw.kind != "odd":
        return response(200, json.dumps(body).encode())
    shape = chance.randrange(4)
    if shape == 0:
        body["expires_in"] = str(life)
    elif shape == 1:
        return response(200, urlencode(body).encode(), {"Content-Type": "application/x-www-form-urlencoded"})
    elif shape == 2:
        body |= {"token_type": "bearer", "scope": None, "nested": {"a": [1, None]}}
    else:
        return response(200, json.dumps(body).encode(), {"Content-Type": "text/plain"})
    return response(200, json.dumps(body).encode())


def refused(kind: str, now: float) -> bytes:
    """An answer that spends nothing."""
    if kind == "429 seconds":
        return response(429, b'{"error": "slow_down"}', {"Retry-After": "1"})
    if kind == "429 date":
        return response(429, b"", {"Retry-After": formatdate(now + 2, usegmt=True)})
    return response(503, b"<h1>Service Unavailable</h1>", {"Content-Type": "text/html"})


def failed(error: str) -> bytes:
    """An RFC 6749 §5.2 error."""
    return response(400, json.dumps({"error": error}).encode())


def response(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    """An HTTP/1.1 response; the date is left out, since the clocks here are wrong on purpose."""
    lines = {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} -\r\n{head}\r\n".encode() + body
