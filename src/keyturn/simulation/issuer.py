"""An authorization server's mind: families of refresh tokens, rotation, grace, reuse detection. Pure, times are given.

Every request is written down in the ledger, which is what the judge believes.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Literal

# What became of a refresh token that was sent. `repeated`: it had been replaced, and the grace was not over.
Did = Literal["rotated", "repeated", "kept", "refused", "replayed", "revoked", "unknown"]
# Every token begins so, which is how one is found where none may be.
REFRESH_MARK, ACCESS_MARK = "simulated-rt-", "simulated-at-"


@dataclass(slots=True)
class Token:
    """A refresh token: of which family, when it was first redeemed, and which one it came from."""

    family: int
    number: int
    replaced_at: float | None = None


@dataclass(slots=True)
class Post:
    """One token request. `answer` is how its answer left; `issued` the number of the refresh token in it."""

    family: int
    token: int
    by: str
    at: float
    did: Did
    answer: str = ""
    issued: int | None = None


@dataclass(slots=True)
class Ledger:
    """All that happened at the server. `used`: the access token that was seen for each grant and generation."""

    posts: list[Post] = field(default_factory=list)
    revoked: set[int] = field(default_factory=set)
    used: dict[tuple[int, int], str] = field(default_factory=dict)
    doubled: list[tuple[int, int]] = field(default_factory=list)
    calls: int = 0
    rejected: int = 0


class Issuer:
    """Issues and redeems. A family is what one sign-in granted."""

    def __init__(self, *, life: float, grace: float, rotates: bool = True, detects_reuse: bool = True) -> None:
        self.life, self.grace = life, grace
        self.rotates, self.detects_reuse = rotates, detects_reuse
        self.ledger = Ledger()
        self.redeemed_at: dict[int, float] = {}
        self._refresh: dict[str, Token] = {}
        self._access: dict[str, tuple[int, float]] = {}
        self._last_access: dict[int, tuple[str, float]] = {}
        self._count = 0

    def sign_in(self, family: int, now: float) -> tuple[str, str]:
        """The first token pair of a family: access and refresh token."""
        return self._new_access(family, now), self._new_refresh(family)[0]

    def redeem(self, value: str, by: str, now: float) -> tuple[Post, str | None, str | None]:
        """Take a refresh token; answers what is written of it, and the access and refresh token issued, if any."""
        token = self._refresh.get(value)
        if token is None:
            return self._posted(Post(-1, -1, by, now, "unknown")), None, None
        post = Post(token.family, token.number, by, now, self._verdict(token, now))
        if post.did == "replayed" and self.detects_reuse:
            self.ledger.revoked.add(token.family)
        if post.did in {"replayed", "revoked"}:
            return self._posted(post), None, None
        self.redeemed_at[token.family] = now
        access = self._new_access(token.family, now)
        if not self.rotates:
            return self._posted(post), access, None
        if token.replaced_at is None:
            token.replaced_at = now
        refresh, post.issued = self._new_refresh(token.family)
        return self._posted(post), access, refresh

    def refuse(self, value: str, by: str, now: float) -> Post:
        """Write down a request that was turned away before it was looked at."""
        token = self._refresh.get(value)
        return self._posted(Post(-1 if token is None else token.family, -1 if token is None else token.number,
                                 by, now, "refused"))  # fmt: skip

    def same_again(self, value: str, by: str, now: float) -> tuple[Post, str, float] | None:
        """The access token of the family once more while it lives: the post, the token, the seconds it has left."""
        token = self._refresh.get(value)
        if token is None or token.replaced_at is not None or token.family in self.ledger.revoked:
            return None
        access, ends_at = self._last_access[token.family]
        if ends_at - now < 1.0:
            return None
        self.redeemed_at[token.family] = now
        return self._posted(Post(token.family, token.number, by, now, "kept")), access, ends_at - now

    def call(self, access: str, grant: int, generation: int, now: float) -> bool:
        """A call of the API with a token; answers whether it is good. Two tokens of one generation are written down."""
        self.ledger.calls += 1
        if self.ledger.used.setdefault((grant, generation), access) != access:
            self.ledger.doubled.append((grant, generation))
        family, ends_at = self._access.get(access, (-1, 0.0))
        good = family == grant and now < ends_at and family not in self.ledger.revoked
        self.ledger.rejected += not good
        return good

    def number_of(self, value: str | None) -> int | None:
        """Which refresh token of its family that is."""
        token = self._refresh.get(value or "")
        return None if token is None else token.number

    def _verdict(self, token: Token, now: float) -> Did:
        if token.family in self.ledger.revoked:
            return "revoked"
        if not self.rotates:
            return "kept"
        if token.replaced_at is None:
            return "rotated"
        return "repeated" if now - token.replaced_at <= self.grace else "replayed"

    def _posted(self, post: Post) -> Post:
        self.ledger.posts.append(post)
        return post

    def _new_access(self, family: int, now: float) -> str:
        value = f"{ACCESS_MARK}{family}-{secrets.token_urlsafe(12)}"
        self._access[value] = (family, now + self.life)
        self._last_access[family] = (value, now + self.life)
        return value

    def _new_refresh(self, family: int) -> tuple[str, int]:
        self._count += 1
        value = f"{REFRESH_MARK}{family}-{secrets.token_urlsafe(12)}"
        self._refresh[value] = Token(family, self._count)
        return value, self._count
