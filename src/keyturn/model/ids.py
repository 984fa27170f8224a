"""Identifiers: opaque strings with a short prefix that says what they name, and names turned into slugs."""

from __future__ import annotations

import re
import secrets
import unicodedata

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
RESERVED_SLUGS = frozenset({"done"})
SLUG_MAX = 40


def new_id(prefix: str) -> str:
    """`prefix_` and 100 random bits in Crockford's base32: unguessable, safe in URLs and file names."""
    return prefix + "_" + "".join(secrets.choice(_ALPHABET) for _ in range(20))


def slug_of(name: str) -> str:
    """The slug of an OAuth client's name: NFKD to ASCII, lower case, other runs become `-`, at most 40 characters."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-")[:SLUG_MAX].strip("-")
    return slug or "client"


def slug_candidates(name: str) -> list[str]:
    """Slugs to try in order: the plain one unless reserved, then `-2`, `-3`, … within the length limit."""
    base = slug_of(name)
    numbered = [f"{base[: SLUG_MAX - len(f'-{n}')].rstrip('-')}-{n}" for n in range(2, 1000)]
    return numbered if base in RESERVED_SLUGS else [base, *numbered]
