"""What a table asks for each time, in a dialog: a field for each parameter, and what was typed into them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from keyturn.model.tables import Table
from keyturn.rest.fillings import said
from keyturn.services import parents
from keyturn.web.auth import Visit
from keyturn.web.forms import Label

_PREFIX = "param."
_HELP = {
    "text": "",
    "integer": "A whole number.",
    "number": "A number.",
    "date": "A day, for example 2026-01-31, or one that is counted from today: today-7d.",
    "boolean": "true or false.",
}


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of a dialog by name: their words, and what is taken where one is left empty."""

    labels: Mapping[str, Label]
    placeholders: Mapping[str, str]

    def __iter__(self) -> Iterator[str]:
        return iter(self.labels)


async def fields(visit: Visit, table: Table) -> Fields:
    """What a table asks for, and the tables for whose rows it is read."""
    found = await parents.asked_for(visit.ctx, table)
    return Fields(
        {_PREFIX + item.name: Label(item.name, f"{item.description} {_HELP[item.type]}".strip()) for item in found},
        {_PREFIX + item.name: said(item.default) for item in found if item.default is not None},
    )


def typed(sent: Mapping[str, str]) -> dict[str, str]:
    """The values by the parameters' own names; fields left empty are left out."""
    return {
        name.removeprefix(_PREFIX): value.strip()
        for name, value in sent.items()
        if name.startswith(_PREFIX) and value.strip()
    }


def filled(parameters: Mapping[str, Any]) -> dict[str, str]:
    """The other way round: values as what stands in the fields."""
    return {_PREFIX + name: said(value) for name, value in parameters.items()}
