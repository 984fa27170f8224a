"""What a query over several tables asks of each: `since` and parameters, for all of them or by a table's name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from keyturn.client.names import suggestion
from keyturn.errors import Invalid, NotFound

if TYPE_CHECKING:
    from keyturn.client.tables import Table


@dataclass(frozen=True, slots=True)
class AskedOfTables:
    """`of(name)` is what a read of that table is given; a value without a table's name goes to all that ask for it."""

    known: Mapping[str, Table]
    since_all: Any = None
    since: Mapping[str, Any] = field(default_factory=dict)
    shared: Mapping[str, Any] = field(default_factory=dict)
    own: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def of(self, name: str) -> dict[str, Any]:
        """The keyword arguments of `Table.read`."""
        asks_for = self.known[name].asks_for
        shared = {key: value for key, value in self.shared.items() if key in asks_for}
        return {"since": self.since.get(name, self.since_all), **shared, **self.own.get(name, {})}

    def check(self, read: Iterable[str]) -> None:
        """Raises `Invalid` for what none of the tables that are read would be given."""
        names = list(read)
        for name in {**self.since, **self.own}:
            if name not in names:
                raise Invalid(f"The query does not read {name}, but a value is given for it.", at=name)
        for key in self.shared:
            if not any(key in self.known[name].asks_for for name in names):
                raise Invalid(f"No table of the query asks for {key}.", at=f"param.{key}")


def asked_of_tables(known: Mapping[str, Table], since: Any, parameters: Mapping[str, Any]) -> AskedOfTables:
    """From `since`, one or by table, and `parameters`: `{"year": 1}`, `{"acme.orders.year": 1}` or
    `{"acme.orders": {"year": 1}}`. Raises `NotFound` for a table there is not.
    """
    by_table = since if isinstance(since, Mapping) else {}
    shared: dict[str, Any] = {}
    own: dict[str, dict[str, Any]] = {}
    for name, value in parameters.items():
        table, _, parameter = name.rpartition(".")
        if isinstance(value, Mapping):
            own.setdefault(name, {}).update(value)
        elif table:
            own.setdefault(table, {})[parameter] = value
        else:
            shared[name] = value
    for name in (*by_table, *own):
        if name not in known:
            raise NotFound(f"There is no table called {name}.{suggestion(name, known)}")
    return AskedOfTables(known, None if by_table else since, by_table, shared, own)
