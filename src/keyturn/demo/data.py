"""The demo's data: the same rows each time, from a seed; nested, with nulls, long numbers and codes with zeros."""

from __future__ import annotations

import functools
import random
from datetime import UTC, datetime, timedelta
from typing import Any

ORDERS, CUSTOMERS, EVENTS = 1234, 187, 540
_START = datetime(2026, 1, 1, 8, 0, tzinfo=UTC)
_FIRST = ("Maria", "Jonas", "Aiko", "Tomáš", "Ines", "Liam", "Noor", "Piet", "Sofia", "Yara")
_LAST = ("Keller", "Duarte", "Tanaka", "Dvořák", "Okafor", "Lindqvist", "Bright", "Harlow", "Rossi", "Whitfield")
_COMPANIES = (
    "Fjord Supplies AS",
    "Bright & Sons Ltd",
    "Harlow Clinics",
    "Kantō Trading",
    "Studio Nord",
    "Oyelaran & Co",
)
_STATUSES = ("open", "paid", "shipped", "cancelled", "refunded")
_COUNTRIES = (("NO", "Norway"), ("DE", "Germany"), ("JP", "Japan"), ("CZ", "Czechia"), ("PT", "Portugal"),
              ("NG", "Nigeria"), ("SE", "Sweden"), ("GB", "United Kingdom"), ("IT", "Italy"))  # fmt: skip


def _at(minutes: int) -> str:
    return (_START + timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")


@functools.cache
def customers() -> list[dict[str, Any]]:
    """People and companies; some have no phone."""
    chance = random.Random(7)  # noqa: S311 - the same rows each time
    found = []
    for number in range(1, CUSTOMERS + 1):
        name = f"{chance.choice(_FIRST)} {chance.choice(_LAST)}" if number % 3 else chance.choice(_COMPANIES)
        found.append(
            {
                "id": number,
                "name": name,
                "email": f"customer{number}@example.com",
                "phone": None if number % 4 == 0 else f"+49 30 {chance.randrange(10**6, 10**7)}",
                "address": {
                    "city": chance.choice(("Oslo", "Berlin", "Tōkyō", "Praha", "Lisboa")),
                    "postcode": f"{chance.randrange(10**5):05d}",
                    "country": chance.choice(_COUNTRIES)[0],
                },
                "newsletter": chance.random() < 0.4,
                "since": (_START - timedelta(days=chance.randrange(2000))).date().isoformat(),
            }
        )
    return found


@functools.cache
def products() -> list[dict[str, Any]]:
    """Things to order; weights are numbers, prices are text as money should be."""
    chance = random.Random(11)  # noqa: S311
    return [
        {
            "sku": f"P-{number:04d}",
            "name": f"{chance.choice(('Oak', 'Steel', 'Linen', 'Cork'))} {chance.choice(('lamp', 'chair', 'desk'))}",
            "price": f"{chance.randrange(500, 90_000) / 100:.2f}",
            "weight_kg": round(chance.uniform(0.2, 40), 3),
            "in_stock": chance.randrange(200),
            "tags": chance.sample(["new", "sale", "eco", "wood", "metal"], chance.randrange(4)),
        }
        for number in range(1, 64)
    ]


@functools.cache
def orders() -> list[dict[str, Any]]:
    """1,234 orders with their customer and items inside."""
    chance = random.Random(42)  # noqa: S311
    people, goods = customers(), products()
    found = []
    for number in range(1, ORDERS + 1):
        person = chance.choice(people)
        items = [
            {"sku": item["sku"], "quantity": chance.randrange(1, 6), "price": item["price"]}
            for item in chance.sample(goods, chance.randrange(1, 5))
        ]
        total = sum(int(item["quantity"]) * round(float(str(item["price"])) * 100) for item in items)
        found.append(
            {
                "id": number,
                "external_ref": 9_007_199_254_740_993 + number,
                "legacy_code": f"{number:07d}",
                "placed_at": _at(number * 37),
                "status": chance.choice(_STATUSES),
                "customer": {"id": person["id"], "name": person["name"], "email": person["email"]},
                "items": items,
                "total": f"{total / 100:.2f}",
                "currency": "EUR",
                "discount": None if number % 5 else round(chance.uniform(0.01, 0.3), 2),
                "note": None if number % 7 else "Leave with the neighbour, please.",
            }
        )
    return found


@functools.cache
def order_items() -> list[dict[str, Any]]:
    """A row for each item of each order."""
    return [
        {"order_id": order["id"], "line": line, **item}
        for order in orders()
        for line, item in enumerate(order["items"], 1)
    ]


@functools.cache
def events() -> list[dict[str, Any]]:
    """What happened to orders."""
    chance = random.Random(3)  # noqa: S311
    return [
        {
            "id": f"evt_{number:06d}",
            "type": chance.choice(("order.created", "order.paid", "order.shipped")),
            "order_id": chance.randrange(1, ORDERS + 1),
            "at": _at(number * 91),
            "payload": {"source": chance.choice(("web", "app", "phone")), "attempt": chance.randrange(1, 4)},
        }
        for number in range(1, EVENTS + 1)
    ]


def countries() -> list[dict[str, Any]]:
    """A short list without pages."""
    return [{"code": code, "name": name} for code, name in _COUNTRIES]
