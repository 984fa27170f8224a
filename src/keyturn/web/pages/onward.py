"""From a dialog to where a missing unique key is set, and back with what was typed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl, urlencode

from keyturn.model.tables import Table

_SCHEDULE = re.compile(r"schedules/[A-Za-z0-9_-]{1,64}", re.ASCII)


def to_key(table: Table, back: str, values: Mapping[str, object], names: Iterable[str]) -> str | None:
    """The address of the table's unique key; None where it has one, or where nothing needs it.

    `back` is the dialog: `import` or `schedule` of the table, `schedules/ID`; `values` of `names` go back with it.
    """
    if values.get("mode") != "update" or table.settings.row_key:
        return None
    kept = urlencode({name: values[name] for name in names if values.get(name)})
    return f"/tables/{table.id}?{urlencode({'then': f'{back}?{kept}'})}#primary_key"


def place(table: Table, then: str) -> str | None:
    """Where `then` leads; None for what is none of those dialogs."""
    kind, _, query = then[:4000].partition("?")
    kept = urlencode(parse_qsl(query))
    if kind in {"import", "schedule"}:
        return f"/tables/{table.id}/{kind}?{kept}"
    return f"/{kind}" if _SCHEDULE.fullmatch(kind) else None
