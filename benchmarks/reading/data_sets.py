"""Deterministic data sets as JSON rows: S flat with 10 columns, M nested like an issue tracker's, W wide with 200.

A set is two files: `NAME.rows`, the rows joined by commas, and `NAME.offsets`, where each begins (64-bit integers).
"""

from __future__ import annotations

import array
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

SIZES = {"S": 1_000_000, "M": 200_000, "W": 50_000}
WORDS = tuple(
    "amber bridge candle drift ember falcon garden harbor island jacket kettle lantern meadow needle orchard pepper "
    "quartz river saddle timber größe naïve façade 数据 エラー window yellow zephyr".split()
)
COUNTRIES = ("DE", "US", "FR", "BR", "IN", "JP", "GB", "PL", "NG", "CL", "SE", "CA")
KINDS = ("int",) * 7 + ("float",) * 6 + ("text",) * 4 + ("bool", "time", "long")


def make(folder: Path, *, sizes: dict[str, int] | None = None) -> None:
    """Write the sets that are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, size in (sizes or SIZES).items():
        if not (folder / f"{name}.offsets").exists():
            _write(folder, name, {"S": _flat, "M": _nested, "W": _wide}[name](size))


def _write(folder: Path, name: str, rows: Iterator[dict[str, Any]]) -> None:
    offsets, at = array.array("Q", [0]), 0
    with (folder / f"{name}.rows").open("wb", 1 << 22) as out:
        for row in rows:
            text = orjson.dumps(row)
            out.write(text + b",")
            at += len(text) + 1
            offsets.append(at)
    with (folder / f"{name}.offsets").open("wb") as out:
        offsets.tofile(out)


def _flat(count: int) -> Iterator[dict[str, Any]]:
    chance = random.Random(1)
    for number in range(1, count + 1):
        first, last = chance.choice(WORDS), chance.choice(WORDS)
        yield {
            "id": number,
            "uuid": f"{chance.getrandbits(128):032x}",
            "name": f"{first.title()} {last.title()}",
            "email": f"{first}.{number % 90_000}@example.com",
            "amount": round(chance.random() * 10_000, 2),
            "quantity": chance.randrange(5000),
            "active": chance.random() < 0.7,
            "created_at": _instant(chance),
            "country": chance.choice(COUNTRIES),
            "note": None if chance.random() < 0.3 else _sentence(chance, 3, 9),
        }


def _nested(count: int) -> Iterator[dict[str, Any]]:
    chance = random.Random(2)
    people = [_person(chance, number) for number in range(3000)]
    labels = [_label(chance, number) for number in range(120)]
    bodies = [f'### Steps\r\n\r\n1. "{_sentence(chance, 3, 10)}"\r\n{_sentence(chance, 40, 140)}' for _ in range(4000)]
    for number in range(1, count + 1):
        url = f"https://api.example.com/repos/org{number % 17:02}/repo{number % 211:03}/issues/{number}"
        closed = chance.random() < 0.6
        assignees = chance.sample(people, chance.choice((0, 0, 0, 1, 1, 2)))
        votes = [chance.randrange(5) for _ in range(8)]
        names = ("+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes")
        yield {
            "url": url,
            "labels_url": url + "/labels{/name}",
            "comments_url": f"{url}/comments",
            "events_url": f"{url}/events",
            "id": 10_000_000 + number,
            "node_id": f"I_{chance.getrandbits(48):012x}",
            "number": number,
            "title": _sentence(chance, 3, 12),
            "user": chance.choice(people),
            "labels": chance.sample(labels, chance.randrange(5)),
            "assignee": assignees[0] if assignees else None,
            "assignees": assignees,
            "body": None if chance.random() < 0.04 else chance.choice(bodies),
            "state": "closed" if closed else "open",
            "locked": chance.random() < 0.05,
            "comments": chance.randrange(60),
            "created_at": _instant(chance),
            "updated_at": _instant(chance),
            "closed_at": _instant(chance) if closed else None,
            "author_association": chance.choice(("NONE", "MEMBER", "OWNER")),
            "score": round(chance.random() * 10, 4),
            "reactions": {"url": f"{url}/reactions", "total_count": sum(votes), **dict(zip(names, votes, strict=True))},
            "sub_issues": {"total": votes[0], "completed": votes[1], "percent_completed": votes[2] * 10},
            "tags": chance.choices(WORDS[:20], k=chance.randrange(4)),
            "weight": None if chance.random() < 0.5 else chance.random(),
        }


def _wide(count: int) -> Iterator[dict[str, Any]]:
    chance = random.Random(3)
    columns = [(f"c{number:03}_{kind}", kind) for number, kind in enumerate(KINDS * 10)]
    sentences = [_sentence(chance, 1, 4) for _ in range(5000)]
    instants = [_instant(chance) for _ in range(5000)]

    def value(kind: str) -> Any:
        drawn = chance.random()
        if drawn < 0.05:
            return None
        match kind:
            case "int":
                return int(drawn * 1000)
            case "float":
                return round(drawn * 1e5, 3)
            case "text":
                return sentences[int(drawn * 5000)]
            case "bool":
                return drawn < 0.5
            case "time":
                return instants[int(drawn * 5000)]
            case _:
                return int(drawn * 1e15)

    for number in range(1, count + 1):
        yield {name: value(kind) for name, kind in columns} | {"c000_int": number}


def _person(chance: random.Random, number: int) -> dict[str, Any]:
    login = f"user{number:05}"
    url = f"https://api.example.com/users/{login}"
    more = ("followers", "gists", "starred", "subscriptions", "orgs", "repos", "events", "received_events")
    return {
        "login": login,
        "id": 1_000_000 + number * 37,
        "node_id": f"U_{chance.getrandbits(32):08x}",
        "avatar_url": f"https://avatars.example.com/u/{number}?v=4",
        "url": url,
        **{f"{name}_url": f"{url}/{name}" for name in more},
        "type": "User",
        "site_admin": number % 97 == 0,
    }


def _label(chance: random.Random, number: int) -> dict[str, Any]:
    return {
        "id": 5000 + number,
        "url": f"https://api.example.com/labels/{number}",
        "name": f"{chance.choice(WORDS)}-{number}",
        "color": f"{chance.getrandbits(24):06x}",
        "default": number < 9,
        "description": None if number % 4 == 0 else _sentence(chance, 2, 7),
    }


def _instant(chance: random.Random) -> str:
    day = f"20{chance.randrange(15, 26):02}-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}"
    return f"{day}T{chance.randrange(24):02}:{chance.randrange(60):02}:{chance.randrange(60):02}Z"


def _sentence(chance: random.Random, least: int, most: int) -> str:
    return " ".join(chance.choices(WORDS, k=chance.randrange(least, most)))
